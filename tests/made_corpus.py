"""A corpus made here, of four labels with four clips each, for tests of training that nobody listens to."""

import csv
from pathlib import Path

import numpy as np
import soundfile

from edgecap.runtime.audio import RATE
from edgecap.training.data.corpus import Label

LABELS = [
    Label("dog_bark", "a dog barks", "animals"),
    Label("rain", "rain falls", "weather and water"),
    Label("door_knock", "someone knocks on a door", "home and office"),
    Label("room_tone", "a quiet room", "home and office"),
]


def write_corpus(folder: Path) -> Path:
    """clips.csv, labels.csv and sounds. Of each label one clip is for testing, one may not be shipped."""
    rng = np.random.default_rng(0)
    rows = []
    for label in LABELS:
        for i in range(4):
            name = f"{label.name}-{i}.wav"
            soundfile.write(folder / name, burst(rng, label.name), RATE if i % 2 else 44_100)
            licence = "CC BY-NC-ND 4.0" if i == 3 else "CC0 1.0"
            split = "test" if i == 2 else "train"
            rows.append([name[:-4], name, "made", f"made:{name}", label.name, label.name, split, licence])
    with (folder / "clips.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "file", "source", "recording", "label", "labels", "split", "licence"])
        table.writerows(rows)
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["label", "phrase", "category"])
        table.writerows(LABELS)
    return folder


def burst(rng: np.random.Generator, label: str) -> np.ndarray:
    """A second or two that differs by label."""
    time = np.arange(int(rng.uniform(1.0, 2.0) * RATE)) / RATE
    if label == "rain":
        return rng.normal(0, 0.1, len(time))
    if label == "room_tone":
        return rng.normal(0, 0.0005, len(time))
    hz = 400 if label == "dog_bark" else 90
    return 0.5 * np.sin(2 * np.pi * hz * time) * (np.sin(2 * np.pi * 2 * time) > 0)
