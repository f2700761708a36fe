"""What a captioner in torch says, by the edge's own beam search: its graphs behind the engines' methods."""

from typing import cast

from ..runtime.model.engine import Engine
from ..runtime.saying.decoder import Decoder, Vocabulary
from .models import room
from .models.gpt import GptDecoder
from .models.see import SemanticAdapter
from .torch_engine import TorchEngine


def speaker(
    config: room.RoomConfig, adapter: SemanticAdapter, decoder: GptDecoder, words: list[str]
) -> Decoder:
    """The edge's decoder on a captioner's parts, which are on the CPU. words: every token, by its number."""
    graphs = [room.adapter_graph(config, adapter), *room.decoder_graphs(config, decoder)]
    adapt, prefill, step = (cast(Engine, TorchEngine(export)) for export in graphs)
    return Decoder(adapt, prefill, step, Vocabulary(words))
