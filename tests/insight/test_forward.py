"""Every intermediate result against transformers' own: hidden states, attention, logits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.exchange.conftest import SHAPES, make_run, tokenizer
from tfcli.exchange.export_huggingface import export_to_huggingface
from tfcli.insight.forward import Model
from tfcli.runs.weights import map_weights

__all__ = ["make_run", "tokenizer"]

IDS = [1, 17, 300, 5, 260, 261, 42, 42, 7, 350]
OTHERS: dict[str, dict[str, Any]] = {
    "llama, sliding window": {"family": "llama", "sliding_window": 4},
    "modern, wide heads": {"family": "modern", "head_dim": 48},
}


def close(ours: Any, theirs: Any, scale: float | None = None) -> None:
    """To 1e-5 of the largest, or of the numbers that both are differences of."""
    theirs = theirs.detach().numpy() if isinstance(theirs, torch.Tensor) else theirs
    scale = np.abs(theirs).max() if scale is None else scale
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.parametrize("shape", [*SHAPES, *OTHERS])
def test_every_value_is_that_of_transformers(shape: str, make_run: Any, tmp_path: Any) -> None:
    from transformers import AutoModelForCausalLM

    run, step, _ = make_run(**(SHAPES | OTHERS)[shape])
    export_to_huggingface(run, step, tmp_path / "hf")
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "hf", attn_implementation="eager")
    model = Model(run.model_config, map_weights(run.model_config, step.path))
    with torch.no_grad():
        expected = theirs(torch.tensor([IDS]), output_hidden_states=True, output_attentions=True)
    found = model.run(IDS)
    close(found.logits, expected.logits[0])
    close(found.embedded, expected.hidden_states[0][0])
    for block, hidden, weights in zip(
        found.blocks, expected.hidden_states, expected.attentions, strict=False
    ):
        close(block.before, hidden[0])
        close(block.attention.weights, weights[0])
    close(found.normed, expected.hidden_states[-1][0])


@pytest.mark.parametrize("shape", ["modern, grouped queries", "llama, tied", "gpt2"])
def test_a_head_at_zero_is_its_columns_at_zero(shape: str, make_run: Any, tmp_path: Any) -> None:
    from transformers import AutoModelForCausalLM

    run, step, _ = make_run(**SHAPES[shape])
    export_to_huggingface(run, step, tmp_path / "hf")
    model = Model(run.model_config, map_weights(run.model_config, step.path))
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "hf")
    D = run.model_config.head_dim
    with torch.no_grad():
        if shape == "gpt2":
            theirs.transformer.h[1].attn.c_proj.weight[D : 2 * D] = 0
        else:
            theirs.model.layers[1].self_attn.o_proj.weight[:, D : 2 * D] = 0
        expected = theirs(torch.tensor([IDS])).logits[0]
    x = model.run(IDS).blocks[0].after
    close(model.logits(model.block(1, x, np.array([1, 0], np.float32)).after), expected)


def test_classic_is_that_of_torch(make_run: Any) -> None:
    """No other program has it, so its reference is the model that was trained."""
    run, step, trained = make_run("classic")
    model = Model(run.model_config, map_weights(run.model_config, step.path))
    with torch.no_grad():
        close(model.run(IDS).logits, trained(torch.tensor([IDS]))[0])
