"""Of sentences about a broader and a narrower sound, which is said: evidence and sentences given by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.runtime.audio import RATE
from edgecap.runtime.model.manifest import Calibration, Label
from edgecap.runtime.saying.choose import NOWHERE, Known, choose
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
