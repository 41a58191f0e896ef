"""Nats per byte against a plain sum of log-probabilities, token by token."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.conftest import Workshop
from tfcli.model.transformer import Transformer
from tfcli.text.sentencepiece_tokenizer import BEGIN, END
from tfcli.training.evaluation import evaluate_documents, evaluate_tokens


def random_model(workshop: Workshop, context: int) -> Transformer:
    model = Transformer(workshop.job(context_length=context).model_config, dropout=0.5)
    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model.to(workshop.device)


def plain_nats(model: Transformer, seen: list[int], token: int) -> float:
    ids = torch.tensor([seen], device=model.embedding.weight.device)
    logits = model(ids)[0, -1].detach().cpu().double()
    return -float(logits.log_softmax(0)[token])


def test_loss_over_sliding_windows_is_the_plain_sum(workshop: Workshop) -> None:
    model = random_model(workshop, context=8).eval()
    tokens = workshop.tokens.held_out[:61]
    measured = evaluate_tokens(model, tokens, workshop.tokenizer)
    assert measured is not None
    nats = 0.0
    for i, token in enumerate(tokens.tolist()):
        window = tokens[max(0, i - i % 4 - 4) : i].tolist()  # 8 tokens, stride 4
        nats += plain_nats(model, [BEGIN, *window], token)
    text = workshop.tokenizer.decode(tokens)
    assert measured.nats_per_byte == pytest.approx(nats / len(text), rel=1e-5)
    assert (measured.bytes, measured.tokens, measured.whole) == (len(text), 61, True)


def test_each_document_is_evaluated_after_eos(workshop: Workshop) -> None:
    model = random_model(workshop, context=16).eval()
    documents = [workshop.tokenizer.encode("Ann saw a ship."), workshop.tokenizer.encode("José")]
    tokens = np.array([t for d in documents for t in (*d, END)], np.uint16)
    measured = evaluate_documents(model, tokens, workshop.tokenizer)
    assert measured is not None
    nats = 0.0
    for document in documents:
        for i, token in enumerate([*document, END]):
            nats += plain_nats(model, [BEGIN, END, *document[:i]], token)
    assert measured.bytes == len("Ann saw a ship.") + len("José".encode())
    assert measured.nats_per_byte == pytest.approx(nats / measured.bytes, rel=1e-5)


def test_loss_of_a_uniform_model_is_log_vocab_size(
    workshop: Workshop,
) -> None:
    model = Transformer(workshop.job().model_config).to(workshop.device)
    with torch.no_grad():
        model.embedding.weight.zero_()
    measured = evaluate_tokens(model, workshop.tokens.held_out, workshop.tokenizer)
    assert measured is not None
    expected = math.log(300) * measured.tokens / measured.bytes
    assert measured.nats_per_byte == pytest.approx(expected, rel=1e-5)
    assert measured.bytes == workshop.tokens.held_out_bytes


def test_evaluation_restores_training_mode(workshop: Workshop) -> None:
    model = random_model(workshop, context=8).train()
    evaluate_tokens(model, workshop.tokens.held_out, workshop.tokenizer, limit=16)
    assert model.training


def test_limited_evaluation_is_marked_as_partial(workshop: Workshop) -> None:
    model = random_model(workshop, context=8)
    part = evaluate_tokens(model, workshop.tokens.held_out, workshop.tokenizer, limit=64)
    assert part is not None
    assert not part.whole
    assert part.tokens <= 64


def test_text_without_bytes_has_no_evaluation(workshop: Workshop) -> None:
    model = random_model(workshop, context=8)
    assert evaluate_tokens(model, np.array([END], np.uint16), workshop.tokenizer) is None


LITTLE_MEMORY = """
import resource, sys
import numpy as np, torch
from tests.training.helpers import SPECIAL
from tfcli.model.config import ModelConfig
from tfcli.model.transformer import Transformer
from tfcli.training.evaluation import evaluate_tokens

class Bytes:
    special, token_bytes = SPECIAL, [b"x"] * VOCAB

config = ModelConfig(
    vocab_size=VOCAB, context_length=1024, num_layers=1, d_model=32, num_heads=1, num_kv_heads=1,
    head_dim=32, d_ff=32,
)
model = Transformer(config)
tokens = np.arange(2600, dtype=np.uint16) % (VOCAB - 3) + 3
evaluate_tokens(model, tokens[:1100], Bytes)  # threads and kernels allocate theirs
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + (ROOM << 20), -1))
print(evaluate_tokens(model, tokens, Bytes).tokens)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc to set the limit")
@pytest.mark.parametrize(("vocab_size", "room"), [(32_768, 600), (300, 100)])
def test_evaluation_memory_does_not_grow_with_vocabulary(vocab_size: int, room: int) -> None:
    """The logits of 16 rows of 1,024 tokens and 32,768 entries would take 2 GB."""
    code = LITTLE_MEMORY.replace("VOCAB", str(vocab_size)).replace("ROOM", str(room))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("2600\n", 0), done.stderr


def test_batch_that_does_not_fit_is_halved(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = random_model(workshop, context=8)
    wanted = evaluate_tokens(model, workshop.tokens.held_out, workshop.tokenizer)
    hidden_states = model.hidden_states

    def few_rows(ids: torch.Tensor, **others: Any) -> torch.Tensor:
        if len(ids) > 3:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return hidden_states(ids, **others)

    monkeypatch.setattr(model, "hidden_states", few_rows)
    measured = evaluate_tokens(model, workshop.tokens.held_out, workshop.tokenizer)
    assert wanted is not None
    assert measured is not None
    assert measured.nats_per_byte == pytest.approx(wanted.nats_per_byte, rel=1e-6)
    assert measured.tokens == wanted.tokens
