"""The table of captions: every row is taken, each state and happening has one, its laws hold of any room."""

from collections.abc import Iterable
from typing import Any, NamedTuple, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecap.runtime.audio import CHUNK_SAMPLES
from edgecap.runtime.events import Caption
from edgecap.runtime.hearing.encoder import Embedding
from edgecap.runtime.hearing.segment import Segment
from edgecap.runtime.saying import caption_state
from edgecap.runtime.saying.caption_state import TABLE, Policy
from edgecap.runtime.saying.decoder import Hypothesis, packed
from tests.laws import assert_every_caption_closes
from tests.runtime.saying.test_policy import DOG, LIMITS, RAIN, SOUNDS, WIDTH, WOMAN, Room

SENTENCES = [
    "a dog barks", "rain falls", "a woman speaks", "a doorbell rings", "a dog barks while rain falls",
    "a woman speaks while a dog barks", "something happens", "rain falls , then a doorbell rings",
]  # fmt: skip


class Heard(NamedTuple):
    """A chunk or several of a made-up room: what is scored, what is offered, what becomes of the segment."""

    scores: tuple[float, ...]
    offered: tuple[tuple[str, float], ...]
    then: str
    chunks: int


HEARD = st.builds(
    Heard,
    st.tuples(*[st.sampled_from([0.0, 0.0, 0.4, 0.6, 0.9])] * 6),
    st.lists(
        st.tuples(st.sampled_from(SENTENCES), st.sampled_from([-0.1, -0.9, -1.6])), min_size=1, max_size=3
    ).map(tuple),
    st.sampled_from(["go on", "go on", "change", "silence", "fade", "cut"]),
    st.integers(1, 24),
)


def played(plan: Iterable[Heard], asking: bool = False) -> list[Caption]:
    """What the policy says. asking: it is asked what it thinks in every chunk, which must change nothing."""
    policy, now, events = Policy(SOUNDS, LIMITS), 0, []
    segment: Segment | None = None
    ended: Segment | None = None
    for turn, heard in enumerate(plan):
        vector = np.eye(WIDTH, dtype=np.float32)[turn % WIDTH]
        offered = [Hypothesis(tuple(text.split()), log_prob, vector) for text, log_prob in heard.offered]
        segment = segment or Segment(now, True, 16)
        for _ in range(heard.chunks):
            now += CHUNK_SAMPLES
            segment.add(Embedding(vector, np.array(heard.scores, np.float32)))
            segment.end = now
            events += policy.step(now, segment, ended, lambda offered=offered: offered)
            ended = None
            if asking:
                assert all(policy.why_not(label, segment, now) for label in range(6)) or policy.live
        if heard.then == "cut":
            segment.ended_by = "gap"
            events += policy.close(segment)
            segment = None
        elif heard.then != "go on":
            segment.ended_by = heard.then  # type: ignore[assignment]  # "cut" and "go on" are gone by now
            ended, segment = segment, None
            if heard.then == "silence":
                for _ in range(heard.chunks):
                    now += CHUNK_SAMPLES
                    events += policy.step(now, None, ended, list)
                    ended = None
    if segment:
        segment.ended_by = "gap"
    return events + policy.close(segment)


@settings(deadline=None)
@given(plan=st.lists(HEARD, max_size=16))
def test_captions_follow_each_other_whatever_is_heard_and_asked(plan: list[Heard]) -> None:
    events = played(plan)
    assert_every_caption_closes(events)
    starts = [event.start for event in events if event.kind == "new"]
    assert starts == sorted(starts)
    assert events == played(plan, asking=True)
    ends = [event.end or 0 for event in events if event.kind == "end"]
    assert all(end <= start for end, start in zip(ends, starts[1:], strict=False))


@settings(deadline=None)
@given(plan=st.lists(HEARD, max_size=8), at=st.integers(0, 8))
def test_what_follows_changes_nothing_that_was_said(plan: list[Heard], at: int) -> None:
    whole, begun = played(plan), played(plan[:at])
    said = [event for event in begun if event.kind != "end"]
    assert [event for event in whole if event.kind != "end"][: len(said)] == said


def test_every_row_of_the_table_is_taken_by_some_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty rooms made up by chance, from one seed."""
    taken, transition = set(), caption_state.transition

    def watched(*given: Any) -> caption_state.Row:  # only looks on
        row = transition(*given)
        taken.add(row)
        return row

    monkeypatch.setattr(caption_state, "transition", watched)
    rng = np.random.default_rng(0)
    for _ in range(40):
        played(
            Heard(
                tuple(rng.choice([0.0, 0.0, 0.4, 0.6, 0.9], 6).tolist()),
                ((str(rng.choice(SENTENCES)), -0.1), (str(rng.choice(SENTENCES)), -0.2)),
                str(rng.choice(["go on", "go on", "change", "silence", "fade", "cut"])),
                int(rng.integers(1, 25)),
            )
            for _ in range(20)
        )
    assert [row for row in TABLE if row not in taken] == []


@pytest.mark.parametrize("state", get_args(caption_state.State))
@pytest.mark.parametrize("happening", get_args(caption_state.Happening))
def test_whatever_happens_in_whatever_state_has_a_row(
    state: caption_state.State, happening: caption_state.Happening
) -> None:
    """And only what stands is revised or ended, only silence or an end is followed by something new."""
    rows = [row for row in TABLE if state in row.states and row.happening == happening]
    assert rows[-1].guard == "otherwise"
    for row in rows:
        after = row.next or state
        assert (after == "silent") == (row.said == "end" or (state == "silent" and row.said == "nothing"))
        assert (state == "silent") or row.said != "new"


# --- what it says of itself -----------------------------------------------------------------------


def test_it_can_say_why_a_sound_is_not_said() -> None:
    def why(room: Room, label: int) -> str | None:
        return room.policy.why_not(label, room.segment, room.now)

    room = Room()
    room.hear(0.64, "a dog barks", dog=0.8)
    assert (why(room, DOG), why(room, RAIN)) == ("young", "threshold")
    room.hear(1, "a dog barks", dog=0.8)
    assert why(room, DOG) is None
    assert why(room, WOMAN) == "threshold"
    room.hear(0.64, "a dog barks", dog=0.8, woman=0.6)
    assert why(room, WOMAN) == "interval"
    room.hear(3, "a dog barks", dog=0.8, woman=0.6)
    assert why(room, WOMAN) == "outdone"
    doubted, unheard, guessed, rain = Room(), Room(), Room(), Room()
    doubted.hear(3, "a dog barks", log_prob=-2.0, dog=0.9)
    unheard.hear(3, "a woman speaks", dog=0.9)
    assert (why(doubted, DOG), why(unheard, DOG)) == ("unlikely-words", "unheard")
    guessed.hear(5, "a dog barks", dog=0.4)
    guessed.hear(5, "a dog barks")
    guessed.hear(5, "a dog barks", dog=0.4)
    assert why(guessed, DOG) == "guess"
    rain.hear(5, "rain falls", rain=0.9)
    rain.hear(5, "rain falls")
    rain.hear(5, "rain falls", rain=0.9)
    assert why(rain, RAIN) == "dull"
    assert rain.policy.why_not(RAIN, None, rain.now) == "quiet"


@pytest.mark.parametrize(
    ("said", "scores", "priority"),
    [
        ("a dog barks", {"dog": 0.9}, "normal"),
        ("a phone rings", {"phone": 0.9}, "call"),
        ("rain falls", {"rain": 0.9}, "ambient"),
        ("a dog barks while rain falls", {"dog": 0.9, "rain": 0.8}, "normal"),
        ("a phone rings while rain falls", {"phone": 0.9, "rain": 0.8}, "call"),
        ("a phone rings , then a doorbell rings", {"phone": 0.9, "doorbell": 0.8}, "urgent"),
    ],
)
def test_a_captions_priority_is_the_highest_of_what_it_names(
    said: str, scores: dict[str, float], priority: str
) -> None:
    (new,) = Room().hear(1.5, said, **scores)
    assert new.priority == priority


@settings(deadline=None)
@given(st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=12))
def test_a_place_in_the_sentence_space_keeps_its_direction(place: list[float]) -> None:
    vector = np.array(place, np.float32)
    kept = np.frombuffer(packed(vector), np.int8)
    assert kept.shape == vector.shape
    norm = float(np.linalg.norm(vector.astype(np.float64)))
    if norm > 1e-3:  # half a step of rounding, and float32's own
        assert kept == pytest.approx(127 * vector / norm, abs=0.501)
