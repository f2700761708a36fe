"""Engine: named arrays in, named arrays out, on ONNX Runtime; on a CPU with one thread."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from ..errors import BundleError, UnavailableError
from .manifest import Graph, GraphFile, Tensor

Array = NDArray[Any]
State = dict[str, Array]
"""Input name -> what the graph remembers. The caller holds it; the engine never does."""

Provider = Literal["cpu", "cuda", "tensorrt", "openvino"]
"""What ONNX Runtime computes with."""
PROVIDERS: tuple[Provider, ...] = get_args(Provider)


class _Known(NamedTuple):
    name: str
    """As ONNX Runtime has it."""
    package: str
    """What brings it; only one of these packages can be installed at a time."""


_PROVIDERS: dict[Provider, _Known] = {
    "cpu": _Known("CPUExecutionProvider", "onnxruntime"),
    "cuda": _Known("CUDAExecutionProvider", "onnxruntime-gpu"),
    "tensorrt": _Known("TensorrtExecutionProvider", "onnxruntime-gpu"),
    "openvino": _Known("OpenVINOExecutionProvider", "onnxruntime-openvino"),
}
_DTYPES = {"tensor(float)": "float32", "tensor(int64)": "int64"}


class Engine:
    """One graph, ready to run. Holds weights only: any number of streams may share it, in one thread."""

    def __init__(self, name: str, source: Path | bytes, graph: GraphFile, provider: Provider = "cpu") -> None:
        """source: the graph's file, or its bytes.

        Raises BundleError if it does not load or match, UnavailableError if the provider is not here.
        """
        import onnxruntime as ort  # here, not above: clients that only read captions do without it

        check_provider(provider)
        wanted = _PROVIDERS[provider]
        self.name = name
        self.graph = graph
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = 1  # a second thread is no faster here and burns CPU spinning
        settings.inter_op_num_threads = 1
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        settings.log_severity_level = 3  # errors only; they come as exceptions too
        try:
            self._session = ort.InferenceSession(
                str(source) if isinstance(source, Path) else source,
                settings,
                providers=[wanted.name],
            )
        except Exception as refused:  # ONNX Runtime raises a dozen types of its own without a common base
            raise BundleError(
                f"{graph.file} does not load",
                why=str(refused).splitlines()[0],
                fix="copy the bundle again, or run edgecap export with this version",
            ) from refused
        if wanted.name not in self._session.get_providers():  # it fell back to the CPU, and said nothing
            raise UnavailableError(
                f"ONNX Runtime can't compute with {provider} here",
                why="its libraries, or what they run on, are missing",
                fix=f"see what `edgecap doctor` finds, or take --provider {PROVIDERS[0]}",
            )
        self._check("inputs", (*graph.inputs, *graph.state), self._session.get_inputs())
        twins = tuple(Tensor(f"new_{t.name}", t.shape, t.dtype) for t in graph.state)
        self._check("outputs", (*graph.outputs, *twins), self._session.get_outputs())
        self._outputs = [tensor.name for tensor in graph.outputs]
        self._state = [tensor.name for tensor in graph.state]
        self._wanted = self._outputs + [twin.name for twin in twins]

    def initial_state(self, **sizes: int) -> State:
        """Zeros for every state tensor; sizes gives the dimensions that vary, by name (beam=3)."""
        return zero_state(self.graph, sizes)

    def step(self, inputs: Mapping[str, Array], state: State) -> tuple[dict[str, Array], State]:
        """Outputs by name, and the state after; the state passed in stays as it was."""
        values = self._session.run(self._wanted, {**inputs, **state})
        count = len(self._outputs)
        return (
            dict(zip(self._outputs, values[:count], strict=True)),
            dict(zip(self._state, values[count:], strict=True)),
        )

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name, of a graph that remembers nothing."""
        return self.step(inputs, {})[0]

    def _check(self, side: str, declared: tuple[Tensor, ...], real: list[Any]) -> None:
        """Refuse a graph whose tensors are not those that its manifest declares."""
        found = {node.name: (tuple(node.shape), _DTYPES.get(node.type, node.type)) for node in real}
        for tensor in declared:
            if tensor.name not in found:
                raise self._mismatch(f"its {side} are {', '.join(sorted(found))}; {tensor.name} is missing")
            shape, dtype = found.pop(tensor.name)
            if dtype != tensor.dtype or not _same_shape(tensor.shape, shape):
                declared_as = f"{tensor.dtype} {list(tensor.shape)}"
                raise self._mismatch(f"{tensor.name} is {dtype} {list(shape)}, not {declared_as}")
        if found:
            raise self._mismatch(f"its {side} hold {', '.join(sorted(found))}, which nothing declares")

    def _mismatch(self, why: str) -> BundleError:
        return BundleError(
            f"{self.graph.file} is not the graph that the manifest declares",
            why=why,
            fix="run edgecap export again; graph and manifest must come from one export",
        )


def zero_state(graph: Graph | GraphFile, sizes: Mapping[str, int]) -> State:
    """Zeros for every state tensor of a graph; a dimension that varies is 1 where sizes doesn't name it."""
    return {
        tensor.name: np.zeros(
            [size if isinstance(size, int) else sizes.get(size, 1) for size in tensor.shape], tensor.dtype
        )
        for tensor in graph.state
    }


def installed_providers() -> tuple[Provider, ...]:
    """Those that the installed ONNX Runtime was built with; whether they find their hardware shows later."""
    import onnxruntime as ort

    names = ort.get_available_providers()
    return tuple(provider for provider in PROVIDERS if _PROVIDERS[provider].name in names)


def check_provider(provider: Provider) -> None:
    """Raise UnavailableError, with the package that is missing, unless ONNX Runtime has this provider."""
    installed = installed_providers()
    if provider not in installed:
        package = _PROVIDERS[provider].package
        raise UnavailableError(
            f"ONNX Runtime has no provider {provider} here",
            why=f"installed is {', '.join(installed)}",
            fix=f"run: pip uninstall onnxruntime; pip install {package}",
        )


def _same_shape(declared: tuple[int | str, ...], real: tuple[object, ...]) -> bool:
    """Equal sizes where a size is declared; a dimension that varies may bear any name, or none."""
    return len(declared) == len(real) and all(
        want == have if isinstance(want, int) else not isinstance(have, int)
        for want, have in zip(declared, real, strict=True)
    )
