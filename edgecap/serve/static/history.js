/* History: what was heard, by day, newest first; filters, and files of the span that is shown. */
(function (edgecap) {
  "use strict";

  const { make, fill, show, say } = edgecap.dom;
  const past = edgecap.past;

  const A_PAGE = 200;
  const FORMATS = [["srt", "SRT"], ["vtt", "VTT"], ["csv", "CSV"], ["jsonl", "JSON lines"]];

  const open = (place, query, page) => {
    const asked = new URLSearchParams(query);
    const room = past.roomPicker("history-room", asked.get("room"));
    const from = make("input", "", { type: "date", id: "history-from", placeholder: "2026-01-31", value: asked.get("from") || "" });
    const to = make("input", "", { type: "date", id: "history-to", placeholder: "2026-01-31", value: asked.get("to") || "" });
    const urgent = make("input", "", { type: "checkbox" });
    const list = make("div", "past");
    const told = make("p", "hint", { role: "status" });
    const missing = make("div", "gaps");
    const more = make("button", "", { type: "button", hidden: true }, "Earlier");
    const files = make("p", "files");
    let before = null;
    let round = 0;

    const filters = () => ({ room: room.value, since: past.dayStart(from.value), until: past.dayEnd(to.value) });

    const names = () => room.value === "";

    const drawFiles = () =>
      fill(files, make("span", "", {}, "Save what is shown as "), FORMATS.map(([format, name]) =>
        make("a", "button", { href: past.address("api/export", Object.assign({ format }, filters())), download: `edgecap.${format}` }, name)));

    const load = () => {
      const mine = (round += 1);
      more.disabled = true;
      edgecap.ask(past.address("api/captions", Object.assign({ limit: A_PAGE, before }, filters()))).then(
        (found) => {
          if (mine !== round) return;
          const captions = found.captions;
          if (before === null) fill(missing, past.gaps(found.gaps, page.feed.now()));
          const lines = past.folded(captions).filter((line) => !urgent.checked || line.priority === "urgent");
          past.days(list, lines, page, names);
          if (captions.length) {
            const last = captions[captions.length - 1];
            before = `${encodeURIComponent(last.room)}/${last.run}/${last.seq}`;
          }
          more.disabled = false;
          show(more, found.more);
          say(told, list.firstChild ? "" : found.more
            ? "Nothing like that among these; earlier there is more."
            : "Nothing was kept of this time. What is heard from now on is.");
        },
        (problem) => mine === round && say(told, edgecap.sentence(problem))
      );
    };

    const begin = () => {
      past.forget(list);
      before = null;
      drawFiles();
      say(told, "Looking…");
      load();
    };

    [room, from, to, urgent].forEach((box) => box.addEventListener("change", begin));
    more.addEventListener("click", load);

    fill(place,
      make("h2", "", { tabindex: "-1" }, "History"),
      make("form", "filters", { submit: (event) => event.preventDefault() },
        make("p", "field", {}, make("label", "", { for: "history-room" }, "Room"), room),
        make("p", "field", {}, make("label", "", { for: "history-from" }, "From"), from),
        make("p", "field", {}, make("label", "", { for: "history-to" }, "To"), to),
        make("label", "check", {}, urgent, make("span", "", {}, "Only what was urgent"))),
      told, missing, list, make("p", "", {}, more), files);
    begin();
  };

  edgecap.opened.history = open;
})((window.edgecap = window.edgecap || {}));
