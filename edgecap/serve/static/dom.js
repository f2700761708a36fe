/* Elements: the only place where the page makes some. Text goes in as text, never as markup. */
(function (edgecap) {
  "use strict";

  const SVG = "http://www.w3.org/2000/svg";

  /* 24 by 24, drawn in strokes. */
  const ICONS = {
    alarm: "M12 3 2.5 20h19zM12 10v4.5M12 17.2v.3",
    fire: "M12 3c1 4 5 5.5 5 10.5a5 5 0 0 1-10 0c0-2 1-3.5 2-4.5 .5 1.5.5 2.5 1.5 3C10 8.5 10.5 5.5 12 3z",
    bell: "M6 16V11a6 6 0 0 1 12 0v5l1.5 2h-15zM10 20.5a2 2 0 0 0 4 0",
    door: "M6 21V3h12v18M4 21h16M14.5 12v.5",
    phone: "M6 3h3.5l1.5 5-2 1.5a11 11 0 0 0 5.5 5.5l1.5-2 5 1.5V18a3 3 0 0 1-3 3A15.5 15.5 0 0 1 3 6a3 3 0 0 1 3-3z",
    person: "M12 11a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 21c0-4.5 3.5-7 8-7s8 2.5 8 7",
    baby: "M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16zM12 4c-1.5 1-1.5 2.5 0 3M9 11v.5M15 11v.5M9 15.5c1.5-1.5 4.5-1.5 6 0",
    animal: "M8 8.5v.1M16 8.5v.1M4.5 12.5v.1M19.5 12.5v.1M12 12c-3 0-5.5 3-5.5 5.5 0 2 1.5 2.5 3 2.5h5c1.5 0 3-.5 3-2.5 0-2.5-2.5-5.5-5.5-5.5z",
    water: "M12 3c3 4.5 6 7.5 6 11.5a6 6 0 0 1-12 0C6 10.5 9 7.5 12 3z",
    music: "M9 18V5l10-2v13M9 18a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0zM19 16a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0z",
    machine: "M4 3h16v18H4zM4 7.5h16M12 18a3.8 3.8 0 1 0 0-7.6 3.8 3.8 0 0 0 0 7.6zM7 5.2v.1",
    vehicle: "M3 16v-4l2.5-6h13L21 12v4zM6.5 19.5v-3M17.5 19.5v-3M3.5 11.5h17",
    burst: "M12 2.5v5M12 16.5v5M2.5 12h5M16.5 12h5M5.3 5.3l3.5 3.5M15.2 15.2l3.5 3.5M18.7 5.3l-3.5 3.5M8.8 15.2l-3.5 3.5",
    sound: "M4 10v4M8 7v10M12 4v16M16 8v8M20 10.5v3",
    deaf: "M9 9V6a3 3 0 0 1 6 0v5M15 14.5a3 3 0 0 1-5.6-1M6 11.5a6 6 0 0 0 9.5 4.8M18 11.5a6 6 0 0 1-.4 2.2M12 18v3M4 3l16 18",
    unplugged: "M4 20l4-4M20 4l-4 4M10.5 7.5 16.5 13.5M7.5 10.5l6 6c-2 2-4.5 2.5-6.5.5S5.5 12.5 7.5 10.5zM16.5 13.5c2-2 2.5-4.5.5-6.5S12.5 5.5 10.5 7.5",
    live: "M4 10v4M8 7v10M12 4v16M16 8v8M20 10.5v3",
    history: "M12 21a9 9 0 1 0-8.5-12M3 4.5V9h4.5M12 7v5.5l3.5 2",
    search: "M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM15.5 15.5 20.5 20.5",
    settings: "M4 7h9M17 7h3M4 17h3M11 17h9M15 9.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM9 19.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5z",
    pause: "M8 5v14M16 5v14",
    play: "M7 4.5v15l12-7.5z",
    more: "M6 12v.1M12 12v.1M18 12v.1",
    down: "M12 4v15M6 13.5l6 6 6-6",
    check: "M4.5 12.5l5 5 10-11",
    close: "M5.5 5.5l13 13M18.5 5.5l-13 13",
    rooms: "M3 11 12 3.5l9 7.5M5.5 9.5V20.5h13V9.5M10 20.5v-6h4v6",
  };

  const LABELS = [
    [/smoke|fire|co_alarm/, "fire"], [/alarm|siren/, "alarm"], [/baby|infant/, "baby"],
    [/doorbell|knock|door/, "door"], [/phone/, "phone"], [/bell|chime|beep/, "bell"],
    [/scream|shout|speech|sing|laugh|cough|sneeze|snor|breath|clap|step|crowd|child|cheer|whistl|burp|eating|drinking/, "person"],
    [/dog|cat|bird|crow|rooster|chicken|duck|pigeon|owl|gull|cow|sheep|goat|pig|horse|donkey|frog|insect|cricket|bee|mosquito/, "animal"],
    [/rain|water|sea|stream|shower|pour|boil|toilet|drip|wash_|washing_dishes|thunder|splash/, "water"],
    [/music|guitar|piano|violin|cello|bass|flute|clarinet|sax|trumpet|drum|organ|accordion|harmonica/, "music"],
    [/washing|dishwasher|vacuum|microwave|fan|fridge|machine|hair|blender|mixer|saw|drill|keyboard|clock|mouse|printer|toaster|kettle/, "machine"],
    [/car|engine|traffic|airplane|train|helicopter|bus|truck|motor|horn|bicycle|boat/, "vehicle"],
    [/glass|break|explosion|gun|fireworks|crash|slam|bang|thud/, "burst"],
  ];

  const icon = (name) => {
    const drawing = document.createElementNS(SVG, "svg");
    drawing.setAttribute("viewBox", "0 0 24 24");
    drawing.setAttribute("class", "icon");
    drawing.setAttribute("aria-hidden", "true");
    drawing.setAttribute("focusable", "false");
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", ICONS[name]);
    drawing.appendChild(path);
    return drawing;
  };

  /** What a caption's surest sound looks like: the name of an icon. */
  const iconOf = (caption) => {
    const label = caption.sounds && caption.sounds.length ? caption.sounds[0].label : "";
    const found = LABELS.filter((pair) => pair[0].test(label))[0];
    if (found) return found[1];
    return caption.priority === "urgent" ? "alarm" : "sound";
  };

  const append = (parent, child) => {
    if (child === null || child === undefined || child === false) return;
    if (Array.isArray(child)) child.forEach((one) => append(parent, one));
    else parent.appendChild(typeof child === "object" ? child : document.createTextNode(String(child)));
  };

  /** make("p", "line urgent", {id: "x"}, "text", child…): an element. Attributes that are null stay away; a
      function is a listener. */
  const make = (tag, classes, attributes, ...children) => {
    const element = document.createElement(tag);
    if (classes) element.className = classes;
    Object.keys(attributes || {}).forEach((name) => {
      const value = attributes[name];
      if (typeof value === "function") element.addEventListener(name, value);
      else if (value === true) element.setAttribute(name, "");
      else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
    });
    append(element, children);
    return element;
  };

  const clear = (element) => {
    while (element.firstChild) element.removeChild(element.firstChild);
    return element;
  };

  /** Put children in the place of those there. */
  const fill = (element, ...children) => {
    append(clear(element), children);
    return element;
  };

  /** Text in place, only where it changes: screen readers are told of every write. */
  const say = (element, text) => {
    if (element.textContent !== text) element.textContent = text;
  };

  const show = (element, isShown) => {
    if (element.hidden === isShown) element.hidden = !isShown;
  };

  const byId = (id) => document.getElementById(id);

  /** A drawing that came as text (a QR code): its strokes alone, in an element of our own. */
  const drawing = (text, name) => {
    const found = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
    const copy = document.createElementNS(SVG, "svg");
    const width = parseFloat(found.getAttribute("width"));
    const height = parseFloat(found.getAttribute("height"));
    copy.setAttribute("viewBox", found.getAttribute("viewBox") || `0 0 ${width} ${height}`);
    copy.setAttribute("role", "img");
    copy.setAttribute("aria-label", name);
    copy.setAttribute("class", "qr");
    Array.prototype.forEach.call(found.getElementsByTagName("path"), (path) => {
      const line = document.createElementNS(SVG, "path");
      ["d", "transform", "stroke", "fill"].forEach((key) => {
        if (path.hasAttribute(key)) line.setAttribute(key, path.getAttribute(key));
      });
      copy.appendChild(line);
    });
    return copy;
  };

  /** Empty places for icons in the page's own markup. */
  const drawIcons = () => {
    Array.prototype.forEach.call(document.querySelectorAll("[data-icon]"), (place) => {
      fill(place, icon(place.getAttribute("data-icon")));
    });
  };

  const HIDDEN_MS = 250;

  /** Asks for `draw` before the next picture, however often it is asked. Hidden pages get no pictures, but have a
      title. */
  const onFrame = (draw) => {
    let isAsked = false;
    const run = () => {
      isAsked = false;
      draw();
    };
    return () => {
      if (isAsked) return;
      isAsked = true;
      if (document.hidden) window.setTimeout(run, HIDDEN_MS);
      else window.requestAnimationFrame(run);
    };
  };

  /** What draws a view when it is opened: {name: (element, query, page)}. */
  edgecap.opened = {};
  edgecap.dom = { make, icon, iconOf, fill, clear, say, show, byId, drawing, drawIcons, onFrame };
})((window.edgecap = window.edgecap || {}));
