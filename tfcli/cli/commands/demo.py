"""`tfcli demo`: training and generation in about a minute, on stories the program makes up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import typer

from tfcli.cli import streams
from tfcli.cli.command import takes_options
from tfcli.cli.shared_options import QuietOption, ThreadOptions, seed_option
from tfcli.options import Options, option
from tfcli.quantities import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tfcli.runs.run import Run
    from tfcli.text.corpus import Corpus
    from tfcli.text.tokenizer import Tokenizer

CORPUS_BYTES = 4_000_000
STORIES_TOLD = 3
STORIES_COMPARED = 200  # with the grammar: a matter of seconds on a laptop
TRAINING_SECONDS = 60.0
LAYERS = 3  # learn these stories faster than 4


@dataclass(frozen=True, kw_only=True)
class DemoOptions(Options):
    """What the demo can be asked for."""

    language: Literal["en", "es"] = option("en", help="Language of the stories.")
    time: float = option(
        TRAINING_SECONDS, metavar="TIME", shown_default="60s", from_text=parse_duration,
        help="Training time.",
    )  # fmt: skip
    seed: int = seed_option()


@takes_options
def demo(
    context: typer.Context, options: DemoOptions, cpu: ThreadOptions, quiet: QuietOption = False
) -> None:
    """Train on made-up stories, as an example of a minute.

    Compares with the best possible loss, and generates three stories.

    tfcli demo --language es
    """
    from tfcli.cli.training_session import TrainingSession
    from tfcli.training.options import TrainOptions

    cpu.apply()
    reporter = streams.Reporter(quiet=quiet)
    reporter.note(f"Making up {CORPUS_BYTES / 1e6:.0f} MB of stories.")
    file = _write_corpus(options.language, options.seed)
    session = TrainingSession(reporter=reporter, started=context.obj, suggest_next=False)
    with session.open_text([str(file)], None) as (path, corpus):
        tokenizer = session.choose_tokenizer(corpus, None, "bpe", None)
        wanted = TrainOptions(seconds=options.time, context_length=256, num_layers=LAYERS)
        job = session.plan(
            corpus, tokenizer, wanted, name=path.name, seed=options.seed, device="auto"
        )
        run = session.train(job, path, corpus)
    _compare_with_source(run, corpus, tokenizer, options.language, options.seed, reporter)
    _tell_stories(run, tokenizer, options.seed)
    reporter.next(f'tfcli generate "" --run {run.name}   # a new story each time')


def _write_corpus(language: str, seed: int) -> Path:
    """The stories as JSONL in the cache, one document each."""
    import json

    from tfcli.files import new_file
    from tfcli.text.corpus import CACHE

    path = CACHE / "demo" / f"demo-{language}.jsonl"
    with new_file(path) as file:
        for text, _ in _stories(language, seed):
            file.write((json.dumps({"text": text}, ensure_ascii=False) + "\n").encode())
    return path


def _stories(language: str, seed: int) -> Iterator[tuple[str, float]]:
    """The stories of the corpus, and the information content of each in nats."""
    from tfcli.stories import tell_stories

    total = 0
    for story in tell_stories(language, seed):
        yield story.text, story.nats
        total += len(story.text.encode())
        if total >= CORPUS_BYTES:
            return


def _compare_with_source(
    run: Run,
    corpus: Corpus,
    tokenizer: Tokenizer,
    language: str,
    seed: int,
    reporter: streams.Reporter,
) -> None:
    """Compares the model with the grammar that made the stories, on some of those held out.

    No model can get below the grammar's own nats: they are the entropy of its choices.
    """
    import numpy as np

    from tfcli.generation.open_engine import open_model
    from tfcli.runs.valid_steps import choose_step
    from tfcli.text.corpus import CACHE
    from tfcli.text.token_cache import tokenize_corpus
    from tfcli.training.evaluation import evaluate_documents

    held_out = []
    (part,) = corpus.parts
    for (chunk, apart), (_, nats) in zip(part.split(), _stories(language, seed), strict=False):
        if apart:
            held_out.append((len(chunk.data), nats))
        if len(held_out) == STORIES_COMPARED:
            break
    tokens = tokenize_corpus(corpus, tokenizer, cache=CACHE).held_out
    ends = np.flatnonzero(tokens == tokenizer.special.eos)[: len(held_out)] + 1
    model = open_model(run, choose_step(run, None, on_damaged=reporter.warn))
    measured = evaluate_documents(model, tokens[: ends[-1]], tokenizer)
    assert measured is not None, "there are stories, so there are tokens"
    sizes, nats_of_source = zip(*held_out, strict=True)
    floor = sum(nats_of_source) / sum(sizes)
    gap = measured.nats_per_byte - floor
    reporter.note(f"On {len(held_out):,} of the stories held out, each on its own:")
    reporter.note(f"  the grammar that made them  {floor:z.4f} nats/byte: no model can do better")
    reporter.note(
        f"  this model                  {measured.nats_per_byte:z.4f} nats/byte: "
        f"{100 * gap / floor:.0f} % higher"
    )


def _tell_stories(run: Run, tokenizer: Tokenizer, seed: int) -> None:
    from tfcli.cli.output_formats import TextOut
    from tfcli.generation.generate import generate
    from tfcli.generation.open_engine import open_engine
    from tfcli.generation.request import GenerationRequest
    from tfcli.runs.valid_steps import choose_step

    engine = open_engine(run, choose_step(run, None, on_damaged=lambda _: None))
    out = TextOut()
    for number in range(STORIES_TOLD):
        if number:
            out.write(b"\n\n* * *\n\n")
        request = GenerationRequest(
            seed=seed + number,
            max_new_tokens=400,
        )
        for token in generate(engine, tokenizer, request, many_documents=True):
            out.write(tokenizer.token_bytes[token])
    out.write(b"\n")
