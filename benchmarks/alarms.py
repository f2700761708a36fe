"""Are alarms told in rooms and in noise, of no standard rhythm too, and is nothing else taken for one?

    python -m benchmarks.alarms --corpus CLIPS --cache CACHE --trials 40 --hours 6

The validation split, through the whole session. T3 and T4 must be named within 10 and 15 s; an alarm of
another rhythm has to be called an alarm, of whatever kind, within 15 s; nothing but T3 and T4 may be called a
smoke or a CO alarm. `--strange`: as a real alarm's timbre may be, which nobody taught: the encoder hears no
alarm in anything, and rhythm alone decides. `--cost` tells what a chunk costs.

What runtime/hearing/beat.py, chirps.py, prominence.py and `AlarmThresholds` name this command for was chosen
by these trials (docs/decisions.md, "What beats on and on is an alarm").
"""

import argparse
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import NamedTuple, cast

import numpy as np
from numpy.random import Generator

from edgecap.runtime.audio import CHUNK, RATE, Samples
from edgecap.runtime.hearing.alarms import Alarms
from edgecap.runtime.hearing.cadence import PATTERNS, Listener
from edgecap.runtime.hearing.encoder import Embedding
from edgecap.runtime.hearing.prominence import Recent, prominence
from edgecap.runtime.model.bundle import Bundle
from edgecap.runtime.model.engine import Array, Engine, State
from edgecap.runtime.saying.labels import Labels
from edgecap.runtime.session import Model
from edgecap.training.data.corpus import Split
from edgecap.training.evaluation.captioned import captions_of, sounding_power
from edgecap.training.evaluation.context import Stage, open_stage
from edgecap.training.evaluation.questions import safety
from edgecap.training.evaluation.sounds import streams
from edgecap.training.sound import augment
from edgecap.training.sound.other_alarms import OTHER_ALARMS
from edgecap.training.sound.signals import MAKERS

SPLIT: Split = "val"
LEAD_S = 3.0
FLOOR_DB = -70.0
ROOMS = {
    "dry": None,
    "RT60 0.2-0.5": ((0.2, 0.5), (-10.0, 12.0)),
    "RT60 0.5-0.8": ((0.5, 0.8), (-10.0, 6.0)),
    "RT60 0.8-1.2": ((0.8, 1.2), (-10.0, 0.0)),
    "RT60 1.2-1.4": ((1.2, 1.4), (-12.0, -3.0)),
}
"""Seconds of reverberation and dB of direct sound over it, each from and to."""
CLIPPED = (
    "bird_chirp", "crickets", "music", "clock_tick", "water_drops", "phone_ring", "alarm_clock", "piano",
    "flute", "violin", "insect_buzz", "frog", "bell", "electronic_chime", "doorbell", "keyboard_typing",
)  # fmt: skip
"""Labels whose recordings, looped, are like an alarm: each beats, whistles or rings."""


class Trial(NamedTuple):
    """One sound to be heard."""

    group: str
    kind: str
    condition: str
    seed: int
    seconds: float = 16.0


def trials(count: int) -> Iterator[Trial]:
    """So many of each alarm in each place, half as many of each other alarm, and of each look-alike."""
    for kind in safety.ALARMS:
        for place in ("-3 dB", "0 dB", "6 dB", "20 dB", *ROOMS):
            for i in range(count):
                yield Trial("cadence", kind.name, place, i, safety.ALLOWED_S[kind.label] + 1.0)
    for name in OTHER_ALARMS:
        for place in ("6 dB", "12 dB", *list(ROOMS)[:4]):
            for i in range((count + 1) // 2):
                yield Trial("other alarm", name, place, i)
    made = [name for name in MAKERS if name not in safety.ALLOWED_S]
    for name in (*made, "metronome", "drips", "timer that stops", *(f"clip: {label}" for label in CLIPPED)):
        for i in range((count + 1) // 2):
            yield Trial("look-alike", name, ("dry", "12 dB", "RT60 0.2-0.5")[i % 3], i)


def compose(stage: Stage, trial: Trial) -> tuple[Samples, int]:
    """A trial's sound, and the sample at which the signal begins."""
    rng = np.random.default_rng([trial.seed, zlib.crc32(f"{trial.kind}, {trial.condition}".encode())])
    signal = _signal(stage, rng, trial)
    lead = int((LEAD_S + rng.uniform(0, 0.32)) * RATE)
    if bounds := ROOMS.get(trial.condition):
        response = augment.room_response(rng, rng.uniform(*bounds[0]), rng.uniform(*bounds[1]))
        signal = augment.reverberate(signal, response)
    elif trial.condition.endswith(" dB"):
        signal = augment.reverberate(signal, augment.room_response(rng))
    samples = np.zeros(lead + len(signal), np.float32)
    samples[lead:] = signal / np.sqrt(sounding_power(signal, safety.PULSE_DB))
    if trial.condition.endswith(" dB"):
        gain = np.float32(10 ** (float(trial.condition.split()[0]) / 20))
        samples = samples * gain + safety.household(stage, SPLIT, rng, len(samples))
    samples *= np.float32(10 ** (rng.uniform(-40, -28) / 20))
    samples += augment.noise(rng, len(samples)) * np.float32(10 ** (FLOOR_DB / 20))
    samples *= np.float32(min(1.0, 0.95 / float(np.abs(samples).max())))
    return samples, lead


def _signal(stage: Stage, rng: Generator, trial: Trial) -> Samples:
    if trial.group == "cadence":
        (kind,) = (kind for kind in safety.ALARMS if kind.name == trial.kind)
        return safety.go_on(safety.alarm(rng, kind), trial.seconds)
    if trial.group == "other alarm":
        return OTHER_ALARMS[trial.kind](rng, trial.seconds)
    if trial.kind in MAKERS:
        made = safety.begun(MAKERS[trial.kind](rng)[0])
        return np.concatenate([made, np.zeros(int(trial.seconds * RATE) - len(made), np.float32)])
    if trial.kind.startswith("clip: "):
        label = trial.kind.removeprefix("clip: ")
        clips = [clip for clip in stage.corpus.clips if clip.split == SPLIT and clip.label == label]
        clip = clips[int(rng.integers(len(clips)))]
        loop = streams.looped([stage.corpus.audio(clip)], rng)
        return np.concatenate(list(streams.lasting(loop, trial.seconds)))
    time = np.arange(int(trial.seconds * RATE)) / RATE
    if trial.kind == "metronome":
        at = time % (60 / rng.uniform(50, 200))
        click = np.sin(2 * np.pi * rng.uniform(800, 3000) * at) * np.exp(-at / rng.uniform(0.004, 0.02))
        return np.asarray(click, np.float32)
    if trial.kind == "drips":
        found = np.zeros(len(time), np.float32)
        when = 0.0
        while (when := when + rng.uniform(0.8, 1.2) * 0.9) < trial.seconds - 0.3:
            t = np.arange(int(0.2 * RATE)) / RATE
            drop = np.sin(2 * np.pi * (rng.uniform(700, 1500) * t + 800 * t**2)) * np.exp(-t / 0.02)
            found[int(when * RATE) : int(when * RATE) + len(t)] += drop.astype(np.float32)
        return found
    assert trial.kind == "timer that stops"
    on, off = rng.uniform(0.08, 0.5), rng.uniform(0.08, 0.6)
    beeps = int(rng.integers(3, 6))
    gate = (time % (on + off) < on) & (time < beeps * (on + off))
    return np.asarray(0.5 * gate * np.sin(2 * np.pi * rng.uniform(1000, 3500) * time), np.float32)


class Outcome(NamedTuple):
    """What was said from the signal's onset on: seconds after it, and the words."""

    said: tuple[tuple[float, str], ...]

    def within(self, seconds: float, *words: str) -> bool:
        """Whether a caption had one of these in that time."""
        return any(at <= seconds and any(word in text for word in words) for at, text in self.said)


def caption(stage: Stage, trial: Trial) -> Outcome:
    """What is said of one."""
    samples, onset = compose(stage, trial)
    said = captions_of(stage.model, [samples], stage.names)
    return Outcome(tuple(((one.at - onset) / RATE, one.text.lower()) for one in said if one.at > onset))


SMOKE_OR_CO = "smoke alarm beeps", "carbon monoxide"
"""Words of the captions that only T3 and T4 may get."""


def report(group: str, found: dict[tuple[str, str], list[Outcome]]) -> list[str]:
    """Rows of a Markdown table."""
    rows = []
    for (kind, condition), outcomes in found.items():
        called = sum(one.within(15.0, "alarm") for one in outcomes)
        wrong = sum(one.within(1e9, *SMOKE_OR_CO) for one in outcomes)
        on = sum(one.within(1e9, "keeps sounding") for one in outcomes)
        if group == "cadence":
            words, seconds = (SMOKE_OR_CO[1], 15.0) if "CO" in kind else (SMOKE_OR_CO[0], 10.0)
            named = sum(one.within(seconds, words) for one in outcomes)
            rows.append(f"| {kind} | {condition} | {len(outcomes)} | {named} | {called} |")
        else:
            rows.append(f"| {kind} | {condition} | {len(outcomes)} | {called} | {on} | {wrong} |")
    return rows


WRONG = "called an alarm | keeps sounding | smoke or CO |\n|---|---|---:|---:|---:|---:|"
HEADS = {
    "cadence": "| alarm | where | trials | named in time | called an alarm |\n|---|---|---:|---:|---:|",
    "other alarm": f"| alarm | where | trials | {WRONG}",
    "look-alike": f"| sound | where | trials | {WRONG}",
}


def deafened(model: Model) -> Model:
    """The same, but its encoder hears no alarm: what is taught of synthesised timbres does not help."""
    hears = model.encoder
    columns = sorted(model.labels.cadences)

    class Deaf:
        graph = hears.graph
        initial_state = staticmethod(hears.initial_state)

        @staticmethod
        def step(inputs: dict[str, Array], state: State) -> tuple[dict[str, Array], State]:
            outputs, state = hears.step(inputs, state)
            scores = outputs["scores"].copy()
            scores[..., columns] = 0.0
            return {**outputs, "scores": scores}, state

    return replace(model, encoder=cast(Engine, Deaf()))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--bundle", default="room-small")
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--only", choices=sorted(HEADS), action="append")
    parser.add_argument(
        "--trials", type=int, default=40, help="of each alarm and place; of others in all places"
    )
    parser.add_argument("--hours", type=float, default=0.0, help="of other sound")
    parser.add_argument("--strange", action="store_true", help="the encoder hears no alarm")
    parser.add_argument("--cost", action="store_true", help="of a chunk, and nothing else")
    arguments = parser.parse_args()
    if arguments.cost:
        cost(64)
        return
    stage = open_stage(arguments.bundle, arguments.corpus, arguments.cache)
    if arguments.strange:
        stage = stage._replace(model=deafened(stage.model))
    for group, head in HEADS.items():
        if arguments.only and group not in arguments.only:
            continue
        found: dict[tuple[str, str], list[Outcome]] = {}
        for trial in trials(arguments.trials):
            if trial.group == group:
                place = "" if group == "look-alike" else trial.condition
                found.setdefault((trial.kind, place), []).append(caption(stage, trial))
        print("\n".join([head, *report(group, found)]), flush=True)
    for half in range(round(2 * arguments.hours)):
        said = safety.sit_through(stage, safety.Day(SPLIT, 1800.0, half))
        alarms = [f"{one.at / RATE:.0f} s {one.text}" for one in said if "alarm" in one.text.lower()]
        print(f"half an hour of other sound, {half}: {len(said)} captions, {alarms}", flush=True)


def cost(mels: int) -> None:
    """Microseconds that a chunk costs, in a quiet room and while a loud tone beats."""
    known = Labels(Bundle.open("room-small").labels).known_alarms
    assert known is not None
    rng, alarms = np.random.default_rng(0), Alarms(known, mels)
    embedding = Embedding(np.zeros(1, np.float32), np.zeros(known.general, np.float32))
    cadence = Listener(list(PATTERNS.values()))
    recent = Recent(cadence.rows, mels)
    for name, tone_db in (("quiet", 0.0), ("a loud tone that beats", 40.0)):
        chunks = rng.normal(-80.0, 3.0, (40, CHUNK, mels)).astype(np.float32)
        chunks[::2, :, 38] += tone_db
        took: dict[str, list[float]] = {"all": [], "cadence": []}
        state, past = alarms.initial_state(), recent.initial_state()
        for i in range(1200):
            log_mel = chunks[i % len(chunks)]
            begun = perf_counter()
            _, state = alarms.step(log_mel, embedding, state)
            took["all"].append(perf_counter() - begun)
            begun = perf_counter()
            past = recent.step(prominence(log_mel), past)
            cadence.look(past)
            took["cadence"].append(perf_counter() - begun)
        each = {
            what: 1e6 * float(np.mean(np.sort(times)[: len(times) * 9 // 10])) for what, times in took.items()
        }
        print(f"{name}: {each['all']:.0f} µs a chunk, of which {each['cadence']:.0f} the cadence")


if __name__ == "__main__":
    main()
