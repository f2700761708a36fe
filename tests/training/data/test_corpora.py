"""Public corpora as they lie on a disk, in miniature; and SEE's paper mode on them, start to end."""

import csv
import json
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner

from edgecap.cli import app
from edgecap.runtime.errors import DataError, InputMissingError, UsageError
from edgecap.training import losses
from edgecap.training.data.corpora import Recording, read_corpora
from edgecap.training.data.features import Features, extract
from edgecap.training.models import gpt, see
from edgecap.training.models.checkpoint import write_tensors
from edgecap.training.models.convnext import WindowedConvNeXt
from edgecap.training.models.room import RoomConfig
from edgecap.training.papers.order import Order
from edgecap.training.papers.see import PaperCaptioner, PaperRecipe, train_paper
from edgecap.training.recipe import read_recipe
from edgecap.training.room import see_stages as captioner
from edgecap.training.torch_engine import decoder_of
from tests import tiny_bert
from tests.made_clotho import sound, table, write_clotho

torch.set_num_threads(1)
RECIPES = Path(__file__).parents[3] / "training" / "recipes"
PAPER_RECIPES = sorted(path for path in RECIPES.glob("*.yaml") if "kind: see" in path.read_text())


@pytest.fixture(scope="module")
def clotho(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clotho(tmp_path_factory.mktemp("clotho"))


@pytest.fixture(scope="module")
def audiocaps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """AudioCaps v1, its clips named in three of the ways that downloaders do."""
    folder = tmp_path_factory.mktemp("audiocaps")
    head = ["audiocap_id", "youtube_id", "start_time", "caption"]
    table(
        folder / "train.csv", [head, ["1", "a-b_c", "30", "Rain falls"], ["2", "gone", "0", "A bell rings"]]
    )
    table(folder / "val.csv", [head, *([str(n), "vvv", "10", f"A cat meows {n}"] for n in range(5))])
    table(folder / "test.csv", [head, *([str(n), "ttt", "0", f"A man speaks {n}"] for n in range(5))])
    sound(folder / "train" / "a-b_c_30.wav", 0)
    sound(folder / "val" / "Yvvv.wav", 1)
    sound(folder / "audio" / "test" / "ttt_0_10.flac", 2)
    return folder


@pytest.fixture(scope="module")
def wavcaps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """WavCaps' two largest sources; one clip of each is in the list of leaks."""
    folder = tmp_path_factory.mktemp("wavcaps")
    data = {
        "AudioSet_SL": ("as_final.json", ["Yttt.wav", "Yown.wav", "Ya-b_c.wav"]),
        "FreeSound": ("fsd_final.json", ["20", "777"]),
    }
    for source, (file, names) in data.items():
        path = folder / "json_files" / source / file
        path.parent.mkdir(parents=True)
        entries = [{"id": n, "caption": f"Sound {n}.", "duration": 1.0} for n in names]
        path.write_text(json.dumps({"num_captions_per_audio": 1, "data": entries}))
        for i, name in enumerate(names):
            sound(folder / "Audio" / source / f"{name.removesuffix('.wav')}.flac", i)
    leaks = folder / "json_files" / "blacklist" / "blacklist_exclude_all_ac.json"
    leaks.parent.mkdir()
    leaks.write_text(json.dumps({"AudioSet": ["Ya-b_c.wav"], "FreeSound": []}))
    return folder


def test_clotho_is_read_with_its_licences_and_what_is_lost_is_counted(clotho: Path) -> None:
    corpora = read_corpora(clotho, ["clotho"])
    splits = [recording.split for recording in corpora.recordings]
    assert (splits.count("train"), splits.count("val"), splits.count("test")) == (2, 2, 2)
    assert (corpora.missing, corpora.leaks) == (1, 0)
    first = corpora.recordings[0]
    assert (len(first.captions), first.captions[4]) == (5, 'A dog barks, "woof", 5 times near development.')
    assert (first.origin, first.licence) == ("freesound:00", "http://cc/by/3.0/")


def test_audiocaps_is_read_however_its_clips_are_named(audiocaps: Path) -> None:
    corpora = read_corpora(audiocaps, ["audiocaps"])
    assert [(r.split, len(r.captions), r.file.name) for r in corpora.recordings] == [
        ("train", 1, "a-b_c_30.wav"), ("val", 5, "Yvvv.wav"), ("test", 5, "ttt_0_10.flac"),
    ]  # fmt: skip
    assert corpora.missing == 1


def test_wavcaps_leaves_out_what_its_list_says(wavcaps: Path) -> None:
    corpora = read_corpora(wavcaps, ["wavcaps"])
    assert [r.origin for r in corpora.recordings] == [
        "youtube:ttt", "youtube:own", "freesound:20", "freesound:777",
    ]  # fmt: skip


def test_what_one_corpus_holds_out_no_other_teaches(
    clotho: Path, audiocaps: Path, wavcaps: Path, tmp_path: Path
) -> None:
    for name, folder in (("clotho", clotho), ("audiocaps", audiocaps), ("wavcaps", wavcaps)):
        (tmp_path / name).symlink_to(folder)
    corpora = read_corpora(tmp_path, ["clotho", "audiocaps", "wavcaps"])
    taught = [r.id for r in corpora.recordings if r.split == "train"]
    assert "wavcaps/FreeSound/777" in taught
    assert not {"wavcaps/FreeSound/20", "wavcaps/AudioSet_SL/Yttt"} & set(
        taught
    )  # of Clotho's and AudioCaps' tests
    assert corpora.leaks == 2


def test_a_folder_without_the_corpus_says_what_is_looked_for(clotho: Path, tmp_path: Path) -> None:
    with pytest.raises(InputMissingError, match=r"clotho_metadata_development\.csv"):
        read_corpora(tmp_path, ["clotho"])
    with pytest.raises(InputMissingError, match="is not WavCaps"):
        read_corpora(tmp_path, ["wavcaps"])
    (tmp_path / "train.csv").write_text("audiocap_id,youtube_id,start_time,caption\n1,a\n")
    with pytest.raises(DataError, match="no whole table"):
        read_corpora(tmp_path, ["audiocaps"])


# ---- Paper mode ------------------------------------------------------------------------------------


def test_recipes_of_the_paper_have_its_sizes() -> None:
    recipes = {path.stem: read_recipe(path) for path in PAPER_RECIPES}
    assert set(recipes) == {
        "audiocaps", "clotho-baseline", "clotho-full", "clotho-ref", "clotho-see", "clotho-simple", "wavcaps",
    }  # fmt: skip
    for name, recipe in recipes.items():
        assert isinstance(recipe, PaperRecipe)
        assert recipe.name == name
        assert recipe.semantic_stage.learning_rate == 3e-5 or not recipe.adapter.layers
    assert recipes["clotho-ref"].adapter == see.paper_config()
    assert recipes["clotho-see"].adapter == msgspec.structs.replace(see.paper_config(), noise=see.Noise())
    assert recipes["clotho-simple"].adapter.layers == 0
    for name, wanted in (("clotho-see", gpt.paper_config()), ("clotho-baseline", gpt.dcase_2024_config())):
        sizes = msgspec.structs.asdict(recipes[name].decoder) | {"max_tokens": 24, "vocabulary": 4371}
        assert gpt.GptConfig(**sizes) == wanted


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of public weights: a small windowed ConvNeXt and a small BERT, both random."""
    folder = tmp_path_factory.mktemp("weights")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        extractor = WindowedConvNeXt("nano")
    extractor.bn0.running_mean.fill_(-30.0)  # type: ignore[union-attr]  # decibels
    extractor.bn0.running_var.fill_(100.0)  # type: ignore[union-attr]  # it keeps its statistics
    write_tensors(extractor, folder / "extractor.safetensors")
    tiny_bert.write(folder / "bert", ["dog", "bark", "##s", "a"])
    return folder


SMALL = {
    "kind": "see", "name": "small", "version": "0", "licence": "none", "corpora": ["clotho"], "size": "nano",
    "extractor": "extractor.safetensors", "sentence": "bert",
    "adapter": {
        "width": 32, "heads": 2, "hidden": 48, "layers": 1, "window": 8, "sentence": 16, "interpolate": True,
    },
    "decoder": {"width": 32, "heads": 2, "hidden": 48, "layers": 1, "max_tokens": 14},
    "semantic_stage": {"steps": 2, "batch": 2, "warmup": 0},
    "decoder_stage": {"steps": 2, "batch": 2, "warmup": 0},
}  # fmt: skip


def variant(**changes: dict[str, object]) -> dict[str, object]:
    """SMALL with some keys of its parts changed."""
    return {
        key: value | changes.get(key, {}) if isinstance(value, dict) else value
        for key, value in SMALL.items()
    }


VARIANTS = {
    "ref": variant(),
    "simple, as the baseline": variant(
        adapter={"layers": 0, "interpolate": False}, decoder_stage={"mixup": 0.4}
    ),
    "noise ft pre": variant(adapter={"noise": {"layout": "ft", "where": "pre", "probability": 1.0}}),
    "noise tf post": variant(adapter={"noise": {"layout": "tf", "where": "post", "scale": 0.3}}),
    "every option": variant(
        adapter={"concat": "heads", "noise": {"layout": "mix"}},
        decoder={"prefix": True},
        semantic_stage={"aligned": True},
        decoder_stage={"mixup": 0.4, "accumulate": 2, "smoothing": 0.2, "epochs": 0.5, "judge_every": 1},
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_paper_mode_runs_start_to_end(name: str, clotho: Path, weights: Path, tmp_path: Path) -> None:
    recipe = msgspec.convert(VARIANTS[name], PaperRecipe)
    folder = train_paper(recipe, Order(clotho, tmp_path, weights, scored="test"))
    said = list(csv.reader((tmp_path / "captions.csv").read_text().splitlines()))
    assert [row[0] for row in said[1:]] == ["clotho/evaluation/evaluation 0, outside.wav",
                                            "clotho/evaluation/evaluation 1, outside.wav"]  # fmt: skip
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert {"CIDEr-D", "BLEU-4", "ROUGE-L"} <= scores["test"]["scores"].keys()
    assert (scores["val"], scores["test_looks"]) == (None, 1)
    log = [json.loads(line) for line in (tmp_path / "decoder" / "log.jsonl").read_text().splitlines()]
    assert "judged" in log[-1]
    assert bool((tmp_path / "features" / "spectra.raw").stat().st_size) == (recipe.adapter.noise is not None)
    assert json.loads((folder / "about.json").read_text())["licences"] == ["http://cc/by/3.0/"]
    assert (tmp_path / "semantic").exists() == (not name.startswith("simple"))


def test_the_command_runs_a_recipe_of_the_paper_and_asks_for_weights(
    clotho: Path, weights: Path, tmp_path: Path
) -> None:
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SMALL))
    command = ["train", str(tmp_path / "small.yaml"), "--corpus", str(clotho), "-o", str(tmp_path / "run")]
    done = CliRunner().invoke(app, [*command, "--weights", str(weights)], catch_exceptions=False)
    assert done.exit_code == 0
    assert "captions.csv" in done.output
    with pytest.raises(
        InputMissingError, match=r"needs public weights: the extractor extractor\.safetensors"
    ):
        train_paper(msgspec.convert(SMALL, PaperRecipe), Order(clotho, tmp_path / "other"))


def test_a_stage_of_the_paper_that_was_made_from_something_else_is_refused(
    clotho: Path, weights: Path, tmp_path: Path
) -> None:
    def paper(anew: bool = False, **changes: dict[str, object]) -> None:
        train_paper(
            msgspec.convert(variant(**changes), PaperRecipe), Order(folder, output, weights_here, anew=anew)
        )

    folder, weights_here = (
        Path(shutil.copytree(path, tmp_path / name))
        for path, name in ((clotho, "clotho"), (weights, "weights"))
    )
    output = tmp_path / "run"
    paper()
    with pytest.raises(UsageError, match=r"semantic was made .*: settings\.steps was 2 and is 3"):
        paper(semantic_stage={"steps": 3})
    with pytest.raises(UsageError, match=r"decoder was made .*: settings\.mixup was 0\.0 and is 0\.4"):
        paper(decoder_stage={"mixup": 0.4})
    paper(anew=True, semantic_stage={"learning_rate": 0.01})
    with pytest.raises(UsageError, match="semantic was made"):
        paper()
    paper(semantic_stage={"learning_rate": 0.01})  # the decoder was made again with it

    heard = (output / "features" / "embeddings.raw").read_bytes()
    other = WindowedConvNeXt("nano")
    write_tensors(other, weights_here / "extractor.safetensors")
    with pytest.raises(UsageError, match=r"extractor changed"):
        paper(semantic_stage={"learning_rate": 0.01})
    assert (output / "features" / "embeddings.raw").read_bytes() != heard  # features were made anew


def test_a_recording_that_changed_is_heard_again_and_no_other(tmp_path: Path) -> None:
    for n in range(3):
        sound(tmp_path / f"{n}.wav", n)
    recordings = [Recording(str(n), tmp_path / f"{n}.wav", ("a dog",), "train", "", "") for n in range(3)]
    torch.manual_seed(0)
    extractor = WindowedConvNeXt("nano")
    extract(extractor, recordings, tmp_path / "features", torch.device("cpu"))
    before = Features(recordings, tmp_path / "features", 32, 224)
    kept = [before.example(row, "").embeddings for row in range(3)]
    sound(tmp_path / "1.wav", 9, duration_s=2.0)
    told: list[str] = []
    extract(
        extractor,
        recordings,
        tmp_path / "features",
        torch.device("cpu"),
        lambda done, what: told.append(what),
    )
    assert told[-1] == "hearing 1 recordings"
    after = Features(recordings, tmp_path / "features", 32, 224)
    found = [after.example(row, "").embeddings for row in range(3)]
    assert np.array_equal(found[0], kept[0])
    assert np.array_equal(found[2], kept[2])
    assert len(found[1]) > len(kept[1])


def test_extraction_goes_on_where_it_stopped(clotho: Path, tmp_path: Path) -> None:
    recordings = read_corpora(clotho, ["clotho"]).recordings[:4]
    torch.manual_seed(0)
    extractor = WindowedConvNeXt("nano")
    extract(extractor, recordings, tmp_path / "whole", torch.device("cpu"))
    extract(extractor, recordings[:2], tmp_path / "broken", torch.device("cpu"))
    with (tmp_path / "broken" / "embeddings.raw").open("ab") as raw:
        raw.write(b"half a recording")
    with (tmp_path / "broken" / "index.jsonl").open("a") as index:
        index.write('{"id": "clo')
    extract(extractor, recordings, tmp_path / "broken", torch.device("cpu"))
    whole, mended = (Features(recordings, tmp_path / name, 32, 224) for name in ("whole", "broken"))
    for row in range(4):
        one, other = whole.example(row, ""), mended.example(row, "")
        assert one.embeddings.shape == (3, 32)  # 1.1 s: 111 frames; the stem pads
        assert one.spectrogram.shape == (24, 224)
        assert np.array_equal(one.embeddings, other.embeddings)
        assert np.array_equal(one.spectrogram, other.spectrogram)


# ---- The stages' options ---------------------------------------------------------------------------


def test_words_by_position_are_cross_entropy_at_real_positions() -> None:
    logits = torch.randn(2, 5, 9, generator=torch.Generator().manual_seed(0))
    tokens = torch.tensor([[1, 4, 5, 2], [1, 6, 2, 0]])
    valid = torch.tensor([[True] * 5, [True] * 1 + [False] * 4])
    wanted = [logits[0, i].log_softmax(0)[w] for i, w in enumerate((4, 5, 2))] + [
        logits[1, 0].log_softmax(0)[6]
    ]
    found = losses.aligned_words(logits, tokens, valid)
    torch.testing.assert_close(found, -torch.stack(wanted).mean())


def test_mixup_blends_both_ends_alike_and_leaves_most_of_a_clip_its_own() -> None:
    torch.manual_seed(0)
    embeddings, valid = torch.randn(4, 3, 2), torch.arange(3)[None] < torch.tensor([[1], [2], [3], [3]])
    batch = captioner.Batch(embeddings, valid, torch.zeros(4, 24, 2), [""] * 4, [False] * 4)
    mixed, either, mix = captioner.blend(batch, 0.4)
    assert mix is not None
    torch.testing.assert_close(mix(embeddings), mixed)
    weights = mix(torch.eye(4))  # row i: what clip i is made of
    torch.testing.assert_close(weights.sum(1), torch.ones(4))
    assert weights.diagonal().min() >= 0.5
    assert torch.equal(either, (weights @ valid.float()) > 0)
    assert captioner.blend(batch, 0.0) == (embeddings, valid, None)


def test_a_captioner_in_torch_says_what_its_forward_says() -> None:
    """Greedy by the edge's search, step by step, is the best next token by training's forward."""
    torch.manual_seed(0)
    recipe = msgspec.convert(SMALL, PaperRecipe)
    sizes = gpt.GptConfig(vocabulary=15, **msgspec.structs.asdict(recipe.decoder))
    config = RoomConfig(encoder="nano", mels=224, adapter=recipe.adapter, decoder=sizes)
    model = PaperCaptioner(config).eval()
    words = ["<pad>", "<bos>", "<eos>", "<unk>", *(f"w{i}" for i in range(config.decoder.vocabulary - 4))]
    embeddings = torch.randn(1, 5, 32)
    decoder = decoder_of(config, model.adapter, model.decoder, words)
    with torch.inference_mode():
        memory = model.adapter(embeddings).memory
        tokens, log_prob = decoder.greedy(memory.numpy())
        told = model.decoder(torch.tensor([[1, *tokens]]), memory).log_softmax(-1)[0]
    following = torch.tensor([*tokens, 2])[: len(told)]
    steps = told[torch.arange(len(following)), following]
    ended = len(tokens) < config.decoder.max_tokens
    wanted = steps[: len(tokens) + ended].mean()
    assert log_prob == pytest.approx(float(wanted), abs=1e-4)
