"""Step = forward for every streaming module, however the stream is cut; and how far back each sees."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from edgecap.training.models.convnext import SIZES, CausalBlock, CausalConvNeXt, Size
from edgecap.training.models.gpt import GptConfig, GptDecoder
from edgecap.training.streaming import CausalDepthwise
from tests.laws_streaming import State, Stream, assert_causal, assert_streams_equal

torch.set_num_threads(1)  # small nets: threads would wait for each other more than they work

chunkings = st.lists(st.integers(1, 5), min_size=1, max_size=6)


def stirred(module: torch.nn.Module) -> Any:
    """Random weights big enough that a lost column would show, in eval mode and without gradients."""
    torch.manual_seed(1)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3 if parameter.dim() > 1 else 1.0)
    for name, buffer in module.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_()
    return module.eval().requires_grad_(False)


def one_tensor(module: CausalDepthwise | CausalBlock, channels: int, mels: int) -> Stream:
    def step(x: Tensor, state: State) -> tuple[Tensor, State]:
        y, past = module.step(x, state["past"])
        return y, {"past": past}

    return Stream(lambda: {"past": torch.zeros(2, channels, 6, mels)}, step, module, axis=2)


def encoder_stream(encoder: CausalConvNeXt, batch: int) -> Stream:
    return Stream(lambda: encoder.initial_state(batch), encoder.step, encoder, chunk=32)


def decoder_stream(decoder: GptDecoder, memory: Tensor, beams: int) -> Stream:
    """One memory for all beams, as in a beam search; time is the token's position."""
    cross = decoder.prefill(memory)

    def step(tokens: Tensor, state: State) -> tuple[Tensor, State]:
        rows = []
        position, cache = state["position"], {name: state[name] for name in ("keys", "values")}
        for token in tokens.T:
            log_probs, cache = decoder.step(token, position, *cross, cache)
            position = position + 1
            rows.append(log_probs)
        return torch.stack(rows, dim=1), {**cache, "position": position}

    def whole(tokens: Tensor) -> Tensor:
        logits: Tensor = decoder(tokens, memory.expand(beams, -1, -1))
        return logits.log_softmax(-1)

    return Stream(
        lambda: {**decoder.initial_state(beams), "position": torch.zeros(1, dtype=torch.int64)}, step, whole
    )


DEPTHWISE = one_tensor(stirred(CausalDepthwise(3)), 3, 4)
BLOCK = one_tensor(stirred(CausalBlock(4)), 4, 4)
NANO = encoder_stream(stirred(CausalConvNeXt("nano", 32, 5)), batch=2)
DECODER = decoder_stream(
    stirred(GptDecoder(GptConfig(vocabulary=11, width=16, heads=2, hidden=24, layers=2, max_tokens=9))),
    torch.randn(1, 7, 16, generator=torch.Generator().manual_seed(2)),
    beams=3,
)
SMALL = {
    "depthwise": (DEPTHWISE, torch.randn(2, 3, 17, 4)),
    "block": (BLOCK, torch.randn(2, 4, 17, 4)),
    "encoder": (NANO, 30 * torch.randn(2, 32 * 6, 32) - 40),
    "decoder": (DECODER, torch.randint(11, (3, 9))),
}


@pytest.mark.parametrize("name", SMALL)
@given(chunks=chunkings)
@settings(max_examples=12, deadline=None)
def test_steps_equal_forward(name: str, chunks: list[int]) -> None:
    stream, x = SMALL[name]
    assert_streams_equal(stream, x, chunks)


@pytest.mark.parametrize("size", ["atto", "pico", "tiny"])
def test_the_presets_stream(size: str) -> None:
    torch.manual_seed(3)
    encoder = CausalConvNeXt(size, 64, 20).eval().requires_grad_(False)
    assert_streams_equal(encoder_stream(encoder, 1), 30 * torch.randn(1, 32 * 6, 64) - 40, [1, 3, 2])


def test_in_float64_the_law_holds_to_the_last_digits() -> None:
    encoder = stirred(CausalConvNeXt("nano", 32, 5)).double()
    x = 30 * torch.randn(1, 32 * 9, 32, dtype=torch.float64) - 40
    assert_streams_equal(encoder_stream(encoder, 1), x, [1, 2, 5], atol=1e-11)


@pytest.mark.parametrize("name", ["depthwise", "block", "encoder"])
@pytest.mark.parametrize("at", [1, 4])
def test_later_input_never_changes_earlier_output(name: str, at: int) -> None:
    stream, x = SMALL[name]
    assert_causal(stream, x, at)


def test_a_later_token_never_changes_an_earlier_prediction() -> None:
    tokens = torch.randint(11, (3, 9))
    changed = tokens.clone()
    changed[:, 5:] = (changed[:, 5:] + 1) % 11
    torch.testing.assert_close(DECODER.whole(tokens)[:, :5], DECODER.whole(changed)[:, :5], rtol=0, atol=0)


@pytest.mark.parametrize(("depths", "last"), [((2, 2, 6, 2), 34), ((3, 3, 9, 3), 51)])
def test_receptive_field(
    monkeypatch: pytest.MonkeyPatch, depths: tuple[int, int, int, int], last: int
) -> None:
    """Frame 0 reaches embeddings 0 … `last`, all of them and no further."""
    monkeypatch.setitem(SIZES, "thin", Size((4, 4, 4, 4), depths))
    encoder = stirred(CausalConvNeXt("thin", 32, 1))
    x = torch.zeros(1, 32 * (last + 5), 32)
    x[:, 0] = torch.nan  # reaches whatever looks at it, where a number could fade below the last digit
    reached = encoder.features(x)[0].isnan().any(-1)
    assert reached.nonzero().flatten().tolist() == list(range(last + 1))


def test_a_chunk_that_is_no_multiple_of_32_frames_is_refused() -> None:
    encoder = CausalConvNeXt("nano", 32, 5)
    with pytest.raises(ValueError, match="33 frames; a chunk is a multiple of 32"):
        encoder.step(torch.zeros(1, 33, 32), encoder.initial_state())


COUNTS = [  # size, mels, parameters with 527 classes, state tensors, state floats
    ("atto", 64, 3_542_535, 12, 46_080),
    ("atto", 128, 3_542_663, 12, 92_160),
    ("atto", 224, 3_542_855, 12, 161_280),
    ("pico", 64, 8_801_103, 12, 73_728),
    ("pico", 128, 8_801_231, 12, 147_456),
    ("pico", 224, 8_801_423, 12, 258_048),
    ("tiny", 64, 28_222_447, 18, 165_888),
    ("tiny", 128, 28_222_575, 18, 331_776),
    ("tiny", 224, 28_222_767, 18, 580_608),
]


@pytest.mark.parametrize(("size", "mels", "parameters", "tensors", "floats"), COUNTS)
def test_sizes(size: str, mels: int, parameters: int, tensors: int, floats: int) -> None:
    with torch.device("meta"):
        encoder = CausalConvNeXt(size, mels, 527)
    state = encoder.initial_state()
    assert sum(p.numel() for p in encoder.parameters()) == parameters
    assert (len(state), sum(t.numel() for t in state.values())) == (tensors, floats)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 9), st.integers(1, 6), st.integers(0, 2**16))
def test_the_quick_gradients_of_a_depthwise_convolution_are_torchs_own(
    batch: int, channels: int, times: int, mels: int, seed: int
) -> None:
    torch.manual_seed(seed)
    layer = CausalDepthwise(channels).double()
    x = torch.randn(batch, channels, times, mels, dtype=torch.float64, requires_grad=True)
    wanted = torch.randn(batch, channels, times, mels, dtype=torch.float64)
    found = []
    for mode in (True, False):  # in training mode by our own function, else by torch's
        y = layer.train(mode)(x)
        found.append((y, *torch.autograd.grad((y * wanted).sum(), (x, layer.weight, layer.bias))))
    for ours, torchs in zip(*found, strict=True):
        assert torch.allclose(ours, torchs, rtol=1e-9, atol=1e-9)
