"""An ONNX graph -> an engine of TensorRT-RTX, or of TensorRT; one code, where their two APIs agree.

TensorRT-RTX builds ahead of time on any machine, without GPU or driver: the engine holds the graph for the
compute capabilities it was built for, and becomes kernels when it first runs there. TensorRT builds on the
very GPU that will run it (not run here: no such GPU was at hand). Two builds of the same graph differ in
some bytes, so the manifest says what it was built from, by what and for what, and its sha256 is that of
this very build.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ..runtime.errors import BundleError, UsageError
from ..runtime.model.cuda import Device
from ..runtime.model.engine_tensorrt import Library, load_library
from ..runtime.model.manifest import Build
from ..training.models.graph import Extent

FP16_ONLY = ("7.5",)
"""Turing has no float32 products in this library: "FP32 GEMM is not supported"."""


def check_capabilities(library: Library, capabilities: Sequence[str], precision: str) -> None:
    """Raise UsageError unless an engine can be built for these, as "8.6"; to be asked before the work.

    Raises UnavailableError if the library, or the GPU that it builds on, is not here.
    """
    trt = load_library(library)
    if library == "tensorrt":
        Device()
        if capabilities:
            raise UsageError(
                "--compute-capability is for --target tensorrt-rtx alone",
                why="TensorRT builds for the GPU that it finds",
            )
        return
    known = _known(trt)
    for capability in capabilities:
        if capability not in known:
            raise UsageError(
                f"there is no --compute-capability {capability!r} in TensorRT-RTX",
                why=f"there are {', '.join(known)}",
                fix="for other GPUs take --target onnx with ONNX Runtime's CUDA provider, or TensorRT itself",
            )
        if capability in FP16_ONLY and precision != "fp16":
            raise UsageError(
                f"--compute-capability {capability} has no {precision} engines", fix="add --precision fp16"
            )


def build_engine(
    name: str,
    model: bytes,
    source_sha256: str,
    dims: Mapping[str, Extent],
    capabilities: Sequence[str] = (),
    library: Library = "tensorrt-rtx",
) -> tuple[bytes, Build]:
    """The engine of an ONNX graph, and how it was built.

    dims: how far the dimensions that vary may go. capabilities: as "8.6"; none builds one that is portable.
    Raises BundleError with TensorRT's own words if it refuses the graph.
    """
    trt = load_library(library)
    log = _log(trt)
    builder = trt.Builder(log)
    network = builder.create_network(_strongly_typed(trt))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(model):
        raise _refused(name, [parser.get_error(i).desc() for i in range(parser.num_errors)])
    settings = builder.create_builder_config()
    if library == "tensorrt":
        capabilities = (Device().capability,)
    else:
        settings.num_compute_capabilities = len(capabilities)
        for index, capability in enumerate(capabilities):
            settings.set_compute_capability(_known(trt)[capability], index)
    profile, profiles = _profile(builder, network, dims)
    if profile is not None:
        settings.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, settings)
    if plan is None:
        raise _refused(name, log.errors)
    build = Build(
        library=library,
        version=str(trt.__version__),
        capabilities=tuple(capabilities),
        source=source_sha256,
        profiles=profiles,
    )
    return bytes(plan), build


def _profile(
    builder: Any, network: Any, dims: Mapping[str, Extent]
) -> tuple[Any, dict[str, tuple[int, int, int]]]:
    """The optimisation profile of the inputs that vary, and its extents; None if none does."""
    profile = builder.create_optimization_profile()
    used: dict[str, tuple[int, int, int]] = {}
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        names = [tensor.get_dimension_name(axis) for axis in range(len(tensor.shape))]
        if -1 not in tensor.shape:
            continue
        extents = {name: (dims[name].low, dims[name].example, dims[name].high) for name in names if name}
        used |= extents
        least, usual, most = (
            [extents[name][k] if size == -1 else size for name, size in zip(names, tensor.shape, strict=True)]
            for k in range(3)
        )
        profile.set_shape(tensor.name, least, usual, most)
    return (profile, used) if used else (None, used)


def _strongly_typed(trt: Any) -> int:
    """Precision is the graph's, not the library's to choose. TensorRT 10 must be told; later ones, and
    TensorRT-RTX, know no other way.
    """
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _known(trt: Any) -> dict[str, Any]:
    """ "8.6" -> ComputeCapability.SM86, of every GPU that this version can build for."""
    members = trt.ComputeCapability.__members__
    numbers = sorted(int(name[2:]) for name in members if name.startswith("SM"))
    return {f"{number // 10}.{number % 10}": members[f"SM{number}"] for number in numbers}


def _log(trt: Any) -> Any:
    """A logger that keeps TensorRT's errors, where a refusal can quote them, and prints nothing."""

    class Log(trt.ILogger):  # type: ignore[misc]  # the base class is known at run time only
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.ERROR:
                self.errors.append(message)

    return Log()


def _refused(name: str, reasons: Sequence[str]) -> BundleError:
    return BundleError(
        f"TensorRT refuses {name}",
        why="; ".join(reasons[:2]) or "it does not say why",
        fix="take --target onnx, and report the model",
    )
