"""CLIP-AAC's parts: public names and shapes, independent computations of both heads, memory, graphs."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgecap.export.to_onnx import to_onnx
from edgecap.runtime.errors import BundleError, InputMissingError
from edgecap.training.clip_tokenizer import VOCABULARY, ClipTokenizer
from edgecap.training.losses import clip_contrastive, info_nce
from edgecap.training.models import clip_aac
from edgecap.training.models.convnext import CausalConvNeXt
from edgecap.training.models.esresnext import FRAME, HOP, EsResNeXt, Fbsp
from edgecap.training.models.gpt import GptConfig

torch.set_num_threads(1)
Shapes = dict[str, tuple[int, ...]]
SMALL_TEXT = clip_aac.TextHeadConfig(vocabulary=30, width=16, heads=2, layers=2, context=9)
SMALL_DECODER = GptConfig(vocabulary=30, width=16, heads=2, hidden=32, layers=1, max_tokens=8)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def batch_norm(name: str, width: int) -> Shapes:
    running = {f"{name}.{part}": (width,) for part in ("running_mean", "running_var")}
    return norm(name, width) | running | {f"{name}.num_batches_tracked": ()}


def published_audio(outputs: int) -> Shapes:
    """ESRNXFBSP.pt: 370 tensors, written down from the description of the file."""
    shapes: Shapes = {"window": (1654,), "fbsp.bias": (0,), "conv1.weight": (64, 3, 7, 7)}
    shapes |= {f"fbsp.{part}": (1025,) for part in ("m", "fb", "fc")} | batch_norm("bn1", 64)
    before = 64
    for layer, (blocks, planes) in enumerate(zip((3, 4, 6, 3), (64, 128, 256, 512), strict=True), 1):
        for block in range(blocks):
            name = f"layer{layer}.{block}"
            shapes[f"{name}.conv1.weight"] = (2 * planes, before if block == 0 else 4 * planes, 1, 1)
            shapes[f"{name}.conv2.weight"] = (2 * planes, 2 * planes // 32, 3, 3)
            shapes[f"{name}.conv3.weight"] = (4 * planes, 2 * planes, 1, 1)
            shapes |= batch_norm(f"{name}.bn1", 2 * planes) | batch_norm(f"{name}.bn2", 2 * planes)
            shapes |= batch_norm(f"{name}.bn3", 4 * planes)
        shapes[f"layer{layer}.0.downsample.0.weight"] = (4 * planes, before, 1, 1)
        shapes |= batch_norm(f"layer{layer}.0.downsample.1", 4 * planes)
        shapes |= branch(f"att{layer}", before, 4 * planes, (3, 1) if layer % 2 else (1, 5))
        before = 4 * planes
    shapes |= branch("att5", before, before, (3, 5))
    return shapes | {"fc.weight": (outputs, before), "fc.bias": (outputs,)}


def branch(name: str, before: int, after: int, kernel: tuple[int, int]) -> Shapes:
    shapes: Shapes = {f"{name}.conv_depth.weight": (before, 1, *kernel), f"{name}.conv_depth.bias": (before,)}
    shapes |= {f"{name}.conv_point.weight": (after, before, 1, 1), f"{name}.conv_point.bias": (after,)}
    return shapes | batch_norm(f"{name}.bn", after)


def published_text() -> Shapes:
    shapes: Shapes = {
        "token_embedding.weight": (49408, 512), "positional_embedding": (77, 512),
        "text_projection": (512, 1024),
    } | norm("ln_final", 512)  # fmt: skip
    for layer in range(12):
        name = f"transformer.resblocks.{layer}"
        shapes |= norm(f"{name}.ln_1", 512) | norm(f"{name}.ln_2", 512)
        shapes |= {f"{name}.attn.in_proj_weight": (1536, 512), f"{name}.attn.in_proj_bias": (1536,)}
        shapes |= {f"{name}.attn.out_proj.weight": (512, 512), f"{name}.attn.out_proj.bias": (512,)}
        shapes |= {f"{name}.mlp.c_fc.weight": (2048, 512), f"{name}.mlp.c_fc.bias": (2048,)}
        shapes |= {f"{name}.mlp.c_proj.weight": (512, 2048), f"{name}.mlp.c_proj.bias": (512,)}
    return shapes


def test_the_public_names_shapes_and_sizes() -> None:
    with torch.device("meta"):
        audio, tagger, text = (
            EsResNeXt(1024),
            EsResNeXt(527),
            clip_aac.TextHead(clip_aac.TextHeadConfig(), 1024),
        )
    for module, shapes in (
        (audio, published_audio(1024)), (tagger, published_audio(527)), (text, published_text())
    ):  # fmt: skip
        assert {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()} == shapes
    assert len(published_audio(1024)) == 370
    assert (count(audio), count(tagger), count(text)) == (32_104_771, 31_086_418, 63_690_240)
    assert count(audio) + count(text) == 95_795_011


def test_the_transform_is_that_of_complex_b_spline_wavelets() -> None:
    made = Fbsp(5).double()
    with torch.no_grad():
        made.m.copy_(torch.tensor([0.0, 1.0, 2.0, 1.5, 3.0]))
        made.fb.copy_(torch.tensor([1.0, 0.7, 1.3, 2.0, 0.5]))
        frames = torch.randn(1, 2, 64, dtype=torch.float64)
        found = made(frames)[0].numpy()
    t = np.pi * np.linspace(-1, 1, 64) + 1e-8
    for bin_, (m, fb) in enumerate(zip(made.m.tolist(), made.fb.tolist(), strict=True)):
        window = np.sinc(fb * t / (m + 1e-8) / np.pi).astype(complex) ** m
        kernel = np.sqrt(fb) * window * np.exp(-1j * bin_ * t) / np.sqrt(64)
        np.testing.assert_allclose(found[bin_], np.abs(frames[0].numpy() @ kernel) ** 2, rtol=1e-8)


@torch.no_grad()
def test_a_second_of_sound_goes_through_the_audio_head() -> None:
    torch.manual_seed(0)
    net = EsResNeXt(8, stages=(1, 1, 1, 1)).eval()
    samples = 0.1 * torch.randn(1, FRAME + 150 * HOP)
    bands = net.spectrogram(samples)
    assert bands.shape == (1, 3, 341, 151)
    hum = torch.sin(2 * torch.pi * 300 * torch.arange(44_100) / 44_100)[None]
    loudest = int(net.spectrogram(hum).mean(-1).flatten().argmax())
    assert loudest in (13, 14)  # 300 Hz of bins 21.5 Hz apart, in the lowest band
    features = net.features(samples)
    assert features.shape == (1, 2048, 11, 5)
    assert net.pool(features).shape == (1, 8)


@torch.no_grad()
def test_the_text_head_is_clip_s() -> None:
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=30, hidden_size=16, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=9, projection_dim=12, bos_token_id=28, eos_token_id=29, initializer_range=0.5,
    )  # fmt: skip
    torch.manual_seed(0)
    theirs = CLIPTextModelWithProjection(config).eval()
    source = {name.removeprefix("text_model."): tensor for name, tensor in theirs.state_dict().items()}
    ours = clip_aac.TextHead(SMALL_TEXT, 12).eval()
    filled: dict[str, Tensor] = {
        "token_embedding.weight": source["embeddings.token_embedding.weight"],
        "positional_embedding": source["embeddings.position_embedding.weight"],
        "text_projection": source["text_projection.weight"].T,
    }
    for part in ("weight", "bias"):
        filled[f"ln_final.{part}"] = source[f"final_layer_norm.{part}"]
        for layer in range(2):
            one, other = f"transformer.resblocks.{layer}", f"encoder.layers.{layer}"
            qkv = [source[f"{other}.self_attn.{name}_proj.{part}"] for name in "qkv"]
            filled[f"{one}.attn.in_proj_{part}"] = torch.cat(qkv)
            filled[f"{one}.attn.out_proj.{part}"] = source[f"{other}.self_attn.out_proj.{part}"]
            for name, their in (
                ("ln_1", "layer_norm1"), ("ln_2", "layer_norm2"), ("mlp.c_fc", "mlp.fc1"),
                ("mlp.c_proj", "mlp.fc2"),
            ):  # fmt: skip
                filled[f"{one}.{name}.{part}"] = source[f"{other}.{their}.{part}"]
    ours.load_state_dict(filled)
    tokens = torch.tensor([[28, 3, 4, 5, 29, 0], [28, 7, 29, 0, 0, 0]])
    wanted = theirs(input_ids=tokens).text_embeds
    torch.testing.assert_close(ours(tokens, torch.tensor([5, 3])), wanted, rtol=1e-4, atol=1e-5)


def write_vocabulary(folder: Path, merges: list[str]) -> Path:
    path = folder / VOCABULARY
    path.write_bytes(gzip.compress("\n".join(['"version"', *merges, ""]).encode()))
    return path


def test_captions_are_cut_into_clip_s_byte_pairs(tmp_path: Path) -> None:
    tokenizer = ClipTokenizer(write_vocabulary(tmp_path, ["d o", "do g</w>", "o g</w>", "r a"]), 8)
    assert len(tokenizer) == 512 + 4 + 2
    tokens, lengths = tokenizer.encode(["Dog's RAdog", "dog " * 9])
    begin, end, dog = 516, 517, 513
    apostrophe, s, ra = ord("'") - ord("!"), 256 + ord("s") - ord("!"), 515
    assert tokens[0, :6].tolist() == [begin, dog, apostrophe, s, ra, dog]
    assert tokens[0, lengths[0] - 1] == end
    assert tokens[1].tolist() == [begin, *[dog] * 6, end]  # too long: cut, and ended
    with pytest.raises(InputMissingError, match=r"byte pairs.*github.com/openai/CLIP"):
        ClipTokenizer(tmp_path / "other" / VOCABULARY)
    with pytest.raises(BundleError, match="zq"):
        ClipTokenizer(write_vocabulary(tmp_path, ["zq a"]))
    (tmp_path / VOCABULARY).write_bytes(b"no gzip")
    with pytest.raises(BundleError, match="can't be read"):
        ClipTokenizer(tmp_path / VOCABULARY)


def test_half_of_both_directions() -> None:
    torch.manual_seed(0)
    one, other = (nn.functional.normalize(torch.randn(6, 4), dim=-1) for _ in range(2))
    own = torch.eye(6, dtype=torch.bool)
    both = info_nce(one, other, own, 0.1) + info_nce(other, one, own, 0.1)
    torch.testing.assert_close(clip_contrastive(one, other, 10.0), both / 2)


@pytest.mark.parametrize("memory", ["vector", "map"])
def test_padding_moves_nothing_and_the_graphs_say_the_same(memory: clip_aac.Memory) -> None:
    import onnxruntime

    torch.manual_seed(1)
    model = clip_aac.ClipAac(clip_aac.FrameAudio(6, 10, 12), SMALL_TEXT, SMALL_DECODER, memory, 12).eval()
    frames = torch.randn(2, 7, 6)
    valid = torch.arange(7) < torch.tensor([[3], [7]])
    tokens = torch.tensor([[1, 5, 6, 2], [1, 7, 2, 0]])
    with torch.no_grad():
        audio, text, logits = model(
            frames.masked_fill(~valid[..., None], 9.0), valid, tokens, tokens, torch.tensor([4, 3])
        )
        alone = model(frames[:1, :3], None, tokens[:1], tokens[:1], torch.tensor([4]))
    torch.testing.assert_close(audio[:1], alone[0])
    torch.testing.assert_close(logits[:1], alone[2])
    torch.testing.assert_close(text.norm(dim=-1), torch.ones(2))
    adapter, prefill, step = clip_aac.graphs(model, 6)
    assert [export.graph.name for export in (adapter, prefill, step)] == [
        "adapter",
        "decoder_prefill",
        "decoder_step",
    ]
    session = onnxruntime.InferenceSession(to_onnx(adapter, {"batch": 1}), providers=["CPUExecutionProvider"])
    found = session.run(None, {"embeddings": frames[:1, :3].numpy()})
    with torch.no_grad():
        for one, other in zip(found, adapter.module(frames[:1, :3]), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)
    assert found[0].shape == (1, 1 if memory == "vector" else 3, 16)


@torch.no_grad()
def test_the_trunk_s_last_stage_goes_on_where_the_trunk_was_cut() -> None:
    torch.manual_seed(2)
    trunk = CausalConvNeXt("nano", 64, 4).eval()
    log_mel = torch.randn(2, 96, 64)
    audio = clip_aac.StageAudio("nano", 5, 6).eval()
    audio.stage.load_state_dict(trunk.stages[3].state_dict())
    audio.norm.load_state_dict(trunk.norm.state_dict())
    maps = trunk.before_last_stage(log_mel).transpose(1, 2).flatten(2)  # (B, n, C · M)
    heard = audio(maps)
    wanted = audio.head(trunk.norm(trunk.features(log_mel)))
    torch.testing.assert_close(heard.vector, wanted.vector)
