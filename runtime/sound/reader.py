"""Reader: a file or a pipe, read in a thread of its own, in its order and to its end; a pipe is watched."""

import logging
import time
from collections.abc import Callable, Iterable
from threading import Event, Lock, Thread
from typing import Literal

from ..audio import RATE, seconds
from ..errors import UsageError
from .blocks import Arrival, Block
from .ring import Ring
from .watchdog import Health, Watchdog

log = logging.getLogger(__name__)

READ_AHEAD_S = 1.0
"""What the ring holds."""
BURSTS_S = 3.0
"""What a program may write at once: it is missed a second after that is over, and 5 s is the promise."""


class Reader:
    """A thread that reads blocks into a ring, waiting for room, to their end or their error.

    is_live: the blocks come as they sound (a pipe), so that when they came tells when they sounded, and
    that none come tells that nothing is heard.
    """

    is_muted = False

    def __init__(
        self, blocks: Iterable[Block], is_live: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.ring: Ring[Arrival] = Ring(round(READ_AHEAD_S * RATE))
        self.is_live = is_live
        self.kind: Literal["pipe", "file"] = "pipe" if is_live else "file"
        self.lost = 0
        self._blocks = blocks
        self._clock = clock
        self._watchdog = Watchdog(clock(), BURSTS_S)
        self._watching = Lock()  # between the thread that reads and the one that asks for health
        self._waits_for_pipe = False
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="reader", daemon=True)

    @property
    def health(self) -> Health | Literal["muted"]:
        """A file is always healthy. Of a pipe it is the watchdog's word; asking tells it that time passes."""
        if not self.is_live:
            return "healthy"
        with self._watching:
            if self._waits_for_pipe:  # else it is we who are slow
                before = self._watchdog.health
                self._watchdog.tick(self._clock())
                self._tell(before)
            return self._watchdog.health

    def start(self) -> None:
        self._watchdog.opened(self._clock())
        self._thread.start()

    def stop(self, timeout_s: float = 0.5) -> None:
        """A pipe that says nothing can't be left; its thread ends with the process."""
        self._stopping.set()
        self.ring.close()
        self._thread.join(timeout_s)

    def mute(self, on: bool) -> None:
        """Raises UsageError: what another program records is not ours to stop."""
        raise UsageError(
            f"A {self.kind} can't be muted",
            why="only a microphone can be closed and opened again",
            fix="stop the program that sends the sound" if self.is_live else "stop the room instead",
        )

    def hung_s(self, now: float) -> float:
        return 0.0  # waiting for a pipe is no fault

    def _run(self) -> None:
        try:
            blocks = iter(self._blocks)
            while (block := self._next(blocks)) is not None:
                arrived_at = self._clock()
                if self._stopping.is_set():
                    return
                gap = block.index - self.ring.end
                if gap > 0:
                    self.ring.skip(gap)
                    self.lost += gap
                self.ring.put_patiently(Arrival(block.samples, arrived_at, block.reading), len(block.samples))
                self._watch(block)
        except BaseException as error:  # the room's thread answers for it
            self.ring.close(error)
        finally:
            self.ring.close()

    def _next(self, blocks: Iterable[Block]) -> Block | None:
        """The next block, whenever it comes; None at the end."""
        self._waits_for_pipe = True
        try:
            return next(iter(blocks), None)
        finally:
            self._waits_for_pipe = False

    def _watch(self, block: Block) -> None:
        """A block has come, and was taken."""
        with self._watching:
            before, now = self._watchdog.health, self._clock()
            if not self._watchdog.is_open:
                self._watchdog.opened(now)
            self._watchdog.block(now, seconds(len(block.samples)), block.reading.is_flat)
            self._tell(before)

    def _tell(self, before: Health) -> None:
        """At the level that is shown by default: whether it listens is what people must know."""
        if not self.is_live or before == self._watchdog.health:
            return
        match self._watchdog.health:
            case "lost":
                log.warning("Nothing comes through the pipe. Not listening until it does.")
            case "zeros":
                log.warning(
                    "Nothing but zeros comes through the pipe: is its source muted, or the wrong one?"
                )
            case "healthy" if before in ("recovering", "zeros"):
                log.warning("Sound comes through the pipe again.")
