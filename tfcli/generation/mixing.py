"""How the probabilities of a model and those of the n-grams of its text become one distribution.

By a product of experts with weights that depend on the context (Hinton, 2002; Klakow, "Log-linear
interpolation of language models", 1998):

    p(w) = p_model(w)^a p_5-grams(w)^b p_bigrams(w)^c / Z

Z makes the sum over all V tokens 1. The bigrams are in both the model and the longer n-grams; a
negative c takes what would count twice out again. Each of a, b and c is a linear function of four
features of the context: 1, the highest log-probability that the model has for a token, the highest
that the n-grams have, and how much the n-grams trust the context (`NextToken.left`).

The loss of such a mixture is convex in its weights, so Newton's method finds the best ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.runs.memory import FEATURES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tfcli.text.kneser_ney import NextToken

    Logits = np.ndarray[Any, np.dtype[Any]]  # (T, V)
    Features = NDArray[np.float32]  # (T, F)
    Weights = NDArray[np.floating[Any]]  # (3, F): of the model, the n-grams, the bigrams

# The mean of what four models got on slices of their training texts (English, Spanish, Python; 0.2
# to 2 MB, a minute each): docs/lab-notes.md
USUAL = np.array(
    [[0.33, 0.04, -0.13, 0.02], [1.08, -0.07, 0.23, 0.04], [-0.32, 0.04, -0.07, -0.03]]
)
ITERATIONS = 20
SETTLED = 1e-4  # of a weight
CHUNK_NUMBERS = 1 << 20  # of float64 numbers at a time


@dataclass(frozen=True)
class Experts:
    """What is mixed after each of T contexts.

    Attributes:
        logits: of the model, (T, V).
        ngrams, bigrams: natural logarithms of probabilities, (T, V).
        left: see `NextToken`, (T,).

    """

    logits: Logits
    ngrams: Logits
    bigrams: Logits
    left: Logits

    def __len__(self) -> int:
        return len(self.logits)

    def part(self, begin: int, end: int) -> Experts:
        """Some of the contexts."""
        arrays = (self.logits, self.ngrams, self.bigrams, self.left)
        return Experts(*(array[begin:end] for array in arrays))

    def features(self) -> Features:
        """(T, FEATURES); see the module."""
        features = np.ones((len(self), FEATURES), np.float32)
        below = self.logits - self.logits.max(-1, keepdims=True)
        features[:, 1] = -np.log(np.exp(below).sum(-1))  # the log-probability of the likeliest
        features[:, 2] = self.ngrams.max(-1)
        features[:, 3] = self.left
        return features

    def mix(self, weights: Weights) -> Logits:
        """The logits (T, V) of the mixture, which are log-probabilities up to a constant."""
        a, b, c = (weights.astype(np.float32, copy=False) @ self.features().T)[:, :, None]
        return a * self.logits + b * self.ngrams + c * self.bigrams  # type: ignore[no-any-return]


def gather(logits: Logits, following: Sequence[NextToken]) -> Experts:
    """The experts of some contexts, from what the model and the n-grams say of each."""
    bigrams = np.array([each.bigrams for each in following])
    ngrams = np.empty_like(bigrams)
    for row, each in zip(ngrams, following, strict=True):
        each.write_logprobs(row)
    left = np.array([each.left for each in following], np.float32)
    return Experts(logits, ngrams, bigrams, left)


def fit_weights(parts: Sequence[tuple[Experts, Logits]], *, prior: float = 1.0) -> Weights:
    """The weights with which the mixture predicts some tokens best.

    Args:
        parts: the experts of some contexts, and which token followed each, (T,).
        prior: how strongly the usual weights are preferred: as much as so many tokens speak for
            others, roughly.

    """
    weights = USUAL.copy()
    loss, gradient, hessian = _derivatives(parts, weights, prior)
    for _ in range(ITERATIONS):
        step = np.linalg.solve(hessian, gradient).reshape(weights.shape)
        if np.abs(step).max() < SETTLED:
            break
        there = _derivatives(parts, weights - step, prior)
        while there[0] > loss:  # too far, where the loss is far from a parabola
            step /= 4
            there = _derivatives(parts, weights - step, prior)
        weights = weights - step
        loss, gradient, hessian = there
    return weights


def _derivatives(
    parts: Sequence[tuple[Experts, Logits]], weights: Weights, prior: float
) -> tuple[float, Any, Any]:
    """The loss with its first and second derivatives, the prior included."""
    away = weights - USUAL
    loss, gradient = prior * float((away**2).sum()) / 2, prior * away.ravel()
    hessian = prior * np.eye(weights.size)
    for experts, expected in parts:
        size = max(1, CHUNK_NUMBERS // experts.logits.shape[1])
        for begin in range(0, len(experts), size):
            chunk = experts.part(begin, begin + size)
            own, slope, curvature = _moments(chunk, expected[begin : begin + size], weights)
            loss, gradient, hessian = loss + own, gradient + slope, hessian + curvature
    return loss, gradient, hessian


def _moments(experts: Experts, expected: Logits, weights: Weights) -> tuple[float, Any, Any]:
    """The loss on some tokens; its derivatives are means and covariances of the experts."""
    features = experts.features().astype(np.float64)
    logs = np.stack([experts.logits, experts.ngrams, experts.bigrams], 1).astype(np.float64)
    logs -= logs.max(-1, keepdims=True)  # (T, EXPERTS, V)
    mixed = np.einsum("te,tev->tv", features @ weights.T, logs)
    mixed -= mixed.max(-1, keepdims=True)
    chances = np.exp(mixed)
    totals = chances.sum(-1, keepdims=True)
    chances /= totals
    rows = np.arange(len(expected))
    loss = float(np.log(totals).sum() - mixed[rows, expected].sum())
    means = np.einsum("tv,tev->te", chances, logs)
    logs -= means[:, :, None]
    covariance = np.einsum("tev,tfv->tef", logs * chances[:, None], logs, optimize=True)
    surprise = -logs[rows, :, expected]  # the means less the experts of the token
    hessian = np.einsum("tef,ti,tj->eifj", covariance, features, features, optimize=True)
    gradient = surprise.T @ features
    return loss, gradient.ravel(), hessian.reshape(weights.size, weights.size)
