"""The Transformer, decoder-only: the whole model, from token ids to logits.

A text is a row of token ids. Each id becomes a vector, the vectors pass through a stack of
blocks, and the final vectors give the scores (logits) of every possible next token:

    embedding -> (+ positions) -> N x block -> norm -> head

    block:  x = x + attention(norm(x))        across positions      `tfcli.model.attention`
            x = x + feed_forward(norm(x))     each position alone   `tfcli.model.layers`

The `x +` are residual connections: each block adds to the residual stream that runs through all of
them, so gradients reach the first block as easily as the last. The norms keep the scale of each
layer's input constant, however large the stream grows. The second addition of a block is made
together with the norm after it, of the next block or the final one: one pass over memory.

The families of `tfcli.model.config` differ in five choices: the norm, the feed-forward layer, the
kind of positions, whether queries and keys are normalized (QK-norm), and which linear layers have
biases. "modern" has exactly the parameters of Qwen3, "llama" those of Llama, Mistral and Qwen2,
"gpt2" those of GPT-2; `tfcli.model.parameters` lists them.

Shapes, here and in the comments below:

    B  rows in the batch          H  query heads               D  head_dim
    T  positions in a row         K  key-value heads           E  hidden size (d_model)
    S  positions attended to      V  vocabulary size           F  feed-forward size (d_ff)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tfcli.model.attention import Attention, AttentionContext
from tfcli.model.chunked_loss import chunked_cross_entropy
from tfcli.model.kernels import Dropout, cross_entropy, draw_dropout_mask
from tfcli.model.layers import MLP, SwiGLU, add_and_norm, make_norm
from tfcli.model.masks import attention_mask
from tfcli.model.parameters import parameters
from tfcli.model.positions import rotary_table, sinusoidal_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tfcli.model.cache import CacheView
    from tfcli.model.config import ModelConfig


class Block(nn.Module):
    """Attention, then feed-forward, each with pre-norm and a residual connection."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention_norm = make_norm(config)
        self.attention = Attention(config)
        self.feed_forward_norm = make_norm(config)
        self.feed_forward = SwiGLU(config) if config.feed_forward == "swiglu" else MLP(config)

    def forward(
        self,
        x: Tensor,  # (B, T, E)
        branch: Tensor | None,  # (B, T, E), what the block before adds to x
        context: AttentionContext,
        layer: int,
        dropout: Dropout,
    ) -> tuple[Tensor, Tensor]:  # x, and what this block adds to it: (B, T, E) each
        x, normed = add_and_norm(x, branch, self.attention_norm, dropout.site(2 * layer))
        attended = self.attention(normed, context, layer)
        x, normed = add_and_norm(x, attended, self.feed_forward_norm, dropout.site(2 * layer + 1))
        return x, self.feed_forward(normed)


class Transformer(nn.Module):
    """A decoder-only language model: token ids in, logits of the next token out.

    With `causal=False`, positions see later ones, too: how a model trained with `--masked` reads a
    text both ways; see `tfcli.training.objectives.BothWays`.

    Args:
        config: its architecture and sizes.
        dropout: in training, on the embeddings and on what each layer adds to the residual stream;
            not on the attention weights, whose fast kernel has none.
        dtype: number format of the activations in training, from the embedding on; None: that
            of the weights.
        checkpointing: in training, keep only the input of each block for the backward pass, which
            computes the rest again (Chen et al., "Training Deep Nets with Sublinear Memory Cost",
            2016), and the logits of a chunk of positions at a time. The same gradients, for a
            third more time and a fraction of the memory.

    """

    rotary_cosines: Tensor
    rotary_sines: Tensor
    sinusoids: Tensor

    def __init__(
        self,
        config: ModelConfig,
        dropout: float = 0.0,
        dtype: torch.dtype | None = None,
        *,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.config = config
        self.dropout = dropout
        self.dtype = dtype
        self.checkpointing = checkpointing
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        if config.positions == "learned":
            self.position_embedding = nn.Embedding(config.context_length, config.d_model)
        elif config.positions == "sinusoidal":
            table = sinusoidal_table(config.context_length, config.d_model)
            self.register_buffer("sinusoids", table, persistent=False)
        else:
            cosines, sines = rotary_table(config)
            self.register_buffer("rotary_cosines", cosines, persistent=False)
            self.register_buffer("rotary_sines", sines, persistent=False)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.final_norm = make_norm(config)
        if not config.tied_head:
            self.head = nn.Linear(config.d_model, config.vocab_size, bias=False)

    @torch.no_grad()
    def init_weights(
        self, seed: int, copy: Callable[[Tensor, Tensor], object] = Tensor.copy_
    ) -> None:
        """Initializes the weights as listed in `model.parameters`, a function of the seed.

        Args:
            copy: fills a parameter, or the part of it that there is, with the whole one drawn.

        """
        generator = torch.Generator().manual_seed(seed)
        weights = dict(self.named_parameters())
        for row in parameters(self.config):
            weight = weights[row.name]
            if row.init == "zeros":
                weight.zero_()
            elif row.init == "ones":
                weight.fill_(1.0)
            else:  # drawn on the CPU, so that every device starts with the same weights
                values = torch.empty(row.shape).normal_(0.0, row.init.std, generator=generator)
                copy(weight, values)

    def forward(
        self,
        ids: Tensor,
        cache: CacheView | None = None,
        dropout_mask: Tensor | None = None,
        *,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        causal: bool | Tensor = True,
    ) -> Tensor:
        """The logits at every position: (B, T) ids -> (B, T, V); see `hidden_states`."""
        x = self.hidden_states(
            ids, cache, dropout_mask, positions=positions, segments=segments, causal=causal
        )
        return self.logits(x)

    def draw_dropout(self, rows: range, seed: Sequence[int]) -> Tensor | None:
        """The dropout mask of each row, a function of (seed, row): (1 + 2 N, B, T, E); CPU only."""
        if not self.dropout or self.embedding.weight.device.type != "cpu":
            return None
        sites = 1 + 2 * self.config.num_layers
        shape = (sites, self.config.context_length, self.config.d_model)
        return torch.stack(
            [draw_dropout_mask(shape, self.dropout, (*seed, row)) for row in rows], dim=1
        )

    def hidden_states(
        self,
        ids: Tensor,
        cache: CacheView | None = None,
        dropout_mask: Tensor | None = None,
        *,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        causal: bool | Tensor = True,
    ) -> Tensor:
        """Everything but the head: (B, T) ids -> hidden states (B, T, E).

        Args:
            ids: at most `context_length` positions, including those in the cache.
            cache: keys and values of earlier positions; the new ones are added. Attention is then
                causal, over the whole row.
            dropout_mask: from `draw_dropout`.
            positions: (B, T), the position of each token; None: 0, 1, 2, ...
            segments: (B, T), see `model.masks.segment_mask`; None: each row is one segment.
            causal: whether a position attends only to itself and earlier ones; (B,) for each row.

        """
        length = cache.length if cache is not None else ids.shape[1]
        assert length <= self.config.context_length, "more positions than the model has"
        if cache is not None:
            positions, mask = cache.positions, cache.mask
        else:
            mask = attention_mask(
                length,
                causal=causal,
                window=self.config.sliding_window,
                segments=segments,
                device=ids.device,
            )
        index: Tensor | slice = slice(length) if positions is None else positions
        x = self._embed(ids, index)
        dropout = Dropout(self.dropout if self.training else 0.0, dropout_mask)
        x, branch = dropout.site(0)(x), None
        rotary = None
        if self.config.positions == "rotary":
            rotary = (self.rotary_cosines[index], self.rotary_sines[index])
            if positions is not None:  # (B, T, D): the same for all heads
                rotary = (rotary[0][:, None], rotary[1][:, None])
        context = AttentionContext(rotary, mask, causal is True, cache)
        for layer, block in enumerate(self.blocks):
            x, branch = self._run(block, x, branch, context, layer, dropout)
        return add_and_norm(x, branch, self.final_norm, dropout.site(2 * self.config.num_layers))[1]

    def _run(self, block: nn.Module, *arguments: object) -> tuple[Tensor, Tensor]:
        """A block, of which only the arguments are kept for the backward pass where that is asked.

        Dropout that torch draws, on a GPU, is the same the second time.
        """
        if not (self.checkpointing and torch.is_grad_enabled()):
            return block(*arguments)  # type: ignore[no-any-return]
        from torch.utils.checkpoint import checkpoint

        return checkpoint(block, *arguments, use_reentrant=False)  # type: ignore[no-any-return]

    def _embed(self, ids: Tensor, positions: Tensor | slice) -> Tensor:
        x: Tensor = self.embedding(ids)  # (B, T, E)
        if self.config.positions == "learned":
            x = x + self.position_embedding.weight[positions]
        elif self.config.positions == "sinusoidal":
            # scaled up so that positions do not drown out tokens (Vaswani et al., section 3.4)
            x = x * math.sqrt(self.config.d_model) + self.sinusoids[positions]
        return x.to(self.dtype) if self.dtype and self.training else x

    def logits(self, x: Tensor) -> Tensor:
        """The head: hidden states (..., E) -> logits (..., V)."""
        return F.linear(x, self._head_table.to(x.dtype))

    @property
    def _head_table(self) -> Tensor:
        return self.embedding.weight if self.config.tied_head else self.head.weight

    def loss(
        self,
        ids: Tensor,
        targets: Tensor,
        dropout_mask: Tensor | None = None,
        *,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        weights: Tensor | None = None,
        causal: bool | Tensor = True,
        ignore_index: int = -1,
        soft_targets: Tensor | None = None,
    ) -> Tensor:
        """The summed cross-entropy of `targets` (B, T), in nats; the rest as in `hidden_states`.

        Targets equal to `ignore_index` are not counted.

        Args:
            weights: (B, T), how much each target counts; None: 1 each.
            soft_targets: (B, T, V), distributions to predict, each already multiplied by its
                weight; they replace `targets` and `weights`.

        """
        if self.checkpointing and soft_targets is None:
            x = self.hidden_states(
                ids, None, dropout_mask, positions=positions, segments=segments, causal=causal
            )
            return chunked_cross_entropy(
                x.flatten(0, 1), self._head_table, targets.flatten(), ignore_index,
                None if weights is None else weights.flatten(),
            )  # fmt: skip
        logits: Tensor = self(
            ids, None, dropout_mask, positions=positions, segments=segments, causal=causal
        )
        if soft_targets is not None:
            wide = logits.float().flatten(0, 1)
            return F.cross_entropy(wide, soft_targets.flatten(0, 1), reduction="sum")
        return cross_entropy(
            logits.flatten(0, 1), targets.flatten(), ignore_index,
            None if weights is None else weights.flatten(),
        )  # fmt: skip
