"""Ear: what one daemon tells, in order and without holes, by asyncio; and what it is asked for.

A daemon's messages are put in order as a Subscriber puts them (edgecap/order.py). While it is asked for what
was missed, what comes meanwhile waits in the socket.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

import zmq
import zmq.asyncio

from edgecap.runtime.errors import UnavailableError, UsageError, WireError
from edgecap.runtime.telling import wire
from edgecap.runtime.telling.keys import ReaderKeys

from ..client import ASK_AGAIN_S, connect, replay_beside
from ..order import Hole, Order, Position

ANSWER_S = 2.0
"""An ear that says nothing for so long while it is asked is not asked further."""
LONGEST_MESSAGE = 256 * 1024
"""Bytes; no message of a room is near that."""
STATUSES_COMPARED = 8
"""A status can come late, never early: of so many the least late one tells how the clocks differ."""

log = logging.getLogger(__name__)


class Address(NamedTuple):
    """Where an ear publishes and answers, as it was written on the command line."""

    name: str
    publish: str
    replay: str | None
    keys: ReaderKeys | None = None


def addresses(texts: Sequence[str], keys: Sequence[ReaderKeys | None] = (None,)) -> list[Address]:
    """Each [NAME=]ENDPOINT[,REPLAY]: if they are not given, the name is the endpoint's own address, and the
    replay is the next port. keys: one for all ears, or one for each. Raises UsageError.
    """
    if len(keys) not in (1, len(texts)):
        raise UsageError(
            f"there are {len(texts)} ears and {len(keys)} keys",
            fix="name one --server for all ears, or one for each in the order of --connect",
        )
    found = [_address(text, keys[number % len(keys)]) for number, text in enumerate(texts)]
    for each in found:
        if [other.name for other in found].count(each.name) > 1:
            raise UsageError(f"two ears are called {each.name}", fix="write --connect NAME=ENDPOINT")
    return found


def _address(text: str, keys: ReaderKeys | None) -> Address:
    head, equals, rest = text.partition("=")
    name, endpoints = (head, rest) if equals and "://" not in head else ("", text)
    publish, _, replay = endpoints.partition(",")
    name = name or publish.partition("://")[2].rpartition("/")[2]
    if not name or not all(each.isalnum() or each in "-_.:[]*" for each in name):
        raise UsageError(
            f"--connect {text} is no ear",
            why="a name has letters, digits and -_.: alone, and an endpoint follows it",
            fix="write tcp://HOST:PORT, or NAME=tcp://HOST:PORT",
        )
    return Address(name, publish, replay or replay_beside(publish), keys)


class Ear:
    """One daemon: `hear` is called with what it tells of its rooms, in order.

    known: where a room's captions were last left, by a face that was here before; None where never.
    """

    def __init__(
        self,
        context: zmq.asyncio.Context,
        at: Address,
        hear: "Callable[[Ear, wire.Published], None]",
        known: "Callable[[Ear, str], Position | None]",
    ) -> None:
        self.at = at
        self.heard_s: float | None = None
        """When it last told anything, by time.monotonic; None before the first."""
        self._context, self._hear, self._known = context, hear, known
        self._order = Order(history=True)
        self._rooms: set[str] = set()
        self._silent_until = 0.0
        self._ahead_s: deque[float] = deque(maxlen=STATUSES_COMPARED)
        self._socket = connect(context, zmq.SUB, at.publish, at.keys)
        self._socket.setsockopt(zmq.MAXMSGSIZE, LONGEST_MESSAGE)
        for topic in (wire.caption_topic(""), wire.status_topic("")):
            self._socket.setsockopt(zmq.SUBSCRIBE, topic)

    @property
    def lost(self) -> int:
        """Captions that neither came nor could be replayed."""
        return self._order.lost

    @property
    def clock_s(self) -> float | None:
        """How far its clock is ahead of ours, in seconds; None before it told."""
        return max(self._ahead_s) if self._ahead_s else None

    def listen_closely(self, room: str, on: bool) -> None:
        """Have it tell, or no longer tell, what it hears now in this room."""
        self._socket.setsockopt(zmq.SUBSCRIBE if on else zmq.UNSUBSCRIBE, wire.heard_topic(room))

    async def run(self) -> None:
        """Listen for ever."""
        while True:
            data = (await self._socket.recv_multipart())[-1]
            try:
                message = wire.decode(data)
            except WireError as unreadable:
                log.warning("%s: %s", self.at.publish, unreadable)
                continue
            self.heard_s = time.monotonic()
            if isinstance(message, wire.StatusMessage):
                self._ahead_s.append((wire.moment(message.at) - datetime.now(UTC)).total_seconds())
            if isinstance(message, wire.HeardMessage):
                self._hear(self, message)
            elif isinstance(message, wire.CaptionMessage | wire.StatusMessage):
                await self._take(message)

    async def ask(self, request: wire.Request) -> wire.Message:
        """Its answer. Raises UnavailableError where none comes."""
        async with _Question(self, request) as question:
            return await question.answer()

    def close(self) -> None:
        self._socket.close()

    async def _take(self, message: wire.CaptionMessage | wire.StatusMessage) -> None:
        if message.room not in self._rooms:
            self._rooms.add(message.room)
            if known := self._known(self, message.room):
                self._order.newest[message.room] = known
        hole = self._order.before(message)
        may_ask = self.at.replay is not None and time.monotonic() >= self._silent_until
        missed = await self._missed(hole) if hole.is_open and may_ask else []
        for each in self._order.fill(hole, missed):
            self._hear(self, each)

    async def _missed(self, hole: Hole) -> list[wire.CaptionMessage]:
        """What is replayed of it; what came in time, where the ear falls silent."""
        missed: list[wire.CaptionMessage] = []
        async with _Question(self, hole.question) as question:
            try:
                while not isinstance(answer := await question.answer(), wire.ReplayEnd | wire.Refused):
                    if isinstance(answer, wire.CaptionMessage) and hole.is_filled_by(answer):
                        missed.append(answer)
            except UnavailableError as silent:
                log.warning("%s", silent)
                self._silent_until = time.monotonic() + ASK_AGAIN_S
        return missed


class _Question:
    """A request under way. Each has a socket of its own, so that no late answer is mistaken."""

    def __init__(self, ear: Ear, request: wire.Request) -> None:
        self._at, self._request = ear.at, request
        if ear.at.replay is None:
            raise UnavailableError(
                f"{ear.at.publish} can't be asked",
                why="where it takes requests is not known",
                fix=f"write --connect {ear.at.publish},REPLAY",
            )
        self._socket = connect(ear._context, zmq.DEALER, ear.at.replay, ear.at.keys)

    async def __aenter__(self) -> "_Question":
        await self._socket.send(wire.encode(self._request))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._socket.close()

    async def answer(self) -> wire.Message:
        """The next message of the answer."""
        while True:
            try:
                frames = await asyncio.wait_for(self._socket.recv_multipart(), ANSWER_S)
            except TimeoutError:
                raise UnavailableError(
                    f"{self._at.publish} does not answer",
                    why=f"nothing came from {self._at.replay} for {ANSWER_S:g} s",
                    fix="look whether `edgecap run` runs there",
                ) from None
            with suppress(WireError):
                return wire.decode(frames[-1])
