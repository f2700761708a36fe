"""Training, start to end at the smallest size, on a corpus made here; and what decides what is taught."""

import json
from itertools import islice
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
from edgecap.training.data.corpus import Corpus, Label, open_corpus
from edgecap.training.models import room
from edgecap.training.models.convnext import CausalConvNeXt
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
from edgecap.training.room.teacher import WIDTH
from edgecap.training.room.warm_start import begin_from, keep_encoder, of_bundle, open_start
from edgecap.training.run_folder import Run
from edgecap.training.sound import signals
from edgecap.training.sound import templates as captions
from edgecap.training.sound.bank import DrySound, lull, sound_labels
from edgecap.training.sound.compose import Composer, Scene, Shares, Stream
from edgecap.training.sound.taxonomy import CADENCED
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


def test_a_crowd_is_mixed_from_single_voices_where_none_was_recorded(composer: Composer) -> None:
    crowd = Label("crowd_chatter", "people chat", "human voice")
    voice = Label("man_speech", "a man speaks", "human voice")
    clips = [
        clip._replace(label="man_speech", labels=("man_speech",))
        for clip in composer.library.corpus.clips[:6]
    ]
    corpus = Corpus(clips, [crowd, voice], composer.library.corpus._samples)
    labels = sound_labels(corpus, clips)
    assert {"crowd_chatter", "man_speech"} <= {label.name for label in labels}
    mixing = Composer(corpus, clips, labels)
    assert "crowd_chatter" in mixing.library.names
    one, same, other = (
        mixing.library.pick(np.random.default_rng(seed), "crowd_chatter") for seed in (1, 1, 2)
    )
    assert one.labels == (mixing.library.index["crowd_chatter"],)
    assert np.array_equal(one.samples, same.samples)
    assert not np.array_equal(one.samples, other.samples)
    assert np.isfinite(one.samples).all()
    both = [mixing.library.index[name] for name in ("crowd_chatter", "man_speech")]
    assert mixing.related[both[0], both[1]]  # a man may be heard in a crowd
    assert not mixing.related[both[1], both[0]]  # but is none
    recorded = [
        clips[0]._replace(label="crowd_chatter", labels=("crowd_chatter",), recording=f"crowd {number}")
        for number in range(5)
    ]
    few, enough = (Composer(corpus, [*clips, *recorded[:n]], labels).library for n in (2, 5))
    rng, dry = np.random.default_rng(0), corpus.audio(recorded[0])
    drawn = [few.pick(rng, "crowd_chatter").samples for _ in range(30)]
    assert 0 < sum(len(one) == len(dry) and np.array_equal(one, dry) for one in drawn) < 15
    assert not enough.crowds  # real ones are better
    assert not composer.library.crowds  # nor can dogs and rain be mixed to one
    rooms = composer.library.rooms(np.random.default_rng(0), 20 * RATE)
    assert rooms.shape == (20 * RATE,)
    assert 0 < np.abs(rooms).max() < 0.2


def test_a_sound_at_home_comes_last_and_its_noise_lies_under_all_of_it(composer: Composer) -> None:
    noises = 0
    for seed in range(24):
        scene, again = (composer.at_home(np.random.default_rng(seed)) for _ in range(2))
        assert np.array_equal(scene.samples, again.samples)
        assert len(scene.samples) % CHUNK_SAMPLES == 0
        assert np.abs(scene.samples).max() <= 1.0
        *under, sound = scene.events
        assert sound.foreground
        assert sound.labels
        assert sound.active.any()
        assert sound.level_db <= -14
        for noise in under:
            assert not noise.foreground
            assert noise.active[0]
            assert -25.1 <= noise.level_db - sound.level_db <= 3.1
            noises += 1
        assert scene.near is not None
        quiet = int(np.flatnonzero(sound.active)[0]) * CHUNK_SAMPLES
        if not quiet:
            continue
        far, near = (float(np.mean(each[:quiet] ** 2)) for each in (scene.samples, scene.near))
        if under:  # the teacher stands beside the sound: what else there is reaches it by 12 dB less
            assert far * 10**-1.25 < near < far
        else:
            assert near == pytest.approx(far, rel=0.1)
    assert 0 < noises < 24


def test_a_stream_goes_on_from_near_as_it_does_from_across_the_room(composer: Composer) -> None:
    stream = Stream(composer, np.random.default_rng(3), 16, Shares(homes=0.5))
    segments = list(islice(stream, 20))
    assert all(segment.near.shape == segment.samples.shape for segment in segments)
    same = [np.array_equal(segment.near, segment.samples) for segment in segments]
    assert any(same)
    assert not all(same)


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


def test_streams_are_reproducible_and_cut_scenes_without_loss(composer: Composer) -> None:
    def cut(chunks: int, segments: int) -> tuple[np.ndarray, np.ndarray]:
        stream = iter(Stream(composer, np.random.default_rng(3), chunks))
        parts = [next(stream) for _ in range(segments)]
        return np.concatenate([p.samples for p in parts]), np.concatenate([p.targets.heard for p in parts])

    samples, heard = cut(10, 6)
    others, likewise = cut(15, 4)
    assert np.array_equal(samples, others)
    assert np.array_equal(heard, likewise)
    assert len(samples) == 60 * CHUNK_SAMPLES
    assert len(heard) == 60


def test_a_lull_is_the_room_of_a_recording_without_its_sound() -> None:
    rng = np.random.default_rng(0)
    room = rng.normal(0, 0.001, 4 * RATE).astype(np.float32)
    loud = room.copy()
    loud[: 2 * RATE] += rng.normal(0, 0.1, 2 * RATE).astype(np.float32)
    found = lull(loud)
    assert found is not None
    assert 20 * np.log10(found.std()) == pytest.approx(-60, abs=1)
    seam = np.concatenate([found, found])[len(found) - 2 : len(found) + 2]
    assert np.abs(np.diff(seam)).max() < 0.01
    assert lull(room) is None  # nothing there but room: or a sound that never pauses
    assert (
        lull(np.where(np.arange(4 * RATE) < 2 * RATE, loud, 0).astype(np.float32)) is None
    )  # no room at all
    assert lull(loud[: RATE // 2]) is None


def test_an_alarm_over_noise_goes_on_through_its_pauses(composer: Composer) -> None:
    rng = np.random.default_rng(3)
    alarm = next(
        scene
        for scene in iter(lambda: composer.warning(rng), None)
        if scene.events[-1].labels == (composer.library.index["co_alarm"],)
        and scene.events[-1].active.sum() > 15
    )
    active, (label,) = alarm.events[-1].active, alarm.events[-1].labels
    first, last = np.flatnonzero(active)[[0, -1]]
    assert active[first : last + 1].all()  # bursts five seconds apart are one alarm
    targets = composer.targets(alarm)
    assert targets.heard[first : last + 1, label].all()
    after = targets.weight[last + 1 : last + 1 + CADENCED["co_alarm"], label]
    assert not after.any()  # is it over, or pausing? Nobody can tell yet
    assert targets.weight[:first, label].all()


def test_targets_say_what_sounds_and_not_what_is_drowned(composer: Composer) -> None:
    chunks = 20
    mix = np.zeros(chunks * CHUNK_SAMPLES, np.float32)
    time = np.arange(4 * CHUNK_SAMPLES) / RATE
    tone = np.sin(2 * np.pi * 500 * time).astype(np.float32)
    dog, rain = composer.library.index["dog_bark"], composer.library.index["rain"]
    loud = composer._place(mix, DrySound(tone, (dog,)), 5 * CHUNK_SAMPLES, -20.0, True)
    faint = composer._place(mix, DrySound(np.tile(tone, 5), (rain,)), 0, -50.0, False)
    targets = composer.targets(Scene(mix, [loud, faint]))
    assert targets.heard[:, dog].nonzero()[0].tolist() == [5, 6, 7, 8]
    assert targets.heard[4, rain] == 1.0
    assert targets.weight[5:9, rain].tolist() == [0.0] * 4  # under the dog nobody can tell: not taught
    assert targets.heard[12, dog] == 0.0
    assert targets.weight[12, dog] == 1.0
    sounding = mix[5 * CHUNK_SAMPLES : 9 * CHUNK_SAMPLES]
    assert abs(10 * np.log10(np.mean(sounding**2)) + 20.0) < 0.5


def test_sisters_are_taught_apart_and_only_narrower_names_are_excused(corpus_folder: Path) -> None:
    corpus = open_corpus(corpus_folder, corpus_folder / "cache")
    names = ["electronic_chime", *signals.PHRASES]
    composer = Composer(corpus, [], [Label(name, name, "") for name in names])
    tone = np.sin(np.arange(3 * CHUNK_SAMPLES) * 0.6).astype(np.float32)
    label = composer.library.index

    def excused(sounding: str, other: str) -> bool:
        mix = np.zeros(len(tone), np.float32)
        event = composer._place(mix, DrySound(tone, (label[sounding],)), 0, -20.0, True)
        return bool(composer.targets(Scene(mix, [event])).weight[1, label[other]] == 0.0)

    assert not excused("smoke_alarm", "alarm_clock")
    assert not excused("alarm_clock", "co_alarm")
    assert excused("electronic_chime", "doorbell")  # which a chime may well be
    assert not excused("doorbell", "electronic_chime")


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


@pytest.mark.parametrize("name", signals.MAKERS)
def test_signals_are_bounded_and_keep_their_standards(name: str) -> None:
    samples, label = signals.MAKERS[name](np.random.default_rng(4))
    assert label == name
    assert samples.dtype == np.float32
    assert 0.4 < np.abs(samples).max() <= 0.5
    assert RATE // 4 < len(samples) <= 10 * RATE


def test_three_pulses_have_the_times_of_iso_8201() -> None:
    for seed in range(8):
        samples, _ = signals.smoke_alarm(np.random.default_rng(seed))
        loud = np.convolve(np.abs(samples), np.ones(640) / 640, "same") > 0.05
        edges = np.flatnonzero(np.diff(loud.astype(int))) / RATE
        on = edges[1::2][:3] - edges[0:6:2]
        assert np.all((on > 0.42) & (on < 0.58))
        assert 1.2 < edges[6] - edges[5] < 2.3  # the longer pause after the third


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
