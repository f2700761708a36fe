"""What a trunk that stands still hears: once, kept, and the same whichever sounds are heard beside it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from edgecap.runtime.audio import CHUNK_SAMPLES, RATE, Samples
from edgecap.training.data.corpus import Clip
from edgecap.training.evaluation.context import Stage
from edgecap.training.evaluation.metrics.words import Names
from edgecap.training.evaluation.sounds.trunk import Amounts, Listener, joined, some_of_each
from edgecap.training.models.convnext import CausalConvNeXt
from edgecap.training.room.head_features import clip_embeddings, nearby
from edgecap.training.sound.compose import Composer
from tests import handmade

AMOUNTS = Amounts(hours=0.05, takes=2, pairs=4, lasting=1, held_out=None, scenes=2, minutes=1)


def listener(composer: Composer, folder: Path, trunk: str = "one") -> Listener:
    corpus = composer.library.corpus
    torch.manual_seed(0)
    encoder = CausalConvNeXt("nano", 32, len(composer.labels)).eval()
    stage = Stage(handmade.model(), corpus, Names(corpus.labels))
    return Listener(stage, encoder, trunk, composer, folder, AMOUNTS, lambda line: None)


def test_what_was_heard_is_kept_until_what_it_was_made_of_changes(composer: Composer, tmp_path: Path) -> None:
    asked: list[int] = []

    def hear() -> Iterator[torch.Tensor]:
        asked.append(1)
        yield torch.arange(3)

    first = listener(composer, tmp_path)
    assert first.kept("part", hear, size=1)[0].tolist() == [0, 1, 2]
    first.kept("part", hear, size=1)
    assert len(asked) == 1
    first.kept("part", hear, size=2)
    assert len(asked) == 2
    listener(composer, tmp_path, "another").kept("part", hear, size=2)
    assert len(asked) == 3


def test_a_sound_is_heard_as_if_it_were_alone(composer: Composer, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sounds = [rng.normal(0, 0.1, n * CHUNK_SAMPLES + 5).astype(np.float32) for n in (3, 7)]

    def sound(i: int) -> tuple[Samples, int]:
        return sounds[i], i * CHUNK_SAMPLES + 9

    one = listener(composer, tmp_path)
    both = one.hear(2, sound)
    assert both.ends.tolist() == [3, 10]
    assert both.onsets.tolist() == [0, 1]
    alone = one.hear(1, sound).embeddings.float()
    assert torch.allclose(both.embeddings[:3].float(), alone, atol=2e-3)  # kept in halves


def test_takes_that_were_heard_apart_are_those_that_were_heard_together(composer: Composer) -> None:
    torch.manual_seed(0)
    encoder = CausalConvNeXt("nano", 32, len(composer.labels)).eval()
    clips = composer.library.corpus.split("train")
    clean = clip_embeddings(encoder, composer, clips)
    other = clip_embeddings(encoder, composer, clips, clean=0, retake=nearby)
    together = joined([clean, other])
    n = len(clean.label)
    assert together.embeddings.shape[0] == together.mask.shape[0] == len(together.onset) == 2 * n
    assert together.embeddings.shape[1] == together.mask.shape[1]
    assert together.mask.sum().item() == clean.mask.sum().item() + other.mask.sum().item()
    longest = clean.mask.shape[1]
    assert torch.equal(together.embeddings[:n, :longest], clean.embeddings)
    assert torch.equal(together.label, clean.label.repeat(2))


def test_some_of_each_label_are_of_as_many_recordings_as_there_are() -> None:
    def clip(name: str, label: str, recording: str) -> Clip:
        return Clip(name, "made", recording, label, (label,), "train", "CC0", 0, RATE)

    clips = [clip("a", "dog", "1"), clip("b", "dog", "1"), clip("c", "dog", "2"), clip("d", "bell", "3")]
    assert [one.id for one in some_of_each(clips, 2)] == ["a", "c", "d"]
    assert some_of_each(clips, 9) == clips
