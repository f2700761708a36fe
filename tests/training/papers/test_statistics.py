"""What a small table may claim: laws of the comparison, and how often it is wrong about noise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecap.training.papers.statistics import compare, mean_and_deviation

ROWS = st.tuples(st.integers(1, 5), st.integers(2, 40), st.integers(0, 2**32 - 1))


def scores(shape: tuple[int, int], seed: int, spread: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, spread, shape)


@settings(max_examples=25)
@given(ROWS, st.floats(-3, 3))
def test_a_comparison_is_one_of_differences(rows: tuple[int, int, int], shift: float) -> None:
    seeds, items, seed = rows
    one, other = scores((seeds, items), seed), scores((seeds, items), seed + 1)
    found, mirrored = compare(one, other), compare(other, one)
    assert found.gain == pytest.approx(one.mean() - other.mean())
    assert found.low <= found.high
    assert (mirrored.gain, mirrored.low, mirrored.high) == pytest.approx(
        (-found.gain, -found.high, -found.low)
    )
    assert (mirrored.better, mirrored.worse) == (found.worse, found.better)
    both = compare(one + shift, other + shift)  # what is easy for both tells nothing
    assert both.gain == pytest.approx(found.gain, abs=1e-9)
    assert compare(one, other) == found


@settings(max_examples=25)
@given(ROWS)
def test_items_counted_twice_in_one_group_are_no_more_evidence(rows: tuple[int, int, int]) -> None:
    seeds, items, seed = rows
    one, other = scores((seeds, items), seed), scores((seeds, items), seed + 1)
    alone = compare(one, other)
    twice = compare(one.repeat(2, 1), other.repeat(2, 1), np.arange(items).repeat(2).tolist())
    assert (twice.gain, twice.low, twice.high) == pytest.approx((alone.gain, alone.low, alone.high))


def test_a_verdict_needs_interval_and_seeds() -> None:
    base = scores((5, 400), 0, 0.3)
    noise = scores((5, 400), 1, 0.01)
    assert compare(base + 0.1 + noise, base).verdict == "reproduced"
    assert compare(base - 0.1 + noise, base).verdict == "contradicted"
    assert compare(base, base).verdict == "not seen"
    torn = np.array([[0.5], [0.5], [-0.1], [-0.1], [0.5]]) + noise  # three of five seeds
    assert compare(base + torn, base).verdict == "not seen"
    said = str(compare(base + noise, base))
    assert "not seen" in said
    assert "smallest that could have been seen" in said


def test_noise_is_rarely_taken_for_an_effect_and_a_detectable_one_is_mostly_seen() -> None:
    verdicts, lengths = [], []
    for seed in range(120):
        one, other = scores((3, 60), 2 * seed), scores((3, 60), 2 * seed + 1)
        verdicts.append(compare(one, other).verdict)
        lengths.append(compare(one, other).detectable)
    assert verdicts.count("not seen") >= 110
    gain = float(np.mean(lengths))
    seen = [
        compare(scores((3, 60), 2 * seed) + gain, scores((3, 60), 2 * seed + 1)).low > 0 for seed in range(60)
    ]
    assert np.mean(seen) > 0.6


def test_what_can_t_be_paired_is_refused() -> None:
    with pytest.raises(ValueError, match="item by item"):
        compare(np.zeros((2, 3)), np.zeros((2, 4)))
    assert mean_and_deviation(np.array([[1.0, 3.0], [2.0, 4.0]])) == pytest.approx((2.5, 0.5**0.5))
