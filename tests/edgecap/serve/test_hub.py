"""The hub: many ears as one house, each room's state as it is, and what is asked of an ear."""

from pathlib import Path

import pytest

from edgecap.runtime.errors import UsageError
from edgecap.serve import hub, room
from edgecap.serve.ear import addresses
from tests.edgecap.serve.house import RUN, Ear, RunningFace, house, until

NAMES = {"kitchen": "below", "kitchen@above": "above"}
"""The room that is below was there first."""


def test_hello_tells_every_room_and_ear(tmp_path: Path) -> None:
    with house(tmp_path, "kitchen", "door") as (face, [kitchen, _]):
        said = kitchen.say("A dog barks.")
        until(lambda: face.face.hub.positions.get("kitchen"))
        with face.browser() as browser:
            hello = browser.next("hello")
        rooms = {each["room"]: each for each in hello["rooms"]}
        assert set(rooms) == {"kitchen", "door"}
        assert rooms["kitchen"]["live"]["id"] == said.id
        assert rooms["door"]["live"] is None
        assert all(
            each["hearing"] and each["state"] == "listening" and each["why"] is None
            for each in hello["rooms"]
        )
        assert [each["connected"] for each in hello["ears"]] == [True, True]
        assert hello["device"] == {"name": "this computer", "owner": True}
        assert hello["store"] is None


def test_an_ear_that_is_gone_shows_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert room.GONE_S + hub.TICK_S < 5
    monkeypatch.setattr(room, "GONE_S", 1.0)
    kitchen = Ear("kitchen")
    with RunningFace(tmp_path, kitchen) as face, face.browser() as browser:
        until(lambda: face.face.hub.rooms)
        before = [kitchen.say() for _ in range(3)]
        at = kitchen.publish, kitchen.replay
        for each in before:
            assert browser.next("caption")["id"] == each.id
        kitchen.close()
        assert face.ask("GET", "/readyz").status == 200
        while (told := browser.next("room", "beat")).get("state") != "gone":
            pass
        assert (told["hearing"], told["live"], told["level"]) == (False, None, None)
        assert at[0] in told["why"]
        gone = browser.next("ear")
        assert (gone["connected"], gone["ear"]) == (False, at[0].removeprefix("tcp://"))
        assert face.ask("GET", "/readyz").status == 503
        assert face.ask("GET", "/healthz").status == 200
        with Ear("kitchen", RUN + 5000, *at) as again:
            said = [again.say(heard=False), again.say(heard=False)]
            for each in said:
                caption = browser.next("caption")
                assert (caption["run"], caption["seq"]) == (each.run, each.seq)
            until(lambda: face.ask("GET", "/readyz").status == 200)


def test_rooms_of_one_name_are_kept_apart_and_keep_their_names(tmp_path: Path) -> None:
    with Ear("kitchen") as below, Ear("kitchen", RUN + 7) as above:
        with RunningFace(tmp_path, below) as face:
            until(lambda: face.face.hub.rooms)
        with RunningFace(tmp_path, above, below, names=("above", "below")) as face, face.browser() as browser:
            rooms = face.face.hub.rooms
            until(lambda: len(rooms) == 2)
            assert {each.name: each.ear.at.name for each in rooms.values()} == NAMES
            said = {"below": below.say(), "above": above.say()}
            for _ in said:
                caption = browser.next("caption")
                assert caption["room"] == next(
                    each.name for each in rooms.values() if each.ear.at.name == caption["ear"]
                )
                assert caption["run"] == said[caption["ear"]].run
        with RunningFace(tmp_path, below, above, names=("below", "above")) as face:
            until(lambda: len(face.face.hub.rooms) == 2)
            assert {each.name: each.ear.at.name for each in face.face.hub.rooms.values()} == NAMES


def test_a_room_that_its_ear_has_no_more_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "GONE_S", 0.5)
    monkeypatch.setattr(hub, "FORGOTTEN_S", 1.0)
    with house(tmp_path, "kitchen") as (face, [ear]), face.browser() as browser:
        assert [each["room"] for each in browser.next("hello")["rooms"]] == ["kitchen"]
        with ear._lock:
            ear.station.log.room = "nursery"
        assert browser.is_ended()
        with face.browser() as again:
            assert [each["room"] for each in again.next("hello")["rooms"]] == ["nursery"]


def test_a_clock_that_differs_is_told(tmp_path: Path) -> None:
    with house(tmp_path, "kitchen") as (face, [ear]), face.browser() as browser:
        assert browser.next("hello")["ears"][0]["clock_s"] is None
        ear.ahead_s = 90.0
        assert browser.next("ear")["clock_s"] == pytest.approx(90, abs=2)


def test_what_is_heard_is_made_for_who_asks_alone(tmp_path: Path) -> None:
    with house(tmp_path, "kitchen") as (face, [ear]):
        topic = b"heard.kitchen"

        def is_wanted() -> bool:
            with ear._lock:
                return ear.station.publisher.is_wanted(topic)

        assert not is_wanted()
        with face.browser("/events?heard=kitchen") as browser, face.browser() as other:
            until(is_wanted)
            other.next("hello")
            with ear._lock:
                from datetime import UTC, datetime

                ear.station.send(ear.station.log.heard(-41.2, [("dog", 0.9, None)], datetime.now(UTC)))
            assert browser.next("heard")["sounds"] == [{"label": "dog", "score": 0.9, "why": None}]
            last = ear.say()
            assert other.next("heard", "caption")["seq"] == last.seq
        until(lambda: not is_wanted())


def test_a_microphone_is_muted_by_the_ear_that_has_it(tmp_path: Path) -> None:
    with house(tmp_path, "kitchen", "file") as (face, [kitchen, _]), face.browser() as browser:
        for on in (True, False):
            assert face.ask("POST", "/api/mute", {"room": "kitchen", "on": on}).status == 200
            assert kitchen.station.is_muted == on
            while (told := browser.next("room"))["room"] != "kitchen" or (told["state"] == "muted") != on:
                pass
            assert told["hearing"] == (not on)
        refused = face.ask("POST", "/api/mute", {"room": "file", "on": True})
        assert (refused.status, refused.json["why"]) == (409, "it is no microphone")
        unknown = face.ask("POST", "/api/mute", {"room": "cellar", "on": True})
        assert (unknown.status, unknown.json["error"]) == (400, "there is no room 'cellar'")


def test_what_one_device_dismisses_goes_from_all(tmp_path: Path) -> None:
    with house(tmp_path, "kitchen") as (face, [ear]), face.browser() as browser:
        seen = {"room": "kitchen", "id": ear.say().id}
        for _ in range(2):
            assert face.ask("POST", "/api/dismiss", seen).status == 200
        assert browser.next("dismiss") == {"told": "dismiss", "by": "this computer", **seen}
        with face.browser() as other:
            assert other.next("hello")["dismissed"] == [seen]


def test_captions_of_a_folder_that_cannot_be_written_come_all_the_same(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    with house(blocked, "kitchen") as (face, [ear]), face.browser() as browser:
        said = ear.say()
        assert browser.next("caption")["id"] == said.id
        store = browser.next("store")
        assert store["why"]
        with face.browser() as other:
            assert other.next("hello")["store"]["lost"] >= 0
        assert face.ask("GET", "/api/me").json["remembers"] is False


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (["tcp://"], "--connect tcp:// is no ear"),
        (["a b=tcp://h:1"], "--connect a b=tcp://h:1 is no ear"),
        (["=tcp://h:1"], None),
        (["tcp://h:1", "tcp://h:1"], "two ears are called h:1"),
    ],
)
def test_what_is_no_ear_is_usage(texts: list[str], reason: str | None) -> None:
    if reason is None:
        assert addresses(texts)[0].name == "h:1"
        return
    with pytest.raises(UsageError, match=f"^{reason}"):
        addresses(texts)


def test_ears_are_named_by_their_addresses() -> None:
    found = addresses(
        ["tcp://pi.lan:7310", "attic=tcp://[::1]:7400", "ipc:///run/e/captions,ipc:///run/e/ask"]
    )
    assert [(each.name, each.replay) for each in found] == [
        ("pi.lan:7310", "tcp://pi.lan:7311"),
        ("attic", "tcp://[::1]:7401"),
        ("captions", "ipc:///run/e/ask"),
    ]
