"""What is said of structured output: whether it is complete, and likely to the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfcli.errors import DataError
from tfcli.quantities import counted
from tfcli.text.escapes import escape

if TYPE_CHECKING:
    from tfcli.generation.constraints import FormatFit
    from tfcli.generation.generate import Finished

FITTING = 0.2  # of the model's probability; where the form leaves less, that is said


class FormatReport:
    """How the texts of structured output turned out."""

    def __init__(self) -> None:
        self._count = self._incomplete = 0
        self._unfitting: list[FormatFit] = []

    def add(self, finished: Finished) -> None:
        """A text is complete."""
        self._count += 1
        self._incomplete += finished.reason == "incomplete"
        if finished.fit and finished.fit.probability < FITTING:
            self._unfitting.append(finished.fit)

    def note(self) -> str | None:
        """What to say where a model has learned nothing like the format."""
        if not self._unfitting:
            return None
        outputs = f"{len(self._unfitting):,} of {counted(self._count, 'output')}"
        places = [fit.unlikely_after for fit in self._unfitting if fit.unlikely_after]
        first = f", first after {_shown_end(places[0])}" if places else ""
        return (
            f"the model considers this format unlikely in {outputs}{first}; "
            "the values may be meaningless"
        )

    def incomplete(self) -> DataError | None:
        """The error where texts ended before they matched."""
        if not self._incomplete:
            return None
        return DataError(
            f"{self._incomplete} of {counted(self._count, 'output')} incomplete: "
            "a limit was reached, or the constraint became too complex, before the format "
            "was matched",
            hint="raise --max-new-tokens, or restrict the format, for example with "
            "additionalProperties: false in a schema",
        )

    def raise_if_incomplete(self) -> None:
        """Raises it."""
        if error := self.incomplete():
            raise error


def _shown_end(text: bytes) -> str:
    end = text.decode(errors="ignore")[-40:]
    return escape(("..." if len(end) < len(text) else "") + end)
