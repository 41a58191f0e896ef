"""The table of parameters against the torch model, and what is derived from the table."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from torch import nn

from tfcli.errors import DamagedError
from tfcli.model.config import ModelConfig
from tfcli.model.cost import count_parameters, forward_flops_per_token
from tfcli.model.parameters import check_shapes, parameters
from tfcli.model.transformer import Transformer
from tfcli.training.optimizers import Optimizer, OptimizerConfig

from .helpers import CONFIGS, configs, small_config

every_config = pytest.mark.parametrize("name", CONFIGS)


@given(config=configs())
@settings(deadline=None)
def test_names_shapes_and_order_match_the_model(config: ModelConfig) -> None:
    expected = [(name, tuple(p.shape)) for name, p in Transformer(config).named_parameters()]
    assert [(row.name, row.shape) for row in parameters(config)] == expected


@given(config=configs())
@settings(deadline=None)
def test_role_is_decided_by_the_kind_of_module(config: ModelConfig) -> None:
    roles = {row.name: row.role for row in parameters(config)}
    expected = {}
    for name, module in Transformer(config).named_modules():
        for kind, _ in module.named_parameters(recurse=False):
            role = "vector"
            if kind == "weight" and (isinstance(module, nn.Embedding) or name == "head"):
                role = "table"
            elif kind == "weight" and isinstance(module, nn.Linear):
                role = "matrix"
            expected[f"{name}.{kind}"] = role
    assert roles == expected


def initial_weights_of_0_1_0(config: ModelConfig, seed: int) -> dict[str, torch.Tensor]:
    """As the first release drew them, which guessed a weight's role from its name."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, parameter in Transformer(config).named_parameters():
        if name.endswith(("attention.output.weight", "feed_forward.down.weight", "bias")):
            weights[name] = torch.zeros(parameter.shape)
        elif "norm" in name:
            weights[name] = torch.ones(parameter.shape)
        else:
            is_table = "embedding" in name or name == "head.weight"
            std = 0.02 if is_table else 1 / math.sqrt(parameter.shape[1])
            weights[name] = torch.empty(parameter.shape).normal_(0.0, std, generator=generator)
    return weights


@every_config
def test_initial_weights_equal_the_first_release_to_the_bit(name: str) -> None:
    config = replace(CONFIGS[name], num_layers=3, vocab_size=200)
    model = Transformer(config)
    model.init_weights(5)
    expected = initial_weights_of_0_1_0(config, 5)
    for weight_name, weight in model.named_parameters():
        assert torch.equal(weight, expected[weight_name]), weight_name


def test_new_bias_reaches_count_initialization_and_optimizer() -> None:
    """Only the table and the forward passes need to change."""
    plain = small_config("llama", num_kv_heads=1)
    config = replace(plain, qkv_bias=True)
    names = [row.name for row in parameters(plain)]
    biases = [row.name for row in parameters(config) if row.name not in names]
    assert biases == [
        f"blocks.{layer}.attention.{part}.bias"
        for layer in range(2)
        for part in ("query", "key", "value")
    ]
    assert count_parameters(config) - count_parameters(plain) == 2 * (3 + 1 + 1) * config.head_dim
    assert forward_flops_per_token(config) == forward_flops_per_token(plain)
    model = Transformer(config)
    weights = dict(model.named_parameters())
    nn.init.ones_(weights[biases[0]])
    model.init_weights(0)
    assert not any(weights[name].any() for name in biases)
    state = Optimizer(model, OptimizerConfig()).state()
    assert {f"vectors/mean/{name}" for name in biases} <= state.keys()


@pytest.mark.parametrize(
    "change",
    [
        lambda shapes: shapes | {"more": (1,)},
        lambda shapes: shapes | {"embedding.weight": (1, 2)},
        lambda shapes: {name: shapes[name] for name in shapes if name != "final_norm.weight"},
    ],
    ids=["one too many", "another shape", "one missing"],
)
def test_weights_of_another_model_are_refused(
    change: Callable[[dict[str, Any]], dict[str, Any]], tmp_path: Path
) -> None:
    config = CONFIGS["modern"]
    shapes = {row.name: row.shape for row in parameters(config)}
    check_shapes(config, shapes, tmp_path)
    with pytest.raises(DamagedError, match="does not match the model"):
        check_shapes(config, change(shapes), tmp_path)


@pytest.mark.parametrize("module", ["config", "parameters", "cost", "rope"])
def test_module_does_not_import_torch(module: str) -> None:
    code = f"import sys, tfcli.model.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
