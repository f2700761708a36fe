"""Training, start to end at the smallest size, on a corpus made here: its stages, recipes and losses."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from edgecap.export.export import export_bundle
from edgecap.export.options import Options
from edgecap.runtime.audio import CHUNK_SAMPLES, RATE
from edgecap.runtime.errors import BundleError, ConfigError, DataError, InputMissingError
from edgecap.runtime.model.bundle import Bundle
from edgecap.runtime.model.engine import Engine
from edgecap.runtime.session import Model, Session
from edgecap.training import losses, made_from
from edgecap.training.data.corpus import Label
from edgecap.training.models import room
from edgecap.training.models.convnext import CausalConvNeXt
from edgecap.training.models.mobilenet import WIDTH
from edgecap.training.prepare.plan import Piece, Plan, PlannedSound
from edgecap.training.recipe import Recipe, read_recipe
from edgecap.training.room import stream_features as segments
from edgecap.training.room.encoder import (
    Distiller,
    EncoderSettings,
    _imitate_at_once,
    judgement_loss,
    train_encoder,
)
from edgecap.training.room.opinion import OpinionSettings
from edgecap.training.room.warm_start import begin_from, keep_encoder, of_bundle, open_start
from edgecap.training.run_folder import Run
from edgecap.training.sound import templates as captions
from edgecap.training.sound.compose import Composer
from edgecap.training.tokenizer import FREE, build_tokenizer
from edgecap.training.train import train
from tests import tiny_teacher
from tests.made_corpus import LABELS

RECIPES = Path(__file__).parents[2] / "training" / "recipes"


def test_a_recipe_runs_start_to_end_and_resumes(corpus_folder: Path, tmp_path: Path) -> None:
    recipe = read_recipe(RECIPES / "smallest.yaml")
    said: list[str] = []
    folder = train(
        recipe,
        corpus_folder,
        None,
        tmp_path,
        tmp_path / "cache",
        {"MODEL_CARD.md": RECIPES / "room-small.card.md"},
        progress=lambda done, what: said.append(what),
    )
    assert {"model.safetensors", "config.json", "tokenizer.json", "labels.csv", "MODEL_CARD.md"} <= {
        p.name for p in folder.iterdir()
    }
    assert all(
        (tmp_path / stage / "curves.png").stat().st_size > 1000
        for stage in ("encoder-1", "head", "semantic", "decoder")
    )
    about = json.loads((folder / "about.json").read_text())
    assert about["licences"] == ["CC0 1.0"]  # what may not be shipped was not heard
    assert about["commit"] == made_from.commit()
    first = room.load(folder).state_dict()
    again = room.load(train(recipe, corpus_folder, None, tmp_path, tmp_path / "cache")).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)  # nothing was left to do


def test_a_recipe_with_a_teacher_leaves_a_second_opinion_that_an_ear_asks(
    corpus_folder: Path, tmp_path: Path
) -> None:
    recipe = read_recipe(RECIPES / "smallest.yaml")
    assert isinstance(recipe, Recipe)
    recipe = msgspec.structs.replace(
        recipe, opinion_stage=OpinionSettings(steps=2, batch=2), opinion_weight=2.0, urgent=0.7
    )
    teacher = tiny_teacher.write(tmp_path / "mn04")
    folder = train(recipe, corpus_folder, teacher, tmp_path, tmp_path / "cache")
    export_bundle(folder, tmp_path / "bundle", Options(target="onnx", verify=False))
    model = Model.load(Bundle.open(tmp_path / "bundle"))
    assert (model.thresholds.segments.opinion, model.thresholds.policy.urgent) == (2.0, 0.7)
    session = Session(model)
    session.push(np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32))
    assert session.opinion is not None
    assert len(session.opinion.ask(2)) == len((folder / "labels.csv").read_text().splitlines()) - 1


def test_an_interrupted_stage_goes_on_where_it_was_saved(composer: Composer, tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = CausalConvNeXt("nano", 32, len(composer.labels))
    train_encoder(
        encoder, composer, None, Run(tmp_path, "encoder"), EncoderSettings(steps=2, batch=1, chunks=3)
    )
    resumed = CausalConvNeXt("nano", 32, len(composer.labels))
    train_encoder(
        resumed, composer, None, Run(tmp_path, "encoder"), EncoderSettings(steps=2, batch=1, chunks=3)
    )
    assert torch.equal(resumed.head.weight, encoder.head.weight)
    train_encoder(
        resumed, composer, None, Run(tmp_path, "encoder"), EncoderSettings(steps=4, batch=1, chunks=3)
    )
    assert Run(tmp_path, "encoder").resume()["step"] == 4  # type: ignore[index]  # it was saved
    assert not torch.equal(resumed.head.weight, encoder.head.weight)


def test_what_the_teacher_judges_alike_costs_nothing() -> None:
    torch.manual_seed(0)
    classifier = torch.nn.Linear(384, 5).requires_grad_(False)
    vectors = torch.randn(2, 17, 384)
    assert judgement_loss(classifier, vectors, vectors).item() == pytest.approx(0, abs=1e-6)
    blind = torch.linalg.svd(classifier.weight).Vh[-1]  # a direction that it does not look in
    assert judgement_loss(classifier, vectors + 9 * blind, vectors).item() == pytest.approx(0, abs=1e-4)
    shuffled = torch.cat([vectors[:, :8].flip(1), vectors[:, 8:]], 1)  # a window's mean is judged
    assert judgement_loss(classifier, shuffled, vectors).item() == pytest.approx(0, abs=1e-6)
    other = (vectors + 0.1 * torch.randn(2, 17, 384)).requires_grad_()
    loss = judgement_loss(classifier, other, vectors)
    loss.backward()  # type: ignore[no-untyped-call]  # torch's own stub has none
    assert loss.item() > 1e-4
    assert other.grad is not None
    assert other.grad[:, :16].abs().min() > 0
    assert not other.grad[:, 16].any()  # no whole window


def test_a_training_goes_on_from_a_bundles_encoder(tmp_path: Path) -> None:
    """What ships is int8, and torch takes it up: the same embeddings, to what rounding activations costs.
    What a training kept comes back to the last half-precision digit."""
    shipped = Bundle.open("room-small")
    labels = [Label(label.label, label.phrase, label.category) for label in shipped.labels]
    encoder = CausalConvNeXt("atto", 64, len(labels)).eval()
    begin_from(encoder, of_bundle(shipped, encoder), labels)
    engine = Engine("encoder", shipped.graph("encoder"), shipped.manifest.graphs["encoder"])
    rng, state, carried = np.random.default_rng(0), engine.initial_state(), encoder.initial_state()
    for _ in range(3):
        log_mel = rng.uniform(-80, -30, (1, 32, 64)).astype(np.float32)
        outputs, state = engine.step({"log_mel": log_mel}, state)
        with torch.no_grad():
            (embeddings, scores), carried = encoder.step(torch.from_numpy(log_mel), carried)
        theirs, ours = outputs["embedding"].ravel(), embeddings.numpy().ravel()
        assert theirs @ ours > 0.9995 * np.linalg.norm(theirs) * np.linalg.norm(ours)
        assert np.abs(outputs["scores"] - scores[:, 0].numpy()).max() < 0.05
    other = [Label("whale", "a whale sings", "animals"), *labels[:0:-1]]  # one new, one gone, another order
    changed = CausalConvNeXt("atto", 64, len(other)).eval()
    keep_encoder(encoder, labels, tmp_path / "encoder.safetensors")
    rounded = CausalConvNeXt("atto", 64, len(labels)).eval()
    begin_from(rounded, open_start(str(tmp_path / "encoder.safetensors"), rounded), labels)
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(rounded.state_dict()[name], tensor.half().to(tensor.dtype)), name
    begin_from(changed, of_bundle(shipped, changed), other)
    with torch.no_grad():
        (again, apart), _ = changed.step(torch.from_numpy(log_mel), changed.initial_state())
        (embeddings, scores), _ = encoder.step(torch.from_numpy(log_mel), encoder.initial_state())
    assert torch.equal(again, embeddings)
    assert torch.allclose(apart[..., 1:], scores[..., 1:].flip(-1))
    assert apart[..., 0].max() < 0.02
    with pytest.raises(BundleError, match="another than this recipe's"):
        begin_from(nano := CausalConvNeXt("nano", 64, len(labels)), of_bundle(shipped, nano), labels)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    run = Run(tmp_path, "encoder")
    run.save(3, model={})
    (tmp_path / "encoder" / "last.pt").write_bytes(b"half a file")
    with pytest.raises(DataError, match=r"last\.pt can't be read"):
        run.resume()


def test_every_recipe_is_read_and_a_wrong_key_is_named(tmp_path: Path) -> None:
    assert {read_recipe(path).name for path in RECIPES.glob("*.yaml")} >= {"room-small", "smallest"}
    wrong = tmp_path / "wrong.yaml"
    content = "name: x\nversion: '1'\nlicence: y\nencoder_stages: [{stepps: 5}]\n"
    for kind, named in (
        ("", "field `kind`"),
        ("kind: zoom\n", r"\$\.kind"),
        ("kind: room\n", "encoder_stages"),
    ):
        wrong.write_text(kind + content)
        with pytest.raises(ConfigError, match=named):
            read_recipe(wrong)
    with pytest.raises(InputMissingError):
        read_recipe(tmp_path / "none.yaml")


def test_sentences_put_the_lasting_sound_second_and_the_later_one_last() -> None:
    dog, rain, knock = 0, 1, 2
    heard = captions.SegmentEvent
    assert captions.sentence([], LABELS) == ""
    assert captions.sentence([heard(dog, 0, 3, -20)], LABELS) == "a dog barks"
    both = [heard(rain, 0, 20, -40), heard(dog, 5, 8, -20)]
    assert captions.sentence(both, LABELS) == "a dog barks while rain is falling"
    assert captions.sentence(both[::-1], LABELS) == "a dog barks while rain is falling"
    apart = [heard(knock, 9, 10, -20), heard(dog, 0, 3, -25)]
    assert captions.sentence(apart, LABELS) == "a dog barks, then someone knocks on a door"
    twice = [heard(dog, 0, 1, -20), heard(dog, 8, 9, -22)]
    assert captions.sentence(twice, LABELS) == "a dog barks"


def test_segments_survive_being_kept_and_never_caption_what_is_not_in_them(
    composer: Composer, tmp_path: Path
) -> None:
    encoder = CausalConvNeXt("nano", 32, len(composer.labels)).eval()
    clip = next(clip for clip in composer.library.corpus.clips if clip.label in composer.library.pools)
    piece = Piece(clip.id, 0, clip.stop - clip.start, CHUNK_SAMPLES, clip.stop - clip.start)
    sound = PlannedSound(clip.label, (piece,), -20.0)
    plan = Plan("1", "Something is heard, twice", "", 12, 0, -70.0, (sound,))
    heard = segments.encode_streams(encoder, composer, hours=0.02, seed=1, plans=[plan], streams=2)
    segments.save(heard, tmp_path / "kept.npz")
    again = segments.load(tmp_path / "kept.npz", composer.labels)
    rng, same = np.random.default_rng(0), np.random.default_rng(0)
    for _ in range(20):
        one, other = heard.draw(rng), again.draw(same)
        assert one.caption == other.caption
        assert np.array_equal(one.embeddings, other.embeddings)
        assert len(one.spectrogram) == 8 * len(one.embeddings)
        assert one.is_free == other.is_free == (one.caption == plan.caption)
    row, told = heard.told[0]
    assert any(event.first == told.first for event in heard.events[row])
    row = 0
    first = min(event.first for event in heard.events[row])
    assert first == 0 or heard.caption(row, 0, first) == ""


def test_info_nce_of_each_processs_part_is_that_of_the_whole_batch() -> None:
    query, text = (torch.nn.functional.normalize(torch.randn(6, 5), dim=-1) for _ in range(2))
    same = torch.eye(6, dtype=torch.bool)
    same[0, 4] = same[4, 0] = True
    parts = [losses.info_nce(query[at : at + 2], text, same[at : at + 2], first=at) for at in (0, 2, 4)]
    torch.testing.assert_close(torch.stack(parts).mean(), losses.info_nce(query, text, same))


def test_info_nce_ignores_equal_texts_and_falls_as_pairs_meet() -> None:
    torch.manual_seed(0)
    text = torch.nn.functional.normalize(torch.randn(4, 8), dim=1)
    text[1] = text[0]
    same = torch.tensor([[bool(torch.equal(a, b)) for b in text] for a in text])
    assert losses.info_nce(text, text, same) < 0.01  # a twin is no negative
    assert losses.info_nce(text, text, torch.eye(4, dtype=torch.bool)) > 0.3
    assert losses.info_nce(text.roll(2, 0), text, same) > 5


def test_bag_of_words_counts_distinct_words_only() -> None:
    logits = torch.zeros(1, 10)
    once, twice = torch.tensor([[1, 5, 6, 2]]), torch.tensor([[1, 5, 6, 5, 2, 0]])
    assert losses.bag_of_words(logits, once) == losses.bag_of_words(logits, twice)
    logits[0, 5] = logits[0, 6] = 20.0
    assert abs(losses.bag_of_words(logits, once).item() - np.log(2)) < 1e-3


def test_a_free_caption_begins_with_a_token_of_its_own() -> None:
    tokenizer = build_tokenizer(["a dog barks", "rain"], styles=(FREE,))
    free, ours = tokenizer.encode(["a dog barks", "a dog barks"], 8, [True, False]).tolist()
    assert free[1:] == ours[1:]
    assert tokenizer.words[free[0]] == FREE
    assert tokenizer.words[ours[0]] == "<bos>"


def test_a_training_that_goes_on_begins_with_the_best_line_to_the_teachers_vectors() -> None:
    torch.manual_seed(0)
    model = Distiller(CausalConvNeXt("nano", 32, 3)).eval()
    embeddings = torch.randn(20, 16, model.encoder.width)
    line = torch.nn.Linear(model.encoder.width, WIDTH).requires_grad_(False)
    with torch.no_grad():
        vectors = 5.0 + 3.0 * line(model.encoder.norm(embeddings))
        model.scale.copy_(torch.stack([vectors.flatten(0, 1).mean(0), vectors.flatten(0, 1).std(0)]))
        right = (vectors - model.scale[0]) / model.scale[1]
        before = (model.imitate(embeddings) - right).square().mean()
        _imitate_at_once(model, embeddings, vectors)
        after = (model.imitate(embeddings) - right).square().mean()
    assert before > 0.9  # as bad as saying nothing
    assert after < 0.05  # but for the ridge
