"""The page in each of its states, as tests look at it and docs/page/ shows it."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tests.page.browser import until
from tests.page.house import Ear, Face

if TYPE_CHECKING:
    from playwright.sync_api import Page

THEMES = ("light", "dark", "black", "contrast")


def scene(ear: Ear) -> None:
    """An hour in two rooms, kitchen and hall."""
    at = datetime.now(UTC) - timedelta(minutes=58)

    def then(text: str, after_s: float, sounds: list[tuple[str, float]], **about: object) -> None:
        nonlocal at
        at += timedelta(seconds=after_s)
        ear.whole(text, start=at, sounds=sounds, **about)

    then("Someone is speaking.", 3, [("speech", 0.8)], room="hall", seconds=20)
    then("Rain is falling.", 300, [("rain", 0.9)], seconds=600, priority="ambient")
    then(
        "Someone knocks on a door.",
        660,
        [("door_knock", 0.9), ("footsteps", 0.4)],
        room="hall",
        priority="call",
    )
    for _ in range(4):
        then("A dog barks.", 28, [("dog_bark", 0.93), ("cat_meow", 0.2)], seconds=1)
    then("Possibly a door slams.", 40, [("door_slam", 0.4), ("gunshot", 0.3)], confidence=0.5, seconds=1)
    then("Water is running.", 60, [("water_tap", 0.9)], seconds=45)
    then("A phone rings.", 60, [("phone_ring", 0.9)], room="hall", seconds=9, priority="call")
    then("Music is playing.", 90, [("music", 0.9)], room="hall", seconds=250, priority="ambient")
    then("A dog barks, then someone laughs.", 280, [("dog_bark", 0.9), ("laughter", 0.6)], seconds=5)
    ear.flush()


def seen(page: "Page") -> None:
    """Somebody has seen what is urgent: not in the first moment, when a tap is taken for a slip."""
    page.wait_for_timeout(900)
    page.click(".urgent-seen")
    page.wait_for_selector("#urgent", state="hidden")


def view(page: "Page", name: str) -> None:
    page.goto(page.url.partition("#")[0] + f"#{name}")


def empty(page: "Page", ear: Ear, face: Face) -> None:
    page.wait_for_selector("#state.well")
    until(page, "document.querySelector('#quiet-head').textContent === 'Quiet'")


def busy(page: "Page", ear: Ear, face: Face) -> None:
    scene(ear)
    ear.say("A woman speaks while water is running.", sounds=[("woman_speech", 0.9), ("water_tap", 0.5)])
    page.wait_for_selector("text=A woman speaks while water is running.")


def urgent(page: "Page", ear: Ear, face: Face) -> None:
    ear.say("A smoke alarm beeps.", priority="urgent", sounds=[("smoke_alarm", 0.95)])
    page.wait_for_selector("#urgent:not([hidden])")


def not_listening(page: "Page", ear: Ear, face: Face) -> None:
    seen(page)
    ear.become("no-microphone", "lost")
    page.wait_for_selector(".trouble.room.loud")


def history(page: "Page", ear: Ear, face: Face) -> None:
    ear.become("listening")
    view(page, "history")
    page.wait_for_selector("#view-history .line")
    page.click("#view-history .more >> nth=3")


def search(page: "Page", ear: Ear, face: Face) -> None:
    view(page, "search?q=did anyone come to the door?")
    page.wait_for_selector("#view-search .line")


def settings(page: "Page", ear: Ear, face: Face) -> None:
    view(page, "settings")
    page.wait_for_selector("#view-settings .abilities dd")


def paired_devices(page: "Page", ear: Ear, face: Face) -> None:
    view(page, "devices")
    page.click("text=Add a device")
    code = re.sub(r"\D", "", page.inner_text(".pairing code >> nth=1"))
    # A second device comes in, as one does that has no camera.
    browser = page.context.browser
    assert browser
    other = browser.new_context()
    phone = other.new_page()
    phone.goto(face.url + "/pair")
    phone.fill("#code", code)
    phone.fill("#name", "Anna's phone")
    phone.click("text=Read along >> nth=-1")
    phone.wait_for_selector("#state.well")
    other.close()
    page.click("text=Link for a television")
    page.wait_for_selector(".pairing .address >> nth=2")
    view(page, "settings")
    view(page, "devices")
    page.wait_for_selector("text=Anna's phone")
    page.click("text=Add a device")
    page.wait_for_selector(".qr")


def disconnected(page: "Page", ear: Ear, face: Face) -> None:
    view(page, "live")
    face.stop()
    page.wait_for_selector(".trouble.connection", timeout=10_000)


STATES: dict[str, Callable[["Page", Ear, Face], None]] = {
    "empty": empty,
    "busy": busy,
    "urgent": urgent,
    "not-listening": not_listening,
    "history": history,
    "search": search,
    "settings": settings,
    "devices": paired_devices,
    "disconnected": disconnected,
}
"""In the order in which one page goes through them."""
