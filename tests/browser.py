"""A real Chromium without a screen, and a page in it that fails its test for any error in the console."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-precise-memory-info",
    "--js-flags=--expose-gc",
]
PHONE = {"width": 360, "height": 740}
EXPECTED = ("net::ERR_", "Failed to load resource: net::")
"""What a browser itself writes where a connection is cut: only where a test cuts it."""


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


class Tab:
    """A page, and what its console said. cuts: whether connections are cut on purpose."""

    def __init__(self, browser: "Browser", url: str, **context: Any) -> None:
        self.problems: list[str] = []
        self.cuts = False
        about = {"viewport": PHONE, "color_scheme": "dark", "locale": "en-GB", "timezone_id": "Europe/Vienna"}
        self._context = browser.new_context(**{**about, **context})
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(20_000)
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
        if self.cuts:
            found = [each for each in found if not any(word in each for word in EXPECTED)]
        assert not found, found

    def close(self) -> None:
        self._context.close()
