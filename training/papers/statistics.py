"""What a small table allows to say: means over seeds, a paired bootstrap, and a verdict on the paper's claim.

Two rows of a table are compared item by item (a query, a scene), each item by its mean over seeds. Items
that hang together (several captions of one scene) are drawn together, and seeds are drawn too: an interval
says what another draw of scenes and another training would give.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
POWER = 0.84 + 1.96
"""Standard errors that an effect must have to be seen four times of five, by an interval of 95 %."""
AGREEING = 0.8
"""The share of seeds that must show the effect: all of three or four, four of five."""

Verdict = Literal["reproduced", "not seen", "contradicted"]


class Comparison(NamedTuple):
    """One row against another."""

    gain: float
    """Mean of the first less mean of the second."""
    low: float
    high: float
    """The middle 95 % of the bootstrap."""
    better: int
    """Seeds in which the first has the higher mean."""
    worse: int
    seeds: int
    detectable: float
    """The smallest gain that would have been seen four times of five."""

    @property
    def verdict(self) -> Verdict:
        """On the claim that the first is better."""
        if self.low > 0 and self.better >= AGREEING * self.seeds:
            return "reproduced"
        if self.high < 0 and self.worse >= AGREEING * self.seeds:
            return "contradicted"
        return "not seen"

    def __str__(self) -> str:
        """ "+0.031 (+0.012 to +0.050), 5 of 5 seeds: reproduced"."""
        said = f"{self.gain:+.3f} ({self.low:+.3f} to {self.high:+.3f}), {self.better} of {self.seeds} seeds"
        unseen = f"; the smallest that could have been seen is {self.detectable:.3f}"
        return f"{said}: {self.verdict}{unseen if self.verdict == 'not seen' else ''}"


def compare(
    first: NDArray[np.float64], second: NDArray[np.float64], groups: Sequence[int] | None = None
) -> Comparison:
    """Scores (seeds, items) of two rows of a table, the same items in the same order.

    groups: (items,) of which group each is; None: each is one of its own. The same scores give the same
    interval. Raises ValueError where the shapes differ or there is nothing to compare.
    """
    if first.shape != second.shape or first.ndim != 2 or not first.size:
        raise ValueError(f"scores of {first.shape} and {second.shape} can't be compared item by item")
    difference = first.astype(np.float64) - second
    by_seed = difference.mean(1)
    # A group's sum and its items: a draw of groups has its mean over all items drawn.
    members = np.arange(difference.shape[1]) if groups is None else np.asarray(groups)
    _, member = np.unique(members, return_inverse=True)
    count = np.bincount(member).astype(np.float64)
    sums = np.stack([np.bincount(member, weights=row) for row in difference])  # (seeds, groups)
    rng = np.random.default_rng(0)
    seed_share = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), DRAWS) / len(sums)
    times = rng.multinomial(len(count), np.full(len(count), 1 / len(count)), DRAWS)  # (draws, groups)
    drawn = ((seed_share @ sums) * times).sum(1) / (times @ count)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Comparison(
        gain=float(by_seed.mean()), low=float(low), high=float(high), better=int((by_seed > 0).sum()),
        worse=int((by_seed < 0).sum()), seeds=len(by_seed), detectable=float(POWER * drawn.std()),
    )  # fmt: skip


def mean_and_deviation(scores: NDArray[np.float64]) -> tuple[float, float]:
    """(seeds, items): the mean over all, and the standard deviation over seeds of their means; 0 of one."""
    means = scores.mean(1)
    return float(means.mean()), float(means.std(ddof=1)) if len(means) > 1 else 0.0
