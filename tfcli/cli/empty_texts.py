"""What is said of texts that are empty because the model began with a stop string."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfcli.quantities import counted

if TYPE_CHECKING:
    from tfcli.generation.generate import Finished, TokenEvent

WAY_ON = "--min-new-tokens 5 goes on after it"


class EmptyTexts:
    """Counts the texts that a stop string ended before they had begun."""

    def __init__(self) -> None:
        self._begun: set[int] = set()  # the texts that have something in them
        self._stops: list[bytes] = []

    def token(self, event: TokenEvent) -> None:
        """More of a text."""
        if event.data:
            self._begun.add(event.index)

    def finish(self, event: Finished) -> None:
        """The end of a text."""
        if event.index in self._begun:
            self._begun.discard(event.index)
        elif event.stop is not None:
            self._stops.append(event.stop)

    def note(self, *, single: bool) -> str | None:
        """What to say of them.

        Args:
            single: whether there was but one text.

        """
        if not self._stops:
            return None
        stop = self._stops[0].decode(errors="replace")
        if single:
            return f"nothing was written: the model began with the stop text {stop!r}; {WAY_ON}"
        empty = counted(len(self._stops), "empty text")
        return f"{empty}: the model began with a stop text, such as {stop!r}; {WAY_ON}"
