"""`generate --vote`: an output format for the answers that won, in front of any other."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tfcli.cli.output_formats import Result
from tfcli.generation.voting import vote

if TYPE_CHECKING:
    from tfcli.cli.output_formats import OutputFormat
    from tfcli.generation.generate import Finished, TokenEvent


@dataclass
class _Ballot:
    """The answers to one prompt, as far as they are known."""

    number: int
    tokens: dict[int, list[TokenEvent]] = field(default_factory=dict)  # by sample
    ends: dict[int, Finished] = field(default_factory=dict)

    def text(self, sample: int) -> str:
        data = b"".join(event.data for event in self.tokens[sample]) + self.ends[sample].data
        return data.decode(errors="replace")


class Voted:
    """Holds the samples of a prompt back until all are there; then writes the most frequent.

    Args:
        output: the format that it is written in.
        samples: of each prompt.

    """

    def __init__(self, output: OutputFormat, samples: int) -> None:
        self._output, self._samples = output, samples
        self.logprobs = output.logprobs
        self._ballots: dict[int, _Ballot] = {}  # by the number of the line
        self._begun = 0

    def begin(self, result: Result) -> None:
        """See `OutputFormat`."""
        if result.line.sample == 0:
            self._ballots[result.line.number] = _Ballot(self._begun)
            self._begun += 1
        self._ballots[result.line.number].tokens[result.line.sample] = []

    def token(self, result: Result, event: TokenEvent) -> None:
        """See `OutputFormat`."""
        self._ballots[result.line.number].tokens[result.line.sample].append(event)

    def finish(self, result: Result, finished: Finished | None) -> None:
        """See `OutputFormat`."""
        ballot = self._ballots[result.line.number]
        if finished is None:
            failed = Result(ballot.number, result.line)
            self._output.begin(failed)
            self._output.finish(failed, None)
            del self._ballots[result.line.number]
            return
        ballot.ends[result.line.sample] = finished
        if len(ballot.ends) < self._samples:
            return
        winner, votes = vote([ballot.text(sample) for sample in range(self._samples)])
        seed = result.line.request and result.line.request.with_next_seed(
            winner - result.line.sample
        )
        line = replace(result.line, request=seed, sample=0)
        won = Result(ballot.number, line, votes=votes)
        self._output.begin(won)
        for event in ballot.tokens[winner]:
            self._output.token(won, event)
        self._output.finish(won, ballot.ends[winner])
        del self._ballots[result.line.number]

    def close(self) -> None:
        """See `OutputFormat`."""
        self._output.close()
