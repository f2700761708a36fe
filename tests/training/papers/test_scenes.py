"""Scenes on the disk as ears heard them, and the small table that is run on such."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from edgecap.runtime.audio import CHUNK_SAMPLES, RATE, Samples
from edgecap.runtime.errors import DataError, InputMissingError, UsageError
from edgecap.runtime.model.bundle import Bundle
from edgecap.training.data.corpus import Corpus, open_corpus
from edgecap.training.papers import ears, trial, written
from edgecap.training.papers.ears import Ear
from edgecap.training.papers.retrieval import RetrievalRecipe, table_rows
from edgecap.training.papers.scenes import Sentences, choose, hear, open_scenes, padded
from edgecap.training.prepare.plan import Piece, Plan, PlannedSound, open_plans, write_plans
from edgecap.training.recipe import read_recipe

RECIPES = Path(__file__).parents[3] / "training" / "recipes"


@pytest.fixture(scope="module")
def corpus(corpus_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return open_corpus(corpus_folder, tmp_path_factory.mktemp("cache"))


def plan(number: int, clip: str = "rain-0") -> Plan:
    piece = Piece(clip, 0, RATE, at=CHUNK_SAMPLES, lasts=RATE)
    sound = PlannedSound(clip.split("-")[0], (piece,), level_db=-30.0)
    chunks = 6 + number % 3
    return Plan(f"made:{number}", "rain falls", "rain", chunks, number, -60.0, (sound,), others=("it rains",))


def loudness(digest: str = "1") -> Ear:
    """An ear that hears how loud each chunk is, so that what is kept can be checked by hand."""

    def levels(samples: Samples) -> np.ndarray:
        whole = samples[: len(samples) // CHUNK_SAMPLES * CHUNK_SAMPLES].reshape(-1, CHUNK_SAMPLES)
        return np.sqrt(np.square(whole).mean(1, keepdims=True))

    return Ear("loudness", 1, CHUNK_SAMPLES / RATE, digest, levels)


def test_what_ears_heard_is_kept_for_each_scene_and_not_heard_twice(
    corpus: Corpus, tiny_bundle: Path, tmp_path: Path
) -> None:
    plans = [plan(number) for number in range(5)]
    hear(corpus, "train", plans, [loudness()], tmp_path)
    hear(
        corpus, "train", plans, [loudness(), ears.ours(Bundle.open(tiny_bundle))], tmp_path
    )  # one comes later
    scenes = open_scenes("train", plans, ["loudness", "ours"], tmp_path)
    for levels, vectors in zip(scenes.heard["loudness"], scenes.heard["ours"], strict=True):
        assert len(levels) == len(vectors)  # the same steps, where it sounds
        assert levels[0] > 0.005  # not the quiet room before it
    assert scenes.captions(others=True) == (
        ["rain falls", "it rains"] * 5,
        pytest.approx(np.arange(5).repeat(2)),
    )
    assert set(scenes.alike()) == {0}

    def deaf(samples: Samples) -> np.ndarray:
        raise AssertionError("it was heard already")

    hear(corpus, "train", plans, [loudness()._replace(hear=deaf)], tmp_path)
    with pytest.raises(AssertionError):  # of another version nothing is left
        hear(corpus, "train", plans, [loudness("2")._replace(hear=deaf)], tmp_path)
    with pytest.raises(InputMissingError, match="loudness has not heard"):
        open_scenes("train", plans, ["loudness"], tmp_path)
    with pytest.raises(DataError, match="no clip gong-0"):
        hear(corpus, "train", [plan(0, "gong-0")], [loudness()], tmp_path)


def test_some_plans_are_always_the_same_ones(tmp_path: Path) -> None:
    (tmp_path / "val").mkdir()
    write_plans(tmp_path / "val", [plan(number) for number in range(20)])
    some = choose(tmp_path, "val", 5)
    assert some == choose(tmp_path, "val", 5)
    assert [one.id for one in some] == sorted((one.id for one in some), key=lambda name: int(name[5:]))
    assert len(choose(tmp_path, "val", None)) == len(choose(tmp_path, "val", 99)) == 20


def test_scenes_are_padded_and_cut_at_their_beginning() -> None:
    x, valid = padded([np.arange(6).reshape(3, 2), np.arange(10).reshape(5, 2)], longest=4)  # type: ignore[list-item]  # whole numbers do as well
    assert x[0, :3].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert x[1, 0].tolist() == [2, 3]
    assert valid.tolist() == [[True, True, True, False], [True] * 4]


def test_a_table_is_run_once_and_says_what_the_claims_are_worth(tmp_path: Path) -> None:
    asked = []

    def score(row: str, seed: int, folder: Path, progress: object) -> trial.Scores:
        assert not (folder / "last.pt").exists()  # of a training that was made from something else
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "last.pt").write_text("half way")
        asked.append((row, seed))
        rng = np.random.default_rng(seed)
        return {"mAP": rng.normal(0.5 + 0.2 * (row == "self"), 0.1, 200), "seconds_once": np.array([seed])}

    made = trial.Trial(
        paper="made", rows={"none": {}, "self": {"heads": 1}}, score=score, causes={"recipe": 1},
        claims=[trial.Claim("self", "none", "mAP", "24.3 > 23.2"), trial.Claim("none", "self", "mAP")],
    )  # fmt: skip
    first = trial.table(made, trial.run(made, (1, 2, 3), tmp_path))
    assert first == trial.table(made, trial.run(made, (1, 2, 3), tmp_path))
    assert len(asked) == 6
    assert asked[:2] == [("none", 1), ("self", 1)]  # whole seeds first
    assert "3 of 3 seeds: reproduced" in first
    assert "0 of 3 seeds: contradicted" in first
    assert "| none | 0.49" in first or "| none | 0.50" in first
    trial.run(made.only(["self"]), (1, 2, 3, 4), tmp_path)
    assert asked[6:] == [("self", 4)]
    longer = dataclasses.replace(made, causes={"recipe": 2})
    trial.run(longer.only(["self"]), (1,), tmp_path)
    assert asked[7:] == [("self", 1)]
    with pytest.raises(UsageError, match="no row 'graph'"):
        made.only(["graph"])
    assert [trial.note_look(tmp_path, "made", "test", ["self"]) for _ in range(2)] == [1, 2]


def test_no_two_rows_of_the_retrieval_table_are_one_training() -> None:
    recipe = read_recipe(RECIPES / "retrieval-small.yaml")
    assert isinstance(recipe, RetrievalRecipe)
    rows = table_rows(recipe)
    assert len(rows) == 8
    assert len(set(map(repr, rows.values()))) == len(rows)
    matched = {row: each.matches for row, each in rows.items() if each.loss == "supervised"}
    assert matched == {
        "ours: self, supervised, same clip": "clip",
        "ours: self, supervised, same sounds": "says",
    }


def test_what_was_written_of_tags_joins_the_scenes_where_it_is_true(
    corpus_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plans").mkdir()
    write_plans(tmp_path / "plans", [plan(0), plan(1), plan(2)])
    sentences = tmp_path / "synthetic.json"
    sentences.write_text('{"made:0": "rain is falling", "made:1": "a dog barks"}')
    command = ["written", str(sentences), "--corpus", str(corpus_folder), "--scenes", str(tmp_path / "plans")]
    command += ["--cache", str(tmp_path / "cache"), "-o", str(tmp_path / "taught")]
    monkeypatch.setattr("sys.argv", command)
    written.main()
    assert "1 of 3 scenes" in capsys.readouterr().out
    others = [each.others for each in open_plans(tmp_path / "taught")]
    assert others == [("it rains", "rain is falling"), ("it rains",), ("it rains",)]
    sentences.write_text("[1]")
    with pytest.raises(SystemExit, match=r"synthetic\.json holds no sentences by a scene's id"):
        written.main()
    monkeypatch.setattr("sys.argv", ["written", str(tmp_path), *command[2:]])
    with pytest.raises(SystemExit, match="Name --weights"):
        written.main()


def test_two_that_keep_sentences_in_one_file_lose_nothing_of_each_other(tmp_path: Path) -> None:
    embedded: list[str] = []

    def embed(texts: Sequence[str]) -> torch.Tensor:
        embedded.extend(texts)
        return torch.tensor([[len(text), 1.0] for text in texts])

    path = tmp_path / "sentences.npz"
    one, other = Sentences(path, embed, "1"), Sentences(path, embed, "1")
    one(["rain", "a dog barks"])
    assert other(["wind blows", "rain"]).tolist() == [[10, 1], [4, 1]]
    third = Sentences(path, embed, "1")
    assert third(["a dog barks", "wind blows", "rain"]).shape == (3, 2)
    assert sorted(embedded) == ["a dog barks", "rain", "wind blows"]  # each once
    Sentences(path, embed, "2")(["rain"])
    assert embedded.count("rain") == 2  # by another model, so anew
