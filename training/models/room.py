"""The room captioner that ships: a causal ConvNeXt, SEE's semantic encoder and a GPT decoder.

    log-mel -> encoder -> (segment's embeddings) -> adapter -> memory, semantic -> decoder -> words

The file ends with the graphs that it exports; nobody else spells their names or shapes.
"""

import msgspec
from torch import Tensor, nn

from ...runtime.audio import CHUNK
from ...runtime.bundle import Graph
from ...runtime.bundle import Tensor as Port
from .convnext import CausalConvNeXt
from .graph import ExportGraph, Extent

BATCH = Extent(1, 4096, 2)


class RoomConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The sizes of a room captioner; rides in its checkpoint."""

    encoder: str = "atto"
    mels: int = 64
    sounds: int = 527


class RoomCaptioner(nn.Module):
    """The three parts, trained one after the other and exported as four graphs."""

    def __init__(self, config: RoomConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = CausalConvNeXt(config.encoder, config.mels, config.sounds)


class EncoderStep(nn.Module):
    """One hop of the stream: (B, 32, mels) and each block's past -> embedding, scores, each new past."""

    def __init__(self, encoder: CausalConvNeXt) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, log_mel: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        state = dict(zip(self.encoder.state_shapes(), past, strict=True))
        (embeddings, scores), new = self.encoder.step(log_mel, state)
        return (embeddings[:, 0], scores[:, 0], *new.values())


def encoder_graph(encoder: CausalConvNeXt) -> ExportGraph:
    """The encoder's streaming step."""
    graph = Graph(
        "encoder",
        inputs=(Port("log_mel", ("batch", CHUNK, encoder.mels)),),
        outputs=(Port("embedding", ("batch", encoder.width)), Port("scores", ("batch", encoder.sounds))),
        state=tuple(Port(name, ("batch", *shape)) for name, shape in encoder.state_shapes().items()),
    )
    return ExportGraph(graph, EncoderStep(encoder).eval(), {"batch": BATCH})


def graphs(model: RoomCaptioner) -> list[ExportGraph]:
    """Everything that the edge needs of a model."""
    return [encoder_graph(model.encoder)]
