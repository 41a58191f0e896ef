"""Nats a byte against a plain sum of log-probabilities, token by token."""

from __future__ import annotations

import math

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
    return model


def plain_nats(model: Transformer, seen: list[int], token: int) -> float:
    logits = model(torch.tensor([seen]))[0, -1].detach().double()
    return -float(logits.log_softmax(0)[token])


def test_whole_windows_give_the_plain_sum(workshop: Workshop) -> None:
    model = random_model(workshop, context=8).eval()
    tokens = workshop.tokens.held_out[:61]
    measured = evaluate_tokens(model, tokens, workshop.tokenizer)
    assert measured is not None
    nats = 0.0
    for i, token in enumerate(tokens.tolist()):
        window = tokens[max(0, i - i % 4 - 4) : i].tolist()  # 8 tokens that move by 4
        nats += plain_nats(model, [BEGIN, *window], token)
    text = workshop.tokenizer.decode(tokens)
    assert measured.nats_per_byte == pytest.approx(nats / len(text), rel=1e-5)
    assert (measured.bytes, measured.tokens, measured.whole) == (len(text), 61, True)


def test_documents_are_measured_each_after_an_end(workshop: Workshop) -> None:
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


def test_a_model_that_knows_nothing_costs_the_logarithm_of_the_vocabulary(
    workshop: Workshop,
) -> None:
    model = Transformer(workshop.job().model_config)
    with torch.no_grad():
        model.embedding.weight.zero_()
    measured = evaluate_tokens(model, workshop.tokens.held_out, workshop.tokenizer)
    assert measured is not None
    expected = math.log(300) * measured.tokens / measured.bytes
    assert measured.nats_per_byte == pytest.approx(expected, rel=1e-5)
    assert measured.bytes == workshop.tokens.held_out_bytes


def test_the_model_goes_on_training_afterwards(workshop: Workshop) -> None:
    model = random_model(workshop, context=8).train()
    evaluate_tokens(model, workshop.tokens.held_out, workshop.tokenizer, limit=16)
    assert model.training


def test_a_part_is_said_to_be_a_part(workshop: Workshop) -> None:
    model = random_model(workshop, context=8)
    part = evaluate_tokens(model, workshop.tokens.held_out, workshop.tokenizer, limit=64)
    assert part is not None
    assert not part.whole
    assert part.tokens <= 64


def test_no_text_is_no_measurement(workshop: Workshop) -> None:
    model = random_model(workshop, context=8)
    assert evaluate_tokens(model, np.array([END], np.uint16), workshop.tokenizer) is None
