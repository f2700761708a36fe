"""Capture health: a state machine over what arrives, the time passed in.

It judges by samples, never by what the sound system says of itself: a stream whose device has gone
may stay "active" for ever, and one that was moved to another device keeps delivering.

    starting ── block ──► healthy ◄─────────── steady ──────────┐
                            │ ▲                                 │
       no block for 0.5 s   │ │ a block after all           recovering
                            ▼ │                                 ▲
                         stalled ── for 1 s ──► lost ── opened ─┘
    only zeros for 20 s: zeros, until 0.3 s of anything else. A device known to be gone: lost at once.

Zeros are also a constant offset and dither: what is flat tells nothing of a room.
"""

from typing import Literal

Health = Literal["starting", "healthy", "stalled", "zeros", "lost", "recovering"]

STALL_S = 0.5
"""No block for so long is suspicious: PulseAudio is silent for 0.8-2 s before it moves a stream away."""
LOST_S = 1.0
"""No block for so long: reopen. Well within the 5 s in which people must be told."""
FIRST_BLOCK_S = 3.0
"""A stream just opened may take its time; some servers need 1.5 s."""
STEADY_S = 0.5
"""Reopened and delivering for so long: healthy again."""
ZEROS_S = 20.0
"""Only zeros for so long: muted in hardware, or the wrong source. A quiet room is never all zeros."""
SOUND_S = 0.3
"""Anything but zeros for so long ends `zeros`: single clicks don't make it flap."""
ZEROS_REOPEN_S = 60.0
"""Between two tries to mend zeros by reopening; the first comes at once."""
RETRY_FIRST_S = 0.1
RETRY_MOST_S = 2.5
"""Doubles from first to most. With 5 s at most, captions would be later than 5 s after the return."""
GOOD_RUN_S = 10.0
"""Healthy for so long, and the next loss begins with a quick retry again."""


class Watchdog:
    """Feed it opened, block and lost; ask health, should_reopen and patience. All times in seconds.

    bursts_s: sound that comes ahead of its time, up to so much, is not missed before it is over: a program
    may write seconds at a time.
    """

    def __init__(self, now: float, bursts_s: float = 0.0) -> None:
        self.health: Health = "starting"
        self._bursts_s = bursts_s
        self._good_since: float | None = None
        self._opened_at: float | None = None
        self._covered_until = now  # by the sound that has come
        self._delivering_since: float | None = None
        self._zeros_since: float | None = None
        self._sound_s = 0.0
        self._retry_s = RETRY_FIRST_S
        self._retry_at = now
        self._zeros_reopen_at = now

    @property
    def is_open(self) -> bool:
        """Whether it has been told of a stream that it has not called lost."""
        return self._opened_at is not None

    def opened(self, now: float) -> None:
        """A stream was opened; blocks should follow."""
        self._opened_at = self._covered_until = now
        self._delivering_since = None
        if self.health == "lost":
            self.health = "recovering"

    def lost(self, now: float) -> None:
        """The device could not be opened, or is known to be gone."""
        if self._good_since is not None and now - self._good_since >= GOOD_RUN_S:
            self._retry_s = RETRY_FIRST_S
        self._opened_at = self._zeros_since = self._good_since = None
        self._retry_at = now + self._retry_s
        self._retry_s = min(2 * self._retry_s, RETRY_MOST_S)
        self.health = "lost"

    def block(self, now: float, length_s: float, is_flat: bool) -> bool:
        """A block of `length_s` arrived. True where it ends a hole: it may come from another source."""
        after_hole = self._delivering_since is not None and now - self._covered_until > STALL_S
        ends = max(self._covered_until, now - length_s) + length_s
        self._covered_until = min(max(ends, now), now + self._bursts_s)
        if self._delivering_since is None or after_hole:
            self._delivering_since = now
        if is_flat:
            self._sound_s = 0.0
            if self._zeros_since is None:
                self._zeros_since = now - length_s
        else:
            self._sound_s += length_s
            if self.health != "zeros" or self._sound_s >= SOUND_S:
                self._zeros_since = None
        self.tick(now)
        return after_hole

    def tick(self, now: float) -> None:
        """Time has passed, whatever came or not."""
        if self._opened_at is None:
            return
        silent_for = now - self._covered_until
        if self._delivering_since is None:
            if silent_for > FIRST_BLOCK_S:
                self.lost(now)
        elif silent_for > LOST_S:
            self.lost(now)
        elif silent_for > STALL_S:
            self.health = "stalled"
        elif self._zeros_since is not None and now - self._zeros_since >= ZEROS_S:
            if self.health != "zeros":
                self._zeros_reopen_at = now
            self.health = "zeros"
        elif self.health != "recovering" or now - self._delivering_since >= STEADY_S:
            self.health = "healthy"
            if self._good_since is None:
                self._good_since = now

    def should_reopen(self, now: float) -> bool:
        """Whether it is time to close what is open, if anything, and open anew."""
        if self._opened_at is None:
            return now >= self._retry_at
        if self.health == "zeros" and now >= self._zeros_reopen_at:
            self._zeros_reopen_at = now + ZEROS_REOPEN_S
            return True
        return False

    def patience(self, now: float) -> float:
        """Seconds in which nothing changes by itself, unless a block comes."""
        if self._opened_at is None:
            return max(0.0, self._retry_at - now)
        limits = (STALL_S, LOST_S) if self._delivering_since is not None else (FIRST_BLOCK_S,)
        due = [limit - (now - self._covered_until) for limit in limits]
        return next((seconds + 0.01 for seconds in due if seconds >= 0), 0.0)
