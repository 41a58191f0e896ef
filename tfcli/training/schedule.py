"""The learning rate: its peak, and its course over a training."""

from __future__ import annotations

WARM_UP_STEPS = 20
DECAY_SHARE = 0.7  # the last part of the budget, in which the learning rate decays to zero

# The best peak for the matrices falls with the number of steps, about as its power -0.4: from 0.013
# for 700 of them to 0.008 for 2,400. See `docs/lab-notes.md`.
HIGHEST_RATE, RATE, RATE_STEPS, RATE_POWER = 0.02, 0.013, 700, 0.4


def matrix_learning_rate(steps: int | None) -> float:
    """The best peak for so many steps; None: their number is not known."""
    if not steps:
        return HIGHEST_RATE
    return min(HIGHEST_RATE, RATE * float((RATE_STEPS / steps) ** RATE_POWER))


def learning_rate_scale(step: int, progress: float) -> float:
    """The learning rate at a step as a share of its peak (warmup-stable-decay).

    Linear warm-up, constant, linear decay to zero.

    Args:
        step: optimizer steps made so far; the first 20 warm up.
        progress: the share of the budget that is used, from 0 to 1.

    """
    warm_up = min(1.0, (step + 1) / WARM_UP_STEPS)
    decay = min(1.0, max(0.0, 1.0 - progress) / DECAY_SHARE)
    return warm_up * decay
