"""What rhythm decides, as the shipped bundle's captions tell it."""

import numpy as np
import pytest

from edgecap.runtime.audio import Samples
from edgecap.runtime.events import Caption, captions
from edgecap.runtime.model.bundle import Bundle
from edgecap.runtime.session import Model, Session
from tests.handmade import silence
from tests.laws import assert_every_caption_closes, events_of
from tests.runtime.hearing.test_physics import chirps, in_turn

BATTERY = "Something chirps once or twice a minute, perhaps a smoke alarm's battery."


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.load(Bundle.open("room-small"))


def told(model: Model, samples: Samples) -> list[Caption]:
    noise = np.random.default_rng(1).standard_normal(len(samples)).astype(np.float32)
    events = captions(events_of(Session(model), [samples + np.float32(1e-4) * noise]))
    assert_every_caption_closes(events)
    return events


def test_a_two_tone_siren_is_an_alarm_and_no_smoke_alarm(model: Model) -> None:
    events = told(model, np.concatenate([silence(2.0), in_turn(970, 800, 0.5, 26)]))
    assert [event.priority for event in events if event.text == "An alarm keeps sounding."][:1] == ["urgent"]
    assert not [event for event in events if "smoke" in event.text or "carbon" in event.text]


def test_a_battery_is_told_once_however_long_it_chirps(model: Model) -> None:
    events = told(model, chirps(*(5.0 + 31.0 * i for i in range(6))))
    told_of = [event for event in events if event.text == BATTERY]
    assert [event.kind for event in told_of] == ["new", "end"]
    assert {event.priority for event in told_of} == {"ambient"}
    assert told_of[0].sounds[0].label == "battery_chirp"


def test_no_other_words_name_what_only_rhythm_tells(model: Model) -> None:
    labels, evidence = model.labels, np.ones(len(model.labels.names), np.float32)
    for words in ("a smoke alarm beeps", "a bird chirps", "an alarm sounds", "a battery chirps"):
        named = {labels.names[i] for i in labels.meaning(words.split(), evidence).labels}
        assert not named & {"lasting_alarm", "battery_chirp"}, words
