"""The layers of a block other than attention: norms, linear layers, feed-forward.

Shapes are those of `tfcli.model.transformer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tfcli.model.kernels import add_rms_norm, rms_norm
from tfcli.model.native.functions import swiglu
from tfcli.model.native.library import library_for

if TYPE_CHECKING:
    from tfcli.model.config import ModelConfig
    from tfcli.model.kernels import Dropout

# --- normalization ------------------------------------------------------------------------------


class RMSNorm(nn.Module):
    """y = x / sqrt(mean(x^2) + epsilon) * weight, over the last dimension.

    LayerNorm without mean and bias: as good, and cheaper.
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
    """The family's norm, over the residual stream."""
    if config.norm == "rms_norm":
        return RMSNorm(config.d_model, config.norm_epsilon)
    return LayerNorm(config.d_model, config.norm_epsilon)


def add_and_norm(
    x: Tensor, branch: Tensor | None, norm: nn.Module, dropout: Dropout
) -> tuple[Tensor, Tensor]:
    """A residual connection and the norm that follows it, in one pass where there is a kernel.

    Args:
        x: (B, T, E), the residual stream.
        branch: (B, T, E), what is added to it, after dropout; None: nothing.

    Returns:
        The sum, and its norm.

    """
    if branch is None:
        return x, norm(x)
    if isinstance(norm, RMSNorm):
        return add_rms_norm(x, branch, dropout, norm.weight, norm.epsilon)
    x = x + dropout(branch)
    return x, norm(x)


# --- matrix products ----------------------------------------------------------------------------


def linear(x: Tensor, layer: nn.Linear) -> Tensor:
    """A linear layer, computed in the dtype of x: (..., E) -> (..., out).

    The weights stay in float32, since an optimizer step is often smaller than bfloat16 can resolve.
    """
    return F.linear(x, *_weights(x, layer))


def fused_linear(x: Tensor, *layers: nn.Linear) -> Tensor:
    """Several linear layers of the same x, side by side: (..., E) -> (..., sum of the outputs).

    In training the matrices are concatenated: one large product is faster than three small ones.
    """
    if not torch.is_grad_enabled():  # copying weights costs more than it saves
        return torch.cat([linear(x, layer) for layer in layers], dim=-1)
    weights, biases = zip(*(_weights(x, layer) for layer in layers), strict=True)
    return F.linear(x, torch.cat(weights), None if biases[0] is None else torch.cat(biases))


def split_linear(x: Tensor, *layers: nn.Linear) -> tuple[Tensor, ...]:
    """The same, the output of each apart: (..., E) -> (..., out) each."""
    if not torch.is_grad_enabled():
        return tuple(linear(x, layer) for layer in layers)
    return torch.split(fused_linear(x, *layers), [layer.out_features for layer in layers], dim=-1)


def _weights(x: Tensor, layer: nn.Linear) -> tuple[Tensor, Tensor | None]:
    bias = None if layer.bias is None else layer.bias.to(x.dtype)
    return layer.weight.to(x.dtype), bias


# --- feed-forward -------------------------------------------------------------------------------


class SwiGLU(nn.Module):
    """down(silu(gate(x)) * up(x)): the gate scales each element of `up`.

    Shazeer, "GLU Variants Improve Transformer", 2020, equation 6.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        bias = config.linear_bias
        self.gate = nn.Linear(config.d_model, config.d_ff, bias)
        self.up = nn.Linear(config.d_model, config.d_ff, bias)
        self.down = nn.Linear(config.d_ff, config.d_model, bias)

    def forward(self, x: Tensor) -> Tensor:  # (B, T, E) -> (B, T, E)
        if library_for(x):
            return linear(swiglu(fused_linear(x, self.gate, self.up)), self.down)
        gate, up = split_linear(x, self.gate, self.up)  # (B, T, F) each
        return linear(F.silu(gate) * up, self.down)


class MLP(nn.Module):
    """down(activation(up(x))), the feed-forward layer of the original Transformer and of GPT-2.

    ReLU in Vaswani et al. 2017, equation 2; in GPT-2, the tanh approximation of GELU
    (Hendrycks & Gimpel, "Gaussian Error Linear Units", 2016).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        bias = config.linear_bias
        self.up = nn.Linear(config.d_model, config.d_ff, bias)
        self.down = nn.Linear(config.d_ff, config.d_model, bias)
        self.gelu = config.feed_forward == "gelu"

    def forward(self, x: Tensor) -> Tensor:  # (B, T, E) -> (B, T, E)
        x = linear(x, self.up)  # (B, T, F)
        x = F.gelu(x, approximate="tanh") if self.gelu else F.relu(x)
        return linear(x, self.down)
