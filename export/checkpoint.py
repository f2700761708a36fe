"""What training leaves in a checkpoint folder, read for export.

model.safetensors  config.json  tokenizer.json  labels.csv  about.json  (MODEL_CARD.md  LICENSE)
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ..runtime.bundle import LABELS_FILE, TOKENIZER_FILE, Thresholds, parse_labels
from ..runtime.decoder import Vocabulary
from ..runtime.errors import BundleError, InputMissingError, UsageError
from ..training.models import room
from ..training.models.graph import ExportGraph

ABOUT_FILE = "about.json"
CARRIED = (LABELS_FILE, TOKENIZER_FILE, "MODEL_CARD.md", "LICENSE")
"""Files that go into the bundle as they are; the last two where they exist."""


class About(msgspec.Struct, frozen=True, kw_only=True):
    """about.json: what the bundle will say of its origin."""

    name: str
    version: str
    licence: str
    sources: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    clips: int = 0
    commit: str = ""
    thresholds: Thresholds = Thresholds()


@dataclass(frozen=True)
class Checkpoint:
    """A model and what belongs to it."""

    folder: Path
    about: About
    graphs: list[ExportGraph]
    mels: int
    labels: int
    window: int
    files: dict[str, bytes]
    """Of CARRIED, those that are there."""
    sha256: str
    """Of the weights."""
    created: str
    """UTC: SOURCE_DATE_EPOCH where it is set, else when the weights were written."""


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read it whole. Raises InputMissingError or BundleError, which name the file and the tensor."""
    if not folder.is_dir():
        raise InputMissingError(
            f"there is no checkpoint {folder}", fix="name the folder that edgecap train wrote"
        )
    model = room.load(folder)
    about = _read_about(folder / ABOUT_FILE)
    files = {name: (folder / name).read_bytes() for name in CARRIED if (folder / name).is_file()}
    for name in (LABELS_FILE, TOKENIZER_FILE):
        if name not in files:
            raise InputMissingError(f"{folder} has no {name}", fix="name the folder that edgecap train wrote")
    _check_sizes(folder, files, model.config)
    weights = folder / room.TENSORS_FILE
    return Checkpoint(
        folder=folder,
        about=about,
        graphs=room.graphs(model),
        mels=model.config.mels,
        labels=model.config.sounds,
        window=model.config.adapter.window,
        files=files,
        sha256=hashlib.sha256(weights.read_bytes()).hexdigest(),
        created=_created(weights),
    )


def _check_sizes(folder: Path, files: Mapping[str, bytes], config: room.RoomConfig) -> None:
    """Labels and words must be as many as the model's outputs."""
    counts = {
        LABELS_FILE: (len(parse_labels(folder, files[LABELS_FILE])), config.sounds),
        TOKENIZER_FILE: (len(Vocabulary.parse(files[TOKENIZER_FILE])), config.decoder.vocabulary),
    }
    for file, (found, wanted) in counts.items():
        if found != wanted:
            raise BundleError(
                f"{folder}: {file} does not fit the model",
                why=f"it has {found} entries, {room.CONFIG_FILE} says {wanted}",
                fix="take all files of a checkpoint from one training",
            )


def _read_about(path: Path) -> About:
    if not path.is_file():
        raise InputMissingError(
            f"{path.parent} has no {path.name}", fix="name the folder that edgecap train wrote"
        )
    try:
        return msgspec.json.decode(path.read_bytes(), type=About)
    except msgspec.MsgspecError as error:
        raise BundleError(f"{path} does not describe a model", why=str(error)) from error


def _created(weights: Path) -> str:
    given = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        moment = int(given) if given else int(weights.stat().st_mtime)
    except ValueError:
        raise UsageError(f"SOURCE_DATE_EPOCH is {given!r}", why="it must be seconds since 1970") from None
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
