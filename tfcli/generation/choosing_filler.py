"""Filling many texts, each in its own way: all gaps together, or from left to right.

A run that was trained with `--infill` and `--masked` does either, as the gaps of a text are
written. Texts are filled in the order in which they come, those in a row of one way together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tfcli.generation.best_fill import BestFiller
    from tfcli.generation.fill_request import FillRequest
    from tfcli.generation.filling import Filler, MiddleEvent
    from tfcli.generation.generate import Requests
    from tfcli.generation.masked_filling import DenoisingFiller

    AnyFiller: TypeAlias = DenoisingFiller | Filler | BestFiller
    Way = Literal["at once", "best", "plain"]


class ChoosingFiller:
    """Fills each text by one of several fillers; each is opened when a text needs it.

    Args:
        at_once: whether all gaps of a text are filled together; see `fills_at_once`.
        open_filler: of each way; gives the same filler whenever it is called.

    """

    def __init__(
        self,
        at_once: Callable[[FillRequest], bool],
        open_filler: Mapping[Way, Callable[[], AnyFiller]],
    ) -> None:
        self._at_once, self._open_filler = at_once, open_filler

    def fill(self, requests: Requests[FillRequest]) -> Iterator[MiddleEvent]:
        """Fills every gap of every text.

        Raises:
            UsageError: a model cannot be opened as asked, or cannot answer a request.

        """
        stretch = _Stretch(requests, self._way)
        while (way := stretch.begin()) is not None:
            yield from self._open_filler[way]().fill(stretch, first=stretch.taken)

    def _way(self, request: FillRequest) -> Way:
        if self._at_once(request):
            return "at once"
        return "plain" if request.best_of == 1 else "best"


class _Stretch:
    """Texts in a row that are filled in the same way, and the next one after them.

    Attributes:
        taken: how many were.

    """

    def __init__(
        self, requests: Requests[FillRequest], way_of: Callable[[FillRequest], Way]
    ) -> None:
        self._requests, self._way_of = requests, way_of
        self._next: FillRequest | None = None
        self._way: Way = "plain"
        self.taken = 0

    def begin(self) -> Way | None:
        """Goes on with the next text: how it is filled; None where there is none."""
        self._next = self._next or self._requests.take(wait=True)
        if self._next is None:
            return None
        self._way = self._way_of(self._next)
        return self._way

    def take(self, *, wait: bool) -> FillRequest | None:
        """See `tfcli.generation.generate.Requests`."""
        self._next = self._next or self._requests.take(wait=wait)
        if self._next is None or self._way_of(self._next) != self._way:
            return None
        request, self._next = self._next, None
        self.taken += 1
        return request
