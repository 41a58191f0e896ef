"""Engines that are free to be used, so that weights are read once."""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tfcli.generation.engines.engine import Engine


class EnginePool:
    """Engines with the same weights, each for one user at a time."""

    def __init__(self) -> None:
        self._idle: dict[int, list[Engine]] = defaultdict(list)  # by their number of rows

    @contextmanager
    def take(self, rows: int, like: Engine) -> Iterator[Engine]:
        """An engine that nobody else is using, with empty rows.

        A stream may be interrupted by another, or be left unfinished: each has rows of its own.

        Args:
            like: whose weights it has.

        """
        idle = self._idle[rows]
        engine = idle.pop() if idle else like.with_rows(rows)
        try:
            yield engine
        finally:
            for row in range(rows):
                engine.reset(row)
            idle.append(engine)
