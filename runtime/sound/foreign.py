"""Foreign: what containers hold beside samples as they are (ADPCM, GSM, MP3); libsndfile's own containers.

libsndfile decodes them; it gets a header that promises more than will ever come.
"""

import re
import struct
from typing import Literal

from ..errors import DataError
from . import kinds
from .chunks import FAMILIES
from .decoder import Decoder
from .headers import Opened
from .kinds import LOOK, Kind
from .mpeg import MpegDecoder
from .payload import FOREVER, Payload
from .sndfile import ENDLESS, KEPT_BYTES, PathDecoder, Shown, SndfileDecoder
from .stream import Stream

MOST_FRAMES = 0x7FFE0000
"""libsndfile counts these codecs' frames in 31 bits: 18 hours at 32 kHz."""
PAF_HEAD_BYTES, PAF_BYTES = 2048, 1 << 32
GSM_BYTES = 33 / 160
"""A frame's, the fewest that any of them takes."""
SAVE = "save it first, as a file"
MPEG_IN_WAV = (0x50, 0x55)


class _Inside:
    """A payload, as a stream of its own reads it."""

    def __init__(self, payload: Payload) -> None:
        self._payload = payload

    def read(self, size: int, /) -> bytes:
        return self._payload.read_some(size)


def open_foreign(stream: Stream, kind: Kind, opened: Opened) -> Decoder:
    """What is not samples as they are. Raises DataError where libsndfile does not know it either."""
    form, payload = opened.form, opened.payload
    if form.tag in MPEG_IN_WAV:
        return MpegDecoder(Stream(_Inside(payload), stream.name))
    if kind in (kinds.AU, kinds.AU_LITTLE):
        head, promise = _au_head(opened, "little" if kind is kinds.AU_LITTLE else "big")
    elif kind is kinds.AIFF and b"DWVW" not in form.body:  # which libsndfile writes, but can't read
        head, promise = _aiff_head(opened)
    elif form.tag:
        head, promise = _wave_head(opened, FAMILIES[kind].order)
    else:
        why = f"it is {kind.name} in a coding that is not known here"
        raise DataError(f"{stream.name} can't be read", why=why)
    shown = Shown(payload.read, head=head, length=len(head) + promise)
    return SndfileDecoder(shown, stream.name, payload=payload, data_bytes=promise)


def _wave_head(opened: Opened, order: str) -> tuple[bytes, int]:
    """Of a WAV, or of a relative as a WAV; and how many bytes of sound it promises."""
    form = opened.form
    bytes_a_second = struct.unpack(f"{order}I", form.body[8:12])[0]
    promise = int(MOST_FRAMES * min(1.0, bytes_a_second / form.rate or GSM_BYTES))
    chunk = struct.pack(f"{order}4sI", b"fmt ", len(form.body)) + form.body + bytes(len(form.body) % 2)
    sound = struct.pack(f"{order}4sI", b"data", promise)
    name = b"RIFX" if order == ">" else b"RIFF"
    whole = len(chunk) + len(sound) + 4 + promise
    return struct.pack(f"{order}4sI4s", name, whole, b"WAVE") + chunk + sound, promise


def _aiff_head(opened: Opened) -> tuple[bytes, int]:
    promise = int(MOST_FRAMES * GSM_BYTES)
    head = bytearray(opened.head[:-12] + struct.pack(">I", promise + 8) + bytes(8))
    frames = head.index(opened.form.body[:18]) + 2
    head[frames : frames + 4] = struct.pack(">I", MOST_FRAMES)  # GSM's length is counted there
    head[4:8] = struct.pack(">I", len(head) + promise - 8)
    return bytes(head), promise


def _au_head(opened: Opened, order: Literal["little", "big"]) -> tuple[bytes, int]:
    promise = int(MOST_FRAMES * GSM_BYTES)
    return opened.head[:8] + promise.to_bytes(4, order) + opened.head[12:], promise


def open_forward(stream: Stream, kind: Kind) -> Decoder:
    """A container that libsndfile reads forward, whatever its length is. Raises DataError where it can't."""
    promised = _promised(kind, stream.peek(1024))
    payload = Payload(stream, FOREVER, kind)
    if kind in kinds.PAFS:  # may hold blocks of a constant rate, like the codecs above
        shown = Shown(payload.read, head=stream.read(PAF_HEAD_BYTES), length=PAF_HEAD_BYTES + PAF_BYTES)
        return SndfileDecoder(shown, stream.name, payload=payload, data_bytes=PAF_BYTES)
    return SndfileDecoder(Shown(payload.read, head=stream.read(LOOK)), stream.name, promised=promised)


def open_packed(stream: Stream, kind: Kind) -> Decoder:
    """A CAF of packets. Raises DataError where the table of their sizes does not stand before them."""
    at = 8
    name = b""
    while name != b"data" and at < KEPT_BYTES and len(chunk := stream.peek(at + 12)[at:]) == 12:
        name, size = struct.unpack(">4sq", chunk)
        at += 12 + (4 if name == b"data" else max(0, size))
    head = stream.peek(at)
    if name != b"data" or b"pakt" not in head:
        if stream.is_pipe:
            why = f"it is {kind.name} whose table of packets comes at its end"
            raise DataError(f"{stream.name} can't be read as it comes", why=why, fix=SAVE)
        raise DataError(
            f"{stream.name} can't be read", why=f"it is {kind.name} whose table of packets is missing"
        )
    stream.skip(len(head))
    head = head[:-12] + struct.pack(">q", ENDLESS >> 8) + head[-4:]
    payload = Payload(stream, FOREVER, kind)
    return SndfileDecoder(Shown(payload.read, head=head), stream.name, rest=payload)


def open_by_path(stream: Stream, _: Kind | None = None) -> Decoder:
    """What libsndfile reads only where it can go to and fro. Raises DataError where it can't."""
    if stream.path is None or stream.is_pipe:
        raise DataError(
            f"{stream.name} can't be read",
            why="recordings of this kind can't be read as they come",
            fix="save it first",
        )
    return PathDecoder(stream)


def _promised(kind: Kind, head: bytes) -> int | None:
    """The frames that a header promises, where it is easily seen and not what libsndfile goes by."""
    if kind is kinds.AVR:
        return int.from_bytes(head[26:30], "big")
    if kind is kinds.MPC2K:
        return int.from_bytes(head[26:30], "little")
    if kind is kinds.WVE:
        return int.from_bytes(head[18:22], "big")
    if kind is kinds.NIST and (said := re.search(rb"sample_count -i (\d+)", head)):
        return int(said[1])
    return None
