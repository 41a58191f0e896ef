"""A chat template: how a conversation becomes the text that a model was trained to continue.

It is a program in the language Jinja2, written by whoever made the model. It is rendered by
`tfcli.text.template_sandbox`, in a process that is started once and answers until it is closed.
"""

from __future__ import annotations

import contextlib
import json
import queue
import signal
import subprocess
import sys
import threading
import weakref
from importlib.util import find_spec
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any

from tfcli.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Message = Mapping[str, Any]

PATIENCE = 5.0  # seconds; where it can, the process ends itself much sooner
WINDOWS_PATIENCE = 1.0  # there, nothing else ends it
START_PATIENCE = 30.0  # seconds, of a busy machine
OUT_OF_TIME = getattr(signal, "SIGPROF", 0)  # what ends it; Windows has no such signal
MAX_TEMPLATE = 1 << 20  # characters


class ChatTemplate:
    """A template, and the process that renders it.

    Args:
        source: the template.
        name: what errors call it.
        special: the texts of special tokens, as far as its author has named them.

    """

    def __init__(
        self,
        source: str,
        name: str = "the chat template",
        *,
        special: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Starts the process; it has time until the first conversation.

        Raises:
            DataError: the template is too long.
            UsageError: Jinja2 is not installed.

        """
        if len(source) > MAX_TEMPLATE:
            raise DataError(f"{name} is too long", why=f"{len(source):,} characters")
        if find_spec("jinja2") is None:
            raise UsageError(
                "chat templates need the package Jinja2", hint='pip install "tfcli[models]"'
            )
        self.source, self._name, self.special = source, name, special
        self._renderer: _Renderer | None = _Renderer(source)

    def render(
        self,
        messages: Sequence[Message],
        *,
        special: Mapping[str, str],
        add_generation_prompt: bool = True,
    ) -> str:
        """The text of a conversation.

        Args:
            messages: of its turns, each with `role` and mostly `content`.
            special: `bos_token`, `eos_token` and others, as a template calls them.
            add_generation_prompt: whether the text ends with the beginning of an answer.

        Raises:
            DataError: the template is invalid, refuses this conversation, or takes too long.

        """
        task = {
            **special, "messages": [_normalized(message) for message in messages], "tools": None,
            "documents": None, "add_generation_prompt": add_generation_prompt,
        }  # fmt: skip
        self._renderer = self._renderer or _Renderer(self.source)
        try:
            answer = self._renderer.ask(task)
        except _RendererError as error:
            self.close()
            raise DataError(f"{self._name} cannot be rendered", why=str(error)) from None
        except BaseException:  # Ctrl-C: its answer would be taken for the next one
            self.close()
            raise
        if "error" not in answer:
            return str(answer["text"])
        what = "refuses this conversation" if answer["refused"] else "cannot be rendered"
        raise DataError(f"{self._name} {what}", why=answer["error"])

    def close(self) -> None:
        """Ends the process; another one is started when it is needed."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None


def _normalized(message: Message) -> dict[str, Any]:
    """A message as templates expect it, as in transformers.

    Nothing is None, and what was thought has the names that templates know.
    """
    found = {key: value for key, value in message.items() if value is not None}
    for name in ("reasoning_content", "thinking", "reasoning"):
        if name in found:
            return {"thinking": found[name], **found, "reasoning_content": found[name]}
    return found


class _RendererError(Exception):
    """The process has failed; the message says why."""


class _Renderer:
    """The process of `tfcli.text.template_sandbox` with its template."""

    def __init__(self, source: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tfcli.text.template_sandbox"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        self.close = weakref.finalize(self, _end, self._process)
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        reader = threading.Thread(
            target=_pass_on, args=(self._process.stdout, self._answers), daemon=True
        )
        reader.start()
        self._compiled: dict[str, Any] | None = None  # the answer to the template itself
        self._send(source)

    def ask(self, task: object) -> dict[str, Any]:
        """The answer to a task; that to the template itself if there is something wrong with it."""
        if self._compiled is None:
            self._compiled = self._receive(START_PATIENCE)
        if "error" in self._compiled:
            return self._compiled
        self._send(task)
        return self._receive(WINDOWS_PATIENCE if sys.platform == "win32" else PATIENCE)

    def _send(self, task: object) -> None:
        assert self._process.stdin
        with contextlib.suppress(OSError):  # it has ended: `_receive` says so
            self._process.stdin.write(json.dumps(task).encode() + b"\n")
            self._process.stdin.flush()

    def _receive(self, patience: float) -> dict[str, Any]:
        try:
            line = self._answers.get(timeout=patience)
        except queue.Empty:
            raise _RendererError(f"it took more than {patience:g} s") from None
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        code = self._process.wait()
        if code == -OUT_OF_TIME:
            raise _RendererError("it takes too long")
        raise _RendererError(f"it ended the process that rendered it ({code})")


def _pass_on(stream: IO[bytes], answers: queue.SimpleQueue[bytes]) -> None:
    """Lines as they come, and an empty one at their end."""
    with stream:
        for line in stream:
            answers.put(line)
    answers.put(b"")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    if process.stdin:
        with contextlib.suppress(OSError):  # what it had not read is lost
            process.stdin.close()
