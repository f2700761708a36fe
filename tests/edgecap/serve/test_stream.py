"""The stream of events over real sockets: nothing lost or doubled by cuts, and nobody waits for another."""

import socket
import threading
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edgecap.serve.told import LARGEST, read, written
from tests.edgecap.serve.house import Ear, RunningFace, house, until

CUTS = 100


def key(caption: dict[str, Any]) -> tuple[str, int, int]:
    return caption["room"], caption["run"], caption["seq"]


def told(ears: list[Ear]) -> set[tuple[str, int, int]]:
    return {(each.room, each.run, each.seq) for ear in ears for each in ear.said}


NUMBERS = st.integers(0, LARGEST - 1)


@given(st.dictionaries(st.text(min_size=1), st.tuples(NUMBERS, NUMBERS)))
def test_an_id_is_read_back(positions: dict[str, tuple[int, int]]) -> None:
    for newest in ("", *positions):
        text = written(positions, newest)
        assert read(text) == positions
        assert text.isascii()
        assert "\n" not in text


def test_a_hundred_cuts_under_load_lose_and_double_nothing(tmp_path: Path) -> None:
    with house(tmp_path, "kitchen", "door") as (face, ears):
        over = threading.Event()

        def talk() -> None:
            while not over.wait(0.002):
                for ear in ears:
                    ear.say()

        talking = threading.Thread(target=talk)
        talking.start()
        try:
            with face.browser() as browser:
                browser.next("hello")
                last_id = browser.last_id
            began = dict(read(last_id))
            seen: list[tuple[str, int, int]] = []
            for cut in range(CUTS):
                with face.browser(Last_Event_ID=last_id) as browser:
                    for _ in range(cut % 7):
                        seen.append(key(browser.next("caption")))
                    browser.next("hello") if not cut % 7 else None
                    last_id = browser.last_id
        finally:
            over.set()
            talking.join()
        with face.browser(f"/events?after={last_id}") as browser:
            wanted = {each for each in told(ears) if each[2] > began.get(each[0], (0, 0))[1]}
            while len(seen) < len(wanted):
                seen.append(key(browser.next("caption")))
        assert len(seen) == len(set(seen))
        assert set(seen) == wanted
        for room in ("kitchen", "door"):
            of_room = [each[2] for each in seen if each[0] == room]
            assert of_room == sorted(of_room)


def test_a_face_begun_anew_goes_on_where_a_browser_was(tmp_path: Path) -> None:
    """Also with what it did not hear itself, and for a browser that comes before it has caught up."""
    with Ear("kitchen") as kitchen, Ear("door") as door:
        with RunningFace(tmp_path, kitchen, door) as face, face.browser() as browser:
            until(lambda: len(face.face.hub.rooms) == 2)
            for ear in (kitchen, door, door, kitchen):
                ear.say()
            seen = [key(browser.next("caption")) for _ in range(3)]
            last_id = browser.last_id
        for _ in range(300):  # more than is read from the history at once, and than a socket keeps
            kitchen.say()
            door.say()
        with RunningFace(tmp_path, kitchen, door) as face, face.browser(Last_Event_ID=last_id) as browser:
            while len(seen) < 604:
                seen.append(key(browser.next("caption")))
            now = [key_of(kitchen.say()), key_of(door.say())]
            assert {key(browser.next("caption")) for _ in now} == set(now)
        assert set(seen) | set(now) == told([kitchen, door])
        assert len(seen) == len(set(seen))
        with RunningFace(tmp_path, kitchen, door) as face, face.browser(Last_Event_ID=last_id) as browser:
            again = [key(browser.next("caption")) for _ in range(603)]
            assert set(again) == told([kitchen, door]) - set(seen[:3])


def test_a_face_that_lost_its_history_doubles_nothing(tmp_path: Path) -> None:
    """The browser has more than the face, which asks the ears for what they still keep."""
    with Ear("kitchen") as kitchen, Ear("door") as door:
        with RunningFace(tmp_path / "lost", kitchen, door) as face, face.browser() as browser:
            until(lambda: len(face.face.hub.rooms) == 2)
            for ear in (kitchen, door, kitchen):
                ear.say()
            seen = [key(browser.next("caption")) for _ in range(3)]
            last_id = browser.last_id
        missed = [key_of(ear.say()) for ear in (door, kitchen, door)]
        with RunningFace(tmp_path / "new", kitchen, door) as face:
            for _ in range(3):  # cut off after each, while the face catches up and later
                with face.browser(Last_Event_ID=last_id) as browser:
                    seen.append(key(browser.next("caption")))
                    last_id = browser.last_id
            with face.browser(Last_Event_ID=last_id) as browser:
                seen.append(key_of(kitchen.say()))
                assert key(browser.next("caption")) == seen[-1]
        assert set(missed) <= set(seen)
        assert len(seen) == len(set(seen)) == 7


def test_one_rooms_place_is_enough_for_who_heard_it_all(tmp_path: Path) -> None:
    with house(tmp_path, "kitchen", "door") as (face, [kitchen, door]), face.browser() as browser:
        browser.next("hello")
        for ear in (door, kitchen):
            ear.say()
            browser.next("caption")
        said = key_of(door.say())
        browser.next("caption")
        with face.browser(Last_Event_ID=f"kitchen/{kitchen.said[0].run}/1") as other:
            assert key(other.next("caption")) == said


def key_of(message: Any) -> tuple[str, int, int]:
    return message.room, message.run, message.seq


def test_who_takes_nothing_is_dropped_and_delays_nobody(tmp_path: Path) -> None:
    with house(tmp_path, "kitchen") as (face, [ear]), face.browser() as reading:
        reading.next("hello")
        stalled = socket.create_connection((face.host, face.port))
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.sendall(f"GET /events HTTP/1.1\r\nHost: {face.host}\r\n\r\n".encode())
        until(lambda: len(face.face.hub.listeners) == 2)
        for _ in range(30):  # each a hundred captions of some kilobytes, which no socket's buffers hold
            said = [ear.say("A long sound. " * 300) for _ in range(50)]
            assert [reading.next("caption")["seq"] for _ in said] == [each.seq for each in said]
            if len(face.face.hub.listeners) == 1:
                break
        assert len(face.face.hub.listeners) == 1
        stalled.close()


def test_only_rooms_that_are_asked_for_come(tmp_path: Path) -> None:
    with house(tmp_path, "kitchen", "door") as (face, [kitchen, door]):
        with face.browser("/events?rooms=door") as browser:
            browser.next("hello")
            kitchen.say()
            said = door.say()
            assert key(browser.next("caption")) == key_of(said)
            last_id = browser.last_id
        kitchen.say()
        said = door.say()
        with face.browser(f"/events?rooms=door&after={last_id}") as browser:
            assert key(browser.next("caption")) == key_of(said)
