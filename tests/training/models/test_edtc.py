"""EDTC: the step-wise reading against the same computed at once; the twin's merge; sizes; files."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from edgecap.runtime.errors import BundleError
from edgecap.runtime.model.bundle import Bundle
from edgecap.training.losses import clip_contrastive
from edgecap.training.models import edtc_files
from edgecap.training.models.edtc import (
    BartSizes,
    Edtc,
    EdtcConfig,
    StepLayer,
    Translator,
    new_bart,
)
from edgecap.training.tokenizer import build_tokenizer

SMALL = EdtcConfig(
    inputs=(6, 10, 8), text=12, steps=8, width=16, heads=2, hidden=32, fusions=2, squeeze=6, encoders=2,
    decoders=1, kernel=5, bart=BartSizes(width=16, layers=1, heads=2, hidden=32, positions=40),
)  # fmt: skip


def heard(config: EdtcConfig, clips: int = 3) -> list[torch.Tensor]:
    return [torch.randn(clips, config.steps, width) for width in config.inputs]


@pytest.mark.parametrize("is_decoder", [False, True])
@pytest.mark.parametrize("kernel", [1, 5, 45])
def test_steps_one_by_one_are_what_the_formulas_say_at_once(kernel: int, is_decoder: bool) -> None:
    """Given every h, each step's formula holds; the global block's convolution never looks ahead (EDTC-5)."""
    torch.manual_seed(0)
    config = EdtcConfig(steps=9, width=8, heads=2, hidden=16, kernel=kernel)
    layer = StepLayer(config, is_decoder).eval()
    x, encoded, known = torch.randn(2, 9, 8), torch.randn(2, 9, 8), torch.randn(2, 1, 8)
    said, h = layer(x, x, known, encoded if is_decoder else None)
    before = torch.cat([known, h[:, :-1]], 1)
    c = F.conv1d(x.mT, layer.context.weight, layer.context.bias, padding=kernel // 2).mT
    # Attention to a single key is two linear maps.
    a = layer.norm1(c + layer.remembering.out(layer.remembering.v(before)))
    taps = layer.back.weight.view(8, kernel, 8).flip(1).transpose(1, 2)  # (out, in, k), oldest first
    back = F.conv1d(F.pad(a.mT, (kernel - 1, 0)), taps, layer.back.bias).mT
    g = layer.norm2(a + layer.looking(back, x))
    if layer.beside is not None and layer.norm3 is not None:
        g = layer.norm3(g + layer.beside.out(layer.beside.v(encoded)))
    torch.testing.assert_close(g, h, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(layer.mlp(g), said, atol=1e-5, rtol=1e-5)


def test_the_decoder_begins_where_the_encoder_ended() -> None:
    """h₋₁ is zero in the encoder; in the decoder it is the last encoder layer's last h."""
    torch.manual_seed(0)
    translator = Translator(SMALL).eval()
    x = torch.randn(2, 8, 16)
    nothing = torch.zeros(2, 1, 16)
    one, _ = translator.encoder[0](x, x, nothing)
    two, h = translator.encoder[1](one, one, nothing)
    said, last = translator.decoder[0](x, x, h[:, -1:], two)
    found = translator(x)
    torch.testing.assert_close(found.said, said)
    torch.testing.assert_close(found.last, last[:, -1])


def test_the_merge_takes_in_a_twentieth_of_the_twin_s_step() -> None:
    """W ← W + 0.95 Δ + 0.05 Δ_sim, and the twin is the same again (eq. 4)."""
    torch.manual_seed(0)
    model = Edtc(SMALL, new_bart(SMALL.bart, 30))
    assert model.translator is not None
    assert model.twin is not None
    begun = {name: weight.clone() for name, weight in model.translator.named_parameters()}
    for _ in range(2):
        steps = {}
        with torch.no_grad():
            for side, module in (("ours", model.translator), ("twin", model.twin)):
                steps[side] = {name: torch.randn_like(weight) for name, weight in begun.items()}
                for name, weight in module.named_parameters():
                    weight += steps[side][name]
        model.merge()
        for name, weight in model.translator.named_parameters():
            begun[name] += 0.95 * steps["ours"][name] + 0.05 * steps["twin"][name]
            torch.testing.assert_close(weight, begun[name], atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(model.twin.get_parameter(name), weight)


def test_sizes_are_the_paper_s() -> None:
    """BART-base to the parameter; what EDTC puts before it, counted once and kept."""
    config = EdtcConfig()
    with torch.device("meta"):
        model = Edtc(config, new_bart(config.bart, 50_265))

    def count(module: torch.nn.Module | None) -> int:
        return sum(weight.numel() for weight in module.parameters()) if module else 0

    assert count(model.bart) == 139_420_416
    assert (count(model.fuser), count(model.translator)) == (138_743_424, 317_415_168)
    assert count(model.entries) == 2048 * 768 + 768
    # Of a translator five layers of two convolutions with 45 taps are nearly all.
    assert 10 * 45 * 768 * 768 < count(model.twin) < 1.2 * 10 * 45 * 768 * 768


@pytest.mark.parametrize(
    ("changed", "streams"),
    [({}, 3), ({"inputs": (6,)}, 1), ({"fuser": "mean", "translator": "none"}, 3),
     ({"fuser": "none", "translator": "none", "inputs": (6,)}, 1), ({"attended": "first"}, 3)],
)  # fmt: skip
def test_every_variant_learns(changed: dict[str, object], streams: int) -> None:
    """Logits for each token after the first, gradients wherever a part has a say."""
    import msgspec

    torch.manual_seed(0)
    config = msgspec.structs.replace(SMALL, **changed)
    model = Edtc(config, new_bart(config.bart, 30))
    tokens = torch.tensor([[1, 5, 6, 2], [1, 7, 2, 0], [1, 9, 8, 2]])
    logits, last = model(heard(config), tokens)
    assert len(model.entries) == streams
    assert logits.shape == (3, 3, 30)
    assert last.shape == (3, 16)
    loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
    if model.twin is not None:
        loss = loss + clip_contrastive(last, model.read(torch.randn(3, 8, 12)), model.times)
    loss.backward()
    parts = [model.entries, *(part for part in (model.fuser, model.translator, model.twin) if part)]
    assert all(any(w.grad is not None and w.grad.any() for w in part.parameters()) for part in parts)


def test_a_checkpoint_says_what_the_model_said(tiny_bundle: Path, tmp_path: Path) -> None:
    """Without the twin, which nothing but training needs; BART's one table of words is stored once."""
    torch.manual_seed(0)
    tokenizer = build_tokenizer(["a dog barks", "rain falls on a roof"])
    model = Edtc(SMALL, new_bart(SMALL.bart, len(tokenizer))).eval()
    edtc_files.save(model, tmp_path, tokenizer, ("mn04", "yamnet", "ours"), Bundle.open(tiny_bundle), {})
    again, head, words = edtc_files.load(tmp_path)
    assert again.twin is None
    assert (head.model.translator, head.vocabulary) == ("single", len(words))
    x, tokens = heard(SMALL), torch.tensor([[1, 5, 6], [1, 7, 2], [1, 4, 8]])
    torch.testing.assert_close(again(x, tokens)[0], model(x, tokens)[0])
    (tmp_path / edtc_files.TENSORS_FILE).write_bytes(b"")
    with pytest.raises(BundleError, match=r"edtc\.safetensors can't be read"):
        edtc_files.load(tmp_path)
