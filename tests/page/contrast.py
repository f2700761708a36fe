"""Contrast of text as it is on the screen: its pixels, not its style."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from playwright.sync_api import Page

TEXTS = (Path(__file__).parent / "texts_in_sight.js").read_text(encoding="utf-8")


class Measured(NamedTuple):
    ratio: float
    text: str


def measured(page: "Page") -> list[Measured]:
    """Each piece of text in sight: the colour of most of its pixels against that farthest from it."""
    from PIL import Image

    boxes = page.evaluate(TEXTS)
    picture = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
    scale = picture.shape[1] / page.evaluate("innerWidth")
    return [Measured(_ratio(_cut(picture, box[1:], scale)), box[0]) for box in boxes]


def _cut(picture: NDArray[np.uint8], box: list[float], scale: float) -> NDArray[np.uint8]:
    left, top, width, height = (round(each * scale) for each in box)
    return picture[top : top + height, left : left + width].reshape(-1, 3)


def _ratio(pixels: NDArray[np.uint8]) -> float:
    packed, counts = np.unique(pixels.astype(np.uint32) @ (1 << 16, 1 << 8, 1), return_counts=True)
    light = luminance(np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=1))
    ground = light[counts.argmax()]
    ratios = (np.maximum(light, ground) + 0.05) / (np.minimum(light, ground) + 0.05)
    return float(ratios.max())


def luminance(colours: Any) -> NDArray[np.float64]:
    """WCAG's relative luminance of (n, 3) sRGB colours of 0 to 255."""
    shares = np.asarray(colours, np.float64) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    luminances: NDArray[np.float64] = linear @ np.array([0.2126, 0.7152, 0.0722])
    return luminances
