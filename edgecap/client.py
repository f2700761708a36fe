"""Subscriber: the messages of a room, in order and without holes, across lost connections and restarts."""

import logging
import math
import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple, Self

import zmq

from edgecap.runtime.errors import UnavailableError, UsageError, WireError
from edgecap.runtime.telling import wire
from edgecap.runtime.telling.keys import ReaderKeys, introduce

PORT = "7310"
PUBLISH = "tcp://127.0.0.1:7310"
REPLAY = "tcp://127.0.0.1:7311"
RECONNECT_MS = 100
RECONNECT_MOST_MS = 2000
HEARTBEAT_MS = 2000
HEARTBEAT_TIMEOUT_MS = 6000
"""A cable pulled out shows as nothing at all; after so long the connection is made anew."""

ASK_AGAIN_S = 10.0
"""A room that did not answer a replay in time is not asked for so long: each question costs a wait."""

Received = wire.CaptionMessage | wire.StatusMessage

log = logging.getLogger(__name__)


def address(words: str) -> str:
    """The endpoint that a person means: `7310`, `kitchen.local`, `192.168.1.7:7310`, `[::1]:7310` or a path.

    An endpoint stays what it is. Raises UsageError for a port that is none.
    """
    if "://" in words:
        return words
    if words.startswith(("/", ".")):
        return f"ipc://{words}"
    if words.isdecimal():
        host, port = "127.0.0.1", words
    elif words.count(":") > 1 and not words.startswith("["):  # an IPv6 address alone
        host, port = f"[{words}]", PORT
    else:
        head, colon, tail = words.rpartition(":")
        host, port = (head, tail) if colon and "]" not in tail else (words, PORT)
    if not (port.isascii() and port.isdecimal() and 1 <= int(port) <= 65_535):
        raise UsageError(
            f"{words}: {port or 'nothing'} is no port",
            why="a port is a number from 1 to 65535",
            fix="write HOST, HOST:PORT, or PORT alone for this machine",
        )
    return f"tcp://{host or '127.0.0.1'}:{port}"


def replay_beside(endpoint: str) -> str | None:
    """Where a publisher is asked by default: the port after its own; None if that can't be told."""
    head, _, port = endpoint.rpartition(":")
    if not (endpoint.startswith("tcp://") and port.isascii() and port.isdigit()):
        return None
    return f"{head}:{int(port) + 1}"


class _Hole(NamedTuple):
    """A message, and the captions before it that have not come: newest < seq <= reached."""

    message: Received
    newest: int
    reached: int
    counts: bool  # what stays missing is a loss


class _Asking(NamedTuple):
    """A replay under way."""

    hole: _Hole
    dealer: "zmq.Socket[bytes]"
    deadline: float
    missed: list[wire.CaptionMessage]


class Subscriber:
    """Captions and status of a room; of every room behind the endpoint if `room` is empty.

        with Subscriber() as room:
            for message in room:
                print(message)

    Captions come in order of (run, seq), each once. A hole is filled by replay; what even replay no longer
    has is counted in `lost`. Another run is a restart of the daemon, and begins at its first caption.

    replay: None never asks. history: begin with the captions that the room still keeps. timeout_s: silence
    that ends iteration with UnavailableError, for a room that is there says its status every second; None
    waits for ever. replay_timeout_s: an answer that takes longer is given up, the hole counted as lost.
    stale_s: drop a status, a `new` and an `end` that tell of something longer ago (by this machine's clock);
    an `update` does not say when it was made, and always passes. keys: for a room that wants them.
    """

    def __init__(
        self,
        endpoint: str = PUBLISH,
        replay: str | None = REPLAY,
        room: str = "",
        *,
        history: bool = False,
        timeout_s: float | None = None,
        replay_timeout_s: float = 1.0,
        stale_s: float | None = None,
        keys: ReaderKeys | None = None,
    ) -> None:
        self.lost = 0
        """Captions that neither came nor could be replayed."""
        self.malformed = 0
        """Messages that were not wire version 1; each is also logged."""
        self.stale = 0
        """Messages dropped for their age."""
        self._endpoint, self._replay, self._room = endpoint, replay, room
        self._history, self._stale_s, self._keys = history, stale_s, keys
        self._timeout_s, self._replay_timeout_s = timeout_s, replay_timeout_s
        self._newest: dict[str, tuple[int, int]] = {}  # room -> (run, seq) of the newest caption passed on
        self._ready: deque[Received] = deque()
        self._behind: deque[Received] = deque()  # came, and wait for a replay or their turn
        self._asking: _Asking | None = None
        self._silent_until = 0.0
        self._context = zmq.Context()
        try:
            self._sub = self._connect(zmq.SUB, endpoint)
        except BaseException:
            self.close()
            raise
        for topic in (wire.caption_topic(room), wire.status_topic(room)):
            self._sub.setsockopt(zmq.SUBSCRIBE, topic)

    def receive(self, timeout_s: float | None = None) -> Received | None:
        """The next message; None if there is none within timeout_s (None waits for ever).

        While a replay is asked for, what comes meanwhile waits behind it, in its order; asking goes on in
        the next call where timeout_s is over first.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._ready:
            if self._asking is None and self._behind:
                self._take(self._behind.popleft())
                continue
            now = time.monotonic()
            if self._asking is not None and now >= self._asking.deadline:
                self._give_up(self._asking)
                continue
            ends = [end for end in (deadline, self._asking and self._asking.deadline) if end is not None]
            left_ms = max(0, math.ceil((min(ends) - now) * 1000)) if ends else None
            if not self._wait(left_ms) and deadline is not None and time.monotonic() >= deadline:
                return None
        return self._ready.popleft()

    def __iter__(self) -> Iterator[Received]:
        while (message := self.receive(self._timeout_s)) is not None:
            yield message
        raise UnavailableError(
            f"nothing from {self._endpoint} for {self._timeout_s:g} s",
            why="no edgecap publishes there" + (f", or none in a room {self._room}" if self._room else ""),
            fix="start `edgecap run` there, or name the address that it publishes on",
        )

    def close(self) -> None:
        """Disconnect. A second call does nothing."""
        self._context.destroy(linger=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connect(self, kind: int, endpoint: str) -> "zmq.Socket[bytes]":
        socket = self._context.socket(kind)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_MOST_MS)
        socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        if "[" in endpoint:
            socket.setsockopt(zmq.IPV6, 1)
        if self._keys:
            introduce(socket, self._keys)
        try:
            socket.connect(endpoint)
        except (zmq.ZMQError, UnicodeEncodeError) as refused:
            raise UsageError(
                f"{endpoint} is no address to subscribe to",
                why=refused.strerror if isinstance(refused, zmq.ZMQError) else "it is not UTF-8",
                fix="write tcp://HOST:PORT or ipc://PATH",
            ) from refused
        return socket

    def _read(self, data: bytes) -> wire.Message | None:
        try:
            return wire.decode(data)
        except WireError as unreadable:
            self.malformed += 1
            log.warning("%s: %s", self._endpoint, unreadable)
            return None

    def _wait(self, timeout_ms: int | None) -> bool:
        """Read one message of each socket that has one, waiting for the first; whether there was any."""
        asking = self._asking
        if asking is None:
            ready = [self._sub] if self._sub.poll(timeout_ms) else []
        else:
            poller = zmq.Poller()
            for socket in (self._sub, asking.dealer):
                poller.register(socket, zmq.POLLIN)
            ready = [socket for socket, _ in poller.poll(timeout_ms)]
        if asking is not None and asking.dealer in ready:
            self._read_answer(asking)
        if self._sub in ready:
            message = self._read(self._sub.recv_multipart()[-1])
            if isinstance(message, Received) and self._room in ("", message.room):
                self._behind.append(message)
        return bool(ready)

    def _take(self, message: Received) -> None:
        """Pass a message on, behind the captions that should have come before it; ask for those first."""
        # A status comes after the captions that it counts, so it shows the loss of the newest too.
        reached = message.last if isinstance(message, wire.StatusMessage) else message.seq - 1
        known = self._newest.get(message.room)
        if known and known[0] == message.run:
            newest = known[1]
        elif known or self._history:
            newest = 0  # a restart, or all that is kept
        else:
            newest = reached  # who comes late begins with what comes now
        hole = _Hole(message, newest, reached, counts=known is not None)
        if newest >= reached or self._replay is None or time.monotonic() < self._silent_until:
            self._pass_on(hole, [])
            return
        dealer = self._connect(zmq.DEALER, self._replay)  # anew, so that no late answer is mistaken
        dealer.send(wire.encode(wire.ReplayRequest(room=message.room, run=message.run, after=newest)))
        self._asking = _Asking(hole, dealer, time.monotonic() + self._replay_timeout_s, [])

    def _read_answer(self, asking: "_Asking") -> None:
        answer = self._read(asking.dealer.recv_multipart()[-1])
        wanted = asking.hole.message
        if isinstance(answer, wire.CaptionMessage) and (answer.room, answer.run) == (wanted.room, wanted.run):
            asking.missed.append(answer)
        elif isinstance(answer, wire.ReplayEnd | wire.Refused):
            self._finish(asking)

    def _give_up(self, asking: "_Asking") -> None:
        """What came in time is passed on; who does not answer is not asked again at once."""
        log.warning(
            "%s: no replay of %s's captions after %d",
            self._replay, asking.hole.message.room, asking.hole.newest,
        )  # fmt: skip
        self._silent_until = time.monotonic() + ASK_AGAIN_S
        self._finish(asking)

    def _finish(self, asking: "_Asking") -> None:
        asking.dealer.close()
        self._asking = None
        self._pass_on(asking.hole, asking.missed)

    def _pass_on(self, hole: "_Hole", missed: list[wire.CaptionMessage]) -> None:
        message, newest = hole.message, hole.newest
        ordered: list[Received] = []
        for each in missed:
            if newest < each.seq <= hole.reached:
                ordered.append(each)
                newest = each.seq
        if hole.counts:  # what was before history began is no loss
            self.lost += max(0, hole.reached - hole.newest) - len(ordered)
        if isinstance(message, wire.StatusMessage) or message.seq > newest:
            ordered.append(message)
        reached = message.seq if isinstance(message, wire.CaptionMessage) else hole.reached
        self._newest[message.room] = message.run, max(newest, reached)
        self._ready.extend(each for each in ordered if not self._is_stale(each))

    def _is_stale(self, message: Received) -> bool:
        if self._stale_s is None:
            return False
        if isinstance(message, wire.StatusMessage):
            told = message.at
        elif message.event == "update":
            return False
        else:
            told = message.end or message.start
        stale = (datetime.now(UTC) - wire.moment(told)).total_seconds() > self._stale_s
        self.stale += stale
        return stale
