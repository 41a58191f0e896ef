"""The views to 1e-5 against the same models in torch, of all families; attention: test_forward."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.exchange.conftest import SHAPES, make_run, tokenizer
from tests.insight.test_forward import OTHERS, close
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
from tfcli.model.transformer import Transformer
from tfcli.runs.weights import map_weights

__all__ = ["make_run", "tokenizer"]

IDS = [1, 17, 300, 5, 260, 261, 42, 42, 7, 350]
UNKNOWN = 0


@dataclass(frozen=True)
class Reference:
    """The model in torch: of transformers, or for `classic`, which no other program has, trained.

    Attributes:
        lens: ids -> the logits after each layer, from the embedding on, (layers + 1, T, V).
        outputs: the matrices that put the heads of a layer together, (E, H D) each.

    """

    lens: Callable[[list[int]], Any]
    outputs: list[Any]

    def logprobs(self, ids: list[int]) -> Any:
        """(T, V)."""
        return log_softmax(self.lens(ids)[-1])

    def logprob(self, before: list[int], continuation: list[int]) -> float:
        """Log p(continuation | before), in nats."""
        rows = self.logprobs([*before, *continuation])[len(before) - 1 : -1]
        return float(rows[np.arange(len(continuation)), continuation].sum())


def log_softmax(logits: Any) -> Any:
    return logits.double().log_softmax(-1).numpy()


def of_transformers(folder: Path) -> Reference:
    from transformers import AutoModelForCausalLM

    theirs = AutoModelForCausalLM.from_pretrained(folder).eval()
    gpt2 = hasattr(theirs, "transformer")

    @torch.no_grad()
    def lens(ids: list[int]) -> Any:
        out = theirs(torch.tensor([ids]), output_hidden_states=True)
        norm = theirs.transformer.ln_f if gpt2 else theirs.model.norm
        return torch.stack([
            *(theirs.lm_head(norm(x[0])) for x in out.hidden_states[:-1]), out.logits[0]
        ])  # fmt: skip

    return Reference(
        lens,
        [block.attn.c_proj.weight.data.T for block in theirs.transformer.h]
        if gpt2
        else [block.self_attn.o_proj.weight.data for block in theirs.model.layers],
    )


def of_training(trained: Transformer) -> Reference:
    @torch.no_grad()
    def lens(ids: list[int]) -> Any:
        streams: list[Any] = []

        def note(_: object, before: Any, after: Any) -> None:
            streams.extend([] if streams else [before[0]])
            streams.append(after[0] + after[1])  # what the last part adds is added by the next one

        hooks = [block.register_forward_hook(note) for block in trained.blocks]
        trained(torch.tensor([ids]))
        for hook in hooks:
            hook.remove()
        return torch.stack([trained.logits(trained.final_norm(x[0])) for x in streams])

    outputs = [block.attention.output.weight.data for block in trained.blocks]  # type: ignore[union-attr]
    return Reference(lens, outputs)


@pytest.fixture(params=[*SHAPES, *OTHERS, "classic"])
def pair(request: Any, make_run: Any, tmp_path: Path) -> tuple[Model, Reference]:
    """A model, and the reference with the same weights."""
    run, step, trained = make_run(**(SHAPES | OTHERS).get(request.param, {"family": "classic"}))
    model = Model(run.model_config, map_weights(run.model_config, step.path))
    if request.param == "classic":
        return model, of_training(trained)
    export_to_huggingface(run, step, tmp_path / "hf")
    return model, of_transformers(tmp_path / "hf")


def test_surprise(pair: tuple[Model, Reference]) -> None:
    model, theirs = pair
    found, logs = surprise(model.run(IDS), IDS), theirs.logprobs(IDS)
    close(found.logprobs, logs[np.arange(len(IDS) - 1), IDS[1:]])
    close(found.entropies, -(np.exp(logs) * logs).sum(-1)[:-1])
    for place, token in enumerate(IDS[1:]):
        assert found.ranks[place] == 1 + (logs[place] > logs[place, token]).sum()
    best = np.argsort(-logs, 1)[:, :LIKELIEST]
    assert found.best_ids.tolist() == best.tolist()
    close(found.best_logprobs, np.take_along_axis(logs, best, 1))


def test_lens(pair: tuple[Model, Reference]) -> None:
    model, theirs = pair
    found, logs = lens(model, model.run(IDS)), log_softmax(theirs.lens(IDS))
    assert found.best_ids.tolist() == logs.argmax(-1).tolist()
    close(found.best_logprobs, logs.max(-1))
    close(found.divergences, (np.exp(logs[-1]) * (logs[-1] - logs)).sum(-1))
    assert not found.divergences[-1].any()


def test_attention_weights_are_shares(pair: tuple[Model, Reference]) -> None:
    weights = attention_weights(pair[0].run(IDS))
    assert weights.sum(-1) == pytest.approx(np.ones(weights.shape[:-1]), abs=1e-5)
    assert not np.triu(weights, 1).any(), "no position looks at a later one"


@pytest.mark.parametrize("unknown", [UNKNOWN, None])
def test_without_words(pair: tuple[Model, Reference], unknown: int | None) -> None:
    model, theirs = pair
    prompt, continuation = IDS[:7], IDS[7:]
    words = [slice(1, 3), slice(3, 4), slice(4, 7)]
    done: list[int] = []
    falls = without_words(model, prompt, words, continuation, unknown, progress=done.append)
    whole, expected = theirs.logprob(prompt, continuation), []
    for word in words:
        erased = list(prompt)
        erased[word] = [] if unknown is None else [unknown] * len(erased[word])
        expected.append(whole - theirs.logprob(erased, continuation))
    close(falls, np.array(expected), scale=abs(whole))
    assert done == [1, 2, 3]


def test_without_heads(pair: tuple[Model, Reference]) -> None:
    model, theirs = pair
    rises = without_heads(model, model.run(IDS), IDS)
    width = model.config.head_dim
    whole = theirs.logprob(IDS[:1], IDS[1:])
    expected = np.empty_like(rises)
    for layer, head in np.ndindex(*rises.shape):
        part = theirs.outputs[layer][:, head * width : (head + 1) * width]
        kept = part.clone()
        part.zero_()
        expected[layer, head] = whole - theirs.logprob(IDS[:1], IDS[1:])
        part.copy_(kept)
    close(rises, expected, scale=abs(whole))


def test_words_begin_after_white_space() -> None:
    tokens = [b"", b"The", b" o", b"ld", b" ", b"\n", b"fox", b".", b"  two", b"", b"end"]
    found = [b"".join(tokens[word]) for word in words_of(tokens)]
    assert found == [b"The", b" old", b" \nfox.", b"  two", b"end"]
    assert words_of([]) == []
