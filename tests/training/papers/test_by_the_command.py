"""Retrieval and CLIP-AAC trained by the command at toy size: on planned scenes, and on a public corpus."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from typer.testing import CliRunner

from edgecap.cli import app
from edgecap.training.models import clip_aac, public
from edgecap.training.models.checkpoint import read_tensors
from edgecap.training.models.cnn14 import Cnn14
from edgecap.training.models.esresnext import EsResNeXt
from edgecap.training.prepare.plan import Piece, Plan, PlannedSound, write_plans
from edgecap.training.recipe import read_recipe
from tests import tiny_bert
from tests.made_clotho import write_clotho
from tests.training.models.test_clip_aac import write_vocabulary

torch.set_num_threads(1)
RECIPES = Path(__file__).parents[3] / "training" / "recipes"
TINY = {
    "retrieval-small": {"attended": 8, "width": 8, "batch": 4, "epochs": 1, "decay_epochs": 0.5},
    "clip-aac-small": {
        "width": 8, "channels": 8, "batch": 4, "epochs": 1, "contrast_steps": 1,
        "text": {"width": 8, "heads": 2, "layers": 1, "vocabulary": 1},
        "decoder": {"width": 8, "heads": 2, "hidden": 16, "layers": 1, "max_tokens": 8},
    },
    "retrieval": {"attended": 8, "width": 8, "batch": 3, "epochs": 0.5, "decay_epochs": 0.2},
    "clip-aac": {
        "width": 8, "batch": 2, "epochs": 0.2, "warmup_epochs": 0.1,
        "text": {"width": 8, "heads": 2, "layers": 1, "vocabulary": 520, "context": 12},
        "decoder": {"width": 8, "heads": 2, "hidden": 16, "layers": 1, "max_tokens": 8},
    },
}  # fmt: skip
SAID = ("rain falls", "a dog barks", "someone knocks")
CLIPS = ("rain", "dog_bark", "door_knock")


def recipe(name: str, folder: Path) -> Path:
    """The recipe that comes along, at toy size."""
    settings = yaml.safe_load((RECIPES / f"{name}.yaml").read_text(encoding="utf-8")) | TINY[name]
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path


def train(*arguments: object) -> str:
    found = CliRunner().invoke(app, ["train", *(str(argument) for argument in arguments)])
    assert found.exit_code == 0, found.output
    return found.output


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes of the made corpus: of its training clips, and of its test clips."""
    folder = tmp_path_factory.mktemp("plans")
    for split, take in (("train", 0), ("test", 2)):
        made = []
        for number in range(9):  # a word that comes less than three times is not learnt
            kind = number % 3
            piece = Piece(f"{CLIPS[kind]}-{take}", 0, 16_000, 3200, 16_000)
            sound = PlannedSound(CLIPS[kind], (piece,), -30.0)
            plan = Plan(str(number), SAID[kind], CLIPS[kind], 5, number, -60.0, (sound,))
            made.append(plan)
        (folder / split).mkdir()
        write_plans(folder / split, made)
    return folder


@pytest.mark.parametrize("name", ["retrieval-small", "clip-aac-small"])
def test_a_recipe_of_our_scale_runs_and_resumes(
    name: str, plans: Path, corpus_folder: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    arguments = [
        recipe(name, tmp_path), "--corpus", corpus_folder, "--scenes", plans, "--weights", tmp_path,
        "--start", tiny_bundle, "--split", "test", "--cache", tmp_path / "cache", "-o", tmp_path / "run",
    ]  # fmt: skip
    assert "scores.json" in train(*arguments)
    scores = json.loads((tmp_path / "run" / "scores.json").read_text(encoding="utf-8"))["test"]
    figure = scores["mAP10"] if name == "retrieval-small" else scores["scores"]["CIDEr-D"]
    assert 0 <= figure <= 10
    (kept,) = (tmp_path / "run" / "model").glob("*.safetensors")
    before = read_tensors(kept)
    train(*arguments)  # nothing is left to do
    assert all(torch.equal(before[key], value) for key, value in read_tensors(kept).items())


@pytest.fixture(scope="module")
def clotho(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clotho(tmp_path_factory.mktemp("clotho"))


def test_retrieval_trains_both_encoders_along(
    clotho: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths = (4, 4, 4, 4, 4, 6)
    monkeypatch.setattr(public, "CNN14", public.CNN14._replace(build=lambda: Cnn14(widths)))
    torch.manual_seed(0)
    torch.save({"model": Cnn14(widths).state_dict()}, tmp_path / public.CNN14.file)
    (tmp_path / "bert-base-uncased").mkdir()
    tiny_bert.write(tmp_path / "bert-base-uncased", ["a", "dog", "barks"])
    arguments = [
        recipe("retrieval", tmp_path), "--corpus", clotho, "--weights", tmp_path, "-o", tmp_path / "run"
    ]  # fmt: skip
    train(*arguments)
    scores = json.loads((tmp_path / "run" / "scores.json").read_text(encoding="utf-8"))
    assert scores["val"]["text to audio"]["R@5"] == 1  # of two clips
    trained = read_tensors(tmp_path / "run" / "model" / "retrieval.safetensors")
    before = read_tensors(tmp_path / public.CNN14.file)
    assert not torch.equal(trained["cnn.conv_block1.conv1.weight"], before["conv_block1.conv1.weight"])
    (tmp_path / public.CNN14.file).unlink()
    refused = CliRunner().invoke(app, ["train", *map(str, arguments)])
    assert refused.exit_code == 66
    assert "zenodo.org/record/3987831" in refused.output


def test_clip_aac_begins_with_audioclip_and_its_vocabulary(
    clotho: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = read_recipe(recipe("clip-aac", tmp_path))
    small = clip_aac.AudioClip(settings.text, settings.width)  # type: ignore[union-attr, arg-type]  # this recipe is CLIP-AAC's
    small.audio = EsResNeXt(8, (1, 1, 1, 1))

    def build() -> clip_aac.AudioClip:
        made = clip_aac.AudioClip(settings.text, settings.width)  # type: ignore[union-attr, arg-type]  # as above
        made.audio = EsResNeXt(8, (1, 1, 1, 1))
        return made

    monkeypatch.setattr(public, "AUDIOCLIP", public.AUDIOCLIP._replace(build=build))
    monkeypatch.setattr(
        "edgecap.training.models.clip_aac.EsResNeXt", lambda width: EsResNeXt(width, (1, 1, 1, 1))
    )
    file = tmp_path / public.AUDIOCLIP.file
    torch.save(small.state_dict() | {"visual.conv1.weight": torch.zeros(1)}, file)  # the image head is left
    arguments = [
        recipe("clip-aac", tmp_path), "--corpus", clotho, "--weights", tmp_path, "-o", tmp_path / "run"
    ]  # fmt: skip
    refused = CliRunner().invoke(app, ["train", *map(str, arguments)])
    assert refused.exit_code == 66
    assert "bpe_simple_vocab_16e6.txt.gz" in refused.output
    write_vocabulary(tmp_path, ["d o", "do g</w>", "r k", "b a"])
    train(*arguments)
    trained = read_tensors(tmp_path / "run" / "model" / "clip-aac.safetensors")
    assert torch.equal(trained["audio.net.fbsp.fc"], small.audio.fbsp.fc)  # the front end stands still
    assert not torch.equal(trained["audio.net.fc.weight"], small.audio.fc.weight)
    assert (tmp_path / "run" / "captions.csv").read_text(encoding="utf-8").count("\n") == 3
    torch.save(small.state_dict() | {"ln_final.bias": torch.zeros(7)}, file)
    refused = CliRunner().invoke(app, ["train", *map(str, arguments)])
    assert refused.exit_code == 65
    assert "ln_final.bias is 7, expected 8" in refused.output.replace("\n", " ")


@pytest.mark.slow  # a minute, 2 GB on the disk
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["retrieval", "clip-aac"])
def test_the_paper_s_own_size_takes_a_step_and_says_or_finds_something(
    name: str, clotho: Path, tmp_path: Path
) -> None:
    """The recipe as it stands, but for how long, on random weights in their public layouts."""
    settings = yaml.safe_load((RECIPES / f"{name}.yaml").read_text(encoding="utf-8"))
    settings |= {"epochs": 0.2, "batch": 2}
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    torch.manual_seed(0)
    if name == "retrieval":
        weights = {"model": Cnn14().state_dict()}
        torch.save(weights, tmp_path / public.CNN14.file)
        write_bert(tmp_path / "bert-base-uncased")
    else:
        file = tmp_path / public.AUDIOCLIP.file
        torch.save(clip_aac.AudioClip().state_dict() | {"visual.conv1.weight": torch.zeros(64)}, file)
        letters = [chr(code) for code in (*range(33, 127), *range(161, 173), *range(174, 256))]
        pairs = [f"{one} {other}" for one in letters for other in (*letters, *(f"{c}</w>" for c in letters))]
        write_vocabulary(tmp_path, pairs[: 49_152 - 256 - 2])
    arguments: list[object] = [path, "--corpus", clotho, "--weights", tmp_path, "-o", tmp_path / "run"]
    train(*arguments)
    assert (tmp_path / "run" / "scores.json").exists()
    with torch.device("meta"):
        count = sum(
            p.numel() for p in (Cnn14() if name == "retrieval" else clip_aac.AudioClip()).parameters()
        )
    assert count == (80_753_615 if name == "retrieval" else 95_795_011 + 2)  # and two scales


def write_bert(folder: Path) -> None:
    """BERT-base's sizes, random; a tokeniser whose pieces are fewer."""
    import transformers

    folder.mkdir()
    tiny_bert.write(folder, ["a", "dog", "barks"])
    bert = transformers.BertModel(transformers.BertConfig())
    assert sum(parameter.numel() for parameter in bert.parameters()) == 109_482_240
    bert.save_pretrained(folder)
