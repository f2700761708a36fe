/* Devices: who may read, how to let another in, and how to shut one out. */
(function (edgecap) {
  "use strict";

  const { make, fill, say, show, drawing } = edgecap.dom;
  const words = edgecap.words;

  const KINDS = { tv: "Television", obs: "Stream (OBS)" };

  const open = (place, query, page) => {
    const told = make("p", "hint", { role: "status" });
    const devices = make("ul", "devices");
    const links = make("ul", "devices");
    const pairing = make("div", "pairing");
    const address = make("div", "pairing");
    const name = make("input", "", { type: "text", id: "link-name", maxlength: "60", autocomplete: "off" });
    const mayChange = make("input", "", { type: "checkbox" });
    const old = make("input", "", { type: "password", id: "old-passphrase", autocomplete: "current-password" });
    const fresh = make("input", "", { type: "password", id: "new-passphrase", autocomplete: "new-password", required: true, minlength: "8", maxlength: "200" });
    const oldField = make("p", "field", { hidden: true }, make("label", "", { for: "old-passphrase" }, "Passphrase until now"), old);

    const fail = (problem) => say(told, edgecap.sentence(problem));

    const seen = (row) => {
      const now = page.feed.now();
      return row.seen ? `Last here ${words.when(row.seen, now)}` : row.created ? `Since ${words.when(row.created, now)}` : "";
    };

    const revoke = (gone) =>
      edgecap.ask("api/devices/revoke", { id: gone.id }).then(() => {
        if (gone.current) window.location.href = "login";
        say(told, `${gone.name} is removed.`);
        fill(address);
        load();
      }, fail);

    const row = (one, kind) => {
      const isThis = one.current;
      const button = make("button", "", { type: "button", click: () => revoke(one) }, isThis ? "Log out" : "Remove");
      button.setAttribute("aria-label", `${isThis ? "Log out" : "Remove"} ${one.name}`);
      return make("li", "device-row", {},
        make("span", "device-name", {}, one.name, isThis ? make("span", "tag", {}, " (this device)") : null),
        make("span", "hint", {}, [kind, seen(one)].filter(Boolean).join(" · ")), button);
    };

    const load = () => {
      edgecap.ask("api/me").then((me) => show(oldField, me.passphrase), fail);
      edgecap.ask("api/devices").then((found) => {
        fill(devices, found.devices.length
          ? found.devices.map((one) => row(one, one.owner ? "may change things" : "reads"))
          : make("li", "hint", {}, "No other device yet."));
      }, fail);
      edgecap.ask("api/links").then((found) => {
        fill(links, found.links.length
          ? found.links.map((one) => row(one, KINDS[one.kind] || one.kind))
          : make("li", "hint", {}, "No link yet."));
      }, fail);
    };

    const pair = () =>
      edgecap.ask("api/pairing", { owner: mayChange.checked, base: window.location.href.split("#")[0] }).then((made) => {
        say(told, "");
        fill(pairing,
          drawing(made.svg, "A code for the camera of the other device"),
          make("ol", "steps", {},
            make("li", "", {}, "Point the camera of the other device at this code, and open what it finds. Without a camera, open ",
              make("code", "address", {}, made.address), " there and type ", make("code", "address", {}, made.code), "."),
            make("li", "", {}, `Give the device a name there. The code works once, until ${words.clock(made.expires)}.`)));
      }, fail);

    const setPassphrase = (event) => {
      event.preventDefault();
      edgecap.ask("api/passphrase", { old: old.value, new: fresh.value }).then(() => {
        old.value = fresh.value = "";
        say(told, "The passphrase is set.");
        load();
      }, fail);
    };

    const link = (kind) =>
      edgecap.ask("api/links", { kind, name: name.value.trim() || KINDS[kind] }).then((made) => {
        fill(address,
          make("p", "", {}, kind === "tv" ? "Open this address on the television:" : "Add this address as a browser source:"),
          make("p", "", {}, make("code", "address", {}, made.url)),
          make("p", "hint", {}, "It is shown this once. Whoever has it can read what is heard, until you remove it here."));
        name.value = "";
        load();
      }, fail);

    fill(place,
      make("h2", "", { tabindex: "-1" }, "Devices and links"),
      make("p", "", {}, make("a", "button", { href: "#settings" }, "Back to the settings")),
      told,
      make("h3", "", {}, "Devices"), devices,
      make("label", "check", {}, mayChange, make("span", "", {}, "The new device may also add and remove devices, and mute rooms")),
      make("p", "", {}, make("button", "main", { type: "button", click: pair }, "Add a device")), pairing,
      make("h3", "", {}, "Links for a television or a stream"), links,
      make("p", "field", {}, make("label", "", { for: "link-name" }, "Name of the new link"), name),
      make("p", "", {},
        make("button", "", { type: "button", click: () => link("tv") }, "Link for a television"),
        make("button", "", { type: "button", click: () => link("obs") }, "Link for a stream")), address,
      make("h3", "", {}, "Passphrase"),
      make("p", "hint", {}, "With it one can log in on any device, and change things there. Once it is set, this computer asks for it too."),
      make("form", "", { submit: setPassphrase },
        make("input", "", { type: "text", name: "username", autocomplete: "username", value: "edgecap", hidden: true }), oldField,
        make("p", "field", {}, make("label", "", { for: "new-passphrase" }, "New passphrase, at least 8 characters"), fresh),
        make("p", "", {}, make("button", "", { type: "submit" }, "Set the passphrase"))));
    load();
  };

  edgecap.opened.devices = open;
})((window.edgecap = window.edgecap || {}));
