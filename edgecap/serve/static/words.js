/* Words: how times, sounds and states are said to people. Pure functions. */
(function (edgecap) {
  "use strict";

  const MINUTE = 60;
  const HOUR = 3600;
  const DAY = 86400;

  const plural = (count, one, many) => `${count} ${count === 1 ? one : many || `${one}s`}`;

  const two = (number) => (number < 10 ? "0" : "") + number;

  const short = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit" });
  const exact = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });

  const clock = (iso, withSeconds) => (withSeconds ? exact : short).format(new Date(iso));

  /** The day as its own people write it: 2026-01-31. */
  const dayKey = (moment) => {
    const date = new Date(moment);
    return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  };

  const day = (iso, now) => {
    const key = dayKey(iso);
    if (key === dayKey(now)) return "Today";
    if (key === dayKey(now - DAY * 1000)) return "Yesterday";
    return new Date(iso).toLocaleDateString([], { weekday: "long", day: "numeric", month: "long", year: "numeric" });
  };

  /** "Today 10:02" without the Today. */
  const when = (iso, now) => (dayKey(iso) === dayKey(now) ? clock(iso) : `${day(iso, now)} ${clock(iso)}`);

  const lasted = (seconds) => {
    if (seconds < MINUTE) return `${Math.max(1, Math.round(seconds))}\u00a0s`;
    if (seconds < HOUR) return `${Math.round(seconds / MINUTE)}\u00a0min`;
    if (seconds >= 2 * DAY) return `${Math.round(seconds / DAY)} days`;
    const minutes = Math.round(seconds / MINUTE);
    return minutes % 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes / 60} h`;
  };

  const span = (seconds) => {
    if (seconds < MINUTE) return plural(Math.max(1, Math.round(seconds)), "second");
    if (seconds < HOUR) return plural(Math.round(seconds / MINUTE), "minute");
    return lasted(seconds);
  };

  const seconds = (from, to) => (new Date(to) - new Date(from)) / 1000;

  const sound = (label) => label.replace(/_/g, " ");

  const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

  const small = (text) => text.charAt(0).toLowerCase() + text.slice(1);

  const isHedged = (text) => /^(possibly|perhaps|maybe)\b/i.test(text);

  /** How many sounds the sentence is about: two where it leaves open which, "Possibly a bell rings or …". */
  const meant = (caption) => (isHedged(caption.text) && caption.text.includes(" or ") ? 2 : 1);

  /** One word or two for the whole sentence; what is unsure stays unsure. */
  const brief = (caption) => {
    if (!caption.sounds || !caption.sounds.length) return caption.text;
    const names = caption.sounds.slice(0, meant(caption)).map((one) => sound(one.label)).join(" or ");
    return isHedged(caption.text) ? `Possibly ${names}` : capital(names);
  };

  const text = (caption, amount) => (amount === "word" ? brief(caption) : caption.text);

  const loudness = (db) => {
    if (db === null || db === undefined) return "";
    if (db < -55) return "very quiet";
    if (db < -40) return "quiet";
    if (db < -25) return "of middle loudness";
    return db < -12 ? "loud" : "very loud";
  };

  const sure = (confidence) => {
    if (confidence >= 0.85) return "Very sure";
    if (confidence >= 0.65) return "Fairly sure";
    return confidence >= 0.45 ? "Not quite sure" : "Unsure";
  };

  /** What else it may have been: the surest sound that the sentence is not about. */
  const runnerUp = (caption) => {
    const next = (caption.sounds || [])[meant(caption)];
    return next ? sound(next.label) : null;
  };

  const GOES_ON_S = 30;

  /** How long, how often: "4 s", "continues, 3 min", "again, 4 times in 2 minutes". now: milliseconds. */
  const how = (line, now) => {
    const until = line.end === null ? now : line.end;
    const length = Math.max(0, seconds(line.start, until));
    if (line.times > 1) return `again, ${plural(line.times, "time")} in ${span(length)}`;
    if (line.end === null) return length >= GOES_ON_S || line.goesOn ? `continues, ${lasted(length)}` : "";
    return line.goesOn ? `went on for ${lasted(length)}` : lasted(length);
  };

  /** What the fullest of the three amounts of words adds. */
  const more = (line) => {
    const other = runnerUp(line.caption);
    return [loudness(line.loudest), other && `or perhaps ${other}`].filter(Boolean).join(", ");
  };

  const WHY_NOT = {
    quiet: "too quiet to be a sound",
    threshold: "not sure enough",
    young: "just begun",
    interval: "too soon after the last sentence",
    "no-change": "said already",
    dull: "said often already",
    guess: "guessed before, still no more than that",
    "unlikely-words": "no good words for it",
    unheard: "the sentence would name what is not heard",
    outdone: "another sentence fits better",
  };

  const whyNot = (word) => (word === null ? "said" : WHY_NOT[word] || word);

  const STATES = {
    starting: "Starting",
    listening: "Listening",
    quiet: "Listening, quiet",
    overloaded: "Listening, but the computer is too slow and skips some sound",
    muted: "Muted",
    "no-microphone": "Not listening",
    stopping: "Stopping",
    gone: "Not listening",
  };

  const state = (room) => STATES[room.state] || room.state;

  const PRIORITIES = { urgent: "Urgent", call: "Someone calls", ambient: "", normal: "" };

  const priority = (name) => PRIORITIES[name] || "";

  /** Who has one room may have named it nothing else. */
  const place = (room) => (room === "room" ? "the room" : room);

  const list = (names) =>
    names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names[names.length - 1]}`;

  edgecap.words = {
    plural, clock, day, dayKey, when, lasted, sound, capital, small, text, loudness, sure, runnerUp, how, more, whyNot,
    state, priority, place, list,
  };
})((window.edgecap = window.edgecap || {}));
