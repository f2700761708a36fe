"""Ogg: pages in, one recording's pages out, for libsndfile to decode.

Every page tells its own length, so a file that was cut or never finished is read up to its last whole page,
and where a new stream begins (a chain: recordings joined, a radio's next piece), a new decoder does.
"""

import struct
from dataclasses import replace

from ..errors import DataError
from .decoder import Decoder, Ending, Frames
from .flac import FlacDecoder
from .headers import cut_in_header
from .kinds import FLAC, LOOK, Kind, recognised
from .sndfile import Shown, SndfileDecoder
from .stream import Stream

HEAD_BYTES = 27
BEGINS, ENDS = 2, 4
CODECS = b"\x01vorbis", b"OpusHead", b"\x7fFLAC", b"Speex   "
FAR = 1 << 60
"""A place in samples that no recording reaches."""


class OggDecoder:
    """One link of a chain: the first stream in it whose sound libsndfile can decode."""

    def __init__(self, stream: Stream, kind: Kind) -> None:
        self._pages = pages = _Pages(stream)
        first = pages.first(kind)
        if body(first).startswith(b"\x7fFLAC"):
            self._decoder: Decoder = FlacDecoder(Stream(_Bodies(pages, first), stream.name), FLAC)
        else:
            # libsndfile wants to see the last page before the first, and believes what it says.
            shown = Shown(pages.read_some, head=first, tail=_last_page(pages.serial))
            self._decoder = SndfileDecoder(shown, stream.name)
        self.rate, self.channels = self._decoder.rate, self._decoder.channels

    def read(self, count: int) -> Frames:
        return self._decoder.read(count)

    def ending(self) -> Ending:
        ending = self._decoder.ending()
        damages = ending.damages + self._pages.holes
        return replace(ending, is_cut=not self._pages.saw_end, damages=damages)


class _Bodies:
    """What is in pages, one behind the other: of FLAC, what a file of its own would hold."""

    def __init__(self, pages: "_Pages", first: bytes) -> None:
        self._pages = pages
        self._first = body(first)[9:]  # before it: how many headers follow

    def read(self, _: int, /) -> bytes:
        data, self._first = self._first, b""
        return data or body(self._pages.next_of_ours())


class _Pages:
    """The pages of one logical stream, until it ends or another chain's link begins."""

    def __init__(self, stream: Stream) -> None:
        self.serial = b""
        self.saw_end = False
        self.holes = 0
        self._place = 0
        self._stream = stream
        self._is_beginning = True
        self._rest = b""

    def first(self, kind: Kind) -> bytes:
        """The page that begins the sound. What begins beside it, a video or a list of streams, is left out.

        Raises DataError where none does.
        """
        others = []
        while page := self._next():
            if not page[5] & BEGINS:
                break
            if body(page).startswith(CODECS):
                self.serial = page[14:18]
                return page
            others.append(page)
        if not others and not self._stream.peek(1):
            raise cut_in_header(self._stream, kind)
        why = f"it is {kind.name} whose beginning, with all that is needed to decode it, is missing"
        if others:
            why = f"it is {kind.name} without Vorbis, Opus, FLAC or Speex"
        raise DataError(f"{self._stream.name} can't be read", why=why)

    def read_some(self, size: int) -> bytes:
        """Bytes of its pages; none at the end."""
        self._rest = self._rest or self.next_of_ours()
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def next_of_ours(self) -> bytes:
        """The next page of this stream; nothing at the end."""
        while page := self._next():
            if page[14:18] == self.serial:
                self._is_beginning = False
                self.saw_end |= bool(page[5] & ENDS)
                return page
        return b""

    def _next(self) -> bytes:
        """The next whole page; nothing where this link of the chain ends."""
        stream = self._stream
        junk = 0
        while (head := stream.peek(HEAD_BYTES)) and len(head) == HEAD_BYTES:
            if not head.startswith(b"OggS"):
                if recognised(stream.peek(LOOK)):
                    return b""
                at = stream.peek(1 << 12).find(b"OggS", 1)
                step = at if at > 0 else max(1, min(len(stream.peek(1 << 12)) - 3, 1 << 12))
                junk += step
                stream.skip(step)
                continue
            if junk and not self._is_beginning:
                self.holes += 1
            if head[5] & BEGINS and not self._is_beginning:
                return b""
            lengths = stream.peek(HEAD_BYTES + head[26])[HEAD_BYTES:]
            size = HEAD_BYTES + len(lengths) + sum(lengths)
            page = stream.read(size)
            if len(page) < size:
                page = _salvaged(page, self._place)
            if page and page[14:18] == self.serial:
                self._place = _place(page)
            return page
        return b""


def body(page: bytes) -> bytes:
    """What is in a page; nothing in none."""
    return page[HEAD_BYTES + page[26] :] if page else b""


def _place(page: bytes) -> int:
    """In samples, where the last packet of a page ends."""
    place: int = struct.unpack("<q", page[6:14])[0]
    return place


def _salvaged(page: bytes, start: int) -> bytes:
    """Of a page that was cut, one of the packets that are whole; nothing where none is. start: in samples."""
    lengths = page[HEAD_BYTES : HEAD_BYTES + page[26]]
    there = len(page) - HEAD_BYTES - page[26]
    count = size = kept = 0
    for index, length in enumerate(lengths):
        size += length
        if size > there:
            break
        if length < 255:  # a packet ends here
            count, kept = index + 1, size
    if not count:
        return b""
    packets = [sum(length < 255 for length in part) for part in (lengths[:count], lengths)]
    end = start + (_place(page) - start) * packets[0] // packets[1]  # as far as packets are equally long
    head = page[:5] + bytes([page[5] & ~ENDS]) + struct.pack("<q", end) + page[14:22] + bytes(4)
    return _sealed(head + bytes([count]) + lengths[:count] + body(page)[:kept])


def _sealed(page: bytes) -> bytes:
    """With its checksum."""
    return page[:22] + struct.pack("<I", _checksum(page)) + page[26:]


def _last_page(serial: bytes) -> bytes:
    """An empty page that ends a stream, so far on that nothing is cut off."""
    return _sealed(b"OggS\0" + bytes([ENDS]) + struct.pack("<Q", FAR) + serial + bytes(8) + b"\1\0")


def _checksum(page: bytes) -> int:
    """Ogg's CRC: 0x04c11db7, neither reflected nor inverted."""
    checksum = 0
    for byte in page:
        checksum = (checksum << 8 & 0xFFFFFFFF) ^ _CHECKSUMS[checksum >> 24 ^ byte]
    return checksum


def _of_a_byte(byte: int) -> int:
    checksum = byte << 24
    for _ in range(8):
        checksum = (checksum << 1) ^ (0x04C11DB7 if checksum & 0x80000000 else 0)
        checksum &= 0xFFFFFFFF
    return checksum


_CHECKSUMS = [_of_a_byte(byte) for byte in range(256)]
