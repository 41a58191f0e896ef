"""The chat template that a run keeps, as its model's author wrote it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from tfcli.errors import DamagedError, NotFoundError
from tfcli.files import require_regular_file, translate_os_error
from tfcli.text.chat_template import MAX_TEMPLATE, ChatTemplate

if TYPE_CHECKING:
    from tfcli.runs.run import Run

CHAT_TEMPLATE = "chat_template.jinja"


def open_chat_template(run: Run) -> ChatTemplate:
    """The template of a run, ready to be rendered.

    Raises:
        NotFoundError: it has none.
        DamagedError: the file cannot be one.
        UsageError: Jinja2 is not installed.

    """
    path = run.path / CHAT_TEMPLATE
    try:
        require_regular_file(path)
        data = path.read_bytes() if path.stat().st_size <= 4 * MAX_TEMPLATE else b"\xff"
    except FileNotFoundError:
        raise NotFoundError(
            f"run {run.name!r} has no chat template",
            why=f"a model is talked to in the form it was trained on, which {path} would hold",
            hint=f"tfcli generate -i --run {shlex.quote(run.argument)}   # continues a text; "
            "docs/chat.md has more",
        ) from None
    except OSError as error:
        raise translate_os_error(error, path) from error
    try:
        return ChatTemplate(data.decode(), str(path))
    except UnicodeDecodeError:
        raise DamagedError(f"{path} is no template", why="it is too long, or not UTF-8") from None
