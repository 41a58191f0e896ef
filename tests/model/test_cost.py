"""The computed cost of a config is that of a real model."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tfcli.model.config import Family, ModelConfig, Size, named_config
from tfcli.model.cost import (
    count_parameters,
    forward_flops_per_token,
    training_bytes,
    training_flops_per_token,
)
from tfcli.model.transformer import Transformer

from .helpers import CONFIGS, configs, random_ids

# --- parameters ---------------------------------------------------------------------------------


@given(config=configs())
@settings(max_examples=60, deadline=None)
def test_parameter_count_is_that_of_the_model(config: ModelConfig) -> None:
    model = Transformer(config)
    assert count_parameters(config) == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(("size", "published"), [("base", 124_439_808), ("large", 354_823_168)])
def test_gpt2_small_and_medium_have_the_published_size(size: Size, published: int) -> None:
    config = named_config(size, vocab_size=50257, context_length=1024, family="gpt2")
    assert count_parameters(config) == published


def test_qwen3_of_0_6_billion_has_the_published_size() -> None:
    config = ModelConfig(
        vocab_size=151_936,
        context_length=40_960,
        num_layers=28,
        d_model=1024,
        num_heads=16,
        num_kv_heads=8,
        head_dim=128,
        d_ff=3072,
    )
    assert count_parameters(config) == 596_049_920


# --- operations ---------------------------------------------------------------------------------


def counted_flops(config: ModelConfig, length: int, *, backward: bool = False) -> int:
    """What PyTorch counts while a model of that shape reads `length` tokens.

    Its attention computes all scores, those of later positions too, before it masks them.
    """
    model = Transformer(config)
    ids = random_ids(config, rows=1, length=length)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        loss = model.loss(ids, ids)
        if backward:
            torch.autograd.backward(loss)
    return int(counter.get_total_flops())


@given(config=configs())
@settings(max_examples=20, deadline=None)
def test_forward_flops_are_those_that_pytorch_counts(config: ModelConfig) -> None:
    length = config.context_length
    expected = counted_flops(config, length)
    assert forward_flops_per_token(config, length) * length == expected


@pytest.mark.parametrize("name", CONFIGS)
def test_half_of_the_context_is_attended_to_by_default(name: str) -> None:
    config = CONFIGS[name]
    half = config.context_length // 2
    assert forward_flops_per_token(config) == forward_flops_per_token(config, half)


def test_average_over_a_row_is_about_the_default() -> None:
    config = replace(CONFIGS["modern"], context_length=512)
    per_position = [forward_flops_per_token(config, seen) for seen in range(1, 513)]
    average = sum(per_position) / 512
    assert forward_flops_per_token(config) == pytest.approx(average, rel=0.01)


@pytest.mark.parametrize("name", CONFIGS)
def test_backward_costs_twice_the_forward_pass(name: str) -> None:
    """Against PyTorch's count, with all scores computed; the first layer needs no less."""
    config = CONFIGS[name]
    forward = counted_flops(config, config.context_length)
    both = counted_flops(config, config.context_length, backward=True)
    assert training_flops_per_token(config) / forward_flops_per_token(config) == pytest.approx(
        both / forward, rel=0.01
    )


# --- memory -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONFIGS)
def test_weights_gradients_and_moments_take_what_adamw_holds(name: str) -> None:
    model = Transformer(CONFIGS[name])
    model.init_weights(0)
    optimizer = torch.optim.AdamW(model.parameters())
    ids = random_ids(CONFIGS[name], rows=1, length=4)
    torch.autograd.backward(model.loss(ids, ids))
    optimizer.step()
    held = [tensor for p in model.parameters() for tensor in (p, p.grad) if tensor is not None]
    for state in optimizer.state.values():
        held += [tensor for tensor in state.values() if tensor.ndim > 0]
    assert training_bytes(CONFIGS[name], batch_tokens=0) == sum(t.nbytes for t in held)


def saved_for_backward(model: Transformer, config: ModelConfig, rows: int) -> int:
    """The bytes that autograd keeps of one batch, weights apart, and each tensor once."""
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    dropout_mask: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            dropout_mask[storage.data_ptr()] = storage.nbytes()
        return tensor

    ids = random_ids(config, rows=rows, length=config.context_length)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.loss(ids, ids)
    return sum(dropout_mask.values())


@pytest.mark.parametrize("family", ["modern", "llama", "gpt2", "classic"])
@pytest.mark.parametrize("vocab_size", [300, 4000])
def test_activations_are_roughly_what_autograd_keeps(family: Family, vocab_size: int) -> None:
    config = named_config("nano", vocab_size=vocab_size, context_length=64, family=family)
    model = Transformer(config)
    model.init_weights(0)
    dropout_mask = saved_for_backward(model, config, rows=2)
    said = training_bytes(config, batch_tokens=128) - training_bytes(config, batch_tokens=0)
    assert dropout_mask / 2 <= said <= 3 * dropout_mask


@given(config=configs(), tokens=st.integers(0, 10**6))
def test_memory_grows_with_the_batch(config: ModelConfig, tokens: int) -> None:
    assert training_bytes(config, tokens) < training_bytes(config, tokens + 1)
