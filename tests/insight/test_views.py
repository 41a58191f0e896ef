"""The views against transformers' logits, and against plain loops."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.exchange.conftest import make_run, tokenizer
from tfcli.exchange.export_huggingface import export_to_huggingface
from tfcli.insight.forward import Model
from tfcli.insight.views import (
    LIKELIEST,
    attention_weights,
    lens,
    surprise,
    without_heads,
    without_words,
    words_of,
)
from tfcli.runs.weights import map_weights

__all__ = ["make_run", "tokenizer"]

IDS = [1, 17, 300, 5, 260, 261, 42, 42, 7, 350]
UNKNOWN = 0


@pytest.fixture(params=["modern", "llama", "gpt2"])
def pair(request: Any, make_run: Any, tmp_path: Path) -> tuple[Model, Any]:
    """A model, and transformers' of the same weights."""
    from transformers import AutoModelForCausalLM

    run, step, _ = make_run(request.param)
    export_to_huggingface(run, step, tmp_path / "hf")
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "hf").eval()
    return Model(run.model_config, map_weights(run.model_config, step.path)), theirs


def logprobs(theirs: Any, ids: list[int]) -> Any:
    with torch.no_grad():
        return theirs(torch.tensor([ids])).logits[0].double().log_softmax(-1).numpy()


def test_surprise(pair: tuple[Model, Any]) -> None:
    model, theirs = pair
    found, logs = surprise(model.run(IDS), IDS), logprobs(theirs, IDS)
    for place, token in enumerate(IDS[1:]):
        row = logs[place]
        assert found.logprobs[place] == pytest.approx(row[token], rel=1e-5, abs=1e-4)
        assert found.ranks[place] == 1 + (row > row[token]).sum()
        assert found.entropies[place] == pytest.approx(-(np.exp(row) * row).sum(), abs=1e-4)
    for place, row in enumerate(logs):
        order = np.argsort(-row)[:LIKELIEST]
        assert found.best_ids[place].tolist() == order.tolist()
        assert found.best_logprobs[place] == pytest.approx(row[order], rel=1e-5, abs=1e-4)


def test_lens(pair: tuple[Model, Any]) -> None:
    model, theirs = pair
    with torch.no_grad():
        out = theirs(torch.tensor([IDS]), output_hidden_states=True)
        inner = theirs.transformer if hasattr(theirs, "transformer") else theirs.model
        norm = inner.ln_f if hasattr(inner, "ln_f") else inner.norm
        streams = [theirs.lm_head(norm(x[0])) for x in out.hidden_states[:-1]]
        logs = [x.double().log_softmax(-1).numpy() for x in (*streams, out.logits[0])]
    found = lens(model, model.run(IDS))
    assert len(found.best_ids) == model.config.num_layers + 1
    for layer, rows in enumerate(logs):
        assert found.best_ids[layer].tolist() == rows.argmax(-1).tolist()
        assert found.best_logprobs[layer] == pytest.approx(rows.max(-1), rel=1e-5, abs=1e-4)
        expected = (np.exp(logs[-1]) * (logs[-1] - rows)).sum(-1)
        assert found.divergences[layer] == pytest.approx(expected, rel=1e-4, abs=1e-4)
    assert found.divergences[-1] == pytest.approx(np.zeros(len(IDS)))


def test_attention_weights_are_shares(pair: tuple[Model, Any]) -> None:
    weights = attention_weights(pair[0].run(IDS))
    assert weights.sum(-1) == pytest.approx(np.ones(weights.shape[:-1]), abs=1e-5)
    assert not np.triu(weights, 1).any(), "no position looks at a later one"


@pytest.mark.parametrize("unknown", [UNKNOWN, None])
def test_without_words(pair: tuple[Model, Any], unknown: int | None) -> None:
    model, theirs = pair
    prompt, continuation = IDS[:7], IDS[7:]
    words = [slice(1, 3), slice(3, 4), slice(4, 7)]

    def logprob(before: list[int]) -> float:
        rows = logprobs(theirs, [*before, *continuation])[len(before) - 1 : -1]
        return float(rows[np.arange(len(continuation)), continuation].sum())

    done: list[int] = []
    falls = without_words(model, prompt, words, continuation, unknown, progress=done.append)
    for fall, word in zip(falls, words, strict=True):
        erased = list(prompt)
        erased[word] = [] if unknown is None else [unknown] * len(erased[word])
        assert fall == pytest.approx(logprob(prompt) - logprob(erased), abs=1e-3)
    assert done == [1, 2, 3]


def test_without_heads(pair: tuple[Model, Any]) -> None:
    model, theirs = pair
    rises = without_heads(model, model.run(IDS), IDS)
    width = model.config.head_dim
    gpt2 = hasattr(theirs, "transformer")

    def loss() -> float:
        return -float(logprobs(theirs, IDS)[np.arange(len(IDS) - 1), IDS[1:]].sum())

    whole = loss()
    for layer, head in np.ndindex(*rises.shape):
        columns = slice(head * width, (head + 1) * width)
        if gpt2:
            part = theirs.transformer.h[layer].attn.c_proj.weight.data[columns]
        else:
            part = theirs.model.layers[layer].self_attn.o_proj.weight.data[:, columns]
        kept = part.clone()
        part.zero_()
        assert rises[layer, head] == pytest.approx(loss() - whole, abs=1e-3 * math.hypot(1, whole))
        part.copy_(kept)


def test_words_begin_after_white_space() -> None:
    tokens = [b"", b"The", b" o", b"ld", b" ", b"\n", b"fox", b".", b"  two", b"", b"end"]
    found = [b"".join(tokens[word]) for word in words_of(tokens)]
    assert found == [b"The", b" old", b" \nfox.", b"  two", b"end"]
    assert words_of([]) == []
