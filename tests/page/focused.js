// What has the focus: its name, whether that shows, and how large it is to a finger.
() => {
  const at = document.activeElement, style = getComputedStyle(at), box = at.getBoundingClientRect();
  return {
    name: (at.getAttribute('aria-label') || at.innerText || at.id || at.tagName).trim(),
    isPage: at === document.body,
    isRinged: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
    isInSight: box.bottom > 0 && box.top < innerHeight,
    size: Math.min(box.width, box.height),
    isBox: at.tagName === 'INPUT' && /checkbox|radio|range/.test(at.type),
  };
}
