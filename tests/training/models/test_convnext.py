"""The public ConvNeXt-Tiny: its size, its checkpoint, its front end."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from edgecap.runtime.errors import BundleError, InputMissingError
from edgecap.training.frontend import CentredStft, LogMel
from edgecap.training.models.checkpoint import fill, read_tensors
from edgecap.training.models.convnext import WindowedConvNeXt, load_public

torch.set_num_threads(1)  # small nets: threads would wait for each other more than they work


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


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
