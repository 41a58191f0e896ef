"""`tfcli demo`: the main job in about a minute, on stories that the program makes up itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tfcli.cli import streams
from tfcli.cli.options import QuietOption, SeedOption, option, parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tfcli.runs.run import Run
    from tfcli.text.corpus import Corpus
    from tfcli.text.tokenizer import Tokenizer

CORPUS_BYTES = 4_000_000
STORIES_TOLD = 3
TRAINING_SECONDS = 60.0
LAYERS = 3  # learn these stories faster than 4


def demo(
    context: typer.Context,
    language: Annotated[Literal["en", "es"], option("--language", help="Of the stories.")] = "en",
    time: Annotated[
        float | None,
        option(
            "--time",
            help="For the training.",
            metavar="60s",
            parser=parse_duration,
            otherwise="60s",
        ),
    ] = None,
    seed: SeedOption = 0,
    quiet: QuietOption = False,
) -> None:
    """Train on little stories that tfcli makes up, compare with the best possible, tell three.

    tfcli demo --language es
    """
    from tfcli.cli.session import Session
    from tfcli.training.options import TrainOptions

    reporter = streams.Reporter(quiet=quiet)
    reporter.note(f"Making up {CORPUS_BYTES / 1e6:.0f} MB of stories.")
    file = _write_corpus(language, seed)
    session = Session(reporter=reporter, started=context.obj)
    with session.prepared([str(file)], None, 0.1) as (path, corpus):
        tokenizer = session.choose_tokenizer(corpus, None, "bpe", None)
        options = TrainOptions(
            seconds=TRAINING_SECONDS if time is None else time,
            context_length=256,
            num_layers=LAYERS,
        )
        job = session.plan(corpus, tokenizer, options, name=path.name, seed=seed, device="auto")
        run = session.train(job, path, corpus)
    _compare_with_source(run, corpus, tokenizer, language, seed, reporter)
    _tell_stories(run, tokenizer, seed)
    reporter.next(f'tfcli generate "" --run {run.name}   # another story, each time')


def _write_corpus(language: str, seed: int) -> Path:
    """The stories as JSONL in the cache, a document each."""
    import json

    from tfcli.files import new_file
    from tfcli.text.corpus import CACHE

    path = CACHE / "demo" / f"demo-{language}.jsonl"
    with new_file(path) as file:
        for text, _ in _stories(language, seed):
            file.write((json.dumps({"text": text}, ensure_ascii=False) + "\n").encode())
    return path


def _stories(language: str, seed: int) -> Iterator[tuple[str, float]]:
    """The stories of the corpus, and what each is worth in nats."""
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
    """Says how far the model is from the grammar that wrote the stories it has never seen.

    No model can get below the grammar's own nats: they are the entropy of its choices.
    """
    from tfcli.generation.open_engine import open_model
    from tfcli.runs.valid_steps import choose_step
    from tfcli.text.corpus import CACHE
    from tfcli.text.token_cache import tokenize_corpus
    from tfcli.training.evaluation import evaluate_documents

    position = source_nats = source_bytes = count = 0.0
    for text, nats in _stories(language, seed):
        size = len(text.encode())
        if position >= corpus.scan.training_bytes:
            source_nats, source_bytes, count = source_nats + nats, source_bytes + size, count + 1
        position += size
    tokens = tokenize_corpus(corpus, tokenizer, cache=CACHE).held_out
    model = open_model(run, choose_step(run, None, damaged=reporter.warn))
    measured = evaluate_documents(model, tokens, tokenizer)
    if measured is None or not source_bytes:
        return
    floor = source_nats / source_bytes
    gap = measured.nats_per_byte - floor
    reporter.note(f"On the {count:,.0f} stories held out, read one by one:")
    reporter.note(f"  the grammar that wrote them  {floor:.4f} nats/byte: no model can do better")
    reporter.note(
        f"  this model                   {measured.nats_per_byte:.4f} nats/byte: "
        f"{100 * gap / floor:.0f} % above"
    )


def _tell_stories(run: Run, tokenizer: Tokenizer, seed: int) -> None:
    from tfcli.cli.formats import TextOut
    from tfcli.generation.generate import generate
    from tfcli.generation.open_engine import open_engine
    from tfcli.generation.request import GenerationRequest
    from tfcli.generation.sampling import Sampling
    from tfcli.runs.valid_steps import choose_step

    engine = open_engine(run, choose_step(run, None, damaged=lambda _: None))
    out = TextOut()
    for number in range(STORIES_TOLD):
        if number:
            out.write(b"\n\n* * *\n\n")
        request = GenerationRequest(
            prompt="",
            sampling=Sampling(temperature=0.7, top_k=None),
            seed=seed + number,
            max_new_tokens=400,
        )
        for token in generate(engine, tokenizer, request, many_documents=True):
            out.write(tokenizer.token_bytes[token])
    out.write(b"\n")
