/* Past: lists of captions that were kept, by day, for the history and the search. */
(function (edgecap) {
  "use strict";

  const { make } = edgecap.dom;
  const words = edgecap.words;

  const address = (path, values) => {
    const parts = Object.keys(values)
      .filter((name) => values[name] !== "" && values[name] !== null && values[name] !== undefined)
      .map((name) => `${name}=${encodeURIComponent(values[name])}`);
    return parts.length ? `${path}?${parts.join("&")}` : path;
  };

  /** A date field's day as the wire's times: from its first moment, or to its last. */
  const dayStart = (text) => (/^\d{4}-\d\d-\d\d$/.test(text) ? new Date(`${text}T00:00:00`).toISOString() : "");
  const dayEnd = (text) => (/^\d{4}-\d\d-\d\d$/.test(text) ? new Date(`${text}T23:59:59.999`).toISOString() : "");

  const lineFrom = (caption) => edgecap.fold(1).take(caption).line;

  /** Kept captions, newest first, folded as they were live; the lines newest first. */
  const folded = (captions) => {
    const fold = edgecap.fold(captions.length + 1);
    captions.slice().reverse().forEach(fold.take);
    return fold.lines().slice().reverse();
  };

  /** An element for a kept line. options: as edgecap.lines.view. */
  const element = (line, options) => {
    const drawn = edgecap.lines.view(line, options);
    drawn.drawRest();
    return drawn.element;
  };

  /** Lines under a heading for each day. */
  const days = (place, lines, page, names) => {
    let list = place.lastDay || null;
    lines.forEach((line) => {
      const key = words.dayKey(line.start);
      if (!list || place.lastKey !== key) {
        list = make("div", "day");
        place.appendChild(make("h3", "", {}, words.day(line.start, page.feed.now())));
        place.appendChild(list);
        place.lastKey = key;
        place.lastDay = list;
      }
      list.appendChild(element(line, { now: page.feed.now, names }));
    });
  };

  const forget = (place) => {
    edgecap.dom.clear(place);
    place.lastDay = null;
    place.lastKey = null;
  };

  /** What is missing, in words: the times in which captions could not be kept. */
  const gaps = (found, now) =>
    (found || []).map((gap) =>
      make("p", "gap", {}, `From ${words.when(gap.since, now)} to ${words.when(gap.until, now)} not everything was kept: ${
        words.small(gap.why).replace(/\.$/, "")}. ${words.plural(gap.lost, "caption")} missing.`));

  const roomPicker = (id, chosen) => {
    const picker = make("select", "", { id }, make("option", "", { value: "" }, "every room"));
    const offer = (rooms) => {
      const value = picker.value;
      edgecap.dom.fill(picker, make("option", "", { value: "" }, "every room"),
        rooms.sort().map((room) => make("option", "", { value: room }, room)));
      picker.value = value;
    };
    offer(chosen ? [chosen] : []);
    picker.value = chosen || "";
    edgecap.ask("api/rooms").then(
      (found) => offer(found.rooms.map((one) => one.room).concat(chosen || []).filter((room, at, all) => all.indexOf(room) === at)),
      () => undefined // no connection: every room is all that can be asked for
    );
    return picker;
  };

  edgecap.past = { address, dayStart, dayEnd, lineFrom, folded, element, days, forget, gaps, roomPicker };
})((window.edgecap = window.edgecap || {}));
