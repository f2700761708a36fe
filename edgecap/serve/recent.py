"""Recent: the last captions in memory, for a face that keeps no history."""

from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec

from edgecap.runtime.telling import wire

KEEP = 1000


class Recent:
    def __init__(self) -> None:
        self._rooms: dict[str, deque[wire.CaptionMessage]] = {}

    def put(self, message: wire.CaptionMessage) -> None:
        self._rooms.setdefault(message.room, deque(maxlen=KEEP)).append(message)

    def trouble(self) -> object:
        return None

    def newest(self) -> dict[str, tuple[int, int]]:
        return {}

    def after(self, room: str, run: int, seq: int, limit: int) -> list[wire.CaptionMessage]:
        kept = list(self._rooms.get(room, ()))
        at = next((n + 1 for n, each in enumerate(kept) if (each.run, each.seq) == (run, seq)), 0)
        return kept[at : at + limit]

    def captions(
        self,
        *,
        rooms: Sequence[str] = (),
        since: Any = None,
        until: Any = None,
        before: str | None = None,
        limit: int = 200,
    ) -> list[dict[str, Any]]:
        newest: dict[str, wire.CaptionMessage] = {}
        for name, kept in self._rooms.items():
            if not rooms or name in rooms:
                newest |= {each.id: each for each in kept}
        found = sorted(newest.values(), key=lambda each: each.start, reverse=True)[:limit]
        return [self._kept(each) for each in found]

    def close(self) -> None:
        pass

    def _kept(self, message: wire.CaptionMessage) -> dict[str, Any]:
        kept: dict[str, Any] = msgspec.to_builtins(message)
        end = message.end and wire.moment(message.end)
        kept["duration"] = end and (end - wire.moment(message.start)).total_seconds()
        return kept
