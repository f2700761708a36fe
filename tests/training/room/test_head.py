"""The head: fitted to embeddings that stand still."""

from pathlib import Path

import torch

from edgecap.runtime.audio import CHUNK_SAMPLES
from edgecap.training.models.convnext import CausalConvNeXt
from edgecap.training.room.head import HeadSettings, fit_head, train_head
from edgecap.training.room.head_features import (
    ClipEmbeddings,
    StreamEmbeddings,
    Stretches,
    Taught,
    clip_embeddings,
    lasting_embeddings,
)
from edgecap.training.run_folder import Run
from edgecap.training.sound.compose import Composer


def test_a_head_fitted_again_leaves_the_trunk_and_is_loaded_once_done(
    composer: Composer, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    encoder = CausalConvNeXt("nano", 32, len(composer.labels)).eval()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    clips = [
        clip
        for group in composer.library.pools.values()
        for recordings in group.values()
        for clip in recordings
    ]
    settings = HeadSettings(hours=0.05, steps=30)
    train_head(encoder, composer, clips, Run(tmp_path, "head"), settings)
    changed = {name for name, value in encoder.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"head.weight", "head.bias"}
    again = CausalConvNeXt("nano", 32, len(composer.labels))
    train_head(again, composer, clips, Run(tmp_path, "head"), settings)
    assert torch.equal(again.head.weight, encoder.head.weight)
    alone = clip_embeddings(encoder, composer, clips)
    clip = min(
        (c for c in clips if c.label in composer.library.index), key=lambda clip: clip.stop - clip.start
    )
    of_one = alone.embeddings[0]
    chunks = -(-(clip.stop - clip.start) // CHUNK_SAMPLES) + 1  # one of hiss comes before
    assert alone.mask.sum(1)[0] == chunks
    assert of_one[:chunks].abs().sum(1).all()
    assert not of_one[chunks:].any()
    again = clip_embeddings(encoder, composer, clips, takes=2)
    n = len(alone.label)
    assert torch.equal(again.embeddings[:n, : alone.mask.shape[1]], alone.embeddings)
    assert torch.equal(again.label, alone.label.repeat(2))
    assert all(
        not torch.equal(*pair) for pair in zip(again.embeddings[:n], again.embeddings[n:], strict=True)
    )


def test_a_head_learns_silence_from_streams_and_names_from_clips() -> None:
    rng = torch.Generator().manual_seed(0)
    kinds = torch.randn(4, 16, generator=rng)
    sounding = torch.randint(3, (600,), generator=rng)  # streams hold three of four sounds, and silence
    heard = torch.nn.functional.one_hot(sounding, 4).bool()
    heard[300:] = False
    embeddings = torch.where(heard.any(1, keepdim=True), kinds[sounding], torch.zeros(16))
    embeddings = embeddings + 0.3 * torch.randn(600, 16, generator=rng)
    label = torch.arange(4).repeat(10)
    sequences = torch.zeros(40, 6, 16)
    sequences[:, 2:5] = kinds[label][:, None]  # the sound is three chunks of six
    others = torch.zeros(40, 4, dtype=torch.bool)
    onset = torch.full((40,), 2)
    alone = ClipEmbeddings(sequences, torch.ones(40, 6, dtype=torch.bool), label, others, onset)
    streamed = StreamEmbeddings(embeddings, heard, torch.ones(600, 4, dtype=torch.bool))
    nowhere = Stretches(torch.zeros(0, 6, 16), torch.zeros(0, 4), torch.zeros(0, 4))
    told = Taught(streamed, alone, nowhere, nowhere)
    settings = HeadSettings(steps=150)
    head = fit_head(told, settings)
    assert head(kinds).argmax(1).tolist() == [0, 1, 2, 3]  # the fourth is known from its clips alone
    assert (head(torch.zeros(16)).sigmoid() < 0.2).all()
    excused = alone._replace(others=(label[:, None] == 2) & (torch.arange(4) == 3))
    assert head(kinds)[2, 3] < fit_head(told._replace(clips=excused), settings)(kinds)[2, 3]
    odd = kinds[3] + torch.randn(16, generator=rng)  # what a room sounds like for a moment
    rooms = torch.zeros(30, 6, 16)
    rooms[:, 2:5] = odd
    still = Stretches(rooms, torch.zeros(30, 4), torch.ones(30, 4))
    wiser = fit_head(told._replace(rooms=still), settings)
    assert wiser(odd)[3] < head(odd)[3] - 1
    assert wiser(kinds).argmax(1).tolist() == [0, 1, 2, 3]
    goes_on = Stretches(rooms, torch.tensor([0.0, 0, 0, 1]).repeat(30, 1), torch.ones(30, 4))
    assert fit_head(told._replace(lasting=goes_on), settings)(odd)[3] > wiser(odd)[3] + 1


def test_a_corpus_without_steady_sounds_has_nothing_lasting(composer: Composer) -> None:
    knocks = [clip for group in composer.library.pools["door_knock"].values() for clip in group]
    encoder = CausalConvNeXt("nano", 32, len(composer.labels)).eval()
    none = lasting_embeddings(encoder, Composer(composer.library.corpus, knocks, composer.labels), 0.05, 1)
    assert len(none.embeddings) == len(none.heard) == len(none.weight) == 0
    some = lasting_embeddings(encoder, composer, 0.05, 1)
    assert some.heard.sum(1).min() >= 1
    assert len(some.embeddings) == len(composer.library.pools["rain"])


def test_of_a_clip_that_has_only_begun_no_more_is_judged_than_was_heard(composer: Composer) -> None:
    encoder = CausalConvNeXt("nano", 32, len(composer.labels)).eval()
    clips = composer.library.corpus.split("train")
    alone = clip_embeddings(encoder, composer, clips)
    rows = torch.arange(len(alone.label))
    begun = alone.mask_for(rows, torch.full_like(rows, 2))
    heard = torch.minimum(alone.onset + 2, alone.mask.sum(1))
    assert torch.equal(begun.sum(1), heard)
    assert torch.equal(alone.mask_for(rows, torch.full_like(rows, 99)), alone.mask)
    assert (alone.onset >= 1).all()  # a chunk of hiss comes first
