"""Each engine against the training model, which reads whole texts without a cache."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.devices import GPUS
from tests.generation.conftest import numpy_engine, pure_engine, random_model
from tests.model.helpers import CONFIGS, configs
from tfcli.generation.engines import numpy_engine as numpy_engine_module
from tfcli.generation.engines.engine import Engine
from tfcli.generation.engines.numpy_engine import NumpyEngine
from tfcli.generation.engines.numpy_layers import quantize
from tfcli.generation.engines.row_caches import RowCaches
from tfcli.generation.engines.torch_engine import FixedStep, TorchEngine
from tfcli.model import cache as cache_module
from tfcli.model.cache import KVCache
from tfcli.model.config import ModelConfig
from tfcli.model.safetensors_file import to_bfloat16, to_float32
from tfcli.model.transformer import Transformer
from tfcli.runtime.device import Device

ROWS = 3


def torch_engine(device: str) -> Callable[[Transformer, int], Engine]:
    """Makes engines on a device; the test's own model is not moved."""
    return lambda model, rows: TorchEngine(deepcopy(model).to(device), rows)


ENGINES: dict[str, Callable[[Transformer, int], Engine]] = {
    "numpy": pure_engine,
    "compiled": numpy_engine,
    "torch": torch_engine("cpu"),
} | {f"torch, {gpu}": torch_engine(gpu) for gpu in GPUS}

every_engine = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.gpu if name.endswith(tuple(GPUS)) else ())
        for name in ENGINES
    ],
)


@torch.no_grad()
def logits_of_model(model: Transformer, text: list[int]) -> Any:
    """The logits after every token of a text, (tokens, V)."""
    return model(torch.tensor([text]))[0].numpy()


def assert_close(actual: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


@every_engine
@given(config=configs(), data=st.data())
@settings(max_examples=40)
def test_rows_are_independent_in_any_order(
    name: str, config: ModelConfig, data: st.DataObject
) -> None:
    model = random_model(config)
    engine: Engine = ENGINES[name](model, ROWS)
    texts: list[list[int]] = [[] for _ in range(ROWS)]
    token = st.integers(0, config.vocab_size - 1)
    for _ in range(data.draw(st.integers(1, 8), label="steps")):
        action = data.draw(
            st.sampled_from(["forward", "forward", "forward", "reset", "copy"]), label="action"
        )
        if action == "reset":
            row = data.draw(st.integers(0, ROWS - 1))
            engine.reset(row)
            texts[row] = []
        elif action == "copy":
            source, target = data.draw(st.permutations(range(ROWS)))[:2]
            engine.copy_row(source, target)
            texts[target] = list(texts[source])
        else:
            open_rows = [r for r in range(ROWS) if len(texts[r]) < config.context_length]
            if not open_rows:
                break
            rows = data.draw(st.lists(st.sampled_from(open_rows), min_size=1, unique=True))
            most = 1 if data.draw(st.booleans(), label="decode") else 5
            new = [
                data.draw(
                    st.lists(
                        token,
                        min_size=1,
                        max_size=min(most, config.context_length - len(texts[row])),
                    )
                )
                for row in rows
            ]
            for row, own in zip(rows, new, strict=True):
                texts[row] += own
            expected = [logits_of_model(model, texts[row])[-len(own) :]
                        for row, own in zip(rows, new, strict=True)]  # fmt: skip
            if data.draw(st.booleans(), label="all"):
                assert_close(engine.forward_all(rows, new), np.concatenate(expected))
            else:
                assert_close(engine.forward(rows, new), np.stack([each[-1] for each in expected]))


@every_engine
@pytest.mark.parametrize("variant", CONFIGS)
def test_forward_all_gives_the_logits_after_every_token(name: str, variant: str) -> None:
    model = random_model(CONFIGS[variant])
    engine: Engine = ENGINES[name](model, 2)
    text = [1, 5, 3, 7, 2, 2, 9, 10, 4]
    logits = engine.forward_all([1, 0], [text, text[::-1]])
    assert_close(
        logits, np.concatenate([logits_of_model(model, text), logits_of_model(model, text[::-1])])
    )
    assert_close(engine.forward([1], [[6]])[0], logits_of_model(model, [*text, 6])[-1])


@pytest.mark.parametrize("variant", CONFIGS)
def test_large_weights_do_not_overflow(variant: str) -> None:
    """Softmax would, if the maximum were not subtracted first."""
    model = random_model(CONFIGS[variant])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8)
    text = [1, 5, 3, 7, 2, 2, 9, 10, 4]
    expected = logits_of_model(model, text)
    scale = np.abs(expected).max()
    actual = numpy_engine(model).forward_all([0], [text])
    np.testing.assert_allclose(actual / scale, expected / scale, atol=1e-4)
    engine = numpy_engine(model)
    one_by_one = [engine.forward([0], [[token]])[0] for token in text]
    np.testing.assert_allclose(one_by_one / scale, expected / scale, atol=1e-4)


@every_engine
def test_more_tokens_than_the_context_are_refused(name: str) -> None:
    model = random_model(CONFIGS["modern"])
    engine: Engine = ENGINES[name](model, 1)
    engine.forward([0], [[3] * model.config.context_length])
    with pytest.raises(AssertionError, match="more positions"):
        engine.forward([0], [[3]])


@every_engine
def test_weight_bytes_are_about_those_of_the_matrices(name: str) -> None:
    for config in CONFIGS.values():
        model = random_model(config)
        engine: Engine = ENGINES[name](model, 1)
        matrices: list[torch.Tensor] = [
            weight
            for key, weight in model.named_parameters()
            if weight.ndim == 2 and "position" not in key and "embedding" not in key
        ]
        if config.tied_head:
            matrices.append(model.embedding.weight)
        vectors = 4 * sum(weight.numel() for weight in model.parameters() if weight.ndim == 1)
        size = sum(weight.nbytes for weight in matrices)
        tables = model.position_embedding.weight.nbytes if config.positions == "learned" else 0
        assert size <= engine.weight_bytes <= size + vectors + tables


@pytest.mark.parametrize("variant", CONFIGS)
def test_fixed_shape_step_equals_forward(
    variant: str, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recorded as a CUDA graph, run eagerly elsewhere; the cache grows and shrinks meanwhile."""
    monkeypatch.setattr(cache_module, "MIN_CAPACITY", 2)
    model = random_model(CONFIGS[variant])
    cache = KVCache(model.config, ROWS, torch.device(device))
    step = FixedStep(deepcopy(model).to(device), cache, ROWS, record=device == "cuda")
    capacities: list[int] = []
    short = [[0], [0, 1]]
    long = [[0], [0, 1], [2, 0], [1], *[[0, 1, 2]] * 6, *[[1]] * 4, [0, 2], [2], [0, 2]]
    with torch.inference_mode():
        for turns in (long, short, long):
            texts: list[list[int]] = [[] for _ in range(ROWS)]
            for rows in turns:
                ids = [3 + (row + len(texts[row])) % 7 for row in rows]
                for row, token, logits in zip(rows, ids, step(rows, ids), strict=True):
                    texts[row].append(token)
                    assert_close(logits, logits_of_model(model, texts[row])[-1])
                if cache.capacity not in capacities[-1:]:
                    capacities.append(cache.capacity)
            for row in range(ROWS):
                cache.reset(row)
    assert capacities == [2, 4, 8, 16, 2, 4, 8, 16]


def test_numpy_cache_memory_grows_only_as_rows_fill() -> None:
    config = replace(CONFIGS["modern"], context_length=32_768)
    caches = RowCaches(config, rows=64)
    assert caches.nbytes == 0
    position = 2 * 4 * config.num_layers * config.num_kv_heads * config.head_dim
    caches.reserve(3, 1)
    assert caches.nbytes == 64 * position
    caches.reserve(3, 65)
    caches.lengths[3] = 65
    assert caches.nbytes == 128 * position
    caches.copy_row(3, 4)
    caches.reset(3)
    assert caches.nbytes == 96 * position
    caches.reset(4)
    assert caches.nbytes == 0


@every_engine
@given(data=st.data())
@settings(max_examples=15)
def test_logits_do_not_depend_on_cache_growth(name: str, data: st.DataObject) -> None:
    """The context is far above the initial capacity, which doubles in the middle of a text."""
    model = random_model(replace(CONFIGS["modern, grouped queries"], context_length=600))
    engine: Engine = ENGINES[name](model, ROWS)
    texts: list[list[int]] = [[] for _ in range(ROWS)]
    for _ in range(data.draw(st.integers(2, 5), label="steps")):
        row = data.draw(st.integers(0, ROWS - 1), label="row")
        count = data.draw(st.sampled_from([1, 63, 64, 65, 130]), label="count")
        if len(texts[row]) + count > model.config.context_length:
            engine.reset(row)
            texts[row] = []
        own = [(7 * row + 3 * i) % 11 for i in range(len(texts[row]), len(texts[row]) + count)]
        texts[row] += own
        engine.forward([row], [own])
    rows = [row for row in range(ROWS) if texts[row]]
    for row, row_logits in zip(rows, engine.forward(rows, [[5]] * len(rows)), strict=True):
        assert_close(row_logits, logits_of_model(model, [*texts[row], 5])[-1])


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("variant", CONFIGS)
def test_number_of_threads_changes_no_bit(variant: str, int8: bool) -> None:
    model = random_model(CONFIGS[variant])
    one, two = (numpy_engine(model, 2, int8=int8) for _ in range(2))
    if one.native is None or two.native is None:
        pytest.skip("there is no compiled decoder")
    for tokens in ([[1, 5, 3], [2]], [[7], [2]], [[9], [3, 3, 3, 3]]):
        one.native.threads, two.native.threads = 1, 2
        np.testing.assert_array_equal(one.forward([0, 1], tokens), two.forward([0, 1], tokens))


@given(arrays(np.float32, (3, 5), elements=st.floats(-1e3, 1e3, width=32)))
def test_int8_rounding_error_is_at_most_half_a_step(matrix: np.ndarray) -> None:
    rounded, scales = quantize(matrix)
    assert np.abs(rounded.astype(int)).max() <= 127
    error = np.abs(rounded * scales[:, None] - matrix)
    assert (error <= scales[:, None] * 0.5001 + 1e-6).all()


@pytest.mark.parametrize("variant", CONFIGS)
def test_int8_is_close_to_float32_and_equal_in_prefill_and_decoding(variant: str) -> None:
    model = random_model(CONFIGS[variant])
    text = [1, 5, 3, 7, 2, 2, 9, 10, 4]
    at_once = numpy_engine(model, int8=True).forward_all([0], [text])
    engine = numpy_engine(model, int8=True)
    assert engine.weight_bytes < 0.4 * numpy_engine(model).weight_bytes
    one_by_one = np.stack([engine.forward([0], [[token]])[0] for token in text])
    assert_close(one_by_one, at_once)
    expected = logits_of_model(model, text)
    assert np.abs(at_once - expected).max() < 0.1 * np.abs(expected).max()
    assert not np.allclose(at_once, expected, atol=1e-6)


def in_format(model: Transformer, format: str) -> dict[str, np.ndarray]:
    """The weights of a model, rounded to a number format."""
    weights = {name: weight.detach().numpy() for name, weight in model.named_parameters()}
    if format == "bfloat16":
        return {name: to_bfloat16(weight) for name, weight in weights.items()}
    return {name: weight.astype(format) for name, weight in weights.items()}


every_format = pytest.mark.parametrize("format", ["float32", "bfloat16", "float16"])


@every_format
@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("variant", CONFIGS)
def test_weights_of_a_file_give_the_logits_of_the_same_numbers_in_float32(
    variant: str, native: bool, format: str
) -> None:
    model = random_model(CONFIGS[variant])
    weights = in_format(model, format)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(np.array(to_float32(weights[name]))))
    text = [1, 5, 3, 7, 2, 2, 9, 10, 4]
    expected = logits_of_model(model, text)
    engine = NumpyEngine(model.config, weights, native=native)
    logits = engine.forward_all([0], [text])
    # AMX multiplies activations to 17 bits
    bound = 1e-4 if format == "bfloat16" and native else 1e-5
    np.testing.assert_allclose(logits, expected, rtol=0, atol=bound * np.abs(expected).max())
    if format != "float32":
        assert (
            engine.weight_bytes
            == NumpyEngine(model.config, in_format(model, "float32")).weight_bytes // 2
        )


def test_matrices_are_used_where_they_lie() -> None:
    model = random_model(CONFIGS["modern, untied head"])
    for format in ("float32", "bfloat16", "float16"):
        weights = in_format(model, format)
        for block in NumpyEngine(model.config, weights)._weights.blocks:
            for linear in (block.qkv, block.out_proj, block.up, block.down):
                for matrix in linear.matrices:
                    assert any(matrix.weight is weight for weight in weights.values())


@every_format
@pytest.mark.parametrize("int8", [False, True])
@given(config=configs(), data=st.data())
@settings(max_examples=15)
def test_a_row_has_the_same_bits_alone_and_in_any_batch(
    int8: bool, format: str, config: ModelConfig, data: st.DataObject
) -> None:
    engine = NumpyEngine(config, in_format(random_model(config), format), ROWS, int8=int8)
    if engine.native is None:
        pytest.skip("numpy orders its sums as it likes")
    token = st.integers(0, config.vocab_size - 1)
    texts = [
        data.draw(st.lists(token, min_size=1, max_size=config.context_length)) for _ in range(ROWS)
    ]
    together = np.split(
        engine.forward_all(range(ROWS), texts), np.cumsum([len(text) for text in texts])[:-1]
    )
    for text, logits in zip(texts, together, strict=True):
        engine.reset(0)
        one_by_one = [engine.forward([0], [[each]])[0] for each in text]
        np.testing.assert_array_equal(one_by_one, logits)


def test_long_prompts_are_read_in_portions_with_the_same_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for config in CONFIGS.values():
        model = random_model(config)
        whole = numpy_engine(model, 2)
        texts = [[1, 5, 3, 7, 2, 2, 9], [10, 4, 8]]
        expected = whole.forward_all([1, 0], texts)
        portioned = numpy_engine(model, 2)
        read: list[tuple[int, int]] = []
        monkeypatch.setattr(portioned, "_portion", 3)
        note = lambda done, total, read=read: read.append((done, total))  # noqa: E731
        monkeypatch.setattr(portioned, "_on_read", note)
        assert_close(portioned.forward_all([1, 0], texts), expected)
        assert read == [(3, 10), (6, 10), (9, 10), (10, 10)]
        portioned.reset(0)
        portioned.reset(1)
        assert_close(portioned.forward([1, 0], texts), expected[[6, 9]])


def test_blocked_prefill_equals_whole_prefill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numpy_engine_module, "QUERY_BLOCK", 3)
    for config in CONFIGS.values():
        model = random_model(config)
        text = [1, 5, 3, 7, 2, 2, 9, 10, 4, 8, 6]
        engine = pure_engine(model)
        engine.forward([0], [text[:2]])
        logits = engine.forward_all([0], [text[2:]])
        assert_close(logits, logits_of_model(model, text)[2:])
