"""`tfcli generate -i`: writing together with a model, line by line."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tfcli.cli import streams
from tfcli.cli.output_formats import TextOut
from tfcli.errors import ConflictError, TfcliError, UsageError, closest_match
from tfcli.generation.request import GenerationRequest
from tfcli.options import find_option, options_of, update_options, values_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tfcli.generation.generate import Generator
    from tfcli.options import Option

HELP = """\
Type the beginning of a text, and the model continues it; type more, and it continues from there.
An empty line lets it continue without adding anything; end a line with \\ to type more lines.
Ctrl-C stops the text, not the program.

  /retry               generate the last continuation again, with another seed
  /undo                remove the last line and its continuation
  /new                 start a new text
  /set                 list all options
  /set NAME VALUE      change an option, for example /set temperature 1.2
  /set NAME            reset an option to its default
  /save FILE           write the text to a file
  /quit                or Ctrl-D"""


class Conversation:
    """A text that a person and a model write together."""

    def __init__(
        self,
        generator: Generator,
        request: GenerationRequest,
        reporter: streams.Reporter,
        notes: streams.DeferredNotes,
    ) -> None:
        self._generator, self._request = generator, request
        self._reporter, self._notes = reporter, notes
        self._text = ""
        self._turns: list[tuple[str, str]] = []  # the text before a line, and the line
        self._saved: set[Path] = set()

    def run(self, beginning: str | None = None) -> None:
        """Reads lines until their end, or until the person quits.

        Args:
            beginning: taken as the first line.

        """
        with contextlib.suppress(ImportError):  # editing and history; not on every system
            import readline  # noqa: F401
        self._reporter.note("Type the beginning of a text; /help lists commands, Ctrl-D quits.")
        if beginning:
            self._answer_safely(beginning)
        while True:
            try:
                line = self._read_line()
            except EOFError:
                streams.say("")
                return
            except KeyboardInterrupt:
                streams.say("")
                continue
            except UnicodeError:
                streams.say("error: the line is not valid UTF-8", style="error")
                continue
            if line.strip() == "/quit":
                return
            self._answer_safely(line)

    def _answer_safely(self, line: str) -> None:
        try:
            self._answer(line)
        except TfcliError as error:
            streams.show_error(error)
        except OSError as error:  # a file name that cannot exist
            streams.say(f"error: {error.strerror or error}", style="error")

    def _read_line(self) -> str:
        parts = [input("> ")]
        while parts[-1].endswith("\\"):
            parts[-1] = parts[-1][:-1]
            parts.append(input(". "))
        return "\n".join(parts)

    def _answer(self, line: str) -> None:
        commands: dict[str, Callable[[str], None]] = {
            "/help": lambda _: streams.say(HELP),
            "/new": self._begin,
            "/retry": self._retry,
            "/undo": self._undo,
            "/set": self._set,
            "/save": self._save,
        }
        if not line.startswith("/"):
            request = replace(self._request, prompt=self._text + line)
            self._turns.append((self._text, line))
            self._write(request)
            return
        name, _, rest = line.partition(" ")
        if name not in commands:
            similar = closest_match(name, commands)
            hint = f"did you mean {similar!r}?" if similar else "/help"
            if find_option(GenerationRequest, name[1:]):
                hint = f"/set {name[1:]} {rest}"
            raise UsageError(f"unknown command: {name}", hint=hint)
        commands[name](rest.strip())

    def _write(self, request: GenerationRequest) -> None:
        """Has the model continue a prompt, until it ends or Ctrl-C."""
        from tfcli.generation.generate import Finished, RequestList

        out, written = TextOut(), bytearray()
        self._request = replace(self._request, row=self._request.row + 1)
        try:
            for event in self._generator.stream(RequestList([request])):
                out.write(event.data)
                written += event.data
                if isinstance(event, Finished) and event.reason == "incomplete":
                    self._reporter.note("(incomplete: the required format was not matched)")
        except KeyboardInterrupt:
            self._reporter.note("")
        finally:
            out.close()
            self._notes.release()
            self._text = request.prompt + written.decode(errors="ignore")

    def _begin(self, _: str) -> None:
        self._text, self._turns = "", []
        self._reporter.note("New text.")

    def _retry(self, _: str) -> None:
        if not self._turns:
            raise UsageError("nothing to retry")
        before, line = self._turns[-1]
        self._write(replace(self._request, prompt=before + line))

    def _undo(self, _: str) -> None:
        if not self._turns:
            raise UsageError("nothing to undo")
        self._text, _line = self._turns.pop()
        self._reporter.note(f"... {self._text[-60:]}" if self._text else "New text.")

    def _set(self, words: str) -> None:
        name, _, text = words.partition(" ")
        before = values_of(self._request)
        if not name:
            for known, value in before.items():
                streams.say(f"  {known:<20} {_shown(value)}")
            return
        option = _option(name)
        value = option.parse_text(text.strip()) if text.strip() else option.default
        request = update_options(self._request, {option.name: value})
        self._generator.check(request)
        self._request = request
        for known, value in values_of(request).items():
            if known == option.name or value != before[known]:
                streams.say(f"  {known} = {_shown(value)}")

    def _save(self, name: str) -> None:
        from tfcli.files import write_file

        if not name:
            raise UsageError("/save needs the name of a file", hint="/save story.txt")
        path = Path(name)
        if path.exists() and path not in self._saved:
            raise ConflictError(f"file {path} already exists", hint="/save another-name.txt")
        write_file(path, self._text.encode())
        self._saved.add(path)
        self._reporter.note(f"Saved to {path}.")


def _option(name: str) -> Option:
    name = name.removeprefix("--").replace("-", "_")
    found = find_option(GenerationRequest, name)
    if found is None:
        similar = closest_match(name, options_of(GenerationRequest))
        hint = f"did you mean {similar!r}?" if similar else "/set"
        raise UsageError(f"unknown option: {name}", hint=hint)
    return found


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "-"
    return "-" if value is None else str(value)
