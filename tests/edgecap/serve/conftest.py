"""One browser, one ear and one face for the tests of the page, each started once."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.page import browser
from tests.page.house import Ear, Face

if TYPE_CHECKING:
    from playwright.sync_api import Browser

OpenTab = Callable[..., browser.Tab]


@pytest.fixture(scope="module")  # while it runs, an event loop does: no other could in this thread
def chromium() -> "Iterator[Browser]":
    browser.need()
    with browser.launched() as opened:
        yield opened


@pytest.fixture(scope="module")
def ear() -> Iterator[Ear]:
    with Ear(["kitchen"]) as opened:
        yield opened


@pytest.fixture(scope="module")
def face(ear: Ear, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Face]:
    folder: Path = tmp_path_factory.mktemp("face")
    with Face([ear], folder) as opened:
        yield opened


@pytest.fixture
def open_tab(chromium: "Browser", ear: Ear, face: Face) -> Iterator[OpenTab]:
    """Opens pages of the face; at the end each must have had no error in its console."""
    ear.is_silent = False
    ear.become("listening")  # whatever the test before left
    opened: list[browser.Tab] = []

    def open_one(path: str = "/", host: str = "127.0.0.1", **context: Any) -> browser.Tab:
        tab = browser.Tab(chromium, face.url.replace("127.0.0.1", host) + path, **context)
        opened.append(tab)
        return tab

    yield open_one
    for tab in opened:
        tab.check()
        tab.close()
