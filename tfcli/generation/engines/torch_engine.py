"""The torch engine: the model of training itself, with its cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from tfcli.model.cache import KeyValueCache
from tfcli.model.transformer import Transformer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.generation.engines.engine import Logits


class TorchEngine:
    """Runs a `Transformer` for one row of text."""

    def __init__(self, model: Transformer) -> None:
        self._model = model
        self._weight = model.embedding.weight
        self.context_length = model.config.context_length

    def prefill(self, ids: Sequence[int]) -> Logits:
        """See `Engine`."""
        config = self._model.config
        self._cache = KeyValueCache(config, 1, self.context_length, like=self._weight.detach())
        return self._run(ids)

    def decode(self, token: int) -> Logits:
        """See `Engine`."""
        return self._run([token])

    @torch.inference_mode()
    def _run(self, ids: Sequence[int]) -> Logits:
        x = self._model.encode(torch.tensor([ids], device=self._weight.device), self._cache)
        return self._model.predict(x[0, -1]).float().numpy(force=True)
