"""Meter: what of a source tells nothing of a room."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgecap.runtime.audio import RATE
from edgecap.runtime.sound.blocks import BLOCK_S, Converter
from edgecap.runtime.sound.meter import is_flat

BLOCK = round(BLOCK_S * RATE)


def dithered(seed: int, kind: str, offset: float = 0.0) -> NDArray[np.int16]:
    """(BLOCK, 1) Silence as 16 bits have it after dithering."""
    rng = np.random.default_rng(seed)
    size = (BLOCK, 1)
    noise = {
        "none": np.zeros(size),
        "flat": rng.uniform(-1, 1, size),
        "triangular": rng.uniform(-0.5, 0.5, size) + rng.uniform(-0.5, 0.5, size),
        "high-passed": np.diff(rng.uniform(-0.5, 0.5, (BLOCK + 1, 1)), axis=0),
        "a step either way": rng.integers(-1, 2, size).astype(float),
    }[kind]
    return np.round(noise + offset).astype(np.int16)


def room_tone(seed: int, rms: float) -> NDArray[np.float64]:
    """(BLOCK, 1) What an empty room sounds like: the lower, the more."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal(BLOCK)) / np.sqrt(1 + np.arange(BLOCK // 2 + 1))
    tone = np.fft.irfft(spectrum, BLOCK)
    return (tone * rms / tone.std())[:, None]


@pytest.mark.parametrize("kind", ["none", "flat", "triangular", "high-passed", "a step either way"])
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.3, -17.0, 1000.5]))
def test_zeros_an_offset_and_dither_are_flat(kind: str, seed: int, offset: float) -> None:
    frames = dithered(seed, kind, offset) * np.float32(1 / 32768)
    assert is_flat(frames)
    assert is_flat(np.concatenate([frames, np.full_like(frames, 0.1)], axis=1))


@given(st.integers(0, 10**6), st.floats(-105, -40))
def test_the_faintest_room_is_not_flat(seed: int, level_db: float) -> None:
    """Not even one that 16 bits could not hold."""
    tone = room_tone(seed, 10 ** (level_db / 20)).astype(np.float32)
    assert not is_flat(tone)
    if level_db > -80:  # and so faint is no ordinary microphone
        assert not is_flat(np.round(32768 * tone) / np.float32(32768))
    dead_beside_it = np.concatenate([np.zeros_like(tone), tone], axis=1)
    assert not is_flat(dead_beside_it)


def test_a_source_is_flat_by_the_channel_that_is_heard() -> None:
    frames = np.concatenate([dithered(1, "triangular"), np.full((BLOCK, 1), 900, np.int16)], axis=1)
    frames[::7, 1] = -900
    converter = Converter(RATE, 2)
    converter.push(frames)
    assert not converter.is_flat
    converter.push(np.zeros_like(frames))
    assert converter.is_flat
