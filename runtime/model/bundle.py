"""The bundle: what training hands to the edge, a folder (or the same as one .zip) with a manifest.

Opening one checks all that can be known without running a graph; what fails is refused with the reason.
"""

import csv
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import msgspec

from ..errors import BundleError, InputMissingError
from ..paths import check_readable, expanded, status
from .bundle_files import COPY_AGAIN, Files, FolderFiles, open_files
from .manifest import (
    FORMAT,
    LABELS_FILE,
    MANIFEST_FILE,
    TOKENIZER_FILE,
    AudioContract,
    Cadence,
    GraphFile,
    Label,
    Manifest,
    Priority,
    audio_contract,
)
from .onnx_file import read_onnx_facts

SHIPPED = Path(__file__).parents[1] / "bundles"
"""Bundles that come with edgecap, each opened by its name alone."""
EXPORT_AGAIN = "run edgecap export again"


@dataclass(frozen=True)
class Bundle:
    """A bundle that was opened and found to be whole. Its graphs are checked once more as they load."""

    path: Path
    manifest: Manifest
    labels: tuple[Label, ...]
    _files: Files

    @classmethod
    def open(cls, name: str | Path) -> "Bundle":
        """Open a folder, a .zip of one, or a bundle that ships with edgecap, by its name.

        Everything that can be known without running a graph is checked: the format, every type, that
        each file lies inside, is there and has its sha256, that no graph wants data from elsewhere, and
        that words and labels are as many as the graphs say.
        Raises InputMissingError if there is no such bundle, BundleError with the reason and the fix.
        """
        path = find(name)
        files = open_files(path)
        manifest = _read_manifest(files)
        _check_audio(path, manifest.audio)
        _check_sizes(path, manifest)
        for graph in (*manifest.graphs.values(), *manifest.engines.values()):
            content = _verified(files, graph.file, graph.sha256)
            if graph.backend == "onnx":
                _check_onnx(path, graph, content)
        content_of = {file: _verified(files, file, sha256) for file, sha256 in manifest.files.items()}
        labels = parse_labels(path, content_of[LABELS_FILE])
        if len(labels) != manifest.labels:
            raise BundleError(
                f"{path}: {LABELS_FILE} has {len(labels)} sounds where the manifest says {manifest.labels}",
                fix=EXPORT_AGAIN,
            )
        return cls(path, manifest, labels, files)

    @property
    def title(self) -> str:
        """Name and version, as captions carry them: "room-small 1.0"."""
        return f"{self.manifest.name} {self.manifest.version}"

    def graph(self, name: str) -> Path | bytes:
        """A graph for an engine: its path in a folder, its bytes from a .zip.

        Raises BundleError if the bundle has no graph of that name.
        """
        graph = self.manifest.graphs.get(name)
        if graph is None:
            raise BundleError(
                f"{self.path} has no {name}",
                why=f"its graphs are {', '.join(self.manifest.graphs)}",
                fix="take a bundle that was exported whole",
            )
        if isinstance(self._files, FolderFiles):
            return self._files.locate(graph.file)
        return self.read(graph.file)

    def graphs_and_engines(self) -> tuple[GraphFile, ...]:
        """Every computing file of the bundle."""
        return (*self.manifest.graphs.values(), *self.manifest.engines.values())

    def tokenizer(self) -> bytes:
        """tokenizer.json."""
        return self.read(TOKENIZER_FILE)

    def read(self, file: str) -> bytes:
        """The content of a file that the manifest lists. Raises BundleError if it has changed since."""
        known = {graph.file: graph.sha256 for graph in self.graphs_and_engines()} | self.manifest.files
        if file not in known:
            raise BundleError(f"{self.path} has no {file}")
        return _verified(self._files, file, known[file])

    def size(self, file: str) -> int:
        """Bytes of a file in the bundle."""
        return self._files.size(file)


def find(name: str | Path) -> Path:
    """Where a bundle lies: a path, or else the name of one that ships with edgecap.

    Raises InputMissingError if it is neither, or may not be opened.
    """
    path = expanded(name)
    shipped = SHIPPED / Path(name).name
    check_readable(path)
    if status(path / MANIFEST_FILE) or path.is_file():
        return path
    if path.name == str(name) and (shipped / MANIFEST_FILE).exists():
        return shipped
    if path.is_dir():
        raise BundleError(
            f"{path} is not a bundle",
            why=f"it has no {MANIFEST_FILE}",
            fix="name the folder that edgecap export wrote",
        )
    known = ", ".join(sorted(entry.name for entry in SHIPPED.glob("*") if (entry / MANIFEST_FILE).exists()))
    raise InputMissingError(
        f"there is no bundle {str(name)!r}",
        why=f"it is no path, and what ships here is {known or 'nothing'}",
        fix="give the path of a bundle's folder or .zip",
    )


class _Dated(msgspec.Struct, frozen=True):
    """What every format of the manifest will have."""

    format: int


def _read_manifest(files: Files) -> Manifest:
    """manifest.json. What a later format says is not guessed at."""
    content = files.read(MANIFEST_FILE)
    where = f"{files.path}: {MANIFEST_FILE}"
    try:
        dated = msgspec.json.decode(content, type=_Dated)
    except msgspec.ValidationError as error:
        raise BundleError(
            f"{where} is not a bundle's manifest",
            why=str(error),
            fix="name the folder that edgecap export wrote",
        ) from error
    except msgspec.DecodeError as error:
        raise BundleError(f"{where} is damaged", why=str(error), fix=COPY_AGAIN) from error
    if dated.format != FORMAT:
        raise BundleError(
            f"{where} is of format {dated.format}",
            why=f"this edgecap reads format {FORMAT}",
            fix="update edgecap" if dated.format > FORMAT else EXPORT_AGAIN,
        )
    try:
        return msgspec.json.decode(content, type=Manifest)
    except msgspec.ValidationError as error:
        raise BundleError(
            f"{where} does not fit format {FORMAT}", why=str(error), fix=EXPORT_AGAIN
        ) from error


def _check_audio(path: Path, contract: AudioContract) -> None:
    """The model must have been trained on what the front end here makes."""
    ours = audio_contract(contract.mels)
    for field in contract.__struct_fields__:
        wanted, made = getattr(contract, field), getattr(ours, field)
        if wanted != made:
            raise BundleError(
                f"{path} was trained on other sound",
                why=f"its audio.{field} is {wanted}, this edgecap makes {made}",
                fix="take a bundle for this version, or the edgecap that it was made for",
            )


def _check_sizes(path: Path, manifest: Manifest) -> None:
    """Graphs, words and labels must be of one model."""
    if "encoder" not in manifest.graphs:
        raise BundleError(f"{path} has no encoder", why="nothing could be heard with it", fix=EXPORT_AGAIN)
    wanted = {LABELS_FILE, *([TOKENIZER_FILE] if "decoder_step" in manifest.graphs else [])}
    for file in sorted(wanted - manifest.files.keys()):
        raise BundleError(f"{path}: the manifest does not list {file}", fix=EXPORT_AGAIN)
    expected = {("encoder", "scores"): manifest.labels, ("encoder", "log_mel"): manifest.audio.mels}
    for (name, tensor), size in expected.items():
        graph = manifest.graphs[name]
        found = [
            port.shape[-1] for port in graph.inputs + graph.outputs if port.name == tensor and port.shape
        ]
        if found != [size]:
            raise BundleError(
                f"{path}: {name}'s {tensor} does not fit the rest of the manifest",
                why=f"its last axis is {found[0] if found else 'missing'}, expected {size}",
                fix=EXPORT_AGAIN,
            )


def _verified(files: Files, file: str, sha256: str) -> bytes:
    """A file's content, if it is what the manifest promises."""
    content = files.read(file)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise BundleError(
            f"{files.path}: {file} does not match the manifest's sha256",
            why="the copy is incomplete or was edited",
            fix="copy the bundle again, or run edgecap export",
        )
    return content


def _check_onnx(path: Path, graph: GraphFile, content: bytes) -> None:
    """All of the graph must be in its file, at the opset that the manifest names."""
    try:
        facts = read_onnx_facts(content)
    except ValueError as error:
        raise BundleError(
            f"{path}: {graph.file} is not an ONNX graph", why=str(error), fix=EXPORT_AGAIN
        ) from error
    if facts.has_external_data:
        raise BundleError(
            f"{path}: {graph.file} wants data from another file",
            why="a graph must hold its weights, so that its sha256 covers them",
            fix="run edgecap export; it writes graphs whole",
        )
    if facts.opset != graph.opset:
        raise BundleError(
            f"{path}: {graph.file} is of opset {facts.opset} where the manifest says {graph.opset}",
            fix=EXPORT_AGAIN,
        )


def parse_labels(path: Path, content: bytes) -> tuple[Label, ...]:
    """The rows of labels.csv. Raises BundleError that names the row which does not fit."""
    try:
        rows = csv.reader(io.StringIO(content.decode("utf-8"), newline=""), strict=True)
        columns = next(rows, [])
        if columns not in (list(Label._fields), *_COLUMNS_BEFORE):
            raise ValueError(f"its first line is not {','.join(Label._fields)}")
        return tuple(_label(columns, row, number) for number, row in enumerate(rows, 2))
    except (ValueError, csv.Error) as error:
        raise BundleError(
            f"{path}: {LABELS_FILE} is not a table of sounds", why=str(error), fix=EXPORT_AGAIN
        ) from error


_COLUMNS_BEFORE = ["label", "phrase", "category"], ["label", "phrase", "category", "manner"]
"""Of bundles up to 1.1, and up to 1.6: a sound's manner was its priority, or the cadence of an alarm."""


def _label(columns: list[str], row: list[str], number: int) -> Label:
    """A row under these columns. Raises ValueError with its number."""
    if len(row) != len(columns):
        raise ValueError(f"line {number} has {len(row)} columns where the first has {len(columns)}")
    label = dict(zip(columns, row, strict=True))
    if (manner := label.pop("manner", "")) in _CADENCES:
        label |= {"priority": "urgent", "cadence": manner}
    elif manner:
        label["priority"] = manner
    for column, known in (("priority", get_args(Priority)), ("cadence", ("", *_CADENCES))):
        if (found := label.get(column, "")) not in known:
            allowed = ", ".join(filter(None, known))
            raise ValueError(f"line {number} has the {column} {found!r}, which may be {allowed} or empty")
    return msgspec.convert([label.get(column, "") for column in Label._fields], Label)


_CADENCES = get_args(Cadence)
