"""`tfcli train`: from text to a model that has learned from it."""

from __future__ import annotations

from typing import Annotated

import typer

from tfcli.cli import streams
from tfcli.cli.options import (
    DeviceOption,
    JsonOption,
    QuietOption,
    SeedOption,
    option,
    parse_count,
    parse_duration,
)
from tfcli.errors import UsageError
from tfcli.model.config import Family, Size
from tfcli.text.tokenizer_training import TokenizerType
from tfcli.training.machine import Precision

BUDGET, MODEL, TEXT, LEARNING = "How long", "The model", "The text", "Learning"


def train(
    context: typer.Context,
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE...]",
            help="Files, folders, globs, - for stdin; text, .jsonl, .parquet, and .gz or .zst. "
            "FILE:2 comes twice as often as FILE.",
            show_default=False,
        ),
    ] = None,
    run: Annotated[
        str | None,
        option("--run", "--name", help="What to call the run.", metavar="NAME",
               otherwise="as the file"),
    ] = None,
    base: Annotated[
        str | None,
        option("--from", help="Begin with the model and the tokenizer of another run.",
               metavar="RUN"),
    ] = None,
    resume: Annotated[
        str | None, option("--resume", help="Go on with a run where it stopped.", metavar="RUN")
    ] = None,
    time: Annotated[
        float | None,
        option("--time", help="Wall-clock time of the whole command.", metavar="60s|5m|1h",
               parser=parse_duration, otherwise="60s", panel=BUDGET),
    ] = None,
    steps: Annotated[
        int | None, option("--steps", help="Updates.", parser=parse_count, panel=BUDGET)
    ] = None,
    epochs: Annotated[
        float | None, option("--epochs", help="Times through the text.", min=0.001, panel=BUDGET)
    ] = None,
    tokens: Annotated[
        int | None,
        option("--tokens", help="Tokens to train on, like 2M.", parser=parse_count, panel=BUDGET),
    ] = None,
    size: Annotated[
        Size | None,
        option("--size", help="A named size.", metavar="nano|tiny|small|base|large",
               otherwise="by time, machine and text", panel=MODEL),
    ] = None,
    family: Annotated[
        Family | None,
        option("--family", help="Which parts it is made of.", metavar="modern|llama|gpt2|classic",
               otherwise="modern", panel=MODEL),
    ] = None,
    layers: Annotated[
        int | None,
        option("--layers", help="Blocks.", min=1, otherwise="of the size", panel=MODEL),
    ] = None,
    width: Annotated[
        int | None,
        option("--width", help="Width of the stream (d_model).", min=1, otherwise="of the size",
               panel=MODEL),
    ] = None,
    heads: Annotated[
        int | None,
        option("--heads", help="Attention heads.", min=1, otherwise="width / 64", panel=MODEL),
    ] = None,
    kv_heads: Annotated[
        int | None,
        option("--kv-heads", help="Key-value heads.", min=1, otherwise="as heads", panel=MODEL),
    ] = None,
    context_length: Annotated[
        int | None,
        option("--context", help="Tokens it sees at once.", min=2, otherwise="of the size",
               panel=MODEL),
    ] = None,
    tied: Annotated[
        bool | None,
        option("--tied/--untied", help="Use the embedding as the table of the output too.",
               otherwise="untied in modern", panel=MODEL),
    ] = None,
    tokenizer: Annotated[
        str | None,
        option("--tokenizer", "-t", help="A tokenizer made before.", metavar="NAME",
               otherwise="trained on the way", panel=TEXT),
    ] = None,
    vocab_size: Annotated[
        int | None,
        option("--vocab-size", help="Pieces of the tokenizer trained on the way.",
               parser=parse_count, otherwise="from the size of the text", panel=TEXT),
    ] = None,
    type: Annotated[
        TokenizerType,
        option("--type", help="Its kind.", panel=TEXT),
    ] = "bpe",
    held_out: Annotated[
        float,
        option("--held-out", help="Share of the text kept to measure on.", min=0.0, max=0.9,
               metavar="SHARE", panel=TEXT),
    ] = 0.1,
    batch_tokens: Annotated[
        int | None,
        option("--batch-tokens", help="Tokens an update learns from.", parser=parse_count,
               otherwise="2048; 1024 in a short time", panel=LEARNING),
    ] = None,
    documents_apart: Annotated[
        bool, option("--apart", help="Let no document see another in its row.", panel=TEXT)
    ] = False,
    learning_rate: Annotated[
        float | None,
        option("--learning-rate", help="The highest, of the matrices.", min=0.0, metavar="RATE",
               otherwise="by the number of updates", panel=LEARNING),
    ] = None,
    dropout: Annotated[
        float | None,
        option("--dropout", help="Share left out at random.", min=0.0, max=0.9, metavar="SHARE",
               otherwise="by epochs", panel=LEARNING),
    ] = None,
    token_dropout: Annotated[
        float | None,
        option("--token-dropout", help="Share of the tokens read that are left blank.", min=0.0,
               max=0.9, metavar="SHARE", otherwise="by epochs", panel=LEARNING),
    ] = None,
    weight_decay: Annotated[
        float | None,
        option("--weight-decay", help="Pull of the weights towards zero.", min=0.0, metavar="RATE",
               otherwise="by epochs", panel=LEARNING),
    ] = None,
    precision: Annotated[
        Precision | None,
        option("--precision", help="float32 or bfloat16 products.", metavar="FORMAT",
               otherwise="the faster one here", panel=LEARNING),
    ] = None,
    compile: Annotated[
        bool | None,
        option("--compile/--no-compile", help="Make code for this very model first.",
               otherwise="where it pays", panel=LEARNING),
    ] = None,
    patience: Annotated[
        int | None,
        option("--patience", help="Stop after so many measurements without a better one.", min=1,
               otherwise="never before time", panel=LEARNING),
    ] = None,
    shard: Annotated[
        bool | None,
        option("--shard/--no-shard", help="Share the weights out among the processes of torchrun.",
               otherwise="where one cannot hold them", panel=LEARNING),
    ] = None,
    eval_every: Annotated[
        int | None,
        option("--evaluate-every", help="Measure on held-out text.", min=1, metavar="STEPS",
               otherwise="8 times in all", panel=LEARNING),
    ] = None,
    save_every: Annotated[
        int | None,
        option("--save-every", help="Save.", min=1, metavar="STEPS",
               otherwise="8 times, and every 10 min", panel=LEARNING),
    ] = None,
    sample_prompt: Annotated[
        str, option("--sample-prompt", help="What samples on the way go on from.", metavar="TEXT")
    ] = "",
    dry_run: Annotated[
        bool, option("--dry-run", help="Show the plan, and stop there.")
    ] = False,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:  # fmt: skip
    """Train a model on text, from scratch.

    tfcli train book.txt --time 5m
    """
    from tfcli.cli.session import Session
    from tfcli.training.options import TrainOptions

    options = TrainOptions(
        seconds=time, steps=steps, epochs=epochs, tokens=tokens,
        size=size, family=family, context_length=context_length, num_layers=layers,
        d_model=width, num_heads=heads, num_kv_heads=kv_heads, tied_head=tied,
        batch_tokens=batch_tokens, dropout=dropout, token_dropout=token_dropout,
        learning_rate=learning_rate, weight_decay=weight_decay, precision=precision,
        eval_every=eval_every, save_every=save_every,
        compile=compile, patience=patience, sharded=shard, documents_apart=documents_apart,
    )  # fmt: skip
    budgets = [name for name in ("time", "steps", "epochs", "tokens") if context.params[name]]
    if len(budgets) > 1:
        raise UsageError(f"--{budgets[0]} and --{budgets[1]} are two budgets: give one")
    session = Session(
        reporter=streams.Reporter(quiet=quiet),
        started=context.obj,
        sample_prompt=sample_prompt,
        json=json,
    )
    if base is not None and (tokenizer or vocab_size):
        raise UsageError(
            "--from brings its own tokenizer", hint="leave --tokenizer and --vocab-size out"
        )
    if resume is not None:
        _check_resume(context, resume, files, run, budgets)
    elif not files:
        raise UsageError("there is no text to train on", hint="tfcli train book.txt --time 60s")
    with session.together() as ahead:
        if not ahead:
            session.follow(device)
        elif resume is not None:
            session.resume(resume, device=device, more_seconds=time, more_steps=steps, shard=shard)
        elif files:
            with session.prepared(files, run, held_out) as (path, corpus):
                start = session.find_base(base) if base else None
                chosen = (
                    start.run.tokenizer()
                    if start
                    else session.choose_tokenizer(corpus, tokenizer, type, vocab_size)
                )
                job = session.plan(
                    corpus, chosen, options, name=path.name, seed=seed, device=device, base=start
                )
                if not dry_run:
                    session.train(job, path, corpus)
                elif json:
                    streams.write_json_result(job.metadata(corpus))


# What may stand beside --resume; everything else the run has decided at its beginning.
RESUMED = {
    "files", "run", "resume", "time", "steps", "epochs", "tokens", "shard", "device",
    "sample_prompt", "json", "quiet",
}  # fmt: skip


def _check_resume(
    context: typer.Context,
    resume: str,
    files: list[str] | None,
    run: str | None,
    budgets: list[str],
) -> None:
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if name not in RESUMED and source is not None and source.name == "COMMANDLINE":
            raise UsageError(
                f"a resumed run keeps the plan of its beginning: it takes no {parameter.opts[0]}",
                hint=f"tfcli train --resume {resume}",
            )
    if files or run:
        raise UsageError(
            "--resume goes on with the run's own text, under its own name",
            hint=f"tfcli train --resume {resume}",
        )
    if budgets and budgets[0] not in {"time", "steps"}:
        raise UsageError(
            f"a resumed run takes more --time or more --steps, not --{budgets[0]}",
            hint=f"tfcli train --resume {resume} --time 2m   # or --steps, as its budget counts",
        )
