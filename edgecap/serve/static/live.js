/* Live: what stands now, huge; before it, what was heard. Takes lines from a fold, draws them, and decides what a
   screen reader is told: each sentence once. */
(function (edgecap) {
  "use strict";

  const { make, fill, icon, iconOf, say, show } = edgecap.dom;
  const words = edgecap.words;
  const settings = edgecap.settings;

  const MOST_LINES = 200;
  const SLOTS = 4;
  /* A sentence stays long enough to be read: at 150 words a minute, and never less than this. */
  const READ_MS = 5000;
  const WORD_MS = 400;
  const TOUCHED_MS = 1000;
  /* Clocks of other computers may differ by so much. */
  const LATE_MS = 30000;

  /** As large as asked for, as far as no word is cut and all of it fits. */
  const fit = (element, asked, least, highest) => {
    const fits = (size) => {
      element.style.fontSize = `${size}px`;
      return element.scrollWidth <= element.clientWidth + 1 && element.offsetHeight <= highest;
    };
    element.classList.remove("breaks");
    if (fits(asked)) return;
    let low = Math.min(least, asked);
    let high = asked;
    while (high - low > 1) {
      const middle = (low + high) / 2;
      if (fits(middle)) low = middle;
      else high = middle;
    }
    fits(Math.floor(low));
    element.classList.toggle("breaks", element.scrollWidth > element.clientWidth + 1);
  };

  const slot = () => {
    const sign = make("span", "sign");
    const meta = make("span", "standing-meta");
    const text = make("p", "standing-text");
    const how = make("p", "standing-how");
    const element = make("div", "standing", { hidden: true }, make("p", "standing-head", {}, sign, meta), text, how);
    let shown = null;
    return {
      element,
      text,
      how,
      draw: (line, now, isFirst, names) => {
        shown = line;
        show(element, line !== null);
        if (line === null) return;
        element.className = `standing ${line.priority}${line.end ? " over" : ""}${isFirst ? " first" : ""}`;
        const drawn = iconOf(line.caption);
        if (sign.getAttribute("data-drawn") !== drawn) {
          sign.setAttribute("data-drawn", drawn);
          fill(sign, icon(drawn));
        }
        const parts = [words.priority(line.priority), names ? line.room : "", words.clock(line.latest)];
        say(meta, parts.filter(Boolean).join(" · "));
        say(text, words.text(line.caption, settings.get("words")));
        text.setAttribute("lang", line.caption.language || "en");
        const tail = [words.how(line, now)];
        if (settings.get("words") === "full") tail.push(words.more(line));
        say(how, tail.filter(Boolean).join(", "));
      },
      line: () => shown,
    };
  };

  /** places: {region, log, now, quiet, spoken?}. options: {now, names, isConnected, size: () => px of the first sentence,
      share: of the region's height that it may take}. */
  const live = (places, options) => {
    const views = {};
    let order = [];
    let standing = [];
    const slots = [];
    for (let made = 0; made < SLOTS; made += 1) slots.push(slot());
    const further = make("p", "further", { hidden: true });
    slots.forEach((one) => places.now.insertBefore(one.element, places.quiet));
    places.now.insertBefore(further, places.quiet);

    /* Whether the reader is at the newest: scrolling alone changes that, never what is added or drawn. */
    let isFollowing = true;
    let drawnSize = "";

    const toEnd = () => {
      isFollowing = true;
      places.region.scrollTop = places.region.scrollHeight;
      if (places.newest) show(places.newest, false);
    };

    /* Browsers scroll by themselves too, where something grows. */
    let touched = 0;
    ["wheel", "touchmove", "pointerdown", "keydown"].forEach((kind) =>
      places.region.addEventListener(kind, () => {
        touched = Date.now();
      }, { passive: true }));

    places.region.addEventListener("scroll", () => {
      const isAtEnd = places.region.scrollHeight - places.region.scrollTop - places.region.clientHeight < 48;
      if (isAtEnd) isFollowing = true;
      else if (Date.now() - touched < TOUCHED_MS) isFollowing = false;
      else if (isFollowing) toEnd();
      if (places.newest) show(places.newest, !isFollowing);
    }, { passive: true });

    const keepingPlace = (work) => {
      work();
      if (isFollowing) toEnd();
    };

    const reading = (line) => Math.max(READ_MS, line.text.split(" ").length * WORD_MS);

    /** What has ended stays until it could be read. */
    const isStanding = (entry) => entry.line.end === null || entry.until > options.now();

    const rank = (entry) => (entry.line.end === null ? 10 : 0) + edgecap.RANK[entry.line.priority];

    /** What sounds now; and what is over only where it called somebody, or nothing else stands. */
    const standsOut = (entry, at) => at === 0 || entry.line.end === null || edgecap.RANK[entry.line.priority] > 1;

    const sizeOfRegion = () => `${places.region.clientWidth} ${places.region.clientHeight}`;

    const fitAll = () => {
      drawnSize = sizeOfRegion();
      const room = places.region.clientHeight || window.innerHeight;
      slots.forEach((one, at) => {
        if (one.line() === null) return;
        const size = at === 0 ? options.size() : options.size() * 0.5;
        const share = settings.get("size") > 150 ? 0.85 : options.share;
        fit(one.text, size, at === 0 ? 24 : 18, Math.max(120, room * share * (at === 0 ? 1 : 0.4)));
      });
    };

    const drawNow = () => {
      standing.filter((entry) => !isStanding(entry)).forEach((entry) => {
        const drawn = views[entry.line.key];
        if (drawn) {
          drawn.stand(false);
          drawn.drawRest();
        }
      });
      standing = standing.filter(isStanding);
      // Without a connection nobody knows what still sounds.
      const shown = (options.isConnected() ? standing : [])
        .filter((entry) => edgecap.rooms.isShown(entry.line))
        .sort((a, b) => rank(b) - rank(a) || b.order - a.order)
        .filter(standsOut);
      const drawnLarge = shown.slice(0, SLOTS).map((entry) => entry.line.key);
      standing.forEach((entry) => views[entry.line.key] && views[entry.line.key].stand(drawnLarge.indexOf(entry.line.key) >= 0));
      const before = slots.map((one) => (one.line() ? one.text.textContent : "")).join("\n");
      slots.forEach((one, at) => one.draw(shown[at] ? shown[at].line : null, options.now(), at === 0, options.names()));
      show(further, shown.length > SLOTS);
      say(further, shown.length > SLOTS ? `and ${shown.length - SLOTS} more` : "");
      show(places.quiet, shown.length === 0);
      places.now.classList.toggle("is-quiet", shown.length === 0);
      if (slots.map((one) => (one.line() ? one.text.textContent : "")).join("\n") !== before) fitAll();
    };

    let counted = 0;
    const stand = (line) => {
      counted += 1;
      const known = standing.filter((entry) => entry.line === line)[0];
      const entry = known || { line };
      entry.order = counted;
      entry.until = options.now() + reading(line);
      if (!known) standing.push(entry);
    };

    /** What comes late, after a cut, was over long ago: it belongs into the log. */
    const soonOver = (line) => {
      standing.filter((entry) => entry.line === line).forEach((entry) => {
        entry.until = Math.min(entry.until, new Date(line.end).getTime() + LATE_MS);
      });
    };

    const add = (line, isQuietly) => {
      const drawn = edgecap.lines.view(line, { now: options.now, names: options.names, isInLog: true });
      // The alert tells what is urgent; who reads only that is told nothing else.
      if (isQuietly || line.priority === "urgent") drawn.element.setAttribute("aria-live", "off");
      show(drawn.element, edgecap.rooms.isShown(line));
      views[line.key] = drawn;
      order.push(line.key);
      places.log.appendChild(drawn.element);
      window.setTimeout(drawn.drawRest, 0);
      while (order.length > MOST_LINES) {
        const old = views[order[0]];
        places.log.removeChild(old.element);
        delete views[order.shift()];
      }
    };

    const repeat = (line) => {
      if (line.priority === "call" && edgecap.rooms.isShown(line) && settings.get("read") === "all") speak(`Again: ${line.text}`);
    };

    const speak = (sentence) => {
      if (places.spoken) fill(places.spoken, make("p", "", {}, sentence));
    };

    return {
      /** What a fold made of a caption. isPast: from before this page was opened, told to nobody. */
      take: (line, change, isPast) => {
        if (change === "none") return;
        if (change === "line") add(line, isPast);
        if (change === "again" || change === "continues") repeat(line);
        if (line.end === null && change !== "end" && change !== "priority") stand(line);
        if (line.end !== null) soonOver(line);
        if (change !== "line" && views[line.key]) {
          views[line.key].draw();
          show(views[line.key].element, edgecap.rooms.isShown(line));
        }
      },
      /** Bring the picture up to date: before the next frame, and every second. */
      draw: () =>
        keepingPlace(() => {
          drawNow();
          if (drawnSize !== sizeOfRegion()) fitAll();
        }),
      redraw: () =>
        keepingPlace(() => {
          order.forEach((key) => {
            show(views[key].element, edgecap.rooms.isShown(views[key].line));
            views[key].draw();
          });
          drawNow();
          fitAll();
        }),
      toEnd,
      speak,
      count: () => order.length,
      last: () => {
        for (let at = order.length - 1; at >= 0; at -= 1) {
          const line = views[order[at]].line;
          if (edgecap.rooms.isShown(line)) return line;
        }
        return null;
      },
    };
  };

  edgecap.live = live;
  edgecap.fit = fit;
})((window.edgecap = window.edgecap || {}));
