"""The Transformer, decoder-only: the whole model, to be read from top to bottom.

A text is a row of token ids. Each id becomes a vector, the vectors pass through a stack of
blocks, and from the last one come the scores (logits) of every possible next token:

    embedding -> (+ positions) -> N x block -> norm -> head

    block:  x = x + attention(norm(x))        looks at the tokens before: "where from?"
            x = x + feed_forward(norm(x))     works on each token alone: "what of it?"

The `x +` are the residual connections: a block only adds to the stream that runs through all of
them, so gradients reach the first as easily as the last. The norm keeps the scale of what a part
sees constant, whatever the stream has grown to.

Three choices make the families of `tfcli.model.config`: the norm, the feed-forward layer and how
positions are told. "modern" holds exactly the tensors of Qwen3, "llama" those of Llama and Mistral,
"gpt2" those of GPT-2.

Shapes, here and in the comments below:

    B  rows in the batch          H  query heads               D  width of a head (head_dim)
    T  positions in a row         K  key and value heads       E  width of the stream (d_model)
    S  positions attended to      V  size of the vocabulary    F  width inside a feed-forward (d_ff)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tfcli.model.kernels import draw_dropout_mask, dropout, rms_norm
from tfcli.model.masks import attention_mask
from tfcli.model.positions import rotary_table, rotate, sinusoidal_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.model.cache import CacheView
    from tfcli.model.config import ModelConfig

# --- normalisation ------------------------------------------------------------------------------


class RMSNorm(nn.Module):
    """y = x / sqrt(mean(x^2) + epsilon) * weight, over the last dimension.

    LayerNorm without subtracting the mean and without a bias: as good, and cheaper.
    Zhang & Sennrich, "Root Mean Square Layer Normalization", 2019, equation 4.
    """

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:  # (..., width) -> (..., width)
        return rms_norm(x, self.weight, self.epsilon)


class LayerNorm(nn.LayerNorm):
    """y = (x - mean(x)) / sqrt(variance(x) + epsilon) * weight + bias, over the last dimension.

    Ba et al., "Layer Normalization", 2016, equation 4.
    """

    def forward(self, x: Tensor) -> Tensor:  # (..., width) -> (..., width)
        weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
        return F.layer_norm(x, self.normalized_shape, weight, bias, self.eps)


def make_norm(config: ModelConfig) -> nn.Module:
    """The norm of the family, over the stream."""
    if config.norm == "rms_norm":
        return RMSNorm(config.d_model, config.norm_epsilon)
    return LayerNorm(config.d_model, config.norm_epsilon)


# --- matrix products ----------------------------------------------------------------------------


def fused_linear(x: Tensor, *layers: nn.Linear) -> tuple[Tensor, ...]:
    """What each of several linear layers makes of the same x: (..., E) -> (..., out) each.

    The product is in the number format of x; the weights themselves stay in float32, since a step
    of training is often smaller than what bfloat16 can tell apart. While training, the matrices
    are put together: one large product is faster than three small ones.
    """
    if not torch.is_grad_enabled() or len(layers) == 1:  # copying costs more than it saves
        return tuple(F.linear(x, *_weights(x, layer)) for layer in layers)
    weights, biases = zip(*(_weights(x, layer) for layer in layers), strict=True)
    bias = None if biases[0] is None else torch.cat(biases)
    together = F.linear(x, torch.cat(weights), bias)
    return torch.split(together, [layer.out_features for layer in layers], dim=-1)


def _weights(x: Tensor, layer: nn.Linear) -> tuple[Tensor, Tensor | None]:
    bias = None if layer.bias is None else layer.bias.to(x.dtype)
    return layer.weight.to(x.dtype), bias


# --- attention ----------------------------------------------------------------------------------


class AttentionContext(NamedTuple):
    """What all layers attend with alike.

    Attributes:
        rotary: cosines and sines of the positions, or None; (T, D) each, or (B, 1, T, D).
        mask: from `attention_mask` or the cache.
        causal: whether a position sees only what stands before it, where there is no mask.
        cache: of the positions before these, in generation.

    """

    rotary: tuple[Tensor, Tensor] | None
    mask: Tensor | None
    causal: bool
    cache: CacheView | None


class Attention(nn.Module):
    """Self-attention: each position takes from itself and, if causal, from those before it.

    A position asks with its query, each of the others answers with its key, and the better they
    match the more of that position's value is taken:

        attention(Q, K, V) = softmax(Q K^T / sqrt(D)) V          (Vaswani et al. 2017, equation 1)

    Several heads do this side by side, each with its own idea of what to look for. Where K < H,
    several query heads share one key-value head (Ainslie et al., "GQA", 2023). QK-norm keeps the
    scores from growing without bound (Dehghani et al., "Scaling ViT to 22B", 2023).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.num_heads, self.num_kv_heads = config.num_heads, config.num_kv_heads
        self.head_dim = config.head_dim
        width, bias = config.d_model, config.biases
        self.query = nn.Linear(width, config.num_heads * config.head_dim, bias)
        self.key = nn.Linear(width, config.num_kv_heads * config.head_dim, bias)
        self.value = nn.Linear(width, config.num_kv_heads * config.head_dim, bias)
        self.output = nn.Linear(config.num_heads * config.head_dim, width, bias)
        self.qk_norm = config.qk_norm
        if self.qk_norm:
            self.query_norm = RMSNorm(config.head_dim, config.norm_epsilon)
            self.key_norm = RMSNorm(config.head_dim, config.norm_epsilon)

    def forward(
        self,
        x: Tensor,  # (B, T, E)
        context: AttentionContext,
        layer: int,
    ) -> Tensor:  # (B, T, E)
        B, T, _ = x.shape
        queries, keys, values = fused_linear(x, self.query, self.key, self.value)
        queries = queries.view(B, T, self.num_heads, self.head_dim)
        keys = keys.view(B, T, self.num_kv_heads, self.head_dim)
        values = values.view(B, T, self.num_kv_heads, self.head_dim)
        if self.qk_norm:
            queries, keys = self.query_norm(queries), self.key_norm(keys)
        queries, keys, values = (t.transpose(1, 2) for t in (queries, keys, values))  # (B, H, T, D)
        if context.rotary is not None:
            cosines, sines = (table.to(queries.dtype) for table in context.rotary)
            queries, keys = rotate(queries, cosines, sines), rotate(keys, cosines, sines)
        if context.cache is not None:
            keys, values = context.cache.update(layer, keys, values)  # (B, K, S, D)
        attended = attention(queries, keys, values, context.mask, causal=context.causal)
        return fused_linear(attended.transpose(1, 2).flatten(2), self.output)[0]


def attention(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor | None = None,
    *,
    causal: bool = True,
) -> Tensor:
    """softmax(Q K^T / sqrt(D)) V.

    Args:
        queries: (B, H, T, D), of the last T positions.
        keys, values: (B, K, S, D), of all S positions.
        mask: True where a query may attend to a key; see `model.masks`.
        causal: without a mask, whether a query sees only itself and what came before it.

    Returns:
        (B, H, T, D).
    """
    T, S = queries.shape[2], keys.shape[2]
    causal = causal and mask is None and T > 1
    if causal and T < S:  # the kernel knows only the square case
        causal = False
        mask = torch.ones(T, S, dtype=torch.bool, device=queries.device).tril(S - T)
    # on a CPU the kernel for bfloat16 takes three times as long backwards: float32 for this part
    widened = queries.dtype == torch.bfloat16 and queries.device.type == "cpu"
    attended = F.scaled_dot_product_attention(
        queries.float() if widened else queries,
        keys.float() if widened else keys,
        values.float() if widened else values,
        attn_mask=mask,
        is_causal=causal,
        enable_gqa=keys.shape[1] != queries.shape[1],
    )
    return attended.to(queries.dtype)


# --- feed-forward -------------------------------------------------------------------------------


class SwiGLU(nn.Module):
    """down(silu(gate(x)) * up(x)): one half decides how much of the other half passes.

    Shazeer, "GLU Variants Improve Transformer", 2020, equation 6.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.up = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.down = nn.Linear(config.d_ff, config.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:  # (B, T, E) -> (B, T, E)
        gate, up = fused_linear(x, self.gate, self.up)  # (B, T, F) each
        return fused_linear(F.silu(gate) * up, self.down)[0]


class MLP(nn.Module):
    """down(activation(up(x))), the feed-forward layer of the first Transformers.

    ReLU in Vaswani et al. 2017, equation 2; in GPT-2 GELU in its tanh form
    (Hendrycks & Gimpel, "Gaussian Error Linear Units", 2016).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.up = nn.Linear(config.d_model, config.d_ff)
        self.down = nn.Linear(config.d_ff, config.d_model)
        self.gelu = config.feed_forward == "gelu"

    def forward(self, x: Tensor) -> Tensor:  # (B, T, E) -> (B, T, E)
        (x,) = fused_linear(x, self.up)  # (B, T, F)
        x = F.gelu(x, approximate="tanh") if self.gelu else F.relu(x)
        return fused_linear(x, self.down)[0]


# --- the whole ----------------------------------------------------------------------------------


class Block(nn.Module):
    """Attention, then feed-forward, each behind its norm and beside its residual connection."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention_norm = make_norm(config)
        self.attention = Attention(config)
        self.feed_forward_norm = make_norm(config)
        self.feed_forward = SwiGLU(config) if config.feed_forward == "swiglu" else MLP(config)

    def forward(
        self,
        x: Tensor,  # (B, T, E)
        context: AttentionContext,
        layer: int,
        share: float,  # to drop out
        dropout_mask: Tensor | None,  # (2, B, T, E), or None where that is still to be drawn
    ) -> Tensor:  # (B, T, E)
        attended = self.attention(self.attention_norm(x), context, layer)
        x = x + dropout(
            attended, share, self.training, None if dropout_mask is None else dropout_mask[0]
        )
        processed = self.feed_forward(self.feed_forward_norm(x))
        return x + dropout(
            processed, share, self.training, None if dropout_mask is None else dropout_mask[1]
        )


class Transformer(nn.Module):
    """A decoder-only language model: token ids in, scores of the next token out.

    Args:
        config: its shape.
        dropout: the share of the embeddings, and of what each part adds to the stream, that is
            left out at random while training; never of the attention scores, whose fast kernel
            knows no dropout.
        precision: the number format of all between embedding and logits while training, where
            that is not the format of the weights.

    """

    rotary_cosines: Tensor
    rotary_sines: Tensor
    sinusoids: Tensor

    def __init__(
        self, config: ModelConfig, dropout: float = 0.0, precision: torch.dtype | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.dropout = dropout
        self.precision = precision
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        if config.positions == "learned":
            self.position_embedding = nn.Embedding(config.context_length, config.d_model)
        elif config.positions == "sinusoidal":
            table = sinusoidal_table(config.context_length, config.d_model)
            self.register_buffer("sinusoids", table, persistent=False)
        else:
            cosines, sines = rotary_table(config.context_length, config.head_dim, config.rope_theta)
            self.register_buffer("rotary_cosines", cosines, persistent=False)
            self.register_buffer("rotary_sines", sines, persistent=False)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.final_norm = make_norm(config)
        if not config.tied_head:
            self.head = nn.Linear(config.d_model, config.vocab_size, bias=False)

    @torch.no_grad()
    def init_weights(self, seed: int) -> None:
        """Draws the first weights; the same seed gives the same ones.

        Matrices from N(0, 1/sqrt(fan_in)); tables from N(0, 0.02), as in GPT-2. The matrices that
        write into the residual stream begin at zero, so that at first every block passes its
        input on unchanged (Zhang et al., "Fixup Initialization", 2019). Biases zero, norms one.
        """
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in self.named_parameters():
            if name.endswith(("attention.output.weight", "feed_forward.down.weight", "bias")):
                parameter.zero_()
            elif "norm" in name:
                parameter.fill_(1.0)
            else:
                is_table = "embedding" in name or name == "head.weight"
                std = 0.02 if is_table else 1 / math.sqrt(parameter.shape[1])
                # drawn on the CPU, so that every device begins with the same weights
                values = torch.empty(parameter.shape).normal_(0.0, std, generator=generator)
                parameter.copy_(values)

    def forward(
        self,
        ids: Tensor,
        cache: CacheView | None = None,
        dropout_mask: Tensor | None = None,
        *,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        causal: bool = True,
    ) -> Tensor:
        """The logits at every position: (B, T) ids -> (B, T, V); see `encode`."""
        x = self.encode(
            ids, cache, dropout_mask, positions=positions, segments=segments, causal=causal
        )
        return self.predict(x)

    def draw_dropout(self, rows: range, seed: Sequence[int]) -> Tensor | None:
        """What dropout keeps, (1 + 2 N, B, T, E), by row whatever the others; on a CPU alone."""
        if not self.dropout or self.embedding.weight.device.type != "cpu":
            return None
        sites = 1 + 2 * self.config.num_layers
        shape = (sites, self.config.context_length, self.config.d_model)
        return torch.stack(
            [draw_dropout_mask(shape, self.dropout, (*seed, row)) for row in rows], dim=1
        )

    def encode(
        self,
        ids: Tensor,
        cache: CacheView | None = None,
        dropout_mask: Tensor | None = None,
        *,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        causal: bool = True,
    ) -> Tensor:
        """Everything but the head: (B, T) ids -> hidden states (B, T, E).

        Args:
            ids: at most `context_length` positions together with those in the cache.
            cache: the positions before these; the new ones are added to it. Attention is then
                causal, over the whole row.
            dropout_mask: from `draw_dropout`.
            positions: (B, T), where each token stands; None: 0, 1, 2, ...
            segments: (B, T), see `model.masks.segment_mask`; None: the row is one segment.
            causal: whether a position attends only to itself and to those before it.

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
        places: Tensor | slice = slice(length) if positions is None else positions
        x = self._embed(ids, places)
        x = dropout(
            x, self.dropout, self.training, None if dropout_mask is None else dropout_mask[0]
        )
        rotary = None
        if self.config.positions == "rotary":
            rotary = (self.rotary_cosines[places], self.rotary_sines[places])
            if positions is not None:  # (B, T, D): the same for all heads
                rotary = (rotary[0][:, None], rotary[1][:, None])
        context = AttentionContext(rotary, mask, causal, cache)
        for layer, block in enumerate(self.blocks):
            site = None if dropout_mask is None else dropout_mask[1 + 2 * layer : 3 + 2 * layer]
            x = block(x, context, layer, self.dropout, site)
        return self.final_norm(x)  # type: ignore[no-any-return]

    def _embed(self, ids: Tensor, positions: Tensor | slice) -> Tensor:
        x: Tensor = self.embedding(ids)  # (B, T, E)
        if self.config.positions == "learned":
            x = x + self.position_embedding.weight[positions]
        elif self.config.positions == "sinusoidal":
            # scaled up so that the positions do not drown the tokens (Vaswani et al., 3.4)
            x = x * math.sqrt(self.config.d_model) + self.sinusoids[positions]
        return x.to(self.precision) if self.precision and self.training else x

    def predict(self, x: Tensor) -> Tensor:
        """The head: (..., E) -> logits (..., V)."""
        table = self.embedding.weight if self.config.tied_head else self.head.weight
        return F.linear(x, table.to(x.dtype))

    def loss(
        self,
        ids: Tensor,
        targets: Tensor,
        dropout_mask: Tensor | None = None,
        *,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        causal: bool = True,
        ignore_index: int = -1,
    ) -> Tensor:
        """The summed cross-entropy of `targets` (B, T), in nats; the rest as in `encode`.

        Targets equal to `ignore_index` do not count.
        """
        logits = self(
            ids, None, dropout_mask, positions=positions, segments=segments, causal=causal
        )
        return F.cross_entropy(
            logits.float().flatten(0, 1),  # the softmax wants full precision
            targets.flatten(),
            ignore_index=ignore_index,
            reduction="sum",
        )
