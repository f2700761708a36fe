"""Gain: what is far too quiet is raised, silence never, and what is loud enough not by a bit."""

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecap.runtime.audio import RATE, Samples
from edgecap.runtime.sound.blocks import Converter
from edgecap.runtime.sound.gain import MOST_DB, NOISE_DB, Gain
from edgecap.runtime.sound.opener import sound_blocks
from edgecap.runtime.sound.source import Mixing
from edgecap.runtime.sound.stream import Stream
from tests.tones import joined, tone


def raised(samples: Samples, gain: Gain | None = None, cuts: list[int] | None = None) -> Samples:
    gain = gain or Gain()
    parts = np.split(samples, sorted(cut % len(samples) for cut in cuts or []))
    return np.concatenate([gain.push(part) for part in parts])


def room_tone(seconds: float, level_db: float, seed: int = 1) -> Samples:
    """What an empty room sounds like: the lower, the more."""
    count = round(seconds * RATE)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(count))
    samples = np.fft.irfft(spectrum / np.sqrt(1 + np.arange(len(spectrum))), count)
    return (samples * 10 ** (level_db / 20) / samples.std()).astype(np.float32)


def room(seconds: float = 12.0, level_db: float = -24.0, noise_db: float = -75.0) -> Samples:
    """A room in which something sounds from the fourth second on: half a second of each, this loud."""
    samples = room_tone(seconds, noise_db)
    amplitude = 10 ** (level_db / 20) * np.sqrt(2)
    for start in range(4 * RATE, len(samples) - RATE // 2, RATE):
        samples[start : start + RATE // 2] += 2 * np.float32(amplitude) * tone(RATE, seconds=0.5)[:, 0]
    return samples


def dithered(samples: Samples) -> Samples:
    """As 16 bits hold it."""
    noise = np.random.default_rng(2).uniform(-0.5, 0.5, (2, len(samples))).sum(axis=0)
    return (np.round(samples * 32768 + noise) / 32768).astype(np.float32)


def level_db(samples: Samples) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64))))


@pytest.mark.parametrize("down_db", [16, 20, 30, 40])
def test_a_source_that_is_far_too_quiet_is_raised_to_where_it_was(down_db: int) -> None:
    gain = Gain()
    original = room()
    heard = raised(original * np.float32(10 ** (-down_db / 20)), gain)
    assert gain.db == pytest.approx(down_db, abs=2)
    assert gain.lack_db == gain.db
    # A second after its first sound, and a second of rising.
    assert level_db(heard[7 * RATE :]) == pytest.approx(level_db(original[7 * RATE :]), abs=2)


def test_of_sixteen_bits_no_more_is_raised_than_their_noise_allows() -> None:
    heard = raised(dithered(room() * np.float32(0.01)))
    quiet = heard[round(8.7 * RATE) : round(8.9 * RATE)]
    assert level_db(quiet) == pytest.approx(NOISE_DB, abs=2)
    assert level_db(heard[8 * RATE : round(8.5 * RATE)]) > -45


@pytest.mark.parametrize("noise_db", [-60, -75, -100])
@settings(max_examples=10)
@given(st.floats(-34, 0))
def test_a_source_that_is_loud_enough_passes_bit_for_bit(noise_db: float, loud_db: float) -> None:
    samples = np.clip(room(8, loud_db, noise_db), -1, 1)
    np.testing.assert_array_equal(raised(samples), samples)


def test_a_sound_that_swells_is_waited_for() -> None:
    """From nothing to loud in six seconds, over noise so faint that it must be a studio's."""
    samples = room_tone(10, -105)
    samples[3 * RATE : 9 * RATE] += np.geomspace(1e-5, 0.5, 6 * RATE) * tone(RATE, seconds=6)[:, 0]
    np.testing.assert_array_equal(raised(samples), samples)


@pytest.mark.parametrize("level", [-50, -74, -95, -110])
@pytest.mark.parametrize("before", ["nothing", "zeros", "dither", "fainter noise"])
def test_silence_is_never_raised(level: float, before: str) -> None:
    """Nor where it begins after something fainter still, as when a microphone is switched on."""
    noise = room_tone(40, level)
    head = {
        "nothing": np.zeros(0, np.float32),
        "zeros": np.zeros(5 * RATE, np.float32),
        "dither": dithered(np.zeros(5 * RATE, np.float32)),
        "fainter noise": room_tone(5, level - 12),
    }[before]
    samples = np.concatenate([head, noise])
    np.testing.assert_array_equal(raised(samples), samples)


@pytest.mark.parametrize("count", [1, 100])
def test_an_input_with_nothing_at_its_end_that_crackles_is_not_raised(count: int) -> None:
    samples = room_tone(20, -110)
    samples[np.random.default_rng(count).integers(0, len(samples), count)] += 1e-3
    np.testing.assert_array_equal(raised(samples), samples)


def test_what_turns_loud_is_as_it_is_from_the_next_moment_on() -> None:
    quiet, loud = room() * np.float32(0.01), room()
    heard = raised(np.concatenate([quiet, loud]))
    onset = len(quiet) + 4 * RATE
    np.testing.assert_array_equal(heard[onset + RATE // 8 :], loud[4 * RATE + RATE // 8 :])


def test_noise_that_comes_when_somebody_turns_it_up_is_not_raised_for_long() -> None:
    noise = room_tone(60, -75)
    heard = raised(np.concatenate([room() * np.float32(0.01), noise]))
    np.testing.assert_array_equal(heard[-30 * RATE :], noise[-30 * RATE :])


CUTS = st.lists(st.integers(0, 10**6), max_size=12)


@settings(max_examples=15)
@given(CUTS, st.sampled_from([0.003, 0.01, 0.1, 1.0]))
def test_any_chunking_gives_the_same(cuts: list[int], down: float) -> None:
    samples = room(9) * np.float32(down)
    np.testing.assert_array_equal(raised(samples, cuts=cuts), raised(samples))


@pytest.mark.parametrize("fixed_db", [-6.0, 0.0, 20.0])
def test_a_gain_that_is_wished_is_that_from_the_first_sample_to_the_last(fixed_db: float) -> None:
    samples = room() * np.float32(0.01)
    gain = Gain(fixed_db)
    heard = raised(samples, gain)
    np.testing.assert_allclose(heard, samples * 10 ** (fixed_db / 20), rtol=1e-6)
    assert gain.lack_db == pytest.approx(MOST_DB, abs=2)  # it is too quiet all the same


def test_a_gain_that_is_wished_clips_at_full_scale() -> None:
    heard = Converter(RATE, 1, Mixing(gain_db=40)).push(tone(RATE))
    assert heard.max() == -heard.min() == 1.0


def test_a_pipe_and_a_file_are_raised_alike() -> None:
    """A WAV of 32-bit floats and of two channels."""
    samples = room() * np.float32(0.01)
    written = io.BytesIO()
    soundfile.write(written, np.stack([samples, -samples], axis=1), RATE, format="WAV", subtype="FLOAT")
    written.seek(0)
    heard = joined(sound_blocks(Stream(written, "Standard input")))
    assert level_db(heard[7 * RATE :]) == pytest.approx(level_db(room()[7 * RATE :]), abs=2)
