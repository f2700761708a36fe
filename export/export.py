"""From a checkpoint to a bundle: the whole road of `edgecap export`.

checkpoint -> its graphs -> files of the target -> proven to be the same model -> bundle
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

import msgspec
import torch

from ..runtime.bundle import FORMAT, MANIFEST_FILE, GraphFile, Manifest, audio_contract
from ..runtime.errors import UsageError
from ..training.models.graph import ExportGraph, Extent
from .checkpoint import Checkpoint, read_checkpoint
from .pack import check_target, pack
from .parity import check_parity
from .quantize import quantize
from .to_onnx import OPSET, fix_sizes, to_onnx
from .to_tensorrt import build_engine, check_capabilities
from .to_triton import paths, triton_config

Target = Literal["onnx", "onnx-int8", "tensorrt-rtx", "triton"]
TARGETS: tuple[str, ...] = get_args(Target)
Precision = Literal["fp32", "fp16", "int8"]
PRECISIONS = ("fp32", "fp16")
Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What an export may be told. Each has a flag of the same name."""

    target: str = "onnx-int8"
    precision: str = "fp32"
    """Of what computes: fp32 or fp16. The target onnx-int8 has its own."""
    batch: int = 1
    """The most rooms that one call takes; above 1 their number is left open."""
    capabilities: tuple[str, ...] = ()
    """tensorrt-rtx: GPUs to build for, by compute capability ("8.6"); none builds a portable engine."""
    verify: bool = True
    """Stream sound through torch and the written files, and write nothing if they differ too much."""
    minutes: float = 10.0
    """How much sound."""
    sounds: Path | None = None
    """A folder of recordings, beside the sound that is synthesised."""


def export_bundle(
    checkpoint: Path, output: Path, options: Options = Options(), progress: Progress = lambda step: None
) -> Manifest:
    """Write the bundle of a checkpoint for a target; returns its manifest.

    progress: told each step as it begins.
    Raises InputMissingError, BundleError, UsageError or UnavailableError; the output is then as it was.
    """
    _check(options)
    check_target(output)
    with _one_thread():
        manifest, files = _export(checkpoint, options, progress)
    progress(f"packing {output}")
    pack(files, output)
    return manifest


def _check(options: Options) -> None:
    if options.target not in TARGETS:
        raise UsageError(f"there is no target {options.target!r}", why=f"there are {', '.join(TARGETS)}")
    if options.precision not in PRECISIONS:
        raise UsageError(
            f"there is no --precision {options.precision!r}", why=f"there are {', '.join(PRECISIONS)}"
        )
    if options.target == "onnx-int8" and options.precision != "fp32":
        raise UsageError(
            f"--precision {options.precision} does not go with --target onnx-int8",
            why="what is not int8 there is float32",
            fix="leave it out, or take --target onnx",
        )
    if options.target == "tensorrt-rtx":
        check_capabilities(options.capabilities, options.precision)
    elif options.capabilities:
        raise UsageError("--compute-capability is for --target tensorrt-rtx alone")


def _export(checkpoint: Path, options: Options, progress: Progress) -> tuple[Manifest, dict[str, bytes]]:
    """The bundle's manifest and files, proven if that is wanted."""
    progress("reading the checkpoint")
    source = read_checkpoint(checkpoint)
    # For one room a graph has no dimension that varies; a server batches, whatever the number.
    sizes = {"batch": 1} if options.batch == 1 and options.target != "triton" else {}
    contents: dict[str, bytes] = {}
    graphs: dict[str, GraphFile] = {}
    for export in source.graphs:
        progress(f"writing {export.graph.name}")
        content = write_graph(export, options, sizes)
        graph = describe(export, options, sizes, content)
        contents[graph.file], graphs[export.graph.name] = content, graph
    parity: dict[str, dict[str, float]] = {}
    if options.verify:
        parity = check_parity(
            source, graphs, contents, minutes=options.minutes, sounds=options.sounds, progress=progress
        )
    engines: dict[str, GraphFile] = {}
    if options.target == "tensorrt-rtx":
        for export in (export for export in source.graphs if export.on_gpu):
            name = export.graph.name
            progress(f"building {name}'s engine")
            engine, plan = write_engine(export, graphs[name], contents[graphs[name].file], options)
            contents[engine.file], engines[name] = plan, engine
    extra = dict(source.files)
    if options.target == "triton":
        extra |= {
            paths(export.graph.name)[0]: triton_config(export.graph, options.batch).encode()
            for export in source.graphs
        }
    manifest = describe_bundle(source, graphs, engines, parity, extra)
    head = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    return manifest, {MANIFEST_FILE: head, **contents, **extra}


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Torch's steps here are too small to share: on a busy machine its threads wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def write_graph(export: ExportGraph, options: Options, sizes: Mapping[str, int]) -> bytes:
    """One graph as the ONNX file of a target."""
    model = to_onnx(export, sizes, options.precision)
    return quantize(export.graph.name, model) if options.target == "onnx-int8" else model


def write_engine(
    export: ExportGraph, graph: GraphFile, model: bytes, options: Options
) -> tuple[GraphFile, bytes]:
    """The engine of an ONNX graph: what the manifest says of it, and its bytes."""
    name = export.graph.name
    dims = dict(export.dims)
    if "batch" in dims:
        dims["batch"] = Extent(1, options.batch, min(dims["batch"].example, options.batch))
    plan, build = build_engine(name, model, graph.sha256, dims, options.capabilities)
    engine = msgspec.structs.replace(
        graph,
        file=f"{name}.engine",
        sha256=hashlib.sha256(plan).hexdigest(),
        backend="tensorrt-rtx",
        opset=None,
        build=build,
    )
    return engine, plan


def describe(export: ExportGraph, options: Options, sizes: Mapping[str, int], content: bytes) -> GraphFile:
    """What the manifest says of a graph's ONNX file."""
    graph = fix_sizes(export.graph, sizes)
    precision: Precision = "int8" if options.target == "onnx-int8" else cast(Precision, options.precision)
    return GraphFile(
        file=paths(graph.name)[1] if options.target == "triton" else f"{graph.name}.onnx",
        sha256=hashlib.sha256(content).hexdigest(),
        inputs=graph.inputs,
        outputs=graph.outputs,
        state=graph.state,
        precision=precision,
        backend="onnx",
        opset=OPSET,
    )


def describe_bundle(
    source: Checkpoint,
    graphs: dict[str, GraphFile],
    engines: dict[str, GraphFile],
    parity: dict[str, dict[str, float]],
    files: Mapping[str, bytes],
) -> Manifest:
    """The manifest: the checkpoint's own words, the graphs, and the proof."""
    about = source.about
    origin = {
        "checkpoint": source.sha256,
        "sources": ", ".join(about.sources),
        "licences": ", ".join(about.licences),
        "clips": str(about.clips) if about.clips else "",
        "commit": about.commit,
    }
    return Manifest(
        format=FORMAT,
        name=about.name,
        version=about.version,
        created=source.created,
        licence=about.licence,
        audio=audio_contract(source.mels),
        labels=source.labels,
        window=source.window,
        graphs=graphs,
        engines=engines,
        thresholds=about.thresholds,
        files={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        parity=parity,
        training={key: value for key, value in origin.items() if value},
    )
