"""Self-attention, the layer in which positions attend to each other.

Shapes are those of `tfcli.model.transformer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tfcli.model.layers import RMSNorm, fused_linear, linear, split_linear
from tfcli.model.native.functions import causal_attention
from tfcli.model.native.library import library_for
from tfcli.model.native.reference import Heads
from tfcli.model.positions import rotate

if TYPE_CHECKING:
    from tfcli.model.cache import CacheView
    from tfcli.model.config import ModelConfig


class AttentionContext(NamedTuple):
    """What attention needs besides x; the same for all layers.

    Attributes:
        rotary: cosines and sines of the positions, (T, D) or (B, 1, T, D) each; None without RoPE.
        mask: from `attention_mask` or the cache.
        causal: without a mask, whether a position attends only to itself and earlier ones.
        cache: in generation, the keys and values of earlier positions.

    """

    rotary: tuple[Tensor, Tensor] | None
    mask: Tensor | None
    causal: bool
    cache: CacheView | None


class Attention(nn.Module):
    """Self-attention: each position reads from itself and, if causal, from earlier ones only.

    The query of a position is compared with the key of every other; the better they match, the
    more of that position's value is taken:

        attention(Q, K, V) = softmax(Q K^T / sqrt(D)) V          (Vaswani et al. 2017, equation 1)

    Several heads do this in parallel, each with weights of its own. Where K < H, several query
    heads share a key-value head (Ainslie et al., "GQA", 2023). QK-norm keeps the scores from
    growing without bound (Dehghani et al., "Scaling ViT to 22B", 2023).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.num_heads, self.num_kv_heads = config.num_heads, config.num_kv_heads
        self.head_dim = config.head_dim
        width, bias = config.d_model, config.linear_bias
        qkv_bias = bias or config.qkv_bias
        self.query = nn.Linear(width, config.num_heads * config.head_dim, qkv_bias)
        self.key = nn.Linear(width, config.num_kv_heads * config.head_dim, qkv_bias)
        self.value = nn.Linear(width, config.num_kv_heads * config.head_dim, qkv_bias)
        output_bias = bias or config.output_bias
        self.output = nn.Linear(config.num_heads * config.head_dim, width, output_bias)
        self.qk_norm, self.epsilon = config.qk_norm, config.norm_epsilon
        if self.qk_norm:
            self.query_norm = RMSNorm(config.head_dim, config.norm_epsilon)
            self.key_norm = RMSNorm(config.head_dim, config.norm_epsilon)

    def forward(
        self,
        x: Tensor,  # (B, T, E)
        context: AttentionContext,
        layer: int,
    ) -> Tensor:  # (B, T, E)
        layers = self.query, self.key, self.value
        if self._kernel_computes(x, context):
            heads = Heads(self.num_heads, self.num_kv_heads, self.head_dim)
            attended = causal_attention(
                fused_linear(x, *layers), *self._norm_weights(), rotary=context.rotary, heads=heads,
                epsilon=self.epsilon,
            )  # fmt: skip
        else:
            queries, keys, values = split_linear(x, *layers)
            attended = self._attend(queries, keys, values, context, layer)
        return linear(attended, self.output)

    def _kernel_computes(self, x: Tensor, context: AttentionContext) -> bool:
        """Whether there is a kernel for this: causal attention within whole rows."""
        if not context.causal or context.mask is not None or context.cache is not None:
            return False
        tables = context.rotary or ()
        if any(table.dim() > 2 for table in tables):  # each row has positions of its own
            return False
        if library_for(x, *self._norm_weights(), *tables) is None:
            return False
        # a thread takes a whole head
        return x.shape[0] * self.num_kv_heads >= torch.get_num_threads()

    def _norm_weights(self) -> tuple[Tensor, ...]:
        """The weights of the QK-norm, if there is one."""
        return (self.query_norm.weight, self.key_norm.weight) if self.qk_norm else ()

    def _attend(
        self,
        queries: Tensor,  # (B, T, H D)
        keys: Tensor,  # (B, T, K D)
        values: Tensor,  # (B, T, K D)
        context: AttentionContext,
        layer: int,
    ) -> Tensor:  # (B, T, H D)
        queries, keys, values = (
            t.view(*t.shape[:2], -1, self.head_dim) for t in (queries, keys, values)
        )
        if self.qk_norm:
            queries, keys = self.query_norm(queries), self.key_norm(keys)
        queries, keys, values = (t.transpose(1, 2) for t in (queries, keys, values))  # (B, H, T, D)
        if context.rotary is not None:
            cosines, sines = (table.to(queries.dtype) for table in context.rotary)
            queries, keys = rotate(queries, cosines, sines), rotate(keys, cosines, sines)
        if context.cache is not None:
            keys, values = context.cache.update(layer, keys, values)  # (B, K, S, D)
        attended = attention(queries, keys, values, context.mask, causal=context.causal)
        return attended.transpose(1, 2).flatten(2)


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
        causal: without a mask, whether a query attends only to its own position and earlier ones.

    Returns:
        (B, H, T, D).
    """
    T, S = queries.shape[2], keys.shape[2]
    causal = causal and mask is None and T > 1
    if causal and T < S:  # the kernel handles only T == S
        causal = False
        mask = torch.ones(T, S, dtype=torch.bool, device=queries.device).tril(S - T)
    # on a CPU the backward pass in bfloat16 takes three times as long as in float32
    to_float32 = queries.dtype == torch.bfloat16 and queries.device.type == "cpu"
    attended = F.scaled_dot_product_attention(
        queries.float() if to_float32 else queries,
        keys.float() if to_float32 else keys,
        values.float() if to_float32 else values,
        attn_mask=mask,
        is_causal=causal,
        enable_gqa=keys.shape[1] != queries.shape[1],
    )
    return attended.to(queries.dtype)
