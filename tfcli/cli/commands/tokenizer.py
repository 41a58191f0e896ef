"""`tfcli tokenizer`: train, encode, decode, vocab, info, export, import."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfcli.cli import piped_text, streams
from tfcli.cli.command import Command, Group, takes_options
from tfcli.cli.input_text import read_input
from tfcli.cli.output_formats import TextOut
from tfcli.cli.shared_options import JsonOption, QuietOption, typer_option
from tfcli.cli.stdin_lines import StdinLines
from tfcli.errors import DataError, InputOutputError, UsageError
from tfcli.generation.streaming import make_visible
from tfcli.options import Options, option
from tfcli.quantities import counted, parse_count
from tfcli.text.reading_options import FormatOptions, ReadingOptions
from tfcli.text.sentencepiece_trainer import TokenizerType
from tfcli.text.user_defined_symbols import SYMBOLS_HELP, parse_symbols

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tfcli.text.tokenizer import Tokenizer

app = typer.Typer(cls=Group, no_args_is_help=True, help="Train, import and use tokenizers.")

LINES = 256  # encoded or decoded together

NameArgument = Annotated[
    str | None,
    typer.Argument(metavar="NAME", help="A tokenizer's name or path.", show_default=False),
]
RunOption = Annotated[
    str | None, typer_option("--run", help="Use this run's tokenizer.", metavar="RUN")
]


@dataclass(frozen=True, kw_only=True)
class TokenizerOptions(Options):
    """What tokenizer to train, and on what part of the text."""

    vocab_size: int | None = option(
        None, from_text=parse_count, shown_default="from the size of the text",
        help="Vocabulary size.",
    )  # fmt: skip
    type: TokenizerType = option("bpe", aliases=("tokenizer_type",), help="Tokenizer type.")
    user_defined_symbols: tuple[str, ...] = option(
        (), metavar="A,B", from_text=parse_symbols, help=SYMBOLS_HELP
    )
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
    from tfcli.cli.new_tokenizer import make_tokenizer
    from tfcli.cli.render import progress
    from tfcli.cli.training_notes import report_left_out, report_reading
    from tfcli.files import check_name
    from tfcli.text.corpus import CACHE, open_sources
    from tfcli.text.saved_tokenizers import list_tokenizers, save_tokenizer
    from tfcli.text.sources import find_sources

    reporter = streams.Reporter(quiet=quiet)
    check_name(name, "tokenizer")
    sources = find_sources(files, options.exclude)
    reading.require_named(sources.met)
    report_left_out(sources, options.exclude, reporter)
    with progress("Reading", quiet=quiet) as read:
        corpus = open_sources(
            sources, reading, cache=CACHE, val_fraction=options.val_fraction, progress=read
        )
    report_reading(corpus, reporter)
    tokenizer, report = make_tokenizer(
        corpus, reporter, type=options.type, vocab_size=options.vocab_size,
        user_defined_symbols=options.user_defined_symbols,
    )  # fmt: skip
    if name in list_tokenizers():
        reporter.note(f"Replacing the existing tokenizer {name}.")
    saved = save_tokenizer(name, tokenizer, report, corpus)
    if json:
        streams.write_json_result({"name": name, "path": str(saved.path), **saved.metadata})
    measures = saved.metadata["measures"]
    symbols = counted(len(report.user_defined_symbols), "user-defined symbol")
    with_symbols = f" with {symbols}" if report.user_defined_symbols else ""
    reporter.note(
        f"{name}: vocabulary of {report.vocab_size:,} ({report.type}){with_symbols}, trained on "
        f"{report.sample_bytes:,} bytes; {measures['bytes_per_token']} bytes per token on "
        f"{measures['bytes']:,} held-out bytes."
    )
    reporter.next(f"tfcli train {' '.join(files)} --tokenizer {name} --time 60s")


@dataclass(frozen=True, kw_only=True)
class TokenizerChoice(Options):
    """Which tokenizer to use."""

    tokenizer: str | None = option(
        None, short="t", metavar="NAME", conflicts=("run",), help="A tokenizer's name or path."
    )
    run: str | None = option(None, metavar="RUN", help="Use this run's tokenizer.")


@dataclass(frozen=True, kw_only=True)
class EncodeOptions(Options):
    """How ids are written."""

    pieces: bool = option(False, help="Write the pieces of the text instead of their ids.")
    lines: bool = option(False, help="Write one line for each line of stdin, as it arrives.")


@dataclass(frozen=True, kw_only=True)
class DecodeOptions(Options):
    """How ids are read."""

    lines: bool = option(False, help="Write one line of text for each line of ids, as it arrives.")


@app.command(cls=Command)
@takes_options
def encode(
    choice: TokenizerChoice,
    options: EncodeOptions,
    reading: FormatOptions,
    quiet: QuietOption = False,
) -> None:
    r"""Encode text on stdin to ids on stdout, one line per chunk of text.

    Pieces are separated by spaces; in a piece, ▁ is a space, and <0xE2> a byte.
    Other white space and invisible characters are escaped: \n, \u200d.

    tfcli tokenizer encode -t book < book.txt > book.ids
    """
    from tfcli.text.encoding import decode_line
    from tfcli.text.vocabulary import visible_pieces

    opened = _open(choice.tokenizer, choice.run, "encode -t NAME")
    hint = "tfcli tokenizer encode -t NAME < book.txt"
    _require_pipe(hint)

    def encoded(text: str | bytes) -> bytes:
        ids = opened.encode(text)
        words = visible_pieces(opened, ids) if options.pieces else map(str, ids)
        return (" ".join(words) + "\n").encode()

    if options.lines:
        _answer_lines("lines", lambda line, number: encoded(decode_line(line, number)))
    else:
        blocks = read_input(None, streams.Reporter(quiet=quiet), hint=hint, wanted=reading)
        for block in blocks:  # byte for byte, a byte order mark too
            streams.write_result(encoded(block))


@app.command(cls=Command)
@takes_options
def decode(choice: TokenizerChoice, options: DecodeOptions) -> None:
    """Decode ids on stdin to the exact bytes of the text on stdout.

    Ids are separated by whitespace.

    tfcli tokenizer decode -t book < book.ids > book.txt
    """
    opened = _open(choice.tokenizer, choice.run, "decode -t NAME")
    _require_pipe("tfcli tokenizer decode -t NAME < book.ids")

    def decoded(line: bytes, number: int) -> bytes:
        return opened.decode(_parse_ids(line, number, opened.vocab_size))

    if options.lines:
        _answer_lines("lines of ids", lambda line, number: _one_line(decoded(line, number), number))
        return
    # a terminal gets what it can show, and everything else the exact bytes
    write = TextOut().write if streams.is_terminal(sys.stdout) else streams.write_result
    for number, line in enumerate(_lines_of_stdin(), start=1):
        write(decoded(line, number))


def _parse_ids(line: bytes, number: int, vocab_size: int) -> list[int]:
    try:
        ids = [int(word) for word in line.split()]
    except ValueError:
        raise DataError(
            f"line {number} of standard input is not a list of ids",
            why=line.decode(errors="replace")[:60],
        ) from None
    outside = next((i for i in ids if not 0 <= i < vocab_size), None)
    if outside is not None:
        raise DataError(
            f"line {number} of standard input has the unknown id {outside}",
            why=f"this tokenizer's ids are 0 to {vocab_size - 1}",
        )
    return ids


def _one_line(text: bytes, number: int) -> bytes:
    if b"\n" in text:
        raise DataError(
            f"line {number} of standard input is more than one line of text",
            why=repr(text.decode(errors="replace"))[:60],
            hint="leave out --lines",
        )
    if streams.is_terminal(sys.stdout):
        text = make_visible(text.decode(errors="replace")).encode()
    return text + b"\n"


def _answer_lines(purpose: str, answer: Callable[[bytes, int], bytes]) -> None:
    """Writes an answer to each line of stdin, as they arrive; those before an invalid one too."""
    arriving = StdinLines(purpose)
    number = 0
    while lines := arriving.read_available(LINES):
        answers = []
        try:
            for line in lines:
                number += 1
                answers.append(answer(line, number))
        finally:
            streams.write_result(b"".join(answers))


@app.command(cls=Command)
def vocab(
    name: NameArgument = None,
    run: RunOption = None,
    json: JsonOption = False,
) -> None:
    """List the vocabulary: id, piece, type and score, separated by tabs.

    Pieces are printed as by encode --pieces.
    Types are normal, byte, control, unknown, user-defined and unused.

    tfcli tokenizer vocab book | grep user-defined
    """
    from dataclasses import asdict

    from tfcli.text.vocabulary import list_vocabulary

    entries = list(list_vocabulary(_open(name, run, "vocab NAME")))
    if json:
        for entry in entries:
            streams.write_json_result(asdict(entry))
    else:
        table = "".join(f"{e.id}\t{e.piece}\t{e.type}\t{e.score:g}\n" for e in entries)
        streams.write_result(table.encode())


def _open(name: str | None, run: str | None, usage: str) -> Tokenizer:
    """The tokenizer of that name, or that of a run.

    Raises:
        UsageError: neither or both are given.

    """
    from tfcli.cli.tokenizers import find_tokenizer
    from tfcli.runs.run import find_run

    _require_one(name, run, usage)
    return find_run(run)[0].tokenizer() if name is None else find_tokenizer(name).tokenizer


def _require_one(name: str | None, run: str | None, usage: str) -> None:
    if name is not None and run is not None:
        raise UsageError("a tokenizer's name cannot be combined with --run")
    if name is None and run is None:
        raise UsageError("no tokenizer given", hint=f"tfcli tokenizer {usage}   # or --run RUN")


@app.command(cls=Command)
def info(
    name: NameArgument = None,
    run: RunOption = None,
    json: JsonOption = False,
) -> None:
    """Show a tokenizer, and how well it compresses the text it was trained for.

    tfcli tokenizer info book
    """
    from tfcli.cli.render import show_facts
    from tfcli.cli.tokenizers import facts_of_run, find_tokenizer
    from tfcli.runs.run import find_run
    from tfcli.text.vocabulary import list_vocabulary, tokenizer_type

    _require_one(name, run, "info NAME")
    found = None
    if name is not None:
        saved = find_tokenizer(name)
        path, tokenizer, metadata = saved.path, saved.tokenizer, saved.metadata
    else:
        found, _ = find_run(run)
        path, tokenizer, metadata = found.path, found.tokenizer(), None
    entries = list_vocabulary(tokenizer)
    facts: dict[str, object] = {
        "name": path.name if name is None else Path(name).name,
        "path": str(path),
        "vocab_size": tokenizer.vocab_size,
        "user_defined_symbols": [each.text for each in entries if each.type == "user-defined"],
        "fingerprint": tokenizer.fingerprint,
    }
    if metadata:
        facts |= {
            "type": metadata.get("type") or tokenizer_type(tokenizer),
            "sample_bytes": metadata.get("sample_bytes"),
            **{f"held_out.{key}": value for key, value in metadata.get("measures", {}).items()},
        }
    if found:
        facts |= facts_of_run(found, tokenizer)
    if json:
        streams.write_json_result({"metadata": metadata, **facts})
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
    from tfcli.files import require_parent
    from tfcli.text.saved_tokenizers import find_tokenizer

    reporter = streams.Reporter(quiet=False)
    require_parent(folder)
    export_tokenizer(find_tokenizer(name).tokenizer, folder)
    reporter.note(f"Wrote {folder}.")


@app.command("import", cls=Command)
def import_tokenizer(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH",
            help="A tokenizer.model, tokenizer.json or GGUF file, or a folder with a tokenizer.",
        ),
    ],
    name: Annotated[str, typer_option("--name", help="Name of the new tokenizer.", metavar="NAME")],
) -> None:
    """Import the tokenizer of another model as tokenizers/NAME.

    SentencePiece or byte-level BPE.

    tfcli tokenizer import ./model/tokenizer.json --name theirs
    """
    from tfcli.exchange.tokenizer_import import find_tokenizer_in
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
    if not piped_text.stdin_is_piped():
        raise UsageError("nothing on standard input", hint=example)
