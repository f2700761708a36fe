"""`edgecap run` whose terminal or pipe stops reading: what is published goes on, and it ends when told."""

import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import zmq

from edgecap.runtime.telling import wire
from tests import handmade
from tests.pseudo_terminal import take_for_control

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
XOFF = b"\x13"
"""What Ctrl-S sends: the terminal takes nothing more."""

# The real command on the handmade model, whose every sentence is known; its ports are told on a pipe.
RUN = """
import os, sys
from edgecap import live
from edgecap.runtime import daemon
from tests import handmade
live.load_model = lambda settings: (handmade.model(), "handmade 1.0")
opened, ports = daemon.Daemon.__init__, int(sys.argv[1])
def tell(self, *given, **named):
    opened(self, *given, **named)
    os.write(ports, f"{self.publish_endpoint} {self.replay_endpoint}\\n".encode())
    os.close(ports)
daemon.Daemon.__init__ = tell
sys.argv[1:] = ["run", "--source", "stdin", "--publish", "tcp://127.0.0.1:*", "--replay", "tcp://127.0.0.1:*",
                "--room", "den", *sys.argv[2:]]
from edgecap.cli import main
main()
"""


class Stalled:
    """The running command, its sound by a pipe, and a subscriber in this process."""

    def __init__(self, stdout: int, *flags: str, before: Callable[[], object] | None = None) -> None:
        told, tell = os.pipe()
        heard, self._sound = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(tell), *flags],
            stdin=heard, stdout=stdout, stderr=stdout, cwd=ROOT, pass_fds=[tell],
            env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"}, preexec_fn=before,
        )  # fmt: skip
        os.close(tell)
        os.close(heard)
        with os.fdopen(told) as lines:
            publish, replay = lines.readline().split()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.sub = self._context.socket(zmq.SUB)
        self.dealer = self._context.socket(zmq.DEALER)
        for socket, endpoint in ((self.sub, publish), (self.dealer, replay)):
            socket.setsockopt(zmq.RCVTIMEO, round(1000 * PATIENCE_S))
            socket.connect(endpoint)
        self.sub.subscribe(b"")

    def play(self, *sounds: np.ndarray) -> None:
        """Into the command's standard input, in another thread: the command may be slow to take it."""
        samples = np.concatenate(sounds)
        data = (samples * 32767).astype("<i2").tobytes()
        threading.Thread(target=self._write, args=(data,), daemon=True).start()

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._sound, rest) :]

    def next_new(self) -> str:
        """The next caption that appears."""
        while True:
            message = wire.decode(self.sub.recv_multipart()[1])
            if isinstance(message, wire.CaptionMessage) and message.event == "new":
                return message.text

    def next_status(self) -> wire.StatusMessage:
        while True:
            message = wire.decode(self.sub.recv_multipart()[1])
            if isinstance(message, wire.StatusMessage):
                return message

    def replayed(self) -> list[str]:
        self.dealer.send(wire.encode(wire.ReplayRequest(room="den", run=0, after=0)))
        texts = []
        while isinstance(message := wire.decode(self.dealer.recv()), wire.CaptionMessage):
            texts.append(message.text)
        return texts

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._sound)
        self._context.destroy(linger=0)


def check_that_the_room_goes_on(room: Stalled) -> None:
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
def stalled(stdout: int, *flags: str, before: Callable[[], object] | None = None) -> Iterator[Stalled]:
    room = Stalled(stdout, *flags, before=before)
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
