"""AudioSet as it lies on a disk: clips of 10 s with tags and no sentence.

    class_labels_indices.csv                     index, mid, display_name of the 527 classes
    balanced_train_segments.csv, unbalanced_train_segments.csv, eval_segments.csv
    audio/YOUTUBEID.wav (or .flac, Y….wav), in one folder, or in a folder for each table

Clips that are named and not there are left out and counted: videos vanish.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ...runtime.errors import DataError, InputMissingError
from .corpora import SOUNDS, Recording, Split

TABLES: dict[str, Split] = {
    "balanced_train_segments": "train",
    "unbalanced_train_segments": "train",
    "eval_segments": "test",
}
CLASSES_FILE = "class_labels_indices.csv"


class Tagged(NamedTuple):
    """AudioSet, as far as it is here."""

    names: list[str]
    """Of the 527 classes."""
    recordings: list[Recording]
    """Those whose sound is here, without captions."""
    tags: dict[str, tuple[int, ...]]
    """Origin, "youtube:xyz" -> the classes of every clip that the tables name, here or not."""


def read_audioset(folder: Path) -> Tagged:
    """The tables and the sound that is there.

    Raises InputMissingError without classes or tables, DataError where a row of theirs can't be read.
    """
    classes = folder / CLASSES_FILE
    if not classes.is_file():
        raise InputMissingError(
            f"{folder} is not AudioSet", why=f"it has no {CLASSES_FILE}", fix="see training/data/audioset.py"
        )
    with classes.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    numbers = {row["mid"]: int(row["index"]) for row in rows}
    tables = [name for name in TABLES if (folder / f"{name}.csv").is_file()]
    if not tables:
        raise InputMissingError(
            f"{folder} has no clips of AudioSet", why=f"it has none of {', '.join(TABLES)}, each as .csv"
        )
    sounds = {
        path.stem.removeprefix("Y") if len(path.stem) == 12 else path.stem: path
        for path in sorted((folder / "audio").rglob("*"))
        if path.suffix.lower() in SOUNDS
    }
    recordings: list[Recording] = []
    tags: dict[str, tuple[int, ...]] = {}
    for name in tables:
        for video, found in _rows(folder / f"{name}.csv", numbers):
            origin = f"youtube:{video}"
            tags[origin] = found
            if video in sounds:
                recordings.append(
                    Recording(
                        f"audioset/{video}",
                        sounds[video],
                        (),
                        TABLES[name],
                        origin,
                        "YouTube; tags CC BY 4.0",
                    )
                )
    return Tagged([row["display_name"] for row in rows], recordings, tags)


def _rows(path: Path, numbers: dict[str, int]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Video and classes of each row of a table."""
    with path.open(newline="", encoding="utf-8") as file:
        for line, row in enumerate(csv.reader(file, skipinitialspace=True), 1):
            if not row or row[0].startswith("#"):
                continue
            try:
                video, _, _, mids = row
                yield video, tuple(sorted(numbers[mid] for mid in mids.split(",")))
            except (ValueError, KeyError) as error:
                raise DataError(f"{path}, line {line} is no clip of AudioSet", why=str(error)) from error
