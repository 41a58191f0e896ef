"""What training both ways costs the causal loss, and what it gains.

    python -m benchmarks.masked PLAIN BOTH TEXT

PLAIN and BOTH are runs of the same stories (`--masked 0` and `--masked 0.5`), seed and steps, and
TEXT the stories as JSON lines; docs/masked.md has the commands. Measured on stories that `tfcli
demo` could tell but neither run has seen, each up to the context:

- the loss from left to right of both, and the bound of BOTH from both sides, beside what the
  grammar that told the stories gives them, below which no model can be on average;
- how often the likeliest token is the right one, of 15 in 100 tokens (BERT's share) that are
  masked, by BOTH from both sides, where the other 14 are missing, too; by PLAIN and a 6-gram model
  (Kneser-Ney, of tokens) from left to right, where nothing to the left is missing.
"""

from __future__ import annotations

import json
import math
import tempfile
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.report import new_parser, print_heading, print_table
from benchmarks.runs import number_tokenizer, start_training
from tfcli.generation.bound import BoundEstimator
from tfcli.generation.masked_model import open_masked
from tfcli.generation.open_engine import open_best, open_engine
from tfcli.generation.sampling import row_random
from tfcli.generation.scorer import Scorer
from tfcli.model.config import named_config
from tfcli.runs.run import find_run
from tfcli.stories import tell_stories
from tfcli.text.kneser_ney import KneserNey
from tfcli.text.ngram_index import build_index

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tfcli.runs.run import Run
    from tfcli.stories import Story

STORIES, SAMPLES = 100, 32
MASKED = 0.15
OTHER_SEED = 12345  # of stories that no run has seen


def losses(plain: Run, both: Run, stories: Sequence[Story], samples: int) -> Iterator[list[str]]:
    """The nats per byte of whole stories."""
    texts = [story.text for story in stories]
    size = sum(len(text.encode()) for text in texts)
    yield ["nats/byte: the grammar", f"{sum(story.nats for story in stories) / size:.4f}"]
    for name, run in (("PLAIN", plain), ("BOTH", both)):
        _, engine = open_best(
            run, None, lambda step, run=run: open_engine(run, step, "cpu", rows=16),  # type: ignore[misc]
            on_damaged=print,
        )  # fmt: skip
        scorer = Scorer(engine, run.tokenizer(), rows=16)
        yield [f"nats/byte: {name}, from left to right", f"{scorer.whole(texts).nats_per_byte:.4f}"]
    _, model = open_best(both, None, lambda step: open_masked(both, step, "cpu"), on_damaged=print)
    bound = BoundEstimator(model, both.tokenizer(), samples=samples).whole(texts)
    yield ["nats/byte: BOTH, bound", f"{bound.nats_per_byte:.4f} ± {bound.standard_error:.4f}"]


def ngrams_of(run: Run, text: Path) -> KneserNey:
    """An n-gram model of the tokens of a text, each row after an end; 6-grams of up to 1,024."""
    tokenizer = run.tokenizer()
    eos = tokenizer.special.eos
    assert eos is not None
    ids: list[int] = [eos]
    for line in text.read_text().splitlines():
        ids += [*tokenizer.encode(json.loads(line)["text"]), eos]
    tokens = np.array(ids, np.int32)
    return KneserNey(build_index(tokens, vocab_size=tokenizer.vocab_size, eos=eos))


def accuracies(plain: Run, both: Run, text: Path, stories: Sequence[Story]) -> Iterator[list[str]]:
    """How often the likeliest token is the right one."""
    _, engine = open_best(
        plain, None, lambda step: open_engine(plain, step, "cpu"), on_damaged=print
    )
    _, causal = open_best(both, None, lambda step: open_engine(both, step, "cpu"), on_damaged=print)
    _, model = open_best(both, None, lambda step: open_masked(both, step, "cpu"), on_damaged=print)
    tokenizer, ngrams = both.tokenizer(), ngrams_of(both, text)
    special = tokenizer.special
    counted = f"{ngrams.index.order}-grams"
    names = ["BOTH, both sides", "PLAIN", "BOTH, from left to right", counted]
    right: dict[str, list[bool]] = {name: [] for name in names}
    for number, story in enumerate(stories):
        ids = np.array(tokenizer.encode(story.text)[: model.length])
        masked = row_random(1, number).random(len(ids)) < MASKED
        masked[0] |= not masked.any()
        found = model.logits(np.where(masked, model.mask, ids)[None], masked[None]).argmax(1)
        right["BOTH, both sides"] += (found == ids[masked]).tolist()
        for name, left in (("PLAIN", engine), ("BOTH, from left to right", causal)):
            left.reset(0)
            logits = left.forward_all([0], [[special.bos, *ids[:-1].tolist()]])  # type: ignore[list-item]
            right[name] += (np.asarray(logits).argmax(1) == ids)[masked].tolist()
        right[counted] += [_likeliest(ngrams, special.eos, ids[:p].tolist()) == ids[p]
                             for p in masked.nonzero()[0]]  # fmt: skip
    for name, flags in right.items():
        share = sum(flags) / len(flags)
        half = 1.96 * math.sqrt(share * (1 - share) / len(flags))
        yield [f"right of {len(flags):,}: {name}", f"{share:.1%} ± {half:.1%}"]


def _likeliest(ngrams: KneserNey, eos: Any, before: list[int]) -> int:
    row = np.empty(ngrams.index.vocab_size, np.float32)
    ngrams.after([eos, *before]).write_logprobs(row)
    return int(row.argmax())


def tiny_runs(folder: Path) -> Iterator[Run]:
    """A causal run and one that is trained both ways, of a random text."""
    tokenizer = number_tokenizer(320)
    config = named_config(
        "nano", vocab_size=320, context_length=64, num_layers=1, d_model=32, num_heads=1
    )
    for share in (0.0, 0.5):
        trainer = start_training(
            config, tokenizer, folder / f"tiny-{share:g}", device="cpu", steps=1,
            batch_tokens=512, dtype="float32", masked=share,
        )  # fmt: skip
        for _ in trainer.events():
            pass
        yield trainer.run


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the two tables."""
    parser = new_parser(__doc__)
    parser.add_argument("names", nargs="*", metavar="PLAIN BOTH TEXT", help="runs, and a file")
    parser.add_argument("--count", type=int, default=STORIES, help="stories")
    wanted = parser.parse_args(arguments)
    print_heading("masked", arguments)
    with tempfile.TemporaryDirectory() as name:
        count, samples = wanted.count, SAMPLES
        if wanted.tiny:
            plain, both = tiny_runs(Path(name))
            text, count, samples = Path(name) / "stories.jsonl", 2, 2
            told = islice(tell_stories("en", 1), 5)
            text.write_text("".join(json.dumps({"text": s.text}) + "\n" for s in told))
        else:
            *runs, told_before = wanted.names
            plain, both = (find_run(run)[0] for run in runs)
            text = Path(told_before)
        stories = list(islice(tell_stories("en", OTHER_SEED), count))
        rows = chain(losses(plain, both, stories, samples), accuracies(plain, both, text, stories))
        print_table(["of new stories", "value"], rows)


if __name__ == "__main__":
    main()
