/* Fold: captions in, lines out. A line is one sound in one room: what is heard again joins its line ("again, 4 times
   in 2 minutes"), what goes on is one line ("continues"). Knows no element and no clock.

   A line: {key, room, text, caption (the newest), keys, start, latest, end (null while it sounds), times, goesOn,
   priority, loudest}. */
(function (edgecap) {
  "use strict";

  const AGAIN_S = 300;
  /* What comes back within so long goes on, where it is something that lasts: three barks are three. */
  const GOES_ON_S = 10;
  const LASTING_S = 5;
  /* So many lines of a room back a sound may be joined: else it would stand far from where it is looked for. */
  const REACH = 3;
  const RANK = { urgent: 3, call: 2, normal: 1, ambient: 0 };

  /** What names a caption: ids are unique in a room only. */
  const keyOf = (caption) => `${caption.room} ${caption.id}`;

  const time = (iso) => new Date(iso).getTime() / 1000;

  const fold = (most) => {
    let lines = [];
    let made = 0;

    const lineOf = (key) => {
      for (let at = lines.length - 1; at >= 0; at -= 1) if (lines[at].keys.indexOf(key) >= 0) return lines[at];
      return null;
    };

    const joined = (caption) => {
      let reach = 0;
      for (let at = lines.length - 1; at >= 0 && reach < REACH; at -= 1) {
        const line = lines[at];
        if (line.room !== caption.room) continue;
        reach += 1;
        const gap = time(caption.start) - time(line.end || line.latest);
        if (line.text === caption.text && line.end !== null && gap <= AGAIN_S && gap > -AGAIN_S) return line;
      }
      return null;
    };

    const begin = (caption) => {
      made += 1;
      const line = {
        key: made,
        room: caption.room,
        text: caption.text,
        caption,
        keys: [keyOf(caption)],
        start: caption.start,
        latest: caption.start,
        end: caption.end,
        times: 1,
        goesOn: false,
        priority: caption.priority || "normal",
        loudest: null,
      };
      lines.push(line);
      if (lines.length > most) {
        const over = lines.findIndex((one) => one.end !== null);
        lines.splice(Math.max(0, over), 1);
      }
      return { line, change: "line" };
    };

    const begun = (caption) => {
      const line = joined(caption);
      if (line === null) return begin(caption);
      const lasting = time(line.end) - time(line.latest) >= LASTING_S;
      if (lasting && time(caption.start) - time(line.end) <= GOES_ON_S) line.goesOn = true;
      else line.times += 1;
      line.keys.push(keyOf(caption));
      if (line.keys.length > 64) line.keys.shift();
      line.caption = caption;
      line.latest = caption.start;
      line.end = caption.end;
      return { line, change: line.times > 1 ? "again" : "continues" };
    };

    const rose = (line, caption) => {
      const priority = caption.priority || "normal";
      if (RANK[priority] <= RANK[line.priority]) return false;
      line.priority = priority;
      return true;
    };

    /** The line that a caption's new, update or end belongs to, and what that changed:
        line, again, continues, text, end, priority, or none. */
    const take = (caption) => {
      const line = lineOf(keyOf(caption));
      if (line === null) return begun(caption);
      if (line.keys[line.keys.length - 1] !== keyOf(caption)) return { line, change: "none" };
      if (caption.text !== line.text && line.keys.length > 1) {
        // It joined a line by its first words, and turns out to be another sound.
        line.keys.pop();
        line.end = caption.start;
        line.times = Math.max(1, line.times - 1);
        return begin(caption);
      }
      const change = caption.text !== line.text ? "text" : caption.end && line.end === null ? "end" : "none";
      line.caption = caption;
      line.text = caption.text;
      line.end = caption.end;
      const more = rose(line, caption);
      return { line, change: change === "none" && more ? "priority" : change };
    };

    /** Lines of a room that sound no longer, since its open caption is another or none. */
    const closeOthers = (room, liveId, at) => {
      const closed = lines.filter(
        (line) => line.room === room && line.end === null && line.caption.id !== liveId
      );
      closed.forEach((line) => {
        line.end = at;
      });
      return closed;
    };

    const louder = (room, db) => {
      if (db === null || db === undefined) return;
      lines.forEach((line) => {
        if (line.room === room && line.end === null && (line.loudest === null || db > line.loudest)) line.loudest = db;
      });
    };

    return {
      take,
      closeOthers,
      louder,
      lines: () => lines,
      open: () => lines.filter((line) => line.end === null),
      clear: () => {
        lines = [];
      },
    };
  };

  edgecap.fold = fold;
  edgecap.keyOf = keyOf;
  edgecap.RANK = RANK;
})((window.edgecap = window.edgecap || {}));
