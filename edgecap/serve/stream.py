"""Stream: what a browser is told, as server-sent events; it waits for nobody and nobody for it."""

import asyncio
from collections import deque
from collections.abc import Iterable
from contextlib import suppress

import msgspec
from starlette.types import Message, Receive, Scope, Send

from edgecap.runtime.telling.wire import CaptionMessage

from .hub import Hub, Positions, Told, frame, read, written

MOST_WAITING = 1 << 20
"""Bytes that wait for one browser; who takes them no more is dropped, and comes again with its last id."""
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would hold the events back
]


class Stream:
    """One browser's events. rooms: empty for all. since: what it has of each room; None for nothing yet."""

    def __init__(
        self, hub: Hub, rooms: Iterable[str] = (), since: Positions | None = None, heard: str = "",
        device: object = None,
    ) -> None:  # fmt: skip
        self.heard = heard
        self._hub, self._rooms, self._since, self._device = hub, frozenset(rooms), since, device
        self._ahead: Positions = {}
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.is_over = False

    def put(self, event: Told, positions: Positions) -> None:
        """One more event, if it is for this browser; never waits."""
        if self.is_over or (event.event == "heard" and event.room != self.heard):
            return
        if self._rooms and event.room and event.room not in self._rooms:
            return
        data = event.frame
        if event.position and self._ahead:
            if self._has(event.room, event.position):
                return
            # Its id must not fall behind what the browser has of rooms that we are still catching up with.
            data = frame(event.event, event.data, written(positions | self._ahead, event.room))
        self._size += len(data)
        if self._size > MOST_WAITING:
            self.end()
            return
        self._waiting.append(data)
        self._more.set()

    def end(self) -> None:
        """No more events; the connection is closed."""
        self.is_over = True
        self._waiting.clear()
        if self._task:
            self._task.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        self._task = asyncio.create_task(self._tell(send))
        gone = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait((self._task, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._hub.leave(self)
            self.is_over = True
            for task in (self._task, gone):
                task.cancel()
                with suppress(asyncio.CancelledError, OSError):
                    await task

    async def _tell(self, send: Send) -> None:
        hub, since = self._hub, self._since
        positions = hub.positions | (since or {})
        if since is not None:
            # A room that the browser has nothing of is missed from its beginning.
            positions = {room: since.get(room, (0, 0)) for room in {**hub.positions, **since}}
        missed = self._missed()
        hub.listen(self)  # with no await between, so that nothing is lost or doubled here
        hello = msgspec.json.encode({**hub.hello(), "device": self._device})
        await send(_body(frame("hello", hello, written(positions))))
        for message in missed:
            positions[message.room] = message.run, message.seq
            await send(_body(hub.caption_told(message, positions).frame))
        while True:
            await self._more.wait()
            self._more.clear()
            data, self._size = b"".join(self._waiting), 0
            self._waiting.clear()
            await send(_body(data))

    def _missed(self) -> list[CaptionMessage]:
        """What the browser misses of every room, in the order in which it was published."""
        if self._since is None:
            return []
        missed: list[CaptionMessage] = []
        for room in self._hub.positions.keys() | self._since.keys():
            if self._rooms and room not in self._rooms:
                continue
            had = self._since.get(room)
            here = self._hub.missed(room, had)
            if had and not here and had != self._hub.positions.get(room):
                self._ahead[room] = had  # we began anew and catch up: it may know more than we do
            missed += here
        return sorted(missed, key=lambda each: each.at or each.start)

    def _has(self, room: str, position: tuple[int, int]) -> bool:
        """Whether the browser has the caption already; where not, we are no longer behind it."""
        ahead = self._ahead.get(room)
        if ahead is None:
            return False
        if ahead[0] != position[0] or ahead[1] <= position[1]:
            del self._ahead[room]
        return ahead[0] == position[0] and position[1] <= ahead[1]


def since(last: str) -> Positions | None:
    """What a Last-Event-ID tells; None where it tells nothing."""
    try:
        return read(last) if last else None
    except ValueError:
        return None


def _body(data: bytes) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": True}


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
