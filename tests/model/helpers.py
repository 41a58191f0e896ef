"""Small configurations and models with random weights."""

from __future__ import annotations

import torch
from hypothesis import strategies as st

from tfcli.model.config import Family, ModelConfig, RopeScaling
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
    output_bias: bool = False,
    rope_scaling: RopeScaling | None = None,
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
        output_bias=output_bias,
        rope_scaling=rope_scaling,
    )


# With fast, slow and middle pairs within a head of ten.
LLAMA3 = RopeScaling(
    kind="llama3", factor=4.0, low_freq_factor=0.5, high_freq_factor=2.0, original_context=20
)
LINEAR = RopeScaling(kind="linear", factor=2.5)
DYNAMIC = RopeScaling(kind="dynamic", factor=2.0)

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
    "llama, attention bias": small_config("llama", qkv_bias=True, output_bias=True),
    "llama, llama3 RoPE": small_config("llama", head_dim=10, rope_scaling=LLAMA3),
    "llama, dynamic RoPE": small_config("llama", rope_scaling=DYNAMIC),
    "modern, linear RoPE": small_config(rope_scaling=LINEAR),
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
    window = draw(st.none() | st.integers(1, 24)) if rotary else None
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
        sliding_window=window,
        qkv_bias=(qkv_bias := draw(st.booleans()) and family == "llama"),
        output_bias=qkv_bias and not window and draw(st.booleans()),
        rope_scaling=draw(st.sampled_from([None, LLAMA3, LINEAR, DYNAMIC])) if rotary else None,
    )
