"""RoomLog: one room's messages, numbered, and the captions kept for who missed some. No sockets.

Each topic counts by itself, from 1 in each run: (run, seq) orders everything, and a hole is a loss.
"""

import base64
import math
from collections import deque
from collections.abc import Iterable
from datetime import datetime
from itertools import islice

from ..audio import CHUNK_SAMPLES, seconds
from ..events import Caption
from . import wire

HOP_S = seconds(CHUNK_SAMPLES)
KEEP = 1000
"""Captions held in memory for replay: a day of most rooms."""


class RoomLog:
    """What one room has told. model: the bundle's title. run: the daemon's start in UTC milliseconds."""

    def __init__(self, room: str, model: str, run: int, keep: int = KEEP) -> None:
        self.room, self.model, self.run = room, model, run
        self.last = 0
        """seq of the newest caption; 0 before the first."""
        self.live: wire.CaptionMessage | None = None
        """The newest message of the caption that is open."""
        self._statuses = self._heard = 0
        self._kept: deque[wire.CaptionMessage] = deque(maxlen=keep)

    def caption(
        self, caption: Caption, start: datetime, end: datetime | None, at: datetime
    ) -> wire.CaptionMessage:
        """A caption event of the session as the wire has it. start, end: its samples as times of the day."""
        self.last += 1
        message = wire.CaptionMessage(
            room=self.room,
            run=self.run,
            seq=self.last,
            id=f"{self.run}-{caption.id}",
            event=caption.kind,
            text=caption.text,
            confidence=round(caption.confidence, 3),
            sounds=tuple(wire.Sound(sound.label, round(sound.score, 3)) for sound in caption.sounds),
            start=wire.timestamp(start),
            end=wire.timestamp(end) if end else None,
            model=self.model,
            at=wire.timestamp(at),
            priority=caption.priority,
            semantic=base64.b64encode(caption.semantic).decode() if caption.semantic else None,
        )
        self.live = None if message.event == "end" else message
        self._kept.append(message)
        return message

    def status(
        self,
        state: wire.State,
        *,
        at: datetime,
        level: float,
        gaps: int,
        capture: wire.CaptureHealth,
        uptime: float,
        held: int = 0,
    ) -> wire.StatusMessage:
        """How the room is. level: dB of full scale, not finite where nothing was heard yet. gaps: samples
        lost in this run. capture: the watchdog's word. uptime: seconds.
        held: what was sure and not said, as often as it was."""
        self._statuses += 1
        return wire.StatusMessage(
            room=self.room,
            run=self.run,
            seq=self._statuses,
            at=wire.timestamp(at),
            state=state,
            live=self.live,
            last=self.last,
            level=_finite(level),
            gaps=gaps,
            capture=capture,
            hop=HOP_S,
            model=self.model,
            uptime=round(uptime, 1),
            held=held,
        )

    def heard(
        self, level: float, sounds: Iterable[tuple[str, float, str | None]], at: datetime
    ) -> wire.HeardMessage:
        """What is heard now. sounds: (label, score, why it is not said), surest first."""
        self._heard += 1
        return wire.HeardMessage(
            room=self.room,
            run=self.run,
            seq=self._heard,
            at=wire.timestamp(at),
            level=_finite(level),
            sounds=tuple(wire.HeardSound(label, round(score, 3), why) for label, score, why in sounds),
        )

    def missed(self, run: int, after: int) -> list[wire.CaptionMessage]:
        """The kept captions behind `after`, oldest first; all of them if that counts in another run."""
        missed = min(max(self.last - (after if run == self.run else 0), 0), len(self._kept))
        return list(islice(self._kept, len(self._kept) - missed, None))


def _finite(level: float) -> float | None:
    return round(level, 1) if math.isfinite(level) else None
