"""From logits to a token: pure functions over the last dimension, the same for every engine.

Each takes logits of shape (..., V) and returns new ones, with -inf for every token that is masked.
`tfcli.generation.generate.Generator` and then `choose_tokens` apply them in this order:

    bias -> penalties -> constraint (`tfcli.generation.penalties`, `constraints`)
    -> suppress control tokens -> top-k -> temperature -> top-p -> min-p -> typical -> one draw

That of transformers, but for the temperature: top-k comes before it, which does not change the
result: fewer logits are left to process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.generation.request import Sampling
    from tfcli.text.tokenizer import SpecialTokens

    Logits = np.ndarray[Any, np.dtype[Any]]  # (..., V)
    Probabilities = np.ndarray[Any, np.dtype[np.float64]]  # (..., V)
    Tokens = np.ndarray[Any, np.dtype[np.int64]]  # (R,)


# --- which tokens can be sampled ----------------------------------------------------------------


def suppress_control_tokens(logits: Logits, special: SpecialTokens) -> Logits:
    """Removes the tokens that stand for no text, except those that end one."""
    allowed = logits.copy()
    allowed[..., special.suppressed] = -np.inf
    return allowed


def apply_temperature(logits: Logits, temperature: float) -> Logits:
    """Divides by the temperature, above 0; the highest becomes 0, so that nothing overflows.

    Ackley, Hinton & Sejnowski, "A Learning Algorithm for Boltzmann Machines", 1985, equation 2.
    """
    with np.errstate(over="ignore"):  # with a tiny temperature all but the highest become -inf
        below: Logits = (logits - logits.max(-1, keepdims=True)).astype(np.float64)
        return below / temperature


def keep_top_k(logits: Logits, k: int) -> Logits:
    """Masks all below the k-th highest; ties with it stay.

    Fan et al., "Hierarchical Neural Story Generation", 2018, section 5.4.
    """
    if k >= logits.shape[-1]:
        return logits
    threshold = np.partition(logits, -k, axis=-1)[..., -k, None]
    return np.where(logits < threshold, -np.inf, logits)


def keep_top_p(logits: Logits, p: float) -> Logits:
    """Keeps the fewest tokens, most likely first, whose probabilities sum to p; at least one.

    Holtzman et al., "The Curious Case of Neural Text Degeneration", 2020, section 3.1.
    """
    return _keep_first(logits, softmax(logits), -logits, p)


def keep_min_p(logits: Logits, p: float) -> Logits:
    """Masks tokens with less than p times the probability of the most likely one.

    Nguyen et al., "Turning Up the Heat: Min-p Sampling", 2024, section 3.
    """
    with np.errstate(divide="ignore"):
        return np.where(logits < logits.max(-1, keepdims=True) + np.log(p), -np.inf, logits)


def keep_typical(logits: Logits, p: float) -> Logits:
    """Keeps the fewest tokens, nearest to the expected surprisal, that sum to p; at least one.

    The surprisal of a token is -log of its probability; its expectation is the entropy.
    Meister et al., "Locally Typical Sampling", 2022, equation 10.
    """
    probabilities = softmax(logits)
    with np.errstate(divide="ignore"):
        surprisal = -np.log(probabilities)
    possible = probabilities > 0
    entropy = np.where(possible, probabilities * np.where(possible, surprisal, 0), 0)
    distance = np.abs(surprisal - entropy.sum(-1, keepdims=True))
    return _keep_first(logits, probabilities, distance, p)


def _keep_first(logits: Logits, probabilities: Probabilities, rank: Logits, p: float) -> Logits:
    """Keeps tokens in the order of `rank`, lowest first, until their probabilities sum to p."""
    order = rank.argsort(-1, kind="stable")
    ordered = np.take_along_axis(probabilities, order, -1)
    before = ordered.cumsum(-1) - ordered
    out = before >= p
    out[..., 0] = False
    dropped = np.empty_like(out)
    np.put_along_axis(dropped, order, out, -1)
    return np.where(dropped, -np.inf, logits)


# --- drawing ------------------------------------------------------------------------------------


def softmax(logits: Logits) -> Probabilities:
    """exp(x) / sum(exp(x)), in float64; the maximum is subtracted first, against overflow."""
    exponentials = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    exponentials /= exponentials.sum(-1, keepdims=True)
    return exponentials  # type: ignore[no-any-return]


def log_softmax(logits: Logits) -> Probabilities:
    """The logarithms of `softmax`, accurate where those underflow; all -inf stays as it is."""
    shifted = logits.astype(np.float64) - _finite(logits.max(-1, keepdims=True))
    with np.errstate(divide="ignore"):
        total = np.log(np.exp(shifted).sum(-1, keepdims=True))
    return shifted - _finite(total)


def _finite(numbers: Logits) -> Logits:
    return np.where(np.isneginf(numbers), 0, numbers)


def choose_tokens(
    logits: Logits,
    sampling: Sampling,
    randoms: Sequence[np.random.Generator],
    special: SpecialTokens,
) -> Tokens:
    """The next token of each row.

    Args:
        logits: (R, V), not changed.
        randoms: one a row; each gives one number, none where sampling is greedy.

    Returns:
        (R,). The most likely token where sampling is greedy, the first of equals. `eos` where
        everything is masked.

    Raises:
        DataError: everything is masked, and the tokenizer has no `eos`.

    """
    logits = suppress_control_tokens(logits, special)
    nothing_left = ~np.isfinite(logits).any(-1)
    if nothing_left.any():
        if special.eos is None:
            raise DataError("every token is masked, and this tokenizer has no eos")
        logits[nothing_left, special.eos] = 0
    if sampling.deterministic:
        return logits.argmax(-1)  # type: ignore[no-any-return]
    kept = sampling.truncation
    if kept.top_k:
        logits = keep_top_k(logits, kept.top_k)
    ids, logits = _possible(logits)
    logits = apply_temperature(logits, sampling.temperature)
    if kept.top_p < 1:
        logits = keep_top_p(logits, kept.top_p)
    if kept.min_p > 0:
        logits = keep_min_p(logits, kept.min_p)
    if kept.typical_p < 1:
        logits = keep_typical(logits, kept.typical_p)
    draws = np.array([random.random() for random in randoms])
    chosen = _draw(softmax(logits), draws)[:, None]
    return np.take_along_axis(ids, chosen, -1)[:, 0]


def _possible(logits: Logits) -> tuple[Tokens, Logits]:
    """The ids not masked, ascending, and their logits: (R, N) each, few of many after top-k.

    A row with fewer than another also holds some that are masked.
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
    """Inverse transform sampling: numbers in [0, 1) to places: (R, N), (R,) -> (R,).

    Each goes to the first token whose cumulative probability is above it.
    """
    sums = probabilities.cumsum(-1)
    totals = sums[:, -1]
    marks = np.minimum(draws * totals, np.nextafter(totals, 0))
    return (sums <= marks[:, None]).sum(-1)  # type: ignore[no-any-return]


def row_random(seed: int, row: int = 0) -> np.random.Generator:
    """The random numbers of one row of output: a function of (seed, row) alone."""
    return np.random.Generator(np.random.Philox(key=np.array([seed % 2**64, row], np.uint64)))
