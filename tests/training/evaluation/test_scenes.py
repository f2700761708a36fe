"""Held-out scenes: what is true of them, how captions are held against it, and what must be beaten."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from edgecap.runtime.audio import CHUNK_SAMPLES, RATE
from edgecap.runtime.errors import DataError
from edgecap.runtime.session import Model
from edgecap.training.data.corpus import Clip, Corpus, Label
from edgecap.training.evaluation.captioned import open_model
from edgecap.training.evaluation.context import Context, Stage
from edgecap.training.evaluation.metrics.words import Names
from edgecap.training.evaluation.peers import baselines
from edgecap.training.evaluation.peers.baselines import Answers, Scenes
from edgecap.training.evaluation.questions import comparison
from edgecap.training.evaluation.questions.retrieval import retrieval
from edgecap.training.evaluation.sounds import outcomes, scenes
from edgecap.training.prepare.plan import Piece, Plan, PlannedSound
from edgecap.training.sound.compose import Event, Scene

LABELS = [
    Label("dog_bark", "a dog barks", "animals"),
    Label("rain", "rain falls", "weather"),
    Label("man_speech", "a man speaks", "human voice"),
    Label("speech", "someone speaks", "human voice"),
    Label("bell", "a bell rings", "alarms"),
]
DOG, RAIN, MAN, SPEECH, BELL = range(len(LABELS))


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """Two clips of two seconds for every label and split; each label has its own pitch."""
    clips, samples = [], []
    time = np.arange(2 * RATE) / RATE
    for split in ("train", "val", "test"):
        for i, label in enumerate(LABELS):
            for k in range(2):
                begin = len(samples) * 2 * RATE
                name = f"{label.name}-{split}-{k}"
                clip = Clip(
                    name, "made", name, label.name, (label.name,), split, "CC0", begin, begin + 2 * RATE
                )
                clips.append(clip)
                samples.append(9000 * np.sin(2 * np.pi * 200 * (i + 1) * (1 + 0.02 * k) * time))
    return Corpus(clips, LABELS, np.concatenate(samples).astype(np.int16))


@pytest.fixture(scope="module")
def model(tiny_bundle: Path) -> Model:
    return open_model(str(tiny_bundle))


def event(label: int, first: int, last: int, level_db: float, chunks: int = 20) -> Event:
    active = np.zeros(chunks, bool)
    active[first:last] = True
    return Event((label,), active, level_db, True)


def test_references_tell_what_can_be_heard_and_leave_out_what_is_drowned() -> None:
    silence = np.zeros(20 * CHUNK_SAMPLES, np.float32)
    both = scenes.truth(Scene(silence, [event(DOG, 2, 6, -20), event(RAIN, 0, 20, -30)]), LABELS)
    assert both.labels == {"dog_bark", "rain"}
    assert both.references == (
        "a dog barks while rain is falling",
        "rain is falling while a dog barks",
        "a dog barks and rain is falling",
    )
    drowned = scenes.truth(Scene(silence, [event(DOG, 2, 6, -50), event(RAIN, 0, 20, -20)]), LABELS)
    assert drowned == scenes.Known(("rain is falling",), frozenset({"rain"}))
    assert scenes.truth(Scene(silence, []), LABELS) == scenes.Known((), frozenset())


def test_no_reference_is_half_of_the_sentence() -> None:
    for sentence in ("a dog barks, then a bell rings", "a dog barks while rain is falling"):
        for variant in scenes.variants(sentence):
            named = Names(LABELS)(variant)
            assert named == Names(LABELS)(sentence)
            assert len(named) == 2


def test_the_same_spec_is_the_same_scene_of_the_splits_own_clips(corpus: Corpus) -> None:
    one, again = (scenes.make(corpus, scenes.Spec("test", 3, 5)) for _ in range(2))
    assert np.array_equal(one.samples, again.samples)
    assert one.known == again.known
    assert not np.array_equal(one.samples, scenes.make(corpus, scenes.Spec("val", 3, 5)).samples)
    assert 0 < one.first < one.last <= len(one.samples) // CHUNK_SAMPLES
    used = scenes._composer(corpus, "test").library.pools
    splits = {c.split for pool in used.values() for clips in pool.values() for c in clips}
    assert splits == {"test"}


def test_a_plan_may_not_play_another_splits_recording(corpus: Corpus) -> None:
    def plan(clip: str) -> Plan:
        piece = Piece(clip, 0, 2 * RATE, RATE, 2 * RATE)
        sounds = (PlannedSound("dog_bark", (piece,), -20.0),)
        return Plan("people:1", "A dog is barking", "dog", 15, 1, -70.0, sounds, ("Dogs bark",))

    outcomes._check_held_out(corpus, [plan("dog_bark-test-0")], "test")
    with pytest.raises(DataError, match=r"people:1 of the split test plays the clip dog_bark-train-0"):
        outcomes._check_held_out(corpus, [plan("dog_bark-test-0"), plan("dog_bark-train-0")], "test")
    known = scenes.make(corpus, scenes.Spec("test", 0, 0, plan("dog_bark-test-0"))).known
    assert known == scenes.Known(("A dog is barking", "Dogs bark"), frozenset({"dog_bark"}))


def shown(text: str, named: set[str], start: float, end: float) -> scenes.Shown:
    return scenes.Shown(text, frozenset(named), start, end)


@pytest.mark.parametrize(
    ("captions", "sentence"),
    [
        ([], ""),
        ([shown("A dog barks.", {"dog"}, 1, 2)], "A dog barks."),
        (
            [shown("Rain is falling.", {"rain"}, 4, 9), shown("A dog barks.", {"dog"}, 1, 3)],
            "A dog barks, then rain is falling.",
        ),
        (
            [shown("A dog barks.", {"dog"}, 1, 3), shown("A bell rings.", {"bell"}, 3, 3.5),
             shown("Rain is falling.", {"rain"}, 4, 9)],
            "A dog barks, then rain is falling.",
        ),
        ([shown("A dog barks.", {"dog"}, 1, 3), shown("A dog barks.", {"dog"}, 5, 6)], "A dog barks."),
        (
            [shown("A dog barks while rain is falling.", {"dog", "rain"}, 1, 5),
             shown("A bell rings.", {"bell"}, 6, 8)],
            "A dog barks while rain is falling.",
        ),
    ],
)  # fmt: skip
def test_a_scene_gets_one_sentence_of_the_captions_that_stood_longest(
    captions: list[scenes.Shown], sentence: str
) -> None:
    assert scenes.join(captions) == sentence


def test_events_are_counted_by_hand() -> None:
    classes = scenes.Classes(LABELS)
    named = [{"dog_bark"}, {"dog_bark", "rain"}, set(), {"speech"}]
    true = [{"dog_bark"}, {"dog_bark", "bell"}, {"rain"}, {"man_speech"}]
    events = classes.events([frozenset(s) for s in named], [frozenset(s) for s in true])
    scores = classes.scores(events)
    assert scores["micro"] == pytest.approx({"precision": 2 / 4, "recall": 2 / 5, "f1": 4 / 9})
    assert scenes.micro_f1(events) == pytest.approx(4 / 9)
    assert scores["kin"]["precision"] == pytest.approx(3 / 4)  # "someone speaks" is true of a man
    assert scores["kin"]["recall"] == pytest.approx(3 / 5)
    assert scores["by class"]["dog_bark"]["f1"] == 1.0
    assert scores["by class"]["dog_bark"]["scenes"] == 2
    assert np.isnan(scores["macro"]["f1"])  # no class is in eight scenes
    assert "door_knock" not in scores["by class"]


@pytest.mark.parametrize(
    ("caption", "named"),
    [
        ("Possibly a dog barks.", {"dog_bark"}),
        ("A dog barks, then a bell rings.", {"dog_bark", "bell"}),
        ("A dog barks while a man is talking nearby.", {"dog_bark", "man_speech"}),
        ("A dog is barking in the distance as it rains", {"dog_bark", "rain"}),
        ("Something loud.", set()),
    ],
)
def test_other_words_for_a_sound_name_it_too(caption: str, named: set[str]) -> None:
    assert Names(LABELS)(caption) == named


def test_labels_of_one_clause_are_one_class() -> None:
    labels = [
        Label("blender", "a blender is running", "home"),
        Label("mixer", "a blender is running", "home"),
    ]
    classes = scenes.Classes(labels)
    events = classes.events([frozenset({"blender", "mixer"})], [frozenset({"mixer"})])
    assert classes.scores(events)["micro"]["f1"] == 1.0


def tagged(rows: list[list[float]]) -> np.ndarray:
    return np.array(rows, np.float32)


def made_up(count: int) -> tuple[Scenes, baselines.Templates]:
    """Scenes of one sound each, that a tagger tells well; the bell it scores a tenth as high as the rest."""
    rng = np.random.default_rng(count)
    tags, references, labels = [], [], []
    for i in range(count):
        label = (DOG, RAIN, BELL)[i % 3]
        scores = rng.uniform(0, 0.03, (3, 3))
        scores[1, i % 3] = 0.06 if label == BELL else 0.6
        scores[:, 0] += 0.1  # a dog is heard in everything, a little
        tags.append(scores.astype(np.float32))
        clause = {DOG: "a dog barks", RAIN: "rain is falling", BELL: "a bell rings"}[label]
        references.append((clause,))
        labels.append(frozenset({LABELS[label].name}))
    return Scenes(tags, None, references, labels), baselines.Templates(LABELS, [DOG, RAIN, BELL])


def test_templates_say_what_the_tagger_hears_in_the_words_of_our_captions() -> None:
    tagger = baselines.Templates(LABELS, [DOG, RAIN, BELL])
    at = np.full(3, 0.5)
    answers = tagger.answer(
        [
            tagged([[0.9, 0.1, 0.0], [0.9, 0.6, 0.0]]),
            tagged([[0.9, 0, 0], [0, 0, 0.7]]),
            tagged([[0.1, 0.2, 0.3]]),
        ],
        at,
    )
    assert answers.sentences == ["a dog barks while rain is falling", "a dog barks, then a bell rings", ""]
    assert answers.named == [{"dog_bark", "rain"}, {"dog_bark", "bell"}, frozenset()]


def test_thresholds_are_tuned_and_each_class_gets_its_own_where_that_helps() -> None:
    val, tagger = made_up(30)
    test, _ = made_up(24)
    classes = scenes.Classes(LABELS)

    def f1(answers: Answers, of: Scenes) -> float:
        return scenes.micro_f1(classes.events(answers.named, of.labels))

    thresholds, how = tagger.tune(val, f1)
    assert how == "one for each class"
    assert f1(tagger.answer(test.tags, thresholds), test) == 1.0
    one = tagger._one(val, f1)
    assert f1(tagger.answer(test.tags, one), test) < 0.9
    thresholds, _ = tagger.tune(val, baselines.cider)
    best = Answers([some[0] for some in test.references], test.labels)
    assert baselines.cider(tagger.answer(test.tags, thresholds), test) == baselines.cider(best, test)


def test_a_class_speaks_of_the_label_that_training_has_most_of() -> None:
    named = {7: frozenset({"speech", "man_speech"}), 3: frozenset({"unknown"}), 9: frozenset({"rain"})}
    tagger, columns = baselines.templates(LABELS, named, Counter(man_speech=5, speech=9, rain=1))
    assert columns == [7, 9]
    assert tagger.answer([tagged([[0.9, 0.0]])], np.full(2, 0.5)).named == [{"speech"}]
    with pytest.raises(DataError, match="no class"):
        baselines.templates(LABELS, {3: frozenset({"unknown"})}, Counter())


def test_the_nearest_and_the_usual_caption() -> None:
    semantic = np.array([[0.9, 0.1], [-0.2, 3.0]], np.float32)
    empty = np.zeros((1, 0), np.float32)
    references = [("a dog barks",), ("rain is falling",)]
    some = Scenes([empty] * 2, semantic, references, [frozenset({"dog_bark"}), frozenset({"rain"})])
    names = Names(LABELS)
    vectors = np.eye(2, dtype=np.float32)
    found = baselines.nearest_sentence(some, ["a dog barks", "rain is falling"], vectors, names)
    assert found.sentences == ["a dog barks", "rain is falling"]
    assert found.named == [{"dog_bark"}, {"rain"}]
    twice = Scenes(
        [empty] * 4,
        np.array([[0.9, 0.1], [1, 0], [0.8, 0.2], [0, 1]], np.float32),
        [("a bell rings",), ("a dog barks",), ("a dog barks loudly",), ("rain is falling",)],
        [frozenset[str]()] * 4,
    )
    agreed = baselines.consensus(some, twice, names, 3)
    assert agreed.sentences[0] == "a dog barks"  # the nearest is alone in what it says
    assert agreed.named[0] == {"dog_bark"}
    assert baselines.consensus(some, twice, names, 1).sentences == ["a bell rings", "rain is falling"]
    usual = ["a bell rings"] * 3 + ["rain is falling"] * 2 + [""] * 9
    answers, said = baselines.most_frequent(some, some, usual, names, baselines.cider)
    assert said == "rain is falling"  # less frequent, but it scores on what it is tuned on
    assert answers.sentences == ["rain is falling"] * 2


def test_retrieval_by_hand() -> None:
    answers = np.array([[1, 0], [0.9, 0.2], [0, 1], [-1, 0]], np.float32)
    queries = np.array([[1, 0.01], [0, 1]], np.float32)
    right = np.array([[True, False, True, False], [False, True, False, False]])
    scores = retrieval(queries, answers, right)
    assert scores["R@1"] == 0.5  # the first finds one of its two at once, the second its own as second
    assert scores["R@5"] == 1.0
    assert scores["mAP@10"] == pytest.approx(((1 + 2 / 3) / 2 + 1 / 2) / 2)


def test_gains_come_with_an_interval(corpus: Corpus) -> None:
    some, _ = made_up(40)
    classes = scenes.Classes(LABELS)
    perfect = Answers([row[0] for row in some.references], some.labels)
    poor = Answers(["a dog barks"] * 40, [frozenset({"dog_bark"})] * 40)
    gains = comparison._gains(
        dict.fromkeys(("text", "events"), perfect), {"text": poor, "events": poor}, some, classes
    )
    for score in ("CIDEr-D", "event F1"):
        assert gains[score]["low"] < gains[score]["gain"] < gains[score]["high"]
        assert gains[score]["gain"] == pytest.approx(gains[score]["ours"] / gains[score]["theirs"] - 1)
    assert gains["event F1"]["gain"] > 1
    reticent = perfect._replace(sentences=[one if i % 2 else "" for i, one in enumerate(perfect.sentences)])
    halved = comparison._gains(
        dict.fromkeys(("text", "events"), reticent), {"text": poor, "events": poor}, some, classes
    )
    assert halved["CIDEr-D"]["ours"] < 0.8 * gains["CIDEr-D"]["ours"]  # silence costs
    assert halved[comparison.SPOKEN]["ours"] == pytest.approx(gains["CIDEr-D"]["ours"], rel=0.2)
    silent = perfect._replace(sentences=[""] * 40)
    nothing = comparison._gains(
        dict.fromkeys(("text", "events"), silent), {"text": poor, "events": poor}, some, classes
    )
    assert comparison.SPOKEN not in nothing


def test_everything_is_heard_and_scored_in_one_run(corpus: Corpus, model: Model, tmp_path: Path) -> None:
    """A random model on made-up sounds: the figures are poor, the table is whole."""
    context = Context(Stage(model, corpus, Names(LABELS)), tmp_path, scenes=6, taught=12, wording="free")
    free = outcomes.scene_outcomes(context, None)
    assert len(free.scored) == 6
    assert len(free.tuning) == 3
    assert len(free.taught) == 12
    assert all(one.sentence for one in free.scored)  # the decoder alone always says something
    said = outcomes.caption_scene(context.stage, outcomes.Task(free.specs[0], "said"))
    assert np.array_equal(said.semantic, free.scored[0].semantic)
    assert said.sentence == scenes.join(said.shown)
    own = comparison._own_templates(context)
    tuning = comparison._by_evidence(free.tuning)
    thresholds, how = own.tune_one(tuning, lambda answers, of: -len("".join(answers.sentences)))
    assert thresholds[0] > max(each.max() for each in tuning.tags)  # silence was asked for
    assert how == f"{thresholds[0]:.2f} for all classes"
    answers = own.answer([one.evidence for one in free.scored], np.zeros(len(thresholds)))
    assert all(answers.sentences)
    assert set().union(*answers.named) <= set(model.labels.names)
    sure = scenes.hear(model, scenes.make(corpus, free.specs[0])).evidence
    assert np.array_equal(free.scored[0].evidence, sure)
    assert not len(free.taught[0].evidence)
    picture = comparison.picture(scenes.make(corpus, free.specs[0]).samples)
    assert picture["seconds"] > 3


def test_a_label_without_a_phrase_is_named_by_nothing() -> None:
    """And hides no other: an empty clause is between any two letters."""
    names = Names([*LABELS, Label("unlabelled", "", "other")])
    assert names("A dog is barking.") == Names(LABELS)("A dog is barking.") != frozenset()
