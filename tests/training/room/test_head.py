"""The head: fitted to embeddings that stand still."""

from pathlib import Path

import numpy as np
import torch

from edgecap.runtime.audio import CHUNK_SAMPLES
from edgecap.training.data.corpus import Corpus, Label
from edgecap.training.models.convnext import CausalConvNeXt
from edgecap.training.room.head import HeadSettings, fit_head, train_head
from edgecap.training.room.head_features import (
    ClipEmbeddings,
    PairEmbeddings,
    StreamEmbeddings,
    Stretches,
    Taught,
    clip_embeddings,
    lasting_embeddings,
    lived_in,
    pair_embeddings,
)
from edgecap.training.run_folder import Run
from edgecap.training.sound.bank import sound_labels
from edgecap.training.sound.compose import Composer
from edgecap.training.sound.taxonomy import UNLABELLED


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


def test_of_two_sounds_at_once_each_is_taught_as_if_it_were_alone() -> None:
    rng = torch.Generator().manual_seed(0)
    kinds = torch.randn(4, 16, generator=rng)
    nothing = StreamEmbeddings(
        torch.randn(100, 16, generator=rng), torch.zeros(100, 4, dtype=torch.bool), torch.ones(100, 4)
    )
    label = torch.arange(4).repeat(10)
    alone = ClipEmbeddings(
        kinds[label][:, None].repeat(1, 4, 1), torch.ones(40, 4, dtype=torch.bool), label,
        torch.zeros(40, 4, dtype=torch.bool), torch.zeros(40, dtype=torch.int64),
    )  # fmt: skip
    mixture = torch.randn(16, generator=rng)  # no sum of the two: what a net hears of both
    heard = torch.zeros(40, 6, 16)
    heard[:, 1:] = mixture
    mask = torch.zeros(40, 2, 6, dtype=torch.bool)
    mask[:, :, 1:] = True
    both = torch.tensor([[2, 3]]).repeat(40, 1)
    pairs = PairEmbeddings(heard, mask, both, torch.zeros(40, 4, dtype=torch.bool))
    nowhere = Stretches(torch.zeros(0, 6, 16), torch.zeros(0, 4), torch.zeros(0, 4))
    taught = Taught(nothing, alone, nowhere, nowhere, pairs)
    settings = HeadSettings(steps=150, pairs=2.0)
    for hidden in (0, 24):
        head = fit_head(taught, settings, hidden=hidden)
        assert head(mixture).topk(2).indices.sort().values.tolist() == [2, 3]
        assert head(kinds).argmax(1).tolist() == [0, 1, 2, 3]
    unheard = fit_head(taught, HeadSettings(steps=150))(mixture)  # no weight: as if there were no pairs
    assert torch.equal(unheard, fit_head(taught._replace(pairs=None), HeadSettings(steps=150))(mixture))


def test_what_others_take_a_clip_for_is_part_of_its_target() -> None:
    rng = torch.Generator().manual_seed(0)
    kinds = torch.randn(3, 16, generator=rng)
    streams = StreamEmbeddings(torch.zeros(50, 16), torch.zeros(50, 3, dtype=torch.bool), torch.ones(50, 3))
    streams.embeddings[0] = 1.0
    label = torch.arange(3).repeat(10)
    clips = ClipEmbeddings(
        kinds[label][:, None].repeat(1, 4, 1), torch.ones(30, 4, dtype=torch.bool), label,
        torch.zeros(30, 3, dtype=torch.bool), torch.zeros(30, dtype=torch.int64),
    )  # fmt: skip
    nowhere = Stretches(torch.zeros(0, 6, 16), torch.zeros(0, 3), torch.zeros(0, 3))
    settings = HeadSettings(steps=150, opinion=0.4)
    sure = fit_head(Taught(streams, clips, nowhere, nowhere), settings)(kinds)
    doubt = torch.eye(3)[label]
    doubt[label == 0] = torch.tensor([0.0, 1.0, 0.0])
    doubting = clips._replace(opinion=doubt)
    unsure = fit_head(Taught(streams, doubting, nowhere, nowhere), settings)(kinds)
    assert unsure[0, 1] > sure[0, 1]
    assert unsure.argmax(1).tolist() == [0, 1, 2]
    excused = doubting._replace(others=(label[:, None] == 0) & (torch.arange(3) == 1))
    assert fit_head(Taught(streams, excused, nowhere, nowhere), settings)(kinds)[0].argmax() == 0


def test_pairs_are_of_unlike_sounds_that_both_are_heard(composer: Composer) -> None:
    encoder = CausalConvNeXt("nano", 32, len(composer.labels)).eval()
    pairs = pair_embeddings(encoder, composer, 20, 1)
    assert pairs.embeddings.shape[:2] == pairs.mask.shape[::2] == (20, 16)
    assert (pairs.label[:, 0] != pairs.label[:, 1]).all()
    assert not composer.related[pairs.label[:, 0], pairs.label[:, 1]].any()
    assert not pairs.others.gather(1, pairs.label).any()
    assert pairs.mask.any(2).all()
    assert not pairs.mask[:, :, 0].any()  # hiss comes first


def test_at_home_a_sound_is_over_another_that_is_no_rival_of_it(composer: Composer) -> None:
    encoder = CausalConvNeXt("nano", 32, len(composer.labels)).eval()
    clips = composer.library.corpus.split("train")
    taken = clip_embeddings(encoder, composer, clips, takes=6, retake=lived_in(composer))
    near = clip_embeddings(encoder, composer, clips)
    n = len(near.label)
    assert torch.equal(taken.others[:n], near.others)
    rain = composer.library.index["rain"]
    over = taken.others[:, rain] & ~near.others.repeat(6, 1)[:, rain]
    assert over[n:].any()
    assert not taken.others.gather(1, taken.label[:, None]).any()
    assert (taken.onset[over] >= 4).all()  # the noise begins before it


def test_what_nobody_named_is_neither_drawn_nor_scored(composer: Composer) -> None:
    corpus = composer.library.corpus
    clips = [
        clip._replace(label=UNLABELLED) if clip.label == "rain" else clip for clip in corpus.split("train")
    ]
    names = [*(label.name for label in corpus.labels), UNLABELLED]
    known = Corpus(clips, [Label(name, name, "") for name in names], np.zeros(1, np.int16))
    labels = sound_labels(known, clips)
    assert UNLABELLED not in {label.name for label in labels}
    assert UNLABELLED not in Composer(known, clips, labels).library.names
