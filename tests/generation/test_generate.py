"""The generation loop against a plain slow one that computes everything anew for each token."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import BOOK
from tfcli.errors import UsageError
from tfcli.generation.engines.torch_engine import TorchEngine
from tfcli.generation.generate import generate
from tfcli.generation.request import GenerationRequest
from tfcli.model.config import named_config
from tfcli.model.transformer import Transformer
from tfcli.text.tokenizer import BEGIN, END, UNKNOWN, Tokenizer, train_tokenizer

CONTEXT = 12


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer([BOOK.encode()], text_bytes=len(BOOK), vocab_size=300)[0]


@pytest.fixture(scope="module", params=["modern", "gpt2", "classic"])
def model(request: pytest.FixtureRequest, tokenizer: Tokenizer) -> Transformer:
    config = named_config(
        "nano", vocab_size=tokenizer.vocab_size, context_length=CONTEXT, family=request.param,
        num_layers=2, d_model=32, num_heads=2,
    )  # fmt: skip
    made = Transformer(config).eval()
    torch.manual_seed(1)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made


def plain_greedy(model: Transformer, prompt: list[int], count: int) -> list[int]:
    """The rule of the docs, word for word: `<s>`, the last tokens in view; half of them when full.

    Every token from a full forward pass.
    """
    view = [BEGIN, *prompt[max(0, len(prompt) - CONTEXT + 1) :]]
    written: list[int] = []
    while len(written) < count:
        if len(view) > CONTEXT:
            view = [BEGIN, *view[-(CONTEXT // 2) :]]
        with torch.no_grad():
            logits = model(torch.tensor([view]))[0, -1]
        logits[[UNKNOWN, BEGIN]] = -torch.inf
        token = int(logits.argmax())
        if token == END:
            break
        written.append(token)
        view.append(token)
    return written


@settings(max_examples=15)
@given(prompt=st.text("ab saw José.\n", max_size=30), count=st.integers(0, 40))
def test_greedy_text_is_that_of_full_forward_passes(
    model: Transformer, tokenizer: Tokenizer, prompt: str, count: int
) -> None:
    request = GenerationRequest(prompt=prompt, temperature=0, max_new_tokens=count)
    written = list(generate(TorchEngine(model), tokenizer, request))
    assert written == plain_greedy(model, tokenizer.encode(prompt), count)


def written(model: Transformer, tokenizer: Tokenizer, **wishes: object) -> list[int]:
    request = GenerationRequest(**({"prompt": "Ann", "max_new_tokens": 20} | wishes))  # type: ignore[arg-type]
    return list(generate(TorchEngine(model), tokenizer, request))


def test_the_same_seed_gives_the_same_text_and_another_another(
    model: Transformer, tokenizer: Tokenizer
) -> None:
    first = written(model, tokenizer, seed=7)
    assert written(model, tokenizer, seed=7) == first
    assert any(written(model, tokenizer, seed=seed) != first for seed in range(8, 12))


def test_one_likeliest_token_is_greedy(model: Transformer, tokenizer: Tokenizer) -> None:
    assert written(model, tokenizer, top_k=1) == written(model, tokenizer, temperature=0)


def test_it_ends_where_the_model_ends_the_text(tokenizer: Tokenizer) -> None:
    config = named_config("nano", vocab_size=tokenizer.vocab_size, context_length=CONTEXT)
    ends_at_once = Transformer(config).eval()
    ends_at_once.initialize(0)
    with torch.no_grad():  # every block passes its input on; after anything, </s> is likeliest
        ends_at_once.embedding.weight.fill_(0.1)
        ends_at_once.embedding.weight[END] = 1.0
    assert written(ends_at_once, tokenizer, temperature=0) == []


def test_a_long_prompt_and_a_full_context_are_mentioned_once(
    model: Transformer, tokenizer: Tokenizer
) -> None:
    said: list[str] = []
    request = GenerationRequest(prompt="Ann saw " * 30, temperature=0, max_new_tokens=40)
    list(generate(TorchEngine(model), tokenizer, request, notice=said.append))
    assert len(said) == 2
    assert f"it goes on from the last {CONTEXT - 1}" in said[0]
    assert "its later half stays" in said[1]


def test_without_a_prompt_a_document_begins_where_there_were_many(
    model: Transformer, tokenizer: Tokenizer
) -> None:
    request = GenerationRequest(prompt="", temperature=0, max_new_tokens=8)
    many = list(generate(TorchEngine(model), tokenizer, request, many_documents=True))
    assert many == plain_greedy(model, [END], 8)
    one = list(generate(TorchEngine(model), tokenizer, request, many_documents=False))
    assert one == plain_greedy(model, [], 8)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_new_tokens": -1},
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"top_k": 0},
        {"prompt": "\udcff"},
    ],
)
def test_wishes_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        GenerationRequest(**({"prompt": ""} | wrong))  # type: ignore[arg-type]
