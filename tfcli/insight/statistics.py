"""Intervals and tests for figures that come in clusters: what one pair says, its neighbors say too.

Without scipy: everything is counted, by drawing clusters again and again.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Values = NDArray[np.float64]  # (n,)
    Clusters = NDArray[np.intp]  # (n,), the number of the cluster of each value

RESAMPLES = 10_000
CONFIDENCE = 0.95
DRAWN_AT_ONCE = 1 << 22  # counts: 32 MB


def mean_interval(values: Values, clusters: Clusters, *, seed: int = 0) -> tuple[float, float]:
    """Between which values the mean lies, at 95 % confidence: a bootstrap over clusters.

    Whole clusters are drawn with replacement. Percentiles of the means are too narrow where there
    are few clusters, so they are taken further out, as far as Student's t is wider than the normal
    distribution (Hesterberg, "What Teachers Should Know About the Bootstrap", 2015, section 5.3).

    Returns:
        (-inf, inf) for fewer than five clusters: the percentiles then lie beyond the most extreme
        mean that can be drawn, and would be the lowest and the highest value.

    """
    return ratio_interval(*_per_cluster(values, clusters), seed=seed)


def ratio_interval(sums: Values, sizes: Values, *, seed: int = 0) -> tuple[float, float]:
    """Between which values the sum of `sums` over that of `sizes` lies, as in `mean_interval`.

    Args:
        sums, sizes: (clusters,) of each cluster, which are drawn whole.

    """
    count = len(sums)
    if count < 2:
        return -math.inf, math.inf
    wide = math.sqrt(count / (count - 1)) * student_quantile((1 + CONFIDENCE) / 2, count - 1)
    tail = NormalDist().cdf(-wide)
    if tail < count**-count:  # how often one cluster alone is drawn
        return -math.inf, math.inf
    random = np.random.default_rng(seed)
    means = np.empty(RESAMPLES)
    step = max(1, DRAWN_AT_ONCE // count)
    for begin in range(0, RESAMPLES, step):
        drawn = min(step, RESAMPLES - begin)
        times = random.multinomial(count, np.full(count, 1 / count), size=drawn)
        means[begin : begin + drawn] = (times @ sums) / (times @ sizes)
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def sign_flip_p(values: Values, clusters: Clusters, *, seed: int = 0) -> float:
    """How often a mean so far from 0 comes about if each cluster's sign were chance: two-sided p.

    Never 0: the data themselves are one of the ways to flip (Phipson & Smyth, 2010).
    """
    sums, _ = _per_cluster(values, clusters)
    random = np.random.default_rng(seed)
    extreme, drawn = 0, 0
    step = max(1, DRAWN_AT_ONCE // len(sums))
    while drawn < RESAMPLES:
        some = min(step, RESAMPLES - drawn)
        signs = random.integers(0, 2, (some, len(sums))) * 2 - 1
        extreme += int((np.abs(signs @ sums) >= abs(sums.sum()) - 1e-12).sum())
        drawn += some
    return (1 + extreme) / (1 + RESAMPLES)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values of several tests at once, raised so that none is below its chance (Holm, 1979)."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, p_values[place] * (len(order) - rank)))
        adjusted[place] = highest
    return adjusted


def student_quantile(p: float, degrees: int) -> float:
    """The quantile of Student's t distribution for p >= 1/2, by halving an interval around it."""
    low, high = 0.0, 1e4
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _student_cdf(middle, degrees) < p else (low, middle)
    return (low + high) / 2


def _student_cdf(t: float, degrees: int) -> float:
    """Its distribution function at t >= 0 (Abramowitz & Stegun, 1964, 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(degrees))
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = degrees % 2
    term = cosine if odd else 1.0
    total = term if degrees > 1 else 0.0
    for k in range(3 if odd else 2, degrees - 1, 2):
        term *= cosine**2 * (k - 1) / k
        total += term
    inner = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return 0.5 + inner / 2


def _per_cluster(values: Values, clusters: Clusters) -> tuple[Any, Any]:
    """The sum and the number of the values of each cluster."""
    number = np.unique(clusters, return_inverse=True)[1]
    return np.bincount(number, weights=values), np.bincount(number).astype(float)
