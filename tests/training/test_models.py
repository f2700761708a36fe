"""The models are the ones of their papers and checkpoints: counts, layouts, formulas, graphs."""

import pickle
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from edgecap.runtime.errors import BundleError, InputMissingError
from edgecap.training.frontend import CentredStft, LogMel
from edgecap.training.models import gpt, room, see
from edgecap.training.models.checkpoint import fill, read_tensors
from edgecap.training.models.convnext import WindowedConvNeXt, load_public
from edgecap.training.models.graph import ExportGraph

torch.set_num_threads(1)  # small nets: threads would wait for each other more than they work


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


# ---- The public ConvNeXt-Tiny ----------------------------------------------------------------------


def public_layout() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the published file, written down from it and not from our modules."""
    layout: dict[str, tuple[int, ...]] = {
        "spectrogram_extractor.stft.conv_real.weight": (513, 1, 1024),
        "spectrogram_extractor.stft.conv_imag.weight": (513, 1, 1024),
        "logmel_extractor.melW": (513, 224),
        "bn0.weight": (224,), "bn0.bias": (224,), "bn0.running_mean": (224,), "bn0.running_var": (224,),
        "bn0.num_batches_tracked": (),
        "downsample_layers.0.0.weight": (96, 1, 4, 4), "downsample_layers.0.0.bias": (96,),
        "downsample_layers.0.1.weight": (96,), "downsample_layers.0.1.bias": (96,),
        "norm.weight": (768,), "norm.bias": (768,),
        "head_audioset.weight": (527, 768), "head_audioset.bias": (527,),
    }  # fmt: skip
    widths, depths = (96, 192, 384, 768), (3, 3, 9, 3)
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        if stage:
            before, down = widths[stage - 1], f"downsample_layers.{stage}"
            layout |= {f"{down}.0.weight": (before,), f"{down}.0.bias": (before,)}
            layout |= {f"{down}.1.weight": (width, before, 2, 2), f"{down}.1.bias": (width,)}
        for block in range(depth):
            at = f"stages.{stage}.{block}"
            layout |= {
                f"{at}.gamma": (width,),
                f"{at}.dwconv.weight": (width, 1, 7, 7), f"{at}.dwconv.bias": (width,),
                f"{at}.norm.weight": (width,), f"{at}.norm.bias": (width,),
                f"{at}.pwconv1.weight": (4 * width, width), f"{at}.pwconv1.bias": (4 * width,),
                f"{at}.pwconv2.weight": (width, 4 * width), f"{at}.pwconv2.bias": (width,),
            }  # fmt: skip
    return layout


@pytest.fixture(scope="module")
def public_tensors() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.zeros((), dtype=torch.int64) if not shape else torch.rand(shape, generator=generator)
        for name, shape in public_layout().items()
    }


def test_convnext_tiny_has_the_published_size() -> None:
    model = WindowedConvNeXt()
    fixed = sum(b.numel() for name, b in model.named_buffers() if "extractor" in name)
    assert (len(model.state_dict()), parameters(model), fixed) == (190, 28_222_767, 1_165_536)


WRITERS: dict[str, Callable[[dict[str, Tensor], Path], None]] = {
    "bare.pth": torch.save,
    "wrapped.pth": lambda tensors, path: torch.save({"model": tensors, "epoch": 3}, path),
    "model.safetensors": save_file,
}


@pytest.mark.parametrize("name", WRITERS)
def test_the_public_checkpoint_loads_unchanged(
    name: str, public_tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    WRITERS[name](public_tensors, tmp_path / name)
    state = load_public(tmp_path / name).state_dict()
    assert state.keys() == public_tensors.keys()
    assert all(torch.equal(state[key], tensor) for key, tensor in public_tensors.items())


def test_tensors_that_do_not_fit_are_named(public_tensors: dict[str, Tensor]) -> None:
    tensors = dict(public_tensors)
    del tensors["norm.bias"]
    tensors["head.weight"] = torch.zeros(3)
    tensors["stages.2.8.gamma"] = torch.zeros(383)
    with pytest.raises(BundleError) as caught:
        fill(WindowedConvNeXt(), tensors, Path("x.pth"))
    assert caught.value.why == (
        "norm.bias is missing; head.weight is not part of this model; stages.2.8.gamma is 383, expected 384"
    )


def test_many_faults_are_counted_instead_of_listed() -> None:
    with pytest.raises(BundleError, match="and 185 more like it"):
        fill(WindowedConvNeXt(), {}, Path("x.pth"))


class Malicious:
    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return print, ("code from a checkpoint ran",)


def test_a_checkpoint_never_runs_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"model": Malicious()}, tmp_path / "a.pth")
    with pytest.raises(BundleError, match=r"a\.pth can't be read"):
        read_tensors(tmp_path / "a.pth")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
@given(content=st.binary(max_size=200) | st.just(pickle.dumps([1, 2])))
@settings(max_examples=20, deadline=None)
def test_garbage_is_refused(tmp_path_factory: pytest.TempPathFactory, name: str, content: bytes) -> None:
    path = tmp_path_factory.mktemp("garbage") / name
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"can't be read|holds no tensors"):
        read_tensors(path)


def test_a_missing_checkpoint_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError, match="no checkpoint at"):
        load_public(tmp_path / "none.pth")


@pytest.mark.parametrize(("seconds", "frames"), [(10, 31), (15, 47), (30, 94)])
def test_embeddings_of_a_window(seconds: int, frames: int) -> None:
    model = WindowedConvNeXt("nano", sounds=3).eval()
    with torch.no_grad():
        features, scores = model(torch.randn(1, seconds * 32_000))
    assert (features.shape, scores.shape) == ((1, frames, 32), (1, 3))


def test_centred_power_equals_torch_stft() -> None:
    samples = torch.randn(2, 8_000)
    expected = torch.stft(samples, 1024, 320, window=torch.hann_window(1024), return_complex=True).abs() ** 2
    torch.testing.assert_close(CentredStft()(samples), expected.transpose(1, 2), rtol=1e-3, atol=1e-3)


def test_causal_log_mel_equals_torch_stft() -> None:
    """Frame k of ours covers [320(k+1) - 1024, 320(k+1)), zeros before the start."""
    samples = torch.randn(1, 320 * 20)
    ours = LogMel(64)(samples)
    padded = F.pad(samples, (704, 0))
    spectrum = torch.stft(
        padded, 1024, 320, window=torch.hann_window(1024), center=False, return_complex=True
    )
    power = spectrum.abs().square().transpose(1, 2) @ LogMel(64).filters
    assert ours.shape == (1, 20, 64)
    torch.testing.assert_close(ours, 10 * power.clamp_min(1e-10).log10(), rtol=0, atol=1e-3)


# ---- SEE -------------------------------------------------------------------------------------------

CONCATS = ("layers", "input")


def adapter(**changes: object) -> see.SemanticAdapter:
    config = msgspec.convert(
        {"width": 16, "heads": 2, "hidden": 24, "layers": 2, "window": 12, "sentence": 10} | changes,
        see.AdapterConfig,
    )
    torch.manual_seed(5)
    made = see.SemanticAdapter(config, input_width=8, memory_width=20, vocabulary=30)
    if made.encoder is not None:
        nn.init.normal_(made.encoder.constant)
        nn.init.normal_(made.encoder.position)
    return made.eval()


def as_printed(encoder: see.SemanticEncoder, h: Tensor) -> Tensor:
    """Eq. 4 word by word: u = [x, l] is built, and projected whole."""
    x, heads = h, encoder.config.heads
    constant = encoder.constant.expand(len(h), -1, -1)[:, : h.shape[1]]
    position = encoder.position[: h.shape[1]]
    if encoder.join is not None:
        x = encoder.join(torch.cat([x, constant], -1))
    for layer in encoder.see_layers():
        u = x if encoder.join is not None else torch.cat([x, constant], -1)
        (wq, wk, wv), (bq, bk, bv) = layer.qkv.weight.chunk(3), layer.qkv.bias.chunk(3)
        q, k, v = F.linear(u + position, wq, bq), F.linear(u + position, wk, bk), F.linear(u, wv, bv)
        q, k, v = (part.reshape(*part.shape[:2], heads, -1).transpose(1, 2) for part in (q, k, v))
        looked = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = layer.norm1(x + layer.out(looked))
        x = layer.norm2(x + layer.down(F.gelu(layer.up(x))))
    return x


@pytest.mark.parametrize("concat", CONCATS)
@torch.no_grad()
def test_folded_equals_the_printed_formula(concat: str) -> None:
    made = adapter(concat=concat).double()
    assert made.encoder is not None
    h = torch.randn(3, 9, 16, dtype=torch.float64)
    torch.testing.assert_close(made.encoder(h), as_printed(made.encoder, h), rtol=0, atol=1e-13)


@pytest.mark.parametrize("concat", CONCATS)
@pytest.mark.parametrize("interpolate", [False, True])
@torch.no_grad()
def test_the_exported_adapter_equals_the_trained_one(concat: str, interpolate: bool) -> None:
    made = adapter(concat=concat, interpolate=interpolate).double()
    embeddings = torch.randn(2, 7, 8, dtype=torch.float64)
    expected = made(embeddings)
    memory, semantic = see.FoldedAdapter(made)(embeddings)
    torch.testing.assert_close(memory, expected.memory, rtol=0, atol=1e-13)
    torch.testing.assert_close(semantic, expected.semantic, rtol=0, atol=1e-13)


@pytest.mark.parametrize("concat", CONCATS)
@torch.no_grad()
def test_masked_to_n_equals_run_at_n(concat: str) -> None:
    made = adapter(concat=concat)
    lengths = [1, 5, 12]
    embeddings = torch.randn(3, 12, 8)
    valid = torch.arange(12) < torch.tensor(lengths)[:, None]
    masked = made(embeddings.where(valid[..., None], torch.tensor(1e3)), valid)
    for row, n in enumerate(lengths):
        alone = made(embeddings[row : row + 1, :n])
        torch.testing.assert_close(masked.memory[row : row + 1, :n], alone.memory, rtol=0, atol=1e-5)
        torch.testing.assert_close(masked.semantic[row : row + 1], alone.semantic, rtol=0, atol=1e-5)


def test_more_embeddings_than_positions_are_refused() -> None:
    with pytest.raises(ValueError, match="13 embeddings for a window of 12"):
        adapter()(torch.zeros(1, 13, 8))


def test_the_semantic_vector_has_length_one() -> None:
    semantic = adapter()(torch.randn(4, 6, 8)).semantic
    torch.testing.assert_close(semantic.norm(dim=-1), torch.ones(4))


@pytest.mark.parametrize("n", [1, 2, 31, 94, 100])
def test_stretching_is_linear_interpolation_of_each_clips_own_frames(n: int) -> None:
    h = torch.randn(2, n + 3, 5, dtype=torch.float64)
    valid = torch.arange(n + 3) < torch.tensor([n, n + 3])[:, None]
    for row, length in ((0, n), (1, n + 3)):
        expected = F.interpolate(h[row : row + 1, :length].transpose(1, 2), 94, mode="linear")
        stretched = see.stretch(h, 94, valid)[row : row + 1]
        torch.testing.assert_close(stretched, expected.transpose(1, 2), rtol=0, atol=1e-12)


def test_see_has_the_papers_size() -> None:
    with torch.device("meta"):
        made = see.SemanticAdapter(see.paper_config(), 768, 768, 4371)
    assert made.encoder is not None
    tables = made.encoder.constant.numel() + made.encoder.position.numel()
    assert tables == 94 * 768 + 94 * 1536
    assert parameters(made.encoder) - tables == 53_144_064
    assert isinstance(made.entry, nn.Identity)
    assert isinstance(made.meaning, nn.Identity)


def test_simple_has_no_semantic_encoder() -> None:
    made = adapter(layers=0)
    assert made.encoder is None
    assert made(torch.randn(2, 6, 8)).memory.shape == (2, 6, 20)
    assert torch.equal(see.FoldedAdapter(made)(torch.ones(1, 6, 8))[0], made(torch.ones(1, 6, 8)).memory)


@pytest.mark.parametrize("where", ["pre", "post"])
@torch.no_grad()
def test_noise_is_added_in_training_only(where: str) -> None:
    made = adapter(memory_dropout=0.0, noise={"where": where, "probability": 1.0})
    embeddings, spectrogram = torch.randn(2, 6, 8), torch.randn(2, 192, 32)
    quiet = made(embeddings).memory
    assert torch.equal(made(embeddings, spectrogram=spectrogram).memory, quiet)
    made.train_memory()
    assert not torch.equal(made(embeddings, spectrogram=spectrogram).memory, quiet)
    assert torch.equal(made(embeddings, spectrogram=spectrogram).encoded, made(embeddings).encoded)
    made.eval()
    assert torch.equal(see.FoldedAdapter(made).eval()(embeddings)[0], quiet)


def test_noise_layouts_put_mel_or_time_on_time() -> None:
    ramp = torch.linspace(-1, 1, 64)[None, :, None].expand(1, 64, 32)  # grows with time, same in every mel
    zeros = torch.zeros(1, 8, 10)
    tf = see.add_spectrogram(zeros, ramp, see.Noise(layout="tf", probability=1.0))
    ft = see.add_spectrogram(zeros, ramp, see.Noise(layout="ft", probability=1.0))
    assert (tf.diff(dim=1) > 0).all()
    assert tf.std(dim=2).max() < 1e-6
    assert (ft.diff(dim=2) > 0).all()
    assert ft.std(dim=1).max() < 1e-6


def test_noise_has_its_scale_keeps_off_padding_and_spares_some_clips() -> None:
    torch.manual_seed(6)
    valid = torch.arange(30) < torch.tensor([30, 20] * 100)[:, None]
    noise = see.Noise(layout="tf", scale=0.1, probability=0.5)
    added = see.add_spectrogram(torch.zeros(200, 30, 40), 20 * torch.randn(200, 30, 40), noise, valid)
    treated = added.abs().amax((1, 2)) > 0
    assert 70 < treated.sum() < 130
    assert (added[1::2, 20:] == 0).all()
    assert added[0::2][treated[0::2]].std().item() == pytest.approx(0.1, rel=0.02)


def test_of_a_padded_clip_only_the_real_spectrogram_is_added() -> None:
    """In paper mode every position is real after stretching, yet the spectrogram is still padded."""
    spectrogram = torch.randn(1, 64, 32)
    padded = F.pad(spectrogram, (0, 0, 0, 64), value=1e3)
    noise = see.Noise(layout="tf", probability=1.0)
    heard = torch.arange(8)[None] < 4
    found = see.add_spectrogram(torch.zeros(1, 12, 10), padded, noise, None, heard)
    expected = see.add_spectrogram(torch.zeros(1, 12, 10), spectrogram, noise)
    torch.testing.assert_close(found, expected)


def test_sizes_that_do_not_fit_each_other_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"a width of 16 can't be split into 3 heads.*adapter"):
        tiny_room(adapter={"width": 16, "heads": 3})
    with pytest.raises(msgspec.ValidationError, match=r"multiple of 32.*mels"):
        tiny_room(mels=65)


# ---- GPT -------------------------------------------------------------------------------------------


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
