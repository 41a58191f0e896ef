"""Chat templates: the same text as transformers renders, or the same refusal; and no harm."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from typing import Any

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers.utils.chat_template_utils import render_jinja_template

from tests.beside import folder_beside
from tfcli.errors import DataError, UsageError
from tfcli.text import chat_template
from tfcli.text.chat_template import ChatTemplate
from tfcli.text.pairs import PairForm

SHARED = folder_beside("tokenizers")  # templates of real models, where they are
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}

# What the templates of real models are made of, in few lines.
OWN = {
    "chatml": (
        "{%- for message in messages %}\n"
        "    {%- if loop.first and message.role != 'system' %}\n"
        "        {{- '<|im_start|>system\\nBe brief.<|im_end|>\\n' }}\n"
        "    {%- endif %}\n"
        "    {{- '<|im_start|>' + message['role'] + '\\n' + message['content'] }}\n"
        "    {{- '<|im_end|>' + '\\n' }}\n"
        "{%- endfor %}\n"
        "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{%- endif %}"
    ),
    "alternating": (
        "{{ bos_token }}{% if messages[0].role == 'system' %}"
        "{% set system = messages[0].content|trim + '\\n\\n' %}{% set messages = messages[1:] %}"
        "{% else %}{% set system = '' %}{% endif %}"
        "{% for message in messages %}"
        "{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('Roles must alternate user/assistant') }}{% endif %}"
        "{% if message.role == 'user' %}[INST] {{ system if loop.first }}"
        "{{ message.content.strip() }} [/INST]"
        "{% else %} {{ message.content | trim }}{{ eos_token }}{% endif %}{% endfor %}"
    ),
    "thinking": (
        "{%- set ns = namespace(last=-1) -%}\n"
        "{%- for message in messages[::-1] -%}\n"
        "    {%- if ns.last < 0 and message.role == 'user' -%}\n"
        "        {%- set ns.last = messages|length - 1 - loop.index0 -%}\n"
        "    {%- endif -%}\n"
        "{%- endfor -%}\n"
        "{% macro turn(role, text) %}<|{{ role }}|>\n{{ text }}</s>\n{% endmacro %}\n"
        "{% for message in messages %}\n"
        "    {% if message.role == 'tool' %}{% continue %}{% endif %}\n"
        "    {% set content = message.content if message.content is string else '' %}\n"
        "    {% set thought = message.reasoning_content | default('', true) %}\n"
        "    {% if '</think>' in content %}\n"
        "        {% set thought = content.split('</think>')[0].split('<think>')[-1].strip() %}\n"
        "        {% set content = content.split('</think>')[-1].lstrip('\\n') %}\n"
        "    {% endif %}\n"
        "    {% if message.role == 'assistant' %}\n"
        "        {% generation %}{{ '<think>' ~ thought ~ '</think>' if thought and"
        " loop.index0 > ns.last }}{{ turn('assistant', content) }}{% endgeneration %}\n"
        "    {% else %}{{ turn(message.role, content) }}{% endif %}\n"
        "{% endfor %}\n"
        "{% if tools is none and documents is none %}{{ strftime_now('%Y') }}{% endif %}\n"
        "{{ {'é': 1, 'b': '<&>'} | tojson(indent=2) }}{{ dict(a=1) | tojson }}"
        "{{ '<|assistant|>\\n' if add_generation_prompt }}"
    ),
    "tools": (
        "{% for m in messages %}{% if 'tool_calls' in m %}{% for call in m.tool_calls %}"
        "{% set call = call.function if call.function is defined else call %}"
        "<tool_call>{{ call.name }} {{ call.arguments | tojson }}</tool_call>{% endfor %}"
        "{% elif m.content is mapping or m.content is iterable and m.content is not string %}"
        "{{ m.content | tojson }}{% else %}{{ m.role | upper }}: {{ m.content }}\n{% endif %}"
        "{% if m.role == 'quit' %}{% break %}{% endif %}{% endfor %}"
    ),
}
CALL = {"function": {"name": "search", "arguments": {"text": "¿qué?", "n": 2}}}
CONVERSATIONS: list[list[dict[str, Any]]] = [
    [{"role": "user", "content": "Hello"}],
    [{"role": "system", "content": " Be kind. \n"}, {"role": "user", "content": ""}],
    [
        {"role": "user", "content": "¿Qué?  日本 \U0001f600\r\n\ttab"},
        {"role": "assistant", "content": "\n<think>\nhm\n</think>\n\nNada."},
        {"role": "user", "content": "e\u0301 <b>&amp;</b> 'quoted' \"double\" {{ 7 * 7 }}"},
    ],
    [{"role": "user", "content": "one"}, {"role": "user", "content": "two"}],
    [{"role": "assistant", "content": "first"}, {"role": "system", "content": "late"}],
    [{"role": "narrator", "content": "Once"}, {"role": "quit", "content": "x"}],
    [
        {"role": "user", "content": "Find it."},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "content": "a", "name": "search"},
        {"role": "tool", "content": {"found": ["b"]}},
        {"role": "assistant", "content": "It is b.", "reasoning": "b is it"},
    ],
    [{"role": "user"}],
    [{"role": "user", "content": [{"type": "text", "text": "part"}]}],
    [{"role": "assistant", "content": "", "thinking": "thought"}],
]


def sources() -> dict[str, str]:
    real = sorted(SHARED.glob("*.jinja")) if SHARED.is_dir() else []
    return OWN | {path.stem: path.read_text(encoding="utf-8") for path in real}


@pytest.fixture(scope="module", params=sources())
def template(request: pytest.FixtureRequest) -> Iterator[ChatTemplate]:
    opened = ChatTemplate(sources()[request.param])
    yield opened
    opened.close()


def reference(source: str, messages: list[dict[str, Any]], *, ends: bool) -> str | None:
    """What transformers renders; None where the template cannot be rendered."""
    # `apply_chat_template` leaves out what is None, and then calls this
    kept = [{key: each for key, each in m.items() if each is not None} for m in messages]
    try:
        (text,), _ = render_jinja_template(
            [kept], chat_template=source, add_generation_prompt=not ends, **SPECIAL
        )
    except (jinja2.TemplateError, TypeError, AttributeError):
        return None
    return str(text)


def ours(template: ChatTemplate, messages: list[dict[str, Any]], *, ends: bool) -> str | None:
    try:
        return template.render(messages, special=SPECIAL, add_generation_prompt=not ends)
    except DataError:
        return None


def test_the_text_is_that_of_transformers(template: ChatTemplate) -> None:
    rendered = 0
    for messages, ends in itertools.product(CONVERSATIONS, (False, True)):
        expected = reference(template.source, messages, ends=ends)
        assert ours(template, messages, ends=ends) == expected
        rendered += expected is not None
    assert rendered >= 4


texts = st.text(st.sampled_from("ab \n<>|/'\"{%}ñ日\U0001f600"), max_size=12)
roles = st.sampled_from(["system", "user", "assistant", "tool", "other"])
turns = st.fixed_dictionaries({"role": roles, "content": texts})


@given(messages=st.lists(turns, min_size=1, max_size=5), ends=st.booleans())
def test_any_conversation_is_rendered_as_by_transformers(
    template: ChatTemplate, messages: list[dict[str, Any]], ends: bool
) -> None:
    assert ours(template, messages, ends=ends) == reference(template.source, messages, ends=ends)


@given(
    said=st.lists(texts, min_size=1, max_size=4),
    separator=st.sampled_from(["\n", "\n\n", " \\ ", "\"'</é🦊>\t"]),
)
def test_the_form_of_pairs_is_a_template(said: list[str], separator: str) -> None:
    form = PairForm("messages", separator)
    turns = [("user" if n % 2 == 0 else "assistant", text) for n, text in enumerate(said)]
    messages = [{"role": role, "content": text} for role, text in turns]
    (expected,), _ = render_jinja_template(
        [messages], chat_template=form.chat_template, add_generation_prompt=True
    )
    assert expected == form.frame_turns(turns)


# --- what is wrong with a template --------------------------------------------------------------

ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
HOSTILE = {
    ENDLESS: "too long" if sys.platform == "win32" else "takes too long",
    "{% for a in range(10**9) %}x{% endfor %}": "Range too big",
    "{{ 'a' * 10**10 }}": "memory",
    "{{ ('a' * 10**7) }}": "memory",
    "{{ 'a'|center(10**10) }}": "memory",
    "{{ '%10000000000d' % 1 }}": "memory",
    "{% for i in range(99999) %}{{ 'a' * 1000 }}{% endfor %}": "memory",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}": "nested too deeply",
    "{{ " + "(" * 20000 + "1" + ")" * 20000 + " }}": "nested too deeply",
    "{{ ''.__class__.__mro__ }}": "unsafe",
    "{{ dict.__init__ }}{{ dict.__init__.__globals__ }}": "unsafe",
    "{% set n = namespace(a=1) %}{% set n.__class__ = 1 %}": "__class__",
    "{% set n = namespace(**{'__init__': 1}) %}": "__init__",
    "{% set _ = messages.append(1) %}": "unsafe",
    "{% include 'other' %}": "no loader",
    "{{ '\\ud800' }}": "surrogates",
    "{% if %}": "line 1",
    "{{ messages[7].role.name }}": "no element 7",
    "{{ raise_exception('not so') }}": "not so",
}


@pytest.mark.parametrize("source", HOSTILE, ids=lambda source: source[:40])
def test_a_template_that_goes_wrong_is_an_error(source: str) -> None:
    template = ChatTemplate(source, "the template of x")
    with pytest.raises(DataError, match="the template of x") as refused:
        template.render(CONVERSATIONS[0], special=SPECIAL)
    assert HOSTILE[source] in (refused.value.why or "")
    assert ("refuses this conversation" in refused.value.what) == ("raise_exc" in source)
    template.close()


def test_an_invalid_template_is_one_every_time() -> None:
    template = ChatTemplate("{% if %}")
    for _ in range(3):
        with pytest.raises(DataError) as refused:
            template.render(CONVERSATIONS[0], special=SPECIAL)
        assert "line 1" in (refused.value.why or "")
    template.close()


def test_a_conversation_goes_on_after_an_error() -> None:
    template = ChatTemplate(f"{{% if messages[0].content == 'loop' %}}{ENDLESS}{{% endif %}}ok")
    for content in ("a", "loop", "b"):
        messages = [{"role": "user", "content": content}]
        if content == "loop":
            with pytest.raises(DataError):
                template.render(messages, special={})
        else:
            assert template.render(messages, special={}) == "ok"
    template.close()


@pytest.mark.skipif(os.name == "nt", reason="asks Linux and macOS")
def test_one_process_renders_a_conversation_and_ends_with_it() -> None:
    template = ChatTemplate(OWN["chatml"])
    renderer = template._renderer
    assert renderer is not None
    for _ in range(3):
        template.render(CONVERSATIONS[0], special=SPECIAL)
    assert template._renderer is renderer
    process = renderer._process
    assert process.poll() is None
    del renderer
    template.close()
    assert process.poll() is not None


def test_a_template_has_a_limit_of_length() -> None:
    with pytest.raises(DataError, match="too long"):
        ChatTemplate("a" * (2 << 20))


def test_without_jinja_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_template, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match="Jinja2") as refused:
        ChatTemplate("")
    assert "tfcli[models]" in (refused.value.hint or "")


def test_an_old_jinja_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from tfcli.text import template_sandbox

    template_sandbox._require_version()
    monkeypatch.setattr(jinja2, "__version__", "3.1.5")
    with pytest.raises(jinja2.exceptions.SecurityError, match=r"3\.1\.5"):
        template_sandbox._require_version()
