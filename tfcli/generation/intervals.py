"""95 % intervals: of a share, and of ratios of sums over independent rows."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

Z = 1.959964  # the normal distribution has 95 % within so many standard deviations
RESAMPLES = 1000
SEED = 0


@dataclass(frozen=True)
class Interval:
    """A figure, and the interval around it."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        """For `--json`."""
        return asdict(self)


def share_interval(count: int, total: int) -> Interval:
    """The share of so many of a total, with its score interval.

    Wilson, "Probable inference, the law of succession, and statistical inference", 1927. Unlike
    the normal approximation it is right near 0 and 1.
    """
    share, z2 = count / total, Z * Z / total
    middle = (share + z2 / 2) / (1 + z2)
    half = math.sqrt(share * (1 - share) * z2 + z2 * z2 / 4) / (1 + z2)
    low, high = (min(1.0, max(0.0, bound)) for bound in (middle - half, middle + half))
    return Interval(share, min(low, share), max(high, share))


def ratio_interval(numerators: Sequence[float], denominators: Sequence[float]) -> Interval:
    """The ratio of two sums over rows, with the percentiles of a bootstrap over the rows.

    Efron, "Bootstrap methods: another look at the jackknife", 1979. The same rows give the same
    interval.
    """
    above, below = np.asarray(numerators, np.float64), np.asarray(denominators, np.float64)
    random = np.random.Generator(np.random.Philox(SEED))
    ratios = np.empty(RESAMPLES)
    for i in range(RESAMPLES):
        rows = random.integers(len(above), size=len(above))
        ratios[i] = above[rows].sum() / max(below[rows].sum(), 1.0)
    low, high = np.percentile(ratios, [2.5, 97.5])
    return Interval(float(above.sum() / max(below.sum(), 1.0)), float(low), float(high))
