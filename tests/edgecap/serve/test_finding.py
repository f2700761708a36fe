"""Finding again what was heard: history, search, while one was away; and a tab that is left open for long."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.page.browser import until
from tests.page.house import Ear
from tests.page.states import scene, view

from .conftest import OpenTab

if TYPE_CHECKING:
    from playwright.sync_api import Page

NODES_MORE = 200
HEAP_MORE = 5_000_000
TOLD = 14
"""Captions that the fixture's ear has told."""
PATIENCE_S = 60.0
BURST = 30
"""Captions sent at once: ZeroMQ's queue to the face holds so many, what is more comes by replay."""


WEST = datetime.now(UTC).hour - 12
"""Hours west of Greenwich where it is noon: there an hour ago was today, whenever the tests run."""


@pytest.fixture(scope="module")
def noon() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TZ", f"NOON{WEST}")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def open_tab(open_tab: OpenTab) -> OpenTab:
    return partial(open_tab, timezone_id=f"Etc/GMT{WEST:+d}")


@pytest.fixture(scope="module")
def ear(noon: None) -> Iterator[Ear]:
    with Ear(["kitchen", "hall"]) as opened:
        yesterday = datetime.now(UTC) - timedelta(days=1, hours=2)
        opened.whole("A window rattles.", start=yesterday, priority="normal")
        opened.whole("A smoke alarm beeps.", start=yesterday + timedelta(minutes=1), priority="urgent")
        scene(opened)
        yield opened


def found(page: "Page", place: str) -> list[str]:
    texts: list[str] = page.locator(f"{place} .line .text").all_inner_texts()
    return texts


def arrived(page: "Page", name: str) -> None:
    """All that was said is there, and kept: rooms are not told in step, and what is stored comes later. Then
    this view."""
    expect(page.locator("#log")).to_contain_text("A dog barks, then someone laughs.")
    kept = (
        "fetch('api/captions?limit=200').then(r => r.json()).then(f => f.captions.filter(c => c.end).length)"
    )
    deadline = time.monotonic() + PATIENCE_S
    while page.evaluate(kept) < TOLD:
        assert time.monotonic() < deadline
        page.wait_for_timeout(100)
    view(page, name)


def test_history_by_day_with_filters_and_files(open_tab: OpenTab, ear: Ear) -> None:
    page = open_tab().page
    arrived(page, "history")
    here = "#view-history"
    expect(page.locator(f"{here} h3")).to_have_text(["Today", "Yesterday"])
    told = found(page, here)
    assert told[-2:] == ["A smoke alarm beeps.", "A window rattles."]
    assert told.index("A phone rings.") < told.index("Someone knocks on a door.")  # the newest first
    assert told.count("A dog barks.") == 1
    page.select_option("#history-room", "hall")
    expect(page.locator(f"{here} .line .text")).to_have_text(
        ["Music is playing.", "A phone rings.", "Someone knocks on a door.", "Someone is speaking."]
    )
    with page.expect_download() as saved:
        page.click("text=SRT")
    text = saved.value.path().read_text()
    assert "A phone rings." in text
    assert "A window rattles." not in text
    page.select_option("#history-room", "")
    page.fill("#history-to", (datetime.now().astimezone() - timedelta(days=1)).strftime("%Y-%m-%d"))
    expect(page.locator(f"{here} .line .text")).to_have_text(["A smoke alarm beeps.", "A window rattles."])
    page.check("text=Only what was urgent")
    expect(page.locator(f"{here} .line .text")).to_have_text(["A smoke alarm beeps."])
    page.fill("#history-to", "2001-01-01")
    expect(page.locator(f"{here} [role=status]")).to_contain_text("Nothing was kept of this time.")


def test_search_by_word_and_by_meaning_and_what_cannot_be_understood(open_tab: OpenTab, ear: Ear) -> None:
    tab = open_tab()
    page = tab.page
    arrived(page, "search")
    here = "#view-search"
    page.click("text=did anyone come to the door?")
    knock = page.locator(f"{here} .line", has_text="Someone knocks on a door.")
    expect(knock.locator(".by")).to_contain_text("by meaning")
    page.fill("#search-box", "room:hall after:today phone")
    page.keyboard.press("Enter")
    expect(page.locator(f"{here} .line .text").first).to_have_text("A phone rings.")
    expect(page.locator(f"{here} [role=status]")).to_contain_text("In hall.")
    page.go_back()
    expect(knock).to_be_visible()
    expect(page.locator("#search-box")).to_have_value("did anyone come to the door?")
    tab.refused = True
    page.fill("#search-box", "after:yesterdya door")
    page.click("#view-search button[type=submit]")
    expect(page.locator(f"{here} [role=status]")).to_contain_text("yesterdya")


def test_while_you_were_away(open_tab: OpenTab, ear: Ear) -> None:
    tab = open_tab()
    page = tab.page
    expect(page.locator("#log")).to_contain_text("A phone rings.")
    expect(page.locator("#away")).to_be_hidden()  # never here before
    until(page, "edgecap.settings.get('seen') > '2026'")
    page.evaluate("edgecap.settings.set('seen', new Date(Date.now() - 30 * 3600e3).toISOString())")
    page.goto("about:blank")
    page.goto(tab.url)
    card = page.locator("#away")
    expect(card).to_contain_text("While you were away")
    expect(card.locator("li").first).to_contain_text("A smoke alarm beeps.")  # urgent first
    assert 1 < card.locator("li").count() <= 12
    expect(card.locator("li", has_text="A dog barks.")).to_contain_text("times")
    page.click("#away button")
    expect(card).to_be_hidden()


def test_twelve_hours_in_one_tab(open_tab: OpenTab, ear: Ear) -> None:
    """Some eight hundred captions: what the page holds stays as it is."""
    page = open_tab().page
    expect(page.locator("#log")).to_contain_text("A phone rings.")
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.enable")
    session.send("Performance.enable")

    def measure() -> tuple[float, float]:
        session.send("HeapProfiler.collectGarbage")
        metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
        return metrics["Nodes"], metrics["JSHeapUsedSize"]

    hours = datetime.now(UTC) - timedelta(hours=12)
    sent = 0

    def play(captions: int) -> None:
        nonlocal sent
        for _ in range(0, captions, BURST):
            for _ in range(BURST):
                sent += 1
                ear.whole(
                    f"Sound {sent % 61} is heard in the {sent % 7}th place.",
                    start=hours + timedelta(seconds=55 * sent), seconds=4, sounds=[("dog_bark", 0.9)],
                )  # fmt: skip
            last = ear.say(f"Mark {sent}.")
            page.wait_for_selector(f".standing-text:text-is('Mark {sent}.')")
            ear.say(f"Mark {sent}.", kind="end", number=last)

    play(330)  # the log is full now
    nodes, heap = measure()
    play(450)
    more_nodes, more_heap = measure()
    assert page.locator("#log .line").count() == 200
    assert more_nodes - nodes < NODES_MORE, (nodes, more_nodes)
    assert more_heap - heap < HEAP_MORE, (heap, more_heap)
