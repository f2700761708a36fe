"""Two sounds in one caption: which are said, what comes to them, and what leaves. Evidence given by hand."""

import numpy as np

from edgecap.runtime.audio import CHUNK_SAMPLES
from edgecap.runtime.events import Caption
from edgecap.runtime.hearing.encoder import Embedding
from edgecap.runtime.model.manifest import Label
from edgecap.runtime.saying.choose import own_phrases
from edgecap.runtime.saying.decoder import Hypothesis
from edgecap.runtime.saying.labels import Labels
from tests.runtime.saying.test_policy import LIMITS, SOUNDS, WIDTH, Room, told


def test_of_two_clauses_the_one_that_is_heard_is_said() -> None:
    room = Room()
    said = room.hear(2, ["a dog barks while rain falls", "a dog barks"], rain=0.8)
    assert [event.text for event in said] == ["Rain falls."]
    both = Room().hear(2, "a dog barks while rain falls", rain=0.8, dog=0.6)
    assert [event.text for event in both] == ["A dog barks while rain falls."]


def test_of_two_sounds_that_are_heard_for_sure_both_are_told() -> None:
    """Though the decoder thinks one of them likelier said alone; a second that is a guess is left out."""
    offered = ["a dog barks", "a dog barks while a woman speaks"]
    assert told(Room().hear(3, offered, dog=0.9, woman=0.8)) == [("new", "A dog barks while a woman speaks.")]
    assert told(Room().hear(3, offered, dog=0.9, woman=0.4)) == [("new", "A dog barks.")]


def test_what_comes_to_a_louder_background_is_told_beside_it() -> None:
    """Though no sentence of the decoder's names it, and the background stays the surer of both."""
    room = Room()
    events: list[Caption] = []
    for woman in 10 * [0.0] + 10 * [0.6]:
        room.now += CHUNK_SAMPLES
        room.segment.add(Embedding(np.ones(WIDTH, np.float32), room._row({"rain": 0.9, "woman": woman})))
        offered = [
            Hypothesis(("rain", "falls"), -0.1, np.ones(WIDTH, np.float32)),
            *own_phrases(SOUNDS, room.segment.evidence(), LIMITS),
        ]
        events += room.policy.step(room.now, room.segment, None, lambda said=offered: said)
    assert told(events) == [("new", "Rain falls."), ("update", "Rain falls while a woman speaks.")]


def test_two_that_are_sure_are_no_two_names_of_one() -> None:
    sounds = Labels(
        [
            Label("speech", "someone is speaking"),
            Label("man_speech", "a man is speaking"),
            Label("rain", "rain falls"),
            Label("thud", ""),
            Label("smoke_alarm", "a smoke alarm beeps", "", "urgent", "T3"),
        ]
    )
    speech, man, rain = range(3)

    def both(**scores: float) -> tuple[int, int] | None:
        evidence = np.zeros(len(sounds.names), np.float32)
        for name, score in scores.items():
            evidence[sounds.names.index(name)] = score
        return sounds.both(evidence, 0.5)

    assert both(speech=0.9, man_speech=0.8) is None
    assert both(speech=0.9, man_speech=0.8, rain=0.6) == (man, rain)
    assert both(speech=0.7, man_speech=0.4, rain=0.8) == (rain, speech)
    assert both(rain=0.9, thud=0.9, smoke_alarm=0.9, alarm=0.9) is None
    assert both(rain=0.9, man_speech=0.49) is None


def test_what_has_left_is_left_out_and_may_come_back() -> None:
    room, both = Room(), ["rain falls while a woman speaks", "rain falls"]
    events = room.hear(3.0, both, rain=0.9)
    for _ in range(2):
        events += room.hear(3.0, both, rain=0.9, woman=0.8)
        events += room.hear(5.0, both, rain=0.9)
    texts = ["Rain falls.", "Rain falls while a woman speaks."]
    assert [text for _, text in told(events)] == [*texts, *texts, texts[0]]
    assert [event.kind for event in events] == ["new"] + 4 * ["update"]
