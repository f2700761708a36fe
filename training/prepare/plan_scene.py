"""What a caption says -> a plan: recordings of its sounds, placed in time, level and distance as it says."""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ...runtime.audio import CHUNK_SAMPLES, HOP, RATE, Samples
from ..data.corpus import Clip, Corpus
from ..sound.signals import MAKERS
from ..sound.taxonomy import CADENCED, STEADY, SYNTHETIC_SHARE
from .parse import Parsed, Sounding
from .plan import Piece, Plan, PlannedSound

FLOOR_DB = -30.0
"""A frame of a recording is silent when it is this far below its loudest."""
BURST_S = 0.08, 1.3
"""How long one bark, knock or sneeze lasts."""
PAUSE_S = 0.15
"""A silence of this length parts two bursts."""
LONGEST_S = 9.9
"""A scene is at most so long (31 chunks)."""
SHORTEST_STAGE_S = 1.3
SPREAD_DB = 2.0
"""How much two sounds differ in level by chance."""
MASKED_DB = -12.0
"""No sound is softer than the loudest by more: what a caption names must be heard."""
TALK = frozenset(["man_speech", "woman_speech", "speech", "child_speech"])
"""Sounds that go on with other sentences of the same speaker, never with the same one again."""
VOICED = frozenset(["man_speech", "woman_speech", "speech", "child_speech", "singing", "music"])
"""Sounds that another speed makes untrue: a slower woman is a man."""


class Unplayable(Exception):
    """Our recordings can't play what the caption says; the words say why."""


class Shape(NamedTuple):
    """Where a recording sounds: samples of its first and last sounding frame, and its single bursts."""

    first: int
    last: int
    bursts: tuple[tuple[int, int], ...]
    power: NDArray[np.float32]


class Take(NamedTuple):
    """A recording chosen: a clip, or a maker and its seed."""

    label: str
    clip: Clip | None
    seed: int
    samples: Samples
    shape: Shape


def shape(samples: Samples) -> Shape:
    """Where these samples sound, to 10 ms."""
    frames = samples[: len(samples) // HOP * HOP].reshape(-1, HOP)
    power = np.einsum("ij,ij->i", frames, frames) / HOP
    if not len(power):
        return Shape(0, 0, (), power)
    loud = np.flatnonzero(power > max(float(power.max()) * 10 ** (FLOOR_DB / 10), 1e-10))
    if not len(loud):
        return Shape(0, 0, (), power)
    gaps = np.flatnonzero(np.diff(loud) > PAUSE_S * RATE / HOP)
    firsts = [int(loud[0]), *(int(loud[i + 1]) for i in gaps)]
    lasts = [*(int(loud[i]) for i in gaps), int(loud[-1])]
    least, most = (seconds * RATE / HOP for seconds in BURST_S)
    bursts = tuple(
        (max(a - 2, 0) * HOP, min(b + 4, len(power)) * HOP)
        for a, b in zip(firsts, lasts, strict=True)
        if least <= b - a + 1 <= most and power[a : b + 1].max() > 0.1 * power.max()
    )
    return Shape(firsts[0] * HOP, (lasts[-1] + 1) * HOP, bursts, power)


class Shelf:
    """The recordings that scenes may be made of, by label and recording."""

    def __init__(self, corpus: Corpus, clips: list[Clip]) -> None:
        self.corpus = corpus
        self.pools: dict[str, dict[str, list[Clip]]] = {}
        for clip in clips:
            self.pools.setdefault(clip.label, {}).setdefault(clip.recording, []).append(clip)
        self._tagged: dict[str, dict[str, list[Clip]]] = {}

    def recordings(self, choice: str) -> dict[str, list[Clip]]:
        """Recording -> clips of "label" or "label/tag"."""
        label, _, tag = choice.partition("/")
        if not tag:
            return self.pools.get(label, {})
        if choice not in self._tagged:
            self._tagged[choice] = {
                name: kept
                for name, group in self.pools.get(label, {}).items()
                if (kept := [clip for clip in group if tag in clip.labels or tag in clip.id])
            }
        return self._tagged[choice]

    def playable(self, choices: tuple[str, ...]) -> list[str]:
        """Those of the choices that there are recordings of."""
        return [choice for choice in choices if self.recordings(choice) or choice in MAKERS]

    def take(self, rng: Generator, choices: tuple[str, ...], used: set[str], again: str = "") -> Take:
        """A recording of any of these; not one that is used already, if there is another.

        again: this recording rather than any other: the same man goes on speaking.
        """
        names = self.playable(choices)
        choice = names[int(rng.integers(len(names)))]
        label = choice.partition("/")[0]
        recordings = self.recordings(choice)
        if label in MAKERS and (not recordings or rng.random() < SYNTHETIC_SHARE.get(label, 0.0)):
            seed = int(rng.integers(2**31))
            samples, _ = MAKERS[label](np.random.default_rng(seed))
            return Take(label, None, seed, samples, shape(samples))
        fresh = [name for name in recordings if name not in used] or list(recordings)
        for candidate in choices:
            if again in self.recordings(candidate):
                label, recordings, fresh = candidate.partition("/")[0], self.recordings(candidate), [again]
        group = recordings[fresh[int(rng.integers(len(fresh)))]]
        return _of_clip(label, group[int(rng.integers(len(group)))], self)


def _of_clip(label: str, clip: Clip, shelf: Shelf) -> Take:
    samples = shelf.corpus.audio(clip)
    return Take(label, clip, 0, samples, shape(samples))


def arrange(
    parsed: Parsed, caption: str, name: str, shelf: Shelf, rng: Generator, others: tuple[str, ...] = ()
) -> Plan:
    """A plan of which the caption is true. Raises Unplayable where our recordings can't."""
    for sound in parsed.sounds:
        if not shelf.playable(sound.choices):
            raise Unplayable(f"no recording of {'|'.join(sound.choices)}")
    stages = 1 + max(sound.stage for sound in parsed.sounds)
    if stages * SHORTEST_STAGE_S > LONGEST_S - 0.5:
        raise Unplayable("more one after another than ten seconds hold")
    windows = _windows(rng, stages)
    base = rng.uniform(-34, -18)
    levels = [base + sound.level_db + rng.normal(0, SPREAD_DB) for sound in parsed.sounds]
    levels = [max(level, max(levels) + MASKED_DB) for level in levels]
    used: set[str] = set()
    known: dict[tuple[str, ...], tuple[str, int]] = {}
    planned: list[PlannedSound] = []
    for stage, window in enumerate(windows):
        here = [i for i, sound in enumerate(parsed.sounds) if sound.stage == stage]
        here.sort(key=lambda i: not _lasts(parsed.sounds[i]))  # what lasts is laid first, the rest over it
        anchor: tuple[int, int] | None = None
        for i in here:
            sound = parsed.sounds[i]
            takes = _takes(sound, shelf, rng, used, known)
            pieces = _pieces(sound, takes, shelf, window, anchor, rng)
            anchor = anchor or (min(p.at for p in pieces), max(p.at + p.lasts for p in pieces))
            is_behind = sound.distance is not None and sound.distance >= 0.7
            planned.append(
                PlannedSound(
                    takes[0].label, tuple(pieces), round(levels[i], 2), stage, sound.distance, not is_behind
                )
            )
    far = any(sound.distance is not None and sound.distance >= 0.7 for sound in parsed.sounds)
    outdoors = any(sound.distance == 0.0 for sound in parsed.sounds)
    return Plan(
        id=name,
        caption=caption,
        says=parsed.key(),
        chunks=-(-windows[-1][1] // CHUNK_SAMPLES),
        seed=int(rng.integers(2**31)),
        floor_db=round(min(float(rng.uniform(-80, -48)), min(levels) - 14), 1),
        sounds=tuple(planned),
        others=others,
        is_single=len(parsed.sounds) == 1,
        is_in_room=not outdoors and (far or rng.random() < 0.6),
    )


def _windows(rng: Generator, stages: int) -> list[tuple[int, int]]:
    """Stretches of the scene, one a stage, in samples; 5 to 10 s together."""
    lead = rng.uniform(0.05, 0.5)
    if stages == 1:
        parts = np.array([rng.uniform(5.0, LONGEST_S) - lead])
    else:
        parts = SHORTEST_STAGE_S + rng.uniform(0, 2.5, stages)
        total = float(np.clip(parts.sum(), 5.0 - lead, LONGEST_S - lead))
        slack = parts - SHORTEST_STAGE_S
        parts = SHORTEST_STAGE_S + slack * (total - stages * SHORTEST_STAGE_S) / max(slack.sum(), 1e-9)
    ends = lead + np.cumsum(parts)
    starts = np.concatenate([[lead], ends[:-1] + 0.1])
    return [(int(a * RATE), int(b * RATE)) for a, b in zip(starts, ends, strict=True)]


def _lasts(sound: Sounding) -> bool:
    return sound.repeat == "on" or sound.choices[0].partition("/")[0] in STEADY


def _takes(
    sound: Sounding,
    shelf: Shelf,
    rng: Generator,
    used: set[str],
    known: dict[tuple[str, ...], tuple[str, int]],
) -> list[Take]:
    """As many recordings as the caption says that there are of it."""
    recording, stage = known.get(sound.choices, ("", sound.stage))
    again = "" if sound.many or stage == sound.stage else recording  # nobody speaks over himself
    takes = []
    for _ in range(int(rng.integers(2, 4)) if sound.many else 1):
        for _ in range(12 if sound.times else 4):
            take = shelf.take(rng, sound.choices, used, again)
            if take.shape.last > take.shape.first and (not sound.times or take.shape.bursts):
                break
        else:
            raise Unplayable(
                f"no single {sound.choices[0]} to count" if sound.times else f"silent {sound.choices[0]}"
            )
        if take.clip:
            used.add(take.clip.recording)
            known.setdefault(sound.choices, (take.clip.recording, sound.stage))
        takes.append(take)
    return takes


def _pieces(
    sound: Sounding,
    takes: list[Take],
    shelf: Shelf,
    window: tuple[int, int],
    anchor: tuple[int, int] | None,
    rng: Generator,
) -> list[Piece]:
    """Where in its window a sound's recordings are heard; over the anchor, if there is one."""
    start, stop = window
    if sound.times:
        return _counted(takes[0], sound.times, window, rng)
    if sound.repeat in ("many", "pauses") and not _lasts(sound):
        return _repeated(takes[0], sound.repeat, window, rng)
    pieces = []
    for take in takes:
        speed = _speed(take, rng)
        room = stop - start
        if _lasts(sound):
            lasts = room if sound.repeat == "on" or rng.random() < 0.6 else int(rng.uniform(0.6, 1.0) * room)
            is_looped = True
        else:
            wanted = rng.uniform(4.0, 9.0) if take.label in CADENCED else rng.uniform(1.5, 5.0)
            lasts, is_looped = min(int(wanted * RATE), room), False
        if take.clip and take.label in TALK:
            start_at = start + int(rng.uniform(0, 0.3) * (room - min(lasts, room)))
            pieces += _talk(take, shelf, start_at, start_at + lasts, speed, rng)
            continue
        offset, length = _stretch(take, int(lasts * speed), rng)
        if not is_looped or length >= lasts * speed:
            lasts = min(lasts, int(length / speed))
        low, high = start, max(stop - lasts, start)
        if anchor:  # at least half a second, or half of the shorter, sounds together
            shared = min(lasts, anchor[1] - anchor[0], RATE) // 2
            low, high = max(low, anchor[0] - lasts + shared), min(high, anchor[1] - shared)
        at = int(rng.integers(low, high + 1)) if high > low else min(low, max(stop - lasts, start))
        pieces.append(_piece(take, offset, length, at, lasts, speed))
    return pieces


def _talk(take: Take, shelf: Shelf, start: int, stop: int, speed: float, rng: Generator) -> list[Piece]:
    """One speaker's recordings one after another, a breath between them."""
    assert take.clip
    group = shelf.recordings(take.label)[take.clip.recording]
    pieces: list[Piece] = []
    at = start
    for i in rng.permutation(len(group)):
        clip = take.clip if not pieces else group[int(i)]
        if pieces and clip.id == take.clip.id:
            continue
        here = take if not pieces else _of_clip(take.label, clip, shelf)
        first = max(here.shape.first - HOP, 0)
        length = min(here.shape.last + HOP, len(here.samples)) - first
        lasts = min(int(length / speed), stop - at)
        if lasts < 0.4 * RATE and pieces:
            break
        pieces.append(_piece(here, first, min(length, int(lasts * speed) + 1), at, lasts, speed))
        at += lasts + int(rng.uniform(0.1, 0.7) * RATE)
        if at >= stop:
            break
    return pieces


def _speed(take: Take, rng: Generator) -> float:
    if rng.random() < 0.5:
        return 1.0
    spread = 0.03 if take.label in VOICED else 0.0 if take.label in CADENCED else 0.1
    return round(float(rng.uniform(1 - spread, 1 + spread)), 4)


def _stretch(take: Take, wanted: int, rng: Generator) -> tuple[int, int]:
    """Offset and length of at most so many samples of a recording, beginning where something sounds."""
    first, last = take.shape.first, take.shape.last
    if last - first <= wanted:
        return max(first - HOP, 0), min(last + 10 * HOP, len(take.samples)) - max(first - HOP, 0)
    power = take.shape.power
    weight = np.sqrt(power[first // HOP : max((last - wanted) // HOP, first // HOP + 1)])
    loud = weight * (weight > 0.1 * np.sqrt(power.max()))  # begin in sound: the onset is known
    if not loud.any():
        peak = int(np.argmax(power)) * HOP
        return max(0, min(peak - wanted // 4, len(take.samples) - wanted)), wanted
    at = first + HOP * int(rng.choice(len(loud), p=loud / loud.sum()))
    return max(at - 2 * HOP, 0), min(wanted, len(take.samples) - max(at - 2 * HOP, 0))


def _counted(take: Take, count: int, window: tuple[int, int], rng: Generator) -> list[Piece]:
    """One burst of the recording, so many times."""
    bursts = take.shape.bursts
    a, b = bursts[int(rng.integers(len(bursts)))]
    start, stop = window
    gap = rng.uniform(0.25, 0.8) * RATE
    needed = count * (b - a) + (count - 1) * gap
    if needed > stop - start:
        gap = max((stop - start - count * (b - a)) / max(count - 1, 1), 0.0)
        if (gap < 0.15 * RATE and count > 1) or b - a > stop - start:
            raise Unplayable("more repetitions than its place holds")
        needed = count * (b - a) + (count - 1) * gap
    at = start + rng.uniform(0, max(stop - start - needed, 1))
    return [
        _piece(
            take, a, b - a, int(at + k * (b - a + gap)), b - a, 1.0, float(rng.uniform(-2, 0)) if k else 0.0
        )
        for k in range(count)
    ]


def _repeated(take: Take, how: str, window: tuple[int, int], rng: Generator) -> list[Piece]:
    """Stretches of the recording again and again, with pauses between."""
    start, stop = window
    pieces: list[Piece] = []
    at = float(start)
    while True:
        longest = int((rng.uniform(0.5, 1.2) if how == "many" else rng.uniform(0.8, 1.8)) * RATE)
        if take.shape.bursts:
            a, b = take.shape.bursts[int(rng.integers(len(take.shape.bursts)))]
            offset, length = a, b - a
        else:
            offset, length = _stretch(take, longest, rng)
        if at + length > stop:
            break
        pieces.append(_piece(take, offset, length, int(at), length, 1.0, float(rng.uniform(-3, 0))))
        at += length + (rng.uniform(0.2, 0.6) if how == "many" else rng.uniform(0.7, 1.5)) * RATE
    if len(pieces) < 2:
        raise Unplayable("no place to repeat it")
    return pieces


def _piece(
    take: Take, offset: int, length: int, at: int, lasts: int, speed: float, gain_db: float = 0.0
) -> Piece:
    clip, maker = (take.clip.id, "") if take.clip else ("", take.label)
    return Piece(clip, offset, length, at, lasts, round(gain_db, 2), speed, maker, take.seed)
