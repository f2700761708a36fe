"""Timeline: when a sample was, for every kind of source. Fed with what came when, and what time it is.

What the times of a room mean:

    file         its first sample sounded when the room was started, and its clock is perfect
    microphone   when the sound was at the microphone, by the wall clock; the card's own clock, which
                 is off by up to 500 ppm (43 s a day), is followed
    pipe         the same: a sample sounded when it came, or earlier, if those after it show that it had
                 waited. A pipe that brings more sound than time passes is a recording, told as a file

A live sample can come late, never early. So of the last two seconds the one that came soonest tells
where the samples stand in time, and jitter, bursts and a backlog that is made up move nothing. At the start
and after a stall the last half second does.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ..audio import seconds

WINDOW_S = 2.0
"""Sound that comes late for so long, at the pace of time, stays late: it really sounded then."""
STALL_S = 1.0
"""After a pause of this length, as at the start, nobody knows whether sound has waited or was lost …"""
SETTLED_S = 0.5
"""… until it has come at the pace of time for so long: what waits comes faster."""
JUMP_S = 0.2
"""More than drift and jitter can be: the samples after it stand elsewhere in time, at once."""
CATCHING_UP = 0.1
"""Lateness that shrinks by more than this a second: a backlog is being made up, or a recording read."""
SMOOTHING_S = 10.0
"""Smaller differences are followed with this time constant: 500 ppm leaves the times 5 ms behind."""
RECORDING_S = 30.0
"""So much more sound than time has passed: a recording. Live streams of the web begin 20 s back at most."""
PIECES = 16
"""Jumps that are remembered; captions reach back by seconds, jumps are seconds apart at least."""


@dataclass(slots=True)
class _Piece:
    """A stretch of samples without a jump: sample p sounded at `zero` + p/32000 by the monotonic clock."""

    start: int
    zero: float
    wall: float
    """Unix time less monotonic time."""


class Timeline:
    """Maps positions (samples at 32 kHz since the start, gaps included) to UTC.

    started_utc, started_monotonic: the same instant by both clocks. is_live: whether samples come as
    they sound; otherwise sample p was at started_utc + p/32000, for ever.
    """

    def __init__(self, started_utc: datetime, started_monotonic: float, is_live: bool) -> None:
        self._is_live = is_live
        wall = started_utc.timestamp() - started_monotonic
        self._pieces = deque([_Piece(0, started_monotonic, wall)], maxlen=PIECES)
        self._came: deque[tuple[float, float]] = deque()  # (when, as if sample 0 had sounded at)
        self._resumed_at = -math.inf
        self._position = 0
        self._on_time_until = 0

    def utc(self, position: int) -> datetime:
        """When that sample sounded. What was asked before a correction may be answered otherwise after."""
        piece = next((piece for piece in reversed(self._pieces) if piece.start <= position), self._pieces[0])
        return datetime.fromtimestamp(piece.zero + seconds(position) + piece.wall, UTC)

    def arrived(self, position: int, at_monotonic: float) -> None:
        """The samples before `position` had come by then. Call it for each block, in order."""
        if not self._is_live:
            return
        zero = at_monotonic - seconds(position)
        if not self._came:  # nothing sounded before the start, unless what follows shows that it did
            self._pieces[-1].zero = max(self._pieces[-1].zero, zero)
        elapsed = at_monotonic - self._came[-1][0] if self._came else 0.0
        if elapsed > STALL_S or not self._came:
            self._resumed_at = at_monotonic
        self._came.append((at_monotonic, zero))
        while len(self._came) > 2 and self._came[1][0] <= at_monotonic - WINDOW_S:
            self._came.popleft()
        self._correct(elapsed)
        self._position = position
        if zero <= self._pieces[-1].zero + JUMP_S:
            self._on_time_until = position

    def clock(self, now_utc: datetime, now_monotonic: float) -> None:
        """What time it is. Call it about once a second: a clock that was set, and suspend, are followed.

        What came before a step keeps the time that the clock showed then.
        """
        if not self._is_live:
            return
        wall = now_utc.timestamp() - now_monotonic
        piece = self._pieces[-1]
        if abs(wall - piece.wall) > JUMP_S and self._position > piece.start:
            self._pieces.append(_Piece(self._position, piece.zero, wall))
        else:
            piece.wall = wall

    def _correct(self, elapsed_s: float) -> None:
        piece = self._pieces[-1]
        if min(zero for _, zero in self._came) - piece.zero < -RECORDING_S:
            self._is_live = False
            return
        soonest = self._settled()
        if soonest is None:
            return  # nobody knows yet where it will settle
        late = soonest - piece.zero
        if abs(late) <= JUMP_S:
            piece.zero += late * -math.expm1(-elapsed_s / SMOOTHING_S)
        elif late > 0 and self._on_time_until > piece.start:
            self._pieces.append(_Piece(self._on_time_until, piece.zero + late, piece.wall))
        else:
            piece.zero += late
            for earlier in self._pieces:  # its samples can't have sounded after those that followed
                earlier.zero = min(earlier.zero, piece.zero)

    def _settled(self) -> float | None:
        """When sample 0 would have sounded by what came soonest lately, where it came at the pace of time."""
        since_stall = [(at, zero) for at, zero in self._came if at >= self._resumed_at > -math.inf]
        if _keeps_pace(since_stall, SETTLED_S):
            self._came = deque(since_stall)  # what came before the stall tells nothing of what came after
            self._resumed_at = -math.inf
        elif not _keeps_pace(self._came, WINDOW_S):
            return None
        return min(zero for _, zero in self._came)


def _keeps_pace(came: Sequence[tuple[float, float]], window_s: float) -> bool:
    """Whether, over the whole window, samples came about as fast as they sound."""
    if not came or came[-1][0] - came[0][0] < window_s:
        return False
    now = came[-1][0]
    earlier = min(zero for at, zero in came if at <= now - window_s / 2)
    later = min(zero for at, zero in came if at > now - window_s / 2)
    return earlier - later <= CATCHING_UP * window_s / 2
