/* Health: what is not heard, and why; said as loudly as an alarm. */
(function (edgecap) {
  "use strict";

  const { make, fill, icon, say, show } = edgecap.dom;
  const words = edgecap.words;

  /** What is wrong, loudest first. A trouble: {kind, loud, head, text, since, icon, rooms}. state: {connection, rooms,
      ears, store}; isChosen: (room) => whether it is shown. Pure. */
  const troubles = (state, isChosen) => {
    if (state.isShutOut) {
      return [{
        kind: "shut-out", loud: true, icon: "unplugged", head: "Shown no more", since: null, rooms: [],
        text: "This device or link was removed. Who runs edgecap can add it again, under Settings, Devices and links.",
      }];
    }
    if (!state.connection.connected) {
      if (!state.connection.since) return [];
      return [{
        kind: "connection", loud: true, icon: "unplugged", head: "Not connected", since: state.connection.since, rooms: [],
        text: "This page has lost edgecap, and shows nothing of what is heard. It tries again by itself.",
      }];
    }
    const found = [];
    const deaf = Object.keys(state.rooms).map((name) => state.rooms[name])
      .filter((room) => !room.hearing && room.state !== "starting" && isChosen(room.room));
    const byWhy = {};
    deaf.forEach((room) => {
      const why = `${room.state}/${room.why || ""}`;
      (byWhy[why] = byWhy[why] || []).push(room);
    });
    Object.keys(byWhy).forEach((why) => {
      const rooms = byWhy[why];
      const isMuted = rooms[0].state === "muted";
      const names = rooms.map((room) => room.room);
      const places = names.map(words.place);
      const shown = places.length > 4 ? `${words.list(places.slice(0, 3))} and ${places.length - 3} more rooms` : words.list(places);
      found.push({
        kind: isMuted ? "muted" : "room", loud: !isMuted, icon: "deaf", rooms: names,
        head: isMuted ? "Muted" : "Not listening",
        text: `${words.capital(shown)}: ${words.small(rooms[0].why || words.state(rooms[0]))}`,
        since: rooms.map((room) => room.since).sort()[0],
      });
    });
    const known = Object.keys(state.rooms).length > 0;
    Object.keys(state.ears).map((name) => state.ears[name]).forEach((ear) => {
      if (!ear.connected && (!known || !deaf.some((room) => room.ear === ear.ear))) {
        found.push({
          kind: "ear", loud: true, icon: "deaf", head: "Not listening", rooms: [], since: ear.since,
          text: `${ear.why || `Nothing comes from ${ear.ear}.`} Is edgecap run running there?`,
        });
      }
      if (ear.connected && Math.abs(ear.clock_s || 0) >= 2) {
        const side = ear.clock_s > 0 ? "ahead" : "behind";
        found.push({
          kind: "clock", loud: false, icon: "history", head: "Clocks differ", rooms: [], since: null,
          text: `The clock of ${ear.ear} is ${words.lasted(Math.abs(ear.clock_s))} ${side}: its times are as its own clock has them.`,
        });
      }
    });
    Object.keys(state.rooms).map((name) => state.rooms[name]).forEach((room) => {
      if (room.state === "overloaded" && isChosen(room.room)) {
        found.push({
          kind: "slow", loud: false, icon: "machine", head: "Some sound is skipped", rooms: [], since: room.since,
          text: `The computer in ${room.room} is too slow at the moment.`,
        });
      }
      const verdict = room.hearing && room.input ? room.input.verdict : "good";
      if (verdict !== "good" && isChosen(room.room)) {
        found.push({
          kind: "level", loud: false, icon: "machine", head: verdict === "clipping" ? "Too loud" : "Too quiet",
          rooms: [], since: null,
          text: `The ${room.input.source} in ${room.room} is ${verdict}: turn it ${verdict === "clipping" ? "down" : "up"}.`,
        });
      }
    });
    if (state.store) {
      found.push({
        kind: "store", loud: false, icon: "history", head: "Nothing is kept", rooms: [], since: state.store.since,
        text: `${words.capital(state.store.why)}. Captions go on; ${words.plural(state.store.lost, "caption")} will be missing from the history.`,
      });
    }
    return found.sort((a, b) => Number(b.loud) - Number(a.loud));
  };

  /** place: an element at the head of every view. options: {now, unmute: (room) or null}. */
  const health = (place, options) => {
    const blocks = {};

    const block = (trouble) => {
      const since = make("span", "trouble-since", { "aria-live": "off" });
      const text = make("p", "trouble-text");
      const head = make("strong", "trouble-head");
      const actions = make("p", "trouble-actions");
      const element = make("div", "trouble", { role: trouble.loud ? "alert" : "status" },
        make("span", "trouble-sign", {}, icon(trouble.icon)), make("div", "trouble-body", {}, head, text, since, actions));
      return { element, head, text, since, actions };
    };

    /** Draw what is wrong; what is newly and loudly wrong, or null. Blocks that stay are not told again. */
    const draw = (found) => {
      let news = null;
      const keys = found.map((trouble) => `${trouble.kind} ${trouble.head} ${trouble.text}`);
      Object.keys(blocks).filter((key) => keys.indexOf(key) < 0).forEach((key) => {
        place.removeChild(blocks[key].element);
        delete blocks[key];
      });
      found.forEach((trouble, at) => {
        const key = keys[at];
        if (!blocks[key]) {
          const made = (blocks[key] = block(trouble));
          if (trouble.loud && news === null) news = trouble;
          made.element.className = `trouble ${trouble.kind}${trouble.loud ? " loud" : ""}`;
          place.insertBefore(made.element, trouble.loud ? place.firstChild : null);
          say(made.head, trouble.head);
          say(made.text, trouble.text);
          if (trouble.kind === "muted" && options.unmute) {
            fill(made.actions, trouble.rooms.map((room) =>
              make("button", "", { type: "button", click: () => options.unmute(room) }, `Listen in ${room} again`)));
          }
        }
        if (trouble.since) {
          const lasts = Math.max(0, (options.now() - new Date(trouble.since)) / 1000);
          say(blocks[key].since, `Since ${words.when(trouble.since, options.now())}${lasts >= 1 ? `, for ${words.lasted(lasts)}` : ""}.`);
        }
      });
      show(place, found.length > 0);
      return news;
    };

    return { draw };
  };

  edgecap.troubles = troubles;
  edgecap.health = health;
})((window.edgecap = window.edgecap || {}));
