"""Ring: bounded, between one writer and one reader in different threads. When full, the oldest go.

Everything put or lost has a place on one running count, so a loss is never silent: the next item
that is read simply stands further on than the reader expected.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Item(Generic[T]):
    """What was put, and where it stands on the running count."""

    value: T
    index: int
    size: int


class Closed(Exception):
    """The writer has finished and everything that it put has been read."""


class Ring(Generic[T]):
    """Holds items of at most `capacity` together; sizes in any one unit (samples here).

    The newest item is always kept, even where it alone is larger than the ring.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items: deque[Item[T]] = deque()
        self._changed = Condition()
        self._end = 0
        self._held = 0
        self._dropped = 0
        self._closed = False
        self._error: BaseException | None = None
        self.wake: Callable[[], object] | None = None
        """Called whenever there is something new to see, in the writer's thread: for who reads several."""

    @property
    def end(self) -> int:
        """Where the next item will stand: the sizes of all that was put or skipped so far."""
        return self._end

    @property
    def held(self) -> int:
        """The sizes of what waits to be read, at most the capacity."""
        return self._held

    @property
    def dropped(self) -> int:
        """The sizes of what was put, but had to go before it was read: the reader was too slow.

        What was skipped never was here, so it is not counted. end = read + dropped + skipped + held.
        """
        return self._dropped

    @property
    def reached(self) -> int | None:
        """Up to where all was read, dropped or skipped; None where an item waits.

        A reader that waits in vain learns from it how much was lost meanwhile, long before the next item
        comes and says the same by its index.
        """
        with self._changed:
            return None if self._items else self._end

    def put(self, value: T, size: int) -> None:
        """Add without ever waiting: for a live writer, whose past is worth less than its present."""
        with self._changed:
            self._append(value, size)
            while self._held > self._capacity and len(self._items) > 1:
                oldest = self._items.popleft()
                self._held -= oldest.size
                self._dropped += oldest.size
        self._tell_reader()

    def put_patiently(self, value: T, size: int) -> None:
        """Add, waiting for room first: for a file or a pipe, which lose nothing by waiting."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or self._held + size <= self._capacity or not self._held
            )
            if not self._closed:
                self._append(value, size)
        self._tell_reader()

    def skip(self, size: int) -> None:
        """Say that so much was lost before it could be put."""
        with self._changed:
            self._end += size
        self._tell_reader()

    def close(self, error: BaseException | None = None) -> None:
        """Say that nothing more comes. The reader gets the rest, then `error`, else Closed."""
        with self._changed:
            self._closed = True
            self._error = self._error or error
            self._changed.notify_all()
        self._tell_reader()

    def get(self, timeout_s: float | None) -> Item[T] | None:
        """The oldest item; None where none came in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed, timeout_s)
            if not self._items:
                if self._closed:
                    raise self._error or Closed
                return None
            item = self._items.popleft()
            self._held -= item.size
            self._changed.notify_all()
            return item

    def _tell_reader(self) -> None:
        if self.wake is not None:
            self.wake()

    def _append(self, value: T, size: int) -> None:
        self._items.append(Item(value, self._end, size))
        self._end += size
        self._held += size
        self._changed.notify_all()
