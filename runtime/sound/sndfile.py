"""What libsndfile decodes, of streams that only go forward.

libsndfile wants a file: it asks for its length, looks at its end and believes what it finds there. So it is
shown one that is as long as can be, whose first bytes are what we have repaired, and whose last ones are what
it looks for; all between comes from the stream, when it is asked for.
"""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import soundfile

from ..errors import DataError
from .decoder import Ending, Frames, as_frames, no_frames
from .payload import FOREVER, Payload
from .stream import Stream

ENDLESS = 1 << 60
"""Bytes; the length that libsndfile is shown."""
KEPT_BYTES = 1 << 20
"""A header is within this. While it is read, libsndfile goes to and fro; later only forward."""
HEADERLESS = "nothing in it says what it is"
AS_RAW = "if it holds raw samples: edgecap run --source stdin --sample s16le --rate 32000 < FILE"
MOST_FAILURES = 1000
"""Then there is no sound to be found."""


class Shown:
    """A file as libsndfile's virtual IO reads it: `head`, then what `read` gives, and `tail` at the far end.

    length: what it is told. It never raises, which a callback from C can't: `error` is for who called.
    """

    def __init__(
        self, read: Callable[[int], bytes], head: bytes = b"", tail: bytes = b"", length: int = ENDLESS
    ) -> None:
        self.error: BaseException | None = None
        self.has_ended = False
        self.is_opening = True
        self.taken = 0
        self._read = read
        self._kept = bytearray(head)
        self._head_size = len(head)
        self._tail = tail
        self._length = length
        self._position = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, self._length)[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._at(self._position, len(buffer))
        except BaseException as error:
            self.error = error
            data = b""
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _at(self, position: int, size: int) -> bytes:
        tail_at = self._length - len(self._tail)
        if self._tail and position >= tail_at - KEPT_BYTES:
            # What lies before the tail is no page and no frame, so that it is passed over.
            blank = bytes(min(size, max(0, tail_at - position)))
            return blank or self._tail[position - tail_at :][:size]
        if self.is_opening:
            self._keep(position + size)
        data = bytes(self._kept[position : position + size])
        if not self.is_opening and position + len(data) == self._head_size + self.taken:
            data += self._take(size - len(data))
        return data  # none for a look at what lies far behind

    def _keep(self, end: int) -> None:
        """Has the first bytes at hand, up to `end`."""
        while len(self._kept) < end <= KEPT_BYTES and (data := self._take(end - len(self._kept))):
            self._kept += data

    def _take(self, size: int) -> bytes:
        data = self._read(size) if size and not self.has_ended else b""
        self.has_ended |= not data and size > 0
        self.taken += len(data)
        return data


class _Forward(soundfile.SoundFile):  # type: ignore[misc]  # soundfile ships no types
    """Without the seek that soundfile does after each read, which decodes anew or fails."""

    def seekable(self) -> bool:
        return False


class SndfileDecoder:
    """What libsndfile decodes of a file that is shown to it.

    name: the stream's, for what can't be read. payload: what a codec of a constant rate reads, and data_bytes
    how long libsndfile was told that it is; such codecs go on for ever where the bytes end. rest: what is
    left of it in the end is passed over. promised: the frames that the recording says it holds, where
    libsndfile does not go by it.
    Raises DataError where libsndfile can't open it.
    """

    def __init__(
        self,
        shown: Shown,
        name: str,
        *,
        payload: Payload | None = None,
        data_bytes: int = 1,
        rest: Payload | None = None,
        promised: int | None = None,
    ) -> None:
        self._shown = shown
        self._name = name
        self._payload = payload
        self._data_bytes = data_bytes
        self._rest = rest
        self._decoded = self._damages = 0
        self._sound = _opened(shown, name, shown)
        shown.is_opening = False
        self.rate: int = self._sound.samplerate
        self.channels: int = self._sound.channels
        self._frames: int = self._sound.frames
        self._promised = self._frames if promised is None and self._frames < ENDLESS >> 8 else promised

    def read(self, count: int) -> Frames:
        frames = no_frames(self.channels)
        while len(frames) < count and len(more := self._read(count - len(frames))):
            frames = np.concatenate([frames, more]) if len(frames) else more
        while self._rest and len(frames) < count and self._rest.read(KEPT_BYTES):
            pass
        return frames

    def _read(self, count: int) -> Frames:
        """At most so many; none at the end only."""
        frames, failures = None, 0
        while frames is None:
            try:
                frames = as_frames(self._sound.read(count, dtype="float32", always_2d=True), self.channels)
            except soundfile.LibsndfileError as damaged:
                _raise_what_stopped(self._shown)
                # Some bytes make no sense; behind them it finds the next frame by itself.
                failures += 1
                if failures > MOST_FAILURES:
                    raise DataError(
                        f"{self._name} can't be decoded", why=str(damaged.error_string).rstrip(".")
                    ) from damaged
        _raise_what_stopped(self._shown)
        self._decoded += len(frames)
        self._damages += failures if len(frames) else 0  # what fails at the end is the end
        if self._payload is not None and self._payload.has_ended:
            beyond = self._decoded - self._frames_of(self._payload.found)
            frames = frames[: max(0, len(frames) - max(0, beyond))]
        return frames

    def ending(self) -> Ending:
        promised = self._promised
        if self._payload is not None:
            stated = self._payload.stated
            promised = self._frames_of(stated) if stated < FOREVER else None
        return Ending(promised, damages=self._damages)

    def _frames_of(self, data_bytes: int) -> int:
        return round(self._frames * data_bytes / self._data_bytes)


class PathDecoder:
    """What libsndfile reads of a file by its name only: it goes to and fro in it, or looks for a second file
    beside it. Raises DataError where libsndfile can't."""

    def __init__(self, stream: Stream) -> None:
        # What soundfile takes for raw by its name it will not look at.
        if stream.path is None or stream.path.suffix.lower() == ".raw":
            raise DataError(f"{stream.name} is not a recording that can be read", why=HEADERLESS, fix=AS_RAW)
        self._sound = _opened(os.fsencode(stream.path), stream.name)
        self.rate: int = self._sound.samplerate
        self.channels: int = self._sound.channels
        self._damages = 0
        stream.skip_all()

    def read(self, count: int) -> Frames:
        try:
            return as_frames(self._sound.read(count, dtype="float32", always_2d=True), self.channels)
        except soundfile.LibsndfileError:
            self._damages += 1
            return no_frames(self.channels)

    def ending(self) -> Ending:
        return Ending(self._sound.frames, damages=self._damages)


def _opened(file: Any, name: str, shown: Shown | None = None) -> _Forward:
    try:
        return _Forward(file)
    except soundfile.LibsndfileError as refused:
        if shown is not None:
            _raise_what_stopped(shown)
            if shown.has_ended:
                raise DataError(f"{name} holds no sound", why="it ends within its header") from refused
        raise DataError(
            f"{name} is not a recording that can be read", why=str(refused.error_string).rstrip(".")
        ) from refused


def _raise_what_stopped(shown: Shown) -> None:
    if shown.error:
        raise shown.error
