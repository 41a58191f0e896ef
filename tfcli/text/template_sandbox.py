"""Renders a chat template, a program of whoever made the model, in a process of its own.

Jinja2's sandbox keeps a template from files, classes and other code. What it leaves to a template
is time and memory; so this process has little of both, and dies of too much.

    python -m tfcli.text.template_sandbox

It reads a line of JSON for each thing to do: first the template, then the variables of one
rendering after another; and answers each with a line: `text`, or `error` and `refused`.

The environment is that of transformers (`utils/chat_template_utils.py`), for which templates are
written: its settings, its functions, and the tag `generation`.
"""

from __future__ import annotations

import json
import signal
import sys
from datetime import datetime
from typing import Any

import jinja2.ext
import jinja2.nodes
import jinja2.sandbox
from jinja2.exceptions import SecurityError, TemplateError, TemplateSyntaxError

TIME_LIMIT = 0.3  # seconds of the processor, for one answer
MEMORY_LIMIT = 512 << 20  # bytes
OUTPUT_LIMIT = 8 << 20  # characters
OLDEST = (3, 1, 6)  # of Jinja2; there are ways out of the sandbox of earlier ones


class RefusalError(TemplateError):
    """The template itself finds a conversation wrong."""


class _GenerationTag(jinja2.ext.Extension):
    """`{% generation %}` marks what the assistant says, for training; here it changes nothing."""

    tags = {"generation"}  # noqa: RUF012 (that is what Jinja2 reads)

    def parse(self, parser: Any) -> jinja2.nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        call = self.call_method("_render")
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

    def _render(self, caller: Any) -> str:
        return str(caller())


class _Namespace(jinja2.utils.Namespace):
    """`namespace(...)`, without names that lead into Python itself."""

    def __init__(*args: Any, **values: Any) -> None:  # `self=1` is a value, too
        for name in dict(*args[1:], **values):
            _refuse_private(name)
        jinja2.utils.Namespace.__init__(*args, **values)

    def __setitem__(self, name: str, value: Any) -> None:
        _refuse_private(name)
        super().__setitem__(name, value)


def _refuse_private(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a namespace cannot have the attribute {name!r}")


class _Dict:
    """`dict(...)`, without what else a class can do."""

    def __call__(self, *args: Any, **values: Any) -> dict[Any, Any]:
        return dict(*args, **values)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Jinja2's own filter escapes for HTML."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise_exception(message: str) -> None:
    raise RefusalError(message)


def _strftime_now(format: str) -> str:
    return datetime.now().strftime(format)


def compile_template(source: str) -> jinja2.Template:
    """A template as transformers would compile it."""
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationTag, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals |= {
        "raise_exception": _raise_exception, "strftime_now": _strftime_now, "dict": _Dict(),
        "namespace": _Namespace,
    }  # fmt: skip
    return environment.from_string(source)


def render(template: jinja2.Template, variables: dict[str, Any]) -> str:
    """The text of a template, valid and not too long."""
    parts: list[str] = []
    length = 0
    for part in template.generate(variables):
        length += len(part)
        if length > OUTPUT_LIMIT:
            raise MemoryError
        parts.append(part)
    text = "".join(parts)
    text.encode()
    return text


def explain(error: Exception) -> str:
    """What is wrong, for a person."""
    if isinstance(error, TemplateSyntaxError):
        return f"line {error.lineno}: {error.message}"
    if isinstance(error, MemoryError):
        return "its text is too long, or it needs too much memory"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, TemplateError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _limit() -> None:
    try:
        import resource
    except ImportError:  # Windows, where the other process only has a clock
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_time(seconds: float) -> None:
    """Kills this process after so much time of the processor; 0 turns that off."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


def main() -> None:
    """Answers until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the other process
    _limit()
    template: jinja2.Template | None = None
    for line in sys.stdin.buffer:
        task = json.loads(line)
        _limit_time(TIME_LIMIT)
        answer: dict[str, Any] = {"text": ""}
        try:
            if template is None:
                _require_version()
                template = compile_template(task)
            else:
                answer = {"text": render(template, task)}
        except Exception as error:  # a template may raise whatever Python can
            answer = {"error": explain(error)[:1000], "refused": isinstance(error, RefusalError)}
        _limit_time(0)
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
        sys.stdout.buffer.flush()


def _require_version() -> None:
    found = vars(jinja2).get("__version__", "99")  # later ones do not have it, unless asked
    if tuple(int(part) for part in found.split(".")[:3] if part.isdecimal()) < OLDEST:
        raise SecurityError(
            f"Jinja2 {found} is not safe; it has to be {'.'.join(map(str, OLDEST))} or later"
        )


if __name__ == "__main__":
    main()
