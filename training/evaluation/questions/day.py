"""What is a day with it like? Sounds that come rarely, in a room whose tone fills the time between them.

Sixty times an hour, on average, a clip of the split sounds, near or far in one room (Poisson). It asks what
somebody reads who lives with the captions: how many, how many right, how often a fright for nothing.
"""

from collections import Counter, deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ....runtime.audio import RATE, Samples
from ....runtime.saying.wording import HEDGE
from ...data.corpus import Clip, Split
from ...sound import augment
from ...sound.taxonomy import BROADER, URGENT
from ..captioned import Said, captions_of, onset, sounding_power
from ..context import Context, Stage
from ..metrics.intervals import rate_limit, share_interval
from ..metrics.words import related
from ..sounds import streams
from ..sounds.backgrounds import room_tone
from .rooms import DRR_DB, LOUDEST, RT60_S

SOUNDS_AN_HOUR = 60.0
LEVEL_DB = (-42.0, -18.0)
"""Of a sound while it sounds, dBFS."""
TONE_DB = (-68.0, -54.0)
"""Of an hour's room tone, dBFS."""
JUST_S = 3.0
"""So long after a sound's end a caption may still name it."""
STRETCH_S = 3600.0
WORST = 12


class Stretch(NamedTuple):
    """An hour of it, or less: the clips that may come, and what its draws start from."""

    clips: tuple[Clip, ...]
    split: Split
    duration_s: float
    seed: tuple[int, int]


class Event(NamedTuple):
    """A clip that sounded from one sample to another."""

    clip: Clip
    start: int
    stop: int

    def at(self, sample: int) -> bool:
        """Whether a caption of that time may speak of it: it sounds, or did just now."""
        return self.start <= sample <= self.stop + JUST_S * RATE


class Arrival(NamedTuple):
    """A clip, the sample at which it comes, how loud, and the response of the room to where it is."""

    clip: Clip
    start: int
    level_db: float
    response: Samples


class Lived(NamedTuple):
    """What sounded in a stretch, and what was said."""

    events: list[Event]
    said: list[Said]


class Judged(NamedTuple):
    """A caption at its last wording, whether it was right then, and what sounded."""

    text: str
    is_right: bool
    is_kin: bool
    sounding: frozenset[str]


def examine(context: Context) -> dict[str, Any]:
    """Captions an hour, the share that is right, the share of sounds named, and what was false an hour."""
    count = max(1, round(3600 * context.hours / STRETCH_S))
    stretches = [
        Stretch(tuple(context.clips), context.split, 3600 * context.hours / count, (context.seed, i))
        for i in range(count)
    ]
    lived = context.each(live_through, stretches, "a sparse day")
    return figures(lived, context.hours, frozenset(context.model.labels.names))


def figures(lived: Sequence[Lived], hours: float, taught: frozenset[str]) -> dict[str, Any]:
    """Of what was lived through in so many hours by a model that was taught these labels.

    right: the share of captions that, as they read at last, name a sound that sounds or did within 3 s;
    or_kin counts a related one. recall: the share of sounds that some caption names in that time. A false
    urgent caption named at any time an urgent sound where none such was; it is plain where it did so without
    "Possibly".
    """
    captions = [one for part in lived for one in _judge(part)]
    wrong = [one for one in captions if not one.is_right]
    alarms = [one for part in lived for one in _false_urgent(part)]
    plain = [one for one in alarms if not one.text.startswith(HEDGE)]
    events = [(event, part) for part in lived for event in part.events]
    known = [(event, part) for event, part in events if event.clip.label in taught]
    return {
        "hours": hours,
        "sounds": len(events),
        "captions": len(captions),
        "captions_an_hour": _rate(len(captions), hours),
        "right": _share(sum(one.is_right for one in captions), len(captions)),
        "right_or_kin": _share(sum(one.is_kin for one in captions), len(captions)),
        **_recall("recall", events),
        **_recall("recall_of_taught", known),
        "false_an_hour": _rate(len(wrong), hours),
        "false_while_nothing_sounded": sum(not one.sounding for one in wrong),
        "false_of_sounds_not_taught": sum(bool(one.sounding) and not one.sounding & taught for one in wrong),
        "false_urgent": len(alarms),
        "false_urgent_an_hour": _rate(len(alarms), hours),
        "false_urgent_at_most_an_hour": rate_limit(len(alarms), hours),
        "plain_false_urgent": len(plain),
        "plain_false_urgent_an_hour": _rate(len(plain), hours),
        "plain_false_urgent_at_most_an_hour": rate_limit(len(plain), hours),
        "false urgent, and what sounded": [f"{one.text} ({_what(one)})" for one in alarms],
        "said falsely most": dict(Counter(one.text for one in wrong).most_common(WORST)),
    }


def _what(one: Judged) -> str:
    return ", ".join(sorted(one.sounding)) or "nothing"


def _rate(count: int, hours: float) -> float:
    return count / hours if hours else float("nan")


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _recall(name: str, events: Sequence[tuple[Event, Lived]]) -> dict[str, float]:
    """The share of sounds that a caption named while it could, with the interval over recordings."""
    named = np.array(
        [
            any(event.at(one.at) and one.named & set(event.clip.labels) for one in part.said)
            for event, part in events
        ],
        np.float64,
    )
    low, high = share_interval(named, np.ones(len(named)), [event.clip.recording for event, _ in events])
    return {name: _share(int(named.sum()), len(named)), f"{name}_low": low, f"{name}_high": high}


def sounding_at(events: Sequence[Event], sample: int) -> frozenset[str]:
    """The labels of what a caption of that time may speak of."""
    return frozenset(label for event in events if event.at(sample) for label in event.clip.labels)


def _judge(lived: Lived) -> list[Judged]:
    """Each caption as it read at last, against what sounded when it came to read so."""
    last = {one.id: one for one in lived.said}
    judged: list[Judged] = []
    for one in last.values():
        sounding = sounding_at(lived.events, one.at)
        near = frozenset[str]().union(*(related(label) for label in sounding))
        judged.append(Judged(one.text, bool(one.named & sounding), bool(one.named & near), sounding))
    return judged


def _false_urgent(lived: Lived) -> list[Judged]:
    """Of each caption that cried wolf the version that did so, a plain one before a hedged one."""
    found: dict[str, Judged] = {}
    for one in lived.said:
        sounding = sounding_at(lived.events, one.at)
        urgent = one.named & URGENT
        if urgent and not any(_is_true(label, sounding) for label in urgent):
            before = found.get(one.id)
            if before is None or before.text.startswith(HEDGE):
                found[one.id] = Judged(one.text, False, False, sounding)
    return list(found.values())


def _is_true(label: str, sounding: frozenset[str]) -> bool:
    """Whether an urgent label warns of what is there: of it, of a kind of it, or of its urgent kin."""
    return bool(({label} | BROADER.get(label, set()) | (related(label) & URGENT)) & sounding)


def live_through(stage: Stage, stretch: Stretch) -> Lived:
    """What sounds in it and what is said of it; a few seconds are in memory at a time."""
    coming = arrivals(stretch)
    blocks = streams.lasting(sound(stage, stretch, coming), stretch.duration_s)
    said = captions_of(stage.model, blocks, stage.names)
    return Lived(events_of(stage, coming), said)


def events_of(stage: Stage, coming: Sequence[Arrival]) -> list[Event]:
    """When those that come can be heard."""
    return [
        Event(one.clip, one.start + onset(stage.corpus.audio(one.clip)), one.start + _length(one.clip))
        for one in coming
    ]


def _length(clip: Clip) -> int:
    return clip.stop - clip.start


def arrivals(stretch: Stretch) -> list[Arrival]:
    """The clips that come in a stretch, in order, each wholly in it; waits between them are exponential."""
    rng = np.random.default_rng([*stretch.seed, 17])
    rt60_s = rng.uniform(*RT60_S)
    found: list[Arrival] = []
    at = 0.0
    while True:
        at += rng.exponential(3600 / SOUNDS_AN_HOUR)
        clip = stretch.clips[int(rng.integers(len(stretch.clips)))]
        response = augment.room_response(rng, rt60_s, rng.uniform(*DRR_DB))
        arrival = Arrival(clip, int(at * RATE), rng.uniform(*LEVEL_DB), response)
        if at >= stretch.duration_s:
            return found
        if arrival.start + _length(clip) <= stretch.duration_s * RATE:
            found.append(arrival)


def sound(stage: Stage, stretch: Stretch, coming: Sequence[Arrival]) -> streams.Stream:
    """The room's tone without end, and in it the clips as they come."""
    rng = np.random.default_rng([*stretch.seed, 19])
    waiting = deque(coming)
    begun = np.zeros(0, np.float32)  # of the clips that have begun, what is still to come
    for i, tone in enumerate(room_tone(stage, stretch.split, rng, rng.uniform(*TONE_DB))):
        while waiting and waiting[0].start < (i + 1) * RATE:
            arrival = waiting.popleft()
            heard = _heard(stage, arrival)
            at = arrival.start - i * RATE
            begun = np.pad(begun, (0, max(0, at + len(heard) - len(begun))))
            begun[at : at + len(heard)] += heard
        now, begun = begun[:RATE], begun[RATE:]
        second = tone.copy()
        second[: len(now)] += now
        yield np.clip(second, -1.0, 1.0)


def _heard(stage: Stage, arrival: Arrival) -> Samples:
    """(n,) the clip from where it is in the room, tail included, no louder than a microphone can tell."""
    wet = augment.reverberate(stage.corpus.audio(arrival.clip), arrival.response)
    gain = 10 ** (arrival.level_db / 20) / np.sqrt(sounding_power(wet))
    return wet * np.float32(min(gain, LOUDEST / float(np.abs(wet).max())))
