"""Outlet: a bounded queue with a thread of its own, for whoever shows messages and may be slow.

A terminal that stops reading (Ctrl-S, a dead ssh link) blocks its writer for as long as it likes. That writer
is the outlet's thread; the rooms only put, never wait, and lose the oldest of what the terminal did not take.
"""

import logging
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from threading import Condition, Thread
from typing import Generic, TypeVar

from ..errors import EdgecapError

T = TypeVar("T")

log = logging.getLogger(__name__)

QUEUE = 256
"""Messages; minutes of a busy room."""
DRAIN_S = 2.0
"""How long closing waits for a reader that still reads."""


class Outlet(Generic[T]):
    """Shows each item that is put, in order. What `show` raises ends the outlet and is said once.

    name: for the log. around: what is entered before the first item and left after the last, in the outlet's
    own thread.
    """

    def __init__(
        self,
        name: str,
        show: Callable[[T], object],
        around: AbstractContextManager[object] | None = None,
        queue: int = QUEUE,
    ) -> None:
        self.name = name
        self.dropped = 0
        """Items that were never shown: the reader was slower than what there was to read, or has gone."""
        self._show, self._around = show, around or nullcontext()
        self._items: deque[T] = deque()
        self._most = queue
        self._changed = Condition()
        self._closing = False
        self._broken = False
        self._thread = Thread(target=self._run, name=f"outlet {name}", daemon=True)
        self._thread.start()

    @property
    def is_stuck(self) -> bool:
        """Whether it was closed, and its reader still has not taken what it was being shown."""
        return self._closing and self._thread.is_alive()

    def put(self, item: T) -> None:
        """Take it for showing, at once; where the queue is full the oldest goes and is counted."""
        with self._changed:
            if self._broken or self._closing:
                self.dropped += 1
                return
            if len(self._items) >= self._most:
                self._items.popleft()
                self.dropped += 1
            self._items.append(item)
            self._changed.notify()

    def close(self, timeout_s: float = DRAIN_S) -> bool:
        """Whether all that was put has been shown. Who has stopped reading is left behind."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            with self._changed:
                self.dropped += len(self._items)
                self._items.clear()
            return False
        return not self._broken

    def _run(self) -> None:
        try:
            with self._around:
                while (item := self._next()) is not None:
                    self._show(item[0])
        except Exception as failed:  # whatever a view raises, the rooms go on
            with self._changed:
                self._broken = True
                self.dropped += len(self._items) + 1
                self._items.clear()
            log.warning("%s shows nothing any more: %s. The rooms go on.", self.name, _reason(failed))

    def _next(self) -> tuple[T] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closing)
            return (self._items.popleft(),) if self._items else None


def _reason(failed: Exception) -> str:
    if isinstance(failed, EdgecapError):
        return failed.why or failed.what
    if isinstance(failed, BrokenPipeError):
        return "its reader has gone"
    if isinstance(failed, OSError) and failed.strerror:
        return failed.strerror
    return f"{type(failed).__name__}: {failed}" if str(failed) else type(failed).__name__
