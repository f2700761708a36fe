"""Real rooms and sparse days: the sounds are what they are said to be, and what is counted was said."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgecap.runtime.audio import RATE, Samples
from edgecap.training.data.corpus import Clip, Corpus, Label, belongs
from edgecap.training.evaluation.captioned import Said, in_room, sounding_power
from edgecap.training.evaluation.context import Context, Stage
from edgecap.training.evaluation.metrics.intervals import rate_limit, share_interval
from edgecap.training.evaluation.metrics.words import Names
from edgecap.training.evaluation.questions import day, naming, rooms, silence
from edgecap.training.evaluation.sounds.backgrounds import household
from tests import handmade

LABELS = [
    Label("bell", "a bell rings", "signals"),
    Label("dog_bark", "a dog barks", "animals"),
    Label("rain", "rain falls", "weather"),
    Label("crying_baby", "a baby is crying", "people"),
    Label("speech", "someone is speaking", "people"),
    Label("man_speech", "a man speaks", "people"),
    Label("music", "music is playing", "music"),
    Label("fan", "a fan is humming", "machines"),
    Label("room_tone", "a room is quiet", "quiet"),
]


def context(*recordings: tuple[str, str, Samples]) -> Context:
    """A context with these recordings held out: (label, recording, samples)."""
    clips, start = [], 0
    for i, (label, recording, samples) in enumerate(recordings):
        stop = start + len(samples)
        clips.append(Clip(f"clip-{i}", "made", recording, label, (label,), "val", "CC0", start, stop))
        start = stop
    everything = np.concatenate([samples for _, _, samples in recordings])
    corpus = Corpus(clips, LABELS, (everything * 32767).astype(np.int16))
    return Context(Stage(handmade.model(), corpus, Names(LABELS)), Path(), split="val", hours=0.02, trials=1)


@pytest.fixture(scope="module")
def tried() -> Context:
    return context(
        ("bell", "r0", handmade.bell(1.5)),
        ("music", "r1", 0.3 * handmade.rain(3.0, 1)),
        ("speech", "r2", handmade.tone(700, 3.0)),
        ("room_tone", "r3", 0.01 * handmade.rain(3.0, 2)),
    )


def hearing(tried: Context, place: rooms.Place, clip: int = 0, seed: int = 0) -> rooms.Hearing:
    return rooms.Hearing(tried.clips[clip], place, "val", seed)


def test_quiet_is_the_room_of_naming(tried: Context) -> None:
    clip = tried.clips[0]
    heard = rooms.compose(tried.stage, hearing(tried, rooms.AS_RECORDED))
    assert np.array_equal(heard, in_room(clip, tried.corpus.audio(clip)))


def test_noise_is_so_far_below_the_sound_as_the_place_says(tried: Context) -> None:
    """The same noise at every distance, in any process, for any bundle; another for another seed."""
    sound = sounding_power(tried.corpus.audio(tried.clips[0]))
    quiet = rooms.compose(tried.stage, hearing(tried, rooms.AS_RECORDED))
    after = slice(-RATE, None)  # the clip is over: the noise alone
    noises = []
    for place in rooms.PLACES.values():
        if place.snr_db is None or place.is_in_room:
            continue
        heard = rooms.compose(tried.stage, hearing(tried, place))
        assert np.array_equal(heard, rooms.compose(tried.stage, hearing(tried, place)))
        assert np.abs(heard).max() <= 1.0
        if place.snr_db >= 10:  # nothing was turned down, so that levels are as composed
            ratio = 10 * np.log10(sound / sounding_power(heard - quiet))
            assert ratio == pytest.approx(place.snr_db, abs=0.7)
        noises.append(heard[after])
    assert len(noises) == 5
    for noise in noises:
        assert np.corrcoef(noise, noises[-1])[0, 1] > 0.95  # but for the room's floor
    levels = [float(noise.std()) for noise in noises]
    assert levels == sorted(levels)
    place = rooms.Place(snr_db=0.0)
    other = rooms.compose(tried.stage, hearing(tried, place, seed=1))
    assert abs(np.corrcoef(other[after], noises[-1])[0, 1]) < 0.5


def test_far_is_the_same_room_and_quieter(tried: Context) -> None:
    near = rooms.compose(tried.stage, hearing(tried, rooms.Place(is_in_room=True)))
    far = rooms.compose(tried.stage, hearing(tried, rooms.Place(is_in_room=True, gain_db=-15.0)))
    sounding = slice(RATE, RATE + RATE // 2)
    assert near[sounding] * 10 ** (-15 / 20) == pytest.approx(far[sounding], abs=2e-3)
    dry = rooms.compose(tried.stage, hearing(tried, rooms.AS_RECORDED))
    after = slice(int(2.52 * RATE), int(2.6 * RATE))  # the clip has ended: a room goes on
    assert np.mean(near[after] ** 2) > 100 * np.mean(dry[after] ** 2)


def test_noise_could_not_be_taken_for_the_sound(tried: Context) -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        noise = household(tried.stage, "val", rng, RATE, without=frozenset({"speech"}))
        spectrum = np.abs(np.fft.rfft(noise)) ** 2
        assert spectrum[690:710].sum() < 0.2 * spectrum.sum()  # no tone of 700 Hz: never the speech


def test_rooms_asks_recall_alone_over_noise(tried: Context) -> None:
    figures = rooms.examine(replace(tried, most=1))
    assert list(figures) == list(rooms.PLACES)
    quiet, noise = figures["quiet, as recorded"]["clips"], figures["over noise, +10 dB"]["clips"]
    assert quiet["clips"] == noise["clips"] == 1
    assert {"spoken", "first_right", "recall_low"} <= quiet.keys()
    assert noise.keys() == {"clips", "recall", "recall_closed", "recall_low", "recall_high"}


def test_an_interval_knows_that_clips_of_a_recording_stand_and_fall_together() -> None:
    right = np.repeat([1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0] * 10, 8)
    by_clip = share_interval(right, np.ones(800), [str(i) for i in range(800)])
    by_recording = share_interval(right, np.ones(800), [str(i // 8) for i in range(800)])
    alone = share_interval(right[::8], np.ones(100), [str(i // 8) for i in range(0, 800, 8)])
    assert by_recording == pytest.approx(alone)  # eight pieces of each tell no more than one of each
    # A share of 0.7 of n has the deviation sqrt(0.7 * 0.3 / n).
    assert by_clip == pytest.approx((0.7 - 1.96 * 0.0162, 0.7 + 1.96 * 0.0162), abs=0.006)
    assert by_recording == pytest.approx((0.7 - 1.96 * 0.0458, 0.7 + 1.96 * 0.0458), abs=0.02)


def test_an_interval_of_a_mean_over_classes_weighs_classes_alike() -> None:
    """Ninety clips of a sound that is always named and ten of one that never is: a half, not 0.9."""
    member = np.zeros((100, 2))
    member[:90, 0] = member[90:, 1] = 1
    right = member * np.array([1.0, 0.0])
    low, high = share_interval(right, member, [str(i) for i in range(100)])
    assert (low, high) == pytest.approx((0.5, 0.5), abs=1e-9)
    assert np.isnan(share_interval(np.zeros(0), np.zeros(0), [])).all()


def test_no_event_in_so_long_is_the_rule_of_three() -> None:
    assert rate_limit(0, 30.0) == pytest.approx(2.9957 / 30, rel=1e-4)
    assert rate_limit(3, 1.0) == pytest.approx(7.7537, rel=1e-4)  # Garwood's table
    assert np.isnan(rate_limit(0, 0.0))


def test_val_is_parted_by_recording_and_stays_parted() -> None:
    tone = handmade.tone(440, 0.1)
    tried = context(*(("bell", f"r{i // 3}", tone) for i in range(300)))
    choose, check = (tried.corpus.split(half) for half in ("choose", "check"))
    assert {clip.id for clip in choose} | {clip.id for clip in check} == {clip.id for clip in tried.clips}
    assert not {clip.recording for clip in choose} & {clip.recording for clip in check}
    assert 0.35 < len(choose) / 300 < 0.65
    for clip in choose:  # by its recording alone, whatever else there is
        assert belongs(clip._replace(id="another", label="rain", start=7), "choose")
    assert not any(
        belongs(clip._replace(split=split), "choose") for clip in choose for split in ("test", "train")
    )
    half = replace(tried, split="choose")
    assert half.clips == choose


def test_some_clips_are_always_the_same(tried: Context) -> None:
    tone = handmade.tone(440, 0.1)
    wide = context(*((label, f"r{i}", tone) for i, label in enumerate(["bell", "rain", "unlabelled"] * 20)))
    assert len(wide.clips) == 40  # what nobody labelled can't be scored
    few, more = (replace(wide, most=most).clips for most in (5, 20))
    assert len(few) == 5
    assert set(few) < set(more) < set(wide.clips)


def said(second: float, text: str, number: str, kind: str = "new") -> Said:
    return Said(int(second * RATE), kind, number, text, 0.9, Names(LABELS)(text))


def event(label: str, start: float, stop: float) -> day.Event:
    clip = Clip(f"{label}-{start}", "made", f"{label}-{start}", label, (label,), "val", "CC0", 0, 0)
    return day.Event(clip, int(start * RATE), int(stop * RATE))


def test_a_day_is_judged_as_its_reader_would() -> None:
    lived = day.Lived(
        [
            event("dog_bark", 10, 12), event("bell", 50, 52), event("man_speech", 100, 110),
            event("crying_baby", 200, 205), event("fan", 300, 310),
        ],
        [
            said(11, "Possibly a baby is crying.", "1"),  # a dog; mended later
            said(12, "A dog barks.", "1", "update"),
            said(56, "A bell rings.", "2"),  # four seconds after its end: too late
            said(102, "Someone is speaking.", "3"),  # a man speaks: kin
            said(203, "A baby is crying.", "4"),
            said(250, "A baby is crying.", "5"),  # nothing sounds
            said(301, "A bell rings.", "6"),
        ],
    )  # fmt: skip
    row = day.figures([lived], 2.0, frozenset({"dog_bark", "bell", "crying_baby"}))
    assert (row["captions"], row["captions_an_hour"], row["sounds"]) == (6, 3.0, 5)
    assert row["right"] == pytest.approx(2 / 6)  # 1, as it read at last, and 4
    assert row["right_or_kin"] == pytest.approx(3 / 6)
    assert row["recall"] == pytest.approx(2 / 5)
    assert row["recall_of_taught"] == pytest.approx(2 / 3)
    assert row["false_an_hour"] == 2.0
    assert row["false_while_nothing_sounded"] == 2
    assert row["false_of_sounds_not_taught"] == 2  # the man's and the fan's
    assert (row["false_urgent"], row["plain_false_urgent"]) == (2, 1)
    assert row["plain_false_urgent_an_hour"] == 0.5
    assert row["plain_false_urgent_at_most_an_hour"] == pytest.approx(4.7439 / 2, rel=1e-4)
    assert row["false urgent, and what sounded"] == [
        "Possibly a baby is crying. (dog_bark)", "A baby is crying. (nothing)",
    ]  # fmt: skip


def test_sounds_come_sixty_times_an_hour_and_lie_where_the_day_says() -> None:
    tried = context(
        ("bell", "r0", handmade.bell(1.0)), ("room_tone", "r1", 0.01 * handmade.rain(3.0, 2))
    )  # fmt: skip
    counts = []
    for seed in range(20):
        stretch = day.Stretch(tuple(tried.clips), "val", 3600.0, (seed, 0))
        coming = day.arrivals(stretch)
        starts = [one.start for one in coming]
        assert starts == sorted(starts)
        counts.append(len(coming))
    assert np.mean(counts) == pytest.approx(60, abs=6)  # of 20 hours: deviation 1.7
    assert np.std(counts) == pytest.approx(60**0.5, rel=0.5)
    stretch = day.Stretch(tuple(tried.clips), "val", 240.0, (3, 0))
    coming = day.arrivals(stretch)
    assert coming
    seconds = []
    for i, second in zip(range(240), day.sound(tried.stage, stretch, coming), strict=False):
        assert second.shape == (RATE,)
        seconds.append(second)
        assert i < 240
    heard = np.concatenate(seconds)
    loud = np.zeros(len(heard), bool)
    for one in coming:
        here = heard[one.start : one.start + RATE // 2]
        assert 10 * np.log10(np.mean(here**2)) == pytest.approx(one.level_db, abs=4.0)
        loud[one.start : one.start + 3 * RATE] = True
    assert -70 < 10 * np.log10(np.mean(heard[~loud] ** 2)) < -52  # the room's tone, and nothing else


def test_a_day_is_lived_through(tried: Context) -> None:
    lived = day.live_through(tried.stage, day.Stretch((tried.clips[0],), "val", 120.0, (1, 0)))
    assert lived.events
    for one in lived.events:
        assert 0 <= one.start < one.stop <= 120 * RATE
    assert {"bell"} == {name for one in lived.said for name in one.named}
    assert day.figures([lived], 120 / 3600, frozenset({"bell"}))["right"] == 1.0


def test_hum_and_each_fan_are_sat_through() -> None:
    fan = 0.05 * handmade.rain(2.0, 3)
    tried = context(
        *(("fan", f"fan-{i // 4}", fan) for i in range(8)), ("room_tone", "r", 0.01 * handmade.rain(2.0, 2))
    )  # fmt: skip
    figures = silence.examine(replace(tried, hours=0.001))
    fans = [name for name in figures if name.startswith("fan, ")]
    # Two recordings: the first clip of each, then the second of each, then one third.
    assert fans == ["fan, clip-0", "fan, clip-4", "fan, clip-1", "fan, clip-5", "fan, clip-2"]
    assert set(silence.HUMS) <= figures.keys()
    for name, (hz, partials, level_db) in silence.HUMS.items():
        quiet = silence.Quiet(name, "val", 1.0, 0)
        second = next(silence.stream(tried.stage, quiet))
        power = np.abs(np.fft.rfft(second)) ** 2 / len(second) ** 2 * 2
        heard = power[hz : partials * hz + 1 : hz]
        assert 10 * np.log10(heard.sum()) == pytest.approx(level_db, abs=1.0)
        if level_db >= -50:  # well above the room: the third partial is a third as loud
            assert heard[0] == pytest.approx(9 * heard[2], rel=0.35)


def test_naming_prints_intervals_over_recordings(tried: Context) -> None:
    row = naming.summary(naming.utter(tried), frozenset({"bell"}))["clips"]
    assert row["recall_low"] <= row["recall"] <= row["recall_high"]
