"""Draw docs/page/: the page in each of its states, from a real browser over a real face.

python -m benchmarks.page_pictures
"""

import io
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from tests.page.browser import Tab, launched, until
from tests.page.house import Ear, Face
from tests.page.states import STATES, THEMES, seen

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FOLDER = Path(__file__).parent.parent / "docs" / "page"
COLOURS = 96
MOST_BYTES = 1_500_000
PHONE, TABLET, DESK, TV = (360, 740), (820, 1180), (1366, 768), (1920, 1080)
FIRST = ("busy", "urgent", "not-listening")
GAP = 24
BETWEEN = (72, 78, 88)


def main() -> None:
    """Every picture anew; those that are no more are removed."""
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.png"):
        old.unlink()
    with launched() as browser:
        house(browser, states)
        house(browser, sizes)
    first = Image.new("RGB", (3 * PHONE[0] + 2 * GAP, PHONE[1]), BETWEEN)
    for place, name in enumerate(FIRST):
        first.paste(Image.open(FOLDER / f"phone-{name}.png"), (place * (PHONE[0] + GAP), 0))
    save(first, "first")
    total = sum(path.stat().st_size for path in FOLDER.glob("*.png"))
    print(f"{len(list(FOLDER.glob('*.png')))} pictures, {total} bytes")
    assert total < MOST_BYTES


def house(browser: "Browser", draw: Callable[["Browser", Ear, Face], None]) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        Ear(["kitchen", "hall"]) as ear,
        Face([ear], Path(folder)) as face,
    ):
        draw(browser, ear, face)


def states(browser: "Browser", ear: Ear, face: Face) -> None:
    """Each state on a phone at night; what is heard also in every theme."""
    tab = Tab(browser, face.url + "/", reduced_motion="reduce")
    for name, bring in STATES.items():
        bring(tab.page, ear, face)
        shoot(tab.page, f"phone-{name}")
        if name == "busy":
            for theme in THEMES:
                tab.page.evaluate("(theme) => edgecap.settings.set('theme', theme)", theme)
                shoot(tab.page, f"phone-busy-{theme}")
            tab.page.evaluate("edgecap.settings.set('theme', 'system')")
    tab.close()


def sizes(browser: "Browser", ear: Ear, face: Face) -> None:
    """On a tablet by day, at a desk, on a television; large, and what is opened on request."""
    tabs = {
        "tablet": open_tab(browser, face, TABLET, color_scheme="light"),
        "desk": open_tab(browser, face, DESK),
        "tv": open_tab(browser, face, TV, "/tv"),
    }
    STATES["busy"](tabs["desk"].page, ear, face)
    for name, tab in tabs.items():
        until(tab.page, "document.querySelectorAll('#log .line').length > 8")
        shoot(tab.page, f"{name}-busy")
    phone = open_tab(browser, face, PHONE)
    until(phone.page, "document.querySelectorAll('#log .line').length > 8")
    phone.page.evaluate("edgecap.settings.set('size', 400)")
    shoot(phone.page, "phone-400-percent")
    phone.page.evaluate("edgecap.settings.set('size', 100)")
    phone.page.click("#open-rooms")
    shoot(phone.page, "phone-rooms")
    ear.rooms["kitchen"].heard = [
        ("woman_speech", 0.91, None), ("water_tap", 0.62, "no-change"), ("dishes", 0.21, "threshold"),
        ("music", 0.14, "threshold"), ("dog_bark", 0.06, "threshold"),
    ]  # fmt: skip
    phone.page.click(".room-row:has-text('kitchen') >> text=What it hears now")
    phone.page.wait_for_selector("#hears tbody tr:visible")
    shoot(phone.page, "phone-hears")
    away(phone.page, ear)
    shoot(phone.page, "phone-away")
    STATES["urgent"](phone.page, ear, face)
    shoot(tabs["tv"].page, "tv-urgent")
    seen(tabs["desk"].page)
    ear.become("no-microphone", "lost")
    tabs["tv"].page.wait_for_selector(".trouble.loud")
    shoot(tabs["tv"].page, "tv-not-listening")
    for tab in (*tabs.values(), phone):
        tab.close()


def away(page: "Page", ear: Ear) -> None:
    long_ago = datetime.now(UTC) - timedelta(hours=20)
    ear.whole(
        "A smoke alarm beeps.", start=long_ago, seconds=40, priority="urgent", sounds=[("smoke_alarm", 0.9)]
    )
    ear.flush()
    page.evaluate("edgecap.settings.set('seen', new Date(Date.now() - 22 * 3600e3).toISOString())")
    page.reload()
    page.wait_for_selector("#away:not([hidden])")


def open_tab(browser: "Browser", face: Face, size: tuple[int, int], path: str = "/", **about: str) -> Tab:
    shape = {"width": size[0], "height": size[1]}
    return Tab(browser, face.url + path, viewport=shape, reduced_motion="reduce", **about)


def shoot(page: "Page", name: str) -> None:
    page.wait_for_timeout(1200)  # the seconds that are shown, and the cursor's focus, have settled
    save(Image.open(io.BytesIO(page.screenshot())).convert("RGB"), name)


def save(picture: Image.Image, name: str) -> None:
    few = picture.quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
