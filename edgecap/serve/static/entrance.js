/* Entrance: logging in with the passphrase, and joining by a pairing code: scanned, it stands behind the # and so
   never reaches a log; or typed, where there is no camera. */
(function (edgecap) {
  "use strict";

  const { byId, say, show } = edgecap.dom;

  const guess = () => {
    const agent = navigator.userAgent;
    const kinds = [[/iPhone/, "iPhone"], [/iPad/, "iPad"], [/Android.*Mobile/, "Android phone"], [/Android/, "Android tablet"],
      [/TV|Tizen|Web0S/, "Television"], [/Windows/, "Windows computer"], [/Mac/, "Mac"], [/Linux/, "Linux computer"]];
    const found = kinds.filter((kind) => kind[0].test(agent))[0];
    return found ? found[1] : "My device";
  };

  const isPairing = document.body.getAttribute("data-entrance") === "pair";
  const scanned = window.location.hash.slice(1);
  byId("name").value = guess();

  byId("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = byId("name").value.trim();
    say(byId("told"), "");
    const asked = isPairing
      ? edgecap.ask("api/pair", { token: scanned || byId("code").value, name })
      : edgecap.ask("api/login", { passphrase: byId("passphrase").value, name });
    asked.then(
      () => window.location.replace("./"),
      (problem) => say(byId("told"), edgecap.sentence(problem))
    );
  });

  // Who scanned the code has no digits to type.
  if (isPairing && scanned) {
    byId("code").required = false;
    show(byId("code-field"), false);
  }
})((window.edgecap = window.edgecap || {}));
