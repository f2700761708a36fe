"""What is said again, and what is not: hours of a room, heard through the policy."""

import pytest

from tests.runtime.saying.test_policy import Room, told


def test_a_background_that_comes_back_is_no_news_until_it_was_long_away() -> None:
    room = Room()
    assert told(room.hear(5, "rain falls", rain=0.9)) == [("new", "Rain falls.")]
    assert told(room.hear(5, "rain falls")) == [("end", "Rain falls.")]
    for _ in range(3):
        assert not room.hear(5, "rain falls", rain=0.9)
        assert not room.hear(300, "rain falls")
    both = ["rain falls", "a dog barks while rain falls", "a dog barks"]
    assert not room.hear(3, both, rain=0.9, dog=0.4)  # beside a known background a guess isn't worth it
    barks = room.hear(3, both, rain=0.9, dog=0.8)
    assert told(barks) == [("new", "A dog barks while rain falls.")]
    assert told(room.hear(5, "rain falls", rain=0.9)) == [("end", "A dog barks while rain falls.")]
    asked = room.asked
    assert not room.hear(600, "rain falls", rain=0.9)
    assert room.asked - asked <= 2  # nothing new to find there
    room.hear(700, "rain falls")
    assert [event.kind for event in room.hear(5, "rain falls", rain=0.9)] == ["new"]


def test_what_keeps_coming_back_is_news_five_times_then_after_an_absence_unless_it_is_urgent() -> None:
    room = Room()
    for _ in range(5):
        assert told(room.hear(5, "a dog barks", dog=0.9)) == [("new", "A dog barks.")]
        assert [event.kind for event in room.hear(60, "a dog barks")] == ["end"]
    for _ in range(5):
        assert not room.hear(5, "a dog barks", dog=0.9)
        assert not room.hear(60, "a dog barks")
    both = ["a dog barks", "a dog barks while a woman speaks"]
    assert told(room.hear(5, both, dog=0.9, woman=0.8)) == [("new", "A dog barks while a woman speaks.")]
    room.hear(121, "a dog barks")
    assert told(room.hear(5, "a dog barks", dog=0.9)) == [("new", "A dog barks.")]
    for _ in range(9):
        room.hear(30, "a doorbell rings")
        assert told(room.hear(5, "a doorbell rings", doorbell=0.9)) == [("new", "A doorbell rings.")]


def test_a_guess_is_not_made_twice_but_what_is_urgent_may_be() -> None:
    room = Room()
    assert told(room.hear(5, "a dog barks", dog=0.4)) == [("new", "Possibly a dog barks.")]
    assert told(room.hear(5, "a dog barks")) == [("end", "Possibly a dog barks.")]
    assert not room.hear(5, "a dog barks", dog=0.4)
    assert told(room.hear(5, "a dog barks", dog=0.8)) == [("new", "A dog barks.")]
    room.hear(12, "a dog barks")
    for _ in range(2):
        assert told(room.hear(5, "a doorbell rings", doorbell=0.4)) == [("new", "Possibly a doorbell rings.")]
        room.hear(9, "a doorbell rings")


def barks(room: Room, times: int) -> None:
    for _ in range(times):
        assert told(room.hear(5, "a dog barks", dog=0.97)) == [("new", "A dog barks.")]
        room.hear(55, "a dog barks")


@pytest.mark.parametrize(("woman", "said"), [(0.5, []), (0.85, []), (0.95, [("new", "A woman speaks.")])])
def test_beside_an_event_that_is_held_back_only_what_is_strong_is_said(
    woman: float, said: list[tuple[str, str]]
) -> None:
    """A weaker one is most likely the event's look-alike: a knock is no firework."""
    room = Room()
    barks(room, 5)
    assert told(room.hear(5, ["a dog barks", "a woman speaks"], dog=0.97, woman=woman)) == said
    assert room.policy.held == {"dog_bark": 1}
    room.hear(55, "a dog barks")
    room.turn_to_next()
    room.hear(5, "a dog barks", dog=0.97)
    assert room.policy.held == {"dog_bark": 2}  # once a situation


def test_what_calls_somebody_never_ceases() -> None:
    room = Room()
    for _ in range(12):
        assert told(room.hear(5, "a phone rings", phone=0.8)) == [("new", "A phone rings.")]
        room.hear(15, "a phone rings")
    assert not room.policy.held


def test_a_recordings_captions_hold_every_event() -> None:
    room = Room(holds_all=True)
    barks(room, 12)
    for _ in range(7):
        assert [event.kind for event in room.hear(5, "rain falls", rain=0.9)] == ["new"]
        room.hear(20, "rain falls")
