"""What there is to export: a folder that training left, or the file of the public ConvNeXt-Tiny.

model.safetensors  config.json  tokenizer.json  labels.csv  about.json  (MODEL_CARD.md  LICENSE)
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ..runtime.errors import BundleError, InputMissingError, UsageError
from ..runtime.model.bundle import parse_labels
from ..runtime.model.manifest import LABELS_FILE, TOKENIZER_FILE, Thresholds
from ..runtime.model.text import VOCABULARY_FILE
from ..runtime.saying.decoder import Vocabulary
from ..training.models import room, tagger, text
from ..training.models.convnext import load_public
from ..training.models.graph import ExportGraph
from ..training.room.opinion import GRAPH_FILE

ABOUT_FILE = "about.json"
CARRIED = (LABELS_FILE, TOKENIZER_FILE, VOCABULARY_FILE, "MODEL_CARD.md", "LICENSE")
"""Files that go into the bundle as they are; the last three where they exist."""


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

    about: About
    graphs: list[ExportGraph]
    mels: int
    labels: int
    window: int
    files: dict[str, bytes]
    """Of CARRIED, those that are there."""
    opinion: bytes | None
    """The graph of the second opinion, which training leaves as it goes on the edge."""
    sha256: str
    """Of the weights."""
    created: str
    """UTC: SOURCE_DATE_EPOCH where it is set, else when the weights were written."""


def read_checkpoint(path: Path, windowed: bool = False) -> Checkpoint:
    """Read it whole: a folder of ours, or a file in the public ConvNeXt-Tiny's layout.

    windowed: with the encoder over a whole window too, as a graph of its own.
    Raises InputMissingError or BundleError, which name the file and the tensor.
    """
    if path.is_file():
        return _read_public(path, windowed)
    if not path.is_dir():
        raise InputMissingError(
            f"there is no checkpoint {path}",
            fix="name the folder that edgecap train wrote, or the public ConvNeXt-Tiny's file",
        )
    return _read_room(path, windowed)


def _read_room(folder: Path, windowed: bool) -> Checkpoint:
    model = room.load(folder)
    about = _read_about(folder / ABOUT_FILE)
    files = {name: (folder / name).read_bytes() for name in CARRIED if (folder / name).is_file()}
    for name in (LABELS_FILE, TOKENIZER_FILE):
        if name not in files:
            raise InputMissingError(f"{folder} has no {name}", fix="name the folder that edgecap train wrote")
    _check_sizes(folder, files, model.config)
    weights, opinion = folder / room.TENSORS_FILE, folder / GRAPH_FILE
    return Checkpoint(
        about=about,
        graphs=[
            *room.graphs(model),
            *([text.graph(text.load(folder)[0])] if text.has_text(folder) else []),
            *([room.encoder_window_graph(model.encoder)] if windowed else []),
        ],
        mels=model.config.mels,
        labels=model.config.sounds,
        window=model.config.adapter.window,
        files=files,
        opinion=opinion.read_bytes() if opinion.is_file() else None,
        sha256=hashlib.sha256(weights.read_bytes()).hexdigest(),
        created=_created(weights),
    )


PUBLIC = About(
    name="convnext-tiny-audioset",
    version="1.0",
    licence="MIT",
    sources=("audioset-convnext-inf", "AudioSet"),
    licences=("MIT", "CC BY 4.0"),
)
"""What the public checkpoint's authors say of it; the file itself says nothing."""


def _read_public(path: Path, windowed: bool) -> Checkpoint:
    """A tagger: labels and embeddings, no sentences."""
    if windowed:
        raise UsageError(
            "--windowed is for checkpoints of ours",
            why="the public ConvNeXt-Tiny hears whole windows anyway",
            fix="leave it out",
        )
    model = load_public(path)
    tagger.check_front_end(model, path)
    sounds = model.head_audioset.out_features
    return Checkpoint(
        about=PUBLIC,
        graphs=tagger.graphs(model),
        mels=model.mels,
        labels=sounds,
        window=tagger.COLUMNS,
        opinion=None,
        files={LABELS_FILE: b"".join(tagger.LABELS.read_bytes().splitlines(keepends=True)[: sounds + 1])},
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        created=_created(path),
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
