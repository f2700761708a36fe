"""How the page looks in each of its states: what axe finds, contrast, room for large text and for spacing."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.page import browser
from tests.page.contrast import measured
from tests.page.house import Ear, Face
from tests.page.states import STATES, THEMES

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LEAST_CONTRAST = 7.0
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SPACING = """
* { line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important }
p { margin-bottom: 2em !important }
"""
"""WCAG 1.4.12's."""

SHEET = """(css) => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  document.adoptedStyleSheets = [sheet];
}"""

CLIPPED = (Path(__file__).parents[2] / "page" / "clipped.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def ear() -> Iterator[Ear]:
    with Ear(["kitchen", "hall"]) as opened:
        yield opened


@pytest.fixture(scope="module")
def tab(chromium: "Browser", face: Face) -> Iterator[browser.Tab]:
    opened = browser.Tab(chromium, face.url + "/", device_scale_factor=2, reduced_motion="reduce")
    yield opened
    opened.close()


def in_each_theme(page: "Page") -> Iterator[str]:
    for theme in THEMES:
        page.evaluate("(theme) => edgecap.settings.set('theme', theme)", theme)
        yield theme


def axe(page: "Page") -> list[Any]:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(
        page, options={"runOnly": {"type": "tag", "values": RULES}, "resultTypes": ["violations"]}
    )
    return [
        (each["id"], [(node["target"], node["failureSummary"]) for node in each["nodes"]])
        for each in found.response["violations"]
    ]


@pytest.mark.parametrize("state", STATES)
def test_every_state_in_every_theme(
    tab: browser.Tab, ear: Ear, face: Face, state: str, tmp_path: Path
) -> None:
    page = tab.page
    tab.cuts = state == "disconnected"
    STATES[state](page, ear, face)
    for theme in in_each_theme(page):
        assert axe(page) == [], theme
        pale = [each for each in measured(page) if each.ratio < LEAST_CONTRAST]
        assert not pale, (theme, pale)
    size = page.viewport_size
    page.set_viewport_size({"width": 320, "height": 640})
    page.evaluate("edgecap.settings.set('size', 400)")
    assert page.evaluate(CLIPPED) == []
    page.evaluate("edgecap.settings.set('size', 100)")
    page.evaluate(SHEET, SPACING)
    assert page.evaluate(CLIPPED) == []
    page.evaluate("document.adoptedStyleSheets = []")
    page.set_viewport_size(size)  # type: ignore[arg-type]  # it had one
    page.evaluate("edgecap.settings.set('theme', 'system')")
    tab.check()
