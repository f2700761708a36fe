"""What `edgecap evaluate` counts, on a model whose every answer is known: a bell, a dog, rain.

Recordings are the model's own tones, so what a right count is can be said beforehand.
"""

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner, Result

from edgecap.cli import app
from edgecap.runtime.audio import RATE, Samples
from edgecap.training.data.corpus import Clip, Corpus, Label
from edgecap.training.evaluation.captioned import Said, loud_level, onset, sounding_power
from edgecap.training.evaluation.context import Context, Stage
from edgecap.training.evaluation.metrics.words import Names
from edgecap.training.evaluation.peers import lines
from edgecap.training.evaluation.peers import mn04 as peers
from edgecap.training.evaluation.questions import calibration, naming, probe, safety, silence, stability
from edgecap.training.evaluation.questions.naming import Uttered
from edgecap.training.evaluation.sounds import streams
from edgecap.training.sound.compose import Composer
from edgecap.training.sound.signals import MAKERS
from tests import handmade

LABELS = [
    Label("bell", "a bell rings", "signals"),
    Label("dog_bark", "a dog barks", "animals"),
    Label("room_tone", "a room is quiet", "quiet"),
    Label("speech", "someone speaks", "people"),
]
Recording = tuple[str, Samples]


def context(*recordings: Recording, split: str = "test") -> Context:
    """A context with these recordings held out: (label, samples)."""
    clips, start = [], 0
    for i, (label, samples) in enumerate(recordings):
        stop = start + len(samples)
        clips.append(Clip(f"clip-{i}", "made", f"made:{i}", label, (label,), split, "CC0", start, stop))
        start = stop
    everything = np.concatenate([samples for _, samples in recordings])
    corpus = Corpus(clips, LABELS, (everything * 32767).astype(np.int16))
    return Context(Stage(handmade.model(), corpus, Names(LABELS)), Path(), hours=0.01, trials=1)


@pytest.fixture(scope="module")
def heard() -> list[Uttered]:
    """A bell, a dog called a bell, and a dog too quiet to be heard."""
    quiet_dog = handmade.dog(1.0) * np.float32(1e-4)
    return naming.utter(
        context(("bell", handmade.bell()), ("dog_bark", handmade.bell()), ("dog_bark", quiet_dog))
    )


def test_naming_counts_what_captions_say(heard: list[Uttered]) -> None:
    assert [[one.text for one in u.said] for u in heard] == [["A bell rings."], ["A bell rings."], []]
    row = naming.naming(heard)
    assert row["spoken"] == pytest.approx(2 / 3)
    assert row["recall"] == pytest.approx(1 / 3)
    assert row["first_right"] == pytest.approx(1 / 2)
    rows = naming.by_label(heard)
    assert rows["bell"]["recall"] == 1.0
    assert rows["dog_bark"]["recall"] == rows["dog_bark"]["first_right"] == 0.0


def test_a_class_that_was_never_spoken_of_has_no_first(heard: list[Uttered]) -> None:
    silent = naming.by_label([heard[2]] * naming.ENOUGH)
    means = naming.mean_over_classes({**silent, "bell": {**naming.naming([heard[0]] * naming.ENOUGH)}})
    assert means["classes"] == 2
    assert means["recall"] == 0.5
    assert means["first_right"] == 1.0  # of the bells; of the dogs there is none


def test_small_classes_are_left_out_of_the_mean(heard: list[Uttered]) -> None:
    assert naming.mean_over_classes(naming.by_label(heard))["classes"] == 0


def test_a_delay_runs_from_the_onset_not_from_the_files_beginning() -> None:
    late = np.concatenate([handmade.silence(2.0), handmade.bell()])
    (uttered,) = naming.utter(context(("bell", late)))
    assert uttered.onset == pytest.approx(3 * RATE, abs=RATE // 50)  # a second of the room, two of the file
    assert uttered.delay_s is not None
    assert 0.3 < uttered.delay_s <= 1.5


@pytest.mark.parametrize("gain", [1.0, 0.01])
def test_onset_and_level_are_of_the_energy(gain: float) -> None:
    faint = 0.001 * handmade.rain(0.5)
    sound = np.float32(gain) * np.concatenate([faint, handmade.bell(0.5), handmade.silence(1.0)])
    assert onset(sound) == pytest.approx(RATE // 2, abs=RATE // 50)
    assert loud_level(sound) == pytest.approx(-23 + 20 * np.log10(gain), abs=0.5)
    assert 10 * np.log10(sounding_power(sound)) == pytest.approx(-23 + 20 * np.log10(gain), abs=0.5)


def test_names_finds_alarms_that_the_corpus_lacks() -> None:
    names = Names(LABELS)
    assert names("Possibly a carbon monoxide alarm beeps while a dog barks.") == {"co_alarm", "dog_bark"}
    assert names("A door creaks.") == frozenset()


def test_noise_is_as_loud_as_its_name_says_and_never_repeats() -> None:
    rng = np.random.default_rng(0)
    for stream in (streams.white(rng, -30.0), streams.pink(rng, -30.0)):
        blocks = list(streams.lasting(stream, 8.0))
        sound = np.concatenate(blocks)
        assert len(sound) == 8 * RATE
        assert 10 * np.log10(np.mean(sound**2)) == pytest.approx(-30, abs=1.0)
        assert not np.array_equal(blocks[0], blocks[1])


def test_pink_noise_falls_by_three_decibels_an_octave() -> None:
    sound = np.concatenate(list(streams.lasting(streams.pink(np.random.default_rng(0), -20.0), 20.0)))
    power = np.abs(np.fft.rfft(sound)) ** 2
    hz = np.fft.rfftfreq(len(sound), 1 / RATE)
    octaves = [np.mean(power[(hz >= low) & (hz < 2 * low)]) for low in (250, 500, 1000, 2000, 4000)]
    assert np.diff(10 * np.log10(octaves)) == pytest.approx([-3.0] * 4, abs=0.5)


def test_loops_have_no_seam() -> None:
    tone = handmade.tone(440, 1.7)
    loop = np.concatenate(list(streams.lasting(streams.looped([tone], np.random.default_rng(0)), 6.0)))
    assert len(loop) == 6 * RATE
    assert np.abs(np.diff(loop)).max() < 2.0 * np.abs(np.diff(tone)).max()


def test_silence_lists_what_was_said_of_what() -> None:
    tone = np.concatenate([handmade.bell(0.5), handmade.silence(12.0)])
    figures = silence.examine(context(("room_tone", tone)))
    assert figures["digital silence"]["captions"] == 0
    assert figures["digital silence"]["said"] == {}
    # 36 s of a "room tone" in which a bell rings every 12 s: that must show, a guess made once.
    assert figures["room tone"]["said"] == {"Possibly a bell rings.": 1}
    assert figures["room tone"]["captions"] == 1
    assert figures["room tone"]["untrue"] == figures["room tone"]["captions"]
    assert figures["room tone"]["captions_an_hour"] == figures["room tone"]["captions"] / 0.01


def test_no_two_sounds_of_silence_are_the_same_samples() -> None:
    """Up to their level: two noises once had one seed, as their names were equally long."""
    stage = context(("room_tone", handmade.tone(440, 1.7))).stage
    sounds = []
    for name in silence.NOISES:
        quiet = silence.Quiet(name, "test", 1.0, 0)
        first, again = (
            np.concatenate([*streams.lasting(silence.stream(stage, quiet), 1.0)]) for _ in range(2)
        )
        assert np.array_equal(first, again)
        sounds.append(first / first.std())
    for one, other in itertools.combinations(sounds, 2):
        assert abs(float(np.mean(one * other))) < 0.1


def test_steadiness_counts_captions_and_updates() -> None:
    steps = [("new", "A"), ("update", "B"), ("new", "C")]
    said = [Said(i, kind, str(i), text, 1.0, frozenset()) for i, (kind, text) in enumerate(steps)]
    assert stability.steadiness(said) == {"captions": 2, "updates": 1, "said": ["A", "B", "C"]}


def test_only_one_sound_that_begins_at_once_is_clear() -> None:
    swelling = handmade.bell(2.0) * np.linspace(0, 1, 2 * RATE, dtype=np.float32) ** 4
    tried = context(
        ("bell", handmade.bell()), ("bell", swelling), ("bell", handmade.bell() * np.float32(0.01))
    )  # fmt: skip
    assert [stability.is_clear(tried, clip) for clip in tried.clips] == [True, False, False]
    both = tried.clips[0]._replace(labels=("bell", "dog_bark"))
    assert not stability.is_clear(tried, both)


def test_delays_tell_the_first_caption_from_the_first_right_one(heard: list[Uttered]) -> None:
    bell, wrong, unheard = heard
    late = Said(bell.onset + 3 * RATE, "update", "1", "A dog barks.", 0.9, frozenset({"dog_bark"}))
    corrected = wrong._replace(said=[*wrong.said, late])
    row = stability.delays([corrected, unheard])
    assert row["spoken"] == 1
    assert row["first_median_s"] < 1.6
    assert row["first_right_median_s"] == pytest.approx(3.0, abs=0.05)
    assert row["updates_a_caption"] == 1.0


@pytest.mark.parametrize(
    ("label", "period_s"), [("smoke_alarm", (3.4, 5.1)), ("co_alarm", (4.5, 7.0))]
)  # fmt: skip
def test_an_alarm_goes_on_in_its_own_pattern(label: str, period_s: tuple[float, float]) -> None:
    for seed in range(6):
        long = safety.go_on(MAKERS[label](np.random.default_rng(seed))[0], 40.0)
        assert len(long) == 40 * RATE
        envelope = np.abs(long).reshape(-1, RATE // 50).mean(axis=1) > 0.05
        begins = np.flatnonzero(np.diff(envelope, prepend=False) & envelope) / 50
        groups = begins[np.diff(begins, prepend=-9.0) > 1.2]  # pulses after the long rest
        apart = np.diff(groups)
        assert len(apart) >= 5
        assert period_s[0] <= apart.min()
        assert apart.max() <= period_s[1]


def test_both_pitches_of_a_smoke_alarm_can_be_drawn() -> None:
    rng = np.random.default_rng(0)
    for kind in safety.ALARMS[:2]:
        assert (safety.pitch(safety.alarm(rng, kind)) < safety.LOW_HZ) == kind.is_low


def test_recall_is_of_what_was_named_in_time() -> None:
    def outcome(seconds: float, label: str) -> safety.Outcome:
        return safety.Outcome(RATE, [Said(int((1 + seconds) * RATE), "new", "", "", 0.9, frozenset({label}))])

    trial = safety.Trial(safety.ALARMS[0], "test", 0.0, (0,))
    outcomes = [
        outcome(2, "smoke_alarm"), outcome(11, "smoke_alarm"),
        outcome(2, "alarm_clock"), outcome(2, "speech"),
    ]  # fmt: skip
    row = safety._recall([(trial, one) for one in outcomes])
    assert row["recall"] == 0.25
    assert row["median_s"] == 2.0
    assert (row["only_kin"], row["only_other"], row["nothing"]) == (1, 1, 1)


def test_the_alarm_is_as_loud_over_the_noise_as_the_trial_says() -> None:
    tried = context(("speech", handmade.rain(5.0)))
    mixed: list[Samples] = []
    for snr_db in (0.0, 12.0):
        trial = safety.Trial(safety.ALARMS[0], "test", snr_db, (1, 2))
        samples, lead = safety.compose(tried.stage, trial)
        assert len(samples) >= lead + 10 * RATE
        mixed.append(samples / np.sqrt(np.mean(samples[:lead] ** 2)))  # now the noise's power is 1
    # The same noise and the same alarm, 12 dB apart: what differs is 10^(12/20) - 1 of the alarm at 0 dB.
    alarm = (mixed[1] - mixed[0])[lead:] / (10 ** (12 / 20) - 1)
    assert 10 * np.log10(sounding_power(alarm, safety.PULSE_DB)) == pytest.approx(0.0, abs=0.5)


def test_everything_but_an_alarm_holds_no_alarm() -> None:
    day = safety.Day("test", 5.0, 0)
    tried = context(("smoke_alarm", handmade.dog(2.0)), ("bell", handmade.bell(2.0)))
    said = safety.sit_through(tried.stage, day)
    assert said
    assert {name for one in said for name in one.named} == {"bell"}


def test_a_bell_called_a_smoke_alarm_is_a_false_alarm() -> None:
    tried = context(("bell", handmade.bell(2.0)))
    tried = dataclasses.replace(
        tried, stage=tried.stage._replace(names=lambda text: frozenset({"smoke_alarm"}))
    )
    figures = safety.false_alarms(tried)
    assert figures["false_alarms"] == figures["captions"] > 0
    assert figures["false_alarms_an_hour"] == pytest.approx(figures["false_alarms"] / 0.03)
    assert figures["at_most_an_hour"] > figures["false_alarms_an_hour"] + 0.9 / 0.03


def test_calibration_is_recovered_from_draws() -> None:
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.02, 0.98, 20_000)
    probability = 1 / (1 + np.exp(-(-0.7 + 1.6 * np.log(scores / (1 - scores)))))
    right = rng.random(len(scores)) < probability
    assert calibration.fit_calibration(scores, right) == pytest.approx((-0.7, 1.6), abs=0.08)
    assert calibration.reliability(probability, right)["ece"] < 0.015
    assert calibration.reliability(scores, right)["ece"] > 0.05


def test_reliability_by_hand() -> None:
    row = calibration.reliability(np.array([0.95, 0.95, 0.15, 1.0]), np.array([True, False, False, True]))
    assert [(one["from"], one["captions"], one["right"]) for one in row["bins"]] == [
        (0.1, 1, 0.0), (0.9, 3, pytest.approx(2 / 3)),
    ]  # fmt: skip
    gap = abs((0.95 + 0.95 + 1.0) / 3 - 2 / 3)
    assert row["ece"] == pytest.approx((0.15 + 3 * gap) / 4)
    assert row["brier"] == pytest.approx((0.05**2 + 0.95**2 + 0.15**2 + 0) / 4)


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


def test_the_signals_of_the_trials_are_known_to_the_composer() -> None:
    tried = context(("bell", handmade.bell()))
    assert set(safety.ALLOWED_S) <= set(MAKERS)
    assert set(MAKERS) <= set(Composer(tried.corpus, tried.clips, LABELS).library.names)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A corpus folder with two bells and two rooms in each split."""
    folder = tmp_path / "clips"
    folder.mkdir()
    rows = ["id,file,source,recording,label,labels,split,licence"]
    for i, split in enumerate(("train", "val", "test") * 2):
        for label, sound in (("bell", handmade.bell(1.0)), ("room_tone", 0.01 * handmade.rain(1.0, i))):
            name = f"{label}-{i}"
            soundfile.write(folder / f"{name}.wav", sound, RATE)
            rows.append(f"{name},{name}.wav,made,made:{i},{label},{label},{split},CC0")
    (folder / "clips.csv").write_text("\n".join(rows) + "\n")
    labels = [f"{label.name},{label.phrase},{label.category}" for label in LABELS]
    (folder / "labels.csv").write_text("\n".join(["label,phrase,category", *labels]) + "\n")
    return folder


def evaluate(bundle: Path, corpus: Path, *flags: str) -> Result:
    """The command's answer."""
    cache = corpus.parent / "cache"
    return CliRunner().invoke(
        app, ["evaluate", str(bundle), "--corpus", str(corpus), "--cache", str(cache), *flags]
    )  # fmt: skip


def test_the_command_gives_one_object_whoever_does_the_work(tiny_bundle: Path, corpus: Path) -> None:
    reports = []
    for jobs in ("1", "2"):
        flags = ["--only", "naming,silence", "--hours", "0.002", "--jobs", jobs, "--json"]
        done = evaluate(tiny_bundle, corpus, *flags)
        assert done.exit_code == 0, done.output
        reports.append(json.loads(done.stdout))
    for part in ("naming", "silence"):
        assert reports[0][part] == reports[1][part]
    assert reports[0]["naming"]["clips"]["clips"] == 2  # the test split's bells; rooms hold nothing to name
    assert set(reports[0]["seconds"]) == {"naming", "silence"}
    assert reports[0]["bundle"]["title"] == "room-tiny 0.1"
    assert reports[0]["seed"] == 0


def test_tables_show_the_same_figures(tiny_bundle: Path, corpus: Path, tmp_path: Path) -> None:
    plot = tmp_path / "plot.png"
    flags = ["--only", "naming,silence,calibration,day", "--hours", "0.001", "--jobs", "1"]
    done = evaluate(tiny_bundle, corpus, *flags, "--plot", str(plot))
    assert done.exit_code == 0, done.output
    for words in ("held-out clips", "chance, uniform: 1.000", "digital silence", "ece: ", "captions_an_hour"):
        assert words in done.stdout
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_a_corpus_without_noise_can_not_ask_for_rooms(tiny_bundle: Path, corpus: Path) -> None:
    done = evaluate(tiny_bundle, corpus, "--only", "rooms", "--jobs", "1", "--split", "val", "--clips", "1")
    assert done.exit_code != 0
    assert "the split val has no recording of everyday noise" in done.stderr


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--only", "naming,tides"], "--only tides"),
        (["--split", "train"], "train is not held out"),
        (["--clips", "0"], "--clips"),
        (["--plot", "reliability.png"], "Add it: --only calibration"),
        (["--report", "nowhere/page.html"], "there is no folder nowhere"),
    ],
)
def test_what_can_not_be_asked_is_said_before_the_work(
    tiny_bundle: Path, corpus: Path, flags: list[str], complaint: str
) -> None:
    done = evaluate(tiny_bundle, corpus, *flags)
    assert done.exit_code == 2
    assert complaint in done.stderr
