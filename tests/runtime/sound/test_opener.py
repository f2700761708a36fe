"""Opener: whatever a recording holds becomes mono 32 kHz, or one clear sentence."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from edgecap.runtime.audio import RATE
from edgecap.runtime.errors import DataError, EdgecapError, InputMissingError
from edgecap.runtime.sound.blocks import Converter
from edgecap.runtime.sound.opener import recording_blocks
from edgecap.runtime.sound.raw import Raw
from tests.tones import joined, loudest_hertz, on_a_pipe, tone


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_rate_and_channel_count_keeps_pitch_level_and_length(
    tmp_path: Path, rate: int, channels: int
) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(rate, channels), rate, subtype="FLOAT")
    samples = joined(recording_blocks(path))
    assert abs(len(samples) - RATE) <= 1
    assert loudest_hertz(samples) == pytest.approx(440, abs=1)
    middle = samples[RATE // 4 : -RATE // 4]
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.01)


@pytest.mark.parametrize("form", ["wav", "flac", "ogg", "mp3", "aiff"])
def test_the_usual_formats_are_read_whole(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"tone.{form}"
    soundfile.write(path, tone(RATE), RATE)
    samples = joined(recording_blocks(path))
    assert len(samples) >= RATE
    assert loudest_hertz(samples) == pytest.approx(440, abs=1)


def test_sixteen_bits_at_our_rate_come_through_exactly(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(-(2**15), 2**15, 70_001).astype(np.int16)
    path = tmp_path / "noise.wav"
    soundfile.write(path, noise, RATE)
    expected = noise / np.float32(32768)
    np.testing.assert_array_equal(joined(recording_blocks(path)), expected)
    np.testing.assert_array_equal(joined(on_a_pipe(noise.tobytes(), Raw())), expected)


def test_three_samples_are_sound_too(tmp_path: Path) -> None:
    path = tmp_path / "three.wav"
    soundfile.write(path, np.array([0.25, -0.5, 0.75], np.float32), RATE, subtype="FLOAT")
    assert joined(recording_blocks(path)).tolist() == [0.25, -0.5, 0.75]


def test_the_mean_is_taken_over_channels(tmp_path: Path) -> None:
    path = tmp_path / "two.wav"
    soundfile.write(path, np.array([[0.5, 0.25], [1.0, -1.0]], np.float32), RATE, subtype="FLOAT")
    assert joined(recording_blocks(path)).tolist() == [0.375, 0.0]


def test_what_is_no_number_becomes_zero_and_is_counted() -> None:
    converter = Converter(RATE, 1)
    samples = converter.push(np.array([0.5, np.nan, np.inf, -np.inf, 0.25], np.float32))
    assert samples.tolist() == [0.5, 0, 0, 0, 0.25]
    assert converter.not_finite == 3


def test_beyond_full_scale_is_clipped() -> None:
    samples = Converter(RATE, 2).push(np.array([[3.0, -2.0], [3e38, 3e38], [2.0, 1.0]], np.float32))
    assert samples.tolist() == [0.0, 1.0, 1.0]


@given(
    cuts=st.lists(st.integers(0, 4000), max_size=8),
    rate=st.sampled_from([8_000, 32_000, 44_100, 48_000]),
    data=st.data(),
)
def test_a_stream_of_anything_stays_finite_and_as_long_as_it_lasted(
    cuts: list[int], rate: int, data: st.DataObject
) -> None:
    converter = Converter(rate, 1)
    values = st.sampled_from([0.0, 1.0, -1.0, float("nan"), float("inf"), 3e38, 1e-40])
    parts = [converter.push(np.full(size, data.draw(values), np.float32)) for size in cuts]
    samples = np.concatenate([*parts, converter.flush()])
    assert np.isfinite(samples).all()
    assert (np.abs(samples) <= 1).all()
    assert abs(len(samples) - sum(cuts) * RATE / rate) <= 1


def test_each_file_that_is_no_recording_gets_its_own_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("This is a shopping list.\n" * 50)
    header = io.BytesIO()
    soundfile.write(header, tone(RATE), RATE, format="WAV")
    (tmp_path / "head.wav").write_bytes(header.getvalue()[:20])
    soundfile.write(tmp_path / "none.wav", np.zeros(0), RATE)
    cases: list[tuple[str, type[EdgecapError], str]] = [
        ("missing.wav", InputMissingError, "does not exist. Check the path."),
        ("empty.wav", DataError, "holds no sound: it is empty. Check that it was copied whole."),
        ("none.wav", DataError, "holds no sound: there is nothing behind its header."),
        ("text.wav", DataError, "is not a recording: it is text."),
        ("head.wav", DataError, "holds no sound: it is a WAV that ends within its header."),
        ("", DataError, "is a folder."),
    ]
    for name, error, sentence in cases:
        with pytest.raises(error) as refused:
            next(recording_blocks(tmp_path / name))
        assert sentence in str(refused.value)
        assert "\n" not in str(refused.value)


def test_an_unreadable_file_is_refused_with_the_reason(tmp_path: Path) -> None:
    loop = tmp_path / "loop.wav"
    loop.symlink_to(loop)
    with pytest.raises(EdgecapError, match="loop"):
        next(recording_blocks(loop))
