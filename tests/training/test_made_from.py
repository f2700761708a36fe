"""Stages and caches that were made from something else are refused, or made anew."""

import json
import multiprocessing
import os
import shutil
import subprocess
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from edgecap.cli import app
from edgecap.export.checkpoint import read_checkpoint
from edgecap.export.export import describe_bundle
from edgecap.runtime.errors import ConfigError, DataError, UsageError
from edgecap.training import made_from
from edgecap.training.data.corpus import open_corpus
from edgecap.training.models.convnext import CausalConvNeXt
from edgecap.training.models.mobilenet import WIDTH
from edgecap.training.models.text import TextConfig
from edgecap.training.prepare.plan import Piece, Plan, PlannedSound, write_plans
from edgecap.training.recipe import Recipe, read_recipe
from edgecap.training.room.teacher import clip_vectors
from edgecap.training.room.text_side import TextSettings
from edgecap.training.train import train
from tests.made_corpus import write_corpus

torch.set_num_threads(1)
RECIPES = Path(__file__).parents[2] / "training" / "recipes"

VALUES = st.recursive(
    st.one_of(st.integers(-9, 9), st.text("abc", max_size=3), st.booleans(), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(st.text("xyz", min_size=1, max_size=2), inner, max_size=2),
    ),
    max_leaves=5,
)
CAUSES = st.dictionaries(st.text("xyz", min_size=1, max_size=2), VALUES, max_size=3)


@given(before=CAUSES, now=CAUSES)
def test_causes_are_the_same_where_nothing_is_named_and_only_there(before: Any, now: Any) -> None:
    """Empty mappings aside, which say nothing."""
    assert made_from.changes(before, before) == []
    if not made_from.changes(before, now):
        assert _without_empty(before) == _without_empty(now)


def _without_empty(value: Any) -> Any:
    if not isinstance(value, dict):
        return msgspec.json.encode(value, order="deterministic")
    kept = {name: _without_empty(inner) for name, inner in value.items()}
    return {name: inner for name, inner in kept.items() if inner != {}}


def test_a_folder_is_claimed_once_for_its_causes(tmp_path: Path) -> None:
    stage, causes = tmp_path / "head", {"settings": {"rate": 0.02}, "encoder": made_from.digest(b"one")}
    made_from.claim(stage, causes)
    (stage / "last.pt").write_bytes(b"weights")
    made_from.claim(stage, causes)
    other = {"settings": {"rate": 0.01}, "encoder": made_from.digest(b"two")}
    with pytest.raises(UsageError, match=r"settings\.rate was 0\.02 and is 0\.01; encoder changed.*--anew"):
        made_from.claim(stage, other)
    assert (stage / "last.pt").exists()
    made_from.claim(stage, other, anew=True)
    assert not (stage / "last.pt").exists()
    made_from.claim(stage, other)
    (stage / made_from.NOTE).write_text("half a")
    with pytest.raises(DataError, match=r"made_from\.json can't be read"):
        made_from.claim(stage, other)
    (stage / made_from.NOTE).unlink()
    (stage / "last.pt").write_bytes(b"of an older edgecap")
    with pytest.raises(UsageError, match=r"it has no made_from\.json"):
        made_from.claim(stage, other)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def scenes(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    sound = PlannedSound("dog_bark", (Piece("dog_bark-0", 0, 30_000, 10_240, 30_000),), -20.0)
    write_plans(folder, [Plan("1", "A dog is heard", "", 12, 0, -70.0, (sound,))])
    return folder


def small() -> Recipe:
    """The smallest recipe with two encoder stages, four steps each at most."""
    recipe = read_recipe(RECIPES / "smallest.yaml")
    assert isinstance(recipe, Recipe)
    change = msgspec.structs.replace
    (encoder,), head = recipe.encoder_stages, recipe.head_stage
    assert head is not None
    encoder = change(encoder, steps=2, chunks=3)
    return change(
        recipe, hours=0.02, encoder_stages=(encoder, change(encoder, seed=2)),
        head_stage=change(head, hours=0.01, steps=2, takes=1),
        semantic_stage=change(recipe.semantic_stage, steps=2),
        decoder_stage=change(recipe.decoder_stage, steps=2),
        text_stage=TextSettings(
            steps=2, batch=2, captions=(), words=3, sentences=2,
            size=TextConfig(table=8, width=16, heads=2, hidden=32, layers=1),
        ),
    )  # fmt: skip


def but(recipe: Recipe, part: str, **settings: Any) -> Recipe:
    """The recipe with some settings of a part changed; "encoder-2" is the second of its stages."""
    if part.startswith("encoder-"):
        stages = list(recipe.encoder_stages)
        at = int(part[-1]) - 1
        stages[at] = msgspec.structs.replace(stages[at], **settings)
        return msgspec.structs.replace(recipe, encoder_stages=tuple(stages))
    return msgspec.structs.replace(
        recipe, **{part: msgspec.structs.replace(getattr(recipe, part), **settings)}
    )


@pytest.fixture(scope="module")
def finished(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole training's folder, to be read only."""
    output = tmp_path_factory.mktemp("run")
    train(small(), corpus, None, output, output / "cache")
    return output


SETTINGS = {
    "encoder-1": ("encoder-1", {"learning_rate": 1e-3}, r"settings\.learning_rate was 0\.002 and is 0\.001"),
    "encoder-2": ("encoder-2", {"seed": 3}, r"settings\.seed was 2 and is 3"),
    "head": ("head_stage", {"decay": 0.5}, r"settings\.decay was 0\.006 and is 0\.5"),
    "semantic": ("semantic_stage", {"warmup": 1}, r"settings\.warmup was 2 and is 1"),
    "text": ("text_stage", {"ranking": 0.1}, r"settings\.ranking was 0\.5 and is 0\.1"),
    "decoder": ("decoder_stage", {"smoothing": 0.0}, r"settings\.smoothing was 0\.1 and is 0\.0"),
}


@pytest.mark.parametrize("stage", SETTINGS)
def test_a_stage_of_other_settings_is_refused(stage: str, finished: Path, corpus: Path) -> None:
    part, settings, why = SETTINGS[stage]
    with pytest.raises(UsageError, match=f"{stage} was made from something else: {why}"):
        train(but(small(), part, **settings), corpus, None, finished, finished / "cache")


def test_whatever_hangs_on_a_stage_made_again_is_made_again(
    finished: Path, corpus: Path, tmp_path: Path
) -> None:
    """The fault that this is for: one stage deleted, a rate changed, and the rest was taken as it was."""
    recipe, cache = small(), finished / "cache"
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("cache"))
    notes = {path: path.read_bytes() for path in tmp_path.rglob(f"*{made_from.NOTE}")}
    assert {str(path.relative_to(tmp_path)) for path in notes} == {
        "encoder-1/made_from.json", "encoder-2/made_from.json", "head/made_from.json",
        "segments.npz.made_from.json", "semantic/made_from.json", "decoder/made_from.json",
        "text/made_from.json",
    }  # fmt: skip
    changed = but(recipe, "encoder-2", learning_rate=0.02)
    for file in (tmp_path / "encoder-2").iterdir():
        file.unlink()
    with pytest.raises(UsageError, match="head was made from something else: encoder changed"):
        train(changed, corpus, None, tmp_path, cache)
    train(changed, corpus, None, tmp_path, cache, anew=True)
    same = {str(path.relative_to(tmp_path)) for path, note in notes.items() if path.read_bytes() == note}
    assert same == {"encoder-1/made_from.json", "text/made_from.json"}
    train(changed, corpus, None, tmp_path, cache)  # all is of one piece again


def test_scenes_that_are_new_make_segments_again_and_refuse_what_learnt_from_the_old(
    finished: Path, corpus: Path, scenes: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(finished, tmp_path / "run"))
    before = (copy / "segments.npz").read_bytes()
    with pytest.raises(UsageError, match=r"semantic was made from something else.*segments\.scenes changed"):
        train(small(), corpus, None, copy, copy / "cache", scenes=scenes)
    assert (copy / "segments.npz").read_bytes() != before


def test_a_bundle_is_not_ignored_where_an_encoder_was_trained(finished: Path, corpus: Path) -> None:
    recipe = msgspec.structs.replace(small(), size="atto", mels=64)
    with pytest.raises(
        UsageError, match=r"encoder-2 was made from something else: begins was .* is room-small"
    ):
        train(recipe, corpus, None, finished, finished / "cache", start="room-small")


def test_an_encoder_of_other_sounds_is_refused(finished: Path, tmp_path: Path) -> None:
    other = write_corpus(tmp_path)
    noise = np.random.default_rng(1).normal(0, 0.1, 40_000)
    soundfile.write(other / "rain-0.wav", noise, 32_000)
    with pytest.raises(
        UsageError, match=r"encoder-1 was made .*: sounds\.corpus changed; sounds\.clips changed"
    ):
        train(small(), other, None, finished, tmp_path / "cache")


def test_a_label_that_is_left_out_is_not_taught(corpus: Path, tmp_path: Path) -> None:
    without = msgspec.structs.replace(small(), leave_out=("rain",), text_stage=None)
    folder = train(without, corpus, None, tmp_path / "run", tmp_path / "cache")
    labels = (folder / "labels.csv").read_text()
    assert "dog_bark" in labels
    assert "rain" not in labels
    with pytest.raises(ConfigError, match="leave_out: the corpus has no label hail"):
        train(
            msgspec.structs.replace(without, leave_out=("hail",)), corpus, None, tmp_path, tmp_path / "cache"
        )


def test_clips_are_decoded_again_where_a_file_changed(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path)
    first = open_corpus(folder, tmp_path / "cache")
    assert open_corpus(folder, tmp_path / "cache").digest == first.digest
    samples, rate = soundfile.read(folder / "rain-1.wav")  # at 32 kHz
    soundfile.write(folder / "rain-1.wav", samples[::-1], rate)
    os.utime(folder / "rain-1.wav", ns=(1, 1))  # whatever the file system's clock
    again = open_corpus(folder, tmp_path / "cache")
    assert again.digest != first.digest
    rain = next(clip for clip in again.clips if clip.id == "rain-1")
    assert np.allclose(again.audio(rain), samples[::-1], atol=1e-4)


def test_commands_that_share_a_cache_decode_it_once(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path)
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        opened = [*pool.map(_opened, 2 * [folder], 2 * [tmp_path / "cache"])]
    assert len({digest for digest, _ in opened}) == 1
    assert sorted(decoded for _, decoded in opened) == [False, True]


def _opened(folder: Path, cache: Path) -> tuple[str, bool]:
    """A corpus' digest, and whether its clips were decoded for it."""
    told = list[float]()
    corpus = open_corpus(folder, cache, lambda done, _: told.append(done))
    assert all(len(corpus.audio(clip)) for clip in corpus.clips)
    return corpus.digest, bool(told)


class CountedTeacher:
    """Stands where mn04 would, whose weights are not in the repository: vectors by hand, calls counted."""

    def __init__(self, digest: str) -> None:
        self.digest, self.calls = digest, 0

    def sequence(self, samples: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return torch.full((len(samples), 2, WIDTH), float(len(self.digest)))


def test_a_teacher_of_other_weights_hears_the_clips_again(corpus: Path, tmp_path: Path) -> None:
    sounds = open_corpus(corpus, tmp_path)
    clips = sounds.clips[:2]
    one, same, other = CountedTeacher("one"), CountedTeacher("one"), CountedTeacher("another")
    found = [clip_vectors(teacher, sounds, clips, tmp_path) for teacher in (one, same, other)]  # type: ignore[arg-type]  # as much of a teacher as is asked
    assert [teacher.calls for teacher in (one, same, other)] == [2, 0, 2]
    assert [float(vectors[clips[0].id][0, 0]) for vectors in found] == [3, 3, 7]


def test_weights_have_one_digest_and_each_change_another() -> None:
    torch.manual_seed(0)
    net = CausalConvNeXt("nano", 32, 4)
    first = made_from.of_module(net)
    assert made_from.of_module(net) == first
    for parameter in list(net.parameters())[:3]:
        with torch.no_grad():
            parameter.view(-1)[0] += 1
        assert made_from.of_module(net) != first


def test_the_card_and_about_say_what_was_left_out_and_which_code_trained(
    corpus: Path, finished: Path, tmp_path: Path
) -> None:
    about = json.loads((finished / "model" / "about.json").read_text())
    assert about["left_out"] == [["made", 4, "CC BY-NC-ND 4.0"]]
    assert about["commit"] == made_from.commit()
    manifest = describe_bundle(read_checkpoint(finished / "model"), {}, {}, {}, {})
    assert manifest.training.get("commit", "") == about["commit"]
    card = tmp_path / "card.md"
    card.write_text("# Mine\n")
    folder = train(small(), corpus, None, finished, finished / "cache", {"MODEL_CARD.md": card})
    text = (folder / "MODEL_CARD.md").read_text()
    assert text.startswith("# Mine\n")
    assert "| made | 4 | CC BY-NC-ND 4.0 |" in text


def test_the_command_says_what_changed(corpus: Path, tmp_path: Path) -> None:
    lines = (RECIPES / "smallest.yaml").read_text()
    (tmp_path / "a.yaml").write_text(lines)
    made_from.claim(tmp_path / "run" / "encoder-1", {"settings": "of another time"})
    command = ["train", str(tmp_path / "a.yaml"), "--corpus", str(corpus), "-o", str(tmp_path / "run")]
    done = CliRunner().invoke(app, [*command, "--cache", str(tmp_path / "cache")])
    assert done.exit_code == UsageError.code
    assert "settings.steps was not there and is 8" in " ".join(done.output.split())


def test_the_commit_is_the_checkouts_and_says_where_files_differ(tmp_path: Path) -> None:
    code = tmp_path / "training"
    code.mkdir()
    (code / "made_from.py").write_text("1\n")
    assert made_from.commit(code) == ""
    for arguments in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "1"],
    ):
        subprocess.run(
            ["git", "-C", str(tmp_path), *arguments], check=True, env=os.environ | {"GIT_CONFIG_GLOBAL": ""}
        )
    revision = made_from.commit(code)
    assert len(revision) == 40
    (code / "made_from.py").write_text("2\n")
    assert made_from.commit(code) == f"{revision}+changed"
