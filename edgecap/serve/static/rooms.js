/* Rooms: which are shown, how each is, and what one of them hears now. */
(function (edgecap) {
  "use strict";

  const { make, fill, icon, say, show } = edgecap.dom;
  const words = edgecap.words;
  const settings = edgecap.settings;

  /** Not hidden here; on /tv and /obs, named in the address or none is. */
  const isChosen = (room) => {
    const only = settings.get("rooms");
    return settings.get("hiddenRooms").indexOf(room) < 0 && (only.length === 0 || only.indexOf(room) >= 0);
  };

  /** Whether a line is for these eyes: of a chosen room, or urgent; what is not, where only that is wanted. */
  const isShown = (line) => {
    const isUrgent = line.priority === "urgent";
    return (isChosen(line.room) || (isUrgent && settings.get("urgentFrom") === "all")) && (isUrgent || !settings.get("urgentOnly"));
  };

  const choose = (room, isWanted) => {
    const others = settings.get("hiddenRooms").filter((name) => name !== room);
    settings.set("hiddenRooms", isWanted ? others : others.concat(room));
  };

  /* Where a level stands between silence and the loudest that a microphone takes. */
  const FLOOR_DB = -80;
  const share = (db) => (db === null || db === undefined ? 0 : Math.max(0, Math.min(1, 1 - db / FLOOR_DB)));

  const level = (db) => (db === null || db === undefined ? "no sound yet" : `${Math.round(db)} dB, ${words.loudness(db)}`);

  const bar = () => {
    const filled = make("span", "bar-filled");
    filled.style.width = "0%";
    return { element: make("span", "bar", { "aria-hidden": "true" }, filled), set: (value) => {
      filled.style.width = `${Math.round(value * 100)}%`;
    } };
  };

  /** A row for each room. options: {hears: (room), mute: (room, on) or null}. */
  const panel = (place, options) => {
    const rows = {};

    const row = (name) => {
      const box = make("input", "", { type: "checkbox", change: () => choose(name, box.checked) });
      const state = make("span", "room-state");
      const meter = bar();
      const hears = make("button", "", { type: "button", click: () => options.hears(name) }, "What it hears now");
      hears.setAttribute("aria-label", `What it hears now in ${name}`);
      const mute = make("button", "", { type: "button", click: () => options.mute(name, !mute.isMuted) });
      const element = make("li", "room-row", {},
        make("label", "check", {}, box, make("span", "room-name", {}, name)),
        make("span", "room-how", {}, state, meter.element), make("span", "room-actions", {}, hears, mute));
      return { element, box, state, meter, mute };
    };

    const draw = (rooms) => {
      Object.keys(rooms).sort().forEach((name) => {
        const room = rooms[name];
        if (!rows[name]) {
          rows[name] = row(name);
          place.appendChild(rows[name].element);
        }
        const one = rows[name];
        one.box.checked = isChosen(name);
        say(one.state, room.hearing ? `${words.state(room)}, ${level(room.level)}` : `${words.state(room)}${room.why ? `: ${room.why}` : ""}`);
        one.meter.set(room.hearing ? share(room.level) : 0);
        one.mute.isMuted = room.state === "muted";
        say(one.mute, one.mute.isMuted ? "Listen again" : "Mute");
        one.mute.setAttribute("aria-label", `${one.mute.isMuted ? "Listen again in" : "Mute"} ${name}`);
        show(one.mute, options.mute !== null && (room.hearing || one.mute.isMuted));
      });
    };

    return { draw };
  };

  /** The level, and the five surest sounds with what became of each: what it hears now. */
  const hears = (place, options) => {
    const title = make("h2", "", { tabindex: "-1" });
    const loud = make("p", "hears-level");
    const meter = bar();
    const rows = [];
    const body = make("tbody");
    for (let made = 0; made < 5; made += 1) {
      const name = make("th", "", { scope: "row" });
      const sureness = bar();
      const cell = make("td", "hears-sure", {}, sureness.element);
      const number = make("span", "hears-number");
      cell.appendChild(number);
      const why = make("td", "");
      rows.push({ element: make("tr", "", { hidden: true }, name, cell, why), name, sureness, number, why });
      body.appendChild(rows[made].element);
    }
    const head = make("thead", "", {}, make("tr", "", {},
      make("th", "", { scope: "col" }, "Sound"), make("th", "", { scope: "col" }, "How sure"), make("th", "", { scope: "col" }, "Said?")));
    const nothing = make("p", "", {}, "Nothing yet: the first look takes a moment.");
    const close = make("button", "", { type: "button", click: options.close }, icon("close"), "Close");
    const table = make("table", "hears-table", { hidden: true }, head, body);
    fill(place, make("div", "panel-head", {}, title, close), loud, meter.element, nothing, table);

    return {
      open: (room) => {
        say(title, `${words.capital(room)}: what it hears now`);
        say(loud, "");
        show(table, false);
        show(nothing, true);
      },
      title,
      draw: (heard) => {
        say(loud, `Level: ${level(heard.level)}`);
        meter.set(share(heard.level));
        show(nothing, heard.sounds.length === 0);
        show(table, heard.sounds.length > 0);
        rows.forEach((row, at) => {
          const sound = heard.sounds[at];
          show(row.element, Boolean(sound));
          if (!sound) return;
          say(row.name, words.capital(words.sound(sound.label)));
          row.sureness.set(sound.score);
          say(row.number, String(Math.round(sound.score * 100)));
          say(row.why, words.capital(words.whyNot(sound.why)));
          row.element.className = sound.why === null ? "is-said" : "";
        });
      },
    };
  };

  edgecap.rooms = { isChosen, isShown, choose, panel, hears, level, share };
})((window.edgecap = window.edgecap || {}));
