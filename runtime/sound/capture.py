"""Capture: a live source that is watched, opened again when it goes, and accounted for to the sample.

It knows no microphone by name: it is given a function that opens one.
"""

import logging
import time
from collections.abc import Callable
from threading import Event, Thread
from typing import Literal, Protocol

from ..audio import RATE, seconds
from ..errors import MicrophoneError
from .blocks import Arrival, Delivery
from .ring import Ring
from .watchdog import Health, Watchdog

log = logging.getLogger(__name__)

LAG_S = 3.0
"""What the ring holds. A session further behind than this loses the oldest: late captions help nobody."""
MOVE_CHECK_S = 1.0
"""Between two questions to the sound server where our stream comes from; one costs 40 µs."""
SLOW_S = 2.0
"""A call into the sound system that lasts longer hangs, most likely; opening takes 0.3 s at most."""


DRIFT = 1e-3
"""More than any sound card's clock is off."""


class LiveSource(Protocol):
    """What `Capture` opens, again and again: a microphone."""

    @property
    def name(self) -> str:
        """What people know it by."""
        ...

    def read(self, timeout_s: float, /) -> Delivery | None:
        """The next block; None where none came in time. A gap shows in the block's index."""
        ...

    def was_moved(self) -> bool | None:
        """Whether something else now feeds it; None where that can't be told."""
        ...

    def close(self) -> None: ...


class Capture:
    """A live source's thread. Its ring goes on in time, whether there is sound or not.

    wait: sleeps until so many seconds have passed, or less; on a time of its own in tests.
    open_source: opens it; raises MicrophoneError while it isn't there, which is tried again for ever,
    and anything else where it can never be had, which ends the ring with that error.
    ring: samples at 32 kHz; what could not be captured is skipped in it, so that its count stays
    in step with the clock: delivered + skipped = time since the start.
    """

    is_live: Literal[True] = True
    kind: Literal["microphone"] = "microphone"

    def __init__(
        self,
        open_source: Callable[[], LiveSource],
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self.ring: Ring[Arrival] = Ring(round(LAG_S * RATE))
        self._open_source = open_source
        self._clock = clock
        self._watchdog = Watchdog(clock())
        self._source: LiveSource | None = None
        self._accounted_until = clock()
        self._base: int | None = None  # where the open source's first sample stands in the ring
        self._lost = 0
        self._move_check_at = 0.0
        self._busy_since: float | None = None
        self._muted = Event()
        self._stopping = Event()
        self._wake = Event()
        self._wait = wait or self._wake.wait
        self._thread = Thread(target=self._run, name="capture", daemon=True)

    @property
    def health(self) -> Health | Literal["muted"]:
        """The watchdog's word, or "muted"."""
        if self._muted.is_set():
            return "muted"
        # While the sound system hangs, the watchdog is not asked; its last word is worth nothing.
        return "lost" if self.hung_s(self._clock()) > SLOW_S else self._watchdog.health

    @property
    def is_muted(self) -> bool:
        return self._muted.is_set()

    @property
    def lost(self) -> int:
        """Samples that could not be captured, or went because nobody took them. Muting loses nothing."""
        return self._lost + self.ring.dropped

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """Closes the source. A call that hangs in the sound system is left behind."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout_s)

    def mute(self, on: bool) -> None:
        """Closes the source within a block's time, or opens it again."""
        (self._muted.set if on else self._muted.clear)()
        self._wake.set()

    def hung_s(self, now: float) -> float:
        """How long one call into the sound system has lasted; 0 where none is in progress."""
        since = self._busy_since
        return 0.0 if since is None else now - since

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._wake.clear()
                self.step()
        except BaseException as error:  # the room's thread answers for it
            self.ring.close(error)
        finally:
            self._close()
            self.ring.close()

    def step(self) -> None:
        """Rest, open, wait or read: one turn of the thread, for tests on a time of their own."""
        if self._muted.is_set():
            self._stay_muted()
        elif self._watchdog.should_reopen(self._clock()):
            self._reopen()
        elif self._source is None:
            self._wait(self._watchdog.patience(self._clock()))
            self._count_missing(self._clock())
        else:
            self._listen(self._source)

    def _listen(self, source: LiveSource) -> None:
        delivery = source.read(self._watchdog.patience(self._clock()))
        now = self._clock()
        before = self._watchdog.health
        ends_hole = False
        if delivery is None:
            self._watchdog.tick(now)
        else:
            self._deliver(delivery)
            is_flat = delivery.block.reading.is_flat
            ends_hole = self._watchdog.block(delivery.arrived_at, delivery.length_s, is_flat)
        if delivery and self._watchdog.is_open and (ends_hole or now >= self._move_check_at):
            self._move_check_at = now + MOVE_CHECK_S
            moved = self._check_moved(source)
            # Who can't be asked is suspected after a hole: that is how a move looks from here.
            if moved or (moved is None and ends_hole):
                self._watchdog.lost(now)
        if self._watchdog.health != before:
            self._log_change(source, before)
        if not self._watchdog.is_open:
            self._close()

    def _deliver(self, delivery: Delivery) -> None:
        if self._base is None:  # the first since opening; it began before it arrived
            self._count_missing(delivery.arrived_at - delivery.length_s)
            self._base = self.ring.end
        samples, reading = delivery.block.samples, delivery.block.reading
        gap = self._base + delivery.block.index - self.ring.end
        if gap > 0:
            self.ring.skip(gap)
            self._lost += gap
        self.ring.put(Arrival(samples, delivery.arrived_at, reading), len(samples))
        # A backlog arrives later than it sounded, and what waits behind it may yet be lost: so by the count,
        # which follows the clock as slowly as a card's drifts.
        sounded_s = seconds(max(gap, 0)) + delivery.length_s
        late_s = delivery.arrived_at - (self._accounted_until + sounded_s)
        drift_s = max(-DRIFT * sounded_s, min(late_s, DRIFT * sounded_s))
        self._accounted_until += sounded_s + drift_s

    def _count_missing(self, until: float) -> None:
        """Time has passed without capture: so many samples are missing."""
        missing = round((until - self._accounted_until) * RATE)
        if missing > 0:
            self.ring.skip(missing)
            self._accounted_until = until
            if self._watchdog.health != "starting" and not self._muted.is_set():
                self._lost += missing

    def _reopen(self) -> None:
        self._close()
        self._busy_since = self._clock()
        try:
            self._source = self._open_source()
        except MicrophoneError as refused:
            if self._watchdog.health == "starting":  # said once, not at every try
                log.warning("%s Not listening; trying again until it comes.", refused)
            self._count_missing(self._clock())
            self._watchdog.lost(self._clock())
            return
        finally:
            self._busy_since = None
        self._watchdog.opened(self._clock())
        self._base = None
        # With the first block: later answers are held against that one.
        self._move_check_at = 0.0

    def _stay_muted(self) -> None:
        self._close()
        self._count_missing(self._clock())
        self._watchdog = Watchdog(self._clock())
        self._wait(1.0)

    def _check_moved(self, source: LiveSource) -> bool | None:
        self._busy_since = self._clock()
        try:
            return source.was_moved()
        finally:
            self._busy_since = None

    def _close(self) -> None:
        source, self._source = self._source, None
        if source is None:
            return
        self._busy_since = self._clock()
        try:
            source.close()
        finally:
            self._busy_since = None

    def _log_change(self, source: LiveSource, before: Health) -> None:
        """At the level that is shown by default: whether it listens is what people must know."""
        match self._watchdog.health:
            case "lost":
                log.warning("Microphone %r is gone. Not listening; trying again until it comes.", source.name)
            case "zeros":
                log.warning(
                    "Microphone %r delivers nothing but zeros: is it muted, or the wrong one?", source.name
                )
            case "healthy" if before != "stalled":
                log.warning("Listening to microphone %r.", source.name)
