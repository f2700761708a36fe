// What a screen reader says of a page's live regions, in order: additions and changed text, politely or at once.
// Regions that are off, and what is hidden, are passed over. Kept in window.spoken.
(() => {
  const POLITE = { log: "polite", status: "polite", alert: "assertive" };
  window.spoken = [];
  const liveness = (node) => {
    for (let at = node.nodeType === 1 ? node : node.parentElement; at; at = at.parentElement) {
      const own = at.getAttribute("aria-live") || POLITE[at.getAttribute("role")];
      if (own) return { level: own, region: at };
    }
    return { level: "off", region: null };
  };
  const isHidden = (node) => {
    for (let at = node.nodeType === 1 ? node : node.parentElement; at; at = at.parentElement) {
      if (at.getAttribute("aria-hidden") === "true" || getComputedStyle(at).display === "none") return true;
    }
    return false;
  };
  const words = (node) => {
    if (node.nodeType === 3) return node.data;
    if (node.nodeType !== 1 || isHidden(node) || liveness(node).level === "off") return "";
    const own = node.getAttribute("aria-label");
    if (own && node.getAttribute("role") !== "log") return own;
    return Array.from(node.childNodes).map(words).join("");
  };
  const say = (node) => {
    const { level, region } = liveness(node);
    if (level === "off" || !region || isHidden(node)) return;
    const isWhole = region.getAttribute("role") === "alert" || region.getAttribute("role") === "status";
    const text = words(isWhole ? region : node).replace(/\s+/g, " ").trim();
    if (text) said.set(isWhole ? region : node, text);
  };
  let said = new Map();
  const observer = new MutationObserver((changes) => {
    said = new Map();
    changes.forEach((change) => {
      if (change.type === "characterData") say(change.target);
      else change.addedNodes.forEach((node) => document.contains(node) && say(node));
    });
    said.forEach((text) => window.spoken.push(text));
  });
  observer.observe(document.body, { childList: true, subtree: true, characterData: true });
})();
