"""The bundle: what training hands to the edge, a folder (or the same as one .zip) with a manifest.

The dataclasses here are the only description of graphs: a model in training declares them,
the exporter writes them, the manifest stores them, the engine checks and runs them.
"""

import csv
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from . import audio
from .bundle_files import COPY_AGAIN, Files, FolderFiles, open_files
from .errors import BundleError, InputMissingError
from .onnx_file import read_onnx_facts

FORMAT = 1
MANIFEST_FILE, TOKENIZER_FILE, LABELS_FILE = "manifest.json", "tokenizer.json", "labels.csv"
SHIPPED = Path(__file__).parent / "bundles"
"""Bundles that come with edgecap, each opened by its name alone."""
EXPORT_AGAIN = "run edgecap export again"


class Tensor(msgspec.Struct, frozen=True):
    """One named input or output of a graph; a dimension is a size, or the name of one that varies."""

    name: str
    shape: tuple[int | str, ...]
    dtype: Literal["float32", "int64"] = "float32"


class Graph(msgspec.Struct, frozen=True):
    """What a graph takes and gives. State goes in by one name and comes out as `new_` of it."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    state: tuple[Tensor, ...] = ()

    def state_pairs(self) -> dict[str, str]:
        """Input name -> output name of every state tensor."""
        return {tensor.name: f"new_{tensor.name}" for tensor in self.state}


class Build(msgspec.Struct, frozen=True, kw_only=True):
    """How a graph was compiled ahead of time; two builds of one graph differ in some bytes."""

    library: Literal["tensorrt", "tensorrt-rtx"]
    version: str
    """Engines run under the very version that built them."""
    capabilities: tuple[str, ...] = ()
    """Compute capabilities of the GPUs that it runs on, "8.6"; none: whichever the library supports."""
    source: str
    """sha256 of the ONNX file that it was built from; in the bundle only if it computes in float32."""
    bindings: dict[str, str] = {}
    """Tensor of the graph -> its name in the engine, where the compiler gave it another."""
    profiles: dict[str, tuple[int, int, int]] = {}
    """Named dimension -> least, usual and most that it may be."""


class GraphFile(msgspec.Struct, frozen=True, kw_only=True):
    """A graph as it lies in the bundle."""

    file: str
    sha256: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    state: tuple[Tensor, ...] = ()
    precision: Literal["fp32", "fp16", "bf16", "int8"] = "fp32"
    backend: Literal["onnx", "tensorrt", "tensorrt-rtx"] = "onnx"
    opset: int | None = None
    """Of an ONNX file."""
    build: Build | None = None
    """Of an engine."""


class AudioContract(msgspec.Struct, frozen=True):
    """The constants of runtime/audio.py that the model was trained with."""

    rate: int
    fft: int
    hop: int
    chunk: int
    mels: int
    mel_low_hz: float
    mel_high_hz: float
    power_floor: float


class Calibration(msgspec.Struct, frozen=True):
    """Logistic map from what the model says to the probability that a caption is right.

    p = sigmoid(bias + score * logit(best sound's score) + likelihood * mean token log-probability)
    """

    bias: float = 0.0
    score: float = 1.0
    likelihood: float = 0.0


class Thresholds(msgspec.Struct, frozen=True):
    """Where the model starts to hear, to tell situations apart and to be believed."""

    level_db: float = -60.0
    novelty: float = 0.5
    confidence: float = 0.5
    hedge: float = 0.35
    calibration: Calibration = Calibration()


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """manifest.json, format 1."""

    format: Annotated[int, Meta(ge=1)]
    name: str
    version: str
    created: str
    licence: str
    audio: AudioContract
    labels: int
    window: int
    """L: the most embeddings that the adapter takes."""
    graphs: dict[str, GraphFile]
    thresholds: Thresholds
    engines: dict[str, GraphFile] = {}
    """The same graphs compiled for a GPU; where they can't run, `graphs` do."""
    files: dict[str, str]
    """sha256 of every file that is no graph: labels.csv, tokenizer.json, MODEL_CARD.md, LICENSE."""
    parity: dict[str, dict[str, float]] = {}
    """Tensor -> how far the files are from the model that they were exported from; `verify` made it."""
    training: dict[str, str] = {}
    """Where the weights come from: checkpoint's sha256, sources, commit."""


class Label(NamedTuple):
    """A known sound: row i of labels.csv belongs to score i of the encoder."""

    label: str
    phrase: str
    """How a sentence says it: "a dog barks"."""
    category: str
    manner: str = ""
    """"ambient": a background that may go on for hours. "urgent": said before all else. "T3", "T4":
    that too, an alarm told by this cadence. Or none of these."""


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

    Raises InputMissingError if it is neither.
    """
    path = Path(name).expanduser()
    shipped = SHIPPED / Path(name).name
    if (path / MANIFEST_FILE).exists() or path.is_file():
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


def audio_contract(mels: int) -> AudioContract:
    """What a manifest must say of sound: the constants of runtime/audio.py, and the model's mel bins."""
    return AudioContract(
        rate=audio.RATE,
        fft=audio.FFT,
        hop=audio.HOP,
        chunk=audio.CHUNK,
        mels=mels,
        mel_low_hz=audio.MEL_LOW_HZ,
        mel_high_hz=audio.MEL_HIGH_HZ,
        power_floor=audio.POWER_FLOOR,
    )


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
    """The rows of labels.csv."""
    try:
        rows = csv.reader(io.StringIO(content.decode("utf-8"), newline=""), strict=True)
        if tuple(next(rows, ())) not in (Label._fields, Label._fields[:-1]):  # 1.1 and before had no manner
            raise ValueError(f"its first line is not {','.join(Label._fields)}")
        return tuple(Label(*row) for row in rows)
    except (ValueError, TypeError, csv.Error) as error:
        raise BundleError(
            f"{path}: {LABELS_FILE} is not a table of sounds", why=str(error), fix=EXPORT_AGAIN
        ) from error
