"""BLAT: tags in every word, the search, the published sizes and names, what each stage learns."""

from collections.abc import Iterator
from itertools import pairwise, product
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgecap.runtime.errors import BundleError
from edgecap.training.models import public
from edgecap.training.models.blat import TagCaptioner, TaggedConfig, beam_search, public_blat
from edgecap.training.tokenizer import BOS, EOS, PAD

SMALL = TaggedConfig(
    input=6, gru=4, gru_layers=2, width=8, layers=1, heads=2, hidden=16, tags=5, max_tokens=12
)


def clips() -> tuple[torch.Tensor, torch.Tensor]:
    valid = torch.tensor([[True] * 4, [True, True, False, False]])
    return torch.randn(2, 4, 6), valid


def test_sizes_are_the_paper_s() -> None:
    """123,670,465 numbers in the towers, under the public file's names; the captioner's GRU and decoder."""
    with torch.device("meta"):
        towers = public_blat()
        captioner = TagCaptioner(TaggedConfig(), 4981)
    assert sum(p.numel() for p in towers.parameters()) == 123_670_465
    names = set(towers.state_dict())
    assert {"audio_proj.weight", "text_proj.bias", "logit_scale", "audio_encoder.bn0.weight",
            "text_encoder.model.embeddings.word_embeddings.weight"} <= names  # fmt: skip
    assert captioner.tags.shape == (527, 256)
    assert captioner.output.bias is None
    gru = sum(p.numel() for p in captioner.gru.parameters())
    first, later = 3 * 256 * (2048 + 256 + 2), 3 * 256 * (512 + 256 + 2)
    assert gru == 2 * (first + 2 * later)


def test_blat_s_file_fills_the_towers_and_a_wrong_shape_is_named() -> None:
    """Of the layout alone, without memory."""
    with torch.device("meta"):
        shapes = public_blat().state_dict()
    tensors = {name: torch.empty_like(tensor, device="meta") for name, tensor in shapes.items()}
    public.fill_empty(public_blat, tensors, Path(public.BLAT.file))
    tensors["text_proj.weight"] = torch.empty(1024, 768, device="meta")
    with pytest.raises(BundleError, match=r"text_proj\.weight is 1024×768, expected 1024×512"):
        public.fill_empty(public_blat, tensors, Path(public.BLAT.file))


def test_every_word_is_told_the_mean_of_the_tags() -> None:
    """Whatever their order; a tag that a clip has not changes nothing, one that it has changes every word."""
    torch.manual_seed(0)
    model = TagCaptioner(SMALL, 20).eval()
    frames, valid = clips()
    tokens = torch.tensor([[BOS, 5, 6, 7], [BOS, 8, 9, EOS]])
    tags = torch.tensor([[1.0, 0, 1, 0, 0], [0, 0, 0, 0, 0]])
    torch.testing.assert_close(model.event(tags)[0], (model.tags[0] + model.tags[2]) / 2)
    assert not model.event(tags)[1].any()
    before = model(frames, valid, tags, tokens)
    with torch.no_grad():
        model.tags[3] += 1.0
    torch.testing.assert_close(model(frames, valid, tags, tokens), before)
    with torch.no_grad():
        model.tags[2] += 1.0
    after = model(frames, valid, tags, tokens)
    assert (after[0] - before[0]).abs().amax(1).min() > 1e-4  # at each of the positions
    torch.testing.assert_close(after[1], before[1])


def test_what_is_not_real_is_not_heard() -> None:
    """Frames after a clip's end, and the clips beside it."""
    torch.manual_seed(0)
    model = TagCaptioner(SMALL, 20).eval()
    frames, valid = clips()
    tokens, tags = torch.tensor([[BOS, 8, 9, EOS]] * 2), torch.zeros(2, 5)
    alone = model(frames[1:, :2], valid[1:, :2], tags[1:], tokens[1:])
    torch.testing.assert_close(model(frames, valid, tags, tokens)[1:], alone, atol=1e-5, rtol=1e-5)


@given(seed=st.integers(0, 10_000))
def test_the_search_finds_the_best_of_all_sentences(seed: int) -> None:
    """A beam that is wide enough for all of a tiny language finds what trying each sentence finds."""
    torch.manual_seed(seed)
    vocabulary, longest = 6, 6
    table = torch.randn(vocabulary, vocabulary) * 2

    def following(tokens: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return table[tokens[:, -1]]

    steps = table.log_softmax(-1)
    words = [4, 5]
    # Three words at least; four and their end, or five that were cut, at most.
    said = [[BOS, *some, EOS] for n in (3, 4) for some in product(words, repeat=n)]
    said += [[BOS, *some] for some in product(words, repeat=5)]

    def score(one: list[int]) -> float:
        return sum(float(steps[x, y]) for x, y in pairwise(one)) / (len(one) - 1)

    for row in beam_search(following, 2, 64, longest, torch.device("cpu")).tolist():
        found = [token for token in row if token != PAD]
        assert found in said
        assert score(found) == pytest.approx(max(map(score, said)), abs=1e-5)  # some are equally good


def test_towers_learn_pairs() -> None:
    """Each clip's own sentence is the nearest in the end."""
    from edgecap.training.models.blat import Towers, TowersConfig
    from edgecap.training.papers.blat import Paired, PairStage, train_pairs

    torch.manual_seed(0)
    model = Towers(TowersConfig(audio=12, text=10, width=8))
    sound, text = torch.randn(16, 12), torch.randn(16, 10)

    def batches(begin: int) -> Iterator[Paired]:
        while True:
            yield Paired((sound,), text)

    train_pairs(model, batches, PairStage(steps=150, batch=16, learning_rate=0.01), None)
    with torch.no_grad():
        nearest = (model.hear(sound) @ model.read(text).T).argmax(1)
    assert nearest.tolist() == list(range(16))


def test_blat_hears_only_what_is_real() -> None:
    """Its clip vector is max + mean over the valid frames."""
    from edgecap.training.models.cnn14 import BlatCnn14

    torch.manual_seed(0)
    trunk = BlatCnn14((4, 8, 8, 8, 16, 32)).eval()
    frames = torch.randn(2, 5, 32)
    valid = torch.tensor([[True] * 5, [True, True, False, False, False]])
    torch.testing.assert_close(trunk.clip_vector(frames, valid)[1:], trunk.clip_vector(frames[1:, :2]))
