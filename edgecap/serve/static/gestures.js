/* Gestures: keys, and two fingers for the size of the text. */
(function (edgecap) {
  "use strict";

  const settings = edgecap.settings;

  const STEP = 20;

  const isTyping = (target) =>
    /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName) && !/^(checkbox|radio|range)$/.test(target.type || "");

  /** actions: {key: function}. Single keys can be switched off, for those whose speech or tremor types them. */
  const keys = (actions) => {
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || !settings.get("keys")) return;
      const action = actions[event.key.toLowerCase()];
      if (!action) return;
      event.preventDefault();
      action();
    });
  };

  const grow = (steps) => settings.set("size", Math.max(100, Math.min(400, settings.get("size") + steps * STEP)));

  /** Two fingers apart: larger text, which flows anew; the browser's own zoom would push it off the screen. */
  const pinch = (place) => {
    let began = null;
    const distance = (touches) =>
      Math.hypot(touches[0].clientX - touches[1].clientX, touches[0].clientY - touches[1].clientY);
    place.addEventListener("touchstart", (event) => {
      if (event.touches.length === 2) began = { distance: distance(event.touches), size: settings.get("size") };
    }, { passive: true });
    place.addEventListener("touchmove", (event) => {
      if (began === null || event.touches.length !== 2) return;
      event.preventDefault();
      const size = (began.size * distance(event.touches)) / Math.max(1, began.distance);
      settings.set("size", Math.max(100, Math.min(400, Math.round(size / 10) * 10)));
    }, { passive: false });
    place.addEventListener("touchend", () => {
      began = null;
    }, { passive: true });
  };

  edgecap.gestures = { keys, grow, pinch };
})((window.edgecap = window.edgecap || {}));
