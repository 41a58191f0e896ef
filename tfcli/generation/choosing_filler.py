"""Filling many texts, each in its own way: all gaps together, or from left to right.

A run that was trained with `--infill` and `--masked` does either, as the gaps of a text are
written. Texts are filled in the order in which they come, those in a row of one way together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tfcli.generation.fill_request import FillRequest
    from tfcli.generation.filling import Filler, MiddleEvent
    from tfcli.generation.generate import Requests
    from tfcli.generation.masked_filling import DenoisingFiller


class ChoosingFiller:
    """Fills each text by one of two fillers; either is opened when a text needs it.

    Args:
        at_once: whether all gaps of a text are filled together; see `fills_at_once`.
        open_denoising, open_filler: give the same filler whenever they are called.

    """

    def __init__(
        self,
        at_once: Callable[[FillRequest], bool],
        open_denoising: Callable[[], DenoisingFiller],
        open_filler: Callable[[], Filler],
    ) -> None:
        self._at_once = at_once
        self._open_denoising, self._open_filler = open_denoising, open_filler

    def fill(self, requests: Requests[FillRequest]) -> Iterator[MiddleEvent]:
        """Fills every gap of every text.

        Raises:
            UsageError: a model cannot be opened as asked, or cannot answer a request.

        """
        stretch = _Stretch(requests, self._at_once)
        while (at_once := stretch.begin()) is not None:
            filler = self._open_denoising() if at_once else self._open_filler()
            yield from filler.fill(stretch, first=stretch.taken)


class _Stretch:
    """Texts in a row that are filled in the same way, and the next one after them.

    Attributes:
        taken: how many were.

    """

    def __init__(
        self, requests: Requests[FillRequest], at_once: Callable[[FillRequest], bool]
    ) -> None:
        self._requests, self._at_once = requests, at_once
        self._next: FillRequest | None = None
        self._kind = False
        self.taken = 0

    def begin(self) -> bool | None:
        """Goes on with the next text: how it is filled; None where there is none."""
        self._next = self._next or self._requests.take(wait=True)
        if self._next is None:
            return None
        self._kind = self._at_once(self._next)
        return self._kind

    def take(self, *, wait: bool) -> FillRequest | None:
        """See `tfcli.generation.generate.Requests`."""
        self._next = self._next or self._requests.take(wait=wait)
        if self._next is None or self._at_once(self._next) != self._kind:
            return None
        request, self._next = self._next, None
        self.taken += 1
        return request
