"""What an alarm is called before its cadence is known, after it, and where it has none."""

import numpy as np
import pytest

from edgecap.runtime.audio import CHUNK_SAMPLES, Samples
from edgecap.runtime.hearing.alarms import LASTING, Alarms
from edgecap.runtime.hearing.encoder import Embedding
from edgecap.runtime.hearing.frontend import FrontEnd
from edgecap.runtime.model.manifest import Label
from edgecap.runtime.saying.labels import Labels
from tests.handmade import silence
from tests.runtime.hearing.test_cadence import MELS, beeps, t3, t4

SMOKE_ALARM = Label("smoke_alarm", "a smoke alarm beeps", "", "urgent", "T3")
SOUNDS = Labels(
    [
        Label("dog_bark", "a dog barks"),
        SMOKE_ALARM,
        Label("co_alarm", "a carbon monoxide alarm beeps", "", "urgent", "T4"),
    ]
)
DOG, SMOKE, CO, GENERAL, KEEPS, CHIRP = range(6)


def weighed(samples: Samples, smoke: float = 0.0, co: float = 0.0) -> np.ndarray:
    """(chunks, 6) the scores, where the encoder gives the two alarms these all along."""
    front_end, alarms = FrontEnd(MELS), Alarms(SOUNDS.known_alarms, MELS)
    samples = samples + 1e-4 * np.random.default_rng(1).standard_normal(len(samples)).astype(np.float32)
    past, state, found = front_end.initial_state(), alarms.initial_state(), []
    for at in range(0, len(samples) - CHUNK_SAMPLES + 1, CHUNK_SAMPLES):
        log_mel, past = front_end.step(samples[at : at + CHUNK_SAMPLES], past)
        embedding = Embedding(np.ones(4, np.float32), np.array([0.3, smoke, co], np.float32))
        weighed_now, state = alarms.step(log_mel, embedding, state)
        found.append(weighed_now.scores)
    return np.array(found)


def test_it_is_an_alarm_first_and_a_smoke_alarm_once_the_second_group_came() -> None:
    scores = weighed(np.concatenate([silence(1), t3()]), smoke=0.9)
    early, late = scores[4:15], scores[21:]  # up to 4.8 s, from 6.7 s on
    assert early[:, GENERAL].min() > 0.7
    assert early[:, SMOKE].max() < 0.1
    assert late[:, SMOKE].min() > 0.95
    assert late[:, GENERAL].max() < 0.1
    assert scores[:, CO].max() < 0.05
    assert (scores[:, DOG] == np.float32(0.3)).all()


def test_a_clear_cadence_makes_an_alarm_of_what_the_encoder_hardly_knew() -> None:
    """As in a noise that drowns its timbre."""
    assert weighed(np.concatenate([silence(1), t3()]), smoke=0.1)[-1, SMOKE] > 0.8
    assert weighed(np.concatenate([silence(1), t4()]), co=0.1)[-1, CO] > 0.8


def test_what_the_encoder_is_sure_of_is_no_smoke_alarm_without_the_cadence() -> None:
    """Ten seconds of a timer that has a smoke alarm's very timbre."""
    scores = weighed(beeps(3_100, *(0.3, 0.3) * 14), smoke=0.95)
    assert scores[:, SMOKE].max() < 0.1
    assert scores[10:, [GENERAL, KEEPS]].max(axis=1).min() > 0.9


def test_an_alarm_of_no_rhythm_is_believed_once_it_has_gone_on() -> None:
    """Where it beats evenly, that is another alarm; which, nobody can tell."""
    pauses = np.random.default_rng(2).uniform(0.1, 0.7, 40)
    scores = weighed(beeps(3_100, *(s for pause in pauses for s in (0.3, float(pause)))), smoke=0.95)
    assert scores[20, SMOKE] < 0.8
    assert scores[LASTING, SMOKE] > 0.9
    even = weighed(beeps(3_100, *(0.3, 0.3) * 30), smoke=0.95)
    assert even[30:, SMOKE].max() < 0.1
    assert even[30:, KEEPS].min() > 0.9


def test_it_is_over_when_the_next_group_has_not_come() -> None:
    parts = np.concatenate([silence(1), t3(), silence(14)])
    front_end, alarms = FrontEnd(MELS), Alarms(SOUNDS.known_alarms, MELS)
    past, state, last = front_end.initial_state(), alarms.initial_state(), np.zeros(4)
    for at in range(0, len(parts) - CHUNK_SAMPLES + 1, CHUNK_SAMPLES):
        log_mel, past = front_end.step(parts[at : at + CHUNK_SAMPLES], past)
        smoke = 0.9 if at < 13 * 32_000 else 0.0
        embedding = Embedding(np.ones(4, np.float32), np.array([0, smoke, 0], np.float32))
        weighed_now, state = alarms.step(log_mel, embedding, state)
        last = weighed_now.scores
    assert last.max() < 0.1


def test_a_model_that_knows_no_alarm_is_left_alone() -> None:
    sounds = Labels([Label("dog_bark", "a dog barks")])
    embedding = Embedding(np.ones(4, np.float32), np.array([0.3], np.float32))
    alarms = Alarms(sounds.known_alarms, MELS)
    assert (
        alarms.step(np.full((32, MELS), -60, np.float32), embedding, alarms.initial_state())[0] is embedding
    )
    assert sounds.names == ("dog_bark",)


@pytest.mark.parametrize("present", [False, True])
def test_an_alarm_of_whatever_kind_is_one_sound_more_unless_there_is_one(present: bool) -> None:
    own = [Label("alarm", "an alarm rings", "", "urgent")] if present else []
    sounds = Labels([SMOKE_ALARM, *own])
    assert sounds.names == ("smoke_alarm", "alarm", "lasting_alarm", "battery_chirp")
    assert sounds.alarm == 1
    assert sounds.urgent == {0, 1, 2}
