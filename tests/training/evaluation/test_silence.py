"""What is said where nothing sounds: the noises that are asked of, and what is listed."""

import itertools

import numpy as np
import pytest

from edgecap.runtime.audio import RATE
from edgecap.training.evaluation.questions import silence
from edgecap.training.evaluation.sounds import streams
from tests import handmade
from tests.asked import context


def test_noise_is_as_loud_as_its_name_says_and_never_repeats() -> None:
    rng = np.random.default_rng(0)
    for stream in (streams.white(rng, -30.0), streams.pink(rng, -30.0)):
        blocks = list(streams.lasting(stream, 8.0))
        sound = np.concatenate(blocks)
        assert len(sound) == 8 * RATE
        assert 10 * np.log10(np.mean(sound**2)) == pytest.approx(-30, abs=1.0)
        assert not np.array_equal(blocks[0], blocks[1])


def test_pink_noise_falls_by_three_decibels_an_octave() -> None:
    sound = np.concatenate(list(streams.lasting(streams.pink(np.random.default_rng(0), -20.0), 20.0)))
    power = np.abs(np.fft.rfft(sound)) ** 2
    hz = np.fft.rfftfreq(len(sound), 1 / RATE)
    octaves = [np.mean(power[(hz >= low) & (hz < 2 * low)]) for low in (250, 500, 1000, 2000, 4000)]
    assert np.diff(10 * np.log10(octaves)) == pytest.approx([-3.0] * 4, abs=0.5)


def test_loops_have_no_seam() -> None:
    tone = handmade.tone(440, 1.7)
    loop = np.concatenate(list(streams.lasting(streams.looped([tone], np.random.default_rng(0)), 6.0)))
    assert len(loop) == 6 * RATE
    assert np.abs(np.diff(loop)).max() < 2.0 * np.abs(np.diff(tone)).max()


def test_silence_lists_what_was_said_of_what() -> None:
    tone = np.concatenate([handmade.bell(0.5), handmade.silence(12.0)])
    figures = silence.examine(context(("room_tone", tone)))
    assert figures["digital silence"]["captions"] == 0
    assert figures["digital silence"]["said"] == {}
    # 36 s of a "room tone" in which a bell rings every 12 s: that must show, a guess made once.
    assert figures["room tone"]["said"] == {"Possibly a bell rings.": 1}
    assert figures["room tone"]["captions"] == 1
    assert figures["room tone"]["untrue"] == figures["room tone"]["captions"]
    assert figures["room tone"]["captions_an_hour"] == figures["room tone"]["captions"] / 0.01


def test_no_two_sounds_of_silence_are_the_same_samples() -> None:
    """Up to their level: two noises once had one seed, as their names were equally long."""
    stage = context(("room_tone", handmade.tone(440, 1.7))).stage
    sounds = []
    for name in silence.NOISES:
        quiet = silence.Quiet(name, "test", 1.0, 0)
        first, again = (
            np.concatenate([*streams.lasting(silence.stream(stage, quiet), 1.0)]) for _ in range(2)
        )
        assert np.array_equal(first, again)
        sounds.append(first / first.std())
    for one, other in itertools.combinations(sounds, 2):
        assert abs(float(np.mean(one * other))) < 0.1
