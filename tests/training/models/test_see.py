"""SEE's adapter: the printed formula, masks, sizes, noise."""

import msgspec
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgecap.training.models import see

torch.set_num_threads(1)  # small nets: threads would wait for each other more than they work


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


CONCATS = ("layers", "heads", "input")


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
    """Eq. 4 word by word: u = [x, l] is built, and projected whole, or l joined to what is projected."""
    x, heads = h, encoder.config.heads
    constant = encoder.constant.expand(len(h), -1, -1)[:, : h.shape[1]]
    position = encoder.position[: h.shape[1]]
    if encoder.join is not None:
        x = encoder.join(torch.cat([x, constant], -1))
    for layer in encoder.see_layers():
        if encoder.config.concat == "heads":
            x = layer.norm1(x + layer.out(joined_in_heads(layer, x, constant, position, heads)))
            x = layer.norm2(x + layer.down(F.gelu(layer.up(x))))
            continue
        u = x if encoder.join is not None else torch.cat([x, constant], -1)
        (wq, wk, wv), (bq, bk, bv) = layer.qkv.weight.chunk(3), layer.qkv.bias.chunk(3)
        q, k, v = F.linear(u + position, wq, bq), F.linear(u + position, wk, bk), F.linear(u, wv, bv)
        q, k, v = (part.reshape(*part.shape[:2], heads, -1).transpose(1, 2) for part in (q, k, v))
        looked = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = layer.norm1(x + layer.out(looked))
        x = layer.norm2(x + layer.down(F.gelu(layer.up(x))))
    return x


def joined_in_heads(layer: see.SeeLayer, x: Tensor, constant: Tensor, position: Tensor, heads: int) -> Tensor:
    """softmax(([Q, l] + P) ([K, l] + P)ᵀ / √d) [V, l], P's halves for the two parts."""
    (wq, wk, wv), (bq, bk, bv) = layer.qkv.weight.chunk(3), layer.qkv.bias.chunk(3)
    first, second = position.chunk(2, -1)
    heads_of = []
    for at in torch.arange(x.shape[-1]).chunk(heads):
        q = torch.cat([F.linear(x, wq, bq) + first, constant + second], -1)
        k = torch.cat([F.linear(x, wk, bk) + first, constant + second], -1)
        v = torch.cat([F.linear(x, wv, bv), constant], -1)
        q, k, v = (part[..., torch.cat([at, at + x.shape[-1]])] for part in (q, k, v))
        heads_of.append((q @ k.transpose(1, 2) / q.shape[-1] ** 0.5).softmax(-1) @ v)
    return torch.cat(heads_of, -1)


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
    target = 7 * torch.randn(200, 30, 40).where(valid[..., None], torch.tensor(1e3))  # whatever its scale
    added = see.add_spectrogram(target, 20 * torch.randn(200, 30, 40), noise, valid) - target
    treated = added.abs().amax((1, 2)) > 0
    assert 70 < treated.sum() < 130
    assert (added[1::2, 20:] == 0).all()
    assert added[0::2][treated[0::2]].std().item() == pytest.approx(0.7, rel=0.02)


def test_of_a_padded_clip_only_the_real_spectrogram_is_added() -> None:
    """In paper mode every position is real after stretching, yet the spectrogram is still padded."""
    spectrogram = torch.randn(1, 64, 32)
    padded = F.pad(spectrogram, (0, 0, 0, 64), value=1e3)
    noise = see.Noise(layout="tf", probability=1.0)
    heard = torch.arange(8)[None] < 4
    found = see.add_spectrogram(torch.zeros(1, 12, 10), padded, noise, None, heard)
    expected = see.add_spectrogram(torch.zeros(1, 12, 10), spectrogram, noise)
    torch.testing.assert_close(found, expected)
