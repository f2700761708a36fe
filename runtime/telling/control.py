"""Control: what readers may ask of the rooms, by the request socket's words. One word, one method.

A request that is not wire version 1 is counted and not answered: who sent it reads no answer of ours.
Every other one is answered, with what was asked for, with `ok`, or with `refused` and the reason.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from ..errors import EdgecapError, WireError
from . import wire
from .publisher import Publisher
from .room_log import RoomLog

REQUESTS_A_POLL = 4
"""More wait for the next poll, so that no crowd of readers keeps the daemon from its sound."""


class Controlled(Protocol):
    """A room, as far as its readers may ask something of it."""

    log: RoomLog

    def mute(self, on: bool) -> None:
        """Close or open its microphone. Raises UsageError with the reason where it has none."""

    def held(self) -> Mapping[str, int]:
        """Sound -> how often it was heard for sure and yet not said."""
        ...


class Control:
    """Answers requests about these rooms. run: the daemon's start in UTC milliseconds."""

    def __init__(self, rooms: Mapping[str, Controlled], run: int) -> None:
        self._rooms, self._run = rooms, run
        self.refused = 0
        """Requests that were not understood, for no room here, or whose asker did not take the answer."""
        # A further word is a message in wire.py, a line here and a section in docs/wire.md.
        self._words: dict[str, Callable[[Controlled, wire.Message], list[wire.Message]]] = {
            "replay": self._replay,
            "mute": lambda room, request: self._mute(room, request, True),
            "unmute": lambda room, request: self._mute(room, request, False),
            "held": lambda room, _: self._held(room),
        }

    def poll(self, publisher: Publisher) -> int:
        """Answer the requests that wait, a few at most, without ever blocking; how many."""
        answered = 0
        while answered < REQUESTS_A_POLL and (request := publisher.receive()) is not None:
            answers = self.answer(request.data) if len(request.envelope) <= 2 else []
            if not answers or not publisher.answer(request, [wire.encode(each) for each in answers]):
                self.refused += 1
            answered += 1
        return answered

    def answer(self, data: bytes) -> list[wire.Message]:
        """What a request is answered with; nothing where it is no request."""
        try:
            kind, name = wire.head(data)
        except WireError:
            return []
        room = self._find(name)
        if kind not in self._words:
            return [
                self._refusal(name, kind, f"{kind!r} is no request", f"known are {', '.join(self._words)}")
            ]
        try:
            request = wire.decode(data)
        except WireError as broken:
            return [self._refusal(name, kind, broken.why, "docs/wire.md shows each request")]
        if room is None:
            here = ", ".join(self._rooms)
            return [self._refusal(name, kind, f"there is no room {name!r} here", f"the rooms are {here}")]
        try:
            return self._words[kind](room, request)
        except EdgecapError as refused:
            return [self._refusal(room.log.room, kind, refused.why or refused.what, refused.fix)]

    def _find(self, name: str) -> Controlled | None:
        """The room of that name; an empty one is whichever is there, where it is the only one."""
        if not name and len(self._rooms) == 1:
            return next(iter(self._rooms.values()))
        return self._rooms.get(name)

    def _replay(self, room: Controlled, request: wire.Message) -> list[wire.Message]:
        assert isinstance(request, wire.ReplayRequest)
        log = room.log
        end = wire.ReplayEnd(room=log.room, run=log.run, after=request.after, last=log.last)
        return [*log.missed(request.run, request.after), end]

    def _mute(self, room: Controlled, request: wire.Message, on: bool) -> list[wire.Message]:
        room.mute(on)
        return [wire.Ok(room=room.log.room, run=self._run, request=request.type)]

    def _held(self, room: Controlled) -> list[wire.Message]:
        sounds = tuple(wire.HeldSound(label, times) for label, times in room.held().items())
        return [wire.HeldBack(room=room.log.room, run=self._run, sounds=sounds)]

    def _refusal(self, room: str, kind: str, why: str, fix: str) -> wire.Refused:
        self.refused += 1
        return wire.Refused(room=room, run=self._run, request=kind[:64], why=why, fix=fix)
