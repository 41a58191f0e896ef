"""Muon against SVD and a plain loop, AdamW against torch; both through saving and loading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.model.helpers import random_ids, small_config
from tfcli.model.native import library
from tfcli.model.transformer import Transformer
from tfcli.training.optimizers import (
    AdamW,
    Muon,
    Optimizer,
    OptimizerConfig,
    orthogonalize,
    orthogonalize_blocks,
)


def arrays_of(optimizer: Optimizer) -> dict[str, np.ndarray[Any, Any]]:
    return {name: np.asarray(tensor) for name, tensor in optimizer.state().items()}


@settings(max_examples=30)
@given(st.integers(1, 24), st.integers(1, 24), st.integers(0, 10**6))
def test_orthogonalize_brings_singular_values_close_to_one(
    rows: int, columns: int, seed: int
) -> None:
    matrix = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    result = orthogonalize(matrix)
    # the same singular vectors, with values from the interval that the quintic maps into;
    # values below a hundredth of the largest need more than five iterations
    lengths = (left.mT @ result @ right.mT).diagonal()
    assert (lengths < 1.3).all()
    assert (lengths[values > 0.02 * matrix.norm()] > 0.6).all()


def test_orthogonalize_treats_batched_matrices_independently() -> None:
    matrices = torch.randn(3, 8, 5, generator=torch.Generator().manual_seed(0))
    together = orthogonalize(matrices)
    for one, matrix in zip(together, matrices, strict=True):
        torch.testing.assert_close(one, orthogonalize(matrix))


@pytest.mark.parametrize(
    ("shape", "block"),
    [
        ((64, 64), 64), ((128, 128), 64), ((512, 192), 64), ((192, 512), 64), ((352, 128), 44),
        ((30, 20), 30), ((131, 64), 131),  # too few rows, or not divisible: one block
    ],
)  # fmt: skip
def test_blocks_along_the_longer_side_are_orthogonalized_separately(
    shape: tuple[int, int], block: int
) -> None:
    matrices = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    for matrix, result in zip(matrices, orthogonalize_blocks(matrices), strict=True):
        wide = shape[1] > shape[0]
        rows = matrix.T if wide else matrix
        expected = torch.cat(
            [orthogonalize(rows[i : i + block]) for i in range(0, len(rows), block)]
        )
        expected = expected.T if wide else expected
        # the norm of a matrix with rows of length 1, up to the error of the quintic
        assert result.norm() == pytest.approx(shape[0] ** 0.5, rel=0.2)
        torch.testing.assert_close(result / result.norm(), expected / expected.norm())


def test_single_block_equals_plain_muon() -> None:
    for shape in ((48, 32), (32, 48), (40, 40)):
        matrix = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))
        scale = max(1.0, shape[0] / shape[1]) ** 0.5
        torch.testing.assert_close(orthogonalize_blocks(matrix), scale * orthogonalize(matrix))


SHAPES = {
    "a": (6, 4), "b": (4, 6), "c": (6, 4), "tall": (192, 70), "wide": (37, 130), "high": (131, 8),
    "of tiles": (128, 64), "of tiles, wide": (96, 192),
}  # fmt: skip


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_muon_follows_its_formula(
    native: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not native:
        monkeypatch.setattr(library, "FOLDER", Path("/nowhere"))
    random = torch.Generator().manual_seed(1)
    start = {name: torch.randn(shape, generator=random) for name, shape in SHAPES.items()}
    parameters = {name: nn.Parameter(value.clone()) for name, value in start.items()}
    muon = Muon(parameters, momentum=0.9, dtype=dtype)
    expected = {name: value.clone() for name, value in start.items()}
    momentum = {name: torch.zeros_like(value) for name, value in start.items()}
    for _ in range(3):
        for name, parameter in parameters.items():
            parameter.grad = torch.randn(parameter.shape, generator=random)
            gradient = parameter.grad.clone()
            momentum[name] = 0.9 * momentum[name] + 0.1 * gradient
            update = orthogonalize_blocks((0.1 * gradient + 0.9 * momentum[name])[None])[0]
            expected[name] = expected[name] * (1 - 0.02 * 0.1) - 0.02 * update
        muon.step(0.02, 0.1)
    tolerance = 1e-6 if dtype == torch.float32 else 4e-3  # of 3 steps of 0.02, with 8 bits
    for name, parameter in parameters.items():
        torch.testing.assert_close(parameter.detach(), expected[name], atol=tolerance, rtol=1e-6)


def test_muon_makes_the_same_bits_with_any_number_of_threads() -> None:
    kernels = library.load_library()
    if kernels is None or not kernels.muon_memory(64, 64):
        pytest.skip("torch's products, which do not promise it")
    threads = torch.get_num_threads()
    found = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            random = torch.Generator().manual_seed(1)
            parameters = {
                n: nn.Parameter(torch.randn(s, generator=random)) for n, s in SHAPES.items()
            }
            for parameter in parameters.values():
                parameter.grad = torch.randn(parameter.shape, generator=random)
            Muon(parameters, momentum=0.9, dtype=torch.bfloat16).step(0.02, 0.1)
            tiles = [parameters[name].detach().clone() for name in SHAPES if "tiles" in name]
            found.append(tiles)
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(torch.equal(one, two) for one, two in zip(found[0], other, strict=True))


def test_adamw_equals_torch() -> None:
    random = torch.Generator().manual_seed(1)
    shapes = {"table": (5, 4), "vector": (7,), "number": ()}
    ours = {n: nn.Parameter(torch.randn(s, generator=random)) for n, s in shapes.items()}
    theirs = {n: nn.Parameter(p.detach().clone()) for n, p in ours.items()}
    adamw = AdamW(ours, betas=(0.9, 0.95))
    reference = torch.optim.AdamW(theirs.values(), lr=0.01, betas=(0.9, 0.95), weight_decay=0.1)
    for _ in range(5):
        for name, parameter in ours.items():
            parameter.grad = torch.randn(parameter.shape, generator=random)
            theirs[name].grad = parameter.grad.clone()
        adamw.step(0.01, 0.1)
        reference.step()
    for name, parameter in ours.items():
        torch.testing.assert_close(parameter, theirs[name])


def loss(model: Transformer, seed: int) -> torch.Tensor:
    logits: torch.Tensor = model(random_ids(model.config, rows=2, length=5, seed=seed))
    return logits.square().sum()


def trained(steps: int) -> tuple[Transformer, Optimizer]:
    """A small model with tables, matrices and vectors, and its optimizer, after N steps."""
    model = Transformer(small_config("gpt2"))
    model.init_weights(3)
    optimizer = Optimizer(model, OptimizerConfig())
    for step in range(steps):
        torch.autograd.backward(loss(model, step))
        optimizer.step(1.0)
    return model, optimizer


def test_saved_state_resumes_to_the_same_bits() -> None:
    model, optimizer = trained(3)
    other, resumed = trained(0)
    other.load_state_dict(model.state_dict())
    resumed.load_state(arrays_of(optimizer))
    for some, its in ((model, optimizer), (other, resumed)):
        torch.autograd.backward(loss(some, 9))
        its.step(0.5)
    for one, another in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, another)
    assert arrays_of(optimizer).keys() == arrays_of(resumed).keys()
    for name, array in arrays_of(optimizer).items():
        assert np.array_equal(array, arrays_of(resumed)[name])


def test_state_before_the_first_step_can_be_loaded() -> None:
    _, optimizer = trained(0)
    _, other = trained(2)
    other.load_state(arrays_of(optimizer))


@pytest.mark.parametrize("damage", ["missing", "shape"])
def test_state_of_another_model_is_refused(damage: str) -> None:
    _, optimizer = trained(2)
    state = arrays_of(optimizer)
    if damage == "missing":
        del state["tables/mean/embedding.weight"]
    else:
        state["matrices/momentum/blocks.0.attention.key.weight"] = np.zeros((2, 2), np.float32)
    _, other = trained(0)
    with pytest.raises(ValueError, match="has no"):
        other.load_state(state)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_non_finite_gradient_changes_nothing(bad: float) -> None:
    model, optimizer = trained(2)
    before = [p.detach().clone() for p in model.parameters()]
    state = {name: array.copy() for name, array in arrays_of(optimizer).items()}
    torch.autograd.backward(loss(model, 5))
    assert model.embedding.weight.grad is not None
    model.embedding.weight.grad[0] = bad
    norm = optimizer.step(1.0)
    assert not np.isfinite(norm)
    for parameter, old in zip(model.parameters(), before, strict=True):
        assert torch.equal(parameter, old)
    for name, array in arrays_of(optimizer).items():
        assert np.array_equal(array, state[name])


def test_gradients_are_clipped_to_the_configured_norm() -> None:
    model, optimizer = trained(0)
    torch.autograd.backward(loss(model, 1) * 1e6)
    assert optimizer.step(1.0) > 1e3
    first_moment = arrays_of(optimizer)["tables/mean/embedding.weight"]
    assert np.linalg.norm(first_moment) <= (1 - 0.9) * 1.0 + 1e-6
