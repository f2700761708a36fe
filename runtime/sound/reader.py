"""Reader: a file or a pipe, read in a thread of its own, in its order and to its end."""

import time
from collections.abc import Callable, Iterable
from threading import Event, Thread
from typing import Literal

from ..audio import RATE
from ..errors import UsageError
from .blocks import Arrival, Block
from .ring import Ring
from .watchdog import Health

READ_AHEAD_S = 1.0
"""What the ring holds."""


class Reader:
    """A thread that reads blocks into a ring, waiting for room, to their end or their error.

    is_live: the blocks come as they sound (a pipe), so that when they came tells when they sounded.
    """

    health: Health | Literal["muted"] = "healthy"
    is_muted = False

    def __init__(
        self, blocks: Iterable[Block], is_live: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.ring: Ring[Arrival] = Ring(round(READ_AHEAD_S * RATE))
        self.is_live = is_live
        self.lost = 0
        self._blocks = blocks
        self._clock = clock
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="reader", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 0.5) -> None:
        """A pipe that says nothing can't be left; its thread ends with the process."""
        self._stopping.set()
        self.ring.close()
        self._thread.join(timeout_s)

    def mute(self, on: bool) -> None:
        """Raises UsageError: what another program records is not ours to stop."""
        raise UsageError(
            f"A {'pipe' if self.is_live else 'file'} can't be muted",
            why="only a microphone can be closed and opened again",
            fix="stop the program that sends the sound" if self.is_live else "stop the room instead",
        )

    def hung_s(self, now: float) -> float:
        return 0.0  # waiting for a pipe is no fault

    def _run(self) -> None:
        try:
            for block in self._blocks:
                arrived_at = self._clock()
                if self._stopping.is_set():
                    return
                gap = block.index - self.ring.end
                if gap > 0:
                    self.ring.skip(gap)
                    self.lost += gap
                self.ring.put_patiently(Arrival(block.samples, arrived_at), len(block.samples))
        except BaseException as error:  # the room's thread answers for it
            self.ring.close(error)
        finally:
            self.ring.close()
