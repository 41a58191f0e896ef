"""A text taken in pieces, with a cache, gives the logits of the text taken at once."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tfcli.model.cache import KeyValueCache
from tfcli.model.transformer import Transformer

from .helpers import CONFIGS, random_ids, random_model

MODELS = {name: random_model(config) for name, config in CONFIGS.items()}


def in_pieces(model: Transformer, ids: Tensor, borders: list[int], room: int) -> Tensor:
    """The logits of `ids`, (B, T), given to the model piece by piece."""
    cache = KeyValueCache(model.config, ids.shape[0], room, like=model.embedding.weight)
    pieces = [ids[:, start:end] for start, end in pairwise([0, *borders, ids.shape[1]])]
    return torch.cat([model(piece, cache) for piece in pieces], dim=1)


@pytest.mark.parametrize("name", CONFIGS)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
@torch.no_grad()
def test_pieces_give_the_logits_of_the_whole(name: str, data: st.DataObject) -> None:
    model = MODELS[name]
    length = data.draw(st.integers(1, model.config.context_length), label="length")
    borders = data.draw(st.sets(st.integers(1, length - 1)) if length > 1 else st.just(set()))
    room = data.draw(st.integers(length, model.config.context_length), label="room")
    ids = random_ids(model.config, rows=3, length=length, seed=length)
    logits = in_pieces(model, ids, sorted(borders), room)
    torch.testing.assert_close(logits, model(ids), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_token_by_token_gives_the_logits_of_the_whole(name: str) -> None:
    model = MODELS[name]
    length = model.config.context_length
    ids = random_ids(model.config, rows=2, length=length)
    logits = in_pieces(model, ids, list(range(1, length)), room=length)
    torch.testing.assert_close(logits, model(ids), rtol=0, atol=1e-9)


@torch.no_grad()
def test_a_cache_counts_the_positions_it_holds() -> None:
    model = MODELS["modern"]
    cache = KeyValueCache(model.config, 1, 8, like=model.embedding.weight)
    assert cache.filled == 0
    model(random_ids(model.config, rows=1, length=5), cache)
    assert cache.filled == 5
    model(random_ids(model.config, rows=1, length=1), cache)
    assert cache.filled == 6


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_more_positions_than_the_context_are_refused(name: str) -> None:
    model = MODELS[name]
    length = model.config.context_length
    with pytest.raises(AssertionError, match="more positions"):
        model(random_ids(model.config, rows=1, length=length + 1))
    cache = KeyValueCache(model.config, 1, length + 1, like=model.embedding.weight)
    model(random_ids(model.config, rows=1, length=length), cache)
    with pytest.raises(AssertionError, match="more positions"):
        model(random_ids(model.config, rows=1, length=1), cache)


def test_a_cache_holds_the_type_of_its_model() -> None:
    model = random_model(CONFIGS["modern"], dtype=torch.bfloat16)
    cache = KeyValueCache(model.config, 1, 4, like=model.embedding.weight)
    with torch.no_grad():
        logits = model(random_ids(model.config, rows=1, length=4), cache)
    assert {t.dtype for t in (*cache.keys, *cache.values, logits)} == {torch.bfloat16}
