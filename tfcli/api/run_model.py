"""The model of a run, opened when it is first needed, with what is said of it once."""

from __future__ import annotations

import re
from collections import defaultdict
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from tfcli.api.notices import warn
from tfcli.generation.chat import Chat
from tfcli.generation.open_engine import open_best
from tfcli.runs.chat_template import open_chat_template

if TYPE_CHECKING:
    from collections.abc import Iterator
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
        self._idle: dict[int, list[Engine]] = defaultdict(list)  # by their number of rows
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

    @contextmanager
    def _engine(self, rows: int) -> Iterator[Engine]:
        """An engine that nobody else is using, with empty rows.

        A stream may be interrupted by another, or be left unfinished: each has rows of its own.
        """
        idle = self._idle[rows]
        engine = idle.pop() if idle else self._opened[1].with_rows(rows)
        try:
            yield engine
        finally:
            for row in range(rows):
                engine.reset(row)
            idle.append(engine)
