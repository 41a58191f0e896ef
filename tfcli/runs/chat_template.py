"""The chat template that a run keeps, as its model's author wrote it."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from tfcli.errors import DamagedError, NotFoundError
from tfcli.runs.kept_files import CHAT_TEMPLATE, TOKENIZER_CONFIG, read_kept_files
from tfcli.text.chat_template import ChatTemplate

if TYPE_CHECKING:
    from tfcli.runs.run import Run


def open_chat_template(run: Run) -> ChatTemplate:
    """The template of a run, ready to be rendered.

    A run that was trained on conversations has that of its pairs where it has no other.

    Raises:
        NotFoundError: it has none.
        DamagedError, DataError, InputOutputError: the file cannot be one, or cannot be read.
        UsageError: Jinja2 is not installed.

    """
    path = run.path / CHAT_TEMPLATE
    files = read_kept_files(run.path)
    if CHAT_TEMPLATE not in files and run.form and run.form.kind == "messages":
        return ChatTemplate(run.form.chat_template, "the form of the run's conversations")
    if CHAT_TEMPLATE not in files:
        raise NotFoundError(
            f"run {run.name!r} has no chat template",
            why=f"a model is talked to in the form it was trained on, which {path} would hold",
            hint=f"tfcli generate -i --run {shlex.quote(run.argument)}   # continues a text; "
            "docs/chat.md has more",
        )
    try:
        source = files[CHAT_TEMPLATE].decode()
    except UnicodeDecodeError:
        raise DamagedError(f"{path} is not valid UTF-8") from None
    special = _named_tokens(files.get(TOKENIZER_CONFIG, b"{}"))
    return ChatTemplate(source, str(path), special=special)


def _named_tokens(config: bytes) -> dict[str, str]:
    """What `tokenizer_config.json` calls the special tokens: `bos_token`, `eos_token` and so on."""
    try:
        values = json.loads(config)
    except (ValueError, RecursionError):
        return {}
    found: dict[str, Any] = {}
    for name, value in values.items() if isinstance(values, dict) else ():
        text = value.get("content") if isinstance(value, dict) else value
        if name.endswith("_token") and isinstance(text, str):
            found[name] = text
    return found
