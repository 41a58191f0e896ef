"""The scaling of RoPE through GGUF: the factors of llama.cpp's converter, and back."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.model.helpers import small_config
from tfcli.errors import DataError
from tfcli.exchange.gguf_rope import from_rope_factors, to_rope_factors
from tfcli.model.config import ModelConfig, RopeScaling
from tfcli.model.rope import scaled

LLAMA_32 = RopeScaling(
    kind="llama3", factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0, original_context=8192
)


def llama(head_dim: int, theta: float, scaling: RopeScaling | None) -> ModelConfig:
    config = small_config("llama", head_dim=head_dim)
    return replace(config, rope_theta=theta, rope_scaling=scaling)


def factors_of_the_converter(head_dim: int, theta: float, scaling: RopeScaling) -> list[float]:
    """As in llama.cpp's convert_hf_to_gguf.py."""
    assert scaling.low_freq_factor and scaling.high_freq_factor and scaling.original_context
    low, high, context = (
        scaling.low_freq_factor, scaling.high_freq_factor, scaling.original_context
    )  # fmt: skip
    factors = []
    for i in range(0, head_dim, 2):
        wavelength = 2 * math.pi * theta ** (i / head_dim)
        if wavelength < context / high:
            factors.append(1.0)
        elif wavelength > context / low:
            factors.append(scaling.factor)
        else:
            smooth = (context / wavelength - low) / (high - low)
            factors.append(1 / ((1 - smooth) / scaling.factor + smooth))
    return factors


@pytest.mark.parametrize(("head_dim", "theta"), [(64, 500_000.0), (128, 500_000.0), (32, 1e4)])
def test_factors_equal_the_converter_and_give_the_scaling_again(
    head_dim: int, theta: float
) -> None:
    factors = to_rope_factors(llama(head_dim, theta, LLAMA_32))
    assert factors is not None
    np.testing.assert_allclose(
        factors, factors_of_the_converter(head_dim, theta, LLAMA_32), rtol=1e-6
    )
    assert from_rope_factors(factors, theta) == LLAMA_32


@given(
    factor=st.sampled_from([2.0, 8.0, 32.0]),
    low=st.sampled_from([0.5, 1.0, 2.0]),
    width=st.sampled_from([1.5, 3.0]),
    context=st.sampled_from([2048, 8192, 16384]),
    head_dim=st.sampled_from([64, 128]),
)
@settings(deadline=None)
def test_other_numbers_give_the_same_frequencies(
    factor: float, low: float, width: float, context: int, head_dim: int
) -> None:
    scaling = RopeScaling(
        kind="llama3", factor=factor, low_freq_factor=low, high_freq_factor=low + width,
        original_context=context,
    )  # fmt: skip
    factors = to_rope_factors(llama(head_dim, 500_000.0, scaling))
    assert factors is not None
    assume(((factors > 1) & (factors < factor)).sum() > 1)
    found = from_rope_factors(factors, 500_000.0)
    assert found is not None
    frequencies = 500_000.0 ** -(np.arange(0, head_dim, 2) / head_dim)
    np.testing.assert_allclose(scaled(frequencies, found), scaled(frequencies, scaling), rtol=1e-3)


def test_other_tensors() -> None:
    assert from_rope_factors(np.ones(8, np.float32), 1e4) is None
    assert from_rope_factors(np.full(8, 4, np.float32), 1e4) == RopeScaling(
        kind="linear", factor=4.0
    )
    for strange in ([1, 9, 2, 5], [1, 1, np.nan, 4], [0.5, 1, 2, 4], [0, 0, 0, 0]):
        with pytest.raises(DataError, match="RoPE"):
            from_rope_factors(np.array(strange, np.float32), 1e4)
