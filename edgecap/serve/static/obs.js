/* Stream: captions over a picture, for OBS and its like; transparent, and its choices stand in its address:
   /obs/TOKEN?size=48&lines=3&color=ffffff&ground=000000&cover=70&align=left&place=bottom&stay=8&rooms=&words=sentence&names=off */
(function (edgecap) {
  "use strict";

  const { make, fill, byId, onFrame } = edgecap.dom;
  const words = edgecap.words;
  const settings = edgecap.settings;
  const { range, choice, flag, OPTIONS } = settings;

  const WRONG_MS = 20000;

  const colour = (otherwise) => ({
    otherwise,
    read: (text) => (/^[0-9a-f]{6}$/i.test(text) ? text : undefined),
    allowed: "six digits of a colour, as in ffcc00",
  });

  const { chosen, wrong } = settings.fromAddress(window.location.search, {
    size: range(48, 12, 200),
    lines: range(3, 1, 10),
    color: colour("ffffff"),
    ground: colour("000000"),
    cover: range(75, 0, 100),
    align: choice("left", "left", "center", "right"),
    place: choice("bottom", "bottom", "top"),
    stay: range(8, 2, 600),
    words: OPTIONS.words,
    rooms: OPTIONS.rooms,
    names: flag(false),
    urgentOnly: OPTIONS.urgentOnly,
    urgentFrom: choice("chosen", "all", "chosen"),
  });

  const place = byId("lines");
  place.className = `obs-lines ${chosen.place}`;
  place.style.fontSize = `${chosen.size}px`;
  place.style.textAlign = chosen.align;
  const part = (at) => parseInt(chosen.ground.slice(at, at + 2), 16);
  const ground = `rgba(${part(0)}, ${part(2)}, ${part(4)}, ${chosen.cover / 100})`;

  const feed = edgecap.feed("../", window.location.pathname.split("/obs/")[1] || "");
  const began = Date.now();
  let shown = []; // {line, until}

  const line = (text, kind) => {
    const span = make("span", "obs-text", {}, text);
    span.style.color = `#${chosen.color}`;
    span.style.backgroundColor = ground;
    return make("p", `obs-line ${kind}`, {}, span);
  };

  const said = (one) => {
    const how = words.how(one, feed.now());
    const tail = chosen.words === "full" ? [how, words.more(one)].filter(Boolean).join(", ") : one.times > 1 || one.goesOn ? how : "";
    const head = one.priority === "urgent" ? "Urgent! " : "";
    return `${chosen.names ? `${one.room}: ` : ""}${head}${words.text(one.caption, chosen.words)}${tail ? ` (${tail})` : ""}`;
  };

  let drawn = "";
  const draw = () => {
    const now = feed.now();
    shown = shown.filter((entry) => entry.line.end === null || entry.until > now);
    const troubles = edgecap.troubles(scene.state, edgecap.rooms.isChosen).filter((trouble) => trouble.loud);
    const texts = shown.filter((entry) => edgecap.rooms.isShown(entry.line)).slice(-chosen.lines)
      .map((entry) => [said(entry.line), entry.line.priority])
      .concat(troubles.slice(0, 1).map((trouble) => [trouble.head, "trouble"]))
      .concat(Date.now() - began < WRONG_MS ? wrong.map((text) => [text, "wrong"]) : []);
    const key = JSON.stringify(texts);
    if (key === drawn) return;
    drawn = key;
    fill(place, texts.map(([text, kind]) => line(text, kind)));
  };

  const live = {
    take: (one, change, isPast) => {
      if (isPast && one.end !== null) return;
      const known = shown.filter((entry) => entry.line === one)[0];
      const entry = known || { line: one };
      if (!known) shown.push(entry);
      if (shown.length > 50) shown.shift();
      entry.until = feed.now() + chosen.stay * 1000;
    },
    toEnd: () => undefined,
  };

  const scene = edgecap.scene(feed, { live, urgent: null, changed: onFrame(draw) });
  window.setInterval(draw, 500);
  draw();
  scene.start();
})((window.edgecap = window.edgecap || {}));
