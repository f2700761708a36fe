"""A captioner of EDTC and a room's bundle -> a bundle for both: for rooms, and for recordings, thoroughly.

The room's own files go along as they are. Beside them come the fuser and its decoder, and the two public
encoders that it hears through, as the training's folder holds them.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnx

from ..runtime.errors import BundleError
from ..runtime.model.bundle import Bundle
from ..runtime.model.engine import Engine
from ..runtime.model.manifest import MANIFEST_FILE, GraphFile, Tensor
from ..runtime.thorough import FRONT_ENDS, WORDS_FILE
from ..training.models import bart_steps, edtc_files
from ..training.models.graph import ExportGraph
from ..training.tokenizer import TOKENIZER_FILE
from ..training.torch_engine import TorchEngine
from .export import describe
from .pack import check_target, pack
from .to_onnx import to_onnx

TOLERANCE = 1e-3
"""Of the largest value: float32 sums in another order."""
TRIALS = 8


def is_thorough(checkpoint: Path) -> bool:
    """Whether a checkpoint's folder holds a captioner of EDTC, and not a room's."""
    return (checkpoint / edtc_files.CONFIG_FILE).is_file()


def export_thorough(
    checkpoint: Path, room: Bundle, output: Path, progress: Callable[[str], None] = lambda step: None
) -> Bundle:
    """Write a bundle with everything of `room` and the captioner's graphs; returns it.

    Raises InputMissingError or BundleError where the checkpoint is not whole, was taught on another room's
    encoder, or where a written graph is not the model.
    """
    check_target(output)
    progress("reading the captioner")
    model, head, _ = edtc_files.load(checkpoint)
    ours = room.manifest.graphs["encoder"].sha256
    if head.bundle and head.bundle != ours:
        raise BundleError(
            f"{checkpoint} does not fit {room.path}",
            why="it was taught on what another bundle's encoder hears",
            fix="name the bundle that it was taught with, or train it again with --start",
        )
    graphs, contents = dict(room.manifest.graphs), {}
    for graph in room.graphs_and_engines():
        contents[graph.file] = room.read(graph.file)
    for export in bart_steps.graphs(model, head.ears):
        progress(f"writing {export.graph.name}")
        content = to_onnx(export, {})
        graphs[export.graph.name] = describe(export, {}, "fp32", content)
        contents[graphs[export.graph.name].file] = content
        check_parity(export, graphs[export.graph.name], content)
    for ear in head.ears:
        for name in FRONT_ENDS.get(ear, ()):
            content = edtc_files.read_ear(checkpoint, name)
            graphs[name] = foreign(f"{name}.onnx", content)
            contents[f"{name}.onnx"] = content
    files = {file: room.read(file) for file in room.manifest.files}
    files[WORDS_FILE] = (checkpoint / TOKENIZER_FILE).read_bytes()
    licence = f"{room.manifest.licence}; the words of --thorough: {edtc_files.licence(checkpoint)}"
    manifest = msgspec.structs.replace(
        room.manifest, name=f"{room.manifest.name}-thorough", graphs=graphs, licence=licence,
        files={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    )  # fmt: skip
    progress(f"packing {output}")
    said = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    pack({MANIFEST_FILE: said, **contents, **files}, output)
    return Bundle.open(output)


def check_parity(export: ExportGraph, graph: GraphFile, content: bytes) -> None:
    """The written graph against torch on random inputs. Raises BundleError where they differ."""
    here, there = TorchEngine(export), Engine(graph.file, content, graph)
    for trial in range(TRIALS):
        drawn = {
            p.name: x.numpy() for p, x in zip(export.ports_in(), export.example(seed=trial), strict=True)
        }
        state = {port.name: drawn.pop(port.name) for port in export.graph.state}
        wanted, found = here.step(drawn, state)[0], there.step(drawn, state)[0]
        for name, values in wanted.items():
            apart = float(np.abs(values - found[name]).max() / max(1e-6, float(np.abs(values).max())))
            if apart > TOLERANCE:
                raise BundleError(
                    f"{graph.file} is not the model",
                    why=f"{name} is off by {apart:.2g} of its largest value",
                    fix="report it: this is a defect of the exporter",
                )


def foreign(file: str, content: bytes) -> GraphFile:
    """What the manifest says of a graph that others wrote: its own inputs and outputs."""
    model = onnx.load_model_from_string(content)

    def ports(values: object) -> tuple[Tensor, ...]:
        return tuple(
            Tensor(
                value.name,
                tuple(d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim),
            )
            for value in values  # type: ignore[attr-defined]  # onnx has no types of its own
        )

    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    opset = next(entry.version for entry in model.opset_import if entry.domain == "")
    return GraphFile(
        file=file, sha256=hashlib.sha256(content).hexdigest(), inputs=ports(inputs),
        outputs=ports(model.graph.output), opset=opset,
    )  # fmt: skip
