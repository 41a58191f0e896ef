"""Names and shapes of tensors in other formats, against transformers and gguf."""

from __future__ import annotations

from typing import Any

import gguf
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.model.helpers import CONFIGS, configs
from tests.training.helpers import SPECIAL
from tfcli.exchange.architectures import LLAMA, architecture_of, from_config_json, to_config_json
from tfcli.exchange.stored_tensors import Format, stored_tensors
from tfcli.model.config import ModelConfig
from tfcli.model.parameters import parameters

exportable = configs().filter(lambda config: config.family != "classic")


def state_dict_of_transformers(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """The shapes of the transformers model of our `config.json`, tied weights once."""
    import transformers

    described = to_config_json(config, SPECIAL)
    described |= {"bos_token_id": None, "eos_token_id": None}  # beyond so small a vocabulary
    kind = getattr(transformers, architecture_of(config).name)
    with torch.device("meta"):
        model: Any = kind(kind.config_class(**described))
    shapes = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    if config.tied_head:
        del shapes["lm_head.weight"]
    return shapes


@given(config=exportable)
@settings(max_examples=40, deadline=None)
def test_huggingface_tensors_equal_transformers(config: ModelConfig) -> None:
    if architecture_of(config) is LLAMA:
        assume(config.d_model % config.num_heads == 0)  # LlamaConfig wants it, without need
    if config.rope_scaling and config.rope_scaling.kind == "dynamic":
        assume(config.head_dim > 2)  # transformers divides by head_dim - 2
    found = {tensor.name: tensor.shape for tensor in stored_tensors(config, "huggingface")}
    assert found == state_dict_of_transformers(config)


@given(config=exportable)
@settings(deadline=None)
def test_gguf_names_equal_the_gguf_package(config: ModelConfig) -> None:
    kind = next(
        number
        for number, name in gguf.MODEL_ARCH_NAMES.items()
        if name == architecture_of(config).gguf
    )
    names = gguf.get_tensor_name_map(kind, config.num_layers)
    for parameter in parameters(config):
        assert parameter.huggingface is not None
        assert parameter.gguf is not None
        expected = names.get_name(parameter.huggingface.name, try_suffixes=(".weight", ".bias"))
        assert parameter.gguf.name == expected


@pytest.mark.parametrize("format", ["huggingface", "gguf"])
@given(config=exportable, seed=st.integers(0, 100))
@settings(deadline=None)
def test_weights_round_trip_through_each_format(
    format: Format, config: ModelConfig, seed: int
) -> None:
    random = np.random.default_rng(seed)
    ours = {row.name: random.random(row.shape, np.float32) for row in parameters(config)}
    back: dict[str, Any] = {}
    for tensor in stored_tensors(config, format):
        stored = tensor.to_stored(ours.__getitem__)
        assert stored.shape == tensor.shape
        back |= tensor.from_stored(stored)
    assert back.keys() == ours.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(back[name], array)


@given(config=exportable)
@settings(deadline=None)
def test_config_json_round_trip(config: ModelConfig) -> None:
    value = to_config_json(config, SPECIAL)
    assert from_config_json(value) == config


def test_classic_has_no_other_format() -> None:
    for parameter in parameters(CONFIGS["classic"]):
        assert parameter.huggingface is parameter.gguf is None


def test_new_bias_is_exported_and_imported() -> None:
    """A q, k, v bias added to the table gets Qwen2's names, without a change in `exchange`."""
    config = CONFIGS["llama, q, k, v bias"]
    names = {tensor.name for tensor in stored_tensors(config, "huggingface")}
    assert {f"model.layers.1.self_attn.{part}_proj.bias" for part in "qkv"} < names
    assert "model.layers.1.self_attn.o_proj.bias" not in names
    names = {tensor.name for tensor in stored_tensors(config, "gguf")}
    assert {f"blk.1.attn_{part}.bias" for part in "qkv"} < names
