"""Are the alarms heard, is nothing else called one? In rooms, over household noise, against look-alikes.

An alarm is synthesised after its standard, or one of the held-out recordings; it begins while a
recording of everyday noise goes on. It is named where a caption says it within the time allowed.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator

from ....runtime.audio import HOP, RATE, Samples
from ...data.corpus import Clip, Split
from ...sound import augment
from ...sound.signals import MAKERS
from ...sound.taxonomy import QUIET
from ..captioned import ONSET_DB, Said, captions_of, frame_levels, loud_level, onset, sounding_power
from ..context import Context, Stage
from ..metrics.intervals import rate_limit
from ..metrics.words import related
from ..sounds import streams
from ..sounds.backgrounds import household

ALLOWED_S = {"smoke_alarm": 10.0, "co_alarm": 15.0}
"""Alarm -> the time in which it must be named."""
SNR_DB = (0.0, 6.0, 12.0)
"""The alarm over the household noise, power while each sounds."""
UNFIT = frozenset({*ALLOWED_S, "alarm", QUIET})
"""Labels whose recordings may be a smoke alarm's, or nothing: not among the other sounds."""
PULSE_DB = -6.0
"""An alarm's power is that of its pulses, not of the room's tail after them: what is this near to them."""
LEAD_S, AFTER_S = 3.0, 1.0
LOW_HZ = 1000.0
"""Below it is the 520 Hz alarm, above it that of 3.1 kHz."""
STREAM_S = 1800.0
SHORTEST_PAUSE = 20
"""Frames of 10 ms without sound that part two pulses."""
LONG_PAUSE = 0.7
"""A pause of this share of the longest parts two groups of pulses."""
RECORDED = "recorded smoke alarm"


class Kind(NamedTuple):
    """A signal to be made: what it is called here, its label, and its pitch where there are two kinds."""

    name: str
    label: str
    is_low: bool | None = None


ALARMS = (
    Kind("T3 smoke alarm, 3.1 kHz", "smoke_alarm", False),
    Kind("T3 smoke alarm, 520 Hz", "smoke_alarm", True),
    Kind("T4 CO alarm", "co_alarm"),
)


class Trial(NamedTuple):
    """One sound to be heard; without snr_db there is no noise but the room's."""

    kind: Kind
    split: Split
    snr_db: float | None
    seed: tuple[int, ...]
    clip: Clip | None = None
    """The recording, where the signal is not made."""


class Outcome(NamedTuple):
    """What was said from the signal's onset on, which was at this sample."""

    onset: int
    said: list[Said]


class Day(NamedTuple):
    """Some of a day with everything but an alarm."""

    split: Split
    duration_s: float
    seed: int


def examine(context: Context) -> dict[str, Any]:
    """Recall of the alarms at each level, look-alikes called alarms, and false alarms an hour."""
    return {
        "alarms": alarms(context),
        "look-alikes": look_alikes(context),
        "other sound": false_alarms(context),
    }


def alarms(context: Context) -> dict[str, Any]:
    """Each alarm at each level over the noise, so many trials; and all of each alarm together."""
    trials = [
        Trial(kind, context.split, snr, (context.seed, i, k, int(snr)))
        for k, kind in enumerate(ALARMS)
        for snr in SNR_DB
        for i in range(context.trials)
    ]
    recorded = [clip for clip in context.clips if clip.label == "smoke_alarm"]
    trials += [
        Trial(
            Kind(RECORDED, "smoke_alarm"), context.split, snr, (context.seed, i, len(ALARMS), int(snr)), clip
        )
        for i, clip in enumerate(recorded)
        for snr in SNR_DB
    ]
    outcomes = context.each(caption_trial, trials, "alarms over household noise")
    rows: dict[str, list[tuple[Trial, Outcome]]] = {}
    for trial, outcome in zip(trials, outcomes, strict=True):
        for name in (f"{trial.kind.name}, {trial.snr_db:+g} dB", f"all: {trial.kind.label}"):
            rows.setdefault(name, []).append((trial, outcome))
    return {name: _recall(row) for name, row in rows.items()}


def look_alikes(context: Context) -> dict[str, Any]:
    """Every other signal, so many trials each, half of them over noise: how many were called an alarm."""
    kinds = [Kind(name, name) for name in MAKERS if name not in ALLOWED_S]
    trials = [
        Trial(kind, context.split, SNR_DB[-1] if i % 2 else None, (context.seed, i, 100 + k))
        for k, kind in enumerate(kinds)
        for i in range(context.trials)
    ]
    outcomes = context.each(caption_trial, trials, "look-alikes of alarms")
    rows: dict[str, list[Outcome]] = {}
    for trial, outcome in zip(trials, outcomes, strict=True):
        rows.setdefault(trial.kind.label, []).append(outcome)
    return {
        label: {
            "trials": len(row),
            **{f"called {name}": sum(_says(one.said, {name}) for one in row) for name in ALLOWED_S},
            "named": sum(_says(one.said, {label}) for one in row),
            "nothing said": sum(not one.said for one in row),
            "said": dict(Counter(said.text for one in row for said in one.said).most_common(5)),
        }
        for label, row in rows.items()
    }


def false_alarms(context: Context) -> dict[str, Any]:
    """Captions an hour that name a smoke or CO alarm, in three times `hours` of everything else.

    at_most_an_hour: the rate that they allow at 95 %. Hours of other seeds are other hours, as long as the
    seeds are so many half hours apart: parts of thirty hours can be added up.
    """
    hours = 3 * context.hours
    count = max(1, round(3600 * hours / STREAM_S))
    days = [Day(context.split, 3600 * hours / count, context.seed + i) for i in range(count)]
    heard = context.each(sit_through, days, "everything but an alarm")
    called = [{one.id: one.text for one in said if one.named & set(ALLOWED_S)} for said in heard]
    texts = Counter(text for one in called for text in one.values())
    return {
        "hours": hours,
        "captions": sum(one.kind == "new" for said in heard for one in said),
        "false_alarms": texts.total(),
        "false_alarms_an_hour": texts.total() / hours if hours else float("nan"),
        "at_most_an_hour": rate_limit(texts.total(), hours),
        "said": dict(texts),
    }


def caption_trial(stage: Stage, trial: Trial) -> Outcome:
    """What is said of one trial from the signal's onset on."""
    samples, begin = compose(stage, trial)
    said = captions_of(stage.model, [samples], stage.names)
    return Outcome(begin, [one for one in said if one.at > begin])


def compose(stage: Stage, trial: Trial) -> tuple[Samples, int]:
    """A trial's sound, and the sample at which the signal begins.

    The noise first, then the signal with it, in a room, for as long as it may take to be named.
    """
    rng = np.random.default_rng(trial.seed)
    lead = int(LEAD_S * RATE)
    if trial.clip is not None:
        signal = go_on(stage.corpus.audio(trial.clip), ALLOWED_S[trial.kind.label] + AFTER_S)
    elif trial.kind.label in ALLOWED_S:
        signal = go_on(alarm(rng, trial.kind), ALLOWED_S[trial.kind.label] + AFTER_S)
    else:  # sounds once
        signal = begun(MAKERS[trial.kind.label](rng)[0])
        lead += int(rng.uniform(0, 0.32) * RATE)
    signal = augment.reverberate(signal, augment.room_response(rng))
    samples = np.zeros(lead + len(signal), np.float32)
    samples[lead:] = signal / np.sqrt(sounding_power(signal, PULSE_DB))
    level_db = rng.uniform(-40, -28)
    if trial.snr_db is not None:
        noise = household(stage, trial.split, rng, len(samples))
        samples = samples * np.float32(10 ** (trial.snr_db / 20)) + noise
    samples *= np.float32(10 ** (level_db / 20))
    samples += augment.noise(rng, len(samples)) * np.float32(10 ** (-70 / 20))
    samples *= np.float32(min(1.0, 0.95 / float(np.abs(samples).max())))
    return samples, lead


def alarm(rng: Generator, kind: Kind) -> Samples:
    """A synthesised alarm of this kind: drawn until the pitch is right."""
    while True:
        samples = MAKERS[kind.label](rng)[0]
        if kind.is_low is None or (pitch(samples) < LOW_HZ) == kind.is_low:
            return samples


def pitch(samples: Samples) -> float:
    """The strongest frequency, Hz."""
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * RATE / len(samples))


def begun(samples: Samples) -> Samples:
    """The sound from its onset on."""
    return samples[onset(samples) :]


def go_on(samples: Samples, duration_s: float) -> Samples:
    """An alarm for so long: whole groups of its pulses again and again, so that its pattern holds.

    A group begins after one of its longest pauses. A sound without pauses is repeated whole.
    """
    samples = begun(samples)
    n = int(duration_s * RATE)
    if len(samples) >= n:
        return samples[:n]
    groups = _groups(samples)
    return np.resize(samples[: groups[-1]] if groups else samples, n)


def _groups(samples: Samples) -> list[int]:
    """The samples at which groups of pulses begin, but the first, which is at zero."""
    levels = frame_levels(samples)
    sounding = np.flatnonzero(levels >= loud_level(samples) + ONSET_DB)
    pauses = np.diff(sounding)
    if not len(pauses) or pauses.max() < SHORTEST_PAUSE:
        return []
    return [HOP * int(frame) for frame in sounding[1:][pauses >= LONG_PAUSE * pauses.max()]]


def sit_through(stage: Stage, day: Day) -> list[Said]:
    """What is said of it; a few seconds are in memory at a time."""
    return captions_of(stage.model, streams.lasting(everything_else(stage, day), day.duration_s), stage.names)


def everything_else(stage: Stage, day: Day) -> streams.Stream:
    """Held-out recordings in random order, near and far, in rooms and out, with pauses of the room alone."""
    rng = np.random.default_rng([day.seed, 11])
    clips = [clip for clip in stage.corpus.split(day.split) if not UNFIT.intersection(clip.labels)]

    def endless() -> Iterator[Samples]:
        while True:
            for i in rng.permutation(len(clips)):
                sound = stage.corpus.audio(clips[i])
                if rng.random() < 0.4:
                    sound = augment.reverberate(sound, augment.room_response(rng))
                level = 10 ** (rng.uniform(-42, -14) / 20) / np.sqrt(sounding_power(sound))
                sound = sound * np.float32(min(level, 0.95 / float(np.abs(sound).max())))
                pause = np.zeros(int(rng.uniform(0.3, 3) * RATE), np.float32)
                floor = np.float32(10 ** (rng.uniform(-75, -50) / 20))
                heard = np.concatenate([sound, pause])
                yield heard + floor * augment.noise(rng, len(heard))

    return augment.joined(endless(), fade_s=0.05)


def _says(said: list[Said], labels: set[str] | frozenset[str]) -> bool:
    return any(one.named & labels for one in said)


def _recall(row: list[tuple[Trial, Outcome]]) -> dict[str, Any]:
    """Trials; named in time (plainly: without "Possibly"), and how soon.

    Where it was not named, what came nearest: an alarm's kin, something else, nothing.
    """
    times: list[float] = []
    plainly = 0
    others: Counter[str] = Counter()
    for trial, outcome in row:
        label = trial.kind.label
        in_time = [o for o in outcome.said if o.at - outcome.onset <= ALLOWED_S[label] * RATE]
        naming = [one for one in in_time if label in one.named]
        plainly += any(not one.text.startswith("Possibly") for one in naming)
        if naming:
            times.append((naming[0].at - outcome.onset) / RATE)
        else:
            others["kin" if _says(in_time, related(label)) else "other" if in_time else "nothing"] += 1
    return {
        "trials": len(row),
        "recall": len(times) / len(row),
        "plainly": plainly / len(row),
        "median_s": float(np.median(times)) if times else float("nan"),
        "p90_s": float(np.quantile(times, 0.9)) if times else float("nan"),
        "only_kin": others["kin"],
        "only_other": others["other"],
        "nothing": others["nothing"],
    }
