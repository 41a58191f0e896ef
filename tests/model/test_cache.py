"""A text read in parts with a KV cache gives the same logits as the whole text at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tfcli.model import cache as cache_module
from tfcli.model.cache import KVCache
from tfcli.model.transformer import Transformer

from .helpers import CONFIGS, random_ids, random_model

MODELS = {name: random_model(config) for name, config in CONFIGS.items()}


@pytest.fixture(autouse=True, scope="module")
def small_capacity() -> Iterator[None]:
    """A cache so small at first that texts of these models' context outgrow it three times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache_module, "MIN_CAPACITY", 2)
        yield


def in_parts(model: Transformer, ids: Tensor, cuts: list[int]) -> Tensor:
    """The logits of `ids` (B, T), passed to the model part by part."""
    cache = KVCache(model.config, ids.shape[0])
    rows = range(len(ids))
    parts = [ids[:, start:end] for start, end in pairwise([0, *cuts, ids.shape[1]])]
    return torch.cat([model(part, cache.extend(rows, part.shape[1])) for part in parts], dim=1)


@pytest.mark.parametrize("name", CONFIGS)
@given(data=st.data())
@settings(max_examples=12, deadline=None)
@torch.no_grad()
def test_parts_give_the_same_logits_as_the_whole(name: str, data: st.DataObject) -> None:
    model = MODELS[name]
    length = data.draw(st.integers(1, model.config.context_length), label="length")
    cuts = data.draw(st.sets(st.integers(1, length - 1)) if length > 1 else st.just(set()))
    ids = random_ids(model.config, rows=3, length=length, seed=length)
    logits = in_parts(model, ids, sorted(cuts))
    torch.testing.assert_close(logits, model(ids), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_token_by_token_gives_the_same_logits_as_the_whole(name: str) -> None:
    model = MODELS[name]
    length = model.config.context_length
    ids = random_ids(model.config, rows=2, length=length)
    logits = in_parts(model, ids, list(range(1, length)))
    torch.testing.assert_close(logits, model(ids), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", CONFIGS)
@given(data=st.data())
@settings(max_examples=12, deadline=None)
@torch.no_grad()
def test_rows_of_any_length_are_independent(name: str, data: st.DataObject) -> None:
    """Rows are extended in any order, together where possible, copied, or reset."""
    model = MODELS[name]
    context = model.config.context_length
    cache = KVCache(model.config, 3)
    texts: list[list[int]] = [[], [], []]
    for number in range(data.draw(st.integers(1, 8), label="steps")):
        action = data.draw(st.sampled_from(["extend", "extend", "copy", "reset"]), label="action")
        if action == "copy":
            source, target = data.draw(st.permutations(range(3)), label="which")[:2]
            cache.copy_row(source, target)
            texts[target] = list(texts[source])
            continue
        rows = data.draw(st.lists(st.integers(0, 2), min_size=1, unique=True), label="rows")
        if action == "reset":
            for row in rows:
                cache.reset(row)
                texts[row] = []
            continue
        room = context - max(len(texts[row]) for row in rows)
        if room < 1:
            break
        count = data.draw(st.integers(1, min(3, room)), label="count")
        ids = random_ids(model.config, rows=len(rows), length=count, seed=number)
        if count > 1 and len({len(texts[row]) for row in rows}) > 1:
            continue  # several tokens at once need rows of equal length
        logits = model(ids, cache.extend(rows, count))
        for row, own, given_logits in zip(rows, ids.tolist(), logits, strict=True):
            texts[row] += own
            alone = model(torch.tensor([texts[row]]))[0, -count:]
            torch.testing.assert_close(given_logits, alone, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_more_positions_than_the_context_are_refused(name: str) -> None:
    model = MODELS[name]
    length = model.config.context_length
    with pytest.raises(AssertionError, match="more positions"):
        model(random_ids(model.config, rows=1, length=length + 1))
    cache = KVCache(model.config, 1)
    model(random_ids(model.config, rows=1, length=length), cache.extend([0], length))
    with pytest.raises(AssertionError, match="more positions"):
        model(random_ids(model.config, rows=1, length=1), cache.extend([0], 1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.no_grad()
def test_cache_has_the_dtype_of_the_weights(dtype: torch.dtype) -> None:
    model = random_model(CONFIGS["modern"], dtype=dtype)
    cache = KVCache(model.config, 1)
    logits = model(random_ids(model.config, rows=1, length=4), cache.extend([0], 4))
    assert logits.dtype == dtype
    assert cache.nbytes == cache_bytes(model, rows=1, capacity=4, itemsize=dtype.itemsize)


@torch.no_grad()
def test_cache_has_the_dtype_of_autocast() -> None:
    model = random_model(CONFIGS["llama"], dtype=torch.float32)
    cache = KVCache(model.config, 1)
    with torch.autocast("cpu", torch.bfloat16):
        model(random_ids(model.config, rows=1, length=4), cache.extend([0], 4))
    assert cache.nbytes == cache_bytes(model, rows=1, capacity=4, itemsize=2)


@torch.no_grad()
def test_cache_memory_grows_only_as_it_fills() -> None:
    config = replace(CONFIGS["modern"], context_length=32_768)
    model = random_model(config)
    cache = KVCache(config, rows=2)
    assert cache.nbytes == 0
    for length, capacity in ((1, 2), (60, 64), (3, 64), (1, 128)):
        ids = random_ids(config, rows=1, length=length)
        model(ids, cache.extend([1], length))
        assert cache.nbytes == cache_bytes(model, rows=2, capacity=capacity, itemsize=8)


@torch.no_grad()
def test_unneeded_cache_memory_is_freed() -> None:
    model = MODELS["modern"]
    cache = KVCache(model.config, rows=2)

    def held_after(*lengths: int) -> int:
        for row, length in enumerate(lengths):
            ids = random_ids(model.config, rows=1, length=length)
            model(ids, cache.extend([row], length))
        held = cache.nbytes
        for row in (0, 1, 0):
            cache.reset(row)
        return held

    full = held_after(16, 3)
    assert cache.nbytes == full, "kept, since as much may be needed again"
    assert held_after(3, 4) == full
    assert cache.nbytes == 0, "freed, since it was not"
    assert held_after(3, 4) == full // 4


def cache_bytes(model: Transformer, *, rows: int, capacity: int, itemsize: int) -> int:
    config = model.config
    positions = rows * capacity * config.num_layers
    return 2 * positions * config.num_kv_heads * config.head_dim * itemsize
