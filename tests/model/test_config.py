"""Every configuration either builds a model or says what is wrong with it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcli.errors import DataError, UsageError
from tfcli.model.config import SIZES, Family, ModelConfig, Size, named_config
from tfcli.model.transformer import Transformer

from .helpers import CONFIGS, FAMILIES, LINEAR, LLAMA3, configs, random_ids

INTEGERS = (
    *("vocab_size", "context_length", "num_layers", "d_model"),
    *("num_heads", "num_kv_heads", "head_dim", "d_ff"),
)


def changed(field: str, value: object) -> dict[str, Any]:
    """The values of a valid configuration, with one field changed."""
    return {**asdict(CONFIGS["modern"]), field: value}


def why_refused(values: dict[str, Any]) -> str:
    with pytest.raises(UsageError) as caught:
        ModelConfig(**values)
    assert caught.value.why is not None
    return caught.value.why


# --- faults -------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", INTEGERS)
@pytest.mark.parametrize("value", [0, -1, 2.0, "2", None, True, [2]])
def test_non_positive_or_non_integer_value_is_named(field: str, value: object) -> None:
    why = why_refused(changed(field, value))
    assert field in why
    assert repr(value) in why


@pytest.mark.parametrize("field", ["rope_theta", "norm_epsilon"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), 1e308, "big", None])
def test_non_positive_number_is_named(field: str, value: object) -> None:
    assert field in why_refused(changed(field, value))


@pytest.mark.parametrize("field", ["tied_head", "qkv_bias", "output_bias"])
@pytest.mark.parametrize("value", ["no", 2, None])
def test_non_boolean_is_named(field: str, value: object) -> None:
    assert field in why_refused(changed(field, value))


def test_context_too_long_for_its_tables_is_refused() -> None:
    assert "context_length 1000000000" in why_refused(changed("context_length", 10**9))


def test_every_fault_is_named() -> None:
    why = why_refused(
        asdict(CONFIGS["modern"]) | {"vocab_size": 0, "num_layers": -3, "d_ff": "wide"}
    )
    assert all(part in why for part in ("vocab_size", "num_layers", "d_ff"))


@pytest.mark.parametrize("family", ["bert", "", None, 3, ["modern"]])
def test_unknown_family_is_named_with_the_known_ones(family: object) -> None:
    why = why_refused(changed("family", family))
    assert repr(family) in why
    assert all(known in why for known in FAMILIES)


@pytest.mark.parametrize(
    ("name", "changes", "parts"),
    [
        ("modern", {"num_heads": 4, "num_kv_heads": 3}, ["num_heads 4", "num_kv_heads 3"]),
        ("modern", {"num_heads": 1, "num_kv_heads": 3}, ["num_heads 1", "num_kv_heads 3"]),
        ("modern", {"head_dim": 5}, ["head_dim", "5", "even"]),
        ("gpt2", {"d_model": 13}, ["d_model 13", "num_heads 3", "head_dim 4", "gpt2"]),
        ("classic", {"head_dim": 5}, ["d_model 12", "num_heads 3", "head_dim 5", "classic"]),
        ("gpt2", {"num_kv_heads": 1}, ["gpt2", "key-value heads"]),
        ("classic", {"tied_head": False}, ["classic", "tied head"]),
        ("gpt2", {"sliding_window": 4}, ["gpt2", "sliding window"]),
        ("modern", {"qkv_bias": True}, ["modern", "qkv_bias"]),
        ("gpt2", {"qkv_bias": True}, ["gpt2", "qkv_bias"]),
        ("llama", {"sliding_window": 0}, ["sliding_window", "positive"]),
        ("llama", {"output_bias": True}, ["output_bias without qkv_bias"]),
        ("gpt2", {"rope_scaling": LINEAR}, ["gpt2", "no RoPE"]),
        ("llama", {"rope_scaling": replace(LINEAR, factor=-1.0)}, ["factor", "positive"]),
        ("llama", {"rope_scaling": replace(LLAMA3, low_freq_factor=9.0)}, ["less than"]),
        ("llama", {"rope_scaling": replace(LLAMA3, original_context=None)}, ["original"]),
        ("llama", {"rope_scaling": replace(LLAMA3, kind="linear")}, ["nothing else"]),
        (
            "gpt2",
            {"d_model": 13, "num_kv_heads": 2, "tied_head": False},
            ["num_kv_heads 2", "d_model 13", "key-value heads", "tied head"],
        ),
    ],
)
def test_contradictions_are_named(name: str, changes: dict[str, object], parts: list[str]) -> None:
    why = why_refused(asdict(CONFIGS[name]) | changes)
    assert all(part in why for part in parts), why


def test_config_is_immutable() -> None:
    with pytest.raises(AttributeError):
        CONFIGS["modern"].num_layers = 0  # type: ignore[misc]


@given(config=configs())
@settings(max_examples=40, deadline=None)
@torch.no_grad()
def test_valid_configs_build_and_run(config: ModelConfig) -> None:
    model = Transformer(config).eval()
    model.init_weights(0)
    logits = model(random_ids(config, rows=2, length=config.context_length))
    assert logits.shape == (2, config.context_length, config.vocab_size)
    assert logits.isfinite().all()


# --- families -----------------------------------------------------------------------------------


def test_each_family_has_its_norm_feed_forward_and_positions() -> None:
    parts = {f: (CONFIGS[f].norm, CONFIGS[f].feed_forward, CONFIGS[f].positions) for f in FAMILIES}
    assert parts == {
        "modern": ("rms_norm", "swiglu", "rotary"),
        "llama": ("rms_norm", "swiglu", "rotary"),
        "gpt2": ("layer_norm", "gelu", "learned"),
        "classic": ("layer_norm", "relu", "sinusoidal"),
    }
    assert set(parts) == set(get_args(Family))


@pytest.mark.parametrize(
    ("family", "biases"),
    [("modern", False), ("llama", False), ("gpt2", True), ("classic", True)],
)
def test_only_the_older_families_have_biases(family: Family, biases: bool) -> None:
    assert CONFIGS[family].linear_bias is biases
    names = Transformer(CONFIGS[family]).state_dict()
    assert any(name.endswith("bias") for name in names) is biases


# --- named sizes --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", get_args(Size))
@pytest.mark.parametrize("family", FAMILIES)
def test_every_size_has_a_head_size_of_64(size: Size, family: Family) -> None:
    config = named_config(size, vocab_size=1000, context_length=256, family=family)
    assert (config.num_layers, config.d_model, config.num_heads) == SIZES[size]
    assert config.head_dim == 64
    assert config.num_kv_heads == config.num_heads
    assert (config.family, config.vocab_size, config.context_length) == (family, 1000, 256)


def test_sizes_increase() -> None:
    widths = [SIZES[size][:2] for size in get_args(Size)]
    assert widths == sorted(widths)


@pytest.mark.parametrize("family", ["gpt2", "classic"])
def test_base_and_large_are_the_shapes_of_gpt2_small_and_medium(family: Family) -> None:
    base = named_config("base", vocab_size=50257, context_length=1024, family=family)
    large = named_config("large", vocab_size=50257, context_length=1024, family=family)
    shapes = [(c.num_layers, c.d_model, c.num_heads, c.d_ff) for c in (base, large)]
    assert shapes == [(12, 768, 12, 3072), (24, 1024, 16, 4096)]
    assert base.norm_epsilon == large.norm_epsilon == 1e-5


@given(width=st.integers(1, 2048).map(lambda half: 2 * half))
def test_swiglu_is_as_large_as_the_two_matrices_it_replaces(width: int) -> None:
    """Three matrices of 8/3 d_model equal two of 4 d_model, up to rounding to a multiple of 32."""
    config = named_config("nano", vocab_size=300, context_length=8, d_model=width, num_heads=1)
    assert config.d_ff % 32 == 0
    assert abs(3 * config.d_ff - 2 * 4 * width) <= 3 * 16 or config.d_ff == 32


@given(width=st.integers(1, 1024).map(lambda half: 2 * half), family=st.sampled_from(FAMILIES))
def test_any_even_hidden_size_gets_heads(width: int, family: Family) -> None:
    """Only an explicit number of heads can be wrong for a hidden size."""
    config = named_config("tiny", vocab_size=300, context_length=8, d_model=width, family=family)
    assert config.num_heads * config.head_dim == width
    if width % 64 == 0:
        assert config.head_dim == 64


def test_arguments_override_the_size() -> None:
    config = named_config(
        "nano",
        vocab_size=300,
        context_length=8,
        num_layers=7,
        d_model=320,
        num_heads=10,
        num_kv_heads=2,
        tied_head=False,
    )
    assert (config.num_layers, config.d_model, config.num_heads) == (7, 320, 10)
    assert (config.num_kv_heads, config.head_dim, config.tied_head) == (2, 32, False)


def test_heads_alone_divide_the_hidden_size_of_the_size() -> None:
    config = named_config("nano", vocab_size=300, context_length=8, num_heads=4)
    assert (config.d_model, config.num_heads, config.num_kv_heads, config.head_dim) == (
        192,
        4,
        4,
        48,
    )


@given(width=st.integers(1, 600), heads=st.integers(1, 40), family=st.sampled_from(FAMILIES))
def test_suggested_width_works(width: int, heads: int, family: Family) -> None:
    def build(**changed: int) -> ModelConfig:
        shape: dict[str, Any] = {"d_model": width, "num_heads": heads, **changed}
        return named_config("tiny", vocab_size=300, context_length=8, family=family, **shape)

    try:
        build()
    except UsageError as error:
        assert error.hint is not None
        option, offered, *_ = error.hint.split()
        build(**{option[2:].replace("-", "_"): int(offered.rstrip(","))})


@pytest.mark.parametrize("field", ["num_layers", "d_model", "num_heads", "num_kv_heads"])
@pytest.mark.parametrize("value", [0, -2])
def test_invalid_number_is_refused_not_replaced(field: str, value: int) -> None:
    with pytest.raises(UsageError):
        named_config("tiny", vocab_size=300, context_length=8, **{field: value})  # type: ignore[arg-type]


# --- JSON ---------------------------------------------------------------------------------------


@given(config=configs())
@settings(max_examples=50, deadline=None)
def test_json_round_trip(config: ModelConfig) -> None:
    assert ModelConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside),
    max_leaves=10,
)


@given(value=JSON)
@settings(deadline=None)
def test_any_other_json_is_a_data_error(value: object) -> None:
    with pytest.raises(DataError):
        ModelConfig.from_json(value)


@given(field=st.sampled_from(sorted(asdict(CONFIGS["modern"]))), value=JSON)
@settings(max_examples=200, deadline=None)
def test_any_field_value_is_refused_or_valid(field: str, value: object) -> None:
    try:
        config = ModelConfig.from_json(changed(field, value))
    except DataError:
        return
    for field_name in INTEGERS:
        assert type(getattr(config, field_name)) is int
    assert type(config.tied_head) is type(config.qkv_bias) is bool
    assert config.rope_theta > 0
    assert config.norm_epsilon > 0


@pytest.mark.parametrize("field", ["sliding_window", "qkv_bias", "output_bias", "rope_scaling"])
def test_run_written_before_a_field_existed_opens(field: str) -> None:
    values = asdict(CONFIGS["llama"])
    del values[field]
    assert ModelConfig.from_json(values) == CONFIGS["llama"]


@pytest.mark.parametrize("field", ["vocab_size", "d_ff"])
def test_missing_field_is_named(field: str) -> None:
    values = asdict(CONFIGS["modern"])
    del values[field]
    with pytest.raises(DataError) as caught:
        ModelConfig.from_json(values)
    assert field in (caught.value.why or "")


def test_unknown_field_is_named() -> None:
    with pytest.raises(DataError) as caught:
        ModelConfig.from_json(changed("num_experts", 8))
    assert "num_experts" in (caught.value.why or "")


def test_contradiction_in_a_file_is_a_data_error() -> None:
    with pytest.raises(DataError) as caught:
        ModelConfig.from_json(changed("head_dim", 5))
    assert "head_dim" in (caught.value.why or "")


@pytest.mark.parametrize(
    ("family", "options", "hint"),
    [
        ("modern", {"num_heads": 4, "num_kv_heads": 3}, "--num-kv-heads 2"),
        ("gpt2", {"num_kv_heads": 1}, "leave out --num-kv-heads, or choose --family modern"),
        ("classic", {"tied_head": False}, "leave out --no-tied-head, or choose --family modern"),
    ],
)
def test_what_cannot_be_built_has_a_way_out(
    family: Family, options: dict[str, Any], hint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        named_config("tiny", vocab_size=320, context_length=32, family=family, **options)
    assert caught.value.hint == hint


@pytest.mark.parametrize(("width", "heads"), [(64, 64), (96, 32), (130, 26)])
def test_suggested_heads_work(width: int, heads: int) -> None:
    shape: dict[str, Any] = {"vocab_size": 300, "context_length": 16, "d_model": width}
    with pytest.raises(UsageError, match="cannot be built") as caught:
        named_config("nano", **shape, num_heads=heads)
    name, number = str(caught.value.hint).split()
    assert name == "--num-heads"
    named_config("nano", **shape, num_heads=int(number))
