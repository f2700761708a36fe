/* Settings: what this person chose, kept on this device where the browser allows it; else until the tab closes.
   Read in the head, before anything is drawn, so that no theme flashes up. The same table reads the parameters
   of /tv and /obs. */
(function (edgecap) {
  "use strict";

  const KEY = "edgecap";

  const range = (otherwise, least, most) => ({
    otherwise,
    read: (text) => {
      const number = Number(text);
      return text !== "" && number >= least && number <= most ? Math.round(number) : undefined;
    },
    allowed: `${least} to ${most}`,
  });
  const choice = (otherwise, ...words) => ({
    otherwise,
    read: (text) => (words.indexOf(text) < 0 ? undefined : text),
    allowed: words.join(", "),
  });
  const flag = (otherwise) => ({
    otherwise,
    read: (text) => ({ true: true, on: true, false: false, off: false }[String(text)]),
    allowed: "on, off",
  });
  const names = () => ({
    otherwise: [],
    read: (text) => (Array.isArray(text) ? text : String(text).split(",")).filter((name) => /^[^\s./]{1,64}$/.test(name)),
    allowed: "names of rooms with commas between them",
  });

  const OPTIONS = {
    size: range(100, 100, 400),
    theme: choice("system", "system", "light", "dark", "black", "contrast"),
    words: choice("sentence", "word", "sentence", "full"),
    hiddenRooms: names(),
    rooms: names(),
    urgentOnly: flag(false),
    urgentFrom: choice("all", "all", "chosen"),
    flash: flag(true),
    vibrate: choice("urgent", "urgent", "call", "off"),
    notify: choice("off", "urgent", "call", "off"),
    awake: flag(false),
    read: choice("all", "all", "urgent"),
    keys: flag(true),
    seen: { otherwise: "", read: (text) => (isNaN(Date.parse(text)) ? undefined : text), allowed: "a time" },
  };

  /** The browser's store, or null where it is switched off: asking for it alone may throw. */
  const store = () => {
    try {
      const probe = window.localStorage;
      probe.setItem(KEY + ".probe", "1");
      probe.removeItem(KEY + ".probe");
      return probe;
    } catch (refused) {
      return null;
    }
  };

  const kept = store();
  const values = {};
  const watchers = [];

  const load = () => {
    let found = {};
    try {
      found = JSON.parse((kept && kept.getItem(KEY)) || "{}") || {};
    } catch (damaged) {
      found = {};
    }
    Object.keys(OPTIONS).forEach((name) => {
      const value = name in found ? OPTIONS[name].read(found[name]) : undefined;
      values[name] = value === undefined ? OPTIONS[name].otherwise : value;
    });
  };

  const tell = (name) => watchers.forEach((watcher) => watcher(name));

  const save = () => {
    try {
      if (kept) kept.setItem(KEY, JSON.stringify(values));
    } catch (full) {
      /* The choice holds until the tab closes; the page says so where it lists what this device can do. */
    }
  };

  edgecap.settings = {
    isKept: kept !== null,
    get: (name) => values[name],
    /** Values out of range are left as they were. */
    set: (name, value) => {
      const read = OPTIONS[name].read(value);
      if (read === undefined || read === values[name]) return;
      values[name] = read;
      save();
      tell(name);
    },
    watch: (watcher) => watchers.push(watcher),
    /** For /tv and /obs, whose choices stand in their address and are kept nowhere: the value of each option that
        the page allows, and a sentence for each parameter that can't be. */
    fromAddress: (query, options) => {
      const wrong = [];
      const chosen = {};
      Object.keys(options).forEach((name) => {
        chosen[name] = options[name].otherwise;
      });
      new URLSearchParams(query).forEach((text, name) => {
        const option = options[name];
        const value = option && option.read(text);
        if (option === undefined) wrong.push(`${name} is unknown; possible are ${Object.keys(options).join(", ")}.`);
        else if (value === undefined) wrong.push(`${name}=${text} can't be; it is ${option.allowed}.`);
        else chosen[name] = value;
      });
      Object.keys(values).forEach((name) => {
        values[name] = name in chosen ? chosen[name] : OPTIONS[name].otherwise;
      });
      edgecap.applyLook();
      return { chosen, wrong };
    },
    OPTIONS,
    range,
    choice,
    flag,
  };

  /** The theme and the sizes as the style sheet reads them. */
  edgecap.applyLook = () => {
    const root = document.documentElement;
    const scale = values.size / 100;
    root.setAttribute("data-theme", values.theme);
    root.style.setProperty("--scale", String(scale));
    root.classList.toggle("is-large", scale > 1.5);
    // Controls grow along, as far as a narrow screen still has room for the captions.
    const widest = Math.max(16, (window.innerWidth || 1024) / 18);
    root.style.fontSize = `${Math.min(16 * scale, widest)}px`;
  };

  load();
  edgecap.applyLook();
  edgecap.settings.watch((name) => {
    if (name === "size" || name === "theme") edgecap.applyLook();
  });
  window.addEventListener("resize", edgecap.applyLook);
  // Another tab of this device chose otherwise.
  window.addEventListener("storage", (event) => {
    if (event.key !== KEY) return;
    load();
    Object.keys(OPTIONS).forEach(tell);
  });
})((window.edgecap = window.edgecap || {}));
