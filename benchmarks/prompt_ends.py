"""What token healing gains, and what a newline at the end of a prompt says, by where it ends.

    python -m benchmarks.prompt_ends TEXT RUN [--count 100]

RUN is a run that was trained on TEXT; the places are in its last tenth, which was held out. Each
figure is the mean over `count` places: the nats of the next 32 characters after a prompt of 40 to
200. Ended: by a newline that is dropped, as `echo` ends a prompt, so that its last word is whole.
With a newline: the nats of what may follow one, left at the end of the prompt. Longer words: of how
many prompts that end with a word the last word grew, with greedy sampling and with the defaults.
"""

from __future__ import annotations

import random
import tempfile
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from benchmarks.report import new_parser, print_heading, print_table
from benchmarks.runs import make_run, number_tokenizer
from tfcli.generation.generate import Generator, RequestList, TokenEvent
from tfcli.generation.open_engine import open_best, open_engine
from tfcli.generation.request import GenerationRequest, Sampling
from tfcli.generation.sampling import log_softmax
from tfcli.generation.token_healing import TokenHealing
from tfcli.generation.word_end import WordEnd, ends_in_word
from tfcli.model.config import named_config
from tfcli.runs.run import find_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tfcli.generation.sampling import Logits
    from tfcli.runs.run import Run

Way = Literal["unhealed", "healed", "ended"]
WAYS: dict[Way, str] = {
    "unhealed": "as it is", "healed": "healed", "ended": "healed, and ended",
}  # fmt: skip
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
        self._healing, self._word_end = TokenHealing(self._tokenizer), WordEnd(self._tokenizer)

    def nats(self, prompt: str, following: str, way: Way) -> float:
        """How much the text that follows a prompt costs."""
        whole = way == "ended" and ends_in_word(prompt)
        most = 0 if whole or way == "unhealed" else 8
        ids, taken = self._healing.take_back(self._tokenizer.encode(prompt), most)
        while len(taken) > 1 and self._is_put_back(ids, taken):
            ids.append(taken.pop(0))
        overlap = self._tokenizer.decode_continuation(taken)
        anew = self._tokenizer.encode_continuation((overlap + following.encode()).decode())
        ways = [[*taken, *self._tokenizer.encode_continuation(following)]]
        if self._tokenizer.token_bytes[anew[0]].startswith(overlap):
            ways.append(anew)
        return min(self._nats(ids, way, taken, whole=whole) for way in ways)

    def grown(self, prompts: Sequence[str], way: Way, sampling: Sampling) -> int:
        """How many prompts the model goes on from with a letter."""
        requests = [
            GenerationRequest(
                prompt=prompt, sampling=sampling, max_new_tokens=4, row=row,
                token_healing=way != "unhealed", ends_word=way == "ended",
            )
            for row, prompt in enumerate(prompts)
        ]  # fmt: skip
        written = [b""] * len(prompts)
        generator = Generator(self._engine, self._tokenizer)
        for event in generator.stream(RequestList(requests)):
            if isinstance(event, TokenEvent):
                written[event.index] += event.data
        return sum(text.decode(errors="ignore")[:1].isalnum() for text in written)

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

    def _nats(
        self, ids: list[int], continued: list[int], taken: list[int], *, whole: bool
    ) -> float:
        logits = self._logits([*ids, *continued[:-1]])[-len(continued) :]
        if taken:
            logits[0] = self._healing.allow(logits[0], taken)
        if whole:
            logits[0] = self._word_end.apply(logits[0])
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
        means = [np.mean([prompts.nats(*place, way) for place in found]) for way in WAYS]
        newline = "-"
        if end == "with a word":
            costs = [
                prompts.nats(f"{prompt}\n", following.lstrip() or following, "unhealed")
                for prompt, following in found
            ]
            newline = f"{np.mean(costs):.1f}"
        yield [end, *(f"{mean:.1f}" for mean in means), newline]


def longer_words(prompts: Prompts, text: str, count: int) -> Iterator[list[str]]:
    """How often a prompt's last word grew: the last rows of the table."""
    found = [prompt for prompt, _ in places(text, count, "with a word")]
    for name, sampling in {"greedy": Sampling(greedy=True), "default": Sampling()}.items():
        grown = [prompts.grown(found, way, sampling) for way in WAYS]
        yield [f"longer words, {name}", *(f"{100 * each / count:.1f} %" for each in grown), "-"]


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
        columns = ["the prompt ends", *WAYS.values(), "with a newline"]
        prompts, text = Prompts(run), text[len(text) * 9 // 10 :]
        table = chain(
            rows(prompts, text, options.count), longer_words(prompts, text, options.count)
        )
        print_table(columns, table)


if __name__ == "__main__":
    main()
