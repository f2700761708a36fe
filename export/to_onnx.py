"""One declared graph -> the bytes of one ONNX file, the same bytes every time.

What is left in the file is the computation: names of tensors, weights, operators. Stack traces, paths,
the exporter's name and version go, so that the same checkpoint gives the same sha256 anywhere.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping

import msgspec
import onnx
import torch
from torch import Tensor, nn

from ..runtime.errors import EdgecapError
from ..runtime.model.manifest import Graph
from ..runtime.model.manifest import Tensor as Port
from ..training.models.graph import ExportGraph, reduced
from .fold import fold_scales

OPSET = 20
BF16_OPSET = 22
"""The first whose convolutions know bf16."""
PRODUCER = "edgecap"


def fix_sizes(graph: Graph, sizes: Mapping[str, int]) -> Graph:
    """The declaration with some of its named dimensions given a size: batch 1 for one room."""

    def fixed(ports: tuple[Port, ...]) -> tuple[Port, ...]:
        return tuple(
            msgspec.structs.replace(
                port, shape=tuple(sizes.get(d, d) if isinstance(d, str) else d for d in port.shape)
            )
            for port in ports
        )

    return Graph(graph.name, fixed(graph.inputs), fixed(graph.outputs), fixed(graph.state))


def to_onnx(export: ExportGraph, sizes: Mapping[str, int], precision: str = "fp32") -> bytes:
    """The graph as ONNX, its weights inside. sizes: named dimensions to fix; others may vary.

    precision: of what computes: fp32, fp16 or bf16; inputs, outputs and state stay float32.
    """
    graph = fix_sizes(export.graph, sizes)
    wanted = opset_for(precision)
    program = _export(export, reduced(export.module, precision), graph, sizes, wanted)
    model = onnx.load_model_from_string(program)
    fold_scales(model)
    strip(model)
    opset = next(entry.version for entry in model.opset_import if entry.domain == "")
    if opset != wanted:  # the exporter falls back to what it can do, and says nothing
        raise EdgecapError(f"{graph.name} came out at opset {opset}", why=f"{wanted} was asked for")
    onnx.checker.check_model(model, full_check=True)
    return serialise(model)


def opset_for(precision: str) -> int:
    """The opset of a graph that computes in this precision."""
    return BF16_OPSET if precision == "bf16" else OPSET


def serialise(model: onnx.ModelProto) -> bytes:
    """The model's bytes, equal for equal models."""
    return bytes(model.SerializeToString(deterministic=True))


def strip(model: onnx.ModelProto) -> None:
    """Take out all that says where, when and by what the file was made."""
    model.producer_name, model.producer_version = PRODUCER, ""
    model.domain, model.doc_string, model.model_version = "", "", 0
    del model.metadata_props[:]
    # Shapes between the nodes follow from the inputs; each reader infers them for itself.
    del model.graph.value_info[:]
    for graph in _graphs(model.graph):
        graph.doc_string = ""
        del graph.metadata_props[:]
        for item in (*graph.node, *graph.initializer, *graph.input, *graph.output):
            item.doc_string = ""
            del item.metadata_props[:]


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph, and those inside its nodes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)
            for inner in attribute.graphs:
                yield from _graphs(inner)


class _Flat(nn.Module):
    """A module that takes its tensors as one tuple, so that graphs of any arity export alike."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        outputs: tuple[Tensor, ...] = self.module(*tensors)
        return outputs


def _export(
    export: ExportGraph, module: nn.Module, graph: Graph, sizes: Mapping[str, int], opset: int
) -> bytes:
    """torch's own bytes, its chatter kept off the terminal."""
    varying = {
        name: torch.export.Dim(name, min=extent.low, max=extent.high)
        for name, extent in export.dims.items()
        if name not in sizes
    }
    shapes = tuple(
        {axis: varying[size] for axis, size in enumerate(port.shape) if isinstance(size, str)}
        for port in (*graph.inputs, *graph.state)
    )
    chatter = io.StringIO()
    with _quiet(), contextlib.redirect_stdout(chatter), contextlib.redirect_stderr(chatter):
        program = torch.onnx.export(
            _Flat(module).eval(),
            (export.example(sizes),),
            input_names=[port.name for port in export.ports_in()],
            output_names=list(export.names_out()),
            dynamic_shapes=(shapes,),
            opset_version=opset,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise EdgecapError(f"{graph.name} was not exported", why=chatter.getvalue())
    return serialise(program.model_proto)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """torch's exporter warns of its own deprecated calls and logs its progress; neither is ours to mend."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
