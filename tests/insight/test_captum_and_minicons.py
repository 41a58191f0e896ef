"""The views of `tfcli inspect` against captum and minicons, which know nothing of tfcli.

`classic` has no export, since no other program has it: captum takes the model that was trained.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.exchange.conftest import SHAPES, make_run, tokenizer
from tests.insight.test_forward import OTHERS, close
from tfcli.exchange.export_huggingface import export_to_huggingface
from tfcli.insight.forward import Model
from tfcli.insight.inspection import Inspection, View, inspect_text
from tfcli.insight.views import words_of
from tfcli.runs.weights import map_weights

__all__ = ["make_run", "tokenizer"]

pytestmark = pytest.mark.others

PROMPT, THEN = "Nobody saw the moon by", " the sea."
EXPORTED = SHAPES | OTHERS

Inspect = Callable[..., tuple[Inspection, Any]]


@pytest.fixture
def inspect(make_run: Any, tokenizer: Any, tmp_path: Path) -> Inspect:
    """A view of the text, and the model as other programs have it."""

    def made(view: View, shape: dict[str, Any]) -> tuple[Inspection, Any]:
        from transformers import AutoModelForCausalLM

        run, step, trained = make_run(**shape)
        model = Model(run.model_config, map_weights(run.model_config, step.path))
        found = inspect_text(model, tokenizer, PROMPT, THEN, [view])
        if shape["family"] == "classic":
            return found, trained
        export_to_huggingface(run, step, tmp_path / "hf")
        return found, AutoModelForCausalLM.from_pretrained(tmp_path / "hf").eval()

    return made


def logprob(model: Any, ids: Any, first: int) -> Any:
    """Log p of the tokens from `first` on, given those before: (1, T) -> (1,)."""
    output = model(ids)
    logs = getattr(output, "logits", output).double().log_softmax(-1)[0, first - 1 : -1]
    return logs.gather(1, ids[0, first:, None]).sum()[None]


@pytest.mark.parametrize("shape", EXPORTED)
def test_the_surprise_of_each_token_is_that_of_minicons(
    shape: str, inspect: Inspect, tmp_path: Path
) -> None:
    from transformers import PreTrainedTokenizerFast  # AutoTokenizer takes Qwen2's own for Qwen2

    found, model = inspect("surprise", EXPORTED[shape])
    assert found.surprise is not None
    exported = PreTrainedTokenizerFast.from_pretrained(tmp_path / "hf")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what it imports and calls
        from minicons.scorer import IncrementalLMScorer

        scorer = IncrementalLMScorer(model, "cpu", tokenizer=exported)
        (rows,) = scorer.token_score(PROMPT + THEN, surprisal=True, rank=True)
    assert rows[0] == ("<s>", 0, 0), "the export's tokenizer begins each text with it"
    nats, ranks = (np.array([row[i] for row in rows[1:]]) for i in (1, 2))
    close(-found.surprise.logprobs, nats, nats.max())
    assert found.surprise.ranks.tolist() == ranks.tolist()


@pytest.mark.parametrize("shape", [*EXPORTED, "classic"])
def test_the_part_of_each_word_is_that_of_captum(
    shape: str, inspect: Inspect, tokenizer: Any
) -> None:
    from captum.attr import FeatureAblation

    found, model = inspect("prompt", EXPORTED.get(shape, {"family": "classic"}))
    assert found.prompt is not None
    ids = torch.tensor([found.tokens.ids])
    first = ids.shape[1] - found.tokens.then
    words = words_of([tokenizer.token_bytes[i] for i in ids[0, :first].tolist()])
    feature = torch.zeros_like(ids)  # <s> and what follows the prompt: one feature, not looked at
    for number, word in enumerate(words, 1):
        feature[0, word] = number
    with torch.no_grad():
        falls = FeatureAblation(lambda ids: logprob(model, ids, first)).attribute(
            ids, baselines=tokenizer.special.unk, feature_mask=feature
        )
    expected = [falls[0, word.start].item() for word in words]
    close(found.prompt.falls, expected, abs(found.prompt.logprob))


@pytest.mark.parametrize("shape", EXPORTED)
def test_the_part_of_each_head_is_that_of_captum(shape: str, inspect: Inspect) -> None:
    from captum.attr import LayerFeatureAblation

    found, model = inspect("heads", EXPORTED[shape])
    assert found.heads is not None
    ids = torch.tensor([found.tokens.ids])
    gpt2 = hasattr(model, "transformer")
    for layer, rises in enumerate(found.heads):
        output = model.transformer.h[layer].attn.c_proj if gpt2 else (
            model.model.layers[layer].self_attn.o_proj
        )  # fmt: skip
        width = output.weight.shape[0 if gpt2 else 1] // len(rises)
        head = torch.arange(len(rises)).repeat_interleave(width)[None, None]
        ablation = LayerFeatureAblation(lambda ids: logprob(model, ids, 1), output)
        with torch.no_grad():
            falls = ablation.attribute(
                ids, layer_baselines=0, layer_mask=head, attribute_to_layer_input=True
            )
            scale = abs(logprob(model, ids, 1).item())
        close(rises, falls[0, 0, ::width].numpy(), scale)
