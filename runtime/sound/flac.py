"""FLAC: a stream of frames after a header whose length is not believed.

libsndfile stops where a frame is damaged. Every frame tells where it stands, under a checksum of its own; so
decoding goes on with the next one that is whole.
"""

import numpy as np

from ..errors import DataError
from .decoder import Ending, Frames
from .headers import cut_in_header
from .kinds import Kind
from .payload import FOREVER, Payload
from .sndfile import Shown, SndfileDecoder
from .stream import Stream

HEAD_BYTES = 42
"""The marker and STREAMINFO, which comes first."""
KEPT_BYTES = 1 << 16
"""How far libsndfile may be ahead of the damage that it has met: its buffer, and a frame."""
MOST_HEADER_BYTES = 17


class FlacDecoder:
    """One FLAC; another one may follow. Raises DataError where its header is cut."""

    def __init__(self, stream: Stream, kind: Kind) -> None:
        head = bytearray(stream.read(HEAD_BYTES))
        if len(head) < HEAD_BYTES:
            raise cut_in_header(stream, kind)
        total = int.from_bytes(head[21:26], "big") & (1 << 36) - 1
        head[21] &= 0xF0
        head[22:26] = bytes(4)  # 0: unknown
        self._total = total or None
        self._block = int.from_bytes(head[8:10], "big")
        self._name = stream.name
        self._source = _Kept(Payload(stream, FOREVER, kind))
        self._decoder = SndfileDecoder(Shown(self._source.read, head=bytes(head)), stream.name)
        self.rate, self.channels = self._decoder.rate, self._decoder.channels
        head[4] |= 0x80  # where it goes on, no other header follows
        self._head = bytes(head)
        self._reached = self._damages = 0
        self._tried = -1

    def read(self, count: int) -> Frames:
        frames = self._decoder.read(count)
        self._reached += len(frames)
        while len(frames) < count and self._go_on():
            more = self._decoder.read(count - len(frames))
            self._reached += len(more)
            self._damages += len(more) > 0
            frames = np.concatenate([frames, more])
        return frames

    def ending(self) -> Ending:
        return Ending(promised=self._total, damages=self._damages)

    def _go_on(self) -> bool:
        """Behind what stopped it; whether there is anything."""
        while (
            start := self._source.go_to_frame(max(self._reached, self._tried + 1), self._block)
        ) is not None:
            self._tried = start
            try:
                self._decoder = SndfileDecoder(Shown(self._source.read, head=self._head), self._name)
            except DataError:
                continue
            self._reached = start
            return True
        return False


class _Kept:
    """A payload of which the last that was read can be read once more."""

    def __init__(self, payload: Payload) -> None:
        self._payload = payload
        self._past = b""
        self._ahead = b""

    def read(self, size: int) -> bytes:
        """At least one byte; none at the end only."""
        data = self._ahead[:size] or self._payload.read_some(size)
        self._ahead = self._ahead[size:]
        self._past = (self._past + data)[-KEPT_BYTES:]
        return data

    def go_to_frame(self, least: int, block: int) -> int | None:
        """Goes to the first frame that stands at sample `least` or later; where, and None where none does.

        block: samples of a frame, where all have as many.
        """
        view = self._past + self._ahead
        while True:
            at = view.find(b"\xff")
            while 0 <= at < len(view) - MOST_HEADER_BYTES:
                start = _start(view[at : at + MOST_HEADER_BYTES], block)
                if start is not None and start >= least:
                    self._past, self._ahead = b"", view[at:]
                    return start
                at = view.find(b"\xff", at + 1)
            more = self._payload.read_some(KEPT_BYTES)
            if not more:
                self._past = self._ahead = b""
                return None
            view = view[-MOST_HEADER_BYTES:] + more


def _start(header: bytes, block: int) -> int | None:
    """The place in samples that a frame's header tells; None where these bytes are none.

    RFC 9639, 9.1. header: MOST_HEADER_BYTES of it and what follows.
    """
    if header[1] & 0xFE != 0xF8 or header[2] >> 4 == 0 or header[2] & 15 == 15 or header[3] & 1:
        return None
    first = header[4]
    more = 0 if first < 0x80 else 8 - (first ^ 0xFF).bit_length() - 1  # as UTF-8 writes numbers
    if more < 0 or first & 0xC0 == 0x80:
        return None
    number = first if not more else first & (0x3F >> more)
    for byte in header[5 : 5 + more]:
        number = number << 6 | byte & 0x3F
    end = 5 + more + {6: 1, 7: 2}.get(header[2] >> 4, 0) + {12: 1, 13: 2, 14: 2}.get(header[2] & 15, 0)
    if _checksum(header[:end]) != header[end]:
        return None
    return number if header[1] & 1 else number * block


def _checksum(header: bytes) -> int:
    """CRC-8 with x^8 + x^2 + x + 1."""
    checksum = 0
    for byte in header:
        checksum ^= byte
        for _ in range(8):
            checksum = (checksum << 1 ^ (0x07 if checksum & 0x80 else 0)) & 0xFF
    return checksum
