"""Engine on TensorRT-RTX or TensorRT: the same named arrays in and out, the state left on the GPU.

A bundle may hold compiled engines beside its ONNX graphs. `load_engines` takes them where they run, and
says once why not where they don't.

Not run on a GPU here: it is written to NVIDIA's documented API, and its refusals are tested.
"""

import contextlib
import importlib
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, cast

from ..errors import BundleError, UnavailableError
from ..paths import user_folder
from .bundle import Bundle
from .cuda import Device, DeviceArray
from .engine import Array, Engine, Provider, State, zero_state
from .manifest import Build, GraphFile, Tensor

log = logging.getLogger(__name__)

Library = Literal["tensorrt", "tensorrt-rtx"]
EXPORT_HERE = "run edgecap export with --target tensorrt-rtx or tensorrt for this machine"
_MODULES: dict[Library, tuple[str, str, str]] = {
    "tensorrt-rtx": ("tensorrt_rtx", "TensorRT-RTX", 'run: pip install "edgecap[tensorrt]"'),
    "tensorrt": ("tensorrt", "TensorRT", "run: pip install tensorrt, where NVIDIA's index can be reached"),
}
"""Module, name, and how it is installed."""


def load_engines(
    bundle: Bundle, names: Iterable[str], provider: Provider | Literal["auto"] = "auto"
) -> dict[str, Engine]:
    """An engine for each of these graphs: all on the GPU if the bundle was compiled for it, else on the CPU.

    provider: where it is named, ONNX Runtime computes with it, whatever was compiled.
    Raises BundleError if a graph is missing or is not what the manifest declares, UnavailableError if the
    provider is not here.
    """
    names = list(names)
    compiled = bundle.manifest.engines
    if provider == "auto" and compiled and all(name in compiled for name in names):
        try:
            device = Device()
            on_gpu = {name: load_engine(bundle, name, device) for name in names}
            return cast(dict[str, Engine], on_gpu)  # all that callers use of one, the other has too
        except UnavailableError as error:
            log.warning("%s captions on the CPU: %s", bundle.title, error)
    chosen: Provider = "cpu" if provider == "auto" else provider
    return {name: Engine(name, bundle.graph(name), bundle.manifest.graphs[name], chosen) for name in names}


def load_engine(bundle: Bundle, name: str, device: Device | None = None) -> "TensorRtEngine":
    """The engine of one graph. Raises UnavailableError, with the reason, if it can't run here."""
    graph = bundle.manifest.engines[name]
    return TensorRtEngine(name, bundle.read(graph.file), graph, device or Device())


class TensorRtEngine:
    """One compiled graph, ready to run. Holds weights only: any number of streams may share it."""

    def __init__(self, name: str, plan: bytes, graph: GraphFile, device: Device) -> None:
        """Raises UnavailableError if it can't run here, BundleError if it is not what the manifest says."""
        if graph.build is None:
            raise BundleError(f"{graph.file} does not say how it was compiled", fix=EXPORT_HERE)
        trt = load_library(graph.build.library)
        check_build(graph.file, graph.build, str(trt.__version__), device.capability)
        self.name, self.graph, self._device = name, graph, device
        device.enter()
        self._runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise UnavailableError(f"{graph.file} does not load on this GPU", fix=EXPORT_HERE)
        self._bound = {name: graph.build.bindings.get(name, name) for name in _names(graph)}
        self._check(trt)
        self._kernels: Any = None
        if graph.build.library == "tensorrt-rtx":
            self._context = self._compile(trt)
        else:  # its kernels are in the engine
            self._context = self._engine.create_execution_context()

    def _compile(self, trt: Any) -> Any:
        """TensorRT-RTX's context: kernels for this GPU, those of before where they were kept."""
        settings = self._engine.create_runtime_config()
        settings.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        self._kernels = settings.create_runtime_cache()
        folder = _state_folder()
        self._kernels_file = folder and folder / f"{self.graph.sha256[:16]}-{self._device.capability}.kernels"
        self._is_warm = self._kernels_file is None
        if self._kernels_file:
            with contextlib.suppress(OSError):  # the first start, or not ours to read
                self._kernels.deserialize(self._kernels_file.read_bytes())  # refuses another driver's itself
                self._is_warm = True
        settings.set_runtime_cache(self._kernels)
        return self._engine.create_execution_context(settings)

    def initial_state(self, **sizes: int) -> State:
        """Zeros for every state tensor; sizes gives the dimensions that vary, by name (beam=3)."""
        return zero_state(self.graph, sizes)

    def step(self, inputs: Mapping[str, Array], state: State) -> tuple[dict[str, Array], State]:
        """Outputs by name on the CPU; the state after, on the GPU. The state passed in stays as it was."""
        device = self._device
        device.enter()
        given = {
            name: value if isinstance(value, DeviceArray) else device.upload(value)
            for name, value in {**inputs, **state}.items()
        }
        for name, array in given.items():
            self._context.set_input_shape(self._bound[name], array.shape)
            self._context.set_tensor_address(self._bound[name], array.address)
        twins = {
            twin: Tensor(twin, t.shape, t.dtype)
            for t, twin in zip(self.graph.state, self._twins(), strict=True)
        }
        made = {}
        for port in (*self.graph.outputs, *twins.values()):
            bound = self._bound[port.name]
            made[port.name] = device.empty(tuple(self._context.get_tensor_shape(bound)), port.dtype)
            self._context.set_tensor_address(bound, made[port.name].address)
        if not self._context.execute_async_v3(device.stream):
            raise UnavailableError(
                f"{self.graph.file} failed on the GPU", fix="see what nvidia-smi says of it"
            )
        outputs = {port.name: device.download(made[port.name]) for port in self.graph.outputs}
        if self._kernels is not None and not self._is_warm:
            self._keep_kernels()
        # What looks like an array to callers stays on the GPU until one looks into it.
        after = {port.name: made[twin] for port, twin in zip(self.graph.state, self._twins(), strict=True)}
        return outputs, cast(State, after)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name, of a graph that remembers nothing."""
        return self.step(inputs, {})[0]

    def _twins(self) -> list[str]:
        return [f"new_{port.name}" for port in self.graph.state]

    def _check(self, trt: Any) -> None:
        """Refuse an engine whose tensors are not those that its manifest declares."""
        real = {}
        for index in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(index)
            is_input = self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
            real[name] = (is_input, tuple(self._engine.get_tensor_shape(name)))
        graph = self.graph
        twins = [Tensor(twin, port.shape) for port, twin in zip(graph.state, self._twins(), strict=True)]
        declared = {
            self._bound[port.name]: (is_input, tuple(d if isinstance(d, int) else -1 for d in port.shape))
            for is_input, ports in ((True, (*graph.inputs, *graph.state)), (False, (*graph.outputs, *twins)))
            for port in ports
        }
        if real != declared:
            odd = sorted(
                name for name in real.keys() | declared.keys() if real.get(name) != declared.get(name)
            )
            raise BundleError(
                f"{graph.file} is not the graph that the manifest declares",
                why=f"{odd[0]} is not the same",
                fix="run edgecap export again; engine and manifest must come from one export",
            )

    def _keep_kernels(self) -> None:
        """The first run compiled for this very GPU: the next start need not."""
        self._is_warm = True
        if self._kernels_file is None:
            return
        try:
            self._kernels_file.parent.mkdir(parents=True, exist_ok=True)
            self._kernels_file.write_bytes(bytes(self._kernels.serialize()))
        except OSError as error:
            log.warning("kernels for %s are compiled at each start: %s", self.graph.file, error)


def _names(graph: GraphFile) -> list[str]:
    """Every tensor that goes in or out."""
    twins = [f"new_{port.name}" for port in graph.state]
    return [port.name for port in (*graph.inputs, *graph.outputs, *graph.state)] + twins


def load_library(library: Library = "tensorrt-rtx") -> Any:
    """The library's module. Raises UnavailableError, with the reason, if it does not import."""
    module, name, fix = _MODULES[library]
    try:
        return importlib.import_module(module)
    except Exception as error:  # its libraries fail in their own ways: OSError, RuntimeError, ImportError
        raise UnavailableError(f"{name} is not available", why=str(error), fix=fix) from error


def check_build(file: str, build: Build, version: str, capability: str) -> None:
    """Raise UnavailableError unless an engine that was built so runs under this version, on such a GPU."""
    if build.version != version:
        raise UnavailableError(
            f"{file} was built by {_MODULES[build.library][1]} {build.version}",
            why=f"here is {version}, and engines run under their own version alone",
            fix=EXPORT_HERE,
        )
    if build.capabilities and capability not in build.capabilities:
        is_rtx = build.library == "tensorrt-rtx"
        raise UnavailableError(
            f"{file} was built for compute capability {', '.join(build.capabilities)}",
            why=f"this GPU has {capability}",
            fix=f"run edgecap export with --compute-capability {capability}" if is_rtx else EXPORT_HERE,
        )


def _state_folder() -> Path | None:
    """systemd's StateDirectory, else the user's; None for a user without a home."""
    given = os.environ.get("STATE_DIRECTORY")
    if given:
        return Path(given)
    folder = user_folder("XDG_STATE_HOME", ".local/state")
    return folder and folder / "edgecap"
