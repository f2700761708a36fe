"""What an export may be told, and which of it goes together."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ..runtime.errors import UsageError
from ..runtime.model.engine_tensorrt import Library
from .to_tensorrt import check_capabilities

PRECISIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "onnx": ("fp32", "fp16"),
        "onnx-int8": ("int8",),
        "tensorrt-rtx": ("fp32", "fp16", "bf16", "int8"),
        "tensorrt": ("fp32", "fp16", "bf16", "int8"),
        "triton": ("fp32", "fp16"),
    }
)
"""Target -> what its graphs (of the two TensorRTs: its engines) may compute in, the usual first."""
TARGETS = tuple(PRECISIONS)
ENGINES: Mapping[str, Library] = MappingProxyType({"tensorrt-rtx": "tensorrt-rtx", "tensorrt": "tensorrt"})
"""Targets that add engines to ONNX graphs, which stay float32: they run where the engines can't."""
STATIC = ("encoder",)
"""What is calibrated for a CPU unless something else is named: the graph that always runs."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Each has a flag of the same name."""

    target: str = "onnx-int8"
    precision: str = ""
    """Of what computes; empty: the target's usual one."""
    batch: int = 1
    """The most rooms that one call takes; above 1 their number is left open."""
    windowed: bool = False
    """Add the encoder over a whole window, as a graph of its own, to compare with."""
    capabilities: tuple[str, ...] = ()
    """tensorrt-rtx: GPUs to build for, by compute capability ("8.6"); none builds a portable engine."""
    calibrate: Path | None = None
    """int8: a folder of recordings that activations' ranges are measured on."""
    static: tuple[str, ...] = ()
    """onnx-int8: the graphs that are calibrated; the others are quantised as they go. None: STATIC."""
    verify: bool = True
    """Stream sound through torch and the written files, and write nothing if they differ too much."""
    minutes: float = 10.0
    """How much sound."""
    sounds: Path | None = None
    """A folder of recordings, beside the sound that is synthesised."""

    @property
    def computes_in(self) -> str:
        """The precision, the usual one where none was named."""
        return self.precision or PRECISIONS[self.target][0]


def check_options(options: Options) -> None:
    """Raise UsageError, or UnavailableError, before any work is done for what can't be."""
    if options.target not in TARGETS:
        raise UsageError(f"there is no target {options.target!r}", why=f"there are {', '.join(TARGETS)}")
    known = PRECISIONS[options.target]
    if options.computes_in not in known:
        raise UsageError(
            f"--precision {options.precision} does not go with --target {options.target}",
            why=f"it computes in {' or '.join(known)}",
        )
    if options.calibrate and options.computes_in != "int8":
        raise UsageError("--calibrate is for int8 alone", fix="take --target onnx-int8, or --precision int8")
    if options.static and not (options.calibrate and options.target == "onnx-int8"):
        raise UsageError("--static is for --target onnx-int8 with --calibrate alone")
    if options.target in ENGINES and options.computes_in == "int8" and not options.calibrate:
        raise UsageError(
            "--precision int8 needs --calibrate",
            why="TensorRT wants to know the range of every activation",
            fix="name a folder of recordings such as the rooms it will hear",
        )
    if options.target in ENGINES:
        check_capabilities(ENGINES[options.target], options.capabilities, options.computes_in)
    elif options.capabilities:
        raise UsageError("--compute-capability is for --target tensorrt-rtx alone")
