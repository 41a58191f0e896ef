"""How long to train."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tfcli.training.options import TrainOptions

MAX_EPOCHS = 1e9


@dataclass(frozen=True)
class Budget:
    """How long to train: a number of optimizer steps, or of seconds (of the whole command)."""

    kind: Literal["steps", "seconds"]
    amount: float

    def extended(self, more: float) -> Budget:
        """The same budget and `more` of it."""
        return replace(self, amount=self.amount + more)


def choose_budget(options: TrainOptions, tokens: int, batch_tokens: int) -> Budget:
    """What was asked for.

    Args:
        tokens: in the training text.
        batch_tokens: in an optimizer step.

    """
    if options.time_budget is not None:
        return Budget("seconds", options.time_budget)
    if options.steps is not None:
        return Budget("steps", options.steps)
    trained = options.tokens
    if trained is None:
        assert options.epochs is not None
        trained = math.ceil(min(options.epochs, MAX_EPOCHS) * tokens)
    return Budget("steps", max(1, math.ceil(trained / batch_tokens)))
