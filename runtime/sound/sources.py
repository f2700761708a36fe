"""Sources: files and pipes as blocks of mono 32 kHz, each with its place in time.

Every source is an iterator of blocks. A block that stands further on than the last one ended tells
of a gap: lost samples are counted, never filled with silence. The microphone is in microphone.py.
"""

import re
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import soundfile

from ..audio import seconds
from ..errors import DataError, InputMissingError
from .blocks import BLOCK_S, Block, Converter

Sample = Literal["s16le", "f32le"]


class Pipe(Protocol):
    """What bytes can be read from: a file, a pipe, buffered or not."""

    def read(self, size: int, /) -> bytes | None: ...


def file_blocks(path: Path) -> Iterator[Block]:
    """A recording, read as a stream. Raises InputMissingError or DataError, early where it can."""
    with _open(path) as sound:
        converter = Converter(sound.samplerate, sound.channels)
        index = frames_read = 0
        length = max(1, round(sound.samplerate * BLOCK_S))
        while True:
            try:
                frames = sound.read(length, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as damaged:
                raise _truncated(path, str(damaged.error_string)) from damaged
            frames_read += len(frames)
            at_end = len(frames) < length
            samples = (
                np.concatenate([converter.push(frames), converter.flush()])
                if at_end
                else converter.push(frames)
            )
            if len(samples):
                yield Block(samples, index)
                index += len(samples)
            if at_end:
                break
        if not frames_read:
            raise _empty(path)
        if frames_read < sound.frames:
            raise _truncated(path, f"{frames_read} of {sound.frames} frames are there")


def pcm_blocks(pipe: Pipe, rate: int, channels: int, sample: Sample = "s16le") -> Iterator[Block]:
    """Raw interleaved samples from a pipe, or a WAV stream, which tells its own rate, channels and format.

    Reads at most one block ahead. A last frame that is cut is dropped. Raises DataError where nothing came.
    """
    start = _read_up_to(pipe, 4)
    if start == b"RIFF":
        rate, channels, sample = _wav_header(pipe)
        start = b""
    dtype = np.dtype("<i2" if sample == "s16le" else "<f4")
    frame_bytes = channels * dtype.itemsize
    wanted = max(1, round(rate * BLOCK_S)) * frame_bytes
    converter = Converter(rate, channels)
    index = bytes_read = 0
    while True:
        data = start + _read_up_to(pipe, wanted - len(start))
        start = b""
        bytes_read += len(data)
        at_end = len(data) < wanted
        frames = np.frombuffer(data[: len(data) - len(data) % frame_bytes], dtype)
        samples = converter.push(frames)
        if at_end:
            samples = np.concatenate([samples, converter.flush()])
        if len(samples):
            yield Block(samples, index)
            index += len(samples)
        if at_end:
            break
    if not bytes_read:
        raise DataError(
            "Nothing came on standard input",
            why="the program before the pipe wrote no sound",
            fix="pipe sound in, for example: arecord -f S16_LE -r 32000 -c 1 | edgecap run --source stdin",
        )


def paced(
    blocks: Iterable[Block],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[Block]:
    """The same blocks, each given when a microphone would: once all of it has sounded."""
    start = clock()
    for block in blocks:
        sleep(max(0.0, start + seconds(block.index + len(block.samples)) - clock()))
        yield block


def _open(path: Path) -> soundfile.SoundFile:
    if not path.exists():
        raise InputMissingError(f"{path} does not exist", fix="check the path")
    if path.is_dir():
        raise DataError(f"{path} is a folder", fix="name the recordings in it, one by one or as FOLDER/*.wav")
    try:
        if path.stat().st_size == 0:
            raise _empty(path)
        sound = soundfile.SoundFile(path)
    except OSError as refused:
        raise DataError(f"{path} can't be read", why=refused.strerror or str(refused)) from refused
    except soundfile.LibsndfileError as refused:
        raise DataError(
            f"{path} is not a recording that can be read",
            why=str(refused.error_string).rstrip("."),
            fix="convert it, for example with `ffmpeg -i IN OUT.wav`",
        ) from refused
    cut = _cut_in_header(sound)
    if cut or not sound.frames:
        sound.close()
        raise _truncated(path, cut) if cut else _empty(path)
    return sound


def _cut_in_header(sound: soundfile.SoundFile) -> str:
    """Why a WAV, AIFF or Ogg is shorter than it says of itself; empty if it is whole.

    libsndfile reads what is there and mentions it in its log only. A length from 2 GiB up is what
    programs write that could not know it: a recording piped to a file, not a cut one.
    """
    if "lacks an end-of-stream bit" in sound.extra_info or "Junk after the last page" in sound.extra_info:
        return "its last page is missing or cut"
    lengths = re.search(r"^ *(?:data|SSND) *: (\d+) \(should be (\d+)\)", sound.extra_info, re.MULTILINE)
    if not lengths:
        return ""
    said, found = map(int, lengths.groups())
    if found >= said or said >= 0x7FFF0000:
        return ""
    return f"it holds {found} bytes of sound where its header says {said}"


def _empty(path: Path) -> DataError:
    return DataError(f"{path} holds no sound", why="it is empty", fix="record or copy it again")


def _truncated(path: Path, why: str) -> DataError:
    return DataError(f"{path} is truncated or damaged", why=why.rstrip("."), fix="copy or convert it again")


def _read_up_to(pipe: Pipe, size: int) -> bytes:
    """Exactly size bytes, fewer at the end only: an unbuffered pipe gives what it has."""
    parts = []
    while size > 0 and (part := pipe.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _wav_header(pipe: Pipe) -> tuple[int, int, Sample]:
    """(rate, channels, sample format) of a WAV whose "RIFF" has been read; leaves the pipe at its samples."""
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
    return rate, channels, known[tag, bits]
