/* Device: what this browser on this device can do here, said plainly, and how to get the rest. */
(function (edgecap) {
  "use strict";

  const settings = edgecap.settings;

  const NEEDS_HTTPS =
    "Browsers allow this on https only. On the computer that runs edgecap: edgecap serve --https, then follow what it says.";

  const isSecure = () => window.isSecureContext === true;

  const isPhone = () => /Android|iPhone|iPad/.test(navigator.userAgent);

  const wakeLock = {
    held: null,
    hold: () => {
      if (!settings.get("awake") || !("wakeLock" in navigator) || document.hidden || wakeLock.held) return;
      navigator.wakeLock.request("screen").then(
        (lock) => {
          wakeLock.held = lock;
          lock.addEventListener("release", () => {
            wakeLock.held = null;
          });
        },
        () => undefined // the battery is low, or the page is hidden already: it is asked again on return
      );
    },
    release: () => {
      if (wakeLock.held) wakeLock.held.release();
    },
  };

  /** Rows {name, can, text}: each thing that a device may do, and in words whether it does. Pure but for asking. */
  const abilities = () => {
    const secure = isSecure();
    const canNotify = "Notification" in window;
    const granted = canNotify && Notification.permission === "granted";
    const rows = [];
    rows.push({
      name: "Keep the screen awake",
      can: "wakeLock" in navigator,
      text: "wakeLock" in navigator
        ? "It can. Switch it on above."
        : secure
          ? "This browser can't. Set the screen of this device to stay on in its own settings."
          : `The screen may go to sleep. ${NEEDS_HTTPS} Until then, set the screen of this device to stay on in its own settings.`,
    });
    rows.push({
      name: "Vibrate",
      can: Boolean(navigator.vibrate) && isPhone(),
      text: !navigator.vibrate
        ? "This browser can't. Chrome on Android can."
        : isPhone()
          ? "It can, once you have touched this page."
          : "This device has nothing that vibrates.",
    });
    rows.push({
      name: "Notify while another app is in front",
      can: granted,
      text: !secure
        ? NEEDS_HTTPS
        : !canNotify
          ? "This browser can't, or only once the page is on the home screen."
          : granted
            ? "It may, while this page is open somewhere."
            : Notification.permission === "denied"
              ? "It was refused. Allow it in the settings of the browser for this page."
              : "It can, once you allow it: choose what to notify of above.",
    });
    rows.push({
      name: "Fill the whole screen",
      can: Boolean(document.fullscreenEnabled || document.webkitFullscreenEnabled),
      text: document.fullscreenEnabled || document.webkitFullscreenEnabled
        ? "It can."
        : "This browser can't. Put the page on the home screen for the same.",
    });
    rows.push({
      name: "Remember your choices",
      can: settings.isKept,
      text: settings.isKept
        ? "It does, on this device alone."
        : "Not after this tab is closed: this browser keeps nothing for this page, as in a private window.",
    });
    return rows;
  };

  const fullscreen = () => {
    const root = document.documentElement;
    if (document.fullscreenElement || document.webkitFullscreenElement) {
      (document.exitFullscreen || document.webkitExitFullscreen).call(document);
    } else {
      const asked = (root.requestFullscreen || root.webkitRequestFullscreen).call(root);
      if (asked && asked.catch) asked.catch(() => undefined); // refused without a tap: nothing is lost
    }
  };

  document.addEventListener("visibilitychange", wakeLock.hold);
  settings.watch((name) => {
    if (name === "awake") (settings.get("awake") ? wakeLock.hold : wakeLock.release)();
  });

  /* Pixels of a screen that stands still for days burn in: in black, and on a television, the page moves a little. */
  const SHIFTS = [[0, 0], [2, 1], [4, 3], [1, 4], [-2, 3], [-4, 1], [-3, -2], [-1, -4], [2, -3]];
  const shift = (isWanted) => {
    const step = Math.floor(Date.now() / 60000) % SHIFTS.length;
    const [x, y] = isWanted() ? SHIFTS[step] : SHIFTS[0];
    document.documentElement.style.setProperty("--shift-x", `${x}px`);
    document.documentElement.style.setProperty("--shift-y", `${y}px`);
  };

  edgecap.device = {
    abilities,
    stayAwake: wakeLock.hold,
    fullscreen,
    shiftPixels: (isWanted) => {
      shift(isWanted);
      window.setInterval(() => shift(isWanted), 60000);
      settings.watch((name) => name === "theme" && shift(isWanted));
    },
  };
})((window.edgecap = window.edgecap || {}));
