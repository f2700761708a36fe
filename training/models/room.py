"""The room captioner that ships: a causal ConvNeXt, SEE's semantic encoder and a GPT decoder.

    log-mel -> encoder -> (a segment's embeddings) -> adapter -> memory, semantic -> decoder -> words

The file ends with the graphs that it exports; nobody else spells their names or shapes.
"""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from torch import Tensor, nn

from ...runtime.audio import CHUNK
from ...runtime.model.manifest import Graph
from ...runtime.model.manifest import Tensor as Port
from .checkpoint import fill, read_config, read_tensors, write_json, write_tensors
from .convnext import MEL_STRIDE, SIZES, CausalConvNeXt
from .gpt import GptConfig, GptDecoder
from .graph import ExportGraph, Extent
from .see import AdapterConfig, FoldedAdapter, SemanticAdapter
from .sizes import Size

BATCH = Extent(1, 4096, 2)
BEAM = Extent(1, 16, 3)
TENSORS_FILE, CONFIG_FILE = "model.safetensors", "config.json"


class RoomConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The sizes of a room captioner; rides in its checkpoint."""

    decoder: GptConfig
    adapter: AdapterConfig = AdapterConfig()
    encoder: Literal["nano", "atto", "pico", "tiny"] = "atto"
    mels: Annotated[int, Meta(ge=MEL_STRIDE, multiple_of=MEL_STRIDE)] = 64
    sounds: Size = 527


class RoomCaptioner(nn.Module):
    """The three parts, trained one after the other and exported as four graphs."""

    def __init__(self, config: RoomConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = CausalConvNeXt(config.encoder, config.mels, config.sounds)
        self.adapter = SemanticAdapter(
            config.adapter,
            input_width=SIZES[config.encoder].widths[-1],
            memory_width=config.decoder.width,
            vocabulary=config.decoder.vocabulary,
        )
        self.decoder = GptDecoder(config.decoder)


def save(model: RoomCaptioner, folder: Path) -> None:
    """Write model.safetensors and config.json; tokenizer.json and labels.csv belong beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(model.config, folder / CONFIG_FILE)
    write_tensors(model, folder / TENSORS_FILE)


def load(folder: Path) -> RoomCaptioner:
    """The model of a checkpoint folder, in eval mode.

    Raises InputMissingError if a file is not there, BundleError if the configuration or a tensor
    does not fit, with its name.
    """
    missing = f"{folder} is not a checkpoint"
    model = RoomCaptioner(read_config(folder / CONFIG_FILE, RoomConfig, "a room captioner", missing))
    fill(model, read_tensors(folder / TENSORS_FILE), folder / TENSORS_FILE)
    return model.eval()


class EncoderStep(nn.Module):
    """One hop of the stream: (B, 32, mels) and each block's past -> embedding, scores, each new past."""

    def __init__(self, encoder: CausalConvNeXt) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, log_mel: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        state = dict(zip(self.encoder.state_shapes(), past, strict=True))
        (embeddings, scores), new = self.encoder.step(log_mel, state)
        return (embeddings[:, 0], scores[:, 0], *new.values())


class Prefill(nn.Module):
    """What every step needs of a memory, once per caption."""

    def __init__(self, decoder: GptDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        return self.decoder.prefill(memory)


class DecoderStep(nn.Module):
    """One token for every beam."""

    def __init__(self, decoder: GptDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(
        self,
        token: Tensor,
        position: Tensor,
        cross_keys: Tensor,
        cross_values: Tensor,
        keys: Tensor,
        values: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        state = {"keys": keys, "values": values}
        log_probs, new = self.decoder.step(token, position, cross_keys, cross_values, state)
        return log_probs, new["keys"], new["values"]


def encoder_graph(encoder: CausalConvNeXt) -> ExportGraph:
    """The encoder's streaming step: state is the last 6 columns before each block's convolution."""
    graph = Graph(
        "encoder",
        inputs=(Port("log_mel", ("batch", CHUNK, encoder.mels)),),
        outputs=(Port("embedding", ("batch", encoder.width)), Port("scores", ("batch", encoder.sounds))),
        state=tuple(Port(name, ("batch", *shape)) for name, shape in encoder.state_shapes().items()),
    )
    return ExportGraph(graph, EncoderStep(encoder).eval(), {"batch": BATCH})


def encoder_window_graph(encoder: CausalConvNeXt, hops: int = 31) -> ExportGraph:
    """The same encoder over a whole window from a zero state, 31 hops = 9.92 s: what streaming saves.

    In a bundle only where it is asked for; the benchmark recomputes it every hop to compare.
    """
    graph = Graph(
        "encoder_window",
        inputs=(Port("log_mel", ("batch", hops * CHUNK, encoder.mels)),),
        outputs=(
            Port("embeddings", ("batch", hops, encoder.width)),
            Port("scores", ("batch", hops, encoder.sounds)),
        ),
    )
    return ExportGraph(graph, encoder.eval(), {"batch": BATCH}, on_gpu=False)


def adapter_graph(config: RoomConfig, adapter: SemanticAdapter) -> ExportGraph:
    """A segment's embeddings to memory; at most L of them, or stretched to L in paper mode."""
    c = config.adapter
    memory = Port("memory", ("batch", c.window if c.interpolate else "n", config.decoder.width))
    graph = Graph(
        "adapter",
        inputs=(Port("embeddings", ("batch", "n", SIZES[config.encoder].widths[-1])),),
        outputs=(memory, Port("semantic", ("batch", c.sentence))),
    )
    return ExportGraph(graph, FoldedAdapter(adapter).eval(), {"batch": BATCH, "n": _positions(config)})


def decoder_graphs(config: RoomConfig, decoder: GptDecoder) -> list[ExportGraph]:
    """Prefill and step, of memories as long as the adapter's."""
    return cached_decoder_graphs(decoder, _positions(config))


def cached_decoder_graphs(decoder: GptDecoder, n: Extent) -> list[ExportGraph]:
    """Prefill and step: a fixed-size cache as state, so that no shape changes from token to token.

    n: the positions that a memory may have.
    """
    c = decoder.config
    head = c.width // c.heads

    def cross(batch: str | int) -> tuple[Port, Port]:
        shape = (c.layers, batch, c.heads, "n", head)
        return Port("cross_keys", shape), Port("cross_values", shape)

    cache = (c.layers, "beam", c.heads, c.max_tokens, head)
    prefill = Graph("decoder_prefill", (Port("memory", ("batch", "n", c.width)),), cross("batch"))
    step = Graph(
        "decoder_step",
        inputs=(Port("token", ("beam",), "int64"), Port("position", (1,), "int64"), *cross(1)),
        outputs=(Port("log_probs", ("beam", c.vocabulary)),),
        state=(Port("keys", cache), Port("values", cache)),
    )
    return [
        ExportGraph(prefill, Prefill(decoder).eval(), {"batch": BATCH, "n": n}),
        ExportGraph(
            step, DecoderStep(decoder).eval(), {"beam": BEAM, "n": n},
            integers={"token": c.vocabulary, "position": c.max_tokens},
        ),
    ]  # fmt: skip


def _positions(config: RoomConfig) -> Extent:
    return Extent(1, config.adapter.window, min(12, config.adapter.window))


def graphs(model: RoomCaptioner) -> list[ExportGraph]:
    """All that the edge needs of a model, in the order of the sound's way."""
    return [
        encoder_graph(model.encoder),
        adapter_graph(model.config, model.adapter),
        *decoder_graphs(model.config, model.decoder),
    ]
