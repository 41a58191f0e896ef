"""`tfcli generate -i`: writing together with a model, line by line."""

from __future__ import annotations

import contextlib
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcli.cli import streams
from tfcli.cli.formats import TextOut
from tfcli.errors import ConflictError, TfcliError, UsageError, closest_match

if TYPE_CHECKING:
    from collections.abc import Callable

    from tfcli.cli.writing import Notes
    from tfcli.generation.generate import Generator
    from tfcli.generation.request import GenerationRequest

HELP = """\
Type the beginning of a text, and the model goes on; type more, and it goes on from there.
An empty line lets it go on as it is; a line that ends in \\ is followed by a newline and more.
Ctrl-C stops the text, not the program.

  /retry             the last continuation once more, with another seed
  /undo              takes the last line and its continuation back
  /new               begins another text
  /set NAME VALUE    such as /set temperature 1.2; /set alone shows all
  /save FILE         writes the text so far to a file
  /quit              or Ctrl-D"""


class Conversation:
    """A text that a person and a model write together."""

    def __init__(
        self,
        generator: Generator,
        request: GenerationRequest,
        reporter: streams.Reporter,
        notes: Notes,
    ) -> None:
        self._generator, self._request = generator, request
        self._voice, self._notes = reporter, notes
        self._text = ""
        self._turns: list[tuple[str, str]] = []  # the text before a line, and the line
        self._saved: set[Path] = set()

    def run(self, beginning: str | None = None) -> None:
        """Reads lines until there is no more, or the person quits.

        Args:
            beginning: taken as the first line.

        """
        with contextlib.suppress(ImportError):  # editing and history; not on every system
            import readline  # noqa: F401
        self._voice.note("Type a beginning. /help shows what else there is, Ctrl-D ends.")
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
                streams.say("That was no text in UTF-8.", style="error")
                continue
            if line.strip() == "/quit":
                return
            self._answer_safely(line)

    def _answer_safely(self, line: str) -> None:
        try:
            self._answer(line)
        except TfcliError as error:
            streams.show_error(error)
        except OSError as error:  # of a name that no file can have
            streams.say(f"error: {error.strerror or error}", style="error")

    def _read_line(self) -> str:
        parts = [input("> ")]
        while parts[-1].endswith("\\"):
            parts[-1] = parts[-1][:-1]
            parts.append(input(". "))
        return "\n".join(parts)

    def _answer(self, line: str) -> None:
        commands: dict[str, Callable[[list[str]], None]] = {
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
        name, *words = line.split()
        if name not in commands:
            similar = closest_match(name, commands)
            hint = f"did you mean {similar} ?" if similar else "/help"
            if name[1:] in settings(self._request):
                hint = f"/set {name[1:]} {' '.join(words)}"
            raise UsageError(f"{name} is no command here", hint=hint)
        commands[name](words)

    def _write(self, request: GenerationRequest) -> None:
        """Lets the model go on from a prompt, until it ends or Ctrl-C."""
        from tfcli.generation.generate import Finished, RequestList

        out, written = TextOut(), bytearray()
        self._request = replace(self._request, row=self._request.row + 1)
        try:
            for event in self._generator.write(RequestList([request])):
                out.write(event.data)
                written += event.data
                if isinstance(event, Finished) and event.reason == "unfinished":
                    self._voice.note("(cut short: it has not the form asked for)")
        except KeyboardInterrupt:
            self._voice.note("")
        finally:
            out.close()
            self._notes.release()
            self._text = request.prompt + written.decode(errors="ignore")

    def _begin(self, _: list[str]) -> None:
        self._text, self._turns = "", []
        self._voice.note("A new text.")

    def _retry(self, _: list[str]) -> None:
        if not self._turns:
            raise UsageError("there is nothing to write once more")
        before, line = self._turns[-1]
        self._write(replace(self._request, prompt=before + line))

    def _undo(self, _: list[str]) -> None:
        if not self._turns:
            raise UsageError("there is nothing to take back")
        self._text, _line = self._turns.pop()
        self._voice.note(f"... {self._text[-60:]}" if self._text else "A new text.")

    def _set(self, words: list[str]) -> None:
        if not words:
            for name, value in settings(self._request).items():
                streams.say(f"  {name:<20} {'-' if value is None else value}")
            return
        if len(words) != 2:
            raise UsageError("/set takes a name and a value", hint="/set temperature 1.2")
        self._request = changed(self._request, *words)

    def _save(self, words: list[str]) -> None:
        from tfcli.files import write_file

        if len(words) != 1:
            raise UsageError("/save takes the name of a file", hint="/save story.txt")
        path = Path(words[0])
        if path.exists() and path not in self._saved:
            raise ConflictError(f"there is a file {path} already", hint="/save another-name.txt")
        write_file(path, self._text.encode())
        self._saved.add(path)
        self._voice.note(f"Saved in {path}.")


OWN = ("max_new_tokens", "seed")


def settings(request: GenerationRequest) -> dict[str, Any]:
    """All that `/set` can change, and what it is."""
    sampling, penalties = request.sampling, request.penalties
    parts = {field.name: getattr(sampling, field.name) for field in fields(sampling)}
    for field in fields(penalties):
        if field.name != "bias":
            parts[_penalty_name(field.name)] = getattr(penalties, field.name)
    return {name: getattr(request, name) for name in OWN} | parts


def _penalty_name(name: str) -> str:
    return name if name in {"no_repeat_ngram", "dry"} else f"{name}_penalty"


def changed(request: GenerationRequest, name: str, text: str) -> GenerationRequest:
    """A request with another setting.

    Raises:
        UsageError: there is no such setting, or it cannot be that.

    """
    known = settings(request)
    name = name.removeprefix("--").replace("-", "_")
    if name not in known:
        similar = closest_match(name, known)
        raise UsageError(
            f"there is no setting {name!r}", hint=f"did you mean {similar} ?" if similar else "/set"
        )
    try:
        whole = name in {*OWN, "top_k", "no_repeat_ngram"}
        value: Any = int(text) if whole else float(text)
    except ValueError:
        raise UsageError(f"{name} cannot be {text!r}") from None
    if name == "top_k" and value == 0:
        value = None
    if name in OWN:
        return replace(request, **{name: value})
    if name in {field.name for field in fields(request.sampling)}:
        return replace(request, sampling=replace(request.sampling, **{name: value}))
    penalty = name.removesuffix("_penalty")
    return replace(request, penalties=replace(request.penalties, **{penalty: value}))
