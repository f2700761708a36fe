"""A torch module -> an engine, by torch-tensorrt: torch.export, dynamo, a plan that runs without torch.

It reads torch's own operators, not ONNX, and builds on the GPU that will run it.

Not run here: there was no CUDA device, and on a CPU's torch the package does not import. It is written to
torch-tensorrt 2.13's API; its import guard and the export before it are tested.
"""

import copy
import importlib
import importlib.util
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..runtime.errors import UnavailableError
from ..runtime.model.cuda import Device
from ..runtime.model.engine_tensorrt import load_library
from ..runtime.model.manifest import Build, GraphFile
from ..training.models.graph import ExportGraph, Extent, reduced

Shapes = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


def has_torch_tensorrt() -> bool:
    """Whether it is installed, working or not."""
    return importlib.util.find_spec("torch_tensorrt") is not None


def load_torch_tensorrt() -> Any:
    """The package. Raises UnavailableError, with the reason, if it does not import."""
    try:
        return importlib.import_module("torch_tensorrt")
    except Exception as error:  # without CUDA it fails by AssertionError, OSError or a bare Exception
        raise UnavailableError(
            "torch-tensorrt is not available",
            why=str(error).split("\n")[0],
            fix="run: pip uninstall torch-tensorrt, to build by TensorRT's ONNX parser; or mend it",
        ) from error


class Loose(nn.Module):
    """A module that takes any number of tensors, each an argument of its own."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        outputs: tuple[Tensor, ...] = self.module(*tensors)
        return outputs


def shapes(export: ExportGraph, graph: GraphFile, dims: Mapping[str, Extent]) -> list[Shapes]:
    """Least, usual and greatest shape of every tensor that goes in, in the module's order."""
    sides: tuple[dict[str, int], ...] = tuple(
        {name: (extent.low, extent.example, extent.high)[k] for name, extent in dims.items()}
        for k in range(3)
    )
    least, usual, most = (
        [
            tuple(d if isinstance(d, int) else sizes[d] for d in port.shape)
            for port in (*graph.inputs, *graph.state)
        ]
        for sizes in sides
    )
    return list(zip(least, usual, most, strict=True))


def export_program(
    export: ExportGraph, graph: GraphFile, dims: Mapping[str, Extent], device: str = "cpu"
) -> torch.export.ExportedProgram:
    """torch.export of a graph's module in the graph's precision, dimensions open as far as dims say."""
    ports = (*graph.inputs, *graph.state)
    used = {size for port in ports for size in port.shape if isinstance(size, str)}
    varying = {name: torch.export.Dim(name, min=dims[name].low, max=dims[name].high) for name in sorted(used)}
    fixed = {name: 1 for name in export.dims if name not in used}
    open_axes = tuple(
        {axis: varying[size] for axis, size in enumerate(port.shape) if isinstance(size, str)}
        for port in ports
    )
    module = Loose(copy.deepcopy(reduced(export.module, graph.precision))).eval().to(device)
    arguments = tuple(tensor.to(device) for tensor in export.example(fixed))
    return torch.export.export(module, arguments, dynamic_shapes={"tensors": open_axes})


def build_from_torch(
    export: ExportGraph, graph: GraphFile, dims: Mapping[str, Extent]
) -> tuple[bytes, Build]:
    """The engine of a graph, and how it was built. graph: as its ONNX file is described, for its precision.

    Raises UnavailableError if torch-tensorrt, TensorRT or the GPU is not here.
    """
    compiler, trt, device = load_torch_tensorrt(), load_library("tensorrt"), Device()
    program = export_program(export, graph, dims, "cuda")
    inputs = [
        compiler.Input(min_shape=least, opt_shape=usual, max_shape=most, dtype=getattr(torch, port.dtype))
        for (least, usual, most), port in zip(
            shapes(export, graph, dims), (*graph.inputs, *graph.state), strict=True
        )
    ]
    plan = bytes(
        compiler.dynamo.convert_exported_program_to_serialized_trt_engine(
            program, arg_inputs=inputs, require_full_compilation=True
        )
    )
    used = {size for port in (*graph.inputs, *graph.state) for size in port.shape if isinstance(size, str)}
    build = Build(
        library="tensorrt",
        version=str(trt.__version__),
        capabilities=(device.capability,),
        source=graph.sha256,
        bindings=_bindings(trt, plan, export),
        profiles={name: (dims[name].low, dims[name].example, dims[name].high) for name in sorted(used)},
    )
    return plan, build


def _bindings(trt: Any, plan: bytes, export: ExportGraph) -> dict[str, str]:
    """Our names -> the engine's, which keep the order of the module's arguments and results."""
    engine = trt.Runtime(trt.Logger(trt.Logger.ERROR)).deserialize_cuda_engine(plan)
    if engine is None:
        raise UnavailableError(f"the engine of {export.graph.name} does not load on this GPU")
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    taken = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
    given = [name for name in names if name not in taken]
    ours = [port.name for port in export.ports_in()]
    return dict(zip((*ours, *export.names_out()), (*taken, *given), strict=True))
