"""Others' ears, asked the same: a probe of embeddings, taggers with thresholds, straight lines on vectors."""

import itertools

import numpy as np

from edgecap.runtime.audio import RATE
from edgecap.training.evaluation.peers import lines
from edgecap.training.evaluation.peers import mn04 as peers
from edgecap.training.evaluation.questions import probe
from tests import handmade
from tests.asked import LABELS, context


def test_a_probe_reads_what_is_there_and_only_from_train() -> None:
    rng = np.random.default_rng(0)
    clip = context(("bell", handmade.bell())).clips[0]
    splits = itertools.cycle(["train", "train", "val", "test"])
    clips = [clip._replace(label=f"label-{i % 5}", split=next(splits)) for i in range(120)]
    centres = rng.normal(size=(5, 16)) * 3
    told = np.array([centres[i % 5] for i in range(120)]) + rng.normal(size=(120, 16))
    assert probe.probe(told.astype(np.float32), clips)["top1"] > 0.95
    # An embedding that tells the label of train clips alone is worth nothing on the others.
    only_train = np.array([centres[i % 5] * (c.split == "train") for i, c in enumerate(clips)])
    assert probe.probe(only_train.astype(np.float32), clips)["top1"] < 0.5


def test_the_probe_is_at_the_least_of_its_loss() -> None:
    rng = np.random.default_rng(0)
    x, target = rng.normal(size=(90, 12)).astype(np.float32), np.arange(90) % 4
    weights, bias = probe.fit_logistic(x, target, 4, decay := 1e-2)
    logits = x @ weights.T + bias
    wrong = np.exp(logits) / np.exp(logits).sum(1, keepdims=True) - np.eye(4)[target]
    assert np.abs(wrong.T @ x / len(x) + 2 * decay * weights).max() < 1e-4  # float32 sums
    assert np.abs(wrong.mean(0)).max() < 1e-4


def test_the_streaming_embedding_is_the_mean_over_whole_chunks() -> None:
    tried = context(("bell", handmade.bell(1.1)))
    vector = probe.embed(tried.stage, tried.clips[0])
    assert vector.shape == (4,)
    assert vector[0] > vector[1]  # the bell's channel over the dog's


def test_a_tagger_speaks_from_its_threshold_on_and_when_its_best_changes() -> None:
    clip = context(("bell", handmade.bell())).clips[0]
    names = {3: frozenset({"bell"}), 5: frozenset({"dog_bark"})}
    scores = np.zeros((3, 10), np.float32)  # of three windows
    scores[0, 3], scores[1, [3, 9]], scores[2, 5] = 0.2, (0.4, 0.9), 0.5
    tagged = peers.Tagged(clip, RATE, scores)

    def named(say: peers.Rule, threshold: float) -> list[set[str]]:
        return [set(one.named) for one in say(tagged, threshold, names).said]

    assert named(peers.best_window, 0.3) == [set()]  # a class that no label has: spoken, and wrong
    assert named(peers.best_known, 0.3) == [{"dog_bark"}]
    assert named(peers.as_it_goes, 0.3) == [{"bell"}, {"dog_bark"}]
    assert named(peers.as_it_goes, 0.1) == [{"bell"}, {"dog_bark"}]  # two windows of one class: said once
    assert named(peers.as_it_goes, 0.6) == []
    assert peers.best_threshold([tagged], names, peers.as_it_goes) <= 0.4


def test_each_class_of_a_tagger_gets_the_threshold_that_its_own_clips_ask_for() -> None:
    tried = context(*[("bell", handmade.bell())] * 4, *[("dog_bark", handmade.bell())] * 4)
    names = {3: frozenset({"bell"}), 5: frozenset({"dog_bark"})}
    scores = np.zeros((8, 1, 10), np.float32)
    scores[:, 0, 3] = [0.9, 0.8, 0.8, 0.9, 0.5, 0.5, 0.6, 0.5]  # sure of a bell, even where there is none
    scores[4:, 0, 5] = 0.1
    tagged = [peers.Tagged(clip, RATE, each) for clip, each in zip(tried.clips, scores, strict=True)]
    thresholds = peers.class_thresholds(tagged, names)
    assert 0.6 < thresholds[3] <= 0.8
    assert thresholds[5] <= 0.1
    each = [peers.as_it_goes(one, thresholds, names) for one in tagged]
    assert all(uttered.first_right for uttered in each)
    one = peers.best_threshold(tagged, names, peers.as_it_goes)
    assert not all(peers.as_it_goes(each, one, names).first_right for each in tagged)


def test_a_label_without_a_class_is_named_by_the_one_that_rises_where_it_sounds() -> None:
    tried = context(("bell", handmade.bell()), ("dog_bark", handmade.bell()), ("speech", handmade.bell()))
    scores = np.full((3, 2, 10), 0.1, np.float32)
    scores[:, :, 2] = 0.8  # whatever is heard
    scores[1, 1, 7] = 0.5
    tagged = [peers.Tagged(clip, RATE, each) for clip, each in zip(tried.clips, scores, strict=True)]
    names = {3: frozenset({"bell"}), 4: frozenset({"speech"}), 7: frozenset({"bell"})}
    found = peers.with_nearest(names, tagged, LABELS)
    assert found == {**names, 7: frozenset({"bell", "dog_bark"})}  # a room is quiet in none of them


def test_a_line_says_what_it_learnt_to_and_nothing_of_rooms() -> None:
    rng = np.random.default_rng(0)
    kinds = rng.normal(size=(3, 8)).astype(np.float32)
    labels = ["bell", "dog_bark", "room_tone"] * 10
    heard = lines.Heard(
        np.stack([kinds[i % 3] + 0.1 * rng.normal(size=8) for i in range(60)]).astype(np.float32),
        np.arange(60) % 30,
    )
    peer = lines.Peer("made", lines.fit_line(heard, labels), 0.5)
    clip = context(("bell", handmade.bell())).clips[0]
    windows = np.stack([kinds[2], kinds[0], kinds[0], kinds[1], np.zeros(8, np.float32) + kinds.mean(0)])
    said = peer.say(lines.Asked(clip, RATE, windows), {"bell": frozenset({"bell", "chime"})}).said
    assert [one.text for one in said[:2]] == ["bell", "dog_bark"]
    assert [one.at for one in said[:2]] == [lines.WINDOW + RATE, lines.WINDOW + 3 * RATE]
    assert said[0].named == {"bell", "chime"}
    logits = lines.out_of_fold(heard, labels, [f"made:{i}" for i in range(30)], ["bell", "dog_bark", "siren"])
    assert logits.shape == (30, 3)
    assert (logits.argmax(1)[::3] == 0).all()
    assert (logits[:, 2] <= logits.min(1)).all()  # no fold has heard one


def test_no_recording_teaches_the_line_that_judges_it() -> None:
    vectors = np.eye(6, dtype=np.float32)  # each clip alike to none but itself
    heard = lines.Heard(np.repeat(vectors, 2, 0), np.repeat(np.arange(6), 2))
    labels = ["bell", "dog_bark"] * 3
    by_clip = lines.out_of_fold(heard, labels, [f"made:{i}" for i in range(6)], ["bell", "dog_bark"], folds=3)
    one = lines.fit_line(heard, labels).logits(vectors)
    assert (one.argmax(1) == [0, 1] * 3).all()  # it knows by heart what it heard
    assert np.ptp(by_clip, axis=1).max() < np.ptp(one, axis=1).min()
