// Text that a box around it cuts off and does not scroll to; and whatever leaves the page sideways.
() => {
  const found = [];
  if (document.documentElement.scrollWidth > innerWidth) found.push(`the page is ${document.documentElement.scrollWidth} wide`);
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, parent = node.parentElement;
    if (!node.data.trim() || !parent.getClientRects().length || parent.closest('.unseen, .brand, .skip, .stands, select, option')) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    if (box.left < -1 || box.right > innerWidth + 1) found.push(`${node.data.trim()} leaves the screen: ${box.left} to ${box.right}`);
    for (let at = parent; at && at !== document.body; at = at.parentElement) {
      const style = getComputedStyle(at), frame = at.getBoundingClientRect();
      const hides = (value) => value === 'hidden' || value === 'clip';
      if (hides(style.overflowX) && (box.left < frame.left - 1 || box.right > frame.right + 1)) found.push(`${node.data.trim()} is cut by ${at.className || at.id}`);
      if (hides(style.overflowY) && (box.top < frame.top - 1 || box.bottom > frame.bottom + 1)) found.push(`${node.data.trim()} is cut by ${at.className || at.id}`);
      if (/auto|scroll/.test(style.overflowY)) break; // the rest is reached by scrolling
    }
  }
  return found;
}
