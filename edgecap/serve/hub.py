"""Hub: many ears become one stream of events for many streams of browsers, and each room's present state.

ear ┐                          ┌ history
ear ┼─ in order, by room ─ hub ┼ stream (a browser)
ear ┘                          └ stream
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Iterable
from itertools import count
from typing import Any, Protocol

import msgspec
import zmq.asyncio

from edgecap import __version__
from edgecap.runtime.errors import UnavailableError, UsageError
from edgecap.runtime.telling import wire

from ..order import Position
from . import room as rooms
from .ear import Address, Ear
from .history import History
from .names import Names
from .room import Room
from .told import Positions, Told, frame, now, told, written

RECENT = 2000
"""Captions of all rooms together in memory, for browsers that were cut off; older ones are the history's."""
TICK_S = 0.5
BEAT_S = 2.0
FORGOTTEN_S = 60.0
"""So long a room may be gone while its ear tells of others."""
CLOCK_S = 2.0
"""Clocks that differ by less are the same."""
DISMISSED = 200


class Dismissed(msgspec.Struct, frozen=True):
    """An urgent caption that somebody has seen."""

    room: str
    id: str


class Listener(Protocol):
    """A browser's stream, as the hub sees it."""

    who: str
    heard: str

    def put(self, event: Told) -> None: ...

    def end(self) -> None: ...


class Hub:
    """Listens to ears for as long as `run` runs."""

    def __init__(self, addresses: Iterable[Address], history: History, names: Names) -> None:
        self.history = history
        self._names = names
        self.rooms: dict[str, Room] = {}
        self.positions: Positions = history.newest()
        self.recent: deque[wire.CaptionMessage] = deque(maxlen=RECENT)
        self.dismissed: deque[Dismissed] = deque(maxlen=DISMISSED)
        self.listeners: set[Listener] = set()
        self._newest = dict(self.positions)
        self._closely: Counter[str] = Counter()
        self._ear_shown: dict[str, tuple[bool, int | None]] = {}
        self._ear_since: dict[str, str] = {}
        self._context = zmq.asyncio.Context()
        try:
            self.ears = [Ear(self._context, each, self._hear, self._known) for each in addresses]
        except BaseException:
            self.close()
            raise

    async def run(self) -> None:
        """Until cancelled."""
        for ear in self.ears:
            self._look_at(ear)
        async with asyncio.TaskGroup() as tasks:
            for ear in self.ears:
                tasks.create_task(ear.run())
            tasks.create_task(self._watch())

    def close(self) -> None:
        """Let go of the sockets."""
        self._context.destroy(linger=0)

    def tell(self, event: Told) -> None:
        """To every browser."""
        for listener in tuple(self.listeners):
            listener.put(event)

    def listen(self, listener: Listener) -> None:
        """From now on it is told everything."""
        self.listeners.add(listener)
        if listener.heard:
            self._closely[listener.heard] += 1
            if self._closely[listener.heard] == 1:
                self._listen_closely(listener.heard, True)

    def leave(self, listener: Listener) -> None:
        if listener not in self.listeners:
            return
        self.listeners.discard(listener)
        if listener.heard:
            self._closely[listener.heard] -= 1
            if not self._closely[listener.heard]:
                self._listen_closely(listener.heard, False)

    def dismiss(self, caption: Dismissed, by: str | None) -> None:
        """An urgent caption was seen: it goes from every screen."""
        if caption not in self.dismissed:
            self.dismissed.append(caption)
            self.tell(told("dismiss", {"room": caption.room, "id": caption.id, "by": by}, caption.room))

    async def mute(self, name: str, on: bool) -> wire.Message:
        """The ear's answer. Raises UsageError for an unknown room, UnavailableError for a silent ear."""
        room = self.rooms.get(name)
        if room is None:
            raise UsageError(f"there is no room {name!r}", fix=f"the rooms are {', '.join(self.rooms)}")
        if room.is_gone:
            raise UnavailableError(f"{name} can't be asked", why="nothing comes from it any more")
        kind = wire.MuteRequest if on else wire.UnmuteRequest
        return await room.ear.ask(kind(room=room.local))

    def told_rooms(self) -> list[dict[str, Any]]:
        return [room.told() for room in self.rooms.values()]

    def told_ears(self) -> list[dict[str, Any]]:
        return [self._told_ear(ear) for ear in self.ears]

    def hello(self) -> dict[str, Any]:
        return {
            "version": __version__,
            "now": now(),
            "rooms": self.told_rooms(),
            "ears": self.told_ears(),
            "store": self.history.trouble(),
            "dismissed": list(self.dismissed),
        }

    def caption_told(self, message: wire.CaptionMessage, positions: Positions) -> Told:
        """A caption as the wire has it, and whose ear told it."""
        room = self.rooms.get(message.room)
        ear = msgspec.json.encode(room.ear.at.name if room else None)
        data = wire.encode(message)[:-1] + b',"ear":' + ear + b"}"
        position = message.run, message.seq
        named = written(positions | {message.room: position}, message.room)
        return Told("caption", message.room, data, position, frame("caption", data, named))

    def _known(self, ear: Ear, local: str) -> Position | None:
        return self._newest.get(self._room(ear, local).name)

    def _room(self, ear: Ear, local: str) -> Room:
        for room in self.rooms.values():
            if room.ear is ear and room.local == local:
                return room
        name = self._names.name(ear.at, local)
        room = self.rooms[name] = Room(name, local, ear, now())
        if self._closely[name]:
            ear.listen_closely(local, True)
        return room

    def _hear(self, ear: Ear, message: wire.Published) -> None:
        room = self._room(ear, message.room)
        if room.name != message.room:
            message = msgspec.structs.replace(message, room=room.name)
        if isinstance(message, wire.CaptionMessage):
            room.live = None if message.event == "end" else message
            self.positions[room.name] = message.run, message.seq
            self.recent.append(message)
            self.history.put(message)
            self.tell(self.caption_told(message, self.positions))
        elif isinstance(message, wire.StatusMessage):
            room.status, room.told_s = message, time.monotonic()
            room.live = message.live and msgspec.structs.replace(message.live, room=room.name)
            self._look_at_room(room)
        else:
            self.tell(told("heard", message, room.name))
        self._look_at(ear)

    def _look_at_room(self, room: Room) -> None:
        """Tell its state where that is another than it was."""
        told_now = room.told()
        shown = tuple(str(told_now[each]) for each in ("state", "capture", "why"))
        if shown != room.shown:
            if shown[:1] != room.shown[:1]:
                room.since = now()
            room.shown = shown
            self.tell(told("room", room.told(), room.name))

    def _forget(self, room: Room) -> None:
        """A room that its ear has no more, as after another configuration, is no longer listened for."""
        if _is_there(room.ear) and time.monotonic() - room.told_s > FORGOTTEN_S:
            del self.rooms[room.name]
            for listener in tuple(self.listeners):
                listener.end()  # it comes again, and is told anew which rooms there are

    def _look_at(self, ear: Ear) -> None:
        """Tell whether it is there, and whether its clock goes right, where that is another than it was."""
        clock = ear.clock_s
        shown = _is_there(ear), round(clock) if clock is not None and abs(clock) > CLOCK_S else None
        before = self._ear_shown.get(ear.at.name)
        if shown != before:
            if before is None or before[0] != shown[0]:
                self._ear_since[ear.at.name] = now()
            self._ear_shown[ear.at.name] = shown
            self.tell(told("ear", self._told_ear(ear)))

    def _told_ear(self, ear: Ear) -> dict[str, Any]:
        is_there, clock = self._ear_shown.get(ear.at.name, (False, None))
        return {
            "ear": ear.at.name,
            "endpoint": ear.at.publish,
            "connected": is_there,
            "since": self._ear_since.get(ear.at.name, now()),
            "why": None if is_there else f"Nothing comes from {ear.at.publish}.",
            "clock_s": clock,
        }

    def _listen_closely(self, name: str, on: bool) -> None:
        if room := self.rooms.get(name):
            room.ear.listen_closely(room.local, on)

    async def _watch(self) -> None:
        """What is shown by nothing coming, and the beats."""
        trouble = None
        for tick in count(1):
            await asyncio.sleep(TICK_S)
            for room in tuple(self.rooms.values()):
                if room.is_gone:
                    self._look_at_room(room)
                    self._forget(room)
            for ear in self.ears:
                self._look_at(ear)
            if tick % round(BEAT_S / TICK_S):
                continue
            if (found := self.history.trouble()) != trouble:
                trouble = found
                self.tell(told("store", trouble))
            for room in self.rooms.values():
                self.tell(told("room", room.told(), room.name))
            self.tell(told("beat", {"now": now()}))


def _is_there(ear: Ear) -> bool:
    return ear.heard_s is not None and time.monotonic() - ear.heard_s <= rooms.GONE_S
