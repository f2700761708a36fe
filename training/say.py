"""What a captioner in torch says, by the edge's own beam search: its graphs behind the engines' methods."""

from collections.abc import Mapping
from typing import cast

import numpy as np
import torch

from ..runtime.bundle import Graph
from ..runtime.decoder import Decoder, Vocabulary
from ..runtime.engine import Array, Engine, State, zero_state
from .models import room
from .models.gpt import GptDecoder
from .models.graph import ExportGraph
from .models.see import SemanticAdapter


class TorchEngine:
    """A declared graph, run in torch: all of an Engine that the decoder calls."""

    def __init__(self, export: ExportGraph) -> None:
        self.graph: Graph = export.graph
        self._export = export

    def initial_state(self, **sizes: int) -> State:
        """Zeros for every state tensor; sizes gives the dimensions that vary."""
        return zero_state(self.graph, sizes)

    @torch.inference_mode()
    def step(self, inputs: Mapping[str, Array], state: State) -> tuple[dict[str, Array], State]:
        """Outputs by name, and the state after."""
        values = {**inputs, **state}
        arguments = [torch.from_numpy(np.ascontiguousarray(values[p.name])) for p in self._export.ports_in()]
        results = [result.numpy() for result in self._export.module(*arguments)]
        split = len(self.graph.outputs)
        outputs = dict(zip((port.name for port in self.graph.outputs), results[:split], strict=True))
        return outputs, dict(zip((port.name for port in self.graph.state), results[split:], strict=True))

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name, of a graph that remembers nothing."""
        return self.step(inputs, {})[0]


def speaker(
    config: room.RoomConfig, adapter: SemanticAdapter, decoder: GptDecoder, words: list[str]
) -> Decoder:
    """The edge's decoder on a captioner's parts, which are on the CPU. words: every token, by its number."""
    graphs = [room.adapter_graph(config, adapter), *room.decoder_graphs(config, decoder)]
    adapt, prefill, step = (cast(Engine, TorchEngine(export)) for export in graphs)
    return Decoder(adapt, prefill, step, Vocabulary(words))
