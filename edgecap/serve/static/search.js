/* Search: by words and by meaning, with filters in the same box. */
(function (edgecap) {
  "use strict";

  const { make, fill, say } = edgecap.dom;
  const words = edgecap.words;
  const past = edgecap.past;

  const EXAMPLES = ["did anyone come to the door?", "water", "urgent alarm after:yesterday"];

  const understood = (query, now) => {
    const parts = [];
    if (query.text) parts.push(`Looked for: ${query.text}.`);
    if (query.rooms && query.rooms.length) parts.push(`In ${words.list(query.rooms)}.`);
    if (query.since) parts.push(`After ${words.when(query.since, now)}.`);
    if (query.until) parts.push(`Before ${words.when(query.until, now)}.`);
    return parts.join(" ");
  };

  const BY = { words: "by word", meaning: "by meaning" };

  const open = (place, query, page) => {
    const asked = new URLSearchParams(query).get("q") || "";
    const box = make("input", "", {
      type: "search", id: "search-box", value: asked, autocomplete: "off", autocapitalize: "off", enterkeyhint: "search",
      "aria-describedby": "search-hint",
    });
    const told = make("p", "hint", { role: "status" });
    const list = make("div", "past found");
    const hint = make("p", "hint", { id: "search-hint" },
      "A word, or a question in your own words. room:kitchen, after:yesterday and before:2026-01-31 narrow it.");

    const result = (hit, names) => {
      const line = past.lineFrom(hit.caption);
      const options = { now: page.feed.now, names, when: (iso) => words.when(iso, page.feed.now()) };
      const element = past.element(line, options);
      element.querySelector(".words").appendChild(make("span", "how by", {}, ` found ${words.list(hit.by.map((by) => BY[by] || by))}`));
      return element;
    };

    const look = (text) => {
      say(told, "Looking…");
      fill(list);
      edgecap.ask(past.address("api/search", { q: text, limit: 50 })).then(
        (found) => {
          const names = () => Object.keys(page.scene.state.rooms).length > 1;
          say(told, `${understood(found.query, page.feed.now())} ${
            found.results.length ? words.plural(found.results.length, "caption") + " found, the best first." : "Nothing like it was kept."}`);
          fill(list, found.results.map((hit) => result(hit, names)));
        },
        (problem) => say(told, edgecap.sentence(problem))
      );
    };

    const form = make("form", "search", {
      role: "search",
      submit: (event) => {
        event.preventDefault();
        const hash = `#search?q=${encodeURIComponent(box.value.trim())}`;
        if (window.location.hash === hash) look(box.value.trim());
        else window.location.hash = hash; // so that back and forward work
      },
    }, make("label", "", { for: "search-box" }, "What was heard"), make("div", "search-row", {}, box, make("button", "main", { type: "submit" }, "Search")), hint);

    fill(place, make("h2", "", { tabindex: "-1" }, "Search"), form, told, list);
    if (asked) look(asked);
    else {
      fill(list, make("p", "hint", {}, "For instance:"), make("ul", "examples", {}, EXAMPLES.map((example) =>
        make("li", "", {}, make("a", "button", { href: `#search?q=${encodeURIComponent(example)}` }, example)))));
    }
  };

  edgecap.opened.search = open;
})((window.edgecap = window.edgecap || {}));
