"""What a model hands to the exporter: graphs, declared beside the modules that compute them.

The exporter reads these and nothing else; it never knows which model it writes.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ...runtime.model.manifest import Graph
from ...runtime.model.manifest import Tensor as Port


@dataclass(frozen=True)
class Extent:
    """How far a named dimension may vary, both ends included, and a size to trace it at."""

    low: int
    high: int
    example: int


@dataclass(frozen=True)
class ExportGraph:
    """A graph's declaration and the module that computes it.

    module: takes the tensors of `graph.inputs`, then those of `graph.state`, positionally and in
    that order; returns a flat tuple of `graph.outputs`, then the new state in the same order.
    It is in eval mode and holds no state of its own.
    dims: every named dimension of the graph. integers: for each int64 input, how many values it
    may take, counted from 0.
    """

    graph: Graph
    module: nn.Module
    dims: Mapping[str, Extent]
    integers: Mapping[str, int] = field(default_factory=dict)
    on_gpu: bool = True
    """Whether it runs often enough that an engine for a GPU is worth building."""

    def ports_in(self) -> tuple[Port, ...]:
        """Inputs, then state: the order of the module's arguments."""
        return self.graph.inputs + self.graph.state

    def names_out(self) -> tuple[str, ...]:
        """Outputs, then new state: the order of the module's results."""
        return (*(port.name for port in self.graph.outputs), *self.graph.state_pairs().values())

    def example(self, sizes: Mapping[str, int] | None = None, seed: int = 0) -> tuple[Tensor, ...]:
        """Random arguments for the module; sizes: named dimension -> size, else its example size."""
        chosen = {name: extent.example for name, extent in self.dims.items()} | dict(sizes or {})
        generator = torch.Generator().manual_seed(seed)

        def draw(port: Port) -> Tensor:
            shape = [chosen[size] if isinstance(size, str) else size for size in port.shape]
            if port.dtype == "int64":
                return torch.randint(self.integers[port.name], shape, generator=generator)
            return torch.randn(shape, generator=generator)

        return tuple(draw(port) for port in self.ports_in())


TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


def reduced(module: nn.Module, precision: str) -> nn.Module:
    """The module, or a copy of it that computes in fp16 or bf16."""
    return _Reduced(module, TYPES[precision]) if precision in TYPES else module


class _Reduced(nn.Module):
    """A module in fewer bits behind float32 inputs and outputs; state keeps its bits from hop to hop."""

    def __init__(self, module: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.module = copy.deepcopy(module).to(dtype)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        fewer = (tensor.to(self.dtype) if tensor.is_floating_point() else tensor for tensor in tensors)
        return tuple(output.float() for output in self.module(*fewer))
