"""The clips and their labels, decoded once into one memory-mapped array.

A corpus folder holds clips.csv (id, file, source, recording, label, labels, split, licence, ...),
labels.csv (label, phrase, category, ...) and the audio files that the first names.
"""

import csv
import hashlib
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from ...runtime.audio import RATE, Samples
from ...runtime.errors import DataError, InputMissingError

Split = Literal["train", "val", "test"]


class Label(NamedTuple):
    """A known sound: its name, the phrase that says it in a sentence, and its kind."""

    name: str
    phrase: str
    category: str


class Clip(NamedTuple):
    """One recording, and where its samples lie in the corpus's array."""

    id: str
    source: str
    recording: str
    label: str
    labels: tuple[str, ...]
    split: str
    licence: str
    start: int
    stop: int


class Corpus:
    """Clips and labels of a folder, and all samples as one (n,) int16 array at 32 kHz."""

    def __init__(self, clips: list[Clip], labels: list[Label], samples: NDArray[np.int16]) -> None:
        self.clips, self.labels, self._samples = clips, labels, samples

    def audio(self, clip: Clip) -> Samples:
        """(n,) float32 mono 32 kHz samples of a clip."""
        return self._samples[clip.start : clip.stop].astype(np.float32) / 32768.0

    def split(self, name: Split, licence: Callable[[str], bool] = lambda licence: True) -> list[Clip]:
        """The clips of one split whose licence passes."""
        return [clip for clip in self.clips if clip.split == name and licence(clip.licence)]


def open_corpus(
    folder: Path, cache: Path, progress: Callable[[float, str], None] = lambda done, what: None
) -> Corpus:
    """Read a corpus folder; decode its audio into `cache` the first time (about 4 MB a minute of sound).

    Raises InputMissingError where the folder is no corpus, DataError where a clip can't be read.
    """
    rows, labels = _read_table(folder / "clips.csv"), _read_table(folder / "labels.csv")
    key = hashlib.sha256((folder / "clips.csv").read_bytes()).hexdigest()[:12]
    samples_path, offsets_path = cache / f"samples-{key}.npy", cache / f"offsets-{key}.npy"
    if not offsets_path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        files = [folder / row["file"] for row in rows]
        lengths: list[int] = []
        with samples_path.with_suffix(".raw").open("wb") as raw, ProcessPoolExecutor() as pool:
            for done, samples in enumerate(pool.map(decode, files, chunksize=16), 1):
                raw.write(samples.tobytes())
                lengths.append(len(samples))
                progress(done / len(files), "decoding clips")
        mapped = np.memmap(samples_path.with_suffix(".raw"), np.int16, "r")
        np.save(samples_path, mapped)
        samples_path.with_suffix(".raw").unlink()
        np.save(offsets_path, np.concatenate([[0], np.cumsum(lengths)]))  # last: it says all is there
    offsets = np.load(offsets_path)
    clips = [
        Clip(
            row["id"], row["source"], row["recording"], row["label"], tuple(row["labels"].split(";")),
            row["split"], row["licence"], int(start), int(stop),
        )
        for row, start, stop in zip(rows, offsets[:-1], offsets[1:], strict=True)
    ]  # fmt: skip
    return Corpus(
        clips,
        [Label(row["label"], row["phrase"], row["category"]) for row in labels],
        np.load(samples_path, mmap_mode="r"),
    )


def _read_table(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise InputMissingError(
            f"{path.parent} is not a corpus",
            why=f"it has no {path.name}",
            fix="name the folder that holds it",
        )
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def decode(path: Path) -> NDArray[np.int16]:
    """(n,) mono samples at 32 kHz. Raises DataError if the file is no sound."""
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise DataError(
            f"{path} can't be decoded", why=str(error), fix="remove its row or mend the file"
        ) from error
    mono = soxr.resample(samples.mean(axis=1), rate, RATE, quality="HQ")
    return np.asarray((np.clip(mono, -1.0, 1.0) * 32767.0).round(), np.int16)
