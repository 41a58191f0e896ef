"""A text under all views: the same numbers as the views', the same tokens as the engines'."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.byte_level import byte_level
from tests.exchange.conftest import make_run, tokenizer
from tfcli.errors import DataError
from tfcli.insight import views
from tfcli.insight.forward import Model
from tfcli.insight.inspection import (
    MOST_BYTES,
    inspect_text,
    require_memory,
    token_name,
)
from tfcli.runs.weights import map_weights

__all__ = ["make_run", "tokenizer"]

PROMPT, THEN = "Nobody saw the moon", " in the snow."


@pytest.fixture(params=["modern", "llama", "gpt2", "classic"])
def model(request: Any, make_run: Any) -> Model:
    run, step, _ = make_run(request.param)
    return Model(run.model_config, map_weights(run.model_config, step.path))


def test_json_has_the_numbers_of_the_views(model: Model, tokenizer: Any) -> None:
    done: list[float] = []
    found = inspect_text(model, tokenizer, PROMPT, THEN, progress=done.append)
    value = found.to_json()
    ids = [1, *tokenizer.encode(PROMPT), *tokenizer.encode_continuation(THEN)]
    values = model.run(ids)
    assert [each["token"] for each in value["tokens"]] == ids
    assert value["text"] == PROMPT + THEN
    surprise = views.surprise(values, ids)
    assert [-each["nats"] for each in value["surprise"]] == pytest.approx(
        surprise.logprobs, abs=1e-6
    )
    assert [each["rank"] for each in value["surprise"]] == surprise.ranks.tolist()
    for each, best in zip(value["surprise"], surprise.best_ids, strict=False):
        assert [other["token"] for other in each["top_logprobs"]] == best.tolist()
    weights = np.array([each["weights"] for each in value["attention"]])
    expected = views.attention_weights(values)
    assert weights == pytest.approx(expected.reshape(-1, *expected.shape[2:]), abs=1e-6)
    lens = views.lens(model, values)
    assert [each["kl"] for each in value["lens"]] == [
        pytest.approx(row, abs=1e-6) for row in lens.divergences
    ]
    assert [[b["token"] for b in each["best"]] for each in value["lens"]] == lens.best_ids.tolist()
    rises = views.without_heads(model, values, ids)
    assert [each["nats"] for each in value["heads"]] == pytest.approx(rises.ravel(), abs=1e-6)
    size = len((PROMPT + THEN).encode())
    assert value["heads"][0]["nats_per_byte"] == pytest.approx(rises[0, 0] / size, abs=1e-6)
    prompt = ids[: 1 + len(tokenizer.encode(PROMPT))]
    rest = ids[len(prompt) :]
    words = views.words_of([tokenizer.token_bytes[i] for i in prompt])
    falls = views.without_words(model, prompt, words, rest, tokenizer.special.unk)
    assert [each["text"] for each in value["prompt"]["words"]] == [
        "Nobody", " saw", " the", " moon"
    ]  # fmt: skip
    assert [w["nats"] for w in value["prompt"]["words"]] == pytest.approx(falls, abs=1e-6)
    assert value["prompt"]["given"]
    assert value["prompt"]["continuation"] == THEN
    assert done[-1] == 1


def test_only_what_was_asked_for_is_computed(model: Model, tokenizer: Any) -> None:
    value = inspect_text(model, tokenizer, PROMPT, shown=["lens"]).to_json()
    assert value.keys() == {"text", "tokens", "lens"}


def test_a_text_may_fill_the_context_but_not_pass_it(model: Model, tokenizer: Any) -> None:
    text = "Bob saw the moon at noon.\n" * 40
    with pytest.raises(DataError) as caught:
        inspect_text(model, tokenizer, text)
    assert "the model sees 96 at once" in caught.value.what
    assert "inspect a part of it" in (caught.value.hint or "")
    ids = tokenizer.encode(text)[:95]
    whole = tokenizer.decode(ids).decode()
    assert tokenizer.encode(whole) == ids
    found = inspect_text(model, tokenizer, whole, shown=["prompt"])
    assert found.prompt is not None
    assert len(found.prompt.continuation) == 1, "there is room to predict one more"
    with pytest.raises(DataError, match="too short"):
        inspect_text(model, tokenizer, "")


def test_what_takes_too_much_memory_is_refused() -> None:
    require_memory(MOST_BYTES)
    with pytest.raises(DataError) as caught:
        require_memory(MOST_BYTES * 4)
    assert caught.value.hint == "inspect a text 2.0 times shorter"


def test_tokens_without_text_have_names(tokenizer: Any) -> None:
    assert [token_name(tokenizer, i) for i in (0, 1, 2)] == ["<unk>", "<bos>", "<eos>"]
    assert token_name(tokenizer, tokenizer.vocab_size) == f"<{tokenizer.vocab_size}>"
    assert token_name(tokenizer, tokenizer.encode(" \xb7")[-1]) == r"\xb7"


def test_without_an_unknown_token_words_are_left_out(make_run: Any) -> None:
    own = byte_level("llama-3")
    assert own.special.unk is None
    run, step, _ = make_run("llama", tokenizer=own)
    model = Model(run.model_config, map_weights(run.model_config, step.path))
    found = inspect_text(model, own, PROMPT, THEN, ["prompt"])
    assert found.prompt is not None
    value = found.to_json()
    assert value["prompt"]["erased_by"] is None
    ids = found.tokens.ids
    rest = ids[found.tokens.start + found.tokens.prompt :]
    short = [*ids[: found.tokens.start], *own.encode(PROMPT.removesuffix(" moon"))]
    whole = views.continuation_logprob(model, ids[: len(ids) - len(rest)], rest)
    without = views.continuation_logprob(model, short, rest)
    assert found.prompt.falls[-1] == pytest.approx(whole - without, abs=1e-5)
    assert value["tokens"][0]["text"].startswith("<")
