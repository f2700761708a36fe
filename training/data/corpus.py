"""The clips and their labels, decoded once into one memory-mapped array.

A corpus folder holds clips.csv (id, file, source, recording, label, labels, split, licence, ...),
labels.csv (label, phrase, category, ...) and the audio files that the first names.
"""

import csv
import hashlib
import zlib
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
from .. import made_from

Split = Literal["train", "val", "test", "choose", "check"]
"""A corpus has the first three. `choose` and `check` are the two halves of `val`: what was chosen on the one
can be checked on the other."""
HALVES: tuple[Split, Split] = ("choose", "check")


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
    """Clips and labels of a folder, and all samples as one (n,) int16 array at 32 kHz.

    digest: of the samples, so that a training can tell whether it would hear the same.
    """

    def __init__(
        self, clips: list[Clip], labels: list[Label], samples: NDArray[np.int16], digest: str = ""
    ) -> None:
        self.clips, self.labels, self._samples, self.digest = clips, labels, samples, digest

    def audio(self, clip: Clip) -> Samples:
        """(n,) float32 mono 32 kHz samples of a clip."""
        return self._samples[clip.start : clip.stop].astype(np.float32) / 32768.0

    def split(self, name: Split, licence: Callable[[str], bool] = lambda licence: True) -> list[Clip]:
        """The clips of one split whose licence passes."""
        return [clip for clip in self.clips if belongs(clip, name) and licence(clip.licence)]


def belongs(clip: Clip, split: Split) -> bool:
    """Whether a clip is of a split. Val's halves are parted by recording, and by nothing else: whatever clips
    are added, none that was in one half will be in the other."""
    if split in HALVES:
        return clip.split == "val" and HALVES[zlib.crc32(clip.recording.encode()) % 2] == split
    return clip.split == split


def open_corpus(
    folder: Path, cache: Path, progress: Callable[[float, str], None] = lambda done, what: None
) -> Corpus:
    """Read a corpus folder; decode its audio into `cache`, about 4 MB a minute of sound.

    It is decoded the first time, and again where the table, or a file's size or time, has changed.

    Raises InputMissingError where the folder is no corpus, DataError where a clip can't be read.
    """
    rows, labels = _read_table(folder / "clips.csv"), _read_table(folder / "labels.csv")
    files = [folder / row["file"] for row in rows]
    table = made_from.digest((folder / "clips.csv").read_bytes())
    stamps = [made_from.stamp(file) if file.exists() else "not there" for file in files]
    causes = {"clips.csv": table, "audio files": made_from.digest(stamps)}
    key = table.removeprefix("sha256:")[:12]
    samples_path, index_path = cache / f"samples-{key}.npy", cache / f"index-{key}.npz"
    with made_from.alone(index_path):
        if not (samples_path.exists() and made_from.is_current(index_path, causes)):
            made_from.begin(index_path)
            _decode_all(files, samples_path, index_path, progress)
            made_from.done(index_path, causes)
    index = np.load(index_path)
    offsets = index["offsets"]
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
        str(index["digest"]),
    )


def _decode_all(
    files: list[Path], samples_path: Path, index_path: Path, progress: Callable[[float, str], None]
) -> None:
    """The samples of all files as one array; the index has each one's beginning, and the digest of all."""
    lengths: list[int] = []
    whole = hashlib.sha256()
    raw_path = samples_path.with_suffix(".raw")
    with raw_path.open("wb") as raw, ProcessPoolExecutor() as pool:
        for done, samples in enumerate(pool.map(decode, files, chunksize=16), 1):
            raw.write(samples.tobytes())
            whole.update(samples.tobytes())
            lengths.append(len(samples))
            progress(done / len(files), "decoding clips")
    beside = samples_path.with_suffix(".part.npy")
    np.save(beside, np.memmap(raw_path, np.int16, "r"))
    beside.replace(samples_path)
    raw_path.unlink()
    digest = f"sha256:{whole.hexdigest()[:16]}"
    np.savez(index_path, offsets=np.concatenate([[0], np.cumsum(lengths)]), digest=digest)


def _read_table(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise InputMissingError(
            f"{path.parent} is not a corpus",
            why=f"it has no {path.name}",
            fix="name the folder that holds it",
        )
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def decode(path: Path, rate: int = RATE) -> NDArray[np.int16]:
    """(n,) mono samples, at 32 kHz unless told otherwise. Raises DataError if the file is no sound."""
    try:
        samples, found = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise DataError(
            f"{path} can't be decoded", why=str(error), fix="remove its row or mend the file"
        ) from error
    mono = soxr.resample(samples.mean(axis=1), found, rate, quality="HQ")
    return np.asarray((np.clip(mono, -1.0, 1.0) * 32767.0).round(), np.int16)
