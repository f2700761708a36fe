"""MPEG audio (MP3 and its elders): frames in, one recording's frames out, for libsndfile to decode.

Every frame tells its own length. What a first one tells of the whole (Xing's and LAME's header) is a promise:
the frames are read to their end, and what stands between them (tags, junk) is passed over.
"""

import struct
from typing import NamedTuple

import numpy as np

from ..errors import DataError
from .decoder import Ending, Frames
from .kinds import LOOK, recognised
from .sndfile import Shown, SndfileDecoder
from .stream import Stream

BITRATES = {  # kbit/s, by (is MPEG 1, layer)
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
MOST_FRAME_BYTES = 2881
CERTAIN = 3
"""So many frames in a row are no accident."""
VIEW_BYTES = 4 * MOST_FRAME_BYTES
"""What it takes to see them."""
PROMISE = 1 << 30
"""Frames; what libsndfile is told where the header tells less."""
FAR_END = bytes(128)
"""mpg123 looks there for a tag, and refuses a file in which it can't."""


class Header(NamedTuple):
    """What a frame tells of itself: its bytes, its samples, and what all of a recording's frames share."""

    size: int
    samples: int
    version: int
    layer: int
    rate: int
    is_mono: bool

    def fits(self, other: "Header") -> bool:
        return self[2:] == other[2:]


def header(data: bytes) -> Header | None:
    """Of four bytes that begin a frame."""
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return None
    version, layer = data[1] >> 3 & 3, 4 - (data[1] >> 1 & 3)
    bitrate, rate, padding = data[2] >> 4, data[2] >> 2 & 3, data[2] >> 1 & 1
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3 or data[3] & 3 == 2:
        return None
    bits = BITRATES[version == 3, layer][bitrate - 1] * 1000
    hertz = RATES[version][rate]
    samples = 384 if layer == 1 else 576 if layer == 3 and version != 3 else 1152
    slot = 4 if layer == 1 else 1
    size = (samples // 8 // slot * bits // hertz + padding) * slot
    return Header(size, samples, version, layer, hertz, data[3] >> 6 == 3)


def begins(stream: Stream, at: int = 0) -> bool:
    """Whether frames begin so many bytes on: three in a row. Looks no further than it has to."""
    first = header(stream.peek(at + 4)[at:])
    here = first
    for _ in range(CERTAIN - 1):
        if first is None or here is None:
            return False
        at += here.size
        here = header(stream.peek(at + 4)[at:])
        if here is None or not here.fits(first):
            return False
    return True


def find(view: bytes, is_all: bool = False) -> int | None:
    """Where frames begin in these bytes: three in a row, or where this is all there is, up to its end."""
    at = view.find(b"\xff")
    while at >= 0:
        if _runs(view, at, is_all):
            return at
        at = view.find(b"\xff", at + 1)
    return None


def _runs(view: bytes, at: int, is_all: bool) -> bool:
    first = header(view[at : at + 4])
    here = first
    is_at_first = at == 0  # a single one, anywhere, is an accident
    for count in range(CERTAIN - 1):
        if first is None or here is None or not here.fits(first):
            return False
        at += here.size
        if is_all and at >= len(view) and (count or is_at_first):
            return True
        here = header(view[at : at + 4])
    return here is not None and first is not None and here.fits(first)


class MpegDecoder:
    """One recording of MPEG frames, from a stream that is at its first frame or before it."""

    def __init__(self, stream: Stream) -> None:
        self._name = stream.name
        self._frames = _FrameReader(stream)
        first, second = self._frames.next(), self._frames.next()
        if not second:  # libsndfile wants to see two
            raise DataError(f"{stream.name} holds no sound", why="it ends within its first frames")
        self._promise = _promise(first)
        if _info_at(first) is not None:
            first = _without_length(first)
        shown = Shown(self._frames.read_some, head=first + second, tail=FAR_END)
        self._decoder = SndfileDecoder(shown, stream.name)
        self.rate, self.channels = self._decoder.rate, self._decoder.channels
        self._given = 0

    def read(self, count: int) -> Frames:
        parts = self._decoder.read(count)
        while len(parts) < count and self._go_on():
            parts = np.concatenate([parts, self._decoder.read(count - len(parts))])
        promise = self._promise
        beyond = self._given + len(parts) - promise.samples if promise else 0
        if promise and beyond > 0 and self._frames.are_at_most(1 + promise.frames):
            parts = parts[: max(0, len(parts) - beyond)]  # what the encoder padded
        self._given += len(parts)
        return parts

    def ending(self) -> Ending:
        promised = self._promise.samples if self._promise else None
        return Ending(promised, is_cut=self._frames.is_cut, damages=self._frames.holes)

    def _go_on(self) -> bool:
        """Behind a hole, anew: what a frame borrows of those before it would be taken from others."""
        if not self._frames.pass_hole():
            return False
        first, second = self._frames.next(), self._frames.next()
        if not second:
            return False
        shown = Shown(self._frames.read_some, head=first + second, tail=FAR_END)
        self._decoder = SndfileDecoder(shown, self._name)
        return True


class _FrameReader:
    """The frames of one recording, until another begins."""

    def __init__(self, stream: Stream) -> None:
        self.count = self.holes = 0
        self.is_cut = False
        self._stream = stream
        self._is_at_hole = False
        self._first: Header | None = None
        self._rest = b""

    def read_some(self, size: int) -> bytes:
        if not self._rest:
            self._rest = self.next()
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def are_at_most(self, count: int) -> bool:
        """Whether there are no more than so many frames; looks at those that follow, as far as it has to."""
        while self.count <= count and (frame := self.next()):
            self._rest += frame
        return self.count <= count

    def next(self) -> bytes:
        """The next whole frame; nothing at the end, and at a hole, which only `pass_hole` passes."""
        stream = self._stream
        if self._is_at_hole or not self._seek():
            return b""
        here = header(stream.peek(4))
        assert here is not None
        if self._first is None:
            self._first = here
        elif not here.fits(self._first) or _info_at(stream.peek(here.size)) is not None:
            return b""  # another recording
        frame = stream.read(here.size)
        if len(frame) < here.size:
            self.is_cut = True
            return b""
        self.count += 1
        return frame

    def pass_hole(self) -> bool:
        """Whether there was one."""
        was_at_hole, self._is_at_hole = self._is_at_hole, False
        self.holes += was_at_hole
        return was_at_hole

    def _seek(self) -> bool:
        """Goes to the next frame; whether one comes before a hole. Behind junk it takes three in a row."""
        stream = self._stream
        here = header(stream.peek(4))
        if here and (self._first is None or here.fits(self._first)):
            return True
        junk = 0
        while stream.peek(1) and not recognised(stream.peek(LOOK)):
            if size := tag_bytes(stream.peek(10)):
                stream.skip(size)
                continue
            view = stream.peek(VIEW_BYTES)
            at = find(view, is_all=len(view) < VIEW_BYTES)
            step = max(1, len(view) - CERTAIN * MOST_FRAME_BYTES) if at is None else at
            stream.skip(step)
            junk += step
            if at is not None:
                self._is_at_hole = junk > 0 and self._first is not None
                return not self._is_at_hole
        return False


def tag_bytes(view: bytes) -> int:
    """How long the tag is that begins here; 0 where none does."""
    if view.startswith(b"ID3") and len(view) >= 10 and max(view[6:10]) < 0x80:
        size = view[6] << 21 | view[7] << 14 | view[8] << 7 | view[9]
        return 10 + size + (10 if view[5] & 0x10 else 0)
    if view.startswith(b"TAG"):
        return 128
    return 0


class _Promise(NamedTuple):
    frames: int
    samples: int


def _info_at(frame: bytes) -> int | None:
    """Where Xing's header stands in a frame, if it does."""
    here = header(frame[:4])
    if here is None or here.layer != 3:
        return None
    side = (17 if here.is_mono else 32) if here.version == 3 else (9 if here.is_mono else 17)
    at = 4 + side
    return at if frame[at : at + 4] in (b"Xing", b"Info") else None


def _promise(frame: bytes) -> _Promise | None:
    """What a first frame tells of those that follow it."""
    at = _info_at(frame)
    here = header(frame[:4])
    if at is None or here is None or len(frame) < at + 120:
        return None
    flags, frames = struct.unpack(">II", frame[at + 4 : at + 12])
    if not flags & 1 or not frames:
        return None
    after = at + 8 + 4 * (flags & 1) + 4 * (flags >> 1 & 1) + 100 * (flags >> 2 & 1) + 4 * (flags >> 3 & 1)
    samples = frames * here.samples
    lame = frame[after : after + 24]
    if len(lame) == 24 and lame[:4] in (b"LAME", b"Lavf", b"Lavc"):
        samples -= (lame[21] << 4 | lame[22] >> 4) + ((lame[22] & 15) << 8 | lame[23])
    return _Promise(frames, max(0, samples))


def _without_length(frame: bytes) -> bytes:
    """The frame with a promise of more than comes, and without a size in bytes and the table for it.

    mpg123 stops at what is promised, and complains on stderr of a size that does not fit.
    """
    at = _info_at(frame)
    assert at is not None
    flags = struct.unpack(">I", frame[at + 4 : at + 8])[0]
    after = at + 8 + 4 * (flags & 1) + 4 * (flags >> 1 & 1) + 100 * (flags >> 2 & 1)
    promise = struct.pack(">I", PROMISE) if flags & 1 else b""
    short = frame[: at + 4] + struct.pack(">I", flags & ~6) + promise + frame[after:]
    return short + bytes(len(frame) - len(short))
