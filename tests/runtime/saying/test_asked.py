"""The decoder is asked only where words can change something, and a second opinion where it can."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.runtime.audio import RATE
from edgecap.runtime.saying.caption_state import Policy
from tests.runtime.saying.test_caption_state import HEARD, Heard, played
from tests.runtime.saying.test_policy import Room, told


@given(plan=st.lists(HEARD, max_size=16))
def test_what_is_not_asked_would_have_changed_nothing(plan: list[Heard]) -> None:
    """Whatever the sentences are, a policy that asks each time says the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Policy, "_may_change", lambda self, evidence, now, least: True)
        always = played(plan)
    assert played(plan) == always


def moves(room: Room, scores: dict[str, float]) -> int:
    """How often it asks in four seconds in which the embedding moves back and forth."""
    before = room.asked
    for turn in (1, 2, 1, 2):
        room.hear(1.0, "a dog barks", turn=turn, **scores)
    return room.asked - before


def test_a_caption_that_stands_is_not_asked_again_while_nothing_else_is_heard() -> None:
    room = Room()
    room.hear(2.0, "a dog barks", dog=0.9)
    assert moves(room, {"dog": 0.9}) == 0
    assert moves(room, {"dog": 0.9, "woman": 0.6}) > 0


def test_a_guess_is_asked_again() -> None:
    room = Room()
    room.hear(2.0, "a dog barks", dog=0.4)
    assert moves(room, {"dog": 0.4}) > 0


def test_a_second_opinion_is_asked_again_where_there_is_twice_as_much_to_hear() -> None:
    """And once the longest window is full, only for a reason."""
    room = Room()
    room.opinion = {"dog": 0.8}
    room.hear(12.0, "a dog barks", dog=0.8)
    assert room.consulted == [4, 8, 16]
    sure = Room()
    sure.opinion = {"dog": 0.99}
    sure.hear(12.0, "a dog barks", dog=0.8)
    assert sure.consulted == [4]


def test_what_more_sound_puts_right_is_put_right() -> None:
    room = Room()
    room.opinion = {"dog": 0.9}
    assert told(room.hear(1.6, ["a dog barks", "a dog or wolf howls"], dog=0.5, howl=0.3))[0] == (
        "new", "A dog barks.",
    )  # fmt: skip
    room.opinion = {"dog": 0.1, "howl": 0.95}
    events = told(room.hear(2.0, ["a dog barks", "a dog or wolf howls"], dog=0.5, howl=0.3))
    assert events == [("update", "A dog or wolf howls.")]


def test_of_a_caption_that_stands_no_opinion_is_asked_while_nothing_else_is_heard() -> None:
    room = Room()
    room.opinion = {"dog": 0.9}
    room.hear(8.0, "a dog barks", dog=0.9)
    before = len(room.consulted)
    for turn in (1, 2, 1, 2):
        room.hear(1.0, "a dog barks", turn=turn, dog=0.9)
    assert len(room.consulted) == before
    for turn in (1, 2, 1, 2):
        room.hear(1.0, "a dog barks", turn=turn, dog=0.9, woman=0.6)
    assert len(room.consulted) > before


def test_an_opinion_of_what_was_before_upholds_nothing() -> None:
    """Over a noise that goes on no segment ends; the opinion that named the sound is asked again."""
    room = Room()
    room.opinion = {"woman": 0.99}
    assert told(room.hear(2.0, "a woman speaks", woman=0.6)) == [("new", "A woman speaks.")]
    room.opinion = {"rain": 0.3}
    assert told(room.hear(12.0, "a woman speaks", woman=0.05, rain=0.3)) == [("end", "A woman speaks.")]
    assert room.now - room.policy._last_end > 4 * RATE
