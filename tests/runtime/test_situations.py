"""Beside its captions: the situations that a session tells of, said or not, and what it hears when asked."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecap.runtime.audio import RATE
from edgecap.runtime.events import Caption, Event, Heard, Situation
from edgecap.runtime.options import Captions
from edgecap.runtime.session import Model, Session
from tests import handmade
from tests.handmade import dog, rain, silence
from tests.laws import chunkings, cut, events_of
from tests.runtime.test_session import SCENE, SOUNDS


@pytest.fixture(scope="module")
def model() -> Model:
    return handmade.model()


def check_situations(events: list[Event], labels: int) -> None:
    """Their laws, of everything that a session told."""
    starts: dict[int, int] = {}
    latest: Situation | None = None
    for event in events:
        if isinstance(event, Situation):
            assert 0 <= event.start <= event.end
            assert starts.setdefault(event.id, event.start) == event.start
            assert latest is None or event.id in (latest.id, latest.id + 1)
            assert len(event.scores) == labels
            assert all(0 <= score <= 1 for score in event.scores)
            latest = event
        elif event.kind == "new":  # it tells of the situation that was described just before
            assert latest is not None
            assert latest.start <= event.start <= latest.end
        if isinstance(event, Caption) and event.kind != "end":
            assert latest is not None
            assert event.semantic == latest.semantic is not None
    assert list(starts) == list(range(1, len(starts) + 1))


@settings(max_examples=15, deadline=None)
@given(
    plan=st.lists(st.tuples(st.sampled_from([*SOUNDS, "gap"]), st.floats(0.05, 4.0)), min_size=1, max_size=8),
    sizes=chunkings(),
)
def test_every_caption_lies_in_a_situation(
    model: Model, plan: list[tuple[str, float]], sizes: list[int]
) -> None:
    session, events = Session(model), []
    for kind, duration_s in plan:
        for piece in cut(SOUNDS[kind](duration_s), sizes) if kind != "gap" else []:
            events += session.push(piece)
        if kind == "gap":
            events += session.skip(round(duration_s * RATE))
    check_situations(events + session.finish(), len(handmade.LABELS))


def test_a_situation_that_begins_in_the_pause_after_a_sound_does_not_end_before_it(model: Model) -> None:
    events = events_of(Session(model), [SOUNDS["bell"](2.0), silence(1)])
    check_situations(events, len(handmade.LABELS))


def test_a_situation_of_which_nothing_is_said_is_told_too(model: Model) -> None:
    """Once, as it ends: the decoder was not asked, so it has no place in the sentence space."""
    events = events_of(
        Session(model, Captions(confidence=1.0, hedge=1.0)), [silence(1), dog(0.6), silence(4)]
    )
    (situation,) = events
    assert isinstance(situation, Situation)
    assert situation.start / RATE == pytest.approx(1.0, abs=0.05)
    assert situation.end / RATE == pytest.approx(1.6, abs=0.05)
    assert situation.semantic is None
    assert np.argmax(situation.scores) == handmade.LABELS.index("dog_bark")


def test_a_situations_place_is_that_of_the_decoder(model: Model) -> None:
    described = [e for e in events_of(Session(model), [rain(3)]) if isinstance(e, Situation) and e.semantic]
    place = np.frombuffer(described[-1].semantic or b"", np.int8)
    assert np.linalg.norm(place.astype(float)) == pytest.approx(127, abs=1)
    assert place.argmax() in (2, 3)  # rain, or that no high tone is there


def test_asking_what_is_heard_changes_nothing_and_tells_why(model: Model) -> None:
    session, events, seen = Session(model), [], set()
    assert session.heard() == Heard(-100.0, ())
    for at in range(0, len(SCENE), 3_000):
        events += session.push(SCENE[at : at + 3_000])
        heard = session.heard()
        assert heard.level_db == session.level_db
        scores = [sound.score for sound in heard.sounds]
        assert scores == sorted(scores, reverse=True)
        assert session.heard() == heard
        said = [sound.label for sound in heard.sounds if sound.reason is None]
        assert len(said) == (session.live is not None)
        seen |= {sound.reason for sound in heard.sounds}
    assert events + session.finish() == events_of(Session(model), [SCENE])
    assert {None, "quiet", "threshold", "young"} <= seen
