"""Where one situation ends and the next begins, on levels and embeddings given by hand."""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.runtime.audio import CHUNK_SAMPLES, Samples
from edgecap.runtime.hearing.encoder import Embedding
from edgecap.runtime.hearing.segment import (
    AFTERGLOW_SAMPLES,
    EVIDENCE,
    USUAL,
    Chunk,
    Segment,
    Segmenter,
    cosine_distance,
    levels_db,
    mean_level_db,
)
from edgecap.runtime.model.manifest import SegmentThresholds
from tests.handmade import rain, tone

DOG, RAIN = np.array([1, 0, 0.2], np.float32), np.array([0, 1, 0.2], np.float32)
QUIET, ROOM, LOUD = -80.0, -45.0, -20.0


def played(
    plan: Iterable[tuple[float, np.ndarray]], novelty: float = 0.5, window: int = 94,
    thresholds: SegmentThresholds = USUAL, apart: tuple[int, ...] = (),
) -> tuple[Segmenter, list[Segment]]:  # fmt: skip
    """The segmenter after a chunk for each (level, vector), and the segments that ended."""
    segmenter, ended = Segmenter(window, -60.0, novelty, thresholds, apart), []
    for i, (level, vector) in enumerate(plan):
        levels = np.full(8, level)
        embedding = Embedding(vector, vector[:2])
        done = segmenter.step(Chunk(i * CHUNK_SAMPLES, (i + 1) * CHUNK_SAMPLES, levels, embedding))
        ended += [done] if done else []
    return segmenter, ended


def test_levels_of_known_sounds() -> None:
    """A sine of amplitude 0.1 is -23.01 dB, a square wave at full scale 0, zeros and DC -100."""
    assert levels_db(tone(1_000, 0.32))[1:-1] == pytest.approx(-23.01, abs=0.05)
    square = np.where(np.arange(CHUNK_SAMPLES) // 16 % 2, 1.0, -1.0).astype(np.float32)
    assert levels_db(square) == pytest.approx(0.0, abs=1e-3)
    for constant in (0.0, 0.5, -1.0):
        assert levels_db(np.full(CHUNK_SAMPLES, constant, np.float32)) == pytest.approx(-100.0)
    assert mean_level_db(levels_db(rain(0.32))) == pytest.approx(-20.0, abs=0.3)


def test_a_knock_of_20_ms_is_loud_for_one_window_only() -> None:
    chunk: Samples = np.zeros(CHUNK_SAMPLES, np.float32)
    chunk[3 * 1280 : 3 * 1280 + 640] = tone(400, 0.02)
    assert np.flatnonzero(levels_db(chunk) > -60).tolist() == [3]


def test_a_segment_lasts_from_the_first_loud_window_to_the_last() -> None:
    segmenter = Segmenter(94, -60.0, 0.5)
    levels = np.full((12, 8), QUIET)
    levels[1, 5:], levels[2], levels[3, :2] = LOUD, LOUD, LOUD
    ended = []
    for i, row in enumerate(levels):
        chunk = Chunk(i * CHUNK_SAMPLES, (i + 1) * CHUNK_SAMPLES, row, Embedding(DOG, DOG[:2]))
        ended += [done] if (done := segmenter.step(chunk)) else []
    (segment,) = ended
    assert segment.start == CHUNK_SAMPLES + 5 * 1280
    assert segment.end == 3 * CHUNK_SAMPLES + 2 * 1280
    assert segment.ended_by == "silence"
    assert segment.is_onset
    assert segmenter.is_quiet


def test_a_knock_inside_one_chunk_has_its_own_bounds() -> None:
    segmenter, ended = Segmenter(94, -60.0, 0.5), []
    for i in range(9):
        levels = np.full(8, QUIET)
        levels[2:4] = LOUD if i == 1 else QUIET
        chunk = Chunk(i * CHUNK_SAMPLES, (i + 1) * CHUNK_SAMPLES, levels, Embedding(DOG, DOG[:2]))
        ended += [done] if (done := segmenter.step(chunk)) else []
    (segment,) = ended
    assert (segment.start, segment.end) == (CHUNK_SAMPLES + 2 * 1280, CHUNK_SAMPLES + 4 * 1280)


def test_silence_ends_it_whatever_the_embedding_says() -> None:
    """The encoder remembers 11 s; two seconds without level are enough."""
    segmenter, ended = played([(LOUD, DOG)] * 5 + [(QUIET, DOG)] * 7)
    assert segmenter.is_quiet
    assert [segment.end for segment in ended] == [5 * CHUNK_SAMPLES]


def test_after_the_sound_only_a_second_is_still_learnt() -> None:
    _, (segment,) = played([(LOUD, DOG)] * 5 + [(QUIET, DOG)] * 7)
    assert segment.count == 5 + AFTERGLOW_SAMPLES // CHUNK_SAMPLES


def test_hysteresis_keeps_a_wavering_sound_whole() -> None:
    segmenter, ended = played([(-58.0, DOG), (-62.0, DOG), (-63.5, DOG)] * 20)
    assert ended == []
    assert not segmenter.is_quiet


def test_a_bark_over_a_fan_ends_when_the_level_falls_back_to_the_fan() -> None:
    """Level above the threshold throughout, the embedding frozen: the fall alone ends it."""
    plan = [(ROOM, RAIN)] * 60 + [(LOUD, DOG)] * 4 + [(ROOM, DOG)] * 20
    segmenter, ended = played(plan, novelty=2.0)
    assert [segment.ended_by for segment in ended] == ["change", "fade"]
    bark = ended[1]
    assert (bark.start, bark.end) == (60 * CHUNK_SAMPLES, 64 * CHUNK_SAMPLES)
    assert bark.is_onset
    assert segmenter.open is not None
    assert not segmenter.open.is_onset, "what is left is not a sound that began"


def test_steady_rain_is_one_segment_for_an_hour() -> None:
    rng = np.random.default_rng(0)
    levels = -30 + rng.standard_normal(11_250)
    segmenter, ended = played((level, RAIN) for level in levels)
    assert ended == []
    assert segmenter.open is not None
    assert segmenter.open.start == 0


def test_another_situation_at_the_same_level_splits_where_it_began() -> None:
    segmenter, ended = played([(LOUD, DOG)] * 20 + [(LOUD, RAIN)] * 20)
    (dog,) = ended
    assert dog.ended_by == "change"
    assert segmenter.open is not None
    assert segmenter.open.start == dog.end
    assert abs(dog.end / CHUNK_SAMPLES - 20) <= 1
    assert segmenter.open.is_onset
    assert (segmenter.open.embeddings()[-10:] == RAIN).all()


def test_one_odd_chunk_splits_nothing() -> None:
    segmenter, ended = played([(LOUD, DOG)] * 20 + [(LOUD, RAIN)] + [(LOUD, DOG)] * 20)
    assert ended == []
    assert segmenter.open is not None


def test_evidence_needs_two_chunks() -> None:
    segment = Segment(0, True, 94)
    quiet, wild = np.zeros(2, np.float32), np.array([0.9, 0.0], np.float32)
    segment.add(Embedding(DOG, wild))
    assert segment.evidence() == pytest.approx([0.45, 0.0])
    segment.add(Embedding(DOG, quiet))
    assert segment.evidence() == pytest.approx([0.45, 0.0])
    segment.add(Embedding(DOG, wild))
    assert segment.evidence() == pytest.approx([0.9, 0.0])
    for _ in range(EVIDENCE):
        segment.add(Embedding(DOG, quiet))
    assert segment.evidence() == pytest.approx([0.0, 0.0])


def test_of_a_segment_that_goes_on_four_chunks_must_agree() -> None:
    segment, settled = Segment(0, True, 94), SegmentThresholds().settled
    odd = [np.array([0.9 if i % 6 < 2 else 0.1], np.float32) for i in range(30)]  # two chunks in six
    heard = []
    for scores in odd:
        segment.add(Embedding(DOG, scores))
        heard.append(segment.evidence()[0])
    assert heard[1:settled] == pytest.approx([0.9] * (settled - 1))
    assert heard[settled:] == pytest.approx([0.5] * (30 - settled))


def test_a_sound_rises_above_the_room_that_it_is_in() -> None:
    """After a minute of it: of a quiet room, of a louder one, and of one that is a sound itself."""
    for room, sound, rise in ((-80.0, -55.0, 25.0), (-63.0, -55.0, 8.0), (-50.0, -40.0, 20.0)):
        segmenter, _ = played([(room, RAIN)] * 190 + [(sound, DOG)] * 3)
        assert segmenter.open is not None
        assert segmenter.open.rise_db == pytest.approx(rise)


@given(rise=st.floats(0, 60), score=st.floats(0.001, 0.999))
def test_what_hardly_rises_is_doubted_by_the_decibel(rise: float, score: float) -> None:
    limits = SegmentThresholds(salient_db=25.0, faint=0.3)
    heard = np.array([score, score], np.float32)
    segmenter, _ = played(
        [(-60.0, RAIN)] * 190 + [(-60.0 + rise + 1e-3, heard)] * 2, thresholds=limits, apart=(1,)
    )
    assert segmenter.open is not None
    doubted, told_by_rhythm = segmenter.open.belief()
    doubt = 0.3 * max(0.0, 25.0 - rise)
    assert np.log(doubted / (1 - doubted)) == pytest.approx(np.log(score / (1 - score)) - doubt, abs=0.01)
    assert told_by_rhythm == pytest.approx(score, rel=1e-5)
    assert segmenter.open.latest[0] == pytest.approx(doubted)


def test_no_more_embeddings_than_the_window() -> None:
    segmenter, _ = played([(LOUD, DOG * (1 + i)) for i in range(200)], window=8)
    assert segmenter.open is not None
    kept = segmenter.open.embeddings()
    assert kept.shape == (8, 3)
    assert kept[-1] == pytest.approx(DOG * 200)
    assert segmenter.open.count == 200


@pytest.mark.parametrize(("b", "distance"), [(DOG, 0.0), (-DOG, 2.0), (0 * DOG, 0.0), (3 * DOG, 0.0)])
def test_cosine_distance(b: np.ndarray, distance: float) -> None:
    assert cosine_distance(DOG, b) == pytest.approx(distance, abs=1e-6)


@given(
    levels=st.lists(st.floats(-100, 0), min_size=1, max_size=80),
    kinds=st.lists(st.booleans(), min_size=80, max_size=80),
)
def test_segments_follow_each_other_in_time(levels: list[float], kinds: list[bool]) -> None:
    plan = [(level, DOG if kind else RAIN) for level, kind in zip(levels, kinds, strict=False)]
    segmenter, ended = played(plan)
    for segment in ended:
        assert 0 <= segment.start <= segment.end <= len(levels) * CHUNK_SAMPLES
        assert segment.ended_by is not None
    for one, next_one in pairwise(ended):
        assert one.end <= next_one.start
    if max(levels) <= -60.0:
        assert segmenter.is_quiet
