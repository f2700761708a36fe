"""Meter: what of a source tells nothing of a room, and what is wrong with it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgecap.runtime.audio import RATE
from edgecap.runtime.sound.blocks import BLOCK_S, Converter
from edgecap.runtime.sound.source import Mixing

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


def is_flat(frames: NDArray[np.float32]) -> bool:
    converter = Converter(RATE, frames.shape[1])
    converter.push(frames)
    return converter.reading.is_flat


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


def heard(converter: Converter, frames: NDArray[np.floating], seconds: float) -> Converter:
    """These again and again, a block at a time."""
    for _ in range(round(seconds / BLOCK_S)):
        converter.push(frames.astype(np.float32))
    return converter


@pytest.mark.parametrize("picked", [None, 1, 2])
def test_a_source_is_flat_by_the_channels_that_are_heard(picked: int | None) -> None:
    frames = np.concatenate([dithered(1, "triangular") / 32768, room_tone(1, 0.01)], axis=1)
    converter = heard(Converter(RATE, 2, Mixing(picked)), frames, 1)
    assert converter.reading.is_flat == (picked == 1)
    assert heard(converter, np.zeros((BLOCK, 2)), 1).reading.is_flat


@pytest.mark.parametrize("nothing", ["zeros", "an offset", "dither", "far below"])
def test_a_dead_channel_is_told_and_taken_back(nothing: str, caplog: pytest.LogCaptureFixture) -> None:
    live = room_tone(1, 0.01)
    dead = {
        "zeros": np.zeros_like(live),
        "an offset": np.full_like(live, 0.2),
        "dither": dithered(1, "triangular") / 32768,
        "far below": 0.008 * room_tone(2, 0.01),
    }[nothing]
    converter = Converter(RATE, 3, of="Microphone 'den'")
    alive = np.concatenate([live, room_tone(3, 0.01), room_tone(4, 0.01)], axis=1)
    half_dead = np.concatenate([live, dead, room_tone(4, 0.01)], axis=1)
    assert heard(converter, half_dead, 9).reading.dead == ()
    assert heard(converter, half_dead, 2).reading.dead == (2,)
    assert heard(converter, alive, 30).reading.dead == ()
    heard(converter, half_dead, 30)
    assert caplog.messages == ["Microphone 'den': channel 2 brings nothing; the rest is heard."]


def test_one_that_lives_among_many(caplog: pytest.LogCaptureFixture) -> None:
    frames = np.zeros((BLOCK, 32))
    frames[:, 17:18] = room_tone(1, 0.01)
    assert len(heard(Converter(RATE, 32), frames, 12).reading.dead) == 31
    assert caplog.messages == ["The sound: channels 1 to 17 and 19 to 32 bring nothing; the rest is heard."]


def test_where_all_are_dead_none_is_said_to_be() -> None:
    reading = heard(Converter(RATE, 2), np.zeros((BLOCK, 2)), 12).reading
    assert reading.is_flat
    assert reading.dead == reading.opposed == ()


@pytest.mark.parametrize("against", [-1.0, -0.7])
def test_opposite_polarity_is_told_and_taken_back(against: float, caplog: pytest.LogCaptureFixture) -> None:
    live = room_tone(1, 0.01)
    own = 0.2 * room_tone(2, 0.01)
    converter = Converter(RATE, 3)
    opposed = np.concatenate([np.zeros_like(live), live, against * live + own], axis=1)
    assert heard(converter, opposed, 12).reading[-2:] == ((1,), (3,))
    assert "channel 3 is of opposite polarity; it is turned round" in caplog.text
    mended = np.concatenate([np.zeros_like(live), live, live + own], axis=1)
    assert heard(converter, mended, 12).reading.opposed == ()


def test_channels_that_have_nothing_in_common_are_not_opposed() -> None:
    frames = np.concatenate([room_tone(seed, 0.01) for seed in range(4)], axis=1)
    assert heard(Converter(RATE, 4), frames, 12).reading[-2:] == ((), ())


def test_clipping_is_told_and_taken_back(caplog: pytest.LogCaptureFixture) -> None:
    converter = Converter(RATE, 1)
    sound = room_tone(1, 0.2)
    assert heard(converter, sound / np.abs(sound).max(), 5).reading.verdict == "good"  # as loud as it can be
    assert heard(converter, 4 * sound, 3).reading.verdict == "clipping"
    assert heard(converter, 0.1 * sound, 12).reading.verdict == "good"
    assert caplog.messages == ["The sound: it is so loud that it is clipped; turn it down."]


def test_a_single_bang_is_no_clipping() -> None:
    converter = Converter(RATE, 1)
    heard(converter, 100 * room_tone(1, 0.01), BLOCK_S)
    assert heard(converter, room_tone(1, 0.01), 5).reading.verdict == "good"


def test_too_quiet_is_told_and_taken_back(caplog: pytest.LogCaptureFixture) -> None:
    converter = Converter(RATE, 1, of="Standard input")
    quiet = np.concatenate([room_tone(1, 1e-6)] * 5 + [room_tone(2, 1e-3)])
    for _ in range(6):
        heard(converter, quiet, BLOCK_S)
    assert converter.reading.verdict == "too quiet"
    assert converter.reading.gain_db == pytest.approx(36, abs=3)
    assert "Standard input: it is far too quiet, by some 3" in caplog.text
    heard(converter, room_tone(1, 0.1), 1)
    assert converter.reading.verdict == "good"
    assert converter.reading.gain_db == 0
