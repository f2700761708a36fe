/* Lines: how one line of what was heard looks, in the log, the history and the search. */
(function (edgecap) {
  "use strict";

  const { make, fill, icon, iconOf, say, show } = edgecap.dom;
  const words = edgecap.words;
  const settings = edgecap.settings;

  const details = (line) => {
    const caption = line.caption;
    const other = words.runnerUp(caption);
    const end = line.end ? ` to ${words.clock(line.end, true)}` : ", and goes on";
    return [
      `${words.sure(caption.confidence)}: ${Math.round(caption.confidence * 100)} of 100.`,
      other ? `Or perhaps: ${other}.` : "Nothing else came near.",
      `${words.clock(line.start, true)}${end}, ${line.room}.`,
      line.loudest === null ? "" : `It was ${words.loudness(line.loudest)}.`,
    ].join(" ");
  };

  /** An element for a line, and what draws it anew. options: {now: () => ms, names (whether to name the room),
      isInLog, prefix: () => a time's words}. */
  const view = (line, options) => {
    const time = make("time", "time", {});
    const room = make("span", "room");
    const tag = make("span", "tag");
    const meta = make("span", "meta", { "aria-live": "off" });
    const where = make("span", "unseen");
    const text = make("span", "text");
    const how = make("span", "how", { "aria-live": "off" });
    const about = make("p", "about", { hidden: true, "aria-live": "off" });
    const button = make("button", "more", {
      type: "button", "aria-live": "off", "aria-expanded": "false", tabindex: options.isInLog ? "-1" : null,
    }, icon("more"));
    const element = make("div", "line", {}, meta, make("span", "words", {}, where, text, " ", how), button, about);

    const draw = () => {
      const shown = words.text(line.caption, settings.get("words"));
      element.className = `line ${line.priority}${element.isStanding ? " stands" : ""}`;
      say(text, shown);
      text.setAttribute("lang", line.caption.language || "en");
    };
    /* After the sentence, so that a screen reader is given the sentence alone. */
    const drawRest = () => {
      if (!meta.firstChild) fill(meta, icon(iconOf(line.caption)), time, " ", room, " ", tag);
      say(time, options.when ? options.when(line.start) : words.clock(line.start));
      time.setAttribute("datetime", line.start);
      say(room, options.names() ? line.room : "");
      say(tag, words.priority(line.priority));
      const parts = [words.how(line, options.now())];
      if (settings.get("words") === "full") parts.push(words.more(line));
      say(how, parts.filter(Boolean).join(", "));
      button.setAttribute("aria-label", `More about: ${line.caption.text}`);
      if (!about.hidden) say(about, details(line));
    };
    const toggle = () => {
      show(about, about.hidden);
      button.setAttribute("aria-expanded", String(!about.hidden));
      drawRest();
    };
    button.addEventListener("click", toggle);
    if (options.names()) say(where, `${line.room}: `);
    draw();
    return {
      element,
      line,
      draw: () => {
        draw();
        drawRest();
      },
      drawRest,
      /** While it stands below in large, its line in the log is for screen readers alone. */
      stand: (isStanding) => {
        element.isStanding = isStanding;
        element.classList.toggle("stands", isStanding);
      },
    };
  };

  edgecap.lines = { view };
})((window.edgecap = window.edgecap || {}));
