"""Public checkpoints: their names and shapes, written down here as published, fill our networks."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from edgecap.runtime.errors import BundleError, InputMissingError
from edgecap.training.models import public
from edgecap.training.models.cnn14 import BlatCnn14, Cnn14
from edgecap.training.models.htsat import Htsat, Sizes

Shapes = dict[str, tuple[int, ...]]


def norm(name: str, width: int) -> Shapes:
    return {f"{name}.{part}": (width,) for part in ("weight", "bias")}


def batch_norm(name: str, width: int) -> Shapes:
    running = {f"{name}.{part}": (width,) for part in ("running_mean", "running_var")}
    return norm(name, width) | running | {f"{name}.num_batches_tracked": ()}


def linear(name: str, out: int, *into: int) -> Shapes:
    return {f"{name}.weight": (out, *into), f"{name}.bias": (out,)}


FRONT_END: Shapes = {
    "spectrogram_extractor.stft.conv_real.weight": (513, 1, 1024),
    "spectrogram_extractor.stft.conv_imag.weight": (513, 1, 1024),
    "logmel_extractor.melW": (513, 64),
}


def cnn14_trunk(widths: tuple[int, ...]) -> Shapes:
    shapes = batch_norm("bn0", 64)
    for number, (before, after) in enumerate(zip((1, *widths), widths, strict=False), 1):
        for part, into in (("1", before), ("2", after)):
            shapes[f"conv_block{number}.conv{part}.weight"] = (after, into, 3, 3)
            shapes |= batch_norm(f"conv_block{number}.bn{part}", after)
    return shapes | linear("fc1", widths[-1], widths[-1])


def cnn14(widths: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048)) -> Shapes:
    return FRONT_END | cnn14_trunk(widths) | linear("fc_audioset", 527, widths[-1])


def blat_audio() -> Shapes:
    mel: Shapes = {
        "melspec_extractor.spectrogram.window": (1024,),
        "melspec_extractor.mel_scale.fb": (513, 64),
    }
    return cnn14_trunk((64, 128, 256, 512, 1024, 2048)) | mel


def htsat(
    width: int = 96, depths: tuple[int, ...] = (2, 2, 6, 2), heads: tuple[int, ...] = (4, 8, 16, 32)
) -> Shapes:
    shapes = FRONT_END | batch_norm("bn0", 64) | linear("patch_embed.proj", width, 1, 4, 4)
    shapes |= norm("patch_embed.norm", width)
    side = 64
    for layer, (depth, count) in enumerate(zip(depths, heads, strict=True)):
        for block in range(depth):
            name = f"layers.{layer}.blocks.{block}"
            shapes |= norm(f"{name}.norm1", width) | norm(f"{name}.norm2", width)
            shapes[f"{name}.attn.relative_position_bias_table"] = (225, count)
            shapes[f"{name}.attn.relative_position_index"] = (64, 64)
            shapes |= linear(f"{name}.attn.qkv", 3 * width, width) | linear(f"{name}.attn.proj", width, width)
            shapes |= linear(f"{name}.mlp.fc1", 4 * width, width) | linear(
                f"{name}.mlp.fc2", width, 4 * width
            )
            if block % 2 and side > 8:
                shapes[f"{name}.attn_mask"] = ((side // 8) ** 2, 64, 64)
        if layer + 1 < len(depths):
            name = f"layers.{layer}.downsample"
            shapes |= norm(f"{name}.norm", 4 * width) | {f"{name}.reduction.weight": (2 * width, 4 * width)}
            width, side = 2 * width, side // 2
    return shapes | norm("norm", width) | linear("tscam_conv", 527, width, 2, 3) | linear("head", 527, 527)


def convnext() -> Shapes:
    widths, depths = (96, 192, 384, 768), (3, 3, 9, 3)
    shapes = FRONT_END | {"logmel_extractor.melW": (513, 224)} | batch_norm("bn0", 224)
    shapes |= linear("downsample_layers.0.0", 96, 1, 4, 4) | norm("downsample_layers.0.1", 96)
    for stage in (1, 2, 3):
        before, after = widths[stage - 1], widths[stage]
        shapes |= norm(f"downsample_layers.{stage}.0", before)
        shapes |= linear(f"downsample_layers.{stage}.1", after, before, 2, 2)
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        for block in range(depth):
            name = f"stages.{stage}.{block}"
            shapes |= {f"{name}.gamma": (width,)} | linear(f"{name}.dwconv", width, 1, 7, 7)
            shapes |= norm(f"{name}.norm", width) | linear(f"{name}.pwconv1", 4 * width, width)
            shapes |= linear(f"{name}.pwconv2", width, 4 * width)
    return shapes | norm("norm", 768) | linear("head_audioset", 527, 768)


LAYOUTS: dict[str, tuple[Callable[[], nn.Module], Shapes, int, int, int]] = {
    "cnn14": (Cnn14, cnn14(), 84, 80_753_615, 1_083_456),
    "htsat": (Htsat, htsat(), 200, 30_241_687, 1_083_456),
    "convnext": (public.CONVNEXT.build, convnext(), 190, 28_222_767, 1_165_536),
    "blat's audio side": (BlatCnn14, blat_audio(), 81, 79_673_792, 33_856),
}
"""The network, the published layout, its tensors, trained numbers, and fixed numbers of the front end."""


def on_meta(shapes: Shapes) -> dict[str, Tensor]:
    kinds = {"relative_position_index": torch.int64, "num_batches_tracked": torch.int64}
    return {
        name: torch.empty(shape, dtype=kinds.get(name.rpartition(".")[2]), device="meta")
        for name, shape in shapes.items()
    }


@pytest.mark.parametrize(("build", "shapes", "tensors", "trained", "fixed"), LAYOUTS.values(), ids=LAYOUTS)
def test_a_published_layout_fills_the_network(
    build: Callable[[], nn.Module], shapes: Shapes, tensors: int, trained: int, fixed: int
) -> None:
    """All names and shapes, without a byte of memory; and as many numbers as are published."""
    model = public.fill_empty(build, on_meta(shapes), Path("public.pth"))
    assert len(shapes) == tensors
    assert sum(parameter.numel() for parameter in model.parameters()) == trained
    front_end = ("spectrogram_extractor.", "logmel_extractor.", "melspec_extractor.")
    assert sum(t.numel() for n, t in model.state_dict().items() if n.startswith(front_end)) == fixed


@pytest.mark.parametrize(("build", "shapes", "tensors", "trained", "fixed"), LAYOUTS.values(), ids=LAYOUTS)
def test_one_wrong_shape_is_refused_by_its_name(
    build: Callable[[], nn.Module], shapes: Shapes, tensors: int, trained: int, fixed: int
) -> None:
    """Whichever it is; so is one that is missing, and one too many."""
    for name in list(shapes)[:: len(shapes) // 4]:
        wrong = on_meta(shapes | {name: (3, *shapes[name])})
        with pytest.raises(BundleError, match=rf"public\.pth does not fit.*{name} is 3"):
            public.fill_empty(build, wrong, Path("public.pth"))
    with pytest.raises(BundleError, match=r"bn0\.bias is missing; extra is not part of this model"):
        rest = {name: shape for name, shape in shapes.items() if name != "bn0.bias"}
        public.fill_empty(build, on_meta(rest | {"extra": (1,)}), Path("public.pth"))


SMALL = (4, 8, 8, 8, 16, 32)
TOYS: dict[str, tuple[public.Public, Shapes, int, int]] = {
    "cnn14": (public.CNN14._replace(build=lambda: Cnn14(SMALL)), cnn14(SMALL), 6, 32),
    "htsat": (
        public.HTSAT._replace(build=lambda: Htsat(Sizes(8, (2, 1, 1, 1), (2, 2, 4, 4)))),
        htsat(8, (2, 1, 1, 1), (2, 2, 4, 4)),
        32,
        64,
    ),
}


@pytest.mark.parametrize(("toy", "shapes", "steps", "width"), TOYS.values(), ids=TOYS)
def test_a_file_under_its_public_name_hears(
    toy: public.Public, shapes: Shapes, steps: int, width: int, tmp_path: Path
) -> None:
    """At toy size: wrapper and prefix are found, what else lies in the file is left alone; it hears."""
    torch.manual_seed(0)
    whole = toy.build().state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in whole.items()} == shapes
    beside = {f"{toy.prefix}{name}": tensor for name, tensor in whole.items()}
    torch.save({toy.wrapper: beside, "epoch": 3}, tmp_path / toy.file)
    model = public.open_file(toy, tmp_path)
    samples = torch.randn(2, 64_000) * 0.1
    with torch.inference_mode():
        frames, scores = model(samples)
        again, _ = model(samples.flip(0))
        assert frames.shape == (2, steps, width)
        assert scores.shape == (2, 527)
        assert ((scores > 0) & (scores < 1)).all()
        torch.testing.assert_close(frames.flip(0), again, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(model.features(samples), frames)


def test_htsat_hears_more_than_ten_seconds_in_crops() -> None:
    """EDTC-1: every 10 s on their own, and a rest of less than a second not at all."""
    torch.manual_seed(0)
    model = Htsat(Sizes(8, (1, 1, 1, 1), (2, 2, 4, 4))).eval()
    samples = torch.randn(1, 370_000) * 0.1
    with torch.inference_mode():
        found = model.features(samples)
        assert found.shape == (1, 64, 64)
        torch.testing.assert_close(found[:, 32:], model.features(samples[:, 320_000:]))
        assert model.features(samples[:, :330_000]).shape == (1, 32, 64)


def test_what_is_missing_is_named_at_once(tmp_path: Path) -> None:
    """All of it, with where it is to be had."""
    wanted = [public.CNN14, public.HTSAT], ["bart-base"]
    with pytest.raises(
        InputMissingError, match=r"needs public weights.*Cnn14_mAP=0\.431.*zenodo.*bart-base/"
    ):
        public.find(None, *wanted, "EDTC")
    (tmp_path / "bart-base").mkdir()
    with pytest.raises(InputMissingError) as refused:
        public.find(tmp_path, *wanted, "EDTC")
    assert "HTSAT_AudioSet_Saved_1.ckpt" in str(refused.value)
    assert "bart-base" not in str(refused.value)
