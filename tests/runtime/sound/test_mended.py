"""Recordings that are whole but for something: tags, junk, holes, other byte orders, parts of other kinds."""

import io
import struct
from typing import Any

import numpy as np
import pytest
import soundfile

from edgecap.runtime.audio import RATE
from tests.recordings import clip, converted, heard, without_pyav

SECONDS = 4.0


def encoded(
    container: str, codec: str | None = None, rate: int = RATE, channels: int = 1, **more: Any
) -> bytes:
    made = io.BytesIO()
    sound = np.repeat(clip(rate, SECONDS)[:, None], channels, axis=1)
    soundfile.write(made, sound, rate, format=container, subtype=codec, **more)
    return made.getvalue()


def after(data: bytes, mark: bytes, replaced: bytes) -> bytes:
    """With what stands behind a mark replaced."""
    at = data.index(mark) + len(mark)
    return data[:at] + replaced + data[at + len(replaced) :]


WAV, AIFF, AU, CAF = (encoded(each, "PCM_16") for each in ("WAV", "AIFF", "AU", "CAF"))
FLAC, OGG, MP3 = encoded("FLAC", "PCM_16"), encoded("OGG", "VORBIS"), encoded("MP3")
ID3V2 = b"ID3\3\0\0\0\0\x10\0" + bytes(0x10 << 7)
ID3V1 = b"TAG" + bytes(125)
APE = b"APETAGEX" + struct.pack("<III", 2000, 32, 0) + bytes(18)
DATA = WAV.index(b"data")
JOINED, DAMAGED = "holds {} recordings, one after the other", "is damaged in places"

WHOLE = {
    "FLAC behind a tag": ID3V2 + FLAC,
    "FLAC before a tag": FLAC + ID3V1,
    "MP3 between tags": ID3V2 + MP3 + APE + ID3V1,
    "MP3 behind zeros": bytes(40_000) + MP3,
    "MP3 before zeros": MP3 + bytes(40_000),
    "Ogg behind junk": b"HTTP/1.0 200 OK\r\n\r\n" + bytes(range(256)) + OGG,
    "Ogg before zeros": OGG + bytes(40_000),
    "WAV before a tag": WAV + ID3V1,
    "WAV with a tag as a chunk": WAV + b"id3 " + struct.pack("<I", len(ID3V2)) + ID3V2,
    "WAV with a large chunk before its sound": (
        WAV[:DATA] + b"JUNK" + struct.pack("<I", 3_000_000) + bytes(3_000_000) + WAV[DATA:]
    ),
    "WAV of no known length": after(WAV, b"data", b"\xff" * 4),
    "WAV whose outer length alone is 0": after(WAV, b"RIFF", bytes(4)),
    "AU of no known length": AU[:8] + b"\xff" * 4 + AU[12:],
    "CAF of no known length": after(CAF, b"data", b"\xff" * 8),
    "RF64 without its lengths": after(encoded("RF64", "PCM_16"), b"ds64\x1c\0\0\0", bytes(24)),
}


@pytest.mark.parametrize("is_pipe", [False, True])
@pytest.mark.parametrize("name", WHOLE)
def test_what_stands_around_the_sound_is_passed_over(name: str, is_pipe: bool) -> None:
    with without_pyav():
        got = heard(WHOLE[name], is_pipe)
    assert len(got.samples) == pytest.approx(SECONDS * RATE, abs=RATE / 100), got.refused
    assert got.said == ""


PARTS = {
    "of one kind": (2 * WAV, 2),
    "of three formats": (WAV + encoded("WAV", "PCM_24", 16_000, 2) + encoded("WAV", "FLOAT", 48_000), 3),
    "of several kinds": (WAV + AIFF + MP3 + OGG + FLAC, 5),
    "a chain of Ogg": (OGG + encoded("OGG", "OPUS", 16_000) + encoded("OGG", "VORBIS", 44_100, 2), 3),
    "MP3s with tags": (2 * (ID3V2 + MP3 + ID3V1), 2),
    "MP3s of two rates": (MP3 + encoded("MP3", rate=16_000), 2),
    "of no known length": (2 * after(WAV, b"data", b"\xff" * 4), 2),
    "of 24 bits and no known length": (2 * after(encoded("WAV", "PCM_24"), b"data", b"\xff" * 4), 2),
    "the first one cut": (2 * WAV[: DATA + 8] + WAV[DATA + 8 :] + WAV, 3),
    "sound in two pieces": (WAV + b"data" + struct.pack("<I", len(WAV) - DATA - 8) + WAV[DATA + 8 :], 2),
}


@pytest.mark.parametrize("is_pipe", [False, True])
@pytest.mark.parametrize("name", PARTS)
def test_all_parts_are_heard_and_counted(name: str, is_pipe: bool) -> None:
    data, count = PARTS[name]
    with without_pyav():
        got = heard(data, is_pipe)
    full = count - (name == "the first one cut")  # which holds nothing, and is not counted
    assert len(got.samples) == pytest.approx(full * SECONDS * RATE, abs=RATE / 20), got
    assert JOINED.format(full) in got.said


HOLES = {
    "FLAC, bytes lost": FLAC[:20_000] + FLAC[30_000:],
    "FLAC, bytes spoilt": FLAC[:20_000] + bytes(8_000) + FLAC[28_000:],
    "MP3, bytes lost": MP3[:9_000] + MP3[12_000:],
    "MP3, bytes spoilt": MP3[:9_000] + bytes(2_000_000) + MP3[12_000:],
    "Ogg, bytes lost": OGG[:9_000] + OGG[13_000:],
}


@pytest.mark.parametrize("is_pipe", [False, True])
@pytest.mark.parametrize("name", HOLES)
def test_what_follows_a_hole_is_heard(name: str, is_pipe: bool, capfd: pytest.CaptureFixture[str]) -> None:
    with without_pyav():
        got = heard(HOLES[name], is_pipe)
    assert 0.6 * SECONDS * RATE < len(got.samples) < 0.97 * SECONDS * RATE
    last, expected = got.samples[-RATE // 2 :], clip(RATE, SECONDS)[-RATE // 2 :]
    assert last.std() == pytest.approx(expected.std(), rel=0.15)
    assert DAMAGED in got.said
    assert capfd.readouterr().err == ""  # decoders print when they are fed what they can't take


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("endian", ["LITTLE", "BIG"])
@pytest.mark.parametrize("container", ["WAV", "AIFF", "CAF", "AU", "IRCAM", "PAF", "MAT4"])
def test_either_byte_comes_first_and_channels_are_many(container: str, endian: str, channels: int) -> None:
    data = encoded(container, "PCM_16", 22_050, channels, endian=endian)
    frames: Any = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)[0]
    expected = converted(frames.mean(axis=1), 22_050)
    for is_pipe in (False, True):
        got = heard(data, is_pipe)
        np.testing.assert_allclose(got.samples, expected, atol=1e-4)
        assert got.said == ""


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (WAV[:DATA], "holds no sound: it is a WAV that ends within its header."),
        (WAV[: DATA + 8], "holds no sound: there is nothing behind its header."),
        (OGG[:2_000], "holds no sound: it ends within its header."),
        (OGG[9_000:], "can't be read: it is an Ogg whose beginning"),
        (ID3V2, "holds no sound: there is nothing behind its header."),
        (bytes(44) + WAV[44:], "is not a recording that can be read"),
        (b"PK\3\4" + MP3, "is not a recording: it is a ZIP archive."),
        (b"# A playlist\n" * 40, "is not a recording: it is text."),
    ],
)
def test_what_yields_no_sound_is_refused_with_the_reason(data: bytes, sentence: str) -> None:
    with without_pyav():
        assert sentence in heard(data).refused
