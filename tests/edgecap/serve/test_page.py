"""The page in a real browser over the real face: what people see, and what a screen reader says."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.page.browser import until
from tests.page.house import PATIENCE_S, Ear, Face
from tests.page.states import seen

from .conftest import OpenTab

READER = Path(__file__).parents[2] / "page" / "screen_reader.js"
NOW = datetime.now(UTC)


def is_there(page: Page) -> None:
    """It knows the room, and what was kept is drawn."""
    expect(page.locator("#state-words")).to_have_text("Listening in kitchen")


def lines(page: Page) -> list[str]:
    """The log's lines in sight, from the sentence on."""
    texts: list[str] = page.evaluate(
        "[...document.querySelectorAll('#log .line:not(.stands) .words')]"
        ".map((each) => each.innerText.replace(/\\s+/g, ' ').trim())"
    )
    return texts


def animations(page: Page) -> list[list[float]]:
    found: list[list[float]] = page.evaluate(
        "document.querySelector('#urgent').getAnimations().map((one) => one.effect.getTiming())"
        ".map((one) => [one.duration, one.iterations])"
    )
    return found


def test_the_line_that_stands_is_large_and_goes_into_the_log(open_tab: OpenTab, ear: Ear) -> None:
    page = open_tab().page
    is_there(page)
    number = ear.say("A kettle whistles.", sounds=[("boiling_bubbling", 0.9)])
    standing = page.locator(".standing.first .standing-text")
    expect(standing).to_have_text("A kettle whistles.")
    size = page.evaluate("parseFloat(getComputedStyle(document.querySelector('.standing-text')).fontSize)")
    assert size >= 32
    assert page.evaluate("parseFloat(getComputedStyle(document.querySelector('#log')).fontSize)") < size
    ear.say("A kettle whistles while someone speaks.", number=number, kind="update")
    expect(standing).to_have_text("A kettle whistles while someone speaks.")
    ear.say("A kettle whistles while someone speaks.", number=number, kind="end")
    ear.say("A door closes.")
    expect(standing).to_have_text("A door closes.")
    expect(page.locator("#log .line:not(.stands)").last).to_contain_text(
        "A kettle whistles while someone speaks."
    )


def test_repeats_are_folded_and_what_goes_on_is_one_line(open_tab: OpenTab, ear: Ear) -> None:
    start = datetime.now(UTC) - timedelta(minutes=10)
    for each in range(4):
        ear.whole("A cow moos.", start=start + timedelta(seconds=38 * each), seconds=1)
    rain = start + timedelta(minutes=3)
    ear.whole("Hail is falling.", start=rain, seconds=60, priority="ambient")
    ear.whole("Hail is falling.", start=rain + timedelta(seconds=64), seconds=116, priority="ambient")
    ear.flush()
    page = open_tab().page
    is_there(page)
    expect(page.locator("#log")).to_contain_text("Hail is falling.")
    assert [line for line in lines(page) if "cow" in line or "Hail" in line] == [
        "A cow moos. again, 4 times in 2 minutes",
        "Hail is falling. went on for 3 min",
    ]


def test_three_amounts_of_words_and_the_runner_up_on_request(open_tab: OpenTab, ear: Ear) -> None:
    page = open_tab().page
    is_there(page)
    goat = ear.say(
        "Possibly a goat bleats.", sounds=[("goat", 0.5), ("sheep", 0.4)], confidence=0.5,
        start=datetime.now(UTC) - timedelta(seconds=40),
    )  # fmt: skip
    standing = page.locator(".standing.first")
    expect(standing.locator(".standing-text")).to_have_text("Possibly a goat bleats.")
    expect(standing.locator(".standing-how")).to_contain_text("continues")
    page.goto(page.url.partition("#")[0] + "#settings")
    page.check("text=a word or two")
    page.click(".views >> text=Live")
    expect(standing.locator(".standing-text")).to_have_text("Possibly goat")
    sounds = [("goat", 0.3), ("sheep", 0.25)]
    ear.say("Possibly a goat bleats or a sheep bleats.", number=goat, kind="update", sounds=sounds)
    expect(standing.locator(".standing-text")).to_have_text("Possibly goat or sheep")
    ear.say(
        "Possibly a goat bleats.", number=goat, kind="update", sounds=[("goat", 0.5), ("sheep", 0.4)],
        confidence=0.5,
    )  # fmt: skip
    page.goto(page.url.partition("#")[0] + "#settings")
    page.check("text=a sentence, how loud")
    page.click(".views >> text=Live")
    expect(standing.locator(".standing-how")).to_contain_text("or perhaps sheep")
    page.reload()
    expect(page.locator(".standing.first .standing-how")).to_contain_text("or perhaps sheep")  # it is kept
    page.evaluate("edgecap.settings.set('words', 'sentence')")
    ear.say("Possibly a goat bleats.", number=goat, kind="end")  # keys go through what is over
    ear.say("A gate squeaks.")
    expect(page.locator(".standing.first .standing-text")).to_have_text("A gate squeaks.")
    page.locator("#captions").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.locator("#log .about:visible")).to_contain_text("of 100")


def test_urgent_fills_the_screen_and_is_dismissed_everywhere(open_tab: OpenTab, ear: Ear) -> None:
    """It flashes slowly and shortly: not where less motion is asked for, and not where that is chosen."""
    first, second, calm = open_tab().page, open_tab().page, open_tab(reduced_motion="reduce").page
    for page in (first, second, calm):
        is_there(page)
    second.evaluate("edgecap.settings.set('flash', false)")
    number = ear.say("A smoke alarm beeps.", priority="urgent", sounds=[("smoke_alarm", 0.95)])
    for page in (first, second):
        expect(page.locator("#urgent")).to_be_visible()
        expect(page.locator("#urgent .urgent-text")).to_have_text("A smoke alarm beeps.")
        expect(page.locator("#urgent .urgent-where")).to_contain_text("kitchen")
        expect(page.locator("#urgent .urgent-note")).to_contain_text("no life-safety device")
        box = page.locator("#urgent").bounding_box()
        assert box == {"x": 0, "y": 0, "width": 360, "height": 740}
        assert page.evaluate("document.querySelector('#urgent svg path').getAttribute('d').length") > 20
    expect(calm.locator("#urgent")).to_be_visible()
    [[duration, times]] = animations(first)
    assert duration >= 500  # at most two a second
    assert duration * times <= 6000
    assert animations(second) == animations(calm) == []
    expect(first.locator(".urgent-seen")).to_be_focused()
    first.keyboard.press("Enter")  # at once: meant for something else
    expect(first.locator("#urgent")).to_be_visible()
    first.wait_for_timeout(850)  # the time in which a key is taken for a slip
    first.keyboard.press("Enter")
    expect(first.locator("#urgent")).to_be_hidden()
    for page in (second, calm):
        expect(page.locator("#urgent")).to_be_hidden()
    ear.say("A smoke alarm beeps.", priority="urgent", number=number, kind="end")
    third = open_tab().page  # who comes later is not told again
    is_there(third)
    expect(third.locator("#log")).to_contain_text("A smoke alarm beeps.")
    expect(third.locator("#urgent")).to_be_hidden()


def test_not_listening_is_told_loudly_with_reason_and_since_when(open_tab: OpenTab, ear: Ear) -> None:
    page = open_tab().page
    is_there(page)
    ear.become("no-microphone", "lost")
    trouble = page.locator(".trouble.loud")
    expect(trouble).to_contain_text("Not listening")
    expect(trouble).to_contain_text("Kitchen: its microphone is gone.")
    expect(trouble).to_contain_text("Since ")
    assert trouble.get_attribute("role") == "alert"
    page.goto(page.url.partition("#")[0] + "#settings")
    expect(trouble).to_be_visible()  # whatever is looked at
    page.goto(page.url.partition("#")[0] + "#live")
    ear.become("listening")
    expect(trouble).to_have_count(0)
    ear.is_silent = True  # killed: within five seconds it shows
    expect(page.locator(".trouble.loud").first).to_contain_text(
        "nothing comes from it any more", timeout=8000
    )
    ear.is_silent = False
    expect(page.locator(".trouble.loud")).to_have_count(0)
    page.click("#open-rooms")
    page.click("text=Mute")
    expect(page.locator(".trouble.muted")).to_contain_text("Muted")
    page.click("text=Listen in kitchen again")
    expect(page.locator(".trouble")).to_have_count(0)


def test_a_lost_connection_is_told_and_nothing_is_lost_by_it(open_tab: OpenTab, ear: Ear, face: Face) -> None:
    tab = open_tab()
    page = tab.page
    is_there(page)
    ear.say("A drawer opens.")
    expect(page.locator(".standing.first .standing-text")).to_have_text("A drawer opens.")
    tab.cuts = True
    face.stop()
    expect(page.locator(".trouble.loud")).to_contain_text("Not connected", timeout=8000)
    assert page.title() == "Not connected · edgecap"
    for each in ("A cup falls.", "A bottle is opened.", "A zip is closed."):
        ear.whole(each, start=datetime.now(UTC))
    face.go_on()
    expect(page.locator(".trouble.loud")).to_have_count(0, timeout=PATIENCE_S * 1000)
    expect(page.locator("#log")).to_contain_text("A zip is closed.")
    told = page.locator("#log .text").all_inner_texts()
    assert told[-4:] == ["A drawer opens.", "A cup falls.", "A bottle is opened.", "A zip is closed."]


def test_paused_it_waits_but_not_with_what_is_urgent(open_tab: OpenTab, ear: Ear) -> None:
    page = open_tab().page
    is_there(page)
    page.keyboard.press("p")
    expect(page.locator("#held")).to_contain_text("Paused.")
    ear.whole("A tap drips.", start=datetime.now(UTC))
    expect(page.locator("#held-words")).to_contain_text("1 new caption since.")
    assert "A tap drips." not in page.locator("#log").inner_text()
    ear.say("Glass breaks.", priority="urgent")
    expect(page.locator("#urgent")).to_be_visible()
    seen(page)
    page.click("#held-end")
    expect(page.locator("#log")).to_contain_text("A tap drips.")
    page.keyboard.press("u")
    expect(page.locator("#held-words")).to_have_text("Only what is urgent is shown.")
    ear.whole("A clock ticks.", start=datetime.now(UTC))
    expect(page.locator("#log")).to_contain_text("A clock ticks.", use_inner_text=False)
    assert not page.locator("#log .line", has_text="A clock ticks.").is_visible()
    page.keyboard.press("u")
    expect(page.locator("#held")).to_be_hidden()


def test_a_screen_reader_says_each_caption_once(open_tab: OpenTab, ear: Ear) -> None:
    """Ten minutes: sentences, revised ones, repeats, a doorbell that rings twice, an alarm."""
    page = open_tab().page
    is_there(page)
    page.evaluate(READER.read_text())
    start = datetime.now(UTC) - timedelta(minutes=10)
    expected = []
    for minute in range(10):
        at = start + timedelta(minutes=minute)
        ear.whole(f"Machine {minute} hums.", start=at, seconds=20, priority="ambient")
        number = ear.say(f"Voice {minute} is heard.", start=at + timedelta(seconds=22))
        ear.say(
            f"Voice {minute} is heard while a tap runs.",
            start=at + timedelta(seconds=22),
            kind="update",
            number=number,
        )
        end = at + timedelta(seconds=30)
        ear.say(
            f"Voice {minute} is heard while a tap runs.",
            start=at + timedelta(seconds=22),
            end=end,
            kind="end",
            number=number,
        )
        expected += [
            f"Machine {minute} hums.",
            f"Voice {minute} is heard.",
            f"Voice {minute} is heard while a tap runs.",
        ]
        for bark in range(3):
            ear.whole(f"Dog {minute} barks.", start=at + timedelta(seconds=32 + 8 * bark), seconds=1)
        expected.append(f"Dog {minute} barks.")
        if minute == 4:
            for ring in (0, 3):
                ear.whole(
                    "The bell at the gate rings.",
                    start=at + timedelta(seconds=54 + ring),
                    seconds=1,
                    priority="call",
                )
            expected += ["The bell at the gate rings.", "Again: The bell at the gate rings."]
        if minute == 7:
            ear.whole("A gas alarm beeps.", start=datetime.now(UTC), seconds=1, priority="urgent")
            expected.append("A gas alarm beeps.")
    ear.flush()
    expect(page.locator("#log")).to_contain_text("Dog 9 barks.")
    assert page.evaluate("window.spoken") == expected
    seen(page)
    page.keyboard.press("r")
    expect(page.locator("#spoken")).to_contain_text("Dog 9 barks. kitchen")
    assert page.evaluate("window.spoken.length") == len(expected) + 1
    page.keyboard.press("r")
    until(page, f"window.spoken.length === {len(expected) + 2}")


def test_black_moves_its_picture_each_minute(open_tab: OpenTab, ear: Ear) -> None:
    page = open_tab().page
    is_there(page)
    moved = page.evaluate(
        """() => [0, 1, 2, 3].map((minute) => {
          Date.now = () => minute * 60000;
          edgecap.settings.set('theme', 'dark');
          edgecap.settings.set('theme', 'black');
          return getComputedStyle(document.body).padding;
        })"""
    )
    assert len(set(moved)) == 4
    assert (
        page.evaluate("edgecap.settings.set('theme', 'dark'); getComputedStyle(document.body).padding")
        == "4px"
    )
