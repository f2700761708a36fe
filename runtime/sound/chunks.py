"""Chunks: WAV and its relatives, AIFF, IFF, CAF and W64, up to their samples.

A header says how samples are written, and how many bytes of them follow. The first is needed; the second is
what a recorder writes last of all, so it is taken for no more than a hint (payload.py).
"""

import math
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import DataError
from . import kinds
from .headers import KEPT_BYTES, UNKNOWN_32, Form, Opened, checked, cut_in_header, is_over, stated_length
from .kinds import Kind
from .payload import FOREVER, Payload
from .pcm import Coding
from .stream import Stream

UNKNOWN_32_MOST = 0xFFFFFFFF
KNOWN = re.compile(
    rb"LIST|fact|fmt |data|PEAK|bext|cue |smpl|inst|plst|labl|note|ltxt|iXML|axml|chna|umid|DISP|cart|levl|"
    rb"_PMX|i[dD]3 |ID3 |JUNK|junk|PAD |FLLR|minf|elm1|regn|afsp|r64m|"
    rb"SSND|COMM|COMT|MARK|INST|NAME|AUTH|\(c\) |ANNO|APPL|CHAN|AESD|MIDI|SAXL|BODY|CHRS|"
    rb"kuki|pakt|chan|free|uuid|strg|mark|info|edct|ovvw|peak"
)
"""Chunks that are met. On a pipe, where no size can be checked, all else is taken for sound."""
INTEGERS = {1: "PCM_S8", 2: "PCM_16", 3: "PCM_24", 4: "PCM_32"}
FLOATS = {4: "FLOAT", 8: "DOUBLE"}
"""Bytes -> libsndfile's name."""
CHUNK_ID = re.compile(rb"[A-Za-z0-9 _()\[\]+.-]{4}")


@dataclass(frozen=True)
class Family:
    """How a container writes its chunks.

    opening: bytes before the first one. head: a chunk's id and size. head_counts: the size includes them.
    pad: chunks begin at multiples of it. form, sound: the ids of what tells the format and of the samples.
    before: bytes of the sound's chunk before its samples.
    """

    opening: int
    head: struct.Struct
    form: bytes
    sound: bytes
    read_form: "Callable[[bytes, str], Form]"
    pad: int = 2
    head_counts: bool = False
    before: int = 0
    unknown: int = UNKNOWN_32
    chunk_id: "re.Pattern[bytes]" = CHUNK_ID

    @property
    def order(self) -> str:
        return self.head.format[0]


def open_chunked(stream: Stream, kind: Kind, family: Family) -> Opened:
    """Reads up to the samples. Raises DataError where their format isn't told."""
    head = stream.read(family.opening)
    form: Form | None = None
    large = 0  # what RF64 says where 32 bits are too few
    while True:
        at = stream.read(family.head.size)
        if len(at) < family.head.size:
            raise cut_in_header(stream, kind)
        name, size = family.head.unpack(at)
        if family.head_counts:
            size -= family.head.size
        if name == family.sound:
            break
        padded = size + -size % family.pad
        if not 0 <= padded <= KEPT_BYTES:
            if not family.chunk_id.fullmatch(name) or padded < 0:
                why = f"it is {kind.name} whose header makes no sense"
                raise DataError(f"{stream.name} can't be read", why=why)
            stream.skip(padded)
            continue
        body = stream.read(padded)
        if len(body) < size:
            raise cut_in_header(stream, kind)
        head += at + body
        if name == family.form:
            form = checked(family.read_form(body[:size], family.order), stream, kind)
        elif name == b"ds64" and len(body) >= 16:
            large = struct.unpack("<Q", body[8:16])[0]
    if form is None:
        why = f"it is {kind.name} that does not say how its samples are written"
        raise DataError(f"{stream.name} can't be read", why=why)
    before = stream.read(family.before)
    if not large or size != UNKNOWN_32_MOST:
        large = stated_length(size, family.unknown, stream, family.before)
    size = large
    return Opened(form, Payload(stream, size, kind, _More(stream, family, size)), head + at + before)


class _More:
    """What follows the samples: other chunks, more samples, or the rest of samples said to be fewer."""

    def __init__(self, stream: Stream, family: Family, size: int) -> None:
        self._stream, self._family, self._size = stream, family, size

    def __call__(self) -> int:
        family, stream = self._family, self._stream
        size = self._size + family.before
        while True:
            pad = -size % family.pad
            view = stream.peek(pad + kinds.LOOK)
            if len(view) < pad + family.head.size or is_over(stream, pad):
                stream.skip(pad)
                return 0
            name, size = family.head.unpack(view[pad : pad + family.head.size])
            if family.head_counts:
                size -= family.head.size
            ids = KNOWN if stream.is_pipe and family.chunk_id is CHUNK_ID else family.chunk_id
            if not (ids.fullmatch(name) and 0 <= size <= min(stream.left, FOREVER)):
                return 0 if is_over(stream) else FOREVER
            stream.skip(pad + family.head.size)
            if name == family.sound:
                stream.skip(family.before)
                self._size = size - family.before
                return FOREVER if size >= family.unknown else max(0, self._size)
            stream.skip(size)


# --- what the form chunks say -------------------------------------------------------------------------


def _wave_form(body: bytes, order: str) -> Form:
    if len(body) < 16:
        return Form(0, 0, None, body)
    tag, channels, rate, _, align, bits = struct.unpack(f"{order}HHIIHH", body[:16])
    if tag == 0xFFFE and len(body) >= 26:  # extensible: the tag proper is in the subformat
        tag = struct.unpack(f"{order}H", body[24:26])[0]
    width = align // channels if channels and align % channels == 0 else (bits + 7) // 8
    coding = {
        (1, 1): Coding("PCM_U8", 1),
        (1, 2): Coding("PCM_16", 2),
        (1, 3): Coding("PCM_24", 3),
        (1, 4): Coding("PCM_32", 4),
        (3, 4): Coding("FLOAT", 4),
        (3, 8): Coding("DOUBLE", 8),
        (6, 1): Coding("ALAW", 1),
        (7, 1): Coding("ULAW", 1),
    }.get((tag, width))
    return Form(rate, channels, coding and coding._replace(is_big=order == ">"), body, tag)


def _aiff_form(body: bytes, _: str) -> Form:
    if len(body) < 18:
        return Form(0, 0, None, body)
    channels, _, bits, exponent, mantissa = struct.unpack(">HIHHQ", body[:18])
    rate = round(math.ldexp(mantissa, (exponent & 0x7FFF) - 16383 - 63)) if exponent & 0x7FFF < 16446 else 0
    width = (bits + 7) // 8
    compression = body[18:22] or b"NONE"
    coding = {
        b"raw ": Coding("PCM_U8", 1),
        b"in24": Coding("PCM_24", 3, True),
        b"in32": Coding("PCM_32", 4, True),
        b"42ni": Coding("PCM_24", 3),
        b"23ni": Coding("PCM_32", 4),
        b"fl32": Coding("FLOAT", 4, True),
        b"FL32": Coding("FLOAT", 4, True),
        b"fl64": Coding("DOUBLE", 8, True),
        b"FL64": Coding("DOUBLE", 8, True),
        b"ulaw": Coding("ULAW", 1),
        b"ULAW": Coding("ULAW", 1),
        b"alaw": Coding("ALAW", 1),
        b"ALAW": Coding("ALAW", 1),
    }.get(compression)
    if compression in (b"NONE", b"twos", b"sowt") and width in INTEGERS:
        coding = Coding(INTEGERS[width], width, compression != b"sowt")
    return Form(rate, channels, coding, body)


def _voice_form(coding: Coding) -> Callable[[bytes, str], Form]:
    def read(body: bytes, _: str) -> Form:
        """Amiga's compression, which libsndfile does not know either, is a number other than 0."""
        if len(body) < 16 or body[15]:
            return Form(0, 0, None, body)
        return Form(struct.unpack(">H", body[12:14])[0], 1, coding, body)

    return read


def _core_form(body: bytes, _: str) -> Form:
    if len(body) < 32:
        return Form(0, 0, None, body)
    rate, name, flags, packet, _, channels, bits = struct.unpack(">d4sIIIII", body[:32])
    width = packet // channels if channels and packet % channels == 0 else (bits + 7) // 8
    names = FLOATS if flags & 1 else INTEGERS
    coding = {b"ulaw": Coding("ULAW", 1), b"alaw": Coding("ALAW", 1)}.get(name)
    if name == b"lpcm" and width in names:
        coding = Coding(names[width], width, not flags & 2)
    return Form(round(rate) if 0 < rate < 1e6 else 0, channels, coding, body)


_W64_REST = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
FAMILIES = {
    kinds.WAV: Family(12, struct.Struct("<4sI"), b"fmt ", b"data", _wave_form),
    kinds.RIFX: Family(12, struct.Struct(">4sI"), b"fmt ", b"data", _wave_form),
    kinds.RF64: Family(12, struct.Struct("<4sI"), b"fmt ", b"data", _wave_form),
    kinds.BW64: Family(12, struct.Struct("<4sI"), b"fmt ", b"data", _wave_form),
    kinds.W64: Family(
        40, struct.Struct("<16sq"), b"fmt " + _W64_REST, b"data" + _W64_REST, _wave_form,
        pad=8, head_counts=True, unknown=FOREVER, chunk_id=re.compile(rb"[a-z ]{4}" + re.escape(_W64_REST)),
    ),
    kinds.AIFF: Family(12, struct.Struct(">4sI"), b"COMM", b"SSND", _aiff_form, before=8),
    kinds.SVX8: Family(12, struct.Struct(">4sI"), b"VHDR", b"BODY", _voice_form(Coding("PCM_S8", 1))),
    kinds.SVX16: Family(12, struct.Struct(">4sI"), b"VHDR", b"BODY", _voice_form(Coding("PCM_16", 2, True))),
    kinds.CAF: Family(
        8, struct.Struct(">4sq"), b"desc", b"data", _core_form, pad=1, before=4, unknown=FOREVER
    ),
}  # fmt: skip
