"""Pipe: raw samples or a WAV as they come from another program, as blocks of mono 32 kHz."""

import io
import math
import struct
import sys
from collections.abc import Iterator
from typing import Literal, Protocol

import numpy as np

from ..errors import DataError
from .blocks import BLOCK_S, Block, Converter
from .source import MIX, Mixing

Sample = Literal["s16le", "f32le"]
UNKNOWN_LENGTH = 0x7FFF0000
"""What programs that can't know write as a WAV's length: this, more, or 0. No such WAV has an end."""
PIPE_SOMETHING = "pipe sound in, for example: arecord -f S16_LE -r 32000 -c 1 | edgecap run --source stdin"


class Pipe(Protocol):
    """What bytes can be read from: a file, a pipe, buffered or not."""

    def read(self, size: int, /) -> bytes | None: ...


def pcm_blocks(
    pipe: Pipe, rate: int, channels: int, sample: Sample = "s16le", mixing: Mixing = MIX
) -> Iterator[Block]:
    """Raw interleaved samples from a pipe, or a WAV stream, which tells its own rate, channels and format.

    Reads at most one block ahead. A last frame that is cut is dropped, and what follows a WAV's samples is
    not read. Raises DataError where nothing came, or the pipe can't be read.
    """
    start = _read_up_to(pipe, 4)
    left = math.inf
    if start == b"RIFF":
        rate, channels, sample, left = _wav_header(pipe)
        start = b""
    dtype = np.dtype("<i2" if sample == "s16le" else "<f4")
    frame_bytes = channels * dtype.itemsize
    wanted = max(1, round(rate * BLOCK_S)) * frame_bytes
    converter = Converter(rate, channels, mixing, "Standard input")
    index = bytes_read = 0
    while True:
        data = start + _read_up_to(pipe, int(min(wanted, left)) - len(start))
        start = b""
        left -= len(data)
        bytes_read += len(data)
        at_end = len(data) < wanted
        frames = np.frombuffer(data[: len(data) - len(data) % frame_bytes], dtype)
        samples = converter.push(frames)
        if at_end:
            samples = np.concatenate([samples, converter.flush()])
        if len(samples):
            yield Block(samples, index, converter.reading)
            index += len(samples)
        if at_end:
            break
    if not bytes_read:
        raise DataError(
            "Nothing came on standard input",
            why="the program before the pipe wrote no sound",
            fix=PIPE_SOMETHING,
        )


def _read_up_to(pipe: Pipe, size: int) -> bytes:
    """Exactly size bytes, fewer at the end only: an unbuffered pipe gives what it has."""
    parts = []
    try:
        while size > 0 and (part := pipe.read(size)):
            parts.append(part)
            size -= len(part)
    except OSError as refused:
        raise DataError(
            "Standard input can't be read", why=refused.strerror or str(refused), fix=PIPE_SOMETHING
        ) from refused
    return b"".join(parts)


def _wav_header(pipe: Pipe) -> tuple[int, int, Sample, float]:
    """(rate, channels, sample format, bytes of sound) of a WAV whose "RIFF" has been read.

    Leaves the pipe at its samples. The bytes are infinite where the writer could not know them.
    """
    bad = "The WAV on standard input can't be read"
    _read_up_to(pipe, 8)  # length and "WAVE"
    form: tuple[int, int, int, int] | None = None
    while True:
        chunk = _read_up_to(pipe, 8)
        if len(chunk) < 8:
            raise DataError(bad, why="it ends within its header")
        name, length = chunk[:4], struct.unpack("<I", chunk[4:])[0]
        if name == b"data":
            break
        if length > 1 << 20:
            raise DataError(bad, why=f"its header has a part of {length} bytes")
        body = _read_up_to(pipe, length + length % 2)
        if name == b"fmt " and len(body) >= 16:
            tag, channels, rate, _, _, bits = struct.unpack("<HHIIHH", body[:16])
            if tag == 0xFFFE and len(body) >= 26:  # extensible: the tag proper is in the subformat
                tag = struct.unpack("<H", body[24:26])[0]
            form = (tag, channels, rate, bits)
    if form is None:
        raise DataError(bad, why="it does not say its format")
    tag, channels, rate, bits = form
    known: dict[tuple[int, int], Sample] = {(1, 16): "s16le", (3, 32): "f32le"}
    if (tag, bits) not in known or not 1 <= channels <= 64 or not 1_000 <= rate <= 384_000:
        raise DataError(
            bad,
            why=f"format {tag}, {bits} bits, {channels} channels, {rate} Hz",
            fix="write 16-bit integers or 32-bit floats",
        )
    return rate, channels, known[tag, bits], math.inf if length == 0 or length >= UNKNOWN_LENGTH else length


def standard_input() -> Pipe:
    """This process's standard input. Raises DataError where no sound can come from there."""
    if sys.stdin is None:
        raise DataError("Standard input is closed", why="there is nothing to read", fix=PIPE_SOMETHING)
    if sys.stdin.isatty():
        raise DataError("Standard input is a terminal", why="it brings keys, not sound", fix=PIPE_SOMETHING)
    # Unbuffered: a thread waiting inside a buffered reader makes Python abort when it ends.
    return io.FileIO(sys.stdin.fileno(), closefd=False)
