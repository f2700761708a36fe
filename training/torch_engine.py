"""A declared graph in torch behind the methods of the edge's Engine.

What exported files are compared with, and how a captioner in training says what it would say on the edge.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from ..runtime.model.engine import Array, Engine, State, zero_state
from ..runtime.model.manifest import Graph, GraphFile
from ..runtime.saying.decoder import ON_THE_EDGE, Decoder, Search, Vocabulary
from .models import room
from .models.gpt import GptDecoder
from .models.graph import ExportGraph, reduced
from .models.see import SemanticAdapter


class TorchEngine:
    """One graph in torch. Outputs come to the CPU; state stays on the device, and looks like any other's."""

    def __init__(
        self,
        export: ExportGraph,
        device: str = "cpu",
        precision: str = "fp32",
        is_compiled: bool = False,
        graph: GraphFile | None = None,
    ) -> None:
        """graph: as a bundle describes it, where some dimension is fixed there."""
        self.graph: Graph | GraphFile = graph or export.graph
        self._order = [port.name for port in export.ports_in()]
        self._device = device
        module: nn.Module = reduced(export.module, precision)
        if device != "cpu":  # a copy: the checkpoint's own stays where it is
            module = copy.deepcopy(module).to(device)
        self._module = cast(nn.Module, torch.compile(module)) if is_compiled else module

    def initial_state(self, **sizes: int) -> State:
        """Zeros for every state tensor; sizes gives the dimensions that vary, by name."""
        return zero_state(self.graph, sizes)

    def step(self, inputs: Mapping[str, Array], state: State) -> tuple[dict[str, Array], State]:
        """Outputs by name, and the state after."""
        values = {**inputs, **state}
        arguments = [self._tensor(values[name]) for name in self._order]
        with torch.inference_mode():
            results: tuple[Tensor, ...] = self._module(*arguments)
        split = len(self.graph.outputs)
        outputs = [result.cpu().numpy() for result in results[:split]]
        after = [result.numpy() if self._device == "cpu" else result for result in results[split:]]
        return (
            dict(zip((port.name for port in self.graph.outputs), outputs, strict=True)),
            cast(State, dict(zip((port.name for port in self.graph.state), after, strict=True))),
        )

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name, of a graph that remembers nothing."""
        return self.step(inputs, {})[0]

    def _tensor(self, value: Array | Tensor) -> Tensor:
        if isinstance(value, Tensor):
            return value
        return torch.from_numpy(np.ascontiguousarray(value)).to(self._device)


def decoder_of(
    config: room.RoomConfig, adapter: SemanticAdapter, decoder: GptDecoder, words: list[str],
    search: Search = ON_THE_EDGE,
) -> Decoder:  # fmt: skip
    """The edge's decoder on a captioner's parts, which are on the CPU. words: every token, by its number."""
    return decoder_from(
        [room.adapter_graph(config, adapter), *room.decoder_graphs(config, decoder)], words, search
    )


def decoder_from(graphs: Sequence[ExportGraph], words: list[str], search: Search = ON_THE_EDGE) -> Decoder:
    """The edge's decoder on three graphs in torch: adapter, prefill and step, in this order."""
    adapt, prefill, step = (cast(Engine, TorchEngine(export)) for export in graphs)
    return Decoder(adapt, prefill, step, Vocabulary(words), search)


def devices() -> list[str]:
    """Where torch computes here."""
    return ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
