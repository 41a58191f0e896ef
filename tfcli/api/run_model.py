"""The model of a run, opened when it is first needed, with what is said of it once."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

from tfcli.api.engine_pool import EnginePool
from tfcli.api.notices import warn
from tfcli.generation.chat import Chat
from tfcli.generation.open_engine import open_best
from tfcli.runs.chat_template import open_chat_template

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from functools import partial
    from pathlib import Path

    from tfcli.errors import TfcliError
    from tfcli.generation.engines.engine import Engine
    from tfcli.runs.run import Run
    from tfcli.runs.valid_steps import ValidStep
    from tfcli.text.tokenizer import Tokenizer


class RunModel:
    """A run, its tokenizer, and engines with its weights."""

    def __init__(self, run: Run, step: Path | None, open_with: partial[Engine]) -> None:
        self._run, self._step, self._open_with = run, step, open_with
        self._engines = EnginePool()
        self._noticed: set[str] = set()

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return self._run.tokenizer()

    @cached_property
    def _chat(self) -> Chat:
        template, length = open_chat_template(self._run), self._run.model_config.context_length
        return Chat(template, self._tokenizer, context_length=length, notice=self._notice)

    @cached_property
    def _opened(self) -> tuple[ValidStep, Engine]:
        damaged: list[TfcliError] = []
        opened = open_best(self._run, self._step, self._open_with, on_damaged=damaged.append)
        for error in damaged:
            warn(f"{error.what}; using {opened[0].path.name} instead")
        return opened

    def _notice(self, text: str) -> None:
        """Warns, of the same thing once: most texts are longer than a small model's context."""
        kind = re.sub(r"[\d,]+", "", text)  # whatever its figures
        if kind not in self._noticed:
            self._noticed.add(kind)
            warn(text)

    def _engine(self, rows: int) -> AbstractContextManager[Engine]:
        """An engine that nobody else is using, with empty rows."""
        return self._engines.take(rows, self._opened[1])
