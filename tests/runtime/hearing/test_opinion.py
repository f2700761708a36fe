"""The second opinion: its front end, what it remembers, and what two opinions come to."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgecap.runtime.audio import CHUNK, CHUNK_SAMPLES, RATE
from edgecap.runtime.hearing.opinion import (
    BEFORE,
    CHUNKS,
    FFT,
    HOP,
    LEAD,
    NEAREST,
    Opinion,
    agreed,
    power,
    raising,
)
from edgecap.runtime.model.bundle import Bundle
from edgecap.runtime.model.engine import Engine
from edgecap.runtime.session import OPINION, Model, Session

SCORES = arrays(np.float32, 6, elements=st.floats(0, 1, width=32))


def engine() -> Engine:
    bundle = Bundle.open("room-small")
    return Engine(OPINION, bundle.graph(OPINION), bundle.manifest.graphs[OPINION])


def test_a_tone_lies_in_its_own_band_and_before_its_emphasis_in_proportion() -> None:
    time = np.arange(RATE) / RATE
    for hertz in (500.0, 4000.0):
        tone = np.sin(2 * np.pi * hertz * time).astype(np.float32)
        found = power(tone)
        assert found.shape == (1, 1 + (RATE - 1) // HOP, 513)
        assert found.dtype == np.float32
        middle = found[0, 50]
        assert np.argmax(middle) == round(hertz * 1024 / RATE)
        # A Hann window of 800 sums to 399.5: half of that, squared, times the emphasis' gain at this pitch.
        gain = abs(1 - 0.97 * np.exp(-2j * np.pi * hertz / RATE)) ** 2
        assert middle.max() == pytest.approx((399.5 / 2) ** 2 * gain, rel=0.02)
        assert power(2 * tone)[0, 50].max() == pytest.approx(4 * middle.max(), rel=1e-4)


@given(SCORES, SCORES)
def test_two_opinions_come_to_something_between_them(evidence: np.ndarray, opinion: np.ndarray) -> None:
    before = evidence.copy()
    both = agreed(evidence, opinion, ())
    assert np.array_equal(evidence, before)
    assert both.dtype == np.float32
    sure = [np.clip(each, NEAREST, 1 - NEAREST) for each in (evidence, opinion)]
    assert np.all(both >= np.minimum(*sure) - 1e-5)
    assert np.all(both <= np.maximum(*sure) + 1e-5)
    assert agreed(evidence, opinion, ()) == pytest.approx(agreed(opinion, evidence, ()), abs=1e-6)
    thrice = agreed(evidence, opinion, (), 3.0)
    assert thrice == pytest.approx(agreed(both, opinion, ()), abs=1e-5)
    assert agreed(evidence, opinion, (), 0.0) == pytest.approx(sure[0], abs=1e-6)


@given(SCORES, SCORES)
def test_what_is_told_otherwise_is_left_alone(evidence: np.ndarray, opinion: np.ndarray) -> None:
    both = agreed(evidence, opinion[:4], (1,))
    assert both[1] == evidence[1]
    assert np.array_equal(both[4:], evidence[4:])  # of these it has no score


def test_it_hears_the_last_seconds_and_no_more() -> None:
    rng = np.random.default_rng(0)
    chunks = [rng.normal(0, 0.1, CHUNK_SAMPLES).astype(np.float32) for _ in range(BEFORE + CHUNKS + 4)]
    late, whole = Opinion(engine()), Opinion(engine())
    for chunk in chunks:
        whole.hear(chunk)
    for chunk in chunks[4:]:
        late.hear(chunk)
    assert np.array_equal(whole.ask(99), late.ask(99))
    assert np.array_equal(whole.ask(CHUNKS - LEAD), late.ask(CHUNKS - LEAD))
    assert not np.array_equal(whole.ask(3), late.ask(CHUNKS - LEAD))
    scores = whole.ask(3)
    assert scores.shape == (Bundle.open("room-small").manifest.labels,)
    assert np.all((scores >= 0) & (scores <= 1))
    whole.forget()
    whole.hear(chunks[0])
    alone = Opinion(engine())
    alone.hear(chunks[0])
    assert np.array_equal(whole.ask(5), alone.ask(5))


@given(level_db=st.floats(-90, 0), least_db=st.floats(-60, -10))
def test_what_is_faint_is_raised_and_nothing_else_is_touched(level_db: float, least_db: float) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    sound = noise * np.float32(10 ** (level_db / 20))
    gain = raising(sound, least_db)
    if gain == 1:
        assert level_db > least_db + 18  # its louder moments are at -19.6 dBFS before
    else:
        assert gain > 1
        assert raising(sound * gain, least_db) == pytest.approx(1, rel=1e-3)  # as loud as it was to be
    assert raising(np.zeros(RATE, np.float32), least_db) == 1


def test_a_faint_microphone_changes_nothing_of_its_opinion() -> None:
    rng = np.random.default_rng(1)
    near, faint = Opinion(engine(), -35.0), Opinion(engine(), -35.0)
    for _ in range(4):
        chunk = rng.normal(0, 0.01, CHUNK_SAMPLES).astype(np.float32)
        near.hear(chunk)
        faint.hear(chunk * np.float32(0.03))
    assert faint.ask(3) == pytest.approx(near.ask(3), abs=2e-3)
    bare = Opinion(engine())
    bare.hear(chunk * np.float32(0.03))
    faint.forget()
    faint.hear(chunk * np.float32(0.03))
    assert np.abs(bare.ask(3) - faint.ask(3)).max() > 2e-3  # which it would else have been


def test_a_bundle_without_one_captions_by_its_encoder() -> None:
    model = dataclasses.replace(Model.load(Bundle.open("room-small")), opinion=None)
    session = Session(model)
    assert session.opinion is None
    session.push(np.random.default_rng(0).normal(0, 0.01, RATE).astype(np.float32))
    assert not session.quiet


def test_memory_that_is_used_again_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    into = np.full((1, CHUNKS * CHUNK, FFT // 2 + 1), np.nan, np.float32)
    for n in (CHUNKS * CHUNK_SAMPLES, CHUNK_SAMPLES, 3 * CHUNK_SAMPLES):
        samples = rng.normal(0, 0.1, n).astype(np.float32)
        assert np.array_equal(power(samples, into), power(samples))


def test_what_is_asked_for_seldom_is_of_the_same_frames() -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, 2 * CHUNK_SAMPLES).astype(np.float32)
    assert power(samples, sparse=4) == pytest.approx(power(samples)[:, ::4], rel=1e-4)
