"""Headers: what stands before samples, and tells how they are written and how many there should be.

The first is needed; the second is what a recorder writes last of all: no more than a hint (payload.py).
Here are those that are a header and nothing more: AU, HTK, VOC; chunks.py has the others.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import DataError
from . import kinds
from .kinds import Kind
from .mpeg import begins, tag_bytes
from .payload import FOREVER, Payload
from .pcm import Coding
from .stream import Stream

UNKNOWN_32 = 0x7FFF0000
"""What programs that can't know write as a length of 32 bits: this or more. No such recording has an end."""
KEPT_BYTES = 1 << 16
"""A chunk before the sound that is larger says nothing of its samples: a picture, a broadcast's log."""


@dataclass(frozen=True)
class Form:
    """What a header says of the samples. coding: None where libsndfile must decode them.

    body: the header's own words for it. tag: a WAV's number for it.
    """

    rate: int
    channels: int
    coding: Coding | None
    body: bytes
    tag: int = 0


@dataclass(frozen=True)
class Opened:
    """A container, read up to its samples. head: the chunks before them that matter, as they stood."""

    form: Form
    payload: Payload
    head: bytes


def stated_length(size: int, unknown: int, stream: Stream, before: int = 0) -> int:
    """What a header says, if anything, without what stands `before` the samples.

    On a pipe nobody comes back to write it: 0 is a way to say so.
    """
    if size >= unknown or size == -1 or (size <= before and stream.is_pipe):
        return FOREVER
    return max(0, size - before)


def is_over(stream: Stream, at: int = 0) -> bool:
    """Whether so many bytes on there is no sound of this recording: nothing, a tag, or another recording."""
    view = stream.peek(at + kinds.LOOK)[at:]
    return not view or tag_bytes(view) > 0 or kinds.recognised(view) is not None or begins(stream, at)


def checked(form: Form, stream: Stream, kind: Kind) -> Form:
    if not (1 <= form.channels <= 64 and 1_000 <= form.rate <= 384_000):
        raise DataError(
            f"{stream.name} can't be read",
            why=f"it is {kind.name} with {form.channels} channels at {form.rate} Hz",
        )
    return form


def cut_in_header(stream: Stream, kind: Kind) -> DataError:
    return DataError(f"{stream.name} holds no sound", why=f"it is {kind.name} that ends within its header")


_AU_CODINGS = {
    1: Coding("ULAW", 1), 2: Coding("PCM_S8", 1), 3: Coding("PCM_16", 2), 4: Coding("PCM_24", 3),
    5: Coding("PCM_32", 4), 6: Coding("FLOAT", 4), 7: Coding("DOUBLE", 8), 27: Coding("ALAW", 1),
}  # fmt: skip


def open_au(stream: Stream, kind: Kind) -> Opened:
    """Sun's and NeXT's. Raises DataError where its header is cut or senseless."""
    head = stream.read(24)
    if len(head) < 24:
        raise cut_in_header(stream, kind)
    order = "<" if kind is kinds.AU_LITTLE else ">"
    _, offset, size, encoding, rate, channels = struct.unpack(f"{order}6I", head)
    head += stream.read(min(KEPT_BYTES, max(0, offset - 24)))
    coding = _AU_CODINGS.get(encoding)
    form = Form(rate, channels, coding and coding._replace(is_big=order == ">"), head)
    payload = Payload(stream, stated_length(size, UNKNOWN_32, stream), kind, _sound_or_another(stream))
    return Opened(checked(form, stream, kind), payload, head)


def open_htk(stream: Stream, kind: Kind) -> Opened:
    """16-bit samples, the rate as a period of 100 ns each."""
    head = stream.read(12)
    if len(head) < 12:
        raise cut_in_header(stream, kind)
    count, period = struct.unpack(">II", head[:8])
    form = checked(Form(round(1e7 / max(1, period)), 1, Coding("PCM_16", 2, True), head), stream, kind)
    return Opened(
        form,
        Payload(stream, stated_length(2 * count, UNKNOWN_32, stream), kind, _sound_or_another(stream)),
        head,
    )


def _sound_or_another(stream: Stream) -> Callable[[], int]:
    return lambda: 0 if is_over(stream) else FOREVER


_VOC_CODINGS = {0: Coding("PCM_U8", 1), 4: Coding("PCM_16", 2), 6: Coding("ALAW", 1), 7: Coding("ULAW", 1)}
_VOC_END, _VOC_SOUND, _VOC_MORE, _VOC_EXTENDED, _VOC_NEW = 0, 1, 2, 8, 9


def open_voc(stream: Stream, kind: Kind) -> Opened:
    """Creative's, in blocks. Raises DataError where no sound is within reach."""
    head = stream.read(26)
    stream.skip(int.from_bytes(head[20:22], "little") - len(head))
    extended = b""
    while (block := stream.read(4)) and block[0] not in (_VOC_SOUND, _VOC_NEW, _VOC_END):
        size = int.from_bytes(block[1:], "little")
        if block[0] == _VOC_EXTENDED and size == 4:
            extended = stream.read(4)
        else:
            stream.skip(size)
    told = stream.read(12 if block[:1] == bytes([_VOC_NEW]) else 2)
    if len(block) < 4 or len(told) < 2 or block[0] == _VOC_END:
        raise cut_in_header(stream, kind)
    rate, channels, codec = round(1e6 / (256 - told[0])), 1, told[1]
    if len(told) == 12:
        rate, _, channels, codec = struct.unpack("<IBBH", told[:8])
    elif len(extended) == 4:  # which says it better than the block itself
        period, codec, mode = struct.unpack("<HBB", extended)
        channels = 1 + mode
        rate = round(256e6 / channels / (65536 - period))
    form = checked(Form(rate, channels, _VOC_CODINGS.get(codec), head), stream, kind)
    if form.coding is None:
        raise DataError(f"{stream.name} can't be read", why=f"it is {kind.name} in Creative's ADPCM")
    size = stated_length(int.from_bytes(block[1:], "little") - len(told), FOREVER, stream)
    return Opened(form, Payload(stream, size, kind, lambda: _next_voc_block(stream)), head)


def _next_voc_block(stream: Stream) -> int:
    """How many bytes of sound the next block has; its rate is that of the first."""
    while block := stream.peek(16):
        size, kind = int.from_bytes(block[1:4], "little"), block[0]
        if kind == _VOC_END and is_over(stream, 1):
            stream.skip(1)
            return 0
        if kind in (_VOC_END, *range(_VOC_NEW + 1, 256)) or size > stream.left:
            return FOREVER  # the stated length was wrong
        told = {_VOC_SOUND: 2, _VOC_NEW: 12}.get(kind, 0)
        stream.skip(4 + told)
        if kind in (_VOC_SOUND, _VOC_MORE, _VOC_NEW):
            return max(0, size - told)
        stream.skip(size)
    return 0
