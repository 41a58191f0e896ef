"""The recorded pass of a small model on a GPU: the same loss and gradients as without it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tfcli.model.config import named_config
from tfcli.model.transformer import Transformer
from tfcli.runtime.device import seed_device
from tfcli.training.cuda_graph import record_loss

CONFIG = named_config("nano", vocab_size=300, context_length=64, num_layers=2, d_model=64)
ROWS, CONTEXT = 8, 64


def build(device: str, **options: Any) -> Transformer:
    model = Transformer(CONFIG, dropout=0.1, **options)
    model.init_weights(0)
    return model.to(device).train()


def arguments(device: str, seed: int, rows: int = ROWS) -> dict[str, Any]:
    drawn = torch.Generator().manual_seed(seed)
    ids, targets = torch.randint(300, (2, rows, CONTEXT), generator=drawn).to(device)
    return {"ids": ids, "targets": targets, "segments": None, "causal": True}


def gradients(model: Transformer) -> list[Tensor]:
    return [
        parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None
    ]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_recorded_passes_equal_those_run_one_by_one() -> None:
    model, device = build("cuda"), torch.device("cuda")
    graph = record_loss(model, model.loss, arguments("cuda", 0))
    assert graph is not None
    for seed in (1, 2):  # other rows, another dropout
        seed_device(device, seed)
        recorded = graph.backward(arguments("cuda", seed), 1 / 512).item()
        replayed = gradients(model)
        model.zero_grad()
        seed_device(device, seed)
        loss = model.loss(**arguments("cuda", seed)) / 512
        loss.backward()  # type: ignore[no-untyped-call]
        assert recorded == pytest.approx(loss.item(), rel=1e-5)
        for ours, plain in zip(replayed, gradients(model), strict=True):
            torch.testing.assert_close(ours, plain, rtol=1e-3, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_batches_of_another_form_do_not_fit_the_recording() -> None:
    model = build("cuda")
    graph = record_loss(model, model.loss, arguments("cuda", 0))
    assert graph is not None
    assert graph.fits(arguments("cuda", 1))
    assert not graph.fits(arguments("cuda", 1, rows=ROWS - 1))
    assert not graph.fits(arguments("cuda", 1) | {"causal": False})
    assert not graph.fits(arguments("cuda", 1) | {"segments": arguments("cuda", 1)["ids"]})


def test_nothing_is_recorded_without_a_gpu_or_with_gradient_checkpointing(device: str) -> None:
    kinds = [{"checkpointing": True}] + ([{}] if device == "cpu" else [])
    for options in kinds:
        model = build(device, **options)
        assert record_loss(model, model.loss, arguments(device, 0)) is None
