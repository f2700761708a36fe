/* Page: wires the parts of the page to the scene and to each other. */
(function (edgecap) {
  "use strict";

  const { byId, fill, icon, say, show, drawIcons, onFrame } = edgecap.dom;
  const words = edgecap.words;
  const settings = edgecap.settings;

  drawIcons();

  const feed = edgecap.feed("", "");
  const isChosen = edgecap.rooms.isChosen;
  const names = () => Object.keys(scene.state.rooms).length > 1;

  const live = edgecap.live(
    { region: byId("captions"), log: byId("log"), now: byId("now"), quiet: byId("quiet"), newest: byId("newest"), spoken: byId("spoken") },
    {
      now: feed.now,
      names,
      isConnected: () => scene.state.connection.connected,
      share: 0.6,
      size: () => Math.max(34, Math.min(96, window.innerWidth * 0.05 + 18)) * (settings.get("size") / 100),
    }
  );

  const urgent = edgecap.urgent(byId("urgent"), {
    now: feed.now,
    mayDismiss: true,
    dismiss: (captions) => {
      captions.forEach(scene.dismiss);
      unsent = unsent.concat(captions);
      send();
    },
  });

  /* Seen here while there was no connection: told to the others when it is back. */
  let unsent = [];
  const send = () => {
    const captions = unsent;
    unsent = [];
    captions.forEach((seen) => edgecap.ask("api/dismiss", { room: seen.room, id: seen.id }).catch((problem) => {
      if (!problem.status) unsent.push(seen);
    }));
  };

  const health = edgecap.health(byId("trouble"), { now: feed.now, unmute: (room) => mute(room, false) });

  const mute = (room, on) => edgecap.ask("api/mute", { room, on }).catch((problem) => live.speak(edgecap.sentence(problem)));

  const isOwner = () => Boolean(scene.state.device && scene.state.device.owner);

  const rooms = edgecap.rooms.panel(byId("rooms-list"), { hears: (room) => openHears(room), mute });
  const hears = edgecap.rooms.hears(byId("hears"), { close: () => closeHears() });

  /* --- what the head says --------------------------------------------------------------------- */

  const headline = (state, found) => {
    const loud = found.filter((trouble) => trouble.loud)[0];
    const chosen = Object.keys(state.rooms).filter(isChosen);
    const hearing = chosen.filter((name) => state.rooms[name].hearing);
    if (!state.connection.since || (state.connection.connected && !state.isReady)) return { sign: "live", text: "Connecting", kind: "waits" };
    if (!state.connection.connected) return { sign: "unplugged", text: "Not connected", kind: "bad" };
    if (!chosen.length) return { sign: "rooms", text: "No room yet", kind: "waits" };
    if (hearing.length && hearing.length < chosen.length) {
      return { sign: "live", text: `Listening in ${hearing.length} of ${words.plural(chosen.length, "room")}`, kind: loud ? "bad" : "well" };
    }
    if (hearing.length > 1) return { sign: "live", text: `Listening in ${words.plural(hearing.length, "room")}`, kind: "well" };
    if (hearing.length) return { sign: "live", text: `Listening in ${words.place(hearing[0])}`, kind: "well" };
    return { sign: "deaf", text: loud ? loud.head : words.state(state.rooms[chosen[0]]), kind: loud ? "bad" : "waits" };
  };

  let drawnSign = "";
  const drawHead = (state, found) => {
    const head = headline(state, found);
    say(byId("state-words"), head.text);
    byId("state").className = `state ${head.kind}`;
    if (drawnSign !== head.sign) {
      drawnSign = head.sign;
      fill(byId("state-sign"), icon(head.sign));
    }
    const open = scene.open().filter(edgecap.rooms.isShown);
    const newest = open[open.length - 1];
    const standing = newest ? newest.text : "";
    say(byId("meanwhile"), newest && edgecap.view !== "live" ? `${newest.room}: ${standing}` : "");
    show(byId("meanwhile"), Boolean(newest) && edgecap.view !== "live");
    const title = urgent.isOpen() ? `Urgent! ${standing}` : head.kind === "bad" ? head.text : standing;
    document.title = title ? `${title} · edgecap` : "edgecap";
  };

  const drawQuiet = (state) => {
    const chosen = Object.keys(state.rooms).filter(isChosen);
    const isEmpty = live.count() === 0;
    const isHearing = chosen.some((name) => state.rooms[name].hearing);
    if (!state.connection.connected) {
      say(byId("quiet-head"), state.connection.since ? "" : "Connecting…");
      say(byId("quiet-text"), "");
    } else if (!chosen.length) {
      say(byId("quiet-head"), Object.keys(state.rooms).length ? "No room is chosen" : "No room yet");
      say(byId("quiet-text"), Object.keys(state.rooms).length
        ? "Choose some under Rooms."
        : "Start one on the computer with the microphone: edgecap run");
    } else {
      say(byId("quiet-head"), isHearing ? "Quiet" : "");
      say(byId("quiet-text"), isEmpty && isHearing
        ? "What can be heard appears here. edgecap is no life-safety device: keep certified alarms." : "");
    }
  };

  const drawHeld = (state) => {
    const parts = [];
    if (state.isPaused) parts.push(state.heldBack ? `Paused. ${words.plural(state.heldBack, "new caption")} since.` : "Paused.");
    if (settings.get("urgentOnly")) parts.push("Only what is urgent is shown.");
    show(byId("held"), parts.length > 0);
    say(byId("held-words"), parts.join(" "));
    say(byId("held-end"), state.isPaused ? "Go on" : "Show everything");
    const pause = byId("pause");
    if (pause.getAttribute("aria-pressed") !== String(state.isPaused)) {
      pause.setAttribute("aria-pressed", String(state.isPaused));
      say(byId("pause-words"), state.isPaused ? "Go on" : "Pause");
      fill(byId("pause-icon"), icon(state.isPaused ? "play" : "pause"));
    }
  };

  const draw = () => {
    const state = scene.state;
    const found = edgecap.troubles(state, isChosen);
    const news = health.draw(found);
    if (news !== null) {
      edgecap.vibrate("urgent");
      edgecap.notify("urgent", news.head, news.text, news.kind);
    }
    drawHead(state, found);
    drawQuiet(state);
    drawHeld(state);
    if (!byId("rooms").hidden) rooms.draw(state.rooms);
    live.draw();
  };
  const soon = onFrame(draw);

  const scene = edgecap.scene(feed, {
    live,
    urgent,
    called: (line) => {
      edgecap.vibrate("call");
      edgecap.notify("call", line.text, `${line.room}, ${words.clock(line.latest)}`, line.caption.id);
    },
    shutOut: () => edgecap.ask("api/me").then((me) => {
      window.location.href = me.needs === "pairing" ? "pair" : "login";
    }),
    changed: soon,
  });

  /* --- views ------------------------------------------------------------------------------------ */

  const VIEWS = ["live", "history", "search", "settings", "devices"];

  const go = () => {
    const [name, query] = window.location.hash.slice(1).split("?");
    const wanted = VIEWS.indexOf(name) < 0 ? "live" : name;
    const isOther = edgecap.view !== undefined && edgecap.view !== wanted;
    edgecap.view = wanted;
    VIEWS.forEach((view) => show(byId(`view-${view}`), view === wanted));
    document.body.setAttribute("data-view", wanted);
    const tab = wanted === "devices" ? "settings" : wanted;
    Array.prototype.forEach.call(document.querySelectorAll(".views a"), (link) => {
      if (link.getAttribute("href") === `#${tab}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    });
    if (edgecap.opened[wanted]) edgecap.opened[wanted](byId(`view-${wanted}`), query || "", { scene, feed, isOwner });
    if (isOther) {
      const title = byId(`view-${wanted}`).querySelector("h2");
      if (title && wanted !== "live") title.focus();
      window.scrollTo(0, 0);
    }
    draw();
  };

  /* --- what people do --------------------------------------------------------------------------- */

  const pause = () => {
    if (scene.state.isPaused) scene.goOn();
    else scene.pause();
    live.speak(scene.state.isPaused ? "Paused." : "Going on.");
  };

  const urgentOnly = () => {
    settings.set("urgentOnly", !settings.get("urgentOnly"));
    live.speak(settings.get("urgentOnly") ? "Urgent only." : "Everything.");
  };

  const repeat = () => {
    const line = live.last();
    live.speak(line ? `${line.text} ${line.room}, ${words.clock(line.latest)}.` : "Nothing was heard yet.");
  };

  const panel = (id, isOpen, opener) => {
    show(byId(id), isOpen);
    if (isOpen) byId(id).querySelector("h2").focus();
    else if (opener) opener.focus();
    soon();
  };

  const openHears = (room) => {
    panel("rooms", false);
    byId("open-rooms").setAttribute("aria-expanded", "false");
    hears.open(room);
    feed.hears(room);
    panel("hears", true);
  };

  const closeHears = () => {
    feed.hears("");
    panel("hears", false, byId("open-rooms"));
  };

  const openRooms = (isOpen) => {
    if (isOpen && !byId("hears").hidden) closeHears();
    byId("open-rooms").setAttribute("aria-expanded", String(isOpen));
    rooms.draw(scene.state.rooms);
    panel("rooms", isOpen, byId("open-rooms"));
  };

  byId("pause").addEventListener("click", pause);
  byId("held-end").addEventListener("click", () => (scene.state.isPaused ? pause() : urgentOnly()));
  byId("open-rooms").addEventListener("click", () => openRooms(byId("rooms").hidden));
  byId("rooms-close").addEventListener("click", () => openRooms(false));
  byId("newest").addEventListener("click", live.toEnd);

  const size = byId("size");
  const drawSize = () => {
    size.value = String(settings.get("size"));
    size.setAttribute("aria-valuetext", `${settings.get("size")} percent`);
  };
  size.addEventListener("input", () => settings.set("size", size.value));
  drawSize();

  const grow = (steps) => () => edgecap.gestures.grow(steps);
  edgecap.gestures.keys({ r: repeat, p: pause, u: urgentOnly, "+": grow(1), "=": grow(1), "-": grow(-1) });
  edgecap.gestures.pinch(byId("captions"));

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || urgent.isOpen()) return;
    if (!byId("rooms").hidden) openRooms(false);
    else if (!byId("hears").hidden) closeHears();
  });

  /* In the region, up and down go from line to line. */
  byId("captions").addEventListener("keydown", (event) => {
    if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
    const buttons = Array.prototype.filter.call(byId("log").querySelectorAll(".line:not(.stands) .more"), (one) => one.offsetParent !== null);
    if (!buttons.length) return;
    const at = buttons.indexOf(document.activeElement);
    const next = event.key === "ArrowUp" ? (at < 0 ? buttons.length - 1 : at - 1) : at + 1;
    event.preventDefault();
    if (next >= buttons.length) byId("captions").focus();
    else if (next >= 0 && (at >= 0 || event.key === "ArrowUp")) buttons[next].focus();
  });

  const drawReading = () => byId("log").setAttribute("aria-live", settings.get("read") === "all" ? "polite" : "off");
  drawReading();

  settings.watch((name) => {
    if (name === "seen") return;
    if (name === "size") drawSize();
    if (name === "read") drawReading();
    live.redraw();
    urgent.size();
    draw();
  });

  window.addEventListener("resize", () => {
    urgent.size();
    soon();
  });
  window.addEventListener("hashchange", go);
  feed.on("heard", (heard) => !byId("hears").hidden && hears.draw(heard));
  feed.on("connection", (connection) => connection.connected && send());
  edgecap.device.shiftPixels(() => settings.get("theme") === "black");
  edgecap.device.stayAwake();

  if (edgecap.away) edgecap.away(byId("away"), { now: feed.now, scene });

  let marked = "";
  const markSeen = () => {
    const newest = scene.state.newest;
    if (document.hidden || newest <= marked) return;
    marked = newest;
    if (newest > settings.get("seen")) settings.set("seen", newest);
  };

  window.setInterval(() => {
    markSeen();
    urgent.tick();
    draw();
  }, 1000);

  go();
  scene.start();
})((window.edgecap = window.edgecap || {}));
