"""A prompt that was entered ends a word, which the text does not make longer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.generation.conftest import numpy_engine
from tfcli.generation.beam import beam_search
from tfcli.generation.engines.torch_engine import TorchEngine
from tfcli.generation.generate import Generator, RequestList, TokenEvent
from tfcli.generation.request import GenerationRequest, Penalties, Sampling, StructuredOutput
from tfcli.generation.word_end import WordEnd, ends_in_word
from tfcli.model.transformer import Transformer
from tfcli.text.pairs import PairForm
from tfcli.text.tokenizer import Tokenizer


def first_token(
    model: Transformer,
    tokenizer: Tokenizer,
    request: GenerationRequest,
    form: PairForm | None = None,
) -> TokenEvent:
    generator = Generator(numpy_engine(model), tokenizer, form=form)
    event = next(iter(generator.stream(RequestList([request]))))
    assert isinstance(event, TokenEvent)
    return event


@pytest.mark.parametrize("prompt", ["Ann s", "Ann saw", "José", "Bob 7"])
def test_next_token_does_not_begin_with_a_letter(
    model: Transformer, tokenizer: Tokenizer, prompt: str
) -> None:
    """By brute force, from a full forward pass; greedy."""
    assert tokenizer.special.bos is not None
    ids = [tokenizer.special.bos, *tokenizer.encode(prompt)]
    with torch.no_grad():
        logits = model(torch.tensor([ids]))[0, -1].double().numpy()
    for token, text in enumerate(tokenizer.token_bytes):
        if text.decode(errors="replace")[:1].isalnum():
            logits[token] = -np.inf
    left_out = [*tokenizer.special.control, *tokenizer.byte_ids]
    logits[left_out] = -np.inf
    best = int(logits.argmax())
    request = GenerationRequest(
        prompt=prompt, sampling=Sampling(greedy=True), ends_word=True, max_new_tokens=4,
        ignore_eos=True,
        penalties=Penalties(logit_bias=tuple((token, -np.inf) for token in tokenizer.byte_ids)),
    )  # fmt: skip
    assert first_token(model, tokenizer, request).token == best
    found = beam_search(
        TorchEngine(model, 1), tokenizer, ids, beams=1, max_new_tokens=4,
        logits_processor=Generator(numpy_engine(model), tokenizer).logits_processor(request),
    )  # fmt: skip
    assert found[0].tokens[0] == best


def test_a_text_without_words_goes_on(tokenizer: Tokenizer) -> None:
    spelled = tokenizer.token_bytes
    letters = np.array([text.decode(errors="replace")[:1].isalnum() for text in spelled])
    for share, grows in ((0.99, False), (0.9999, True)):
        logits = np.log(np.where(letters, share / letters.sum(), (1 - share) / (~letters).sum()))
        assert bool(np.isfinite(WordEnd(tokenizer).apply(logits)[letters]).all()) == grows


def test_only_what_follows_the_word_itself_is_masked(
    model: Transformer, tokenizer: Tokenizer
) -> None:
    """The answer to a prompt, or a value of a form, begins with any letter."""
    form = PairForm(separator=" ")
    prompt = GenerationRequest(prompt="Ann saw", sampling=Sampling(greedy=True), max_new_tokens=3)
    ended = GenerationRequest(
        prompt="Ann saw", sampling=Sampling(greedy=True), max_new_tokens=3, ends_word=True
    )
    assert first_token(model, tokenizer, ended, form) == first_token(model, tokenizer, prompt, form)
    answer = GenerationRequest(
        prompt="Ann saw", structured=StructuredOutput(choices=("moon",)), ends_word=True
    )
    assert b"moon".startswith(first_token(model, tokenizer, answer).spelled)
    unhealed = GenerationRequest(
        prompt="Ann s", token_healing=False, sampling=Sampling(greedy=True), max_new_tokens=3
    )
    also = GenerationRequest(
        prompt="Ann s", token_healing=False, sampling=Sampling(greedy=True), max_new_tokens=3,
        ends_word=True,
    )  # fmt: skip
    assert first_token(model, tokenizer, also) == first_token(model, tokenizer, unhealed)


@pytest.mark.parametrize(
    "text", ["El sol", "a", "José", "Jose\u0301", "Иван", "שלום", "مرحبا", "नमस्ते", "42", "naïve"]
)
def test_words_that_spaces_part_end(text: str) -> None:
    assert ends_in_word(text)


@pytest.mark.parametrize(
    "text", ["", "El sol ", "sol.", "sol\n", "吾輩は猫", "ネコ", "학교", "แมว", "don’"]
)
def test_what_is_no_word_or_has_no_spaces_does_not(text: str) -> None:
    assert not ends_in_word(text)
