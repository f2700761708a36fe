"""The request socket's words: each is answered, with what was asked for, with ok, or with the reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.runtime.errors import UsageError
from edgecap.runtime.telling import wire
from edgecap.runtime.telling.control import Control
from edgecap.runtime.telling.room_log import RoomLog

RUN = 1_769_853_600_000


class Room:
    def __init__(self, name: str) -> None:
        self.log = RoomLog(name, "m", RUN)
        self.is_muted = False

    def mute(self, on: bool) -> None:
        if self.log.room == "tape":
            raise UsageError(
                "tape is a recording", why="only a microphone can be muted", fix="end it instead"
            )
        self.is_muted = on

    def held(self) -> dict[str, int]:
        return {"dog_bark": 3, "rain": 1}


def house(*names: str) -> tuple[dict[str, Room], Control]:
    rooms = {name: Room(name) for name in names}
    return rooms, Control(rooms, RUN)


def test_mute_and_unmute_reach_the_room_that_was_named_and_no_other() -> None:
    rooms, control = house("kitchen", "nursery")
    assert control.answer(wire.encode(wire.MuteRequest(room="nursery"))) == [
        wire.Ok(room="nursery", run=RUN, request="mute")
    ]
    assert (rooms["kitchen"].is_muted, rooms["nursery"].is_muted) == (False, True)
    assert control.answer(wire.encode(wire.UnmuteRequest(room="nursery"))) == [
        wire.Ok(room="nursery", run=RUN, request="unmute")
    ]
    assert not rooms["nursery"].is_muted


def test_what_was_held_back_can_be_asked_for() -> None:
    _, control = house("kitchen")
    (answer,) = control.answer(wire.encode(wire.HeldRequest(room="kitchen")))
    sounds = wire.HeldSound("dog_bark", 3), wire.HeldSound("rain", 1)
    assert answer == wire.HeldBack(room="kitchen", run=RUN, sounds=sounds)


@pytest.mark.parametrize(
    ("request_", "why", "fix"),
    [
        (b'{"v":1,"type":"mute","room":"cellar"}', "there is no room 'cellar' here", "kitchen, tape"),
        (b'{"v":1,"type":"mute","room":""}', "there is no room '' here", "kitchen, tape"),
        (b'{"v":1,"type":"mute","room":"tape"}', "only a microphone can be muted", "end it instead"),
        (b'{"v":1,"type":"dance","room":"kitchen"}', "'dance' is no request", "replay, mute, unmute"),
        (b'{"v":1,"type":"replay","room":"kitchen"}', "missing required field `run`", "docs/wire.md"),
        (b'{"v":1,"type":"mute"}', "missing required field `room`", "docs/wire.md"),
        (wire.encode(wire.ReplayEnd(room="kitchen", run=RUN, after=0, last=0)), "no request", "replay"),
    ],
)
def test_what_is_not_done_is_answered_with_the_reason(request_: bytes, why: str, fix: str) -> None:
    _, control = house("kitchen", "tape")
    (refused,) = control.answer(request_)
    assert isinstance(refused, wire.Refused)
    assert why in refused.why
    assert fix in refused.fix
    assert control.refused == 1


def test_one_room_needs_no_name() -> None:
    rooms, control = house("kitchen")
    assert control.answer(b'{"v":1,"type":"mute","room":""}') == [
        wire.Ok(room="kitchen", run=RUN, request="mute")
    ]
    assert rooms["kitchen"].is_muted


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_whatever_comes_the_answer_is_ours(data: bytes) -> None:
    _, control = house("kitchen")
    for answer in control.answer(data):
        assert wire.decode(wire.encode(answer)) == answer
