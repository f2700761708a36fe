"""The decoder and the room captioner: sizes, caches, declared graphs, checkpoints."""

from pathlib import Path

import msgspec
import pytest
import torch
from torch import Tensor, nn

from edgecap.runtime.errors import BundleError, InputMissingError
from edgecap.training.models import gpt, room
from edgecap.training.models.graph import ExportGraph

torch.set_num_threads(1)  # small nets: threads would wait for each other more than they work


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("config", "memory_in", "expected"),
    [(gpt.paper_config(), 1536, 64_609_299), (gpt.dcase_2024_config(), 768, 11_911_699)],
)
def test_decoders_have_the_published_size(config: gpt.GptConfig, memory_in: int, expected: int) -> None:
    with torch.device("meta"):
        decoder, projection = gpt.GptDecoder(config), nn.Linear(memory_in, config.width)
    assert parameters(decoder) + parameters(projection) == expected


def small_decoder(prefix: bool = False) -> gpt.GptDecoder:
    torch.manual_seed(7)
    config = gpt.GptConfig(vocabulary=13, width=16, heads=2, hidden=24, layers=2, max_tokens=9, prefix=prefix)
    return gpt.GptDecoder(config).eval()


@torch.no_grad()
def test_the_decoder_is_torchs_own_with_the_same_weights() -> None:
    ours = small_decoder()
    layer = nn.TransformerDecoderLayer(16, 2, 24, activation="gelu", batch_first=True)
    theirs = nn.TransformerDecoder(layer, 2).eval()
    names = {
        "self_attn.in_proj_": "self_qkv.", "self_attn.out_proj.": "self_out.",
        "multihead_attn.out_proj.": "cross_out.",
        "linear1.": "up.", "linear2.": "down.", "norm1.": "norm1.", "norm2.": "norm2.", "norm3.": "norm3.",
    }  # fmt: skip
    state = ours.state_dict()
    weights: dict[str, Tensor] = {}
    for index in range(2):
        for kind in ("weight", "bias"):
            at = f"layers.{index}."
            weights |= {f"{at}{their}{kind}": state[f"{at}{our}{kind}"] for their, our in names.items()}
            weights[f"{at}multihead_attn.in_proj_{kind}"] = torch.cat(
                [state[f"{at}cross_q.{kind}"], state[f"{at}cross_kv.{kind}"]]
            )
    theirs.load_state_dict(weights)
    tokens, memory = torch.randint(13, (3, 9)), torch.randn(3, 5, 16)
    valid = torch.arange(5) < torch.tensor([5, 3, 1])[:, None]
    embedded = ours.embedding(tokens) * 4 + gpt.sinusoids(9, 16)
    causal = nn.Transformer.generate_square_subsequent_mask(9)
    hidden = theirs(embedded, memory, tgt_mask=causal, memory_key_padding_mask=~valid)
    torch.testing.assert_close(ours(tokens, memory, valid), ours.output(hidden), rtol=0, atol=1e-5)


def test_positions_are_the_transformers() -> None:
    """Vaswani et al., 3.5, at d = 4: sin(p), cos(p), sin(p / 100), cos(p / 100)."""
    expected = torch.tensor([[0.0, 1.0, 0.0, 1.0], [0.841471, 0.540302, 0.0099998, 0.99995]])
    torch.testing.assert_close(gpt.sinusoids(2, 4), expected, rtol=0, atol=1e-6)


@torch.no_grad()
def test_what_lies_in_later_slots_of_the_cache_does_not_matter() -> None:
    decoder = small_decoder()
    cross = decoder.prefill(torch.randn(1, 5, 16))
    clean = decoder.initial_state(3)
    dirty = {name: torch.full_like(tensor, 1e3) for name, tensor in clean.items()}
    for position in range(3):
        token, at = torch.randint(13, (3,)), torch.tensor([position])
        expected, clean = decoder.step(token, at, *cross, clean)
        found, dirty = decoder.step(token, at, *cross, dirty)
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


@torch.no_grad()
def test_a_prefix_is_read_alike_at_once_and_step_by_step() -> None:
    decoder = small_decoder(prefix=True)
    memory, tokens = torch.randn(1, 5, 16), torch.randint(13, (3, 7))
    expected = decoder(tokens, memory.expand(3, -1, -1)).log_softmax(-1)
    cross, cache = decoder.prefill(memory), decoder.initial_state(3)
    for position in range(7):
        found, cache = decoder.step(tokens[:, position], torch.tensor([position]), *cross, cache)
        torch.testing.assert_close(found, expected[:, position], rtol=0, atol=1e-5)
    padded, real = torch.cat([memory, torch.randn(1, 4, 16)], 1), torch.arange(9)[None] < 5
    masked = decoder(tokens[:1], padded, real).log_softmax(-1)
    torch.testing.assert_close(masked, expected[:1], rtol=0, atol=1e-5)


# ---- The room captioner ----------------------------------------------------------------------------


def tiny_room(**changes: object) -> room.RoomCaptioner:
    settings = {
        "encoder": "nano", "mels": 32, "sounds": 5,
        "adapter": {"width": 16, "heads": 2, "hidden": 24, "layers": 2, "window": 12, "sentence": 10},
        "decoder": {"vocabulary": 30, "width": 16, "heads": 2, "hidden": 24, "layers": 2, "max_tokens": 9},
    } | changes  # fmt: skip
    torch.manual_seed(8)
    return room.RoomCaptioner(msgspec.convert(settings, room.RoomConfig)).eval()


@pytest.fixture(scope="module", params=["room", "paper"])
def declared(request: pytest.FixtureRequest) -> list[ExportGraph]:
    stretched = {"width": 16, "heads": 2, "hidden": 24, "layers": 1, "window": 12, "interpolate": True}
    return room.graphs(tiny_room(**({"adapter": stretched} if request.param == "paper" else {})))


def test_four_graphs_are_declared(declared: list[ExportGraph]) -> None:
    names = [export.graph.name for export in declared]
    assert names == ["encoder", "adapter", "decoder_prefill", "decoder_step"]


@torch.no_grad()
def test_graphs_give_what_they_declare(declared: list[ExportGraph]) -> None:
    for export in declared:
        for sizes in ({}, {name: extent.low for name, extent in export.dims.items()}):
            results = export.module(*export.example(sizes))
            named = {name: extent.example for name, extent in export.dims.items()} | sizes
            graph = export.graph
            for port, result in zip((*graph.outputs, *graph.state), results, strict=True):
                assert tuple(result.shape) == tuple(named.get(str(size), size) for size in port.shape), (
                    port.name
                )
            assert len(export.names_out()) == len(results)


@torch.no_grad()
def test_the_benchmarks_window_is_the_same_encoder() -> None:
    encoder = tiny_room().encoder
    window = room.encoder_window_graph(encoder, hops=3)
    (log_mel,) = window.example({"batch": 1})
    embeddings, scores = window.module(log_mel)
    assert log_mel.shape == (1, 96, 32)
    assert torch.equal(embeddings, encoder(log_mel)[0])
    assert tuple(scores.shape) == (1, *window.graph.outputs[1].shape[1:])


@torch.no_grad()
def test_the_graphs_together_say_what_the_model_says() -> None:
    """Hop by hop, then adapter, prefill and steps: the same log-probabilities as training's forward."""
    model = tiny_room()
    encoder, adapter_, prefill, step = (export.module for export in room.graphs(model))
    log_mel, tokens = 30 * torch.randn(1, 32 * 6, 32) - 40, torch.randint(30, (1, 8))
    state: list[Tensor] = list(model.encoder.initial_state().values())
    embeddings = []
    for hop in log_mel.chunk(6, dim=1):
        embedding, _, *state = encoder(hop, *state)
        embeddings.append(embedding)
    memory, _ = adapter_(torch.stack(embeddings, dim=1))
    cross = prefill(memory)
    cache = list(model.decoder.initial_state().values())
    said = []
    for position in range(8):
        log_probs, *cache = step(tokens[:, position], torch.tensor([position]), *cross, *cache)
        said.append(log_probs)
    adapted = model.adapter(model.encoder.features(log_mel))
    expected = model.decoder(tokens, adapted.memory).log_softmax(-1)
    torch.testing.assert_close(torch.stack(said, dim=1), expected, rtol=0, atol=1e-4)


def test_a_checkpoint_gives_the_model_back(tmp_path: Path) -> None:
    model = tiny_room()
    room.save(model, tmp_path / "checkpoint")
    again = room.load(tmp_path / "checkpoint")
    assert again.config == model.config
    assert not again.training
    expected = model.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in again.state_dict().items())


def test_a_damaged_checkpoint_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError, match=r"it has no config\.json"):
        room.load(tmp_path)
    room.save(tiny_room(), tmp_path)
    config = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(config.replace('"window": 12', '"window": 13'))
    with pytest.raises(BundleError, match=r"adapter\.encoder\.constant is 12×16, expected 13×16"):
        room.load(tmp_path)
    (tmp_path / "config.json").write_text(config.replace('"window": 12', '"window": "x"'))
    with pytest.raises(BundleError, match=r"\$\.adapter\.window"):
        room.load(tmp_path)


def test_sizes_that_do_not_fit_each_other_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"a width of 16 can't be split into 3 heads.*adapter"):
        tiny_room(adapter={"width": 16, "heads": 3})
    with pytest.raises(msgspec.ValidationError, match=r"multiple of 32.*mels"):
        tiny_room(mels=65)
