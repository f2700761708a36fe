"""The rhythm of alarms, on tones of known lengths: T3 is told from whatever else beeps, in noise too."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.runtime.audio import CHUNK_SAMPLES, RATE, Samples
from edgecap.runtime.hearing.cadence import PATTERNS, T3, T4, Listener, Look, Pattern
from edgecap.runtime.hearing.frontend import FrontEnd
from edgecap.runtime.hearing.prominence import Recent, prominence, running_sums
from edgecap.runtime.model.manifest import AlarmThresholds
from tests.handmade import rain, silence, tone

MELS = 64
CHUNK_S = CHUNK_SAMPLES / RATE


def beeps(hz: float, *lengths_s: float) -> Samples:
    """A tone on, off, on, off ... for so long each."""
    return np.concatenate(
        [silence(length) if i % 2 else tone(hz, length) for i, length in enumerate(lengths_s)]
    )


def t3(hz: float = 3_100.0, tempo: float = 1.0, groups: int = 3) -> Samples:
    return beeps(hz, *(tempo * s for s in (0.5, 0.5, 0.5, 0.5, 0.5, 1.5) * groups))


def t4(hz: float = 3_100.0, groups: int = 3) -> Samples:
    return beeps(hz, *(0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 5.1) * groups)


def heard(name: str, samples: Samples) -> np.ndarray:
    """(chunks,) how much each chunk completes the pattern, in a quiet room."""
    samples = np.concatenate([silence(1.5), samples, silence(1.5)])
    samples = samples + 1e-4 * np.random.default_rng(1).standard_normal(len(samples)).astype(np.float32)
    front_end, listener = FrontEnd(MELS), Listener([PATTERNS[name]])
    recent = Recent(listener.rows, MELS)
    past, seconds, found = front_end.initial_state(), recent.initial_state(), []
    for at in range(0, len(samples) - CHUNK_SAMPLES + 1, CHUNK_SAMPLES):
        log_mel, past = front_end.step(samples[at : at + CHUNK_SAMPLES], past)
        seconds = recent.step(prominence(log_mel), seconds)
        found.append(listener.look(seconds)[0].likeness)
    return np.array(found)


@pytest.mark.parametrize("hz", [520.0, 2_900.0, 3_500.0])
@pytest.mark.parametrize("tempo", [0.93, 1.0, 1.07])
def test_a_smoke_alarm_shows_its_cadence_with_the_second_group(hz: float, tempo: float) -> None:
    """ISO 8201 allows a tenth; the next group's first pulse has ended after 4.5 s."""
    found = heard("T3", t3(hz, tempo))
    assert found.max() > 0.85
    first = float(np.flatnonzero(found > 0.8)[0] + 1) * CHUNK_S - 1.5
    assert 4.5 * tempo < first < 4.5 * tempo + 0.35 + 2 * CHUNK_S


@pytest.mark.parametrize("hz", [520.0, 3_100.0])
def test_a_carbon_monoxide_alarm_shows_its_cadence_with_the_second_group(hz: float) -> None:
    found = heard("T4", t4(hz))
    assert found.max() > 0.7
    first = float(np.flatnonzero(found > 0.7)[0] + 1) * CHUNK_S - 1.5
    assert first < 5.8 + 0.7 + 0.6 + 2 * CHUNK_S


@pytest.mark.parametrize(
    "other",
    [
        beeps(3_100, *(0.5, 0.5, 0.5, 0.5, 0.5)),  # a timer: one group, and no more
        beeps(1_200, *(0.5, 0.5) * 12),  # a reversing lorry
        beeps(2_000, *(0.08, 0.08, 0.08, 0.08, 0.08, 0.08, 0.08, 0.5) * 10),  # an alarm clock
        beeps(3_100, *(1.0, 1.0) * 8),
        tone(3_100, 12.0),
        rain(12.0),
        silence(12.0),
    ],
    ids=["timer", "reversing", "clock", "slow", "tone", "rain", "silence"],
)
@pytest.mark.parametrize(("name", "most"), [("T3", 0.7), ("T4", 0.66)])
def test_what_beeps_otherwise_is_neither(name: str, most: float, other: Samples) -> None:
    assert heard(name, other).max() < most


def test_one_is_not_the_other() -> None:
    assert heard("T3", t4()).max() < 0.7
    assert heard("T4", t3()).max() < 0.6


@pytest.mark.parametrize(("name", "alarm", "least"), [("T3", t3(), 0.85), ("T4", t4(), 0.68)])
def test_noise_of_the_same_power_hides_no_cadence(name: str, alarm: Samples, least: float) -> None:
    """White noise as strong as the pulses: their band still stands out of its neighbours."""
    noise = rain(len(alarm) / RATE)
    noise = noise * np.float32(0.1 / np.sqrt(2) / np.sqrt(np.mean(noise**2)))
    assert heard(name, alarm + noise).max() > least


def test_loudness_is_no_part_of_it() -> None:
    """From a shout to a whisper the same, as far as the room's own noise allows."""
    loud, faint = heard("T3", t3()), heard("T3", t3() * np.float32(0.1))
    assert loud.max() == pytest.approx(faint.max(), abs=0.05)


def test_what_came_long_before_changes_nothing() -> None:
    """Running sums are begun anew before they lose what a chunk adds to them."""
    front_end, rng = FrontEnd(MELS), np.random.default_rng(3)
    alarm = t3() + 1e-4 * rng.standard_normal(len(t3())).astype(np.float32)
    chunks = alarm[: len(alarm) // CHUNK_SAMPLES * CHUNK_SAMPLES].reshape(-1, CHUNK_SAMPLES)
    before = rng.uniform(-6, 24, (225, 16, MELS)).astype(np.float32)
    listener = Listener([PATTERNS["T3"]])
    recent = Recent(listener.rows, MELS)
    fresh = old = recent.initial_state()
    quiet = np.zeros((16, MELS), np.float32)
    for one in before:
        old = recent.step(one, old)
    for _ in range(40):  # longer than it remembers
        old, fresh = recent.step(quiet, old), recent.step(quiet, fresh)
    past = front_end.initial_state()
    for chunk in chunks:
        log_mel, past = front_end.step(chunk, past)
        old, fresh = (recent.step(prominence(log_mel), each) for each in (old, fresh))
        (one,), (other,) = listener.look(old), listener.look(fresh)
        assert one.likeness == pytest.approx(other.likeness, abs=1e-6)


def test_a_state_is_a_value() -> None:
    """Two streams that go on from one moment don't hear each other, though they share its memory."""
    listener = Listener([T3, T4])
    recent = Recent(listener.rows, MELS)
    rng = np.random.default_rng(4)
    chunks = rng.uniform(-6, 40, (150, 16, MELS)).astype(np.float32)  # longer than memory lasts
    state = recent.initial_state()
    for at, (one, other) in enumerate(itertools.pairwise(chunks)):
        after = recent.step(one, state)
        first = listener.look(after)
        recent.step(other, state)  # what might have been
        alike = recent.step(one, state)
        assert first == listener.look(alike), at
        assert (after.sums == alike.sums).all(), at
        assert (after.prominent == alike.prominent).all(), at
        state = after if at % 2 else alike


def ringing(samples: Samples, rt60_s: float, direct_db: float) -> Samples:
    """As a room leaves it: an echo that dies away by 60 dB in so long, the direct sound so far above it."""
    time = np.arange(int(rt60_s * RATE)) / RATE
    echo = np.random.default_rng(5).standard_normal(len(time)) * 10 ** (-3 * time / rt60_s)
    echo *= 10 ** (-direct_db / 20) / np.sqrt(np.sum(np.square(echo)))
    echo[0] = 1.0
    size = 1 << (len(samples) + len(echo)).bit_length()
    heard_there = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(echo, size))[: len(samples)]
    return heard_there.astype(np.float32)


@pytest.mark.parametrize("rt60_s", [0.4, 0.8, 1.2])
def test_a_room_that_rings_hides_no_cadence(rt60_s: float) -> None:
    """In a quiet home the echo stays far above whatever else there is, all through the pauses."""
    assert heard("T3", ringing(t3(), rt60_s, -9.0)).max() > 0.76
    if rt60_s < 1.0:  # then four pulses of a tenth of a second are one
        assert heard("T4", ringing(t4(), rt60_s, -9.0)).max() > AlarmThresholds().likely_t4


def test_a_room_that_rings_makes_no_cadence() -> None:
    for other in (beeps(1_200, *(0.5, 0.5) * 12), beeps(3_100, *(0.33, 0.33) * 18)):
        assert heard("T3", ringing(other, 1.0, -9.0)).max() < 0.74
        assert heard("T4", ringing(other, 1.0, -9.0)).max() < 0.7


@given(st.sampled_from([T3, T4]), st.integers(0, 999), st.integers(0, 40))
def test_a_match_is_the_correlation_of_what_was_heard_with_the_pulses(
    pattern: Pattern, seed: int, later: int
) -> None:
    rng = np.random.default_rng(seed)
    pulses = pattern.group[seed % len(pattern.group)]
    template = pulses.template()
    on = np.zeros(template.length, bool)
    for begin, end in template.pulses:
        on[template.length - begin : template.length - end] = True
    heard = rng.uniform(-6, 12, (template.length + 60, 2)).astype(np.float32)
    heard[-later - template.length : len(heard) - later, 0] += 12 * on  # of two bands one has it
    found = Look([(pattern, pulses)], np.arange(50)).match(running_sums(heard))
    assert found.shape == (1, 50, 2)
    for ago, band in itertools.product(range(50), range(2)):
        part = heard[len(heard) - ago - template.length : len(heard) - ago, band]
        stands_out = part[on].mean() - part[~on].mean() >= pattern.contrast_db
        likeness = np.corrcoef(part, on)[0, 1] if stands_out else 0.0
        assert found[0, ago, band] == pytest.approx(likeness, abs=1e-5)
    assert found[0, later, 0] > 0.5
