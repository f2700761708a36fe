"""Capture: the threads that bring sound to the daemon's ring, and keep a microphone alive.

`Capture` opens the microphone, watches it, and opens it again by name when it goes, for ever.
`Reader` does the same job for a file or a pipe, which only has to be read to its end.
"""

import logging
import time
from collections.abc import Callable, Iterator
from threading import Event, Thread

from ..audio import RATE, Samples
from ..errors import MicrophoneError
from .blocks import Block
from .microphone import Heard, Microphone, stable_name
from .ring import Ring
from .watchdog import Health, Watchdog

log = logging.getLogger(__name__)

LAG_S = 3.0
"""What the ring holds. A session further behind than this loses the oldest: late captions help nobody."""
MOVE_CHECK_S = 1.0
"""Between two questions to the sound server where our stream comes from; one costs 40 µs."""
SLOW_S = 2.0
"""A call into the sound system that lasts longer hangs, most likely; opening takes 0.3 s at most."""
READ_AHEAD_S = 1.0
"""What a Reader holds."""


class Capture:
    """A microphone's thread. Its ring goes on in time, whether there is sound or not.

    ring: samples at 32 kHz; what could not be captured is skipped in it, so that its count stays
    in step with the clock. Ends with the error where microphones can't be had at all.
    """

    def __init__(self, wanted: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.ring: Ring[Samples] = Ring(round(LAG_S * RATE))
        self._wanted = wanted
        self._clock = clock
        self._dog = Watchdog(clock())
        self._microphone: Microphone | None = None
        self._accounted_until = clock()
        self._base: int | None = None  # where the open microphone's first sample stands in the ring
        self._lost = 0
        self._move_check_at = 0.0
        self._busy_since: float | None = None
        self._muted = Event()
        self._stopping = Event()
        self._wake = Event()
        self._thread = Thread(target=self._run, name="capture", daemon=True)

    @property
    def health(self) -> str:
        """The watchdog's word, or "muted"."""
        if self._muted.is_set():
            return "muted"
        # While the sound system hangs, the watchdog is not asked; its last word is worth nothing.
        return "lost" if self.hung_s(self._clock()) > SLOW_S else self._dog.health

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
        """Closes the microphone. A call that hangs in the sound system is left behind."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout_s)

    def mute(self, on: bool) -> None:
        """Closes the device within a block's time, or opens it again."""
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
                if self._muted.is_set():
                    self._rest()
                elif self._dog.should_reopen(self._clock()):
                    self._reopen()
                elif self._microphone is None:
                    self._wake.wait(self._dog.patience(self._clock()))
                    self._account(self._clock())
                else:
                    self._listen(self._microphone)
        except BaseException as error:  # the daemon's thread answers for it
            self.ring.close(error)
        finally:
            self._close()
            self.ring.close()

    def _listen(self, microphone: Microphone) -> None:
        heard = microphone.read(self._dog.patience(self._clock()))
        now = self._clock()
        before = self._dog.health
        ends_hole = False
        if heard is None:
            self._dog.tick(now)
        else:
            self._deliver(heard)
            ends_hole = self._dog.block(heard.arrived_at, heard.length_s, heard.is_zeros)
        if heard and self._dog.is_open and (ends_hole or now >= self._move_check_at):
            self._move_check_at = now + MOVE_CHECK_S
            moved = self._ask(microphone)
            # Who can't be asked is suspected after a hole: that is how a move looks from here.
            if moved or (moved is None and ends_hole):
                self._dog.lost(now)
        if self._dog.health != before:
            self._say(microphone, before)
        if not self._dog.is_open:
            self._close()

    def _deliver(self, heard: Heard) -> None:
        if self._base is None:  # the first since opening; it began before it arrived
            self._account(heard.arrived_at - heard.length_s)
            self._base = self.ring.end
        gap = self._base + heard.block.index - self.ring.end
        if gap > 0:
            self.ring.skip(gap)
            self._lost += gap
        self.ring.put(heard.block.samples, len(heard.block.samples))
        self._accounted_until = heard.arrived_at

    def _account(self, until: float) -> None:
        """Time has passed without capture: so many samples are missing."""
        missing = round((until - self._accounted_until) * RATE)
        if missing > 0:
            self.ring.skip(missing)
            self._accounted_until = until
            if self._dog.health != "starting" and not self._muted.is_set():
                self._lost += missing

    def _reopen(self) -> None:
        self._close()
        self._busy_since = self._clock()
        try:
            self._microphone = Microphone(self._wanted, self._clock)
        except MicrophoneError as refused:
            if self._dog.health == "starting":  # said once, not at every try
                log.warning("%s Not listening; trying again until it comes.", refused)
            self._account(self._clock())
            self._dog.lost(self._clock())
            return
        finally:
            self._busy_since = None
        if self._wanted.isdecimal():  # an index means another device after the next plug
            self._wanted = stable_name(self._microphone.device)
        self._dog.opened(self._clock())
        self._base = None
        # With the first block: later answers are held against that one.
        self._move_check_at = 0.0

    def _rest(self) -> None:
        self._close()
        self._account(self._clock())
        self._dog = Watchdog(self._clock())
        self._wake.wait(1.0)

    def _ask(self, microphone: Microphone) -> bool | None:
        self._busy_since = self._clock()
        try:
            return microphone.was_moved()
        finally:
            self._busy_since = None

    def _close(self) -> None:
        microphone, self._microphone = self._microphone, None
        if microphone is None:
            return
        self._busy_since = self._clock()
        try:
            microphone.close()
        finally:
            self._busy_since = None

    def _say(self, microphone: Microphone, before: Health) -> None:
        """At the level that is shown by default: whether it listens is what people must know."""
        name = microphone.device.name
        match self._dog.health:
            case "lost":
                log.warning("Microphone %r is gone. Not listening; trying again until it comes.", name)
            case "zeros":
                log.warning("Microphone %r delivers nothing but zeros: is it muted, or the wrong one?", name)
            case "healthy" if before != "stalled":
                log.warning("Listening to microphone %r.", name)


class Reader:
    """A thread that reads blocks into a ring, waiting for room, to their end or their error."""

    health = "healthy"
    is_muted = False

    def __init__(self, blocks: Iterator[Block]) -> None:
        self.ring: Ring[Samples] = Ring(round(READ_AHEAD_S * RATE))
        self._blocks = blocks
        self._stopping = Event()
        self.lost = 0
        self._thread = Thread(target=self._run, name="reader", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 0.5) -> None:
        """A pipe that says nothing can't be left; its thread ends with the process."""
        self._stopping.set()
        self.ring.close()
        self._thread.join(timeout_s)

    def hung_s(self, now: float) -> float:
        return 0.0  # waiting for a pipe is no fault

    def _run(self) -> None:
        try:
            for block in self._blocks:
                if self._stopping.is_set():
                    return
                gap = block.index - self.ring.end
                if gap > 0:
                    self.ring.skip(gap)
                    self.lost += gap
                self.ring.put_patiently(block.samples, len(block.samples))
        except BaseException as error:  # the daemon's thread answers for it
            self.ring.close(error)
        finally:
            self.ring.close()
