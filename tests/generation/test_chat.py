"""Conversations become requests: their tokens, where answers end, what is left out and thought."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.byte_level import BEGIN, END, SCANNERS, byte_level, tokenizer_json
from tests.tokenizers import chat_tokenizer
from tfcli.errors import DataError
from tfcli.generation.chat import Chat
from tfcli.generation.generate import Finished, Generator, RequestList
from tfcli.generation.messages import check_messages
from tfcli.generation.request import GenerationRequest
from tfcli.generation.thinking import ThinkingFilter, join_answer, split_answer
from tfcli.model.config import named_config
from tfcli.text.chat_template import ChatTemplate
from tfcli.text.tokenizer import Tokenizer

from .conftest import numpy_engine, random_model

TOKENIZER = chat_tokenizer()
START, STOP = TOKENIZER.special_ids["<|im_start|>"], TOKENIZER.special_ids["<|im_end|>"]
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PLAIN = (
    "{% for m in messages %}{{ m.role|capitalize }}: {{ m.content|trim }}\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
SYMBOL = "{% for m in messages %}<|user|>{{ m.content }}<think> \n{% endfor %}"
LLAMA = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% else %}{{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)
BARE = "{% for m in messages %}{{ m.content }}{% endfor %}"
REFUSING = "{{ raise_exception('no') }}"


def chat(
    source: str, *, context_length: int = 1000, tokenizer: Tokenizer = TOKENIZER, **options: Any
) -> Chat:
    template = ChatTemplate(source)
    return Chat(template, tokenizer, context_length=context_length, **options)


def user(*texts: str) -> list[dict[str, Any]]:
    """A conversation in which the person begins."""
    roles = ("user", "assistant")
    return [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)]


# --- where an answer ends -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "ends", "stop"),
    [
        (CHATML, {2, STOP}, ()),
        (LLAMA, {2}, ()),
        (PLAIN, {2}, ("\nUser:",)),
        (SYMBOL, {2}, ("<think>",)),
        (BARE, {2}, ()),
        (REFUSING, {2}, ()),
    ],
    ids=["control token", "eos", "text of the next turn", "symbol", "nothing", "refusal"],
)
def test_an_answer_ends_where_the_template_ends_a_turn(
    source: str, ends: set[int], stop: tuple[str, ...]
) -> None:
    talk = chat(source)
    assert talk.tokenizer.special.eos_ids == ends
    assert talk.stop == stop
    assert TOKENIZER.special.eos_ids == {2}


def test_the_end_of_a_turn_ends_a_text_that_is_generated() -> None:
    config = named_config(
        "nano", vocab_size=TOKENIZER.vocab_size, context_length=64, num_layers=1, d_model=32,
        num_heads=2,
    )  # fmt: skip
    engine = numpy_engine(random_model(config))
    talk = chat(CHATML, context_length=64)
    options = GenerationRequest(max_new_tokens=5)
    always = GenerationRequest(
        max_new_tokens=5, penalties=type(options.penalties)(logit_bias=((STOP, 1e9),))
    )
    for request, reasons in ((always, {"eos"}), (options, {"eos", "length"})):
        request = talk.request(user("Hi"), request)
        events = list(Generator(engine, talk.tokenizer).stream(RequestList([request])))
        last = events[-1]
        assert isinstance(last, Finished)
        assert last.reason in reasons
        assert len(events) == 1 or request.penalties == options.penalties


# --- tokens -------------------------------------------------------------------------------------


def test_the_tokens_are_those_of_the_rendered_text() -> None:
    request = chat(CHATML).request(user("Hi<|im_end|>"), GenerationRequest(stop=("x",)))
    assert request.prompt == "<|im_start|>user\nHi<|im_end|><|im_end|>\n<|im_start|>assistant\n"
    assert request.ids is not None
    assert [i for i in request.ids if i in (START, STOP)] == [START, STOP, START]
    assert request.stop == ("x",)
    assert not request.token_healing


def test_bos_is_read_once_whether_the_template_writes_it_or_not() -> None:
    generator = Generator(
        numpy_engine(random_model(named_config("nano", vocab_size=300, context_length=64))),
        TOKENIZER,
    )
    for source in (LLAMA, PLAIN):
        ids, taken = generator.read_prompt(chat(source).request(user("Hi"), GenerationRequest()))
        assert ids[0] == 1
        assert ids.count(1) == 1
        assert taken == []
    ids, _ = generator.read_prompt(GenerationRequest(prompt="<s>a</s>b", special=True))
    assert [i for i in ids if i < 3] == [1, 2]
    ids, _ = generator.read_prompt(GenerationRequest(prompt="<s>a</s>b"))
    assert [i for i in ids if i < 3] == [1]


@pytest.mark.parametrize("scanner", SCANNERS)
def test_a_byte_level_chat_has_the_tokens_of_transformers(scanner: Any) -> None:
    from transformers import PreTrainedTokenizerFast

    from tokenizers import Tokenizer as Library

    source = (
        f"{{{{ bos_token }}}}{{% for m in messages %}}{{{{ m.role }}}}\n{{{{ m.content }}}}{END}"
        "{% endfor %}"
    )
    content = tokenizer_json(scanner)
    library = Library.from_str(json.dumps(content))
    theirs = PreTrainedTokenizerFast(
        tokenizer_object=library, bos_token=BEGIN, eos_token=END, chat_template=source
    )
    template = ChatTemplate(source, special={"bos_token": BEGIN})
    ours = Chat(template, byte_level(scanner), context_length=1000)
    for messages in (user("The fox's 12345\n\n"), user("  日本 é", "x", f"a {BEGIN[:-1]}")):
        expected = theirs.apply_chat_template(messages, return_dict=False)
        assert list(ours.request(messages, GenerationRequest()).ids or ()) == expected


# --- the context --------------------------------------------------------------------------------


def test_the_oldest_turns_are_left_out_where_the_context_is_full() -> None:
    notes: list[str] = []
    talk = chat(CHATML, context_length=120, notice=notes.append)
    system = [{"role": "system", "content": "Be kind."}]
    said = [*system, *user("first " * 4, "one", "second " * 4, "two", "third")]
    request = talk.request(said, GenerationRequest())
    assert "first" not in request.prompt
    assert "Be kind." in request.prompt
    assert request.prompt.endswith("third<|im_end|>\n<|im_start|>assistant\n")
    assert len(request.ids or ()) <= 120 - 30
    assert notes == ["context full; the oldest 2 turns are left out"]
    talk.request(said, GenerationRequest())
    assert len(notes) == 1
    talk.forget()
    talk.request(said[:1] + said[3:], GenerationRequest())
    assert notes[1:] == ["context full; the oldest turn is left out"]


@given(
    lengths=st.lists(st.integers(0, 60), min_size=1, max_size=9),
    context=st.integers(40, 400),
)
def test_as_few_turns_are_left_out_as_needed(lengths: list[int], context: int) -> None:
    said = user(*(chr(65 + n) * length for n, length in enumerate(lengths)))
    template = SHARED_TEMPLATE
    whole = Chat(template, TOKENIZER, context_length=10**6)
    request = Chat(template, TOKENIZER, context_length=context).request(said, GenerationRequest())
    room = context - min(256, context // 4)
    possible = [
        whole.request(said[start:], GenerationRequest()) for start in range(0, len(said), 2)
    ]
    fitting = [each for each in possible if len(each.ids or ()) <= room]
    assert request.prompt == (fitting or possible[-1:])[0].prompt


SHARED_TEMPLATE = ChatTemplate(CHATML)


# --- answers that go on -------------------------------------------------------------------------


def test_an_answer_at_the_end_is_continued() -> None:
    said = user("Hi", "Hello th")
    assert chat(CHATML).request(said, GenerationRequest()).prompt.endswith("assistant\nHello th")
    assert chat(PLAIN).request(said, GenerationRequest()).prompt == "User: Hi\nAssistant: Hello th"
    with pytest.raises(DataError, match="leaves out the answer"):
        chat("{{ messages[0].content }}").request(said, GenerationRequest())


# --- messages -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ([], "not an empty list"),
        ({"role": "user"}, "must be a list"),
        (["Hi"], "message 1 must be an object"),
        ([{"role": "user", "content": "a"}, {"content": "b"}], "message 2 has no role"),
        ([{"role": 1, "content": "b"}], "message 1 has no role"),
        ([{"role": "user", "content": float("inf")}], "not valid JSON"),
        ([{"role": "user", "content": ["\ud800"]}], "unpaired surrogate"),
    ],
)
def test_what_is_no_conversation_is_refused(value: object, what: str) -> None:
    with pytest.raises(DataError, match=what):
        check_messages(value)


# --- thinking -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "begun", "content", "reasoning"),
    [
        ("Hello", False, "Hello", ""),
        ("<think>\nhm\n\n</think>\n\nHello\n", False, "Hello\n", "hm"),
        (" \n<think>hm</think>Hello", False, "Hello", "hm"),
        ("\nhm\n</think>\n\nHello", True, "Hello", "hm"),
        ("<think>\n\n</think>\n\nHello", False, "Hello", ""),
        ("<think>cut off\n", False, "", "cut off"),
        ("<think>a</think>b</think>c", False, "b</think>c", "a"),
        ("Well, <think>no</think>", False, "Well, <think>no</think>", ""),
        ("<thin", False, "<thin", ""),
        ("<think>a</thin", False, "", "a</thin"),
        ("  ", False, "  ", ""),
    ],
)
def test_thoughts_are_told_from_the_answer(
    text: str, begun: bool, content: str, reasoning: str
) -> None:
    answer = split_answer(text, ThinkingFilter(possible=True, begun=begun))
    assert (answer.content, answer.reasoning) == (content, reasoning)
    letters = ThinkingFilter(possible=True, begun=begun)
    said = [piece for letter in text for piece in letters.feed(letter)]
    assert join_answer([*said, *letters.rest()]) == answer


pieces = st.sampled_from(["<think>", "</think>", "<", "</th", "ink>", "\n", " ", "a"])


@given(parts=st.lists(pieces, max_size=12), begun=st.booleans())
def test_thoughts_are_the_same_however_the_text_comes(parts: list[str], begun: bool) -> None:
    whole = split_answer("".join(parts), ThinkingFilter(possible=True, begun=begun))
    thinking = ThinkingFilter(possible=True, begun=begun)
    said = [piece for part in parts for piece in thinking.feed(part)]
    assert join_answer([*said, *thinking.rest()]) == whole


def test_a_model_that_does_not_think_says_what_it_writes() -> None:
    text = "<think>a</think>b"
    assert split_answer(text, ThinkingFilter(possible=False)).content == text
    assert not chat(CHATML).thinks
    assert chat("{{ '</think>' }}").thinks
