"""Small configurations and models with random weights."""

from __future__ import annotations

import torch
from hypothesis import strategies as st

from tfcli.model.config import Family, ModelConfig
from tfcli.model.transformer import Transformer

FAMILIES: tuple[Family, ...] = ("modern", "llama", "gpt2", "classic")
NORM_EPSILON: dict[Family, float] = {
    "modern": 1e-6, "llama": 1e-6, "gpt2": 1e-5, "classic": 1e-5
}  # fmt: skip


def small_config(
    family: Family = "modern",
    *,
    num_kv_heads: int | None = None,
    head_dim: int = 4,
    tied_head: bool = True,
    sliding_window: int | None = None,
    qkv_bias: bool = False,
) -> ModelConfig:
    """Two layers, three heads, eleven tokens: small, with sizes that differ."""
    return ModelConfig(
        family=family,
        vocab_size=11,
        context_length=16,
        num_layers=2,
        d_model=12,
        num_heads=3,
        num_kv_heads=num_kv_heads or 3,
        head_dim=head_dim,
        d_ff=20,
        tied_head=tied_head,
        norm_epsilon=NORM_EPSILON[family],
        sliding_window=sliding_window,
        qkv_bias=qkv_bias,
    )


# One of each family, and the variants that only families with RoPE have.
CONFIGS: dict[str, ModelConfig] = {
    "modern": small_config(),
    "modern, untied head": small_config(tied_head=False),
    "modern, grouped queries": small_config(num_kv_heads=1),
    "modern, wide heads": small_config(head_dim=10),
    "modern, sliding window": small_config(sliding_window=5),
    "llama": small_config("llama"),
    "llama, sliding window": small_config("llama", num_kv_heads=1, sliding_window=3),
    "llama, q, k, v bias": small_config("llama", num_kv_heads=1, qkv_bias=True),
    "gpt2": small_config("gpt2"),
    "classic": small_config("classic"),
}


def random_model(
    config: ModelConfig, seed: int = 0, dtype: torch.dtype = torch.float64
) -> Transformer:
    """A model in eval mode with every weight random, norms and biases included."""
    model = Transformer(config).to(dtype)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.3, 0.4, generator=generator)
    return model.eval()


def random_ids(config: ModelConfig, rows: int, length: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(config.vocab_size, (rows, length), generator=generator)


@st.composite
def configs(draw: st.DrawFn) -> ModelConfig:
    """Any small valid configuration."""
    family = draw(st.sampled_from(FAMILIES))
    rotary = family in {"modern", "llama"}
    small = st.integers(1, 4)
    num_kv_heads = draw(small)
    head_dim = 2 * draw(small) if rotary else draw(st.integers(1, 8))
    num_heads = num_kv_heads * (draw(small) if rotary else 1)
    return ModelConfig(
        family=family,
        vocab_size=draw(st.integers(1, 50)),
        context_length=draw(st.integers(1, 20)),
        num_layers=draw(small),
        d_model=draw(st.integers(1, 16)) if rotary else num_heads * head_dim,
        num_heads=num_heads,
        num_kv_heads=num_kv_heads,
        head_dim=head_dim,
        d_ff=draw(st.integers(1, 20)),
        tied_head=draw(st.booleans()) if rotary else True,
        sliding_window=draw(st.none() | st.integers(1, 24)) if rotary else None,
        qkv_bias=draw(st.booleans()) if family == "llama" else False,
    )
