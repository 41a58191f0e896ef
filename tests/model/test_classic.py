"""`classic` follows "Attention Is All You Need", restated here in plain loops.

Decoder only, with pre-norm, as most implementations since. Section and equation
numbers are those of Vaswani et al., 2017.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from tfcli.model.config import ModelConfig

from .helpers import CONFIGS, random_ids, random_model

Array = NDArray[np.float64]


class Reference:
    """The formulas, one position at a time, on the weights of a model."""

    def __init__(self, config: ModelConfig, weights: dict[str, Array]) -> None:
        self.config = config
        self.weights = weights

    def logits(self, ids: list[int]) -> Array:
        table = self.weights["embedding.weight"]
        width = self.config.d_model
        # 3.4: "in the embedding layers, we multiply those weights by sqrt(d_model)"
        xs = [table[i] * math.sqrt(width) + self.position(p) for p, i in enumerate(ids)]
        for layer in range(self.config.num_layers):
            block = f"blocks.{layer}."
            normed = [self.norm(f"{block}attention_norm", x) for x in xs]
            attended = self.attention(f"{block}attention.", normed)
            xs = [x + a for x, a in zip(xs, attended, strict=True)]
            normed = [self.norm(f"{block}feed_forward_norm", x) for x in xs]
            xs = [
                x + self.feed_forward(f"{block}feed_forward.", n)
                for x, n in zip(xs, normed, strict=True)
            ]
        # 3.4: "we share the same weight matrix between the embedding and the softmax layer"
        return np.stack([table @ self.norm("final_norm", x) for x in xs])

    def position(self, p: int) -> Array:
        """3.5: PE(p, 2i) = sin(p / 10000^(2i/d)), PE(p, 2i+1) = cos(p / 10000^(2i/d))."""
        width = self.config.d_model
        encoding = np.empty(width)
        for channel in range(width):
            angle = p / 10000 ** ((channel - channel % 2) / width)
            encoding[channel] = math.cos(angle) if channel % 2 else math.sin(angle)
        return encoding

    def linear(self, name: str, x: Array) -> Array:
        result: Array = self.weights[f"{name}.weight"] @ x + self.weights[f"{name}.bias"]
        return result

    def norm(self, name: str, x: Array) -> Array:
        """Ba et al., "Layer Normalization", 2016, equation 4."""
        gain, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        mean = float(x.mean())
        deviation = math.sqrt(((x - mean) ** 2).mean() + self.config.norm_epsilon)
        normed: Array = (x - mean) / deviation * gain + bias
        return normed

    def attention(self, name: str, xs: list[Array]) -> list[Array]:
        """3.2.2: concatenated heads, then the output matrix; 3.2.3: no attention to the right."""
        queries, keys, values = (
            [self.linear(name + part, x) for x in xs] for part in ("query", "key", "value")
        )
        size = self.config.head_dim
        outputs = []
        for p in range(len(xs)):
            heads = []
            for head in range(self.config.num_heads):
                part = slice(head * size, (head + 1) * size)
                # equation 1
                scores = [queries[p][part] @ keys[q][part] / math.sqrt(size) for q in range(p + 1)]
                exps = [math.exp(score) for score in scores]
                weights = [e / sum(exps) for e in exps]
                heads.append(sum(weight * values[q][part] for q, weight in enumerate(weights)))
            outputs.append(self.linear(name + "output", np.concatenate(heads)))
        return outputs

    def feed_forward(self, name: str, x: Array) -> Array:
        """Equation 2: FFN(x) = max(0, x W1 + b1) W2 + b2."""
        return self.linear(name + "down", np.maximum(0, self.linear(name + "up", x)))


@torch.no_grad()
def test_classic_equals_the_paper() -> None:
    config = CONFIGS["classic"]
    model = random_model(config)
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    ids = random_ids(config, rows=2, length=config.context_length)
    expected = np.stack([Reference(config, weights).logits(row.tolist()) for row in ids])
    np.testing.assert_allclose(model(ids).numpy(), expected, rtol=0, atol=1e-5)


@torch.no_grad()
def test_classic_with_odd_width_equals_the_paper() -> None:
    config = ModelConfig(
        family="classic",
        vocab_size=7,
        context_length=5,
        num_layers=1,
        d_model=9,
        num_heads=3,
        num_kv_heads=3,
        head_dim=3,
        d_ff=8,
    )
    model = random_model(config)
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    ids = random_ids(config, rows=1, length=5)
    expected = Reference(config, weights).logits(ids[0].tolist())
    np.testing.assert_allclose(model(ids)[0].numpy(), expected, rtol=0, atol=1e-5)
