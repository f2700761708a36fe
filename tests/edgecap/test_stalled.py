"""`edgecap run` whose terminal or pipe stops reading: what is published goes on, and it ends when told."""

import os
import pty
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from edgecap.runtime.telling import wire
from tests import handmade
from tests.piped import PATIENCE_S, PipedRoom
from tests.pseudo_terminal import take_for_control

XOFF = b"\x13"
"""What Ctrl-S sends: the terminal takes nothing more."""


def check_that_the_room_goes_on(room: PipedRoom) -> None:
    """While nobody reads what it shows. Stop, status and exit come through as well."""
    room.next_status()
    for _ in range(3):
        room.play(handmade.silence(2.5), handmade.dog(2), handmade.silence(2.5), handmade.bell(2))
        assert {room.next_new(), room.next_new()} == {"A dog barks.", "A bell rings."}
    assert len(room.replayed()) >= 11  # of the last bell the end may be yet to come
    room.next_status()
    room.process.send_signal(signal.SIGTERM)
    while room.next_status().state != "stopping":
        pass
    assert room.process.wait(PATIENCE_S) == 0


@contextmanager
def stalled(stdout: int, *flags: str, before: Callable[[], object] | None = None) -> Iterator[PipedRoom]:
    room = PipedRoom(stdout, *flags, before=before)
    try:
        yield room
    finally:
        room.close()


def test_a_terminal_that_stops_reading_stops_nothing_else() -> None:
    """Ctrl-S on a real pseudo-terminal: every write to it blocks."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, XOFF)
        with stalled(theirs) as room:
            check_that_the_room_goes_on(room)
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize("flags", [(), ("--json",)], ids=["lines", "json"])
def test_a_pipe_whose_reader_sleeps_stops_nothing_else(flags: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    try:
        os.set_blocking(writing, False)
        with suppress(BlockingIOError):
            while True:  # full from the start: the first line blocks
                os.write(writing, b"x" * 4096)
        os.set_blocking(writing, True)
        with stalled(writing, *flags) as room:
            check_that_the_room_goes_on(room)
    finally:
        os.close(reading)
        os.close(writing)


def test_a_reader_that_leaves_stops_nothing_else() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        with stalled(writing) as room:
            check_that_the_room_goes_on(room)
    finally:
        os.close(writing)


def test_a_terminal_that_is_closed_ends_the_room_and_its_captions() -> None:
    """An ssh link that breaks, a window that is closed: SIGHUP, and a terminal that can't be written."""
    ours, theirs = pty.openpty()

    def as_a_shell_does() -> None:
        take_for_control(theirs)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # these tests may run under nohup themselves

    with stalled(theirs, before=as_a_shell_does) as room:
        os.close(theirs)
        room.next_status()
        room.play(handmade.silence(1), handmade.dog(2))
        assert room.next_new() == "A dog barks."
        os.close(ours)
        messages = []
        while not (messages and messages[-1].type == "status" and messages[-1].state == "stopping"):
            messages.append(wire.decode(room.sub.recv_multipart()[1]))
        assert [message.event for message in messages if message.type == "caption"][-1] == "end"
        assert room.process.wait(PATIENCE_S) == 0


def test_under_nohup_a_terminal_that_is_closed_ends_nothing() -> None:
    ours, theirs = pty.openpty()

    def nohup() -> None:
        take_for_control(theirs)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with stalled(theirs, before=nohup) as room:
        os.close(theirs)
        room.next_status()
        os.close(ours)
        check_that_the_room_goes_on(room)
