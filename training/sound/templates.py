"""What a person would want to read of a scene: short, the source named, present tense.

An abrupt sound takes the simple present ("a dog barks"), a lasting one the progressive ("rain is falling"),
as the DCMP Captioning Key asks. At most two clauses: what stands out, and what lies under or follows it.
"""

from collections.abc import Sequence
from typing import NamedTuple

from ..data.corpus import Label

LASTING = {
    "music": "music is playing",
    "rain": "rain is falling",
    "wind": "wind is blowing",
    "sea_waves": "waves are breaking",
    "stream": "a stream is flowing",
    "water_tap": "water is running from a tap",
    "shower": "a shower is running",
    "boiling_bubbling": "water is boiling",
    "crackling_fire": "a fire is crackling",
    "vacuum_cleaner": "a vacuum cleaner is running",
    "washing_machine": "a washing machine is running",
    "dishwasher": "a dishwasher is running",
    "microwave": "a microwave oven is running",
    "blender": "a blender is running",
    "juicer": "a juicer is running",
    "fridge_hum": "a fridge is humming",
    "fan": "a fan is humming",
    "air_conditioner": "an air conditioner is humming",
    "jackhammer": "a jackhammer is pounding",
    "printer": "a printer is running",
    "frying_sizzle": "food is sizzling in a pan",
    "engine": "an engine is running",
    "traffic": "traffic is passing",
    "train": "a train is passing",
    "helicopter": "a helicopter is flying",
    "airplane": "an airplane is flying by",
    "machine_hum": "a machine is humming",
    "cafe": "a cafe is busy",
    "crickets": "crickets are chirping",
    "clock_tick": "a clock is ticking",
    "snoring": "someone is snoring",
    "crying_baby": "a baby is crying",
    "siren": "a siren is wailing",
    "chainsaw": "a chainsaw is running",
    "washing_dishes": "someone is washing dishes",
    "keyboard_typing": "someone is typing on a keyboard",
    "man_speech": "a man is speaking",
    "woman_speech": "a woman is speaking",
    "speech": "someone is speaking",
    "crowd_chatter": "people are talking in the background",
    "singing": "someone is singing",
    "church_bells": "church bells are ringing",
    "insect_buzz": "an insect is buzzing",
    "children_playing": "children are playing",
    "steam_hiss": "steam is hissing",
}
"""Lasting sounds: label -> the clause in the progressive."""

PLAINER = {
    "dog_howl": "a dog howls",
    "horse": "a horse neighs",
    "monkey": "a monkey calls",
    "door_slam": "a door shuts",
    "brushing_teeth": "someone brushes their teeth",
    "electronic_chime": "a device chimes",
    "drum": "a drum is struck",
    "power_drill": "a drill runs",
    "truck_bus": "a truck passes",
    "reversing_beeps": "a reversing vehicle beeps",
    "fireworks": "fireworks go off",
    "cupboard": "a cupboard door closes",
    "drawer": "a drawer closes",
    "juicer": "a juicer is running",
}
"""Clauses of labels.csv that name two things at once, said plainly."""


class SegmentEvent(NamedTuple):
    """An event as met in a segment: label, chunks of its first and last sounding, loudness."""

    label: int
    first: int
    last: int
    level_db: float


def clause(label: Label) -> str:
    """How a sentence says this sound: "a dog barks"."""
    return LASTING.get(label.name) or PLAINER.get(label.name) or label.phrase


def sentence(heard: Sequence[SegmentEvent], labels: Sequence[Label]) -> str:
    """The caption of a segment, lower case and without the full stop; "" where nothing was heard.

    Of several sounds the two loudest are said: one "while" the other where they overlap, the lasting
    one second; else one, "then" the other.
    """
    loudest: dict[str, SegmentEvent] = {}
    for event in sorted(heard, key=lambda event: -event.level_db):
        said = clause(labels[event.label])
        if said in loudest:  # the same sound again: one event that lasts from the first to the last
            known = loudest[said]
            event = known._replace(first=min(known.first, event.first), last=max(known.last, event.last))
        loudest[said] = event
    two = list(loudest.items())[:2]
    if len(two) < 2:
        return two[0][0] if two else ""
    (one, first), (other, second) = sorted(two, key=lambda item: item[1].first)
    overlap = min(first.last, second.last) - max(first.first, second.first) + 1
    if 2 * overlap < min(first.last - first.first, second.last - second.first) + 1:
        return f"{one}, then {other}"
    under = {said for said, event in two if labels[event.label].name in LASTING}
    if under == {one}:
        return f"{other} while {one}"
    return f"{one} while {other}"


def sayable(labels: Sequence[Label]) -> dict[str, tuple[str, ...]]:
    """Clause -> the labels that it may stand for, to find in a sentence the sounds that it names."""
    meaning: dict[str, tuple[str, ...]] = {}
    for label in labels:
        meaning[clause(label)] = (*meaning.get(clause(label), ()), label.name)
    return meaning
