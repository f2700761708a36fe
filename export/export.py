"""From a checkpoint to a bundle: the whole road of `edgecap export`.

checkpoint -> its graphs -> files of the target -> proven to be the same model -> bundle
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal, get_args

import msgspec
import torch

from ..runtime.bundle import FORMAT, MANIFEST_FILE, GraphFile, Manifest, audio_contract
from ..runtime.errors import UsageError
from ..training.models.graph import ExportGraph
from .checkpoint import Checkpoint, read_checkpoint
from .pack import check_target, pack
from .parity import check_parity
from .quantize import quantize
from .to_onnx import OPSET, fix_sizes, to_onnx

Target = Literal["onnx", "onnx-int8"]
TARGETS: tuple[str, ...] = get_args(Target)
Progress = Callable[[str], None]


def export_bundle(
    checkpoint: Path,
    output: Path,
    target: str = "onnx-int8",
    *,
    batch: int = 1,
    verify: bool = True,
    minutes: float = 10.0,
    sounds: Path | None = None,
    progress: Progress = lambda step: None,
) -> Manifest:
    """Write the bundle of a checkpoint for a target; returns its manifest.

    batch: the most rooms that one call takes; above 1 their number is left open.
    verify: stream `minutes` of sound (synthesised, and the recordings in the folder `sounds`) through
    torch and the written files, and write nothing if they differ by more than the target may.
    progress: told each step as it begins.
    Raises InputMissingError, BundleError or UsageError; the output is then as it was before.
    """
    if target not in TARGETS:
        raise UsageError(f"there is no target {target!r}", why=f"there are {', '.join(TARGETS)}")
    check_target(output)
    with _one_thread():
        manifest, files = _export(checkpoint, target, batch, verify, minutes, sounds, progress)
    progress(f"packing {output}")
    pack(files, output)
    return manifest


def _export(
    checkpoint: Path,
    target: str,
    batch: int,
    verify: bool,
    minutes: float,
    sounds: Path | None,
    progress: Progress,
) -> tuple[Manifest, dict[str, bytes]]:
    """The bundle's manifest and files, proven if that is wanted."""
    progress("reading the checkpoint")
    source = read_checkpoint(checkpoint)
    sizes = {"batch": 1} if batch == 1 else {}  # one room: a graph without a dimension that varies
    contents: dict[str, bytes] = {}
    graphs: dict[str, GraphFile] = {}
    for export in source.graphs:
        name = export.graph.name
        progress(f"writing {name}")
        contents[f"{name}.onnx"] = write_graph(export, target, sizes)
        graphs[name] = describe(export, target, sizes, contents[f"{name}.onnx"])
    parity: dict[str, dict[str, float]] = {}
    if verify:
        parity = check_parity(source, graphs, contents, minutes=minutes, sounds=sounds, progress=progress)
    manifest = describe_bundle(source, graphs, parity)
    head = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    return manifest, {MANIFEST_FILE: head, **contents, **source.files}


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Torch's steps here are too small to share: on a busy machine its threads wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def write_graph(export: ExportGraph, target: str, sizes: Mapping[str, int]) -> bytes:
    """One graph as the file of a target."""
    model = to_onnx(export, sizes)
    return quantize(export.graph.name, model) if target == "onnx-int8" else model


def describe(export: ExportGraph, target: str, sizes: Mapping[str, int], content: bytes) -> GraphFile:
    """What the manifest says of a graph's file."""
    graph = fix_sizes(export.graph, sizes)
    return GraphFile(
        file=f"{graph.name}.onnx",
        sha256=hashlib.sha256(content).hexdigest(),
        inputs=graph.inputs,
        outputs=graph.outputs,
        state=graph.state,
        precision="int8" if target == "onnx-int8" else "fp32",
        backend="onnx",
        opset=OPSET,
    )


def describe_bundle(
    source: Checkpoint, graphs: dict[str, GraphFile], parity: dict[str, dict[str, float]]
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
        thresholds=about.thresholds,
        files={name: hashlib.sha256(content).hexdigest() for name, content in source.files.items()},
        parity=parity,
        training={key: value for key, value in origin.items() if value},
    )
