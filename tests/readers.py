"""Plain ZeroMQ sockets before a station: what they ask, and what comes back."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
import zmq

from edgecap.runtime.events import Caption, Sound
from edgecap.runtime.telling import wire
from tests.station import Station

RUN = 1_769_853_600_000
START = datetime(2026, 1, 31, 10, tzinfo=UTC)
PATIENCE_MS = 5000
QUIET_MS = 100

Socket = zmq.Socket[bytes]


class Readers:
    """Plain ZeroMQ sockets, closed together when the test is over."""

    def __init__(self) -> None:
        self._context: zmq.Context[Socket] = zmq.Context()
        self._sockets: list[Socket] = []

    def connect(self, kind: int, endpoint: str) -> Socket:
        opened = self._context.socket(kind)
        self._sockets.append(opened)
        opened.connect(endpoint)
        return opened

    def sleeper(self, kind: int, endpoint: str) -> Socket:
        """One whose buffers are as small as can be, so that what it does not read soon backs up."""
        opened = self._context.socket(kind)
        self._sockets.append(opened)
        opened.setsockopt(zmq.RCVHWM, 1)
        opened.setsockopt(zmq.RCVBUF, 4096)
        if kind == zmq.SUB:
            opened.setsockopt(zmq.SUBSCRIBE, b"")
        opened.connect(endpoint)
        return opened

    def close(self) -> None:
        self._context.destroy(linger=0)


def say(
    publisher: Station, number: int, kind: Literal["new", "update", "end"] = "new"
) -> wire.CaptionMessage:
    is_over = kind == "end"
    caption = Caption(
        kind=kind,
        id=str(number),
        text=f"Sound {number} is heard.",
        confidence=0.83333,
        sounds=(Sound("dog", 0.91234),),
        start=32_000,
        end=64_000 if is_over else None,
        priority="urgent",
        semantic=bytes([1, 128, 127]),
    )
    return publisher.caption(caption, START, START + timedelta(seconds=1) if is_over else None)


def tell(publisher: Station, state: wire.State = "listening", level: float = -41.23) -> wire.StatusMessage:
    return publisher.status(state, at=START, level=level, gaps=0, capture="healthy", uptime=3600.04)


def request(after: int, run: int = RUN, room: str = "kitchen") -> bytes:
    return wire.encode(wire.ReplayRequest(room=room, run=run, after=after))


def rounds(publisher: Station, reader: Socket | None = None) -> Iterator[int]:
    """The daemon's rounds: what each poll answered, until the reader has something or patience ends."""
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while time.monotonic() < deadline:
        yield publisher.poll()
        if reader is None:
            time.sleep(0.002)  # the request is under way in ZeroMQ's own thread
        elif reader.poll(5):
            return
    pytest.fail("no answer")


def poll_once_more(publisher: Station) -> None:
    """Rounds until one request came."""
    next(answered for answered in rounds(publisher) if answered)


def answers(publisher: Station, reader: Socket) -> list[wire.Message]:
    """Everything up to the replay-end."""
    received: list[wire.Message] = []
    while not (received and isinstance(received[-1], wire.ReplayEnd)):
        for _ in rounds(publisher, reader):
            pass
        received.append(wire.decode(reader.recv()))
    return received


def replayed(readers: Readers, publisher: Station, after: int, run: int = RUN) -> tuple[list[int], int]:
    """The seq of each caption that replay gives, and the `last` behind them."""
    dealer = readers.connect(zmq.DEALER, publisher.replay_endpoint)
    dealer.send(request(after, run))
    *captions, end = answers(publisher, dealer)
    assert isinstance(end, wire.ReplayEnd)
    return [caption.seq for caption in captions if isinstance(caption, wire.CaptionMessage)], end.last
