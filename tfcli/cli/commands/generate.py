"""`tfcli generate`: text from a run, streamed."""

from __future__ import annotations

import contextlib
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfcli.cli import piped_text, streams
from tfcli.cli.chat_options import ChatOptions
from tfcli.cli.command import given_options, takes_options
from tfcli.cli.generation_session import GenerationSession, SessionOptions
from tfcli.cli.interactive import InteractiveOptions
from tfcli.cli.shared_options import EngineOptions, QuietOption, ThreadOptions
from tfcli.errors import TfcliError, UsageError
from tfcli.files import file_not_found
from tfcli.generation.request import GenerationRequest
from tfcli.quantities import counted

if TYPE_CHECKING:
    from collections.abc import Collection


@takes_options
def generate(
    context: typer.Context,
    model: EngineOptions,
    request: GenerationRequest,
    options: SessionOptions,
    cpu: ThreadOptions,
    beginning: InteractiveOptions,
    chat: ChatOptions,
    prompt: Annotated[
        str | None,
        typer.Argument(
            metavar="PROMPT",
            help="The text to continue. Text on stdin comes before it, without a separator.",
            show_default=False,
        ),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Generate text from a prompt.

    tfcli generate "Once upon a" --temperature 0.7
    echo "Once upon a" | tfcli generate -n 3
    tfcli generate -i
    tfcli generate --chat "Who was Don Quixote?"
    """
    cpu.apply()
    seeded = "seed" in given_options(context)
    if not seeded:
        from secrets import randbelow

        request = replace(request, seed=randbelow(2**31))
    if options.unconditional:
        if prompt:
            raise UsageError("--unconditional cannot be combined with PROMPT")
        prompt, options = "", replace(options, no_stdin=True)
    if options.lines and prompt is not None:
        if "lines" in given_options(context, environment=False):
            raise UsageError(
                "--lines cannot be combined with PROMPT",
                why="its prompts are the lines of stdin",
                hint=f"tfcli generate --lines < {shlex.quote(prompt)}"
                if _is_file(prompt)
                else f"printf '%s\\n' {shlex.quote(prompt)} | tfcli generate --lines",
            )
        options = replace(options, lines=False)  # the command line overrides the environment
    reporter = streams.Reporter(quiet=quiet)
    if "system" in given_options(context, environment=False) and not chat.chat:
        raise UsageError("--system requires --chat", hint="tfcli generate --chat --system TEXT")
    session = GenerationSession(
        options, model, chat,
        reporter=reporter, started=context.obj, limited="max_new_tokens" in given_options(context),
    )  # fmt: skip
    if options.interactive:
        _converse(session, prompt, beginning, request, reporter, chat.system)
        return
    _require_no_beginning(beginning, given_options(context, environment=False))
    file = _request_file(prompt) if options.jsonl else None
    if options.lines or file or (options.jsonl and prompt is None and _reads_stdin(options)):
        session.answer_lines(request, json=not options.lines, file=file)
    else:
        request = _with_prompt(request, prompt, options, session, reporter)
        if options.samples > 1 and request.sampling.deterministic:
            reporter.note(
                f"Note: greedy decoding has one answer, which is written {options.samples} times; "
                "--temperature 0.8 varies it."
            )
        session.answer(request)
    sampled = not request.sampling.deterministic and options.num_beams == 1
    if sampled and not seeded and streams.is_terminal(sys.stderr):
        reporter.note(f"--seed {request.seed} reproduces this.")


def _require_no_beginning(beginning: InteractiveOptions, given: Collection[str]) -> None:
    """Raises UsageError where what only a session begins with was given without one."""
    if "file" in given:
        raise UsageError(
            "--file requires -i", hint=f"tfcli generate < {shlex.quote(beginning.file or '')}"
        )
    if "encoding" in given:
        name = shlex.quote(beginning.encoding or "")
        raise UsageError(
            "--encoding requires -i",
            why="a prompt on standard input is UTF-8",
            hint=f"iconv -f {name} -t utf-8 FILE | tfcli generate",
        )


def _request_file(prompt: str | None) -> Path | None:
    """The file of requests that a prompt names, beside --jsonl.

    Raises:
        NotFoundError: it names a file of JSON lines that is not there.
        UsageError: requests are redirected to stdin as well.

    """
    if not prompt or len(prompt.splitlines()) != 1:
        return None
    path = Path(prompt)
    if not (_is_file(prompt) or _is_pipe(path)):
        if path.suffix in {".jsonl", ".ndjson"} and not path.exists():
            raise file_not_found(path, named=prompt)
        return None
    piped_text.require_no_other_input(prompt)
    return path


def _reads_stdin(options: SessionOptions) -> bool:
    return not options.no_stdin and piped_text.stdin_is_piped()


def _converse(
    session: GenerationSession,
    prompt: str | None,
    beginning: InteractiveOptions,
    request: GenerationRequest,
    reporter: streams.Reporter,
    system: str | None,
) -> None:
    from tfcli.cli.interactive import Conversation

    if not (streams.is_terminal(sys.stdin) and streams.is_terminal(sys.stdout)):
        raise UsageError("-i requires a terminal", hint="--lines reads prompts from a pipe")
    chat, request = session.chat, session.with_length(request)
    generator = session.open()
    generator.check(request)
    form = None if request.raw else session.form
    conversation = Conversation(
        generator, request, reporter, session.notes, form, beginning.encoding
    )
    if chat:
        from tfcli.cli.chat_conversation import ChatConversation

        name = session.run[0].name
        conversation = ChatConversation(
            generator, request, reporter, session.notes, chat=chat, system=system, name=name
        )
    conversation.run(prompt, beginning.file)


def _example_prompt(session: GenerationSession) -> str:
    """A prompt for the run, quoted for the shell: what its text begins with."""
    from tfcli.cli.training_notes import first_words_of

    words = None
    with contextlib.suppress(TfcliError):  # there is no such run
        words = first_words_of(session.run[0])
    return shlex.quote(words or "Once upon a time")


def _with_prompt(
    request: GenerationRequest,
    argument: str | None,
    options: SessionOptions,
    session: GenerationSession,
    reporter: streams.Reporter,
) -> GenerationRequest:
    """The request for what follows stdin and the argument, concatenated without a separator.

    One newline at the end of stdin is not part of the prompt: `echo` and editors put it there, and
    a model that wants one writes it. It says that the last word is whole. Beside an argument, which
    then ends the prompt, all of stdin counts; but a file that somebody else reads from is left
    alone, as in `while read line; do tfcli generate "$line"; done < lines`.

    Raises:
        UsageError: there is neither, and stdin is a terminal.
        DataError: stdin is not UTF-8, or its end does not come in time.

    """
    if argument and _is_file(argument):
        reporter.note(
            "Note: the prompt is the name of a file; to continue its text: "
            f"tfcli generate < {shlex.quote(argument)}"
        )
    in_use = argument is not None and piped_text.stdin_is_in_use()
    if options.no_stdin or in_use or not piped_text.stdin_is_piped():
        if argument is None:
            raise UsageError(
                "no prompt given",
                hint=f"tfcli generate {_example_prompt(session)}   # or --unconditional",
            )
        return replace(request, prompt=argument)
    piped, began = piped_text.read_piped_text(
        "the prompt", patience=options.max_time, hint=NOT_FROM_STDIN,
        otherwise=None if argument is None else "--no-stdin: only PROMPT", note=reporter.note,
    )  # fmt: skip
    session.count_from(began)
    if argument is None:
        if not piped:
            reporter.note("Note: standard input is empty, so the text begins from nothing.")
        prompt = piped_text.without_last_newline(piped)
        return replace(request, prompt=prompt, ends_word=prompt != piped)
    if piped:
        reporter.note(
            f"Note: the prompt is {counted(len(piped.encode()), 'byte')} from stdin and "
            f"{len(argument.encode()):,} from PROMPT (--no-stdin: only PROMPT, as in a loop that "
            "reads lines; --lines: a prompt from each line)."
        )
    return replace(request, prompt=piped + argument)


def _is_pipe(path: Path) -> bool:
    """Whether it is a pipe with a name, as `<(...)` gives one."""
    try:
        return path.is_fifo()
    except (OSError, ValueError):  # too long for a name
        return False


def _is_file(prompt: str) -> bool:
    try:
        return bool(Path(prompt).suffix) and Path(prompt).is_file()
    except (OSError, ValueError):  # too long for a name
        return False


NOT_FROM_STDIN = "--no-stdin, or < /dev/null, if there is nothing to read"
