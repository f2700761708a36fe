"""Clotho v2.1 as it lies on a disk, in miniature, for tests of what trains on public corpora."""

import csv
from pathlib import Path

import numpy as np
import soundfile

from edgecap.training.data.corpora import CLOTHO_SPLITS


def sound(path: Path, seed: int, duration_s: float = 1.1, rate: int = 44_100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    soundfile.write(path, 0.1 * rng.normal(size=int(duration_s * rate)), rate)


def table(path: Path, rows: list[list[str]], encoding: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file).writerows(rows)


def write_clotho(folder: Path) -> Path:
    """Three recordings for training, one of them lost; two for each other split."""
    for start, (split, name) in enumerate(CLOTHO_SPLITS.items()):
        files = [f"{name} {i}, outside.wav" for i in range(3 if split == "train" else 2)]
        captions = [["file_name", *(f"caption_{n}" for n in range(1, 6))]]
        facts = [
            [
                "file_name",
                "keywords",
                "sound_id",
                "sound_link",
                "start_end_samples",
                "manufacturer",
                "license",
            ]
        ]
        for i, file in enumerate(files):
            captions.append([file, *(f'A dog barks, "woof", {n} times near {name}.' for n in range(1, 6))])
            facts.append([file, "dog;bark", f"{start}{i}", "link", "[0, 9]", "José", "http://cc/by/3.0/"])
            if (split, i) != ("train", 2):
                sound(folder / name / file, i)
        table(folder / f"clotho_captions_{name}.csv", captions)
        table(folder / f"clotho_metadata_{name}.csv", facts, "latin-1")
    return folder
