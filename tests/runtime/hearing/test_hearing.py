"""Front end, encoder and alarms in one step, on the handmade model and on the shipped one."""

import numpy as np
import pytest

from edgecap.runtime.audio import CHUNK_SAMPLES, RATE
from edgecap.runtime.hearing.hearing import HearingState
from edgecap.runtime.model.bundle import Bundle
from edgecap.runtime.session import Model
from tests.runtime.hearing.test_cadence import t3


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.load(Bundle.open("room-small"))


def flat(state: HearingState) -> list[np.ndarray]:
    """Every number of it."""
    alarms = state.alarms
    return [state.past, *state.encoder.values(), alarms.past.sums, *alarms.matches, alarms.scores]


def test_a_step_leaves_the_state_that_it_took(model: Model) -> None:
    """What follows a moment may be heard twice, and something else in between."""
    hearing, rng = model.hearing(), np.random.default_rng(0)
    chunks = (0.1 * rng.standard_normal((12, CHUNK_SAMPLES))).astype(np.float32)
    state = hearing.initial_state()
    for chunk in chunks:
        kept = [np.array(each) for each in flat(state)]
        first, after = hearing.step(chunk, state)
        hearing.step(chunk[::-1].copy(), state)
        again, _ = hearing.step(chunk, state)
        assert all((a == b).all() for a, b in zip(kept, flat(state), strict=True))
        assert (first.vector == again.vector).all()
        assert (first.scores == again.scores).all()
        state = after


def test_it_follows_whole_chunks_and_knows_an_alarm_by_its_cadence(model: Model) -> None:
    samples = t3() + 1e-4 * np.random.default_rng(1).standard_normal(len(t3())).astype(np.float32)
    heard = list(model.hearing().follow(samples))
    assert len(heard) == len(samples) // CHUNK_SAMPLES
    smoke = model.labels.names.index("smoke_alarm")
    assert len(heard[0].scores) == len(model.labels.names)  # an alarm of whatever kind is one of them
    second_group = round(5.5 * RATE) // CHUNK_SAMPLES
    assert max(each.scores[smoke] for each in heard[:10]) < 0.5 < heard[second_group].scores[smoke]


def test_streams_of_one_hearing_do_not_hear_each_other(model: Model) -> None:
    rng = np.random.default_rng(2)
    one, other = (0.1 * rng.standard_normal((2, 6 * CHUNK_SAMPLES))).astype(np.float32)
    alone = list(model.hearing().follow(one))
    hearing = model.hearing()
    mixed = [heard for heard, _ in zip(hearing.follow(one), hearing.follow(other), strict=True)]
    assert all((a.scores == b.scores).all() for a, b in zip(alone, mixed, strict=True))
