"""Are alarms told by physics alone, in rooms and in noise, and is nothing else taken for one?

    python -m benchmarks.alarms --corpus CLIPS --cache CACHE --hours 6

Trials over the validation split: T3 and T4 over household noise and in rooms, alarms that keep no standard
rhythm, what is taken for alarms, and hours of other sound.
"""

import argparse
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from edgecap.runtime.audio import CHUNK_SAMPLES, RATE, Samples
from edgecap.runtime.hearing.encoder import Encoder
from edgecap.runtime.hearing.frontend import FrontEnd
from edgecap.training.data.corpus import Split
from edgecap.training.evaluation.captioned import sounding_power
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
    """All, so many of each kind in each condition."""
    for kind in safety.ALARMS:
        seconds = safety.ALLOWED_S[kind.label] + 1.0
        for condition in ("-3 dB", "0 dB", "6 dB", "12 dB", "20 dB", *ROOMS):
            for i in range(count):
                yield Trial("cadence", kind.name, condition, i, seconds)
    for name in OTHER_ALARMS:
        for condition in ("0 dB", "6 dB", "12 dB", "dry", "RT60 0.2-0.5", "RT60 0.5-0.8", "RT60 0.8-1.2"):
            for i in range(count // 2):
                yield Trial("other alarm", name, condition, i)
    for name in MAKERS:
        if name not in safety.ALLOWED_S:
            for i in range(count):
                yield Trial("look-alike", name, ("dry", "12 dB", "RT60 0.2-0.5")[i % 3], i)
    for name in ("metronome", "drips", "timer that stops"):
        for i in range(count):
            yield Trial("look-alike", name, ("dry", "12 dB", "RT60 0.2-0.5")[i % 3], i)
    for name in CLIPPED:
        for i in range(count // 2):
            yield Trial("look-alike", f"clip: {name}", ("dry", "12 dB", "RT60 0.2-0.5")[i % 3], i)


def compose(stage: Stage, trial: Trial) -> tuple[Samples, int]:
    """A trial's sound, and the sample at which the signal begins."""
    rng = np.random.default_rng([trial.seed, zlib.crc32(f"{trial.kind}, {trial.condition}".encode())])
    signal = _signal(stage, rng, trial)
    lead = int((LEAD_S + rng.uniform(0, 0.32)) * RATE)
    if bounds := ROOMS.get(trial.condition):
        signal = augment.reverberate(signal, room(rng, rng.uniform(*bounds[0]), rng.uniform(*bounds[1])))
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


def room(rng: Generator, rt60_s: float, drr_db: float) -> Samples:
    """(n,) an impulse response, energy 1: the direct sound, then noise that dies away, darker with time."""
    n = int(rt60_s * RATE)
    time = np.arange(n) / RATE
    white = rng.normal(size=n)
    dark = np.convolve(white, np.ones(9) / 3.0, "same")
    blend = np.exp(-time / (0.3 * rt60_s))
    tail = (white * blend + dark * (1 - blend)) * 10 ** (-3 * time / rt60_s)
    tail[: int(rng.uniform(0.002, 0.01) * RATE)] = 0
    tail *= 10 ** (-drr_db / 20) / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    return np.asarray(tail / np.sqrt(np.sum(tail**2)), np.float32)


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
        return np.asarray(np.sin(2 * np.pi * rng.uniform(800, 3000) * at) * np.exp(-at / rng.uniform(0.004, 0.02)), np.float32)
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


class Heard(NamedTuple):
    """What front end and encoder made of a sound."""

    onset: int
    log_mel: np.ndarray
    """(chunks, 32, mels) float16, dB."""
    scores: np.ndarray
    """(chunks, sounds) float16."""


def hear(stage: Stage, samples: Samples, onset: int) -> Heard:
    model = stage.model
    front_end, encoder = FrontEnd(model.mels), Encoder(model.encoder)
    past, state, mels, scores = front_end.initial_state(), encoder.initial_state(), [], []
    for at in range(0, len(samples) - CHUNK_SAMPLES + 1, CHUNK_SAMPLES):
        log_mel, past = front_end.step(samples[at : at + CHUNK_SAMPLES], past)
        embedding, state = encoder.step(log_mel, state)
        mels.append(log_mel.astype(np.float16))
        scores.append(embedding.scores.astype(np.float16))
    return Heard(onset, np.array(mels), np.array(scores))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--bundle", default="room-small")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--keep", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--hours", type=float, default=6.0)
    arguments = parser.parse_args()
    stage = open_stage(arguments.bundle, arguments.corpus, arguments.cache)
    import pickle
    import time

    begun = time.time()
    arguments.keep.mkdir(exist_ok=True)
    found = []
    for trial in trials(arguments.trials):
        samples, onset = compose(stage, trial)
        found.append((trial, hear(stage, samples, onset)))
    with open(arguments.keep / "trials.pickle", "wb") as f:
        pickle.dump([(tuple(t), tuple(h)) for t, h in found], f)
    print(len(found), time.time() - begun, flush=True)
    for half in range(int(2 * arguments.hours)):
        day = safety.Day(SPLIT, 1800.0, half)
        samples = np.concatenate(list(streams.lasting(safety.everything_else(stage, day), day.duration_s)))
        heard = hear(stage, samples, 0)
        np.savez(arguments.keep / f"other-{half}.npz", log_mel=heard.log_mel, scores=heard.scores)
        print(half, time.time() - begun, flush=True)


if __name__ == "__main__":
    main()
