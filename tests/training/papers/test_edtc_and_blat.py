"""EDTC and BLAT trained by the command at toy size: on planned scenes, on public corpora; rehearsed."""

import csv
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
import yaml
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from typer.testing import CliRunner, Result

from edgecap.cli import app
from edgecap.runtime.errors import UnavailableError
from edgecap.training.data.audioset import read_audioset
from edgecap.training.models import edtc_files, public
from edgecap.training.models.cnn14 import Cnn14
from edgecap.training.models.convnext import WindowedConvNeXt
from edgecap.training.models.edtc import BartSizes, new_bart
from edgecap.training.models.htsat import Htsat, Sizes
from edgecap.training.papers import blat_published
from edgecap.training.papers.edtc import cyclic_cosine
from edgecap.training.papers.listening import Listener, spec_augment
from edgecap.training.papers.smoke import Rehearsal, rehearse
from edgecap.training.prepare.plan import Piece, Plan, PlannedSound, write_plans
from tests import tiny_bert
from tests.made_clotho import sound, table, write_clotho

torch.set_num_threads(1)
RECIPES = Path(__file__).parents[3] / "training" / "recipes"
BART = {"width": 16, "layers": 1, "heads": 2, "hidden": 32, "positions": 64}
EDTC = {
    "text": 16, "steps": 4, "width": 16, "heads": 2, "hidden": 32, "fusions": 1, "squeeze": 6, "encoders": 1,
    "decoders": 1, "kernel": 3, "bart": BART,
}  # fmt: skip
CAPTIONER = {"gru": 4, "gru_layers": 1, "width": 8, "layers": 1, "heads": 2, "hidden": 16, "max_tokens": 8}
CNN = (4, 8, 8, 8, 16, 32)


def recipe(folder: Path, name: str, **changes: object) -> Path:
    """The recipe that comes along, with sizes of a toy."""
    settings = yaml.safe_load((RECIPES / f"{name}.yaml").read_text(encoding="utf-8")) | changes
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return folder / f"{name}.yaml"


def train(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["train", *(str(argument) for argument in arguments)])


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes of the made corpus' clips: nine for training, six for each split that is held out."""
    folder = tmp_path_factory.mktemp("plans")
    kinds = (("rain", "rain falls"), ("dog_bark", "a dog barks"), ("door_knock", "someone knocks"))
    for split, take, count in (("train", 0, 9), ("val", 2, 6), ("test", 2, 6)):
        made = []
        for number in range(count):
            label, said = kinds[number % 3]
            sounding = PlannedSound(label, (Piece(f"{label}-{take}", 0, 16_000, 3200, 16_000),), -30.0)
            plan = Plan(f"{split}:{number}", said, label, 5, number, -60.0, (sounding,), (f"{said} again",))
            made.append(plan)
        (folder / split).mkdir()
        write_plans(folder / split, made)
    return folder


@pytest.mark.parametrize("translator", ["single", "twin"])
def test_edtc_on_our_scenes_ends_with_scores_and_a_model_that_opens(
    translator: str, plans: Path, corpus_folder: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    """The best by validation is kept; a second run has nothing to do."""
    wide = 32  # of the tiny bundle's embeddings
    model = EDTC | {"inputs": [wide], "text": 384, "translator": translator}
    small = recipe(tmp_path, "thorough", ears=["ours"], model=model, epochs=2, batch=4, checked=4)
    order = [small, "--corpus", corpus_folder, "--scenes", plans, "--weights", tmp_path, "--start",
             tiny_bundle, "--cache", tmp_path / "cache", "-o", tmp_path / "run"]  # fmt: skip
    done = train(*order)
    assert done.exit_code == 0, done.output
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())["val"]["scores"]
    assert 0 <= scores["CIDEr-D"] <= 10
    with (tmp_path / "run" / "captions.csv").open(newline="") as file:
        assert [row["recording"] for row in csv.DictReader(file)] == [f"val:{n}" for n in range(6)]
    log = [json.loads(line) for line in (tmp_path / "run/captioner/log.jsonl").read_text().splitlines()]
    assert any("judged" in line for line in log)
    assert ("contrastive" in log[-1]) == (translator == "twin")
    before = edtc_files.load(tmp_path / "run" / "model")[0].state_dict()
    assert train(*order).exit_code == 0
    again = edtc_files.load(tmp_path / "run" / "model")[0].state_dict()
    assert all(torch.equal(before[name], again[name]) for name in before)


def test_blat_on_our_scenes_writes_sentences_and_ends_with_scores(
    plans: Path, corpus_folder: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    quick = {"steps": 4, "batch": 4}
    small = recipe(
        tmp_path, "blat-small", ear="ours", captioner=CAPTIONER | {"input": 32}, synthetic_stage=quick,
        towers={"width": 8}, real_stage=quick, captioner_stage={"epochs": 1, "batch": 4},
    )  # fmt: skip
    order = [small, "--corpus", corpus_folder, "--scenes", plans, "--weights", tmp_path, "--start",
             tiny_bundle, "--split", "test", "--cache", tmp_path / "c", "-o", tmp_path / "run"]  # fmt: skip
    done = train(*order)
    assert done.exit_code == 0, done.output
    written = json.loads((tmp_path / "run" / "synthetic.json").read_text())
    assert set(written) == {f"train:{n}" for n in range(9)}
    figures = json.loads((tmp_path / "run" / "scores.json").read_text())["test"]
    assert 0 <= figures["R@1"] <= figures["R@10"] <= 1


def write_bart(folder: Path, captions: list[str]) -> Path:
    """A small random BART with its own byte pairs, in Hugging Face's layout."""
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    pieces = Tokenizer(models.BPE(unk_token="<unk>"))
    pieces.pre_tokenizer, pieces.decoder = pre_tokenizers.ByteLevel(), decoders.ByteLevel()
    pieces.train_from_iterator(
        captions, trainers.BpeTrainer(vocab_size=300, special_tokens=specials, show_progress=False)
    )
    pieces.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    new_bart(BartSizes(**BART), pieces.get_vocab_size(), 1, 0, 2, 2).save_pretrained(folder)
    pieces.save(str(folder / "tokenizer.json"))
    kind = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>",
            "pad_token": "<pad>", "unk_token": "<unk>"}  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(kind))
    return folder


@pytest.fixture
def weights(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Public weights under their names, of small networks in the same layouts."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    toys = {
        "cnn14": public.CNN14._replace(build=lambda: Cnn14(CNN)),
        "htsat": public.HTSAT._replace(build=lambda: Htsat(Sizes(8, (1, 1, 1, 1), (2, 2, 4, 4)))),
        "convnext": public.CONVNEXT._replace(build=lambda: WindowedConvNeXt("nano")),
    }
    for toy in toys.values():
        tensors = {f"{toy.prefix}{name}": tensor for name, tensor in toy.build().state_dict().items()}
        torch.save({toy.wrapper: tensors}, folder / toy.file)
    monkeypatch.setattr(public, "CNN14", toys["cnn14"])
    for name, toy in toys.items():
        monkeypatch.setitem(public.EXTRACTORS, name, toy)
    write_bart(folder / "bart-base", ["A dog barks, woof, 1 times near development."])
    tiny_bert.write(folder / "instructor-base", ["dog", "barks"])
    tiny_bert.write(folder / "bert-medium", ["dog", "barks"])
    return folder


def test_edtc_as_published_runs_on_a_public_corpus(weights: Path, tmp_path: Path) -> None:
    """Three encoders hear each batch anew behind SpecAugment; the best by validation captions the test."""
    clotho = write_clotho(tmp_path / "clotho")
    paper = recipe(tmp_path, "edtc", model=EDTC | {"inputs": [32, 64, 32]}, epochs=1, batch=4, checked=2)
    order = [paper, "--corpus", clotho, "--split", "test", "-o", tmp_path / "run"]
    refused = train(*order)
    assert refused.exit_code == 66
    assert "Cnn14_mAP=0.431.pth" in refused.stderr
    assert "instructor-base/" in refused.stderr
    done = train(*order, "--weights", weights)
    assert done.exit_code == 0, done.output
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert scores["test_looks"] == 1
    assert "CIDEr-D" in scores["test"]["scores"]
    assert (tmp_path / "run" / "model" / edtc_files.TENSORS_FILE).is_file()


CLASSES = [("0", "/m/1", "Dog"), ("1", "/m/2", "Rain"), ("2", "/m/3", "Bell_ring")]


def write_audioset(folder: Path) -> Path:
    """Four clips for training, one lost and one with a class that no caption comes with; two for the end."""
    table(folder / "class_labels_indices.csv", [["index", "mid", "display_name"], *map(list, CLASSES)])
    rows = ["# YTID, start_seconds, end_seconds, positive_labels"]
    for i, mids in enumerate(["/m/1", "/m/1,/m/2", "/m/3", "/m/2"]):
        rows.append(f'video000{i}xyz, 0.000, 10.000, "{mids}"')
        if i < 3:
            sound(folder / "audio" / f"video000{i}xyz.wav", i)
    rows += [f'captioned{i}a, 0.000, 10.000, "/m/1,/m/2"' for i in range(2)]
    (folder / "balanced_train_segments.csv").write_text("\n".join(rows))
    (folder / "eval_segments.csv").write_text(
        'heldout000a, 0.000, 10.000, "/m/1"\nheldout001a, 0, 10, "/m/2"'
    )
    for i in range(2):
        sound(folder / "audio" / f"heldout00{i}a.wav", i)
    return folder


def test_audioset_is_read_with_what_is_lost(tmp_path: Path) -> None:
    found = read_audioset(write_audioset(tmp_path))
    assert found.names == ["Dog", "Rain", "Bell_ring"]
    taught = [r.origin for r in found.recordings if r.split == "train"]
    assert taught == [f"youtube:video000{i}xyz" for i in range(3)]
    assert found.tags["youtube:video0001xyz"] == (0, 1)
    assert found.tags["youtube:video0003xyz"] == (1,)


def test_blat_as_published_runs_from_tags_to_towers(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clip whose class the captioner was never told gets no sentence; the rest is learnt and scored."""
    monkeypatch.setattr(blat_published, "BlatCnn14", lambda: public_toy())
    write_audioset(tmp_path / "data" / "audioset")
    captions = tmp_path / "data" / "audiocaps"
    for split, count in (("train", 2), ("val", 1), ("test", 2)):
        rows = [["audiocap_id", "youtube_id", "start_time", "caption"]]
        for i in range(count):
            name = f"captioned{i}a" if split == "train" else f"{split}video{i}a"
            rows.append([f"{split}{i}", name, "0", f"a dog barks {i} times"])
            sound(captions / split / f"{name}_0.wav", i)
        table(captions / f"{split}.csv", rows)
    quick = {"steps": 2, "batch": 2}
    paper = recipe(
        tmp_path, "blat", corpora=["audiocaps"], captioner=CAPTIONER | {"input": 32, "tags": 3},
        captioner_stage={"epochs": 1, "batch": 2}, synthetic_stage=quick, real_stage=quick,
    )  # fmt: skip
    done = train(paper, "--corpus", tmp_path / "data", "--weights", weights, "--split", "test",
                 "-o", tmp_path / "run")  # fmt: skip
    assert done.exit_code == 0, done.output
    with (tmp_path / "run" / "synthetic" / "captions.csv").open(newline="") as file:
        assert [row[0] for row in csv.reader(file)] == ["audioset/video0000xyz", "audioset/video0001xyz"]
    figures = json.loads((tmp_path / "run" / "scores.json").read_text())["test"]
    assert set(figures) == {"audiocaps", "audioset, zero-shot"}
    assert 0 <= figures["audiocaps"]["text to audio"]["R@1"] <= 1


def public_toy() -> torch.nn.Module:
    from edgecap.training.models.cnn14 import BlatCnn14

    return BlatCnn14(CNN)


def test_the_rate_goes_down_to_a_tenth_and_back_and_is_halved() -> None:
    factor = cyclic_cosine(8)
    np.testing.assert_allclose(
        [factor(step) for step in (0, 2, 4, 6, 8, 12, 16)], [1, 0.55, 0.1, 0.55, 0.5, 0.05, 0.25]
    )


def test_each_encoder_hears_what_is_real_of_a_batch() -> None:
    """A shorter clip beside a longer one is stretched over its own columns."""
    torch.manual_seed(0)
    listener = Listener([Cnn14(CNN)], 4)
    short, long = torch.randn(64_000) * 0.1, torch.randn(128_000) * 0.1
    (alone,), (together,) = listener.hear([short]), listener.hear([short, long])
    assert together.shape == (2, 4, 32)
    # The convolutions at its end see silence in the place of nothing; what is before that is the same.
    torch.testing.assert_close(together[0, :2], alone[0, :2], atol=0.05, rtol=0.2)


def test_stripes_hide_little_and_the_rest_stays() -> None:
    torch.manual_seed(0)
    log_mel = torch.rand(16, 400, 64) + 1.0
    hidden = spec_augment(log_mel)
    kept = hidden == log_mel
    assert 0.3 < kept.float().mean() < 1.0
    floors = log_mel.amin(dim=(1, 2), keepdim=True).expand_as(log_mel)
    torch.testing.assert_close(hidden[~kept], floors[~kept])


def test_a_recipe_is_rehearsed_without_anything_at_hand(tmp_path: Path) -> None:
    """A line a stage; a room's recipe has nothing to rehearse."""
    toy = recipe(tmp_path, "edtc-small", model=EDTC | {"inputs": [6, 8, 6], "text": 8}, batch=4)
    done = train(toy, "--smoke")
    assert done.exit_code == 0, done.output
    assert "captioner: 20 steps of 0." in done.stdout
    assert "GiB of 24" in done.stdout
    refused = train(RECIPES / "smallest.yaml", "--smoke")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "recipes of papers" in refused.stderr
    assert "Name both" in train(toy).stderr


def test_a_rehearsal_that_does_not_learn_numbers_is_refused() -> None:
    line = torch.nn.Linear(2, 1)
    stage = Rehearsal(
        "broken", line, lambda on: torch.full((1, 2), torch.nan), lambda x: (line(x).sum(), {}), 0.1
    )
    with pytest.raises(UnavailableError, match="the loss is no number"):
        rehearse(stage)


def test_a_teacher_adds_what_is_true_and_new() -> None:
    """Not what names another sound, nor names none, nor what people said already."""
    from edgecap.training.evaluation.metrics.words import Names
    from edgecap.training.papers.written import added
    from tests.made_corpus import LABELS

    rain = PlannedSound("rain", (Piece("rain-0", 0, 16_000, 0, 16_000),), -30.0)
    plan = Plan("1", "rain falls", "rain", 5, 1, -60.0, (rain,))
    said = ["rain is falling", "a dog barks and rain falls", "nothing of the kind", "rain falls"]
    plans = [
        msgspec.structs.replace(plan, id=str(number)) for number in range(5)
    ]  # of the last none was said
    found = added(plans, dict(zip("0123", said, strict=True)), Names(LABELS))
    assert [each.others for each in found.plans] == [("rain is falling",), (), (), (), ()]
    assert found.kept == 1
