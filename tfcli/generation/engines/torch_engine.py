"""The torch engine: the model of training itself, for GPUs and as the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from tfcli.model.cache import CacheView, KVCache

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from tfcli.generation.engines.engine import Logits
    from tfcli.model.transformer import Transformer


MAX_PADDED = 2  # tokens computed for each real one


class TorchEngine:
    """Runs a `Transformer` for several rows of text; see `Engine`.

    On a CUDA device a decoding step of all rows is recorded once and then replayed: launching the
    hundreds of kernels of a small model one by one takes longer than running them.
    """

    def __init__(self, model: Transformer, rows: int = 1) -> None:
        self._model = model
        self._device = model.embedding.weight.device
        self.description = f"torch ({self._device})"
        self.context_length = model.config.context_length
        self.vocab_size = model.config.vocab_size
        skipped = 0 if model.config.tied_head else model.embedding.weight.nbytes
        self.weight_bytes = sum(weight.nbytes for weight in model.parameters()) - skipped
        self._cache = KVCache(model.config, rows, self._device)
        self._fixed: FixedStep | None = None
        if self._device.type == "cuda":
            self._fixed = FixedStep(model, self._cache, rows, record=True)

    def reset(self, row: int) -> None:
        """See `Engine`."""
        self._cache.reset(row)

    def copy_row(self, source: int, target: int) -> None:
        """See `Engine`."""
        self._cache.copy_row(source, target)

    def with_rows(self, rows: int) -> TorchEngine:
        """See `Engine`."""
        return TorchEngine(self._model, rows)

    def forward(self, rows: Sequence[int], tokens: Sequence[Sequence[int]]) -> Logits:
        """See `Engine`."""
        if all(len(own) == 1 for own in tokens):
            return self._decode(rows, [own[0] for own in tokens])
        pairs = zip(rows, tokens, strict=True)
        return np.concatenate([self._prefill(row, own, first=-1) for row, own in pairs])

    def forward_all(self, rows: Sequence[int], tokens: Sequence[Sequence[int]]) -> Logits:
        """See `Engine`. Rows of similar lengths are computed together."""
        longest = max(map(len, tokens))
        fits = all(self._cache.lengths[row] + longest <= self.context_length for row in rows)
        if fits and len(rows) * longest <= MAX_PADDED * sum(map(len, tokens)):
            return self._prefill_padded(rows, tokens, longest)
        pairs = zip(rows, tokens, strict=True)
        return np.concatenate([self._prefill(row, own, first=0) for row, own in pairs])

    @torch.inference_mode()
    def _prefill(self, row: int, ids: Sequence[int], *, first: int) -> Logits:
        """Appends tokens to one row; the logits after those from index `first` on."""
        inputs = torch.tensor([list(ids)], device=self._device)
        x = self._model.hidden_states(inputs, self._cache.extend([row], len(ids)))
        return self._model.logits(x[0, first:]).float().numpy(force=True)

    @torch.inference_mode()
    def _prefill_padded(
        self, rows: Sequence[int], tokens: Sequence[Sequence[int]], longest: int
    ) -> Logits:
        """Appends tokens to several rows at once; the logits after every token.

        The padding is on the right, where nothing before it sees it, and the next tokens of a row
        replace it.
        """
        lengths = torch.tensor([len(own) for own in tokens])
        inputs = torch.zeros(len(rows), longest, dtype=torch.int64)
        real = torch.arange(longest) < lengths[:, None]  # (rows, longest)
        inputs[real] = torch.tensor([token for own in tokens for token in own])
        ends = [self._cache.lengths[row] + len(own) for row, own in zip(rows, tokens, strict=True)]
        x = self._model.hidden_states(inputs.to(self._device), self._cache.extend(rows, longest))
        for row, end in zip(rows, ends, strict=True):
            self._cache.lengths[row] = end
        return self._model.logits(x[real.to(self._device)]).float().numpy(force=True)

    @torch.inference_mode()
    def _decode(self, rows: Sequence[int], ids: Sequence[int]) -> Logits:
        """Appends one token to each of some rows."""
        if self._fixed is not None:
            return self._fixed(rows, ids)
        inputs = torch.tensor(ids, device=self._device)[:, None]
        x = self._model.hidden_states(inputs, self._cache.extend(rows, 1))
        return self._model.logits(x[:, -1]).float().numpy(force=True)


class FixedStep:
    """A decoding step of every row of a cache, through buffers that stay where they are.

    All shapes are fixed: every row, and the whole capacity of the cache. So on a CUDA device the
    step can be recorded as a graph, once for each capacity. A row that gets no token is written
    past its end, or, if its context is full, at its last position, after which it can only be
    reset.

    Args:
        record: whether to make a CUDA graph of the step; the same without for other devices.

    """

    def __init__(self, model: Transformer, cache: KVCache, rows: int, *, record: bool) -> None:
        self._model, self._cache, self._record = model, cache, record
        device = model.embedding.weight.device
        self._staging = torch.zeros(2, rows, dtype=torch.int64, pin_memory=record)
        self._inputs = torch.zeros(2, rows, dtype=torch.int64, device=device)  # ids, positions
        self._graph: torch.cuda.CUDAGraph | None = None
        self._graph_version: int | None = None  # of the cache
        self._logits: Tensor | None = None

    def __call__(self, rows: Sequence[int], ids: Sequence[int]) -> Logits:
        """The logits of the rows that get one token each; the copy back is the only wait."""
        cache = self._cache
        cache.reserve(max(cache.lengths[row] for row in rows) + 1)
        cache.reserve(min(max(cache.lengths) + 1, self._model.config.context_length))  # the idle
        self._staging[1] = torch.tensor([min(n, cache.capacity - 1) for n in cache.lengths])
        for row, token in zip(rows, ids, strict=True):
            self._staging[0, row] = token
            cache.lengths[row] += 1
        self._inputs.copy_(self._staging, non_blocking=True)
        if not self._record:
            return self._compute().numpy(force=True)[list(rows)]
        if self._graph is None or self._graph_version != cache.version:
            self._graph = self._logits = None  # their memory is free for the next
            self._graph = self._record_graph()
            self._graph_version = cache.version
        self._graph.replay()
        assert self._logits is not None
        return self._logits.numpy(force=True)[list(rows)]

    def _compute(self) -> Tensor:
        ids, positions = self._inputs[0, :, None], self._inputs[1, :, None]
        view = CacheView(
            self._cache, range(len(ids)), positions, length=self._cache.capacity, masked=True
        )
        return self._model.logits(self._model.hidden_states(ids, view)[:, -1]).float()

    def _record_graph(self) -> torch.cuda.CUDAGraph:
        self._compute()  # the cache allocates larger tensors here, in the stream that owns it
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):  # what the first calls set up must not be in the recording
                self._compute()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._logits = self._compute()
        return graph
