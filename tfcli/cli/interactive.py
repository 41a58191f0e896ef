"""`tfcli generate -i`: writing together with a model, line by line."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcli.cli import streams
from tfcli.cli.draft import Draft, describe_size, named_file
from tfcli.cli.line_editing import HELP, prepare_line_editing
from tfcli.cli.output_formats import TextOut
from tfcli.errors import TfcliError, UsageError, closest_match, without_comma
from tfcli.generation.request import PROMPT, GenerationRequest
from tfcli.generation.streaming import make_visible
from tfcli.options import Options, find_option, option, options_of, update_options, values_of
from tfcli.text.reading_options import encoding_option

if TYPE_CHECKING:
    from collections.abc import Callable

    from tfcli.generation.generate import Finished, Generator
    from tfcli.options import Option
    from tfcli.text.pairs import PairForm

MAX_PASSED = 3  # stop strings that come at once, where the model is asked to go on
MAX_COUNT = 99  # of turns taken back, and of continuations to choose from


@dataclass(frozen=True, kw_only=True)
class InteractiveOptions(Options):
    """What an interactive session begins with."""

    file: str | None = option(
        None, metavar="FILE", panel=PROMPT,
        help="With -i: continue the text in FILE (may not exist yet); /save writes to it.",
    )  # fmt: skip
    encoding: str | None = encoding_option("With -i: encoding of the files read.", panel=PROMPT)


class Conversation:
    """A text that a person and a model write together.

    Args:
        form: of a run trained on pairs of prompt and answer: then each line is such a prompt.

    Attributes:
        help: what `/help` lists.

    """

    help = HELP

    def __init__(
        self,
        generator: Generator,
        request: GenerationRequest,
        reporter: streams.Reporter,
        notes: streams.DeferredNotes,
        form: PairForm | None = None,
        encoding: str | None = None,
    ) -> None:
        self._generator, self._request = generator, request
        self._reporter, self._notes = reporter, notes
        self._draft = Draft(encoding)
        self._form = form
        self._asked_to_quit = False
        self._choices: list[str] = []  # the whole text with each continuation of /retry N

    def run(self, beginning: str | None = None, file: str | None = None) -> None:
        """Reads lines until their end, or until the person quits.

        Args:
            beginning: taken as the first line.
            file: whose text the session goes on from.

        Raises:
            DataError: the file is no text.

        """
        prepare_line_editing(self.help)
        if file is not None:
            self._open(file)
        self._reporter.note(f"{self._invitation()}; /help lists commands, Ctrl-D quits.")
        if beginning:
            streams.write_result(f"> {make_visible(beginning)}\n".encode())  # as if it was typed
            self._answer_safely(beginning)
        while True:
            try:
                line = self._read_line()
            except EOFError:
                streams.say("")
                line = "/quit"
            except KeyboardInterrupt:
                streams.say("")
                continue
            except UnicodeError:
                streams.say("error: the line is not valid UTF-8", style="error")
                continue
            if line.strip() == "/quit":
                if self._may_quit():
                    return
                continue
            self._asked_to_quit = False
            self._answer_safely(line)

    def _invitation(self) -> str:
        if self._form:
            return (
                "Type a prompt, which is answered on its own, without the lines before "
                "(the model was trained on pairs)"
            )
        return f"Type {'what comes next' if self._draft.text else 'the beginning of a text'}"

    def _open(self, file: str) -> None:
        if Path(file).expanduser().exists():
            self._load(file)
            return
        self._draft.belongs_to(file)
        self._reporter.note(f"{file} does not exist yet; /save creates it.")

    def _may_quit(self) -> bool:
        """A text that belongs to a file is not dropped unsaved, unless asked for twice."""
        if not self._draft.unsaved or self._asked_to_quit:
            return True
        self._asked_to_quit = True
        self._reporter.note(
            f"Unsaved changes to {self._draft.path}: /save, or quit again to discard them."
        )
        return False

    def _answer_safely(self, line: str) -> None:
        try:
            self._answer(line)
        except TfcliError as error:
            streams.show_error(error)
        except OSError as error:  # a file name that cannot exist
            streams.say(f"error: {error.strerror or error}", style="error")
        except KeyboardInterrupt:  # pressed twice
            streams.say("")

    def _read_line(self) -> str:
        parts = [input("> ")]
        while parts[-1].endswith("\\"):
            parts[-1] = parts[-1][:-1].rstrip(" ")
            parts.append(input(". "))
        return "\n".join(parts)

    def _commands(self) -> dict[str, Callable[[str], None]]:
        return {
            "/help": self._help,
            "/new": self._begin,
            "/retry": self._retry,
            "/take": self._take,
            "/undo": self._undo,
            "/set": self._set,
            "/show": self._show,
            "/load": self._load,
            "/save": self._save,
        }

    def _answer(self, line: str) -> None:
        commands = self._commands()
        if not line.startswith("/") or "\n" in line:
            replace(self._request, prompt=line)  # refuses what no text may have
            if self._form:  # a pair of its own
                if not line.strip():
                    return
                self._draft.begin("")
            self._draft.take_turn(line)
            self._choices = []
            self._continue()
            return
        name, _, rest = line.partition(" ")
        if name not in commands:
            similar = closest_match(name, commands)
            hint = f"did you mean {similar!r}?" if similar else ", ".join([*commands, "/quit"])
            if found := find_option(GenerationRequest, name[1:].replace("-", "_")):
                number = without_comma(rest, found.parse_text, whole=found.type is int)
                hint = f"/set {name[1:]} {number.partition(', ')[0] if number else rest}"
            raise UsageError(f"unknown command: {name}", hint=hint)
        commands[name](rest.strip())

    # --- the text -------------------------------------------------------------------------------

    def _continue(self, lead: str | None = None) -> None:
        """Has the model continue the text, in another color, until it ends or Ctrl-C.

        Args:
            lead: the part of the text to show before, up to what is written; None: it is on the
                screen.

        """
        colored = streams.wants_color(sys.stdout)
        out, written = TextOut(), bytearray()
        stop: str | None = None
        try:
            out.write((lead or "").encode())
            streams.write_result(streams.STYLES["model"].encode() if colored else b"")
            for left in reversed(range(1 + MAX_PASSED)):
                end = self._write(out, written)
                stop = end.stop.decode(errors="ignore") if end and end.stop else None
                if written or not stop or not self._draft.awaits_more or not left:
                    break
                self._draft.add_written(stop)
                if lead is not None:
                    out.write(stop.encode())
                stop = None
            self._note_end(end, written)
        except KeyboardInterrupt:
            stop = None
            self._reporter.note("")
        finally:
            streams.write_result(streams.RESET.encode() if colored else b"")
            out.close()
            self._notes.release()
            between = self._form.separator if self._form and written else ""
            self._draft.add_written(between + written.decode(errors="ignore"), stop)

    def _write(self, out: TextOut, written: bytearray) -> Finished | None:
        """What the model writes after the text, shown as it comes; how it ends."""
        from tfcli.generation.generate import Finished, RequestList

        request = replace(
            self._request, prompt=self._draft.text, ends_word=self._draft.ends_with_line
        )
        self._request = replace(self._request, row=self._request.row + 1)
        end = None
        for event in self._generator.stream(RequestList([request])):
            out.write(event.data)
            written += event.data
            end = event if isinstance(event, Finished) else None
        return end

    def _note_end(self, end: Finished | None, written: bytearray) -> None:
        """Says why nothing, or nothing whole, was written."""
        if end and end.reason == "incomplete":
            self._notes("incomplete: the required format was not matched")
        elif not written and end and end.stop:
            stop = end.stop.decode(errors="replace")
            self._notes(f"the stop string {stop!r} comes next; Enter goes on after it")
        elif not written:
            self._notes("the model ends the text here; /retry tries again")

    def _begin(self, _: str) -> None:
        left = self._draft.path if self._draft.unsaved else None
        self._draft.begin("")
        self._reporter.note(
            f"New text, without a file; /undo brings back {left}, which has unsaved changes."
            if left
            else "New text; /save NAME writes it to a file."
        )

    def _retry(self, words: str) -> None:
        count = _count(words, "/retry")
        choices = []
        for number in range(1, count + 1):
            self._draft.back_to_last_line()
            if count > 1:
                self._reporter.note(f"--- {number} ---")
            # an answer is shown alone
            self._continue("" if self._form else self._draft.tail().rpartition("\n")[2])
            choices.append(self._draft.text)
        self._choices = choices if count > 1 else []
        if self._choices:
            self._reporter.note(f"/take 1 to /take {count} chooses one; now it is {count}.")

    def _take(self, words: str) -> None:
        number = _count(words, "/take")
        if number > len(self._choices):
            hint = f"/take 1 to /take {len(self._choices)}" if self._choices else "/retry 3"
            raise UsageError("there is no such continuation to take", hint=hint)
        self._draft.text = self._choices[number - 1]
        self._show_tail()

    def _undo(self, words: str) -> None:
        count = _count(words, "/undo")
        undone = 0
        while undone < count and (self._draft.last_turn or not undone):
            self._draft.undo()
            undone += 1
        self._choices = []
        self._show_tail()
        if undone < count:
            self._reporter.note(f"There {'was' if undone == 1 else 'were'} only {undone} to undo.")

    def _show_tail(self) -> None:
        """Where the text stands."""
        if tail := self._draft.tail():
            out = TextOut()
            out.write(tail.encode())
            out.close()
        else:
            self._reporter.note("New text.")

    def _load(self, name: str) -> None:
        if not name:
            raise UsageError("/load needs the name of a file", hint="/load story.txt")
        for note in self._draft.load(name):
            self._reporter.note(f"Note: {note}.")
        self._reporter.note(f"Going on from {named_file(name)} ({self._size()}):")
        self._show_tail()

    def _save(self, name: str) -> None:
        path = self._draft.save(name)
        empty = "" if self._draft.text else ": the text is empty"
        self._reporter.note(f"Saved to {path} ({self._size()}){empty}.")

    def _size(self) -> str:
        return describe_size(self._draft.whole)

    # --- options --------------------------------------------------------------------------------

    def _help(self, _: str) -> None:
        from tfcli.cli.render import say_table

        say_table(list(self.help.items()))

    def _show(self, words: str) -> None:
        """The options: those that differ from their defaults, or all."""
        from tfcli.cli.render import say_table

        if words not in {"", "all"}:
            raise UsageError(f"/show {words}?", hint="/show, or /show all")
        known, usual = options_of(GenerationRequest), _values(GenerationRequest())
        rows = []
        for name, value in _values(self._request).items():
            default = known[name].shown_default or _shown(usual[name])
            if words == "all" or value != usual[name]:
                rows.append((name, _shown(value), f"default {default}"))
        say_table(rows)
        if words != "all":
            self._reporter.note("Other options have their default values; /show all lists them.")

    def _set(self, words: str) -> None:
        name, _, text = words.partition(" ")
        if not name:
            self._show("all")
            return
        before = _values(self._request)
        option = _option(name)
        value = option.parse_text(text.strip()) if text.strip() else option.default
        request = update_options(self._request, {option.name: value})
        self._generator.check(request)
        self._request = request
        for known, new in _values(request).items():
            if new != before[known]:
                self._reporter.note(f"{known}: {_shown(before[known])} -> {_shown(new)}")
            elif known == option.name:
                self._reporter.note(f"{known}: {_shown(new)}, as before")


def _count(words: str, command: str) -> int:
    """The number after a command; 1 without one."""
    if not words:
        return 1
    if not (words.isdecimal() and 1 <= int(words) <= MAX_COUNT):
        problem = f"{command} takes a number from 1 to {MAX_COUNT}, not {words!r}"
        raise UsageError(problem, hint=f"{command} 3")
    return int(words)


def _values(request: GenerationRequest) -> dict[str, Any]:
    """What each option is set to, by name; of truncation what holds."""
    return values_of(request) | request.sampling.truncation._asdict()


def _option(name: str) -> Option:
    name = name.removeprefix("--").replace("-", "_")
    found = find_option(GenerationRequest, name)
    if found is None:
        similar = closest_match(name, options_of(GenerationRequest))
        hint = f"did you mean {similar!r}?" if similar else "/show all"
        raise UsageError(f"unknown option: {name}", hint=hint)
    return found


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, str):
        return repr(value)
    if isinstance(value, tuple):
        return ", ".join(map(_shown, value)) or "-"
    return "-" if value is None else str(value)
