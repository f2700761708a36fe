/* Urgent: a sentence that fills the screen until somebody has seen it, here or on another device. */
(function (edgecap) {
  "use strict";

  const { make, fill, icon, iconOf, say, show } = edgecap.dom;
  const words = edgecap.words;
  const settings = edgecap.settings;

  const FLASH_MS = 6000;
  /* A key or a tap that was meant for something else must not send it away. */
  const UNTOUCHED_MS = 800;
  /* After the sound is over; who comes back later finds it first in "While you were away". */
  const FORGOTTEN_MS = 15 * 60000;
  const VIBRATIONS = { urgent: [600, 200, 600, 200, 600, 200, 600], call: [200, 100, 200] };

  /* Before the first touch browsers refuse, and complain. */
  let isTouched = false;
  ["pointerdown", "touchstart", "keydown"].forEach((kind) =>
    window.addEventListener(kind, () => {
      isTouched = true;
    }, { capture: true, passive: true }));

  const vibrate = (priority) => {
    const wanted = settings.get("vibrate");
    if (!isTouched || !navigator.vibrate || wanted === "off" || (priority !== "urgent" && wanted !== priority)) return;
    navigator.vibrate(VIBRATIONS[priority] || []);
  };

  /** Where another app is in front. tag: what replaces an older notification of the same. */
  const notify = (priority, head, text, tag) => {
    const wanted = settings.get("notify");
    if (wanted === "off" || (priority !== "urgent" && wanted !== priority)) return;
    if (!document.hidden || !window.Notification || Notification.permission !== "granted") return;
    try {
      new Notification(head, { body: text, tag: String(tag) });
    } catch (refused) {
      /* Browsers on phones want a service worker for it: "This device" says so. */
    }
  };

  /** place: the element that fills the screen. options: {now, dismiss: (captions) => tells the others, mayDismiss}. */
  const urgent = (place, options) => {
    const sign = make("div", "urgent-sign");
    const head = make("p", "urgent-head");
    const text = make("p", "urgent-text");
    const where = make("p", "urgent-where");
    const others = make("div", "urgent-others");
    const button = make("button", "urgent-seen", { type: "button" }, "I have seen it");
    const note = make("p", "urgent-note", {}, "Check now. edgecap is no life-safety device: it can miss sounds and mishear them.");
    const alert = make("div", "urgent-alert", { role: "alert" });
    fill(place, make("div", "urgent-body", {}, sign, head, alert, where, others, options.mayDismiss ? button : null, note));

    let lines = [];
    let shownAt = 0;
    let before = null;
    let flashing = 0;

    const isOpen = () => lines.length > 0;

    const steady = () => place.classList.remove("flashes");

    const flash = () => {
      window.clearTimeout(flashing);
      if (!settings.get("flash")) return;
      place.classList.add("flashes");
      flashing = window.setTimeout(steady, FLASH_MS);
    };

    const drawWhere = (line) =>
      [line.room, words.clock(line.start), line.end ? `over since ${words.clock(line.end)}` : "it sounds now"].join(" · ");

    const draw = () => {
      show(place, isOpen());
      if (!isOpen()) return;
      const newest = lines[lines.length - 1];
      const drawn = iconOf(newest.caption);
      if (sign.getAttribute("data-drawn") !== drawn) {
        sign.setAttribute("data-drawn", drawn);
        fill(sign, icon(drawn));
      }
      say(head, "Urgent");
      if (text.textContent !== newest.text) {
        // A new element, so that every reader takes it for news, once.
        text.textContent = newest.text;
        fill(alert, text);
      }
      say(where, drawWhere(newest));
      fill(others, lines.slice(0, -1).reverse().slice(0, 3).map((line) =>
        make("p", "", {}, `Before: ${line.text} ${line.room}, ${words.clock(line.start)}`)));
      size();
    };

    const size = () => {
      if (!isOpen()) return;
      const asked = Math.max(40, Math.min(window.innerWidth * 0.11, window.innerHeight * 0.16)) * Math.max(1, settings.get("size") / 150);
      edgecap.fit(text, asked, 24, Math.max(90, window.innerHeight * 0.4));
    };

    const close = () => {
      lines = [];
      fill(alert);
      text.textContent = "";
      steady();
      draw();
      if (before && before.focus && document.contains(before)) before.focus();
      before = null;
    };

    const add = (line) => {
      const known = lines.indexOf(line);
      if (known >= 0) lines.splice(known, 1);
      const wasOpen = isOpen();
      lines.push(line);
      if (lines.length > 20) lines.shift();
      if (!wasOpen) {
        before = document.activeElement;
        shownAt = Date.now();
      }
      draw();
      flash();
      vibrate("urgent");
      notify("urgent", line.text, `${line.room}, ${words.clock(line.latest)}`, line.caption.id);
      if (!wasOpen && options.mayDismiss) button.focus();
    };

    const seen = () => {
      if (Date.now() - shownAt < UNTOUCHED_MS) return;
      const captions = lines.map((line) => line.caption);
      close();
      options.dismiss(captions);
    };

    button.addEventListener("click", seen);
    place.addEventListener("keydown", (event) => {
      if (event.key === "Tab") event.preventDefault(); // there is nowhere else to go
      if (event.key === "Escape") seen();
    });

    return {
      add,
      draw,
      size,
      isOpen,
      holds: (line) => lines.indexOf(line) >= 0,
      /** Seen elsewhere. */
      dismissed: (key) => {
        if (!lines.some((line) => line.keys.indexOf(key) >= 0)) return;
        lines = lines.filter((line) => line.keys.indexOf(key) < 0);
        if (isOpen()) draw();
        else close();
      },
      tick: () => {
        const left = lines.filter((line) => line.end === null || options.now() - new Date(line.end) < FORGOTTEN_MS);
        if (left.length === lines.length) return;
        lines = left;
        if (isOpen()) draw();
        else close();
      },
    };
  };

  edgecap.urgent = urgent;
  edgecap.vibrate = vibrate;
  edgecap.notify = notify;
})((window.edgecap = window.edgecap || {}));
