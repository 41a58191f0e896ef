"""The CPU kernels against torch's own."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from tfcli.model.kernels import draw_dropout_mask, dropout, rms_norm


def inputs(shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    x, gradient = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    weight = torch.rand(shape[-1], generator=generator, dtype=torch.float64) + 0.5
    x = (3 * x + 1).to(dtype)  # with a mean, which LayerNorm would subtract
    return x.requires_grad_(), weight.requires_grad_(), gradient.to(dtype)


@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 40), st.integers(0, 99))
def test_values_and_gradients_equal_torch(rows: int, heads: int, width: int, seed: int) -> None:
    x, weight, gradient = inputs((rows, heads, width), torch.float64, seed)
    expected = F.rms_norm(x, (width,), weight, 1e-6)
    expected_gradient = torch.autograd.grad(expected, (x, weight), gradient)
    result = rms_norm(x, weight, 1e-6)
    torch.testing.assert_close(result, expected)
    torch.testing.assert_close(
        torch.autograd.grad(result, (x, weight), gradient), expected_gradient
    )


def test_slices_of_a_tensor_are_normalized() -> None:
    x, weight, gradient = inputs((4, 6, 16), torch.float64, 1)
    part = x[:, 2:5]
    expected_gradient = torch.autograd.grad(
        F.rms_norm(part, (16,), weight, 1e-6), x, gradient[:, 2:5]
    )
    actual_gradient = torch.autograd.grad(rms_norm(part, weight, 1e-6), x, gradient[:, 2:5])
    torch.testing.assert_close(actual_gradient, expected_gradient)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    x, weight, gradient = inputs((64, 128), dtype, 2)
    weight = weight.detach().float().requires_grad_()
    exact = x.detach().double().requires_grad_()
    expected = F.rms_norm(exact, (128,), weight.double(), 1e-6)
    expected_gradient = torch.autograd.grad(expected, exact, gradient.double())[0]
    result = rms_norm(x, weight, 1e-6)
    assert result.dtype == dtype
    tolerance = 2 * torch.finfo(dtype).eps
    torch.testing.assert_close(result.double(), expected, rtol=tolerance, atol=tolerance)
    actual_gradient = torch.autograd.grad(result, x, gradient)[0]
    torch.testing.assert_close(
        actual_gradient.double(), expected_gradient, rtol=4 * tolerance, atol=4 * tolerance
    )


# --- dropout ------------------------------------------------------------------------------------


@given(st.floats(0.01, 0.95), st.integers(0, 99))
def test_dropout_zeroes_its_share_and_keeps_the_mean(share: float, seed: int) -> None:
    x = torch.ones(20_000, requires_grad=True)
    y = dropout(x, share, True, draw_dropout_mask((20_000,), share, [seed]))
    dropped = float((y == 0).float().mean())
    assert dropped == pytest.approx(share, abs=0.02)  # six sigmas, and half of 1/256
    kept = y.detach()[y.detach() != 0]
    assert (kept == kept[0]).all()
    assert float(kept[0]) == pytest.approx(1 / (1 - round(256 * share) / 256))
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(gradient, y.detach())  # the same zeros, the same factor


def test_dropout_mask_depends_on_the_seed_alone_and_is_uniform() -> None:
    one, other = (
        draw_dropout_mask((64, 1001), 0.5, [1, 2]),
        draw_dropout_mask((64, 1001), 0.5, [1, 3]),
    )
    assert torch.equal(one, draw_dropout_mask((64, 1001), 0.5, [1, 2]))
    assert float((one != other).float().mean()) == pytest.approx(0.5, abs=0.02)
    shares = one.float().mean(dim=0)  # no column is preferred, so no byte of a word
    assert 0.2 < float(shares.min()) < float(shares.max()) < 0.8
    assert one.float()[:, :1000].view(64, 125, 8).mean(dim=(0, 1)).tolist() == pytest.approx(
        [0.5] * 8, abs=0.04
    )


def test_dropout_is_off_outside_training() -> None:
    x = torch.randn(5)
    assert torch.equal(dropout(x, 0.5, False, draw_dropout_mask((5,), 0.5, [1])), x)
    assert torch.equal(dropout(x, 0.5, False), x)
