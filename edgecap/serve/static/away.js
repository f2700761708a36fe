/* Away: what was heard since this device was last looked at. */
(function (edgecap) {
  "use strict";

  const { make, fill, show, icon } = edgecap.dom;
  const words = edgecap.words;
  const settings = edgecap.settings;

  /* Shorter absences are in the log before one's eyes. */
  const AWAY_MS = 5 * 60000;

  const head = (line) => {
    if (line.kind === "urgent") return "Urgent";
    return line.new === "ever" ? "Never heard before" : line.new === "today" ? "New today" : "";
  };

  const said = (line, now) => {
    const times = line.count > 1 ? `, ${words.plural(line.count, "time")}` : "";
    const span = line.count > 1 && line.last ? `${words.when(line.first, now)} to ${words.clock(line.last)}` : words.when(line.first, now);
    return `${span}${times}`;
  };

  /** place: a card above the captions. options: {now, scene}. */
  const away = (place, options) => {
    const close = () => {
      show(place, false);
      document.getElementById("captions").focus();
    };

    const draw = (found) => {
      if (!found || !found.lines.length) return;
      const now = options.now();
      const lines = found.lines.map((line) => {
        const kind = line.kind === "urgent" ? "urgent" : line.priority || "normal";
        return make("li", `away-line ${kind}`, {},
          line.kind === "urgent" ? icon("alarm") : null,
          head(line) ? make("span", "tag", {}, head(line)) : null,
          make("span", "away-text", {}, line.text),
          make("span", "how", {}, [line.room, said(line, now)].filter(Boolean).join(", ")));
      });
      fill(place,
        make("div", "panel-head", {}, make("h2", "", {}, "While you were away"),
          make("button", "", { type: "button", click: close }, icon("close"), "Close")),
        make("p", "hint", {}, `Since ${words.when(found.since, now)}: ${words.plural(found.total, "caption")}.`),
        make("ul", "", {}, lines),
        found.left ? make("p", "hint", {}, `And ${words.plural(found.left, "other kind")} of sound: `, make("a", "", { href: "#history" }, "the history")) : null,
        edgecap.past.gaps(found.gaps, now));
      show(place, true);
    };

    const look = () => {
      const seen = settings.get("seen");
      if (!seen || options.now() - new Date(seen) < AWAY_MS) return;
      edgecap.ask(edgecap.past.address("api/away", { since: seen })).then(draw, () => undefined); // nothing is kept
    };

    let leftAt = 0;
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) leftAt = Date.now();
      else if (leftAt && Date.now() - leftAt >= AWAY_MS) look();
    });
    look();
  };

  edgecap.away = away;
})((window.edgecap = window.edgecap || {}));
