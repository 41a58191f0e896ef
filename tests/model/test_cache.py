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


def in_pieces(model: Transformer, ids: Tensor, borders: list[int]) -> Tensor:
    """The logits of `ids`, (B, T), given to the model piece by piece."""
    cache = KeyValueCache(model.config, ids.shape[0], like=model.embedding.weight)
    rows = range(len(ids))
    pieces = [ids[:, start:end] for start, end in pairwise([0, *borders, ids.shape[1]])]
    return torch.cat([model(piece, cache.read(rows, piece.shape[1])) for piece in pieces], dim=1)


@pytest.mark.parametrize("name", CONFIGS)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
@torch.no_grad()
def test_pieces_give_the_logits_of_the_whole(name: str, data: st.DataObject) -> None:
    model = MODELS[name]
    length = data.draw(st.integers(1, model.config.context_length), label="length")
    borders = data.draw(st.sets(st.integers(1, length - 1)) if length > 1 else st.just(set()))
    ids = random_ids(model.config, rows=3, length=length, seed=length)
    logits = in_pieces(model, ids, sorted(borders))
    torch.testing.assert_close(logits, model(ids), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_token_by_token_gives_the_logits_of_the_whole(name: str) -> None:
    model = MODELS[name]
    length = model.config.context_length
    ids = random_ids(model.config, rows=2, length=length)
    logits = in_pieces(model, ids, list(range(1, length)))
    torch.testing.assert_close(logits, model(ids), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", CONFIGS)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
@torch.no_grad()
def test_rows_of_any_length_keep_to_themselves(name: str, data: st.DataObject) -> None:
    """Rows are read into in any order, together where they have as much to read, or copied."""
    model = MODELS[name]
    context = model.config.context_length
    cache = KeyValueCache(model.config, 3, like=model.embedding.weight)
    texts: list[list[int]] = [[], [], []]
    for number in range(data.draw(st.integers(1, 6), label="readings")):
        if number and data.draw(st.booleans(), label="copy"):
            source, target = data.draw(st.permutations(range(3)), label="which")[:2]
            cache.copy(source, target)
            texts[target] = list(texts[source])
        rows = data.draw(st.lists(st.integers(0, 2), min_size=1, unique=True), label="rows")
        room = context - max(len(texts[row]) for row in rows)
        if room < 1:
            break
        count = data.draw(st.integers(1, min(3, room)), label="count")
        ids = random_ids(model.config, rows=len(rows), length=count, seed=number)
        if count > 1 and len({len(texts[row]) for row in rows}) > 1:
            continue  # several tokens at once belong to rows of one length
        logits = model(ids, cache.read(rows, count))
        for row, own, told in zip(rows, ids.tolist(), logits, strict=True):
            texts[row] += own
            alone = model(torch.tensor([texts[row]]))[0, -count:]
            torch.testing.assert_close(told, alone, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_more_positions_than_the_context_are_refused(name: str) -> None:
    model = MODELS[name]
    length = model.config.context_length
    with pytest.raises(AssertionError, match="more positions"):
        model(random_ids(model.config, rows=1, length=length + 1))
    cache = KeyValueCache(model.config, 1, like=model.embedding.weight)
    model(random_ids(model.config, rows=1, length=length), cache.read([0], length))
    with pytest.raises(AssertionError, match="more positions"):
        model(random_ids(model.config, rows=1, length=1), cache.read([0], 1))


def test_a_cache_holds_the_type_of_its_model() -> None:
    model = random_model(CONFIGS["modern"], dtype=torch.bfloat16)
    cache = KeyValueCache(model.config, 1, like=model.embedding.weight)
    with torch.no_grad():
        logits = model(random_ids(model.config, rows=1, length=4), cache.read([0], 4))
    assert {t.dtype for t in (*cache.keys, *cache.values, logits)} == {torch.bfloat16}
