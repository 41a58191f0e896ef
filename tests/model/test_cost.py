"""The computed cost of a configuration is the cost of a real model of that shape."""

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
    evaluation_bytes,
    evaluation_rows,
    forward_flops_per_token,
    parameters_by_part,
    step_bytes,
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


@given(config=configs())
@settings(max_examples=30, deadline=None)
def test_parts_of_a_model_have_the_parameters_of_its_modules(config: ModelConfig) -> None:
    model, parts = Transformer(config), parameters_by_part(config)
    sizes = {name: p.numel() for name, p in model.named_parameters()}
    norms = sum(size for name, size in sizes.items() if "norm" in name)
    attention = sum(size for name, size in sizes.items() if ".attention." in name)
    attention -= sum(size for name, size in sizes.items() if name.endswith("y_norm.weight"))
    assert parts["norms"] == norms
    assert parts["attention"] == attention
    assert parts["embedding"] == model.embedding.weight.numel()
    assert parts.get("head", 0) == sizes.get("head.weight", 0)
    assert sum(parts.values()) == sum(sizes.values())


@pytest.mark.parametrize(("size", "published"), [("base", 124_439_808), ("large", 354_823_168)])
def test_gpt2_small_and_medium_have_the_published_parameter_counts(
    size: Size, published: int
) -> None:
    config = named_config(size, vocab_size=50257, context_length=1024, family="gpt2")
    assert count_parameters(config) == published


def test_qwen3_0_6b_has_the_published_parameter_count() -> None:
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


# --- FLOPs --------------------------------------------------------------------------------------


def counted_flops(config: ModelConfig, length: int, *, backward: bool = False) -> int:
    """PyTorch's count while a model of that shape reads `length` tokens.

    Its attention computes all scores before it masks those of later positions.
    """
    model = Transformer(config).double()  # which our own kernels leave to PyTorch
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
def test_default_flops_attend_to_half_the_context(name: str) -> None:
    config = CONFIGS[name]
    half = config.context_length // 2
    assert forward_flops_per_token(config) == forward_flops_per_token(config, half)


def test_average_flops_over_a_row_are_close_to_the_default() -> None:
    config = replace(CONFIGS["modern"], context_length=512)
    per_position = [forward_flops_per_token(config, seen) for seen in range(1, 513)]
    average = sum(per_position) / 512
    assert forward_flops_per_token(config) == pytest.approx(average, rel=0.01)


@pytest.mark.parametrize("name", CONFIGS)
def test_training_flops_are_three_times_forward_flops(name: str) -> None:
    """Against PyTorch's count, which includes masked scores; the first layer is no exception."""
    config = CONFIGS[name]
    forward = counted_flops(config, config.context_length)
    both = counted_flops(config, config.context_length, backward=True)
    assert training_flops_per_token(config) / forward_flops_per_token(config) == pytest.approx(
        both / forward, rel=0.01
    )


# --- memory -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONFIGS)
def test_state_bytes_are_weights_gradients_and_adamw_moments(name: str) -> None:
    model = Transformer(CONFIGS[name])
    model.init_weights(0)
    optimizer = torch.optim.AdamW(model.parameters())
    ids = random_ids(CONFIGS[name], rows=1, length=4)
    torch.autograd.backward(model.loss(ids, ids))
    optimizer.step()
    held = [tensor for p in model.parameters() for tensor in (p, p.grad) if tensor is not None]
    for state in optimizer.state.values():
        held += [tensor for tensor in state.values() if tensor.ndim > 0]
    assert step_bytes(CONFIGS[name], batch_tokens=0) == sum(t.nbytes for t in held)


def saved_for_backward(model: Transformer, config: ModelConfig, rows: int) -> int:
    """The bytes that autograd keeps of one batch: each tensor once, without the weights."""
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
def test_activation_bytes_are_roughly_what_autograd_keeps(family: Family, vocab_size: int) -> None:
    config = named_config("nano", vocab_size=vocab_size, context_length=64, family=family)
    model = Transformer(config)
    model.init_weights(0)
    dropout_mask = saved_for_backward(model, config, rows=2)
    said = step_bytes(config, batch_tokens=128) - step_bytes(config, batch_tokens=0)
    assert dropout_mask / 2 <= said <= 3 * dropout_mask


@given(config=configs(), tokens=st.integers(0, 10**6))
def test_memory_grows_with_the_batch(config: ModelConfig, tokens: int) -> None:
    assert step_bytes(config, tokens) < step_bytes(config, tokens + 1)


def test_an_evaluation_counts_if_it_takes_more_than_a_step() -> None:
    config = replace(CONFIGS["modern"], vocab_size=32_768, context_length=1024)
    one_row = step_bytes(config, 1)
    assert training_bytes(config, 1) == step_bytes(config, 0) + evaluation_bytes(config) > one_row
    many_rows = step_bytes(config, 1 << 16)
    assert training_bytes(config, 1 << 16) == many_rows
    # the rows that are evaluated at once, and no more than they: see the loop's evaluation
    assert evaluation_rows(config) == 1
    assert evaluation_rows(CONFIGS["modern"]) == 32
