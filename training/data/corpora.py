"""Public captioning corpora as they lie on a disk: recordings with what people, or a language model, said.

| corpus | folder | licence |
|---|---|---|
| Clotho v2.1 | clotho_captions_SPLIT.csv, clotho_metadata_SPLIT.csv, SPLIT/*.wav for development, validation, evaluation | each file its own Creative Commons licence (in the metadata); captions for non-commercial use, attributed |
| AudioCaps v1 | train.csv, val.csv, test.csv and audio by YouTube id, in a folder a split | captions for academic use; the sound is YouTube's |
| WavCaps | json_files/SOURCE/*_final.json, and Audio/SOURCE/ID.flac | academic use only |

Layouts of the aac-datasets package are read too. Recordings that are not there are left out and counted:
videos vanish. What one corpus holds out is never taught from another.
"""  # noqa: E501  # a table

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ...runtime.errors import DataError, InputMissingError
from .. import made_from

Name = Literal["clotho", "audiocaps", "wavcaps"]
Split = Literal["train", "val", "test"]

SOUNDS = (".wav", ".flac", ".ogg", ".mp3")
CLOTHO_SPLITS: dict[Split, str] = {"train": "development", "val": "validation", "test": "evaluation"}
WAVCAPS_SOURCES = {
    "AudioSet_SL": "as_final.json",
    "BBC_Sound_Effects": "bbc_final.json",
    "FreeSound": "fsd_final.json",
    "SoundBible": "sb_final.json",
}
WAVCAPS_LEAKS = "blacklist_exclude_all_ac.json"
"""WavCaps' own list of what is in AudioCaps and Clotho, where it is in the folder."""


class Recording(NamedTuple):
    """A recording and its captions."""

    id: str
    file: Path
    captions: tuple[str, ...]
    split: Split
    origin: str
    """Where the sound is from, the same in every corpus: "freesound:123", "youtube:xyz"; "" if unknown."""
    licence: str


class Corpora(NamedTuple):
    """What was found, and how many recordings were named but not there."""

    recordings: list[Recording]
    missing: int
    leaks: int
    """Left out of training because another corpus, or the same, holds them out."""

    def split(self, *names: Split, of: str = "") -> list[Recording]:
        """The recordings of these splits; of one corpus alone where `of` names it."""
        return [r for r in self.recordings if r.split in names and r.id.startswith(f"{of}/" if of else "")]

    def taught(self, scored: Split) -> list[Recording]:
        """What may be learnt where this split is scored: as papers do, validation too before the test."""
        return self.split("train", "val") if scored == "test" else self.split("train")


def digest(recordings: Sequence[Recording]) -> str:
    """Of their names, captions and files: whether a training would hear and read the same."""
    return made_from.digest([(r.id, r.captions, made_from.stamp(r.file)) for r in recordings])


def read_corpora(folder: Path, names: Sequence[Name]) -> Corpora:
    """One corpus in its folder; or several, each in a folder of its own name within.

    Raises InputMissingError where a corpus has no captions or not a single recording, DataError where a
    file of captions can't be read.
    """
    found: list[Recording] = []
    missing = 0
    for name in names:
        named = list(READERS[name](folder / name if len(names) > 1 else folder))
        here = [recording for recording in named if recording.file.is_file()]
        if not here:
            why = f"{len(named)} are named, the first as {named[0].file}" if named else "no caption is there"
            raise InputMissingError(
                f"{folder} holds no recording of {name}",
                why=why,
                fix="see training/data/corpora.py for its layout",
            )
        missing += len(named) - len(here)
        found += here
    held_out = {recording.origin for recording in found if recording.split != "train"} - {""}
    taught = [r for r in found if r.split != "train" or r.origin not in held_out]
    return Corpora(taught, missing, len(found) - len(taught))


def clotho(folder: Path) -> Iterator[Recording]:
    """Clotho v2.1, its three splits; five captions each."""
    tables = _first(folder / "clotho_csv_files", folder)
    sounds = _first(folder / "clotho_audio_files", folder)
    for split, name in CLOTHO_SPLITS.items():
        # Names of people in the metadata are in Latin-1; the captions are ASCII.
        about = {row["file_name"]: row for row in _rows(tables / f"clotho_metadata_{name}.csv", "latin-1")}
        for row in _rows(tables / f"clotho_captions_{name}.csv"):
            file = row["file_name"]
            facts = about.get(file, {})
            sound_id = facts.get("sound_id", "")
            yield Recording(
                f"clotho/{name}/{file}",
                sounds / name / file,
                tuple(row[f"caption_{number}"].strip() for number in range(1, 6)),
                split,
                f"freesound:{sound_id}" if sound_id.isdigit() else "",
                facts.get("license", ""),
            )


def audiocaps(folder: Path) -> Iterator[Recording]:
    """AudioCaps v1: one caption a clip in train, five in val and test, a row each."""
    splits: tuple[Split, ...] = ("train", "val", "test")
    for split in splits:
        captions: dict[tuple[str, str], list[str]] = {}
        for row in _rows(_first(folder / "dataset", folder) / f"{split}.csv"):
            captions.setdefault((row["youtube_id"], row["start_time"]), []).append(row["caption"].strip())
        sounds = _by_stem(
            [folder / split, folder / "audio" / split, *folder.glob(f"audio_*Hz/{split}")],
        )
        for (video, start), said in captions.items():
            stems = (f"{video}_{start}", f"{video}_{start}_{int(float(start)) + 10}", video, f"Y{video}")
            absent = folder / split / f"{stems[0]}.wav"
            file = next((sounds[stem] for stem in stems if stem in sounds), absent)
            yield Recording(
                f"audiocaps/{video}_{start}", file, tuple(said), split, f"youtube:{video}", "academic use"
            )


def wavcaps(folder: Path) -> Iterator[Recording]:
    """WavCaps: all for training, one caption each, written by a language model from what sites said."""
    tables = folder / "json_files"
    leaks: set[str] = set()
    for path in sorted(tables.rglob(WAVCAPS_LEAKS)):
        listed = _json(path)
        leaks |= {_wavcaps_origin("AudioSet_SL", str(name)) for name in listed.get("AudioSet", [])}
        leaks |= {_wavcaps_origin("FreeSound", str(name)) for name in listed.get("FreeSound", [])}
    sources = [source for source, file in WAVCAPS_SOURCES.items() if (tables / source / file).is_file()]
    if not sources:
        raise InputMissingError(
            f"{folder} is not WavCaps", why=f"it has no json_files with {', '.join(WAVCAPS_SOURCES)}"
        )
    for source in sources:
        sounds = _first(folder / "Audio" / source, folder / "Zip_files" / source, folder / source)
        for entry in _json(tables / source / WAVCAPS_SOURCES[source]).get("data", []):
            name = str(entry["id"]).removesuffix(".wav")
            origin = _wavcaps_origin(source, name)
            if origin not in leaks:
                yield Recording(
                    f"wavcaps/{source}/{name}", sounds / f"{name}.flac", (str(entry["caption"]).strip(),),
                    "train", origin, "academic use",
                )  # fmt: skip


READERS: dict[Name, Callable[[Path], Iterator[Recording]]] = {
    "clotho": clotho,
    "audiocaps": audiocaps,
    "wavcaps": wavcaps,
}


def _wavcaps_origin(source: str, name: str) -> str:
    """WavCaps calls a YouTube clip "Yxyz.wav" and a Freesound sound by its number."""
    name = name.removesuffix(".wav")
    if source == "AudioSet_SL":
        return f"youtube:{name.removeprefix('Y')}"
    return f"freesound:{name}" if source == "FreeSound" else ""


def _first(*folders: Path) -> Path:
    """The first that is there, else the last."""
    return next((folder for folder in folders if folder.is_dir()), folders[-1])


def _by_stem(folders: Sequence[Path]) -> dict[str, Path]:
    """Audio files by their name without its ending."""
    return {
        file.stem: file
        for folder in folders
        if folder.is_dir()
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in SOUNDS
    }


def _rows(path: Path, encoding: str = "utf-8") -> list[dict[str, str]]:
    if not path.is_file():
        raise InputMissingError(f"there is no {path}", fix="see training/data/corpora.py for its layout")
    try:
        with path.open(newline="", encoding=encoding) as file:
            rows = list(csv.DictReader(file, strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path} can't be read as a table", why=str(error)) from error
    if any(None in row or None in row.values() for row in rows):
        raise DataError(f"{path} is no whole table", why="a row has more or fewer cells than the first")
    return rows


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{path} can't be read", why=str(error)) from error
    if not isinstance(content, dict):
        raise DataError(f"{path} can't be read", why="it holds no object")
    return content
