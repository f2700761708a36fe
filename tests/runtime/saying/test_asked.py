"""The decoder is asked only where words can change something."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.runtime.saying.caption_state import Policy
from tests.runtime.saying.test_caption_state import HEARD, Heard, played
from tests.runtime.saying.test_policy import Room


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
