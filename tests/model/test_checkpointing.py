"""Checkpointed blocks and a chunked head: the loss and gradients of the plain ones."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.model.helpers import CONFIGS, random_ids
from tfcli.model import cost
from tfcli.model.chunked_loss import chunked_cross_entropy
from tfcli.model.config import ModelConfig
from tfcli.model.kernels import cross_entropy
from tfcli.model.transformer import Transformer

DTYPES = [torch.float32, torch.bfloat16]


def loss_and_gradients(
    config: ModelConfig,
    *,
    checkpointing: bool,
    dtype: torch.dtype,
    dropout: float = 0.0,
    weighted: bool = False,
) -> tuple[Tensor, dict[str, Tensor]]:
    model = Transformer(config, dropout, dtype, checkpointing=checkpointing)
    model.init_weights(3)
    noise = torch.Generator().manual_seed(5)
    with torch.no_grad():  # the blocks pass their input on unchanged at first
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=noise), alpha=0.02)
    ids = random_ids(config, rows=2, length=config.context_length)
    targets = random_ids(config, rows=2, length=config.context_length)
    targets[:, :2] = -1
    mask = model.draw_dropout(range(2), (1,))
    weights = torch.rand(targets.shape, generator=noise) if weighted else None
    loss = model.loss(ids, targets, mask, weights=weights) / 7
    torch.autograd.backward(loss)
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert len(gradients) == len(list(model.parameters()))
    return loss.detach(), gradients


@pytest.mark.parametrize("dropout", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CONFIGS)
def test_checkpointing_changes_neither_loss_nor_gradients(
    name: str, dtype: torch.dtype, weighted: bool, dropout: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "CHUNK_LOGITS", 1)
    monkeypatch.setattr(cost, "MIN_CHUNK", 5)  # which does not divide the number of positions
    config = CONFIGS[name]
    loss, gradients = loss_and_gradients(
        config, checkpointing=False, dtype=dtype, dropout=dropout, weighted=weighted
    )
    same, others = loss_and_gradients(
        config, checkpointing=True, dtype=dtype, dropout=dropout, weighted=weighted
    )
    torch.testing.assert_close(same, loss, rtol=1e-5, atol=0)
    tolerance = 1e-5 if dtype == torch.float32 else 0.1
    whole = torch.stack([gradient.norm() for gradient in gradients.values()]).norm()
    for parameter, gradient in gradients.items():  # that of a bias of keys is zero but for rounding
        off = (others[parameter] - gradient).norm() / (gradient.norm() + 0.01 * whole)
        assert off < tolerance, parameter


def test_chunked_loss_equals_that_of_all_logits() -> None:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(300, 8, generator=random, requires_grad=True)
    table = torch.randn(1000, 8, generator=random, requires_grad=True)
    targets = torch.randint(1000, (300,), generator=random)
    targets[7] = -1
    plain = cross_entropy(x @ table.T, targets, -1)
    expected = torch.autograd.grad(plain, (x, table), torch.tensor(0.3))
    chunked = chunked_cross_entropy(x, table, targets, -1)
    found = torch.autograd.grad(chunked, (x, table), torch.tensor(0.3))
    torch.testing.assert_close(chunked, plain)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)
