"""Mix: many channels become one that none of them can silence, whatever the sound and however it is cut."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.runtime.audio import RATE, Samples
from edgecap.runtime.sound.mix import MEMORY_S, Mix
from tests.tones import tone

MEMORY = round(MEMORY_S * RATE)


def mixed(frames: Samples, rate: int = RATE, cuts: list[int] | None = None) -> Samples:
    """All of the mix of these, pushed in blocks that end where cuts say."""
    mix = Mix(rate, frames.shape[1])
    parts = [mix.push(part) for part in np.split(frames, sorted(cut % len(frames) for cut in cuts or []))]
    return np.concatenate([*parts, mix.flush()])


def noise(seed: int, seconds: float = 1.0, channels: int = 1, rate: int = RATE) -> Samples:
    """(n, channels) Independent, 20 dB below full scale."""
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal((round(seconds * rate), channels))).astype(np.float32)


def power(samples: Samples) -> float:
    """Of all but what is learned in the first moments."""
    return float(np.mean(np.square(samples[MEMORY:], dtype=np.float64)))


def low_passed(samples: Samples, hertz: float) -> Samples:
    """What lies below, to the bin."""
    spectrum = np.fft.rfft(samples)
    spectrum[np.fft.rfftfreq(len(samples), 1 / RATE) > hertz] = 0
    return np.fft.irfft(spectrum, len(samples)).astype(np.float32)


def bands_db(samples: Samples) -> Samples:
    """Power in each 500 Hz."""
    spectrum = np.abs(np.fft.rfft(samples)) ** 2
    levels: Samples = 10 * np.log10([part.sum() for part in np.array_split(spectrum, 32)])
    return levels


GAINS = st.lists(st.sampled_from([0.0, -1.0, 1.0, 0.95, -0.95, 0.1, -0.01]), min_size=2, max_size=6)
CUTS = st.lists(st.integers(0, 10**6), max_size=6)


@given(st.integers(0, 99), GAINS, CUTS, st.sampled_from([8_000, 32_000, 44_100]))
def test_any_chunking_gives_the_same_mix(seed: int, gains: list[float], cuts: list[int], rate: int) -> None:
    frames = noise(seed, 0.4, 1, rate) * np.float32(gains) + 0.1 * noise(seed + 1, 0.4, len(gains), rate)
    np.testing.assert_array_equal(mixed(frames, rate, cuts), mixed(frames, rate))


@given(st.integers(1, 5000), st.integers(2, 6), CUTS)
def test_channels_that_are_the_same_are_one_of_them_bit_for_bit(
    count: int, channels: int, cuts: list[int]
) -> None:
    one = noise(count, 1)[:count]
    np.testing.assert_array_equal(mixed(np.repeat(one, channels, axis=1), cuts=cuts), one[:, 0])


@given(st.integers(0, 99), GAINS.filter(any))
def test_one_sound_in_all_channels_is_as_loud_as_in_the_loud_ones(seed: int, gains: list[float]) -> None:
    """Whichever way round they are, and however many are dead or faint."""
    frames = noise(seed) * np.float32(gains)
    expected = np.square(gains).sum() / np.abs(gains).sum()  # each counts by its loudness
    assert power(mixed(frames)) == pytest.approx(expected**2 * power(noise(seed)), rel=0.01)


@given(
    st.integers(0, 99), st.integers(2, 8), st.floats(0, 1), st.lists(st.booleans(), min_size=8, max_size=8)
)
def test_it_never_cancels(seed: int, channels: int, common: float, signs: list[bool]) -> None:
    """Not with any share of a common sound, turned round in any of the channels."""
    turned = np.where(signs, 1, -1)[:channels].astype(np.float32)
    frames = common * noise(seed) * turned + (1 - common) * noise(seed + 1, 1, channels)
    loudest = max(power(frames[:, channel]) for channel in range(channels))
    assert power(mixed(frames)) > 0.9 * loudest / channels
    assert channels > 2 or power(mixed(frames)) > 0.5 * loudest


@given(
    st.integers(0, 99),
    st.permutations(range(4)),
    st.lists(st.sampled_from([1.0, -1.0]), min_size=4, max_size=4),
)
def test_the_order_and_polarity_of_channels_do_not_matter(
    seed: int, order: list[int], signs: list[float]
) -> None:
    shared = noise(seed) @ np.float32([[1.0, 0.7, 0.3, 0.0]])
    frames = shared + noise(seed + 1, 1, 4) * np.float32([0.2, 0.1, 0.2, 0.05])
    otherwise = frames[:, order] * np.float32(signs)
    np.testing.assert_allclose(bands_db(mixed(otherwise)), bands_db(mixed(frames)), atol=0.3)


@pytest.mark.parametrize("hertz", [300, 1000, 4000])
def test_bass_that_agrees_and_treble_that_is_opposed_are_both_heard(hertz: float) -> None:
    sound = noise(3, 2)[:, 0]
    bass = low_passed(sound, hertz)
    both = np.stack([sound, bass - (sound - bass)], axis=1)
    # Where the two meet they share a band, and the lesser part of that is lost.
    np.testing.assert_allclose(bands_db(mixed(both)), bands_db(sound), atol=3.5)


def test_what_two_channels_share_but_opposed_is_not_lost_among_what_they_share() -> None:
    """Left + right and left - right: neither agrees with the other, nor opposes it."""
    tones = np.sin(2 * np.pi * np.outer(np.arange(2 * RATE) / RATE, [1010.0, 1090.0])).astype(np.float32) / 4
    heard = mixed(np.stack([tones.sum(axis=1), tones[:, 0] - tones[:, 1]], axis=1))[RATE:]
    levels = 2 * np.abs(np.fft.rfft(heard)[[1010, 1090]]) / RATE
    assert levels.min() > 0.25 / 4


def test_noise_in_dead_channels_does_not_swamp_the_one_that_hears() -> None:
    frames = 0.003 * noise(1, 3, 32)
    sound = noise(2, 1)[:, 0]
    frames[RATE : 2 * RATE, 7] += sound
    heard = mixed(frames)
    assert power(heard[RATE : 2 * RATE]) > 0.7 * power(sound)
    assert power(heard[: RATE - MEMORY]) < power(frames[: RATE - MEMORY, 7])


def test_a_channel_that_turns_round_is_followed_without_a_click() -> None:
    sound = tone(RATE, seconds=3)[:, 0]
    turning = np.cos(np.clip(np.arange(3 * RATE) / RATE - 1, 0, 1) * np.pi)
    heard = mixed(np.stack([sound, sound * turning.astype(np.float32)], axis=1))
    each_moment = np.square(heard[: -RATE % 1600 or None].reshape(-1, 1600)).mean(axis=1)  # 50 ms
    assert each_moment.min() > 0.5 * np.square(sound).mean()
    click = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))[3 * 2000 :]
    assert np.square(click).sum() < 1e-6 * power(heard) * len(heard) ** 2


def test_a_constant_offset_is_no_loudness() -> None:
    sound = 0.1 * low_passed(noise(6)[:, 0], 150)
    frames = np.stack([sound, np.full_like(sound, 0.5)], axis=1)
    heard = mixed(frames)
    assert power(heard - heard.mean()) > 0.5 * power(sound)


def test_a_gap_leaves_nothing_of_what_came_before_it() -> None:
    mix = Mix(RATE, 2)
    frames = noise(7) * np.float32([1, -1])
    assert len(mix.push(frames)) + len(mix.flush()) == len(frames)
    again = np.concatenate([mix.push(frames), mix.flush()])
    np.testing.assert_allclose(np.abs(again), np.abs(frames[:, 0]), atol=1e-6)
