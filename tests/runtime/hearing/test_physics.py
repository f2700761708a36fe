"""What rhythm alone decides: an alarm of whatever rhythm that goes on, a cadence that came twice, a chirp
that keeps its clock; and what beats, drips, ticks or sings and is none of these."""

from collections.abc import Sequence

import numpy as np
import pytest

from edgecap.runtime.audio import CHUNK_SAMPLES, RATE, Samples
from edgecap.runtime.hearing.alarms import Alarms
from edgecap.runtime.hearing.encoder import Embedding
from edgecap.runtime.hearing.frontend import FrontEnd
from edgecap.runtime.model.manifest import AlarmThresholds, Label
from edgecap.runtime.saying.labels import Labels
from tests.handmade import silence, tone
from tests.runtime.hearing.test_cadence import MELS, beeps, ringing, t3, t4

SOUNDS = Labels(
    [
        Label("crickets", "crickets chirp", "animals", "ambient"),
        Label("smoke_alarm", "a smoke alarm beeps", "", "urgent", "T3"),
        Label("co_alarm", "a carbon monoxide alarm beeps", "", "urgent", "T4"),
    ]
)
CRICKETS, SMOKE, CO, GENERAL, KEEPS, CHIRP = range(6)


def weighed(
    samples: Samples, heard: Sequence[float] = (0.0, 0.0, 0.0), thresholds: AlarmThresholds | None = None
) -> np.ndarray:
    """(chunks, 6) the scores in a quiet room, where the encoder gives the three sounds these all along."""
    alarms = Alarms(SOUNDS.known_alarms, MELS, thresholds or AlarmThresholds())
    samples = samples + 1e-4 * np.random.default_rng(1).standard_normal(len(samples)).astype(np.float32)
    front_end = FrontEnd(MELS)
    past, state, found = front_end.initial_state(), alarms.initial_state(), []
    for at in range(0, len(samples) - CHUNK_SAMPLES + 1, CHUNK_SAMPLES):
        log_mel, past = front_end.step(samples[at : at + CHUNK_SAMPLES], past)
        embedding = Embedding(np.ones(4, np.float32), np.array(heard, np.float32))
        weighed_now, state = alarms.step(log_mel, embedding, state)
        found.append(weighed_now.scores)
    return np.array(found)


def in_turn(low_hz: float, high_hz: float, each_s: float, count: int) -> Samples:
    return np.concatenate([tone((high_hz, low_hz)[i % 2], each_s) for i in range(count)])


def sweeps(low_hz: float, high_hz: float, each_s: float, count: int) -> Samples:
    time = np.arange(int(each_s * count * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(low_hz + (high_hz - low_hz) * (time / each_s % 1.0)) / RATE
    return (0.1 * np.sin(phase)).astype(np.float32)


ALARMS = {
    "a third of a second on and off": beeps(3_100, *(0.33, 0.33) * 21),
    "a tenth on and off": beeps(2_900, *(0.1, 0.1) * 70),
    "a second on, half off": beeps(2_400, *(1.0, 0.5) * 10),
    "two tones": in_turn(970, 800, 0.5, 28),
    "sweeps": sweeps(800, 1_600, 0.5, 28),
    "a slow whoop": np.concatenate([sweeps(500, 1_200, 2.5, 1), silence(0.5)] * 5),
}


@pytest.mark.parametrize("alarm", ALARMS.values(), ids=ALARMS.keys())
def test_what_beats_on_and_on_is_an_alarm_and_no_smoke_alarm(alarm: Samples) -> None:
    """Of a timbre that the encoder doesn't know; after some eight seconds, in a room that rings too."""
    for heard_there in (alarm, ringing(alarm, 0.6, -6.0)):
        scores = weighed(np.concatenate([silence(1.0), heard_there]))
        first = int(np.argmax(scores[:, KEEPS] > 0.9))
        assert 5.5 < first * CHUNK_SAMPLES / RATE - 1.0 < 14.5
        assert scores[:, [SMOKE, CO]].max() < 0.3


def test_it_is_over_soon_after_the_last_beep() -> None:
    scores = weighed(np.concatenate([ALARMS["a third of a second on and off"], silence(9.0)]))
    assert scores[-1].max() < 0.01


def clicks(every_s: float, hz: float, decay_s: float, jitter: float = 0.0) -> Samples:
    """Struck things: a metronome, a dripping tap."""
    rng, samples, at = np.random.default_rng(6), silence(20.0).copy(), 0.5
    ring_s = np.arange(int(10 * decay_s * RATE)) / RATE
    click = (0.1 * np.sin(2 * np.pi * hz * ring_s) * np.exp(-ring_s / decay_s)).astype(np.float32)
    while at < 19.0:
        samples[int(at * RATE) : int(at * RATE) + len(click)] += click
        at += every_s * (1.0 + jitter * rng.uniform(-1.0, 1.0))
    return samples


OTHERS = {
    "a metronome": clicks(0.5, 1_800.0, 0.004),
    "a dripping tap": clicks(0.9, 1_000.0, 0.02, jitter=0.15),
    "a clock that ticks": clicks(1.0, 2_500.0, 0.0005),
    "a timer that stops": beeps(2_000, *(0.3, 0.3) * 5, 0.0, 12.0),
    "a steady whistle": tone(2_000, 20.0),
    "beeps at any time": np.concatenate(
        [beeps(2_500, 0.2, float(pause)) for pause in np.random.default_rng(7).uniform(0.2, 1.5, 20)]
    ),
}


@pytest.mark.parametrize("sound", OTHERS.values(), ids=OTHERS.keys())
def test_what_ticks_drips_or_stops_is_no_alarm(sound: Samples) -> None:
    for heard_there in (sound, ringing(sound, 0.6, -6.0)):
        assert weighed(heard_there)[:, SMOKE:].max() < 0.3


def test_a_cricket_is_what_it_is_heard_to_be() -> None:
    """It beats as evenly as any alarm."""
    cricket = beeps(4_200, *(0.2, 0.3) * 28)
    assert weighed(cricket)[:, KEEPS].max() > 0.9
    assert weighed(cricket, (0.8, 0.0, 0.0))[:, KEEPS].max() == 0.0


def test_a_room_that_rings_hides_no_sweep() -> None:
    """It blurs the pitch, and leaves the picture."""
    for seconds in (0.4, 2.5):
        siren = ringing(sweeps(600, 1_500, seconds, round(18 / seconds)), 0.8, -6.0)
        assert weighed(siren)[:, KEEPS].max() > 0.9


@pytest.mark.parametrize(("alarm", "sound", "first_s"), [(t3(), SMOKE, 9.2), (t4(), CO, 12.5)])
def test_a_cadence_that_came_twice_decides_by_itself(alarm: Samples, sound: int, first_s: float) -> None:
    """Of a timbre that the encoder would swear is none."""
    strict = AlarmThresholds(unfamiliar=0.001, steepness=1.0, twice_t4=0.7)
    scores = weighed(np.concatenate([silence(1.0), alarm]), thresholds=strict)[:, sound]
    first = float(np.argmax(scores > 0.9)) * CHUNK_SAMPLES / RATE - 1.0
    assert first_s - 1.0 < first < first_s + 0.7
    assert scores[-1] > 0.9


def chirps(*at_s: float) -> Samples:
    samples = silence(at_s[-1] + 3.0).copy()
    for when in at_s:
        begin = int(when * RATE)
        samples[begin : begin + int(0.05 * RATE)] = tone(3_150, 0.05)
    return samples


@pytest.mark.parametrize("offset_s", [0.0, 0.07, 0.16, 0.29])
def test_a_chirp_is_told_after_its_third_equal_interval(offset_s: float) -> None:
    at_s = [5.0 + offset_s + 40.0 * i for i in range(4)]
    told = np.flatnonzero(weighed(chirps(*at_s))[:, CHIRP]) * CHUNK_SAMPLES / RATE
    assert at_s[-1] < told[0] < at_s[-1] + 0.7
    assert told[-1] < at_s[-1] + 2.5
    assert not weighed(chirps(*at_s[:3]))[:, CHIRP].any()


@pytest.mark.parametrize(
    "at_s",
    [
        (5, 45, 88, 128),  # not equal
        (5, 15, 25, 35, 45),  # too often
        (5, 85, 165, 245),  # too seldom
        (5, 45, 60, 85, 125),  # something chirps between
    ],
)
def test_what_keeps_no_such_clock_is_no_battery(at_s: tuple[int, ...]) -> None:
    assert not weighed(chirps(*at_s))[:, CHIRP].any()


def test_a_long_beep_is_no_chirp() -> None:
    beep = np.concatenate([np.concatenate([silence(39.5), tone(3_150, 0.5)]) for _ in range(5)])
    assert not weighed(beep)[:, CHIRP].any()
