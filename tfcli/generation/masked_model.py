"""A model that reads both ways: what it makes of a text in which some tokens are masked.

That of a run that was trained with `--masked`. It reads a masked token as `<unk>`, attends to the
whole text, and predicts each token at the position before it; see `training.objectives.BothWays`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tfcli.errors import DataError, UsageError
from tfcli.generation.open_engine import open_model

if TYPE_CHECKING:
    from tfcli.generation.sampling import Logits
    from tfcli.model.transformer import Transformer
    from tfcli.runs.run import Run
    from tfcli.runs.valid_steps import ValidStep
    from tfcli.runtime.device import Device
    from tfcli.text.tokenizer import SpecialTokens

    Ids = np.ndarray[Any, np.dtype[np.int64]]  # (B, T)
    Flags = np.ndarray[Any, np.dtype[np.bool_]]  # (B, T)


class MaskedPredictor(Protocol):
    """Predicts masked tokens from the others.

    Attributes:
        mask: the id of a masked token.
        length: how many tokens it reads at once.
        vocab_size: V.

    """

    mask: int
    length: int
    vocab_size: int

    def logits(self, ids: Ids, wanted: Flags) -> Logits:
        """Of rows (B, T), masked ones among their tokens, the logits of those wanted: (N, V).

        Each is independent of the others wanted; the masked token itself has -inf. N is the number
        of those wanted, row after row.
        """


class MaskedModel:
    """The conditionals of a Transformer."""

    def __init__(self, model: Transformer, special: SpecialTokens) -> None:
        mask, first = special.unk, special.eos if special.bos is None else special.bos
        if mask is None or first is None:  # no training makes such a run
            raise DataError("this tokenizer has no token for what is masked")
        self.mask, self._first = mask, first
        self.length = model.config.context_length - 1
        self.vocab_size = model.config.vocab_size
        self._model, self._device = model, model.embedding.weight.device

    def logits(self, ids: Ids, wanted: Flags) -> Logits:
        """See `MaskedPredictor`."""
        import torch

        with torch.inference_mode():
            rows = torch.from_numpy(np.insert(ids, 0, self._first, axis=1)).to(self._device)
            hidden = self._model.hidden_states(rows, causal=False)
            before = hidden[:, :-1][torch.from_numpy(wanted).to(self._device)]  # (N, E)
            found: Logits = self._model.logits(before).float().cpu().numpy()
        found[:, self.mask] = -np.inf
        return found


def reads_both_ways(run: Run) -> bool:
    """Whether a run was trained to."""
    return bool(run.metadata["plan"].get("masked"))


def require_both_ways(run: Run) -> None:
    """Raises UsageError for a run that was not trained to read both ways."""
    if not reads_both_ways(run):
        raise UsageError(
            f"the run {run.name} reads from left to right only",
            why="it was trained without --masked",
            hint="tfcli train FILE --masked 0.5",
        )


def open_masked(run: Run, step: ValidStep, device: Device = "auto") -> MaskedModel:
    """The model of a step; always computed by torch.

    Raises:
        DamagedError: the weights do not fit the run's configuration.

    """
    return MaskedModel(open_model(run, step, device), run.tokenizer().special)


def require_torch(*, engine: str, int8: bool, memory: bool, what: str) -> None:
    """Raises UsageError for options of other engines: those read from left to right."""
    for given, name in ((engine == "numpy", "--engine numpy"), (int8, "--int8"),
                        (memory, "--memory")):  # fmt: skip
        if given:
            raise UsageError(
                f"{what} cannot be combined with {name}",
                why="only the torch engine reads both ways",
                hint=f"without {name}",
            )
