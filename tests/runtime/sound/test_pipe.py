"""Pipe: whatever another program sends becomes mono 32 kHz, or one clear sentence."""

import io
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from edgecap.runtime.audio import RATE
from edgecap.runtime.errors import DataError
from edgecap.runtime.sound.raw import Raw
from edgecap.runtime.sound.stream import Pipe
from tests.tones import joined, loudest_hertz, on_a_pipe, tone


@contextmanager
def piped(data: bytes, at_a_time: int = 1 << 16) -> Iterator[Pipe]:
    """A real pipe into which a program writes so much at a time."""
    reading, writing = os.pipe()

    def write() -> None:
        with io.FileIO(writing, "w") as pipe, suppress(BrokenPipeError):
            for start in range(0, len(data), at_a_time):
                pipe.write(data[start : start + at_a_time])

    writer = Thread(target=write)
    writer.start()
    with io.FileIO(reading) as pipe:
        yield pipe
    writer.join()


def wav(length: int, samples: bytes, after: bytes = b"") -> bytes:
    """A WAV of 16 bits at 32 kHz whose header says that `length` bytes of samples follow."""
    form = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
    return b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + form + b"data" + struct.pack("<I", length) + samples + after


@given(
    count=st.integers(1, 20_000),
    chunk=st.binary(min_size=1, max_size=500),
    at_a_time=st.sampled_from([1000, 4096, 65_536]),
)
def test_what_follows_the_samples_of_a_wav_is_no_sound(count: int, chunk: bytes, at_a_time: int) -> None:
    samples = np.random.default_rng(count).integers(-(2**15), 2**15, count).astype("<i2")
    with piped(wav(2 * count, samples.tobytes(), b"LIST" + chunk), at_a_time) as pipe:
        np.testing.assert_array_equal(joined(on_a_pipe(pipe)), samples / np.float32(32768))


@pytest.mark.parametrize("length", [0, 0x7FFF0000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_a_wav_that_could_not_know_its_length_goes_on_to_the_end(length: int) -> None:
    samples = np.arange(-9_000, 9_000, dtype="<i2")
    with piped(wav(length, samples.tobytes())) as pipe:
        np.testing.assert_array_equal(joined(on_a_pipe(pipe)), samples / np.float32(32768))


def test_a_wav_that_ends_before_its_length_is_heard_to_its_end() -> None:
    with piped(wav(1_000_000, bytes(2 * RATE))) as pipe:
        assert len(joined(on_a_pipe(pipe))) == RATE


@pytest.mark.parametrize(
    ("redirection", "sentence"),
    [
        ("<&-", "Standard input is closed: there is nothing to read."),
        ("0> written", "Standard input can't be read: Bad file descriptor."),
        ("< /dev/null", "Nothing came on standard input: the program before the pipe wrote no sound."),
    ],
)
def test_a_standard_input_that_brings_nothing_is_one_sentence(
    redirection: str, sentence: str, tmp_path: Path
) -> None:
    code = (
        "from edgecap.runtime.sound import opener as o, stream as s; list(o.sound_blocks(s.standard_input()))"
    )
    done = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -c '{code}' {redirection}"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    last = done.stderr.splitlines()[-1]
    assert last.startswith("edgecap.runtime.errors.DataError: ")
    assert sentence in last


@given(
    data=st.binary(max_size=3000), rate=st.sampled_from([1_000, 8_000, 32_000]), channels=st.integers(1, 8)
)
def test_any_bytes_on_a_pipe_are_sound_or_our_error(data: bytes, rate: int, channels: int) -> None:
    with suppress(DataError):
        joined(on_a_pipe(data, Raw(rate, channels)))


@given(tail=st.binary(max_size=200))
def test_a_broken_wav_stream_is_sound_or_our_error(tail: bytes) -> None:
    whole = io.BytesIO()
    soundfile.write(whole, tone(8_000, seconds=0.01), 8_000, format="WAV")
    for length in (4, 12, 20, 36, 44):
        with suppress(DataError):
            joined(on_a_pipe(whole.getvalue()[:length] + tail, Raw()))


def test_raw_floats_and_raw_stereo() -> None:
    stereo = tone(48_000, 2)
    samples = joined(on_a_pipe(stereo.tobytes(), Raw(48_000, 2, "f32le")))
    assert len(samples) == RATE
    assert loudest_hertz(samples) == pytest.approx(440, abs=1)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_a_wav_on_a_pipe_tells_its_own_rate(subtype: str) -> None:
    whole = io.BytesIO()
    soundfile.write(whole, tone(44_100, 2), 44_100, format="WAV", subtype=subtype)
    samples = joined(on_a_pipe(whole.getvalue(), Raw()))
    assert abs(len(samples) - RATE) <= 2
    assert loudest_hertz(samples) == pytest.approx(440, abs=1)


def test_nothing_on_the_pipe_is_said() -> None:
    with pytest.raises(DataError, match="Nothing came on standard input"):
        joined(on_a_pipe(b"", Raw()))


def test_a_frame_that_is_cut_is_dropped() -> None:
    assert len(joined(on_a_pipe(b"\0" * 13, Raw(channels=2)))) == 3
