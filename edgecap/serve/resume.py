"""Resume: the captions that a browser missed while it was away, in the order in which they were published.

What is in memory comes from there, the rest from the history. A browser says by its last id what it has.
"""

import heapq
import logging
from collections.abc import AsyncIterator, Collection, Sequence
from itertools import islice

from anyio.to_thread import run_sync

from edgecap.runtime.errors import EdgecapError
from edgecap.runtime.telling.wire import CaptionMessage

from ..order import Position
from .history import History
from .hub import Hub
from .told import Positions

PAGE = 200
"""Messages read from the history at once."""

log = logging.getLogger(__name__)


class Resume:
    """What is missed at the moment when this is made; what comes later is told anyway.

    since: what the browser has of each room, as `told.read` reads its last id. A room that is not in it began
    later than the newest that is. rooms: these alone, all where there are none.
    """

    def __init__(self, hub: Hub, since: Positions, rooms: Collection[str] = ()) -> None:
        self.ahead: Positions = {}
        """What the browser has and we have not yet: we have begun anew, and catch up ourselves."""
        self._sources: list[AsyncIterator[CaptionMessage]] = []
        self._newest = max(
            (
                number
                for number, each in enumerate(hub.recent)
                if since.get(each.room) == (each.run, each.seq)
            ),
            default=-1,
        )
        for room in hub.positions.keys() | since.keys():
            if (rooms and room not in rooms) or since.get(room) == hub.positions.get(room):
                continue
            self._add(hub, room, since.get(room))

    async def __aiter__(self) -> AsyncIterator[CaptionMessage]:
        heads: list[tuple[str, int, CaptionMessage]] = []
        for number, source in enumerate(self._sources):
            await _push(heads, number, source)
        while heads:
            _, number, message = heapq.heappop(heads)
            yield message
            await _push(heads, number, self._sources[number])

    def _add(self, hub: Hub, room: str, had: Position | None) -> None:
        newest = hub.positions.get(room)
        kept = [each for each in hub.recent if each.room == room]
        if had is None:
            later = islice(hub.recent, self._newest + 1, None)
            self._sources.append(_each([each for each in later if each.room == room]))
        elif newest is None or (had[0] == newest[0] and had[1] > newest[1]):
            self.ahead[room] = had
        elif behind := _behind(kept, had):
            self._sources.append(_each(behind))
        else:
            until = (kept[0].run, kept[0].seq) if kept else (newest[0], newest[1] + 1)
            if not kept and had[0] != newest[0]:
                self.ahead[room] = had  # perhaps of a run that we have not met yet; else it is missed below
            self._sources.append(self._older(hub.history, room, had, until, kept))

    async def _older(
        self, history: History, room: str, had: Position, until: Position, kept: Sequence[CaptionMessage]
    ) -> AsyncIterator[CaptionMessage]:
        """What the history has between the two, then what is kept in memory."""
        at, is_more = had, True
        while is_more:
            try:
                page = await run_sync(history.after, room, *at, PAGE)
            except EdgecapError as unreadable:
                log.warning("%s", unreadable)
                break
            is_more = len(page) == PAGE
            for each in page:
                at = each.run, each.seq
                if at[0] == until[0] and at[1] >= until[1]:
                    is_more = False
                    break
                self.ahead.pop(room, None)
                yield each
        for each in kept:
            yield each


def _behind(kept: Sequence[CaptionMessage], had: Position) -> Sequence[CaptionMessage]:
    """What of it is behind `had`; nothing where it does not reach back so far."""
    for number, each in enumerate(kept):
        if (each.run, each.seq) == had or (each.run, each.seq) == (had[0], had[1] + 1):
            return kept[number + ((each.run, each.seq) == had) :]
    return ()


async def _each(messages: Sequence[CaptionMessage]) -> AsyncIterator[CaptionMessage]:
    for each in messages:
        yield each


async def _push(
    heads: list[tuple[str, int, CaptionMessage]], number: int, source: AsyncIterator[CaptionMessage]
) -> None:
    if (message := await anext(source, None)) is not None:
        heapq.heappush(heads, (message.at or message.start, number, message))
