"""A simulated room is the room that was asked for, by the measures of acoustics."""

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from edgecap.runtime.audio import RATE, Samples
from edgecap.training.sound import augment

EARLY = int(0.03 * RATE)


def rt60_s(response: Samples) -> float:
    """By Schroeder's backward integral: the line through 0 to -20 dB of the tail, on to -60."""
    energy = np.cumsum(np.square(response[EARLY:], dtype=np.float64)[::-1])[::-1]
    decay = 10 * np.log10(energy / energy[0])
    falling = np.flatnonzero(decay >= -20)
    slope, _ = np.polyfit(falling / RATE, decay[falling], 1)
    return float(-60 / slope)


def octave(response: Samples, hz: float) -> Samples:
    band = butter(3, [hz / 2**0.5, hz * 2**0.5], "bandpass", fs=RATE, output="sos")
    return np.asarray(sosfilt(band, response), np.float32)


@pytest.mark.parametrize("asked", [0.3, 0.5, 0.7, 1.2])
@pytest.mark.parametrize("drr_db", [-10.0, -6.0, 3.0, 12.0])
def test_a_room_rings_as_long_and_as_loud_as_asked(asked: float, drr_db: float) -> None:
    responses = [augment.room_response(np.random.default_rng(seed), asked, drr_db) for seed in range(6)]
    for response in responses:
        direct, rest = float(response[0] ** 2), float(np.sum(response[1:] ** 2))
        assert 10 * np.log10(direct / rest) == pytest.approx(drr_db, abs=0.05)
        assert rt60_s(response) == pytest.approx(asked, rel=0.12)
        assert float(np.sum(response**2)) == pytest.approx(1.0, rel=1e-4)
    assert np.mean([rt60_s(one) for one in responses]) == pytest.approx(asked, rel=0.06)
    high, low = (np.mean([rt60_s(octave(one, hz)) for one in responses]) for hz in (4000.0, 500.0))
    assert high < 0.85 * low  # air and walls swallow the high frequencies first


def test_reflections_come_early_and_the_tail_later() -> None:
    response = augment.room_response(np.random.default_rng(1), 0.5, 0.0)
    before_the_tail = response[1 : int(0.005 * RATE)]
    assert np.count_nonzero(before_the_tail) <= 8
    assert np.count_nonzero(response[EARLY:]) > 0.99 * len(response[EARLY:])


def test_a_room_that_is_not_asked_for_is_drawn_as_it_always_was() -> None:
    """Golden: recipes, plans and scenes of earlier versions draw the rooms that they drew."""
    rng = np.random.default_rng(7)
    response = augment.room_response(rng)
    assert len(response) == 21_122
    assert response[0] == pytest.approx(0.683988, rel=1e-5)
    assert response[[2000, 4000, 8000]] == pytest.approx([2.991423e-4, 2.224565e-3, -4.048537e-4], rel=1e-4)
    assert rng.uniform() == pytest.approx(0.7174711988)  # and leaves the generator where it did


@pytest.mark.parametrize("seed", range(8))
def test_a_hum_is_multiples_of_the_mains_and_nothing_else(seed: int) -> None:
    wave = augment.hum(np.random.default_rng(seed), 4 * RATE)
    assert np.sqrt(np.mean(np.square(wave))) == pytest.approx(1.0, rel=1e-3)
    power = np.square(np.abs(np.fft.rfft(wave * np.hanning(len(wave)))))
    hertz = np.arange(len(power)) / 4
    # A thousandth of its pitch off, and two bins of the window's own.
    near = np.min(
        [np.abs(hertz % mains - mains * (hertz % mains > mains / 2)) for mains in (50.0, 60.0)], axis=0
    )
    assert power[near <= 1.0 + hertz / 500].sum() > 0.999 * power.sum()
