"""Of sentences about a broader and a narrower sound, which is said: evidence and sentences given by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.runtime.audio import RATE
from edgecap.runtime.model.manifest import Calibration, Label
from edgecap.runtime.saying.choose import NOWHERE, Known, choose, one_of_two, own_phrases
from edgecap.runtime.saying.decoder import Hypothesis
from edgecap.runtime.saying.labels import Labels
from edgecap.runtime.saying.limits import Limits

SOUNDS = Labels(
    [
        Label("speech", "someone is speaking"),
        Label("man_speech", "a man is speaking"),
        Label("woman_speech", "a woman is speaking"),
        Label("bell", "a bell rings"),
        Label("bicycle_bell", "a bicycle bell rings"),
        Label("dog_bark", "a dog barks"),
    ]
)
NAMES = [name for name in SOUNDS.names if name != "alarm"]
LIMITS = Limits(0.5, 0.35, RATE, 0.5, Calibration())
NOTHING = Known(None, frozenset(), frozenset())
VOICES = ("someone is speaking", "a man is speaking", "a woman is speaking")
BELLS = ("a bell rings", "a bicycle bell rings")


def said(offered: tuple[str, ...], **scores: float) -> str | None:
    """Of sentences in the decoder's order, the one that is said."""
    evidence = np.array([scores.get(name, 0.001) for name in SOUNDS.names], np.float32)
    sentences = [Hypothesis(tuple(text.split()), -0.1 * i, NOWHERE) for i, text in enumerate(offered, 1)]
    found = choose(sentences, evidence, SOUNDS, LIMITS, NOTHING).candidate
    return found.text if found else None


@pytest.mark.parametrize(
    ("scores", "text"),
    [
        ({"speech": 0.99, "man_speech": 0.97}, "A man is speaking."),
        ({"speech": 0.99, "man_speech": 0.01}, "Someone is speaking."),
        ({"speech": 0.99, "man_speech": 0.4}, "Someone is speaking."),  # not sure enough that it is one
        ({"speech": 0.6, "woman_speech": 0.9}, "A woman is speaking."),
        ({"speech": 0.02, "woman_speech": 0.9}, "A woman is speaking."),  # whose words say more of her
        ({"speech": 0.9, "man_speech": 0.7, "dog_bark": 0.8}, "A man is speaking."),
    ],
)
def test_a_man_or_a_woman_speaks_where_one_is_heard_for_sure(scores: dict[str, float], text: str) -> None:
    assert said(VOICES, **scores) == text


def test_a_bell_is_a_bicycles_only_where_that_is_heard() -> None:
    assert said(BELLS, bell=0.9, bicycle_bell=0.6) == "A bicycle bell rings."
    assert said(BELLS, bell=0.9, bicycle_bell=0.3) == "A bell rings."
    assert (
        said(("a bell rings",), bell=0.9, bicycle_bell=0.6) == "A bell rings."
    )  # where nothing else is offered


@given(st.lists(st.floats(0.001, 0.999), min_size=6, max_size=6), st.floats(0, 1))
def test_refining_lowers_nothing_and_moves_only_what_is_narrower(scores: list[float], least: float) -> None:
    evidence = np.array(scores + [0.001] * (len(SOUNDS.names) - 6), np.float32)
    refined = SOUNDS.refined(evidence, least)
    assert (refined >= evidence).all()
    assert {NAMES[i] for i in np.flatnonzero(refined != evidence)} <= {
        "man_speech", "woman_speech", "bicycle_bell"
    }  # fmt: skip
    assert refined.max() == evidence.max()


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
        assert choose(own_phrases(SOUNDS, evidence), evidence, SOUNDS, LIMITS, known).candidate is None


def test_what_rhythm_tells_is_never_one_of_two() -> None:
    alarms = Labels(
        [Label("smoke_alarm", "a smoke alarm beeps", "", "urgent", "T3"), Label("dog", "a dog barks")]
    )
    evidence = np.zeros(len(alarms.names), np.float32)
    for rival in range(len(alarms.names)):
        evidence[:] = 0.0
        evidence[1], evidence[rival] = 0.3, 0.31 if rival != 1 else 0.3
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
