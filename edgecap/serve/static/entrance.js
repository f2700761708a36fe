/* Entrance: logging in with the passphrase, and joining with a token from a pairing code, which stands behind the #
   and so never reaches a log. */
(function (edgecap) {
  "use strict";

  const { byId, say } = edgecap.dom;

  const guess = () => {
    const agent = navigator.userAgent;
    const kinds = [[/iPhone/, "iPhone"], [/iPad/, "iPad"], [/Android.*Mobile/, "Android phone"], [/Android/, "Android tablet"],
      [/TV|Tizen|Web0S/, "Television"], [/Windows/, "Windows computer"], [/Mac/, "Mac"], [/Linux/, "Linux computer"]];
    const found = kinds.filter((kind) => kind[0].test(agent))[0];
    return found ? found[1] : "My device";
  };

  const isPairing = document.body.getAttribute("data-entrance") === "pair";
  const token = window.location.hash.slice(1);
  byId("name").value = guess();

  byId("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = byId("name").value.trim();
    say(byId("told"), "");
    const asked = isPairing
      ? edgecap.ask("api/pair", { token, name })
      : edgecap.ask("api/login", { passphrase: byId("passphrase").value, name });
    asked.then(
      () => window.location.replace("./"),
      (problem) => say(byId("told"), edgecap.sentence(problem))
    );
  });

  if (isPairing && !token) {
    say(byId("told"), "This address is not whole: scan the code again, or type all of it, with what stands behind #.");
  }
})((window.edgecap = window.edgecap || {}));
