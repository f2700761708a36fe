// Each piece of text in sight: its words, and where it is.
() => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const parent = node.parentElement;
    if (!node.data.trim() || !parent || !parent.getClientRects().length) continue;
    if (parent.closest('.unseen') || parent.getBoundingClientRect().width <= 1) continue; // for screen readers
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) {
      const x = box.left + box.width / 2, y = box.top + box.height / 2;
      const top = document.elementFromPoint(x, y);
      if (box.width < 4 || box.height < 6 || !top || !(parent.contains(top) || top.contains(parent))) continue;
      if (box.top < 0 || box.left < 0 || box.bottom > innerHeight || box.right > innerWidth) continue;
      // What lies over the ends of the line counts too: a sentence half under a bar is not measured.
      const ends = [box.left + 1, box.right - 1].map((at) => document.elementFromPoint(at, y));
      if (ends.some((end) => !end || !(parent.contains(end) || end.contains(parent)))) continue;
      const clip = parent.closest('.captions, .panel, .view');
      if (clip) {
        const frame = clip.getBoundingClientRect();
        if (box.top < frame.top || box.bottom > frame.bottom) continue;
      }
      found.push([node.data.trim().slice(0, 60), box.left, box.top, box.width, box.height]);
    }
  }
  return found;
}
