"""How far a figure can be trusted: intervals over recordings, and the rate that so few events allow."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

DRAWS = 1000
CONFIDENCE = 0.95


def share_interval(
    part: NDArray[np.float64], whole: NDArray[np.float64], recordings: Sequence[str]
) -> tuple[float, float]:
    """The middle 95 % of a share, sum(part) / sum(whole), over bootstrap draws of whole recordings.

    part, whole: (clips,) counts, or (clips, columns): then of the mean of the columns' shares, each of those
    that a draw has anything of. recordings: (clips,) of which recording each clip is a piece. Clips of one
    recording are right or wrong together, so they are drawn together: by clip, an interval would promise more
    than is known. The same counts give the same interval; not a number where there is nothing.
    """
    names, member = np.unique(np.asarray(recordings, str), return_inverse=True)
    parts, wholes = (np.zeros((len(names), *part.shape[1:])) for _ in range(2))
    np.add.at(parts, member, part)
    np.add.at(wholes, member, whole)
    if not wholes.any():
        return float("nan"), float("nan")
    rng = np.random.default_rng(0)
    times = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), DRAWS)  # (draws, recordings)
    right, of = times @ parts, times @ wholes
    shares = np.divide(right, of, out=np.full(of.shape, np.nan), where=of > 0)
    shares = shares.reshape(DRAWS, -1)
    means = np.nanmean(shares[~np.isnan(shares).all(1)], axis=1)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def rate_limit(events: int, hours: float) -> float:
    """The rate an hour that is at most so, at 95 %, where so many events came in so many hours.

    Poisson's exact upper limit (Garwood 1936): with none it is 3 / hours, the "rule of three".
    """
    return float(gammaincinv(events + 1, CONFIDENCE)) / hours if hours else float("nan")
