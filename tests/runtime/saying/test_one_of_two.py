"""A guess between two sounds: when it is chosen, and what becomes of it. Evidence given by hand."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.runtime.audio import RATE
from edgecap.runtime.events import Sound
from edgecap.runtime.hearing.segment import Segment
from edgecap.runtime.model.manifest import Label, PolicyThresholds
from edgecap.runtime.saying.choose import choose, one_of_two, own_phrases
from edgecap.runtime.saying.labels import Labels
from tests.runtime.saying.test_choose import BELLS, LIMITS, NOTHING, SOUNDS, VOICES, said
from tests.runtime.saying.test_policy import Room, told

ASKING = replace(LIMITS, policy=PolicyThresholds(asks=0.2))
"""Of a bundle with a second opinion, which is asked before the encoder is sure of anything."""


@pytest.mark.parametrize(
    ("scores", "text"),
    [
        ({"bell": 0.3, "dog_bark": 0.2}, "Possibly a bell rings or a dog barks."),
        ({"bell": 0.45, "dog_bark": 0.3}, "Possibly a bell rings or a dog barks."),  # a guess names its rival
        ({"bell": 0.45, "dog_bark": 0.2}, "Possibly a bell rings."),  # which is half as evident, or none
        ({"bell": 0.55, "dog_bark": 0.4}, "A bell rings."),
        ({"man_speech": 0.3, "woman_speech": 0.2}, "Possibly a man is speaking or a woman is speaking."),
        ({"speech": 0.3, "man_speech": 0.2}, None),  # of these both may be true
        ({"speech": 0.3, "man_speech": 0.25, "bell": 0.2}, "Possibly someone is speaking or a bell rings."),
        ({"bell": 0.3, "dog_bark": 0.04}, None),
        ({"bell": 0.17, "dog_bark": 0.17}, None),
    ],
)
def test_where_nothing_is_sure_one_of_two_may_be(scores: dict[str, float], text: str | None) -> None:
    """Both together have to reach 0.35, as any guess has."""
    assert said((*VOICES, *BELLS, "a dog barks"), **scores) == text


def test_what_was_guessed_before_is_no_part_of_a_guess_between_two() -> None:
    evidence = np.full(len(SOUNDS.names), 0.001, np.float32)
    bell, dog = SOUNDS.names.index("bell"), SOUNDS.names.index("dog_bark")
    evidence[[bell, dog]] = 0.3, 0.2
    for guessed in (bell, dog):
        known = NOTHING._replace(no_guess=frozenset({guessed}))
        assert (
            choose(own_phrases(SOUNDS, evidence, LIMITS), evidence, SOUNDS, LIMITS, known).candidate is None
        )


def test_what_rhythm_tells_is_never_one_of_two() -> None:
    alarms = Labels(
        [Label("smoke_alarm", "a smoke alarm beeps", "", "urgent", "T3"), Label("dog", "a dog barks")]
    )
    for rival in alarms.by_rhythm:
        evidence = np.zeros(len(alarms.names), np.float32)
        evidence[[1, rival]] = 0.3, 0.31
        assert one_of_two(evidence, alarms, LIMITS) is None


@given(st.lists(st.floats(0, 1, width=32), min_size=len(SOUNDS.names), max_size=len(SOUNDS.names)))
def test_a_guess_between_two_is_more_probable_than_either(scores: list[float]) -> None:
    evidence = np.array(scores, np.float32)
    found = one_of_two(evidence, SOUNDS, LIMITS)
    if found is not None:
        one, other = sorted(found.named, key=lambda i: evidence[i])
        assert evidence[other] == evidence.max()
        assert 2 * evidence[one] >= evidence[other]
        assert found.probability >= max(
            LIMITS.hedge, LIMITS.calibration.probability(float(evidence[other]), 0.0)
        )
        assert found.text.startswith("Possibly ")
        assert not found.is_sure


def test_a_guess_between_two_sounds_lists_both_and_gives_way_to_the_one_that_is_sure() -> None:
    room = Room(ASKING)
    (guess,) = room.hear(1.5, "a dog barks", dog=0.3, phone=0.2)
    assert (guess.kind, guess.text) == ("new", "Possibly a dog barks or a phone rings.")
    assert guess.sounds == (Sound("dog_bark", 0.3), Sound("phone_ring", 0.2))
    assert guess.confidence == pytest.approx(0.5)
    assert room.hear(3, "a dog barks", dog=0.35, phone=0.2) == []  # no surer
    assert told(room.hear(3, "a phone rings", phone=0.8)) == [("update", "A phone rings.")]
    assert told(room.silence()) == [("end", "A phone rings.")]


def test_a_guess_between_two_is_made_once() -> None:
    room = Room(ASKING)
    assert told(room.hear(1.5, "", dog=0.3, phone=0.2)) == [("new", "Possibly a dog barks or a phone rings.")]
    room.silence()
    for scores in ({"dog": 0.3, "phone": 0.2}, {"dog": 0.3, "woman": 0.2}):
        room.now += 5 * RATE
        room.segment = Segment(room.now, True, 94)
        assert [kind for kind, _ in told(room.hear(1.5, "", **scores))] in ([], ["end"])


@pytest.mark.parametrize(
    ("scores", "priority"),
    [
        ({"dog": 0.3, "doorbell": 0.25}, "normal"),
        ({"phone": 0.3, "doorbell": 0.25}, "call"),
        ({"rain": 0.3, "woman": 0.25}, "normal"),
    ],
)
def test_a_guess_between_two_is_as_urgent_as_the_less_urgent(scores: dict[str, float], priority: str) -> None:
    (guess,) = Room(ASKING).hear(1.5, "", **scores)
    assert guess.text.startswith("Possibly ")
    assert guess.priority == priority
