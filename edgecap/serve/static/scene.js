/* Scene: what is known of the rooms, from the feed, and what of it goes where. The same for the page, the television
   and the stream. */
(function (edgecap) {
  "use strict";

  const MOST_LINES = 300;
  const PAST = 60;
  const MOST_HELD = 1000;
  const PATIENCE_MS = 3000;
  const LATE_URGENT_MS = 15 * 60000;

  /** Of each caption the newest message: what was revised while nobody looked is told once, as it is now. */
  const newestOfEach = (messages) => {
    const last = {};
    messages.forEach((message, at) => {
      last[edgecap.keyOf(message)] = at;
    });
    return messages.filter((message, at) => last[edgecap.keyOf(message)] === at);
  };

  /** feed: a feed. parts: {live, urgent or null, called: (line) => somebody calls, shutOut: () =>
      this device may read no more (both where the page minds), changed: () => draws what is known anew}. */
  const scene = (feed, parts) => {
    const fold = edgecap.fold(MOST_LINES);
    const state = {
      connection: { connected: false, since: null },
      rooms: {},
      ears: {},
      store: null,
      device: null,
      version: "",
      isReady: false, // what was heard before is there
      isShutOut: false,
      isPaused: false,
      held: [],
      heldBack: 0,
      newest: "",
    };
    const dismissed = {};
    let waiting = []; // what comes before the past is there
    let isHere = false;

    const alarm = (line, change) => {
      if (!parts.urgent || line.priority !== "urgent" || !edgecap.rooms.isShown(line)) return;
      const isNews = ["line", "again", "text", "priority"].indexOf(change) >= 0;
      const isLate = line.end !== null && feed.now() - new Date(line.end) > LATE_URGENT_MS;
      if (isNews && !isLate && !dismissed[edgecap.keyOf(line.caption)]) parts.urgent.add(line);
      else if (parts.urgent.holds(line)) parts.urgent.draw();
    };

    const take = (caption, isPast) => {
      const { line, change } = fold.take(caption);
      parts.live.take(line, change, isPast);
      alarm(line, change);
      const isCall = line.priority === "call" && (change === "line" || change === "again");
      if (isCall && !isPast && parts.called && edgecap.rooms.isShown(line)) parts.called(line);
      if (caption.start > state.newest) state.newest = caption.start;
    };

    const caption = (message) => {
      if (waiting) {
        waiting.push(message);
        return;
      }
      if (state.isPaused && message.priority !== "urgent") {
        state.held.push(message);
        if (message.event === "new") state.heldBack += 1;
        if (state.held.length > MOST_HELD) state.held.shift(); // the history has them
        parts.changed();
        return;
      }
      take(message, false);
      parts.changed();
    };

    /** The open caption of a room, as its state tells it: for who came late, or missed an end. */
    const live = (room) => {
      if (waiting || state.isPaused) return;
      if (room.live) take(room.live, false);
      fold.closeOthers(room.room, room.live ? room.live.id : "", new Date(feed.now()).toISOString());
    };

    const room = (told) => {
      state.rooms[told.room] = told;
      fold.louder(told.room, told.level);
      live(told);
      parts.changed();
    };

    const hello = (told) => {
      state.isShutOut = false;
      state.device = told.device;
      state.version = told.version;
      state.store = told.store;
      state.ears = {};
      state.rooms = {};
      told.ears.forEach((ear) => (state.ears[ear.ear] = ear));
      told.rooms.forEach((one) => (state.rooms[one.room] = one));
      told.dismissed.forEach(dismiss);
      // The past is asked for once we listen, so that nothing falls between the two. On return what was missed is told.
      if (!isHere) fillPast();
      isHere = true;
      parts.changed();
    };

    const dismiss = (seen) => {
      const key = edgecap.keyOf(seen);
      dismissed[key] = true;
      if (parts.urgent) parts.urgent.dismissed(key);
    };

    const begin = (captions) => {
      const came = waiting;
      waiting = null;
      captions.reverse().forEach((one) => take(Object.assign({ event: one.end ? "end" : "new" }, one), true));
      state.isReady = true;
      newestOfEach(came).forEach(caption);
      Object.keys(state.rooms).forEach((name) => live(state.rooms[name]));
      parts.live.toEnd();
      parts.changed();
    };

    const fillPast = () => {
      let isDone = false;
      const once = (captions) => {
        if (isDone) return;
        isDone = true;
        begin(captions);
      };
      const link = feed.link ? `&link=${encodeURIComponent(feed.link)}` : "";
      edgecap.ask(`${feed.root}api/captions?limit=${PAST}${link}`).then(
        (found) => once(found.captions),
        () => once([]) // nothing is kept, or not for this link
      );
      window.setTimeout(() => once([]), PATIENCE_MS);
    };

    /** The stream was cut: by an accident, or because this device or link may read no more? */
    const ask = () => {
      const link = feed.link ? `?link=${encodeURIComponent(feed.link)}` : "";
      edgecap.ask(`${feed.root}api/rooms${link}`).then(
        () => undefined,
        (problem) => {
          if (problem.status !== 401) return; // no connection: the feed tries again
          state.isShutOut = true;
          parts.changed();
          if (parts.shutOut) parts.shutOut();
        }
      );
    };

    feed.on("hello", hello);
    feed.on("refused", ask);
    feed.on("caption", caption);
    feed.on("room", room);
    feed.on("ear", (ear) => {
      state.ears[ear.ear] = ear;
      parts.changed();
    });
    feed.on("store", (store) => {
      state.store = store;
      parts.changed();
    });
    feed.on("dismiss", (told) => {
      dismiss(told);
      parts.changed();
    });
    feed.on("connection", (connection) => {
      state.connection = connection;
      parts.changed();
    });

    return {
      state,
      dismiss,
      start: feed.start,
      open: () => fold.open(),
      pause: () => {
        state.isPaused = true;
        state.heldBack = 0;
        parts.changed();
      },
      goOn: () => {
        state.isPaused = false;
        const held = newestOfEach(state.held);
        state.held = [];
        held.forEach((message) => take(message, false));
        Object.keys(state.rooms).forEach((name) => live(state.rooms[name]));
        parts.live.toEnd();
        parts.changed();
      },
    };
  };

  edgecap.scene = scene;
})((window.edgecap = window.edgecap || {}));
