"""What comes through a live pipe is heard as it comes, whatever it is; and each thing that can be on one."""

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import soundfile

from edgecap.runtime.audio import RATE
from edgecap.runtime.errors import DataError
from edgecap.runtime.sound.blocks import BLOCK_S
from edgecap.runtime.sound.feed import open_feed
from edgecap.runtime.sound.opener import sound_blocks
from edgecap.runtime.sound.raw import Raw
from edgecap.runtime.sound.ring import Closed
from edgecap.runtime.sound.source import Source
from edgecap.runtime.sound.stream import Stream
from tests.recordings import clip

SECONDS = 8.0
PATIENCE_S = 30.0
LAG_S = {"OGG": 2.5, "FLAC": 1.0, "MP3": 1.0}
"""A page of Ogg holds up to so much, and one compressed byte more than another. Plain samples: a block."""
CASES = [
    ("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "IMA_ADPCM"), ("AIFF", "PCM_16"), ("AU", "ULAW"),
    ("CAF", "FLOAT"), ("W64", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
]  # fmt: skip


class Writer:
    """A program at the other end of a pipe, which writes what it is told to and then waits."""

    def __init__(self, writing: int) -> None:
        self._pipe = io.FileIO(writing, "w")

    def write(self, data: bytes) -> None:
        while data:
            data = data[self._pipe.write(data) or 0 :]

    def close(self) -> None:
        self._pipe.close()


@contextmanager
def pipe() -> Iterator[tuple[Stream, Writer]]:
    reading, writing = os.pipe()
    writer = Writer(writing)
    with io.FileIO(reading) as source:
        try:
            yield Stream(source, "Standard input"), writer
        finally:
            with suppress(OSError):
                writer.close()


def encoded(container: str, codec: str) -> bytes:
    data = io.BytesIO()
    rate = 16_000 if codec == "OPUS" else RATE
    soundfile.write(data, clip(rate, SECONDS), rate, format=container, subtype=codec)
    return data.getvalue()


@pytest.mark.parametrize(("container", "codec"), CASES)
def test_sound_is_heard_before_the_writer_ends(container: str, codec: str) -> None:
    """The writer waits for ever in the middle: what it wrote must be heard, less what one page may hold."""
    data = encoded(container, codec)
    wanted = RATE * (SECONDS / 2 - LAG_S.get(container, 2 * BLOCK_S))
    with pipe() as (stream, writer):
        # A thread, since a pipe holds only so much.
        first = threading.Thread(target=writer.write, args=(data[: len(data) // 2],))
        first.start()
        heard = 0
        blocks = sound_blocks(stream)
        while heard < wanted:
            heard += len(next(blocks).samples)
        first.join(PATIENCE_S)
        rest = threading.Thread(target=lambda: (writer.write(data[len(data) // 2 :]), writer.close()))
        rest.start()
        heard += sum(len(block.samples) for block in blocks)
        rest.join(PATIENCE_S)
    assert heard == pytest.approx(SECONDS * RATE, abs=RATE / 10)


@pytest.mark.parametrize("raw", [Raw(), Raw(8_000, 1, "u8"), Raw(48_000, 2, "f32le")])
def test_a_block_of_raw_samples_waits_for_no_more_than_itself(raw: Raw) -> None:
    width = {"s16le": 2, "u8": 1, "f32le": 4}[raw.sample]
    block = bytes(round(raw.rate * BLOCK_S) * raw.channels * width)
    with pipe() as (stream, writer):
        blocks = sound_blocks(stream, raw)
        for _ in range(4):
            writer.write(block)
            assert len(next(blocks).samples)


def test_recordings_that_follow_one_another_on_a_pipe_are_all_heard() -> None:
    """Of any kinds; and one whose length is unknown ends where the next begins."""
    second = io.BytesIO()
    soundfile.write(second, clip(44_100, 1.0), 44_100, format="WAV", subtype="PCM_24")
    endless = bytearray(second.getvalue())
    endless[4:8] = endless[40:44] = b"\xff" * 4
    flac, mp3 = encoded("FLAC", "PCM_16"), encoded("MP3", "MPEG_LAYER_III")
    with pipe() as (stream, writer):
        data = second.getvalue() + bytes(endless) + second.getvalue() + mp3 + flac
        writing = threading.Thread(target=lambda: (writer.write(data), writer.close()))
        writing.start()
        heard = sum(len(block.samples) for block in sound_blocks(stream))
        writing.join(PATIENCE_S)
    assert heard == pytest.approx((3 + 2 * SECONDS) * RATE, abs=RATE / 10)


def through(fifo: Path, data: bytes, source: Source) -> int:
    """How many samples a feed brings of what a program writes into a pipe that has a path."""
    os.mkfifo(fifo)
    feed = open_feed(source, realtime=True)
    assert feed.is_live
    feed.start()
    writing = threading.Thread(
        target=fifo.write_bytes, args=(data,)
    )  # waits for who reads, which waits for it
    writing.start()
    heard = 0
    with suppress(Closed):
        while (item := feed.ring.get(PATIENCE_S)) is not None:
            heard += item.size
    writing.join(PATIENCE_S)
    feed.stop()
    fifo.unlink()
    return heard


def test_a_pipe_by_its_path_is_a_live_source(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    assert through(fifo, encoded("FLAC", "PCM_16"), Source("file", str(fifo))) == SECONDS * RATE
    raw = Source("file", str(fifo), rate=16_000, sample="u8")
    assert through(fifo, bytes([128]) * 16_000, raw) == RATE


def test_raw_samples_in_a_file_are_no_recording(tmp_path: Path) -> None:
    path = tmp_path / "samples.raw"
    path.write_bytes(bytes(range(256)) * 100)
    feed = open_feed(Source("file", str(path)))
    assert not feed.is_live
    feed.start()
    with pytest.raises(DataError, match=r"samples\.raw is not a recording .*: nothing in it says"):
        feed.ring.get(PATIENCE_S)
    feed.stop()
