"""A real Chromium without a screen, and a page in it that fails its test for any error in the console."""

import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ANOTHER = f"{socket.gethostname().lower().partition('.')[0]}.local"
"""A name of this machine by which it is no secure place to a browser, as on plain http in a home."""
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--host-resolver-rules=MAP {ANOTHER} 127.0.0.1",
    "--enable-precise-memory-info",
    "--js-flags=--expose-gc",
]
PATIENCE_S = 20.0
PHONE = {"width": 360, "height": 740}
CUT = ("net::ERR_",)
REFUSED = ("status of 400", "status of 401")
"""What a browser writes where a connection is cut, and where it is refused: only where a test does so."""


def missing() -> str | None:
    """Why no browser can be driven here; None where one can."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "playwright is not installed"
    return None if CHROMIUM else "there is no Chromium: apt-get install chromium"


def need() -> None:
    """Skip where there is no browser, fail with CI=true."""
    if reason := missing():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


@contextmanager
def launched() -> "Iterator[Browser]":
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield opened
        finally:
            opened.close()


def until(page: "Page", claim: str) -> None:
    """Wait until a JavaScript expression is true. The page's policy forbids Playwright's own way."""
    deadline = time.monotonic() + PATIENCE_S
    while not page.evaluate(claim):
        assert time.monotonic() < deadline, claim
        page.wait_for_timeout(20)


class Tab:
    """A page, and what its console said. cuts, refused: whether that is done to it on purpose."""

    def __init__(self, browser: "Browser", url: str, **context: Any) -> None:
        self.problems: list[str] = []
        self.cuts = self.refused = False
        about = {"viewport": PHONE, "color_scheme": "dark", "locale": "en-GB", "timezone_id": "Europe/Vienna"}
        self._context = browser.new_context(**{**about, **context})
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(PATIENCE_S * 1000)
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("requestfinished", self._asked)
        self.url = url
        self.page.goto(url)

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"{message.text} ({message.location})")

    def _asked(self, request: Any) -> None:
        if not request.url.startswith(self.url.split("/", 3)[0] + "//" + self.url.split("/", 3)[2]):
            self.problems.append(f"asked another server: {request.url}")

    def check(self) -> None:
        """No error since the last check, but for what cuts cause."""
        found, self.problems = self.problems, []
        expected = (*(CUT if self.cuts else ()), *(REFUSED if self.refused else ()))
        found = [each for each in found if not any(word in each for word in expected)]
        assert not found, found

    def close(self) -> None:
        self._context.close()
