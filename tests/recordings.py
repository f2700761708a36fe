"""Recordings of every kind that libsndfile writes, and what can happen to them: cut, unfinished, joined.

`outcomes` is what comes of each: docs/recordings.md shows it, test_every_kind.py holds it.
"""

import functools
import io
import logging
import os
import re
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from edgecap.runtime.audio import RATE, Samples
from edgecap.runtime.errors import EdgecapError
from edgecap.runtime.sound.blocks import Converter
from edgecap.runtime.sound.opener import sound_blocks
from edgecap.runtime.sound.stream import Stream, open_stream

SECONDS = 2.0
SLOW = {"GSM610": 8_000, "G721_32": 8_000, "G723_24": 8_000, "G723_40": 8_000, "OPUS": 16_000}
"""Codecs that take some rates only."""


class Encoded(NamedTuple):
    """A recording as bytes, and its samples as libsndfile gives them, at 32 kHz."""

    container: str
    codec: str
    data: bytes
    samples: Samples
    beside: bytes = b""
    """What an SD2 writes into a second file."""


class Heard(NamedTuple):
    """What came of a recording: its samples, the line on stderr; or the sentence by which it was refused."""

    samples: Samples
    said: str
    refused: str = ""


def clip(rate: int, seconds: float = SECONDS) -> Samples:
    """Two tones that rise and fall, over a little noise."""
    t = np.arange(round(rate * seconds)) / rate
    sound = np.sin(2 * np.pi * 330 * t) * np.sin(np.pi * t) ** 2 + 0.3 * np.sin(2 * np.pi * 1210 * t)
    noise = np.random.default_rng(7).standard_normal(len(t))
    return (0.3 * sound + 0.003 * noise).astype(np.float32)


@functools.cache
def encodings() -> tuple[Encoded, ...]:
    """Every container and codec that libsndfile writes and reads again."""
    made = []
    with tempfile.TemporaryDirectory() as folder, _inside(Path(folder)):
        for container in soundfile.available_formats():
            for codec in soundfile.available_subtypes(container):
                if container != "RAW" and (each := _encoded(container, codec)):
                    made.append(each)
    return tuple(made)


def _encoded(container: str, codec: str) -> Encoded | None:
    rate = 8_000 if container == "WVE" else SLOW.get(codec, RATE)
    path = Path("recording")
    try:
        soundfile.write(path, clip(rate), rate, format=container, subtype=codec)
        samples, read_rate = soundfile.read(path, dtype="float32")
    except (soundfile.LibsndfileError, ValueError):
        return None  # it is listed, but not written, or not read again
    beside = Path("._recording")
    second = beside.read_bytes() if beside.exists() else b""
    beside.unlink(missing_ok=True)
    return Encoded(container, codec, path.read_bytes(), converted(samples, read_rate), second)


def converted(samples: Samples, rate: int) -> Samples:
    converter = Converter(rate, 1)
    return np.concatenate([converter.push(samples), converter.flush()])


def heard(data: bytes, is_pipe: bool = False, beside: bytes = b"") -> Heard:
    """Through the opener: of a file, or of a stream whose length nobody knows."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]  # a handler has this one way out
    logger = logging.getLogger("edgecap.runtime.sound")
    logger.addHandler(handler)
    parts = [np.zeros(0, np.float32)]
    try:
        with _opened(data, is_pipe, beside) as stream:
            parts += [block.samples for block in sound_blocks(stream)]
    except EdgecapError as error:
        return Heard(np.zeros(0, np.float32), "", str(error))
    finally:
        logger.removeHandler(handler)
    assert len(said) <= 1, said
    return Heard(np.concatenate(parts), "".join(said))


@contextmanager
def _opened(data: bytes, is_pipe: bool, beside: bytes) -> Iterator[Stream]:
    if is_pipe:
        yield Stream(io.BytesIO(data), "recording")
        return
    with tempfile.TemporaryDirectory() as folder, _inside(Path(folder)):
        Path("recording").write_bytes(data)
        if beside:
            Path("._recording").write_bytes(beside)
        with open_stream("recording") as stream:
            yield stream


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)  # where libsndfile puts the second file of an SD2
    try:
        yield
    finally:
        os.chdir(before)


# --- what recordings say of their length ----------------------------------------------------------------


class Field(NamedTuple):
    """Where a length stands: after `mark`, or at the beginning, so many bytes further on."""

    mark: bytes
    offset: int
    form: str


RIFF = (Field(b"", 4, "<I"), Field(b"data", 4, "<I"))
FIELDS: dict[str, tuple[Field, ...]] = {
    "WAV": RIFF,
    "WAVEX": RIFF,
    "RF64": (Field(b"ds64", 8, "<Q"), Field(b"ds64", 16, "<Q"), Field(b"ds64", 24, "<Q")),
    "W64": (Field(b"", 16, "<q"), Field(b"data\xf3", 16, "<q")),
    "AIFF": (Field(b"", 4, ">I"), Field(b"SSND", 4, ">I"), Field(b"COMM", 10, ">I")),
    "SVX": (Field(b"", 4, ">I"), Field(b"BODY", 4, ">I"), Field(b"VHDR", 8, ">I")),
    "CAF": (Field(b"data", 4, ">q"),),
    "AU": (Field(b"", 8, ">I"),),
    "AVR": (Field(b"", 26, ">I"),),
    "MPC2K": (Field(b"", 26, "<I"), Field(b"", 30, "<I")),
    "HTK": (Field(b"", 0, ">I"),),
    "WVE": (Field(b"", 18, ">I"),),
}
"""Those that stand in fixed places. FLAC's, MP3's, VOC's and NIST's are made below."""


def with_length(each: Encoded, change: Callable[[int], int]) -> bytes | None:
    """The recording with every statement of its length changed; None where it makes none."""
    data = bytearray(each.data)
    if each.container == "FLAC":
        total = int.from_bytes(data[21:26], "big")
        length = change(total & (1 << 36) - 1) & (1 << 36) - 1
        data[21:26] = (total >> 36 << 36 | length).to_bytes(5, "big")
    elif each.container == "MP3":
        at = max(data.find(b"Xing", 0, 64), data.find(b"Info", 0, 64)) + 8
        data[at : at + 4] = struct.pack(">I", change(struct.unpack(">I", data[at : at + 4])[0]))
    elif each.container == "VOC":
        data[27:30] = min(change(int.from_bytes(data[27:30], "little")), 0xFFFFFF).to_bytes(3, "little")
    elif each.container == "NIST":
        said = re.search(rb"sample_count -i (\d+)\n", data)
        assert said
        number = str(change(int(said[1]))).encode()
        head = data[: said.start(1)] + number + data[said.end(1) : 1024]
        data[:1024] = (head + bytes(1024))[:1024]
    elif each.container in FIELDS:
        for field in FIELDS[each.container]:
            at = data.index(field.mark) + field.offset
            size = struct.calcsize(field.form)
            data[at : at + size] = struct.pack(
                field.form, change(struct.unpack(field.form, data[at : at + size])[0])
            )
    else:
        return None
    return bytes(data)


# --- what becomes of them -------------------------------------------------------------------------------


class Fate(NamedTuple):
    """Something that happened to a recording: its bytes then, and what should be heard of them."""

    name: str
    data: bytes
    expected: Samples


def fates(each: Encoded) -> Iterator[Fate]:
    """All that can happen to this recording."""
    yield Fate("whole", each.data, each.samples)
    yield Fate("cut", each.data[: round(len(each.data) * 0.63)], each.samples)
    for name, change in CHANGES.items():
        if data := with_length(each, change):
            yield Fate(name, data, each.samples)
    yield Fate("joined", 2 * each.data, np.concatenate([each.samples, each.samples]))


CHANGES: dict[str, Callable[[int], int]] = {
    "length 0": lambda length: 0,
    "too long": lambda length: 3 * length + 1000,
    "too short": lambda length: length // 3,
}


class Outcome(NamedTuple):
    """What came of one recording, after one fate, from a file or a pipe."""

    each: Encoded
    fate: Fate
    is_pipe: bool
    heard: Heard

    @property
    def words(self) -> str:
        if self.heard.refused:
            return "refused"
        share = len(self.heard.samples) / len(self.fate.expected)
        part = "heard" if share > 0.99 or self.fate.name == "cut" else "the first is heard"
        return part + (", told" if self.heard.said else "")


@functools.cache
def outcomes() -> tuple[Outcome, ...]:
    """Of all recordings, with nothing installed but what always is."""
    with without_pyav():
        return tuple(
            Outcome(each, fate, is_pipe, heard(fate.data, is_pipe, each.beside))
            for each in encodings()
            for fate in fates(each)
            for is_pipe in (False, True)
        )


@contextmanager
def without_pyav() -> Iterator[None]:
    held = sys.modules.get("av")
    sys.modules["av"] = None  # type: ignore[assignment]  # importing it fails
    try:
        yield
    finally:
        del sys.modules["av"]
        if held:
            sys.modules["av"] = held


def table() -> str:
    """A row for each container, the codecs of which have the same outcomes together."""
    names = ["whole", "cut", *CHANGES, "joined"]
    rows: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for each in encodings():
        cells = tuple(
            _cell([one for one in outcomes() if one.each is each and one.fate.name == name]) for name in names
        )
        rows.setdefault((each.container, cells), []).append(each.codec)
    lines = [f"| container | codecs | {' | '.join(names)} |", "|---" * (2 + len(names)) + "|"]
    lines += [
        f"| {container} | {', '.join(codecs)} | {' | '.join(cells)} |"
        for (container, cells), codecs in rows.items()
    ]
    return "\n".join(lines)


def _cell(of_file_and_pipe: list[Outcome]) -> str:
    if not of_file_and_pipe:
        return "–"
    file, pipe = (one.words for one in of_file_and_pipe)
    return file if file == pipe else f"{file}; on a pipe: {pipe}"
