"""Stream: what a browser is told, as server-sent events; it waits for nobody and nobody for it."""

import asyncio
from collections import deque
from collections.abc import Collection
from contextlib import suppress
from typing import Any

import msgspec
from starlette.types import Message, Receive, Scope, Send

from .hub import Hub
from .resume import Resume
from .told import Positions, Told, frame, read, written

MOST_WAITING = 1 << 20
"""Bytes that wait for one browser. Who takes no more is dropped, and comes again with its last id."""
ENDING_S = 0.5
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would hold the events back
]


class Stream:
    """One browser's events.

    who: the id of the device that reads. rooms: these alone, all where there are none. since: what it has of
    who: the id of the device. rooms: these alone, all where there are none. since: what it has of
    hello.
    """

    def __init__(
        self,
        hub: Hub,
        who: str,
        *,
        rooms: Collection[str] = (),
        since: Positions | None = None,
        heard: str = "",
        device: Any = None,
    ) -> None:
        self.who, self.heard = who, heard
        self._hub, self._rooms, self._since, self._device = hub, frozenset(rooms), since, device
        self._ahead: Positions = {}
        self._waiting: deque[Told] = deque()
        self._size = 0
        self._more = asyncio.Event()
        self._telling: asyncio.Task[None] | None = None
        self._is_over = False

    def put(self, event: Told) -> None:
        """One more event, if it is for this browser; never waits."""
        if self._is_over or (event.event == "heard" and event.room != self.heard):
            return
        if self._rooms and event.room and event.room not in self._rooms:
            return
        self._size += len(event.frame)
        if self._size > MOST_WAITING:
            self.end()
            return
        self._waiting.append(event)
        self._more.set()

    def end(self) -> None:
        """No more events; the connection is closed."""
        self._is_over = True
        self._waiting.clear()
        if self._telling:
            self._telling.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        self._telling = asyncio.create_task(self._tell(send))
        gone = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait((self._telling, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._hub.leave(self)
            self._is_over = True
            for task in (self._telling, gone):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        with suppress(TimeoutError):  # whoever takes nothing gets no end either: the door cuts it off
            async with asyncio.timeout(ENDING_S):
                await send({"type": "http.response.body", "body": b""})

    async def _tell(self, send: Send) -> None:
        hub = self._hub
        positions, resume = dict(hub.positions), None
        if self._since is not None:
            # A room that it has nothing of is missed from its beginning.
            positions = {
                room: self._since.get(room, (0, 0)) for room in positions.keys() | self._since.keys()
            }
            resume = Resume(hub, self._since, self._rooms)
            self._ahead = resume.ahead
        hub.listen(self)  # no await since the positions were taken, so that nothing is lost or doubled here
        hello = msgspec.json.encode({**hub.hello(), "device": self._device})
        await send(_body(frame("hello", hello, written(positions))))
        if resume is not None:
            async for message in resume:
                positions[message.room] = message.run, message.seq
                await send(_body(hub.caption_told(message, positions).frame))
        while True:
            await self._more.wait()
            self._more.clear()
            data = b"".join(self._frame(event, positions) for event in self._waiting)
            self._waiting.clear()
            self._size = 0
            await send(_body(data))

    def _frame(self, event: Told, positions: Positions) -> bytes:
        """The event as it is sent. positions: what the browser has, as long as it has more than we do."""
        if not (event.position and self._ahead):
            return event.frame
        ahead = self._ahead.get(event.room)
        if ahead and ahead[0] == event.position[0] and event.position[1] < ahead[1]:
            return b""
        self._ahead.pop(event.room, None)
        if ahead == event.position:
            return b""
        # The id that all others get is behind what it has of rooms that we are still catching up with.
        positions[event.room] = event.position
        return frame(event.event, event.data, written(positions, event.room))


def since(last_id: str) -> Positions | None:
    """What a browser has, by the last id that it gives back; None where it gives none."""
    try:
        return read(last_id) if last_id else None
    except ValueError:
        return None


def _body(data: bytes) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": True}


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
