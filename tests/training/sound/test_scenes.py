"""Composed scenes and streams, the signals in them, and what is taught of them."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from edgecap.runtime.audio import CHUNK_SAMPLES, RATE
from edgecap.training.data.corpus import Corpus, Label, open_corpus
from edgecap.training.sound import signals
from edgecap.training.sound.bank import DrySound, lull, sound_labels
from edgecap.training.sound.compose import Composer, Scene, Shares, Stream
from edgecap.training.sound.taxonomy import CADENCED


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
