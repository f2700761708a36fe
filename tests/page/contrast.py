"""Contrast of text as it is on the screen: its pixels, not its style."""

import io
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from playwright.sync_api import Page

TEXTS = """() => {
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
}"""


class Measured(NamedTuple):
    ratio: float
    text: str


def measured(page: "Page") -> list[Measured]:
    """Each piece of text in sight, with its contrast: the colour of most of its pixels against the farthest."""
    from PIL import Image

    boxes = page.evaluate(TEXTS)
    picture = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
    scale = picture.shape[1] / page.evaluate("innerWidth")
    return [Measured(_ratio(_cut(picture, box[1:], scale)), box[0]) for box in boxes]


def _cut(picture: NDArray[np.uint8], box: list[float], scale: float) -> NDArray[np.uint8]:
    left, top, width, height = (round(each * scale) for each in box)
    return picture[top : top + height, left : left + width].reshape(-1, 3)


def _ratio(pixels: NDArray[np.uint8]) -> float:
    colours, counts = np.unique(pixels, axis=0, return_counts=True)
    light = luminance(colours)
    ground = light[counts.argmax()]
    ratios = (np.maximum(light, ground) + 0.05) / (np.minimum(light, ground) + 0.05)
    return float(ratios.max())


def luminance(colours: Any) -> NDArray[np.float64]:
    """WCAG's relative luminance of (n, 3) sRGB colours of 0 to 255."""
    shares = np.asarray(colours, np.float64) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    luminances: NDArray[np.float64] = linear @ np.array([0.2126, 0.7152, 0.0722])
    return luminances
