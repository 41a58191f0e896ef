"""`tfcli tokenizer`: train, encode, decode, info, export, import."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfcli.cli import streams
from tfcli.cli.command import Command, Group, takes_options
from tfcli.cli.shared_options import JsonOption, QuietOption, typer_option
from tfcli.errors import DataError, InputOutputError, UsageError
from tfcli.options import Options, option, parse_count
from tfcli.text.reading_options import ReadingOptions
from tfcli.text.tokenizer_training import TokenizerType

if TYPE_CHECKING:
    from collections.abc import Iterator

app = typer.Typer(cls=Group, no_args_is_help=True, help="Train and use SentencePiece tokenizers.")

TokenizerOption = Annotated[
    str, typer_option("--tokenizer", "-t", help="A tokenizer's name or path.", metavar="NAME")
]


@dataclass(frozen=True, kw_only=True)
class TokenizerOptions(Options):
    """What tokenizer to train, and on what part of the text."""

    vocab_size: int | None = option(
        None, from_text=parse_count, shown_default="from the size of the text",
        help="Vocabulary size.",
    )  # fmt: skip
    type: TokenizerType = option("bpe", help="Tokenizer type.")
    val_fraction: float = option(
        0.1, min=0, max=0.9, metavar="FRACTION",
        help="Fraction of each text to hold out for evaluation.",
    )  # fmt: skip
    exclude: tuple[str, ...] = option(
        (), metavar="GLOB", help="Leave out files of folders; repeatable."
    )


@app.command(cls=Command)
@takes_options
def train(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE", help="Files, folders, globs; - for stdin.")
    ],
    name: Annotated[str, typer_option("--name", help="Name of the new tokenizer.", metavar="NAME")],
    options: TokenizerOptions,
    reading: ReadingOptions,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:  # fmt: skip
    """Train a tokenizer on text, and save it as tokenizers/NAME.

    tfcli tokenizer train book.txt --name book
    """
    from tfcli.cli.render import progress
    from tfcli.cli.training_notes import report_left_out, report_reading, report_reduced
    from tfcli.files import check_name
    from tfcli.text.corpus import CACHE, open_sources
    from tfcli.text.saved_tokenizers import list_tokenizers, save_tokenizer
    from tfcli.text.sources import find_sources
    from tfcli.text.tokenizer_training import train_tokenizer

    reporter = streams.Reporter(quiet=quiet)
    check_name(name, "tokenizer")
    sources = find_sources(files, options.exclude)
    report_left_out(sources, options.exclude, reporter)
    with progress("Reading", quiet=quiet) as read:
        corpus = open_sources(
            sources, reading, cache=CACHE, val_fraction=options.val_fraction, progress=read
        )
    report_reading(corpus, reporter)
    tokenizer, report = train_tokenizer(
        (chunk.data for chunk in corpus.training()),
        text_bytes=corpus.scan.training_bytes,
        type=options.type,
        vocab_size=options.vocab_size,
    )
    report_reduced(report, asked=options.vocab_size is not None, reporter=reporter)
    if name in list_tokenizers():
        reporter.note(f"Replacing the existing tokenizer {name}.")
    saved = save_tokenizer(name, tokenizer, report, corpus)
    if json:
        streams.write_json_result({"name": name, "path": str(saved.path), **saved.metadata})
    measures = saved.metadata["measures"]
    reporter.note(
        f"{name}: vocabulary of {report.vocab_size:,} ({report.type}), trained on "
        f"{report.sample_bytes:,} bytes; {measures['bytes_per_token']} bytes per token on "
        f"{measures['bytes']:,} held-out bytes."
    )
    reporter.next(f"tfcli train {' '.join(files)} --tokenizer {name} --time 60s")


@app.command(cls=Command)
def encode(tokenizer: TokenizerOption) -> None:
    """Encode text on stdin to ids on stdout, one line per chunk of text.

    tfcli tokenizer encode -t book < book.txt > book.ids
    """
    from tfcli.text.readers import read_stdin
    from tfcli.text.saved_tokenizers import find_tokenizer

    opened = find_tokenizer(tokenizer).tokenizer
    _require_pipe("tfcli tokenizer encode -t NAME < book.txt")
    for block in read_stdin():  # byte for byte, a byte order mark too
        ids = opened.encode(block)
        streams.write_result((" ".join(map(str, ids)) + "\n").encode())


@app.command(cls=Command)
def decode(tokenizer: TokenizerOption) -> None:
    """Decode ids on stdin, separated by whitespace, to the exact bytes of the text on stdout.

    tfcli tokenizer decode -t book < book.ids > book.txt
    """
    from tfcli.text.saved_tokenizers import find_tokenizer

    opened = find_tokenizer(tokenizer).tokenizer
    _require_pipe("tfcli tokenizer decode -t NAME < book.ids")
    for number, line in enumerate(_lines_of_stdin(), start=1):
        try:
            ids = [int(word) for word in line.split()]
        except ValueError:
            raise DataError(
                f"line {number} of standard input is not a list of ids",
                why=line.decode(errors="replace")[:60],
            ) from None
        outside = next((i for i in ids if not 0 <= i < opened.vocab_size), None)
        if outside is not None:
            raise DataError(
                f"line {number} of standard input has the unknown id {outside}",
                why=f"this tokenizer's ids are 0 to {opened.vocab_size - 1}",
            )
        streams.write_result(opened.decode(ids))


@app.command(cls=Command)
def info(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A tokenizer's name or path.")],
    json: JsonOption = False,
) -> None:
    """Show a tokenizer, and how well it compresses its text."""
    from tfcli.cli.render import show_facts
    from tfcli.text.saved_tokenizers import find_tokenizer

    saved = find_tokenizer(name)
    facts: dict[str, object] = {
        "name": Path(name).name,
        "path": str(saved.path),
        "vocab_size": saved.tokenizer.vocab_size,
        "fingerprint": saved.tokenizer.fingerprint,
    }
    if saved.metadata:
        facts |= {
            "type": saved.metadata.get("type"),
            "sample_bytes": saved.metadata.get("sample_bytes"),
            **{
                f"held_out.{key}": value
                for key, value in saved.metadata.get("measures", {}).items()
            },
        }
    if json:
        streams.write_json_result({"metadata": saved.metadata, **facts})
    else:
        show_facts(facts)


@app.command("export", cls=Command)
def export_tokenizer(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A tokenizer's name or path.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to write.")],
) -> None:
    """Export a tokenizer to a folder that Hugging Face's AutoTokenizer opens.

    tfcli tokenizer export book ./book-tokenizer
    """
    from tfcli.exchange.export_huggingface import export_tokenizer
    from tfcli.text.saved_tokenizers import find_tokenizer

    reporter = streams.Reporter(quiet=False)
    export_tokenizer(find_tokenizer(name).tokenizer, folder)
    reporter.note(f"Wrote {folder}.")


@app.command("import", cls=Command)
def import_tokenizer(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH", help="A tokenizer.model or tokenizer.json, or a folder with one."
        ),
    ],
    name: Annotated[str, typer_option("--name", help="Name of the new tokenizer.", metavar="NAME")],
) -> None:
    """Import a SentencePiece tokenizer as tokenizers/NAME.

    tfcli tokenizer import ./model/tokenizer.model --name theirs
    """
    from tfcli.exchange.import_huggingface import find_tokenizer_in
    from tfcli.files import check_name
    from tfcli.text.saved_tokenizers import keep_tokenizer

    reporter = streams.Reporter(quiet=False)
    check_name(name, "tokenizer")
    tokenizer = find_tokenizer_in(path)
    saved = keep_tokenizer(name, tokenizer)
    reporter.note(f"{name}: vocabulary of {tokenizer.vocab_size:,}, saved to {saved.path}.")
    reporter.next(f"tfcli train FILE --tokenizer {name} --time 60s")


def _lines_of_stdin() -> Iterator[bytes]:
    if sys.stdin is None:
        raise InputOutputError("standard input is closed")
    yield from sys.stdin.buffer


def _require_pipe(example: str) -> None:
    """Raises UsageError where stdin is a terminal, and the command would wait without a word."""
    if not streams.stdin_is_piped():
        raise UsageError("nothing on standard input", hint=example)
