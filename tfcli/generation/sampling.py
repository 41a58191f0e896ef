"""From logits to a token: pure functions over the last dimension, the same for every engine.

Each takes logits of shape (..., V) and returns new ones, with -inf for every token that may not be
drawn. `choose_tokens` applies them in the order of the file, which is that of transformers:

    control tokens -> (bias, penalties, constraint: see `tfcli.generation.penalties`) -> temperature
    -> top-k -> top-p -> min-p -> typical -> one draw
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.text.tokenizer import SpecialTokens

    Logits = np.ndarray[Any, np.dtype[Any]]  # (..., V)
    Probabilities = np.ndarray[Any, np.dtype[np.float64]]  # (..., V)
    Tokens = np.ndarray[Any, np.dtype[np.int64]]  # (R,)


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a token is chosen. The defaults of all but `temperature` and `top_k` change nothing.

    Attributes:
        temperature: logits are divided by it; below 1 the likely become likelier, 0 is greedy.
        top_k: only the k likeliest tokens are drawn from; None: all.
        top_p: only the fewest, likeliest first, that have this probability together.
        min_p: only those with at least this share of the likeliest's probability.
        typical_p: only the fewest, least surprising first, that have this probability together.

    """

    temperature: float = 0.8
    top_k: int | None = 40
    top_p: float = 1.0
    min_p: float = 0.0
    typical_p: float = 1.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            low, high = RANGES[name]
            if value is not None and not low <= value <= high:
                raise UsageError(
                    f"--{name.replace('_', '-')} {value} is not between {low:g} and {high:g}",
                    hint=f"--{name.replace('_', '-')} {getattr(Sampling, name):g}",
                )


RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 1e6),
    "top_k": (1, float("inf")),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "typical_p": (0.0, 1.0),
}


# --- which tokens may be drawn ------------------------------------------------------------------


def suppress_control_tokens(logits: Logits, special: SpecialTokens) -> Logits:
    """Removes the tokens that stand for no text, except those that end one."""
    allowed = logits.copy()
    allowed[..., special.suppressed] = -np.inf
    return allowed


def apply_temperature(logits: Logits, temperature: float) -> Logits:
    """Divides by the temperature, above 0; the highest becomes 0, so that nothing overflows.

    Ackley, Hinton & Sejnowski, "A Learning Algorithm for Boltzmann Machines", 1985, equation 2.
    """
    with np.errstate(over="ignore"):  # beside a tiny temperature all but the likeliest are -inf
        below: Logits = (logits - logits.max(-1, keepdims=True)).astype(np.float64)
        return below / temperature


def keep_top_k(logits: Logits, k: int) -> Logits:
    """Takes out all below the k-th highest; ties with it stay.

    Fan et al., "Hierarchical Neural Story Generation", 2018, section 5.4.
    """
    if k >= logits.shape[-1]:
        return logits
    threshold = np.partition(logits, -k, axis=-1)[..., -k, None]
    return np.where(logits < threshold, -np.inf, logits)


def keep_top_p(logits: Logits, p: float) -> Logits:
    """Keeps the fewest tokens, likeliest first, whose probability together reaches p; one at least.

    Holtzman et al., "The Curious Case of Neural Text Degeneration", 2020, section 3.1.
    """
    return _keep_first(logits, softmax(logits), -logits, p)


def keep_min_p(logits: Logits, p: float) -> Logits:
    """Takes out what has less than p times the probability of the likeliest.

    Nguyen et al., "Turning Up the Heat: Min-p Sampling", 2024, section 3.
    """
    with np.errstate(divide="ignore"):
        return np.where(logits < logits.max(-1, keepdims=True) + np.log(p), -np.inf, logits)


def keep_typical(logits: Logits, p: float) -> Logits:
    """Keeps the fewest tokens, nearest to the expected surprise first, that reach p; one at least.

    The surprise of a token is -log of its probability, the expected one the entropy.
    Meister et al., "Locally Typical Sampling", 2022, equation 10.
    """
    probabilities = softmax(logits)
    with np.errstate(divide="ignore"):
        surprise = -np.log(probabilities)
    possible = probabilities > 0
    entropy = np.where(possible, probabilities * np.where(possible, surprise, 0), 0)
    strangeness = np.abs(surprise - entropy.sum(-1, keepdims=True))
    return _keep_first(logits, probabilities, strangeness, p)


def _keep_first(logits: Logits, probabilities: Probabilities, merit: Logits, p: float) -> Logits:
    """Keeps tokens in the order of `merit`, lowest first, until their probability reaches p."""
    order = merit.argsort(-1, kind="stable")
    ordered = np.take_along_axis(probabilities, order, -1)
    before = ordered.cumsum(-1) - ordered
    out = before >= p
    out[..., 0] = False
    dropped = np.empty_like(out)
    np.put_along_axis(dropped, order, out, -1)
    return np.where(dropped, -np.inf, logits)


# --- drawing ------------------------------------------------------------------------------------


def softmax(logits: Logits) -> Probabilities:
    """exp(x) / sum(exp(x)), in float64; the maximum is taken off first, against overflow."""
    exponentials = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    exponentials /= exponentials.sum(-1, keepdims=True)
    return exponentials  # type: ignore[no-any-return]


def log_softmax(logits: Logits) -> Probabilities:
    """The logarithms of `softmax`, exact where those are too small for a number."""
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))  # type: ignore[no-any-return]


def choose_tokens(
    logits: Logits,
    sampling: Sampling,
    randoms: Sequence[np.random.Generator],
    special: SpecialTokens,
) -> Tokens:
    """The next token of each row.

    Args:
        logits: (R, V), not changed.
        randoms: one a row; each gives one number, none where the temperature is 0.

    Returns:
        (R,). With temperature 0 the likeliest, the first of equals. `eos` where no token is left.

    Raises:
        DataError: no token is left, and the tokenizer has no `eos`.

    """
    logits = suppress_control_tokens(logits, special)
    nothing_left = ~np.isfinite(logits).any(-1)
    if nothing_left.any():
        if special.eos is None:
            raise DataError("no token is allowed next, and this model has none that ends a text")
        logits[nothing_left, special.eos] = 0
    if sampling.temperature == 0:
        return logits.argmax(-1)  # type: ignore[no-any-return]
    if sampling.top_k is not None:
        logits = keep_top_k(logits, sampling.top_k)
    ids, logits = _possible(logits)
    logits = apply_temperature(logits, sampling.temperature)
    if sampling.top_p < 1:
        logits = keep_top_p(logits, sampling.top_p)
    if sampling.min_p > 0:
        logits = keep_min_p(logits, sampling.min_p)
    if sampling.typical_p < 1:
        logits = keep_typical(logits, sampling.typical_p)
    draws = np.array([random.random() for random in randoms])
    chosen = _draw(softmax(logits), draws)[:, None]
    return np.take_along_axis(ids, chosen, -1)[:, 0]


def _possible(logits: Logits) -> tuple[Tokens, Logits]:
    """The ids that may be drawn, ascending, and their logits: (R, N) each, few of many after top-k.

    A row with fewer than another holds some that may not be drawn beside them.
    """
    possible = np.isfinite(logits)
    counts = possible.sum(-1)
    count = int(counts.max())
    if (counts == count).all():
        ids = possible.nonzero()[1].reshape(len(logits), count)
    else:
        ids = np.sort(np.argpartition(logits, -count, axis=-1)[:, -count:], axis=-1)
    return ids, np.take_along_axis(logits, ids, -1)


def _draw(probabilities: Probabilities, draws: Probabilities) -> Tokens:
    """The place of each number in [0, 1) on the line of summed probabilities: (R, N), (R,) -> (R,).

    It falls to the first token whose sum, its own probability included, is above it.
    """
    sums = probabilities.cumsum(-1)
    totals = sums[:, -1]
    marks = np.minimum(draws * totals, np.nextafter(totals, 0))
    return (sums <= marks[:, None]).sum(-1)  # type: ignore[no-any-return]


def row_random(seed: int, row: int = 0) -> np.random.Generator:
    """The random numbers of one row of output: a function of (seed, row) and nothing else."""
    return np.random.Generator(np.random.Philox(key=np.array([seed % 2**64, row], np.uint64)))
