"""Payload: the bytes of one recording's sound, whatever the recording says of its length."""

from collections.abc import Callable

from .kinds import LOOK, Kind
from .stream import Stream

FOREVER = 1 << 62
"""Bytes; what is said to be longer has no known end."""


def nothing_more() -> int:
    """What follows the sound where nothing can."""
    return 0


class Payload:
    """Reads sound up to its stated end, to where another recording begins, or to the end of the stream.

    length: the bytes that it is said to have. kind: what another recording would begin like; it is noticed
    even within the stated length, which is wrong then. more: called at the stated end, with the stream there:
    how many bytes of sound follow after all, 0 for none, FOREVER for all that comes.
    """

    def __init__(
        self, stream: Stream, length: int, kind: Kind | None, more: Callable[[], int] = nothing_more
    ) -> None:
        self.stated = length
        self.found = 0
        self.pieces = 1
        self.has_ended = False
        self._stream = stream
        self._kind = kind if kind and kind.is_sure else None
        self._more = more
        self._left = length

    def read(self, size: int, /) -> bytes:
        """Exactly so many bytes, fewer at the end only."""
        data = self._piece(size)
        while len(data) < size and not self.has_ended:
            data += self._piece(size - len(data))
        return data

    def read_some(self, size: int) -> bytes:
        """As many as there are now; none at the end only."""
        data = b""
        while not data and not self.has_ended:
            self._stream.peek(1)
            data = self._piece(min(size, max(1, self._stream.ready)))
        return data

    def _piece(self, size: int) -> bytes:
        if self._left <= 0 and not self.has_ended:
            more = self._more()
            if 0 < more < FOREVER:
                self.stated += more
                self.pieces += self.found > 0
            self._left = more
            self.has_ended = not more
        if self.has_ended:
            return b""
        wanted = int(min(size, self._left))
        view = self._stream.peek(wanted)
        end = self._next_recording(view)
        self.has_ended = end < wanted
        data = self._stream.read(end)
        self.found += len(data)
        self._left -= len(data)
        return data

    def _next_recording(self, view: bytes) -> int:
        """How much of the view lies before another recording."""
        kind = self._kind
        if kind is None:
            return len(view)
        at = view.find(kind.magic)
        while at >= 0:
            if kind.begins(self._stream.peek(at + LOOK)[at:]):
                return at
            at = view.find(kind.magic, at + 1)
        for split in range(min(len(kind.magic) - 1, len(view)), 0, -1):
            # Its first bytes may be the last in view. Only then is it worth waiting for the rest.
            at = len(view) - split
            if kind.magic.startswith(view[at:]) and kind.begins(self._stream.peek(at + LOOK)[at:]):
                return at
        return len(view)
