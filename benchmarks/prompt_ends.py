"""What token healing gains, and what a newline at the end of a prompt costs, by where it ends.

    python -m benchmarks.prompt_ends TEXT RUN [--count 100]

RUN is a run that was trained on TEXT; the places are in its last tenth, which was held out. Each
figure is the mean over `count` places: the nats of the next 32 characters after a prompt of 40 to
200, or of those that may follow a newline after the prompt.
"""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.report import new_parser, print_heading, print_table
from benchmarks.runs import make_run, number_tokenizer
from tfcli.generation.open_engine import open_best, open_engine
from tfcli.generation.sampling import log_softmax
from tfcli.generation.token_healing import TokenHealing
from tfcli.model.config import named_config
from tfcli.runs.run import find_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tfcli.generation.sampling import Logits
    from tfcli.runs.run import Run

CONTINUED = 32  # characters
UNREACHABLE = 20.0  # nats of a token that healing has masked
ENDS: dict[str, Callable[[str, str], bool]] = {
    "within a word": lambda last, first: last.isalnum() and first.isalnum(),
    "after a space": lambda last, first: last == " " and first != " ",
    "after a newline": lambda last, _: last == "\n",
    "with a word": lambda last, first: last.isalnum() and not first.isalnum(),
}


class Prompts:
    """What a run's best model makes of prompts."""

    def __init__(self, run: Run) -> None:
        self._tokenizer = run.tokenizer()
        _, self._engine = open_best(
            run, None, lambda step: open_engine(run, step), on_damaged=lambda error: print(error)
        )
        self._healing = TokenHealing(self._tokenizer)

    def nats(self, prompt: str, following: str, *, heal: bool) -> float:
        """How much the text that follows a prompt costs."""
        ids, taken = self._healing.take_back(self._tokenizer.encode(prompt), 8 if heal else 0)
        while len(taken) > 1 and self._is_put_back(ids, taken):
            ids.append(taken.pop(0))
        overlap = self._tokenizer.decode_continuation(taken)
        anew = self._tokenizer.encode_continuation((overlap + following.encode()).decode())
        ways = [[*taken, *self._tokenizer.encode_continuation(following)]]
        if self._tokenizer.token_bytes[anew[0]].startswith(overlap):
            ways.append(anew)
        return min(self._nats(ids, way, taken) for way in ways)

    def _is_put_back(self, ids: list[int], taken: list[int]) -> bool:
        allowed = self._healing.allow(self._logits(ids)[-1], taken)
        return bool(np.isfinite(allowed[taken[0]]))

    def _logits(self, ids: Sequence[int]) -> Logits:
        bos = self._tokenizer.special.bos
        assert bos is not None
        self._engine.reset(0)
        return np.array(
            self._engine.forward_all([0], [[bos, *ids][-self._engine.context_length :]])
        )

    def _nats(self, ids: list[int], continued: list[int], taken: list[int]) -> float:
        logits = self._logits([*ids, *continued[:-1]])[-len(continued) :]
        if taken:
            logits[0] = self._healing.allow(logits[0], taken)
        logprobs = log_softmax(logits)[np.arange(len(continued)), continued]
        return -float(np.maximum(logprobs, -UNREACHABLE).sum())


def places(text: str, count: int, end: str) -> Iterator[tuple[str, str]]:
    """Prompts that end so, and the text that follows them."""
    random_number = random.Random(1)
    while count:
        start = random_number.randrange(len(text) - 240 - CONTINUED)
        middle = start + random_number.randrange(40, 200)
        if ENDS[end](text[middle - 1], text[middle]):
            yield text[start:middle], text[middle : middle + CONTINUED]
            count -= 1


def rows(prompts: Prompts, text: str, count: int) -> Iterator[list[str]]:
    """The rows of the table."""
    for end in ENDS:
        found = list(places(text, count, end))
        unhealed = np.mean([prompts.nats(*place, heal=False) for place in found])
        healed = np.mean([prompts.nats(*place, heal=True) for place in found])
        newline = "-"
        if end == "with a word":
            costs = [
                prompts.nats(f"{prompt}\n", following.lstrip() or following, heal=False)
                for prompt, following in found
            ]
            newline = f"{np.mean(costs):.1f}"
        yield [end, f"{unhealed:.1f}", f"{healed:.1f}", newline]


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module."""
    parser = new_parser(__doc__)
    parser.add_argument("text", nargs="?", type=Path, help="a text in UTF-8")
    parser.add_argument("run", nargs="?", help="a run that was trained on it")
    parser.add_argument("--count", type=int, default=100, help="places of each kind")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        if options.tiny:
            tokenizer = number_tokenizer(400)
            config = named_config(
                "nano", vocab_size=400, context_length=256, num_layers=1, d_model=32
            )
            run = make_run(config, tokenizer, Path(folder) / "run")
            text = "".join(f"{n} times {n} is\n" for n in range(1000))
            options.count = 2
        else:
            run, _ = find_run(options.run)
            text = options.text.read_text(encoding="utf-8")
        print_heading("prompt_ends", arguments)
        columns = ["the prompt ends", "as it is", "healed", "with a newline added"]
        print_table(columns, rows(Prompts(run), text[len(text) * 9 // 10 :], options.count))


if __name__ == "__main__":
    main()
