/* Television: the same captions for four metres away, without anything to press. Its choices stand in its address:
   /tv?size=150&theme=black&words=sentence&rooms=kitchen,hall&flash=off */
(function (edgecap) {
  "use strict";

  const { byId, say, show, onFrame } = edgecap.dom;
  const words = edgecap.words;
  const settings = edgecap.settings;
  const { range, choice, OPTIONS } = settings;

  const WRONG_MS = 20000;

  const { wrong } = settings.fromAddress(window.location.search, {
    size: range(100, 50, 200),
    theme: choice("black", "system", "light", "dark", "black", "contrast"),
    words: OPTIONS.words,
    rooms: OPTIONS.rooms,
    flash: OPTIONS.flash,
    urgentOnly: OPTIONS.urgentOnly,
    urgentFrom: OPTIONS.urgentFrom,
  });
  say(byId("wrong"), wrong.join(" "));
  show(byId("wrong"), wrong.length > 0);
  window.setTimeout(() => show(byId("wrong"), false), WRONG_MS);

  const link = window.location.pathname.split("/tv/")[1] || "";
  const feed = edgecap.feed("../", link);
  const isChosen = edgecap.rooms.isChosen;
  const names = () => Object.keys(scene.state.rooms).length > 1;

  const live = edgecap.live(
    { region: byId("captions"), log: byId("log"), now: byId("now"), quiet: byId("quiet") },
    {
      now: feed.now,
      names,
      isConnected: () => scene.state.connection.connected,
      share: 0.72,
      size: () => (Math.min(window.innerWidth * 0.075, window.innerHeight * 0.15) * settings.get("size")) / 100,
    }
  );

  /* A link may read only; at the computer itself, or logged in, Enter on the remote control is enough. */
  const urgent = edgecap.urgent(byId("urgent"), {
    now: feed.now,
    mayDismiss: link === "",
    dismiss: (captions) => captions.forEach((seen) => {
      scene.dismiss(seen);
      edgecap.ask("../api/dismiss", { room: seen.room, id: seen.id }).catch(() => undefined); // gone from here at least
    }),
  });

  const health = edgecap.health(byId("trouble"), { now: feed.now, unmute: null });

  /** Nobody scrolls a television: a line that is cut off at the top is not shown at all. */
  const hideCut = () => {
    const top = byId("captions").getBoundingClientRect().top;
    Array.prototype.forEach.call(byId("log").children, (line) => {
      line.classList.toggle("is-cut", line.getBoundingClientRect().top < top - 2);
    });
  };

  const draw = () => {
    const state = scene.state;
    health.draw(edgecap.troubles(state, isChosen));
    const hearing = Object.keys(state.rooms).filter((room) => isChosen(room) && state.rooms[room].hearing);
    const isLost = !state.connection.connected;
    say(byId("state"), isLost ? (state.connection.since ? "Not connected" : "Connecting") : hearing.length ? `Listening in ${words.list(hearing.slice(0, 3).map(words.place))}${hearing.length > 3 ? "…" : ""}` : "Not listening");
    say(byId("quiet-head"), isLost ? "" : hearing.length ? "Quiet" : Object.keys(state.rooms).length ? "" : "No room yet");
    live.draw();
    hideCut();
    say(byId("clock"), words.clock(new Date(feed.now()).toISOString()));
  };

  const scene = edgecap.scene(feed, { live, urgent, changed: onFrame(draw) });

  window.addEventListener("resize", () => {
    urgent.size();
    draw();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "f") edgecap.device.fullscreen();
  });
  edgecap.device.shiftPixels(() => true);
  settings.set("awake", true);
  edgecap.device.stayAwake();
  window.setInterval(() => {
    urgent.tick();
    draw();
  }, 1000);
  draw();
  scene.start();
})((window.edgecap = window.edgecap || {}));
