/* Feed: what the server tells, as it comes, over cuts. One EventSource, opened anew with what was seen last; no beat
   for five seconds is a lost connection, whatever the browser thinks. */
(function (edgecap) {
  "use strict";

  const SILENCE_MS = 5000;
  const SLEPT_MS = 3000;
  const FIRST_MS = 500;
  const MOST_MS = 8000;
  const KINDS = ["hello", "caption", "room", "ear", "heard", "dismiss", "store", "beat"];

  /** root: what stands before events, "" or "../". link: a token of /tv or /obs, or "". */
  const feed = (root, link) => {
    const watchers = {};
    let last = ""; // where we are in every room, as the server wrote it
    let source = null;
    let heardRoom = "";
    let lastSign = Date.now();
    let lastLook = Date.now();
    let openedAt = 0;
    let wait = FIRST_MS;
    let timer = 0;
    let skew = 0;
    let since = null;
    let isConnected = false;

    const tell = (kind, data) => (watchers[kind] || []).forEach((watcher) => watcher(data));

    const address = () => {
      const parts = [];
      if (last) parts.push(`after=${encodeURIComponent(last)}`);
      if (heardRoom) parts.push(`heard=${encodeURIComponent(heardRoom)}`);
      if (link) parts.push(`link=${encodeURIComponent(link)}`);
      return `${root}events${parts.length ? `?${parts.join("&")}` : ""}`;
    };

    const now = () => Date.now() + skew;

    const connected = (is) => {
      if (is === isConnected && since !== null) return;
      isConnected = is;
      since = new Date(is ? now() : now() - (Date.now() - lastSign)).toISOString();
      tell("connection", { connected: is, since });
    };

    const hear = (kind, event) => {
      lastSign = Date.now();
      wait = FIRST_MS;
      const data = JSON.parse(event.data);
      if (data && data.now) skew = new Date(data.now).getTime() - Date.now();
      if (event.lastEventId) last = event.lastEventId;
      if (kind === "hello") connected(true);
      tell(kind, data);
    };

    const close = () => {
      window.clearTimeout(timer);
      if (source) source.close();
      source = null;
    };

    const later = () => {
      close();
      timer = window.setTimeout(open, wait * (0.75 + Math.random() / 2));
      wait = Math.min(MOST_MS, wait * 2);
    };

    const open = () => {
      close();
      openedAt = Date.now();
      const mine = new EventSource(address());
      source = mine;
      KINDS.forEach((kind) => mine.addEventListener(kind, (event) => mine === source && hear(kind, event)));
      mine.onerror = () => {
        if (mine !== source) return;
        tell("refused", null); // the page asks whether it may still
        later();
      };
    };

    /** A phone in a pocket stops its pages. Back in the hand it is no news that nothing came meanwhile. */
    const wake = () => {
      if (Date.now() - lastSign < SILENCE_MS) return;
      lastSign = Date.now();
      wait = FIRST_MS;
      open();
    };

    const look = () => {
      const slept = Date.now() - lastLook > SLEPT_MS;
      lastLook = Date.now();
      if (slept && isConnected && !document.hidden) wake();
      if (Date.now() - lastSign < SILENCE_MS) return;
      connected(false);
      // A dead connection looks open for minutes; a new one is given its time to come about.
      if (source && Date.now() - openedAt >= SILENCE_MS) later();
    };

    const retry = () => {
      if (isConnected) return;
      wait = FIRST_MS;
      open();
    };

    return {
      on: (kind, watcher) => {
        (watchers[kind] = watchers[kind] || []).push(watcher);
      },
      start: () => {
        lastSign = Date.now();
        open();
        window.setInterval(look, 500);
        window.addEventListener("online", retry);
        document.addEventListener("visibilitychange", () => {
          if (!document.hidden) (isConnected ? wake : retry)();
        });
      },
      /** Also what this room hears now; "" ends it. */
      hears: (room) => {
        if (room === heardRoom) return;
        heardRoom = room;
        open();
      },
      now,
      link,
      root,
    };
  };

  /** JSON of the server. Fails with {error, why, fix}: a sentence for people, whatever happened. */
  const ask = (address, body) => {
    const options = { credentials: "same-origin", cache: "no-store" };
    if (body !== undefined) {
      options.method = "POST";
      options.headers = { "Content-Type": "application/json" };
      options.body = JSON.stringify(body);
    }
    const lost = { error: "edgecap does not answer", why: "there is no connection to it", fix: "try again in a moment" };
    return fetch(address, options).then(
      (answer) =>
        answer.json().then(
          (data) => {
            if (answer.ok) return data;
            throw Object.assign({ status: answer.status }, data);
          },
          () => {
            if (answer.ok) return null;
            throw Object.assign({ status: answer.status }, lost);
          }
        ),
      () => {
        throw lost;
      }
    );
  };

  const sentence = (problem) => {
    if (!problem || !problem.error) throw problem; // a defect of ours: it belongs into the console
    const parts = [problem.error, problem.why].filter(Boolean).join(": ");
    return `${edgecap.words.capital(parts)}.${problem.fix ? ` ${edgecap.words.capital(problem.fix)}.` : ""}`;
  };

  edgecap.feed = feed;
  edgecap.ask = ask;
  edgecap.sentence = sentence;
})((window.edgecap = window.edgecap || {}));
