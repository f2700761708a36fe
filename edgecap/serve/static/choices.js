/* Choices: the settings view. Each choice holds at once, on this device. */
(function (edgecap) {
  "use strict";

  const { make, fill, show } = edgecap.dom;
  const settings = edgecap.settings;

  /** One of several words: a group of radio buttons. */
  const pick = (name, title, choices, hint) => {
    const boxes = choices.map(([value, label]) => {
      const box = make("input", "", { type: "radio", name, value, change: () => settings.set(name, value) });
      box.checked = settings.get(name) === value;
      return make("label", "check", {}, box, make("span", "", {}, label));
    });
    return make("fieldset", "pick", {}, make("legend", "", {}, title), boxes, hint && make("p", "hint", {}, hint));
  };

  const flag = (name, label, hint) => {
    const box = make("input", "", { type: "checkbox", change: () => settings.set(name, box.checked) });
    box.checked = settings.get(name);
    return make("div", "pick", {}, make("label", "check", {}, box, make("span", "", {}, label)), hint && make("p", "hint", {}, hint));
  };

  const notify = () => {
    const chosen = pick("notify", "Notify while another app is in front of", [
      ["off", "nothing"], ["urgent", "what is urgent"], ["call", "what is urgent, and doorbells, knocks, phones"],
    ]);
    chosen.addEventListener("change", () => {
      if (settings.get("notify") === "off" || !window.Notification || Notification.permission !== "default") return;
      const asked = Notification.requestPermission(() => edgecap.opened.settings.drawAbilities());
      if (asked && asked.catch) asked.catch(() => undefined); // the row below says what came of it
    });
    return chosen;
  };

  const size = () => {
    const value = make("output", "");
    const box = make("input", "", {
      type: "range", id: "size-here", min: "100", max: "400", step: "10", input: () => settings.set("size", box.value),
    });
    const draw = () => {
      box.value = String(settings.get("size"));
      value.textContent = `${settings.get("size")} %`;
    };
    draw();
    settings.watch((name) => name === "size" && draw());
    return make("div", "pick", {}, make("label", "legend", { for: "size-here" }, "Text size"),
      make("div", "size", {}, box, value),
      make("p", "hint", {}, "Also: two fingers apart on the captions, or the keys + and -."));
  };

  const drawAbilities = (place) => {
    fill(place, edgecap.device.abilities().map((row) => [
      make("dt", row.can ? "can" : "cannot", {}, edgecap.dom.icon(row.can ? "check" : "close"), make("span", "", {}, row.name)),
      make("dd", "", {}, row.text),
    ]));
  };

  const abilities = make("dl", "abilities");

  const open = (place, query, page) => {
    const isOwner = page.isOwner();
    fill(place,
      make("h2", "", { tabindex: "-1" }, "Settings"),
      make("p", "hint", {}, "They are kept on this device, and hold at once."),
      make("h3", "", {}, "Reading"),
      size(),
      pick("theme", "Colours", [
        ["system", "as the device has them"], ["light", "light"], ["dark", "dark"],
        ["black", "black, for OLED screens"], ["contrast", "high contrast"],
      ]),
      pick("words", "How much is said", [
        ["word", "a word or two: Dog bark"], ["sentence", "a sentence: A dog barks."],
        ["full", "a sentence, how loud, how long, and what else it may have been"],
      ]),
      flag("urgentOnly", "Show only what is urgent", "The rest is still in the history. Key: U."),
      make("h3", "", {}, "Urgent sounds"),
      make("p", "hint", {}, "Alarms, screams, a crying baby and the like fill the screen until somebody has seen them. edgecap is no life-safety device: keep certified alarms."),
      pick("urgentFrom", "Show them from", [["all", "every room"], ["chosen", "the chosen rooms alone"]]),
      flag("flash", "Flash for six seconds, once a second", "Never where the device asks for less motion."),
      pick("vibrate", "Vibrate for", [
        ["off", "nothing"], ["urgent", "what is urgent"], ["call", "what is urgent, and doorbells, knocks, phones"],
      ]),
      notify(),
      make("h3", "", {}, "Screen readers, Braille and keys"),
      pick("read", "Read out", [["all", "every caption, once"], ["urgent", "only what is urgent"]]),
      flag("keys", "Single keys", "R repeats the last caption, P pauses, U shows only what is urgent, + and - size the text."),
      make("h3", "", {}, "This device"),
      flag("awake", "Keep the screen awake while this page is open"),
      abilities,
      make("p", "", {}, make("button", "", { type: "button", click: edgecap.device.fullscreen }, "Fill the whole screen")),
      make("h3", "", {}, "Other devices"),
      make("p", "hint", {}, isOwner
        ? "Bring the captions to a phone, a television or a stream, and take them away again."
        : "Who has the passphrase can add and remove devices."),
      isOwner ? make("p", "", {}, make("a", "button", { href: "#devices" }, "Devices and links")) : null,
      make("p", "hint about-edgecap", {}, `edgecap ${page.scene.state.version}. No sound is stored, and what people say is never written down.`)
    );
    drawAbilities(abilities);
    show(abilities, true);
  };

  edgecap.opened.settings = open;
  edgecap.opened.settings.drawAbilities = () => drawAbilities(abilities);
})((window.edgecap = window.edgecap || {}));
