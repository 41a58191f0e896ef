"""What the parser of the command line complains about, in our own words."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

from tfcli.cli.other_names import ARGUMENTS, COMMANDS, OPTIONS, plain, similar_choice, similar_name
from tfcli.errors import UsageError
from tfcli.text.rows import join_fields

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import typer

    from tfcli.options import OptionError

Value = TypeVar("Value")

# Options that say what is read or made. Of other values the last counts, so that a script can have
# defaults before its "$@"; of these, a second one that replaced the first would surprise.
ONCE = {
    "field",
    "format",
    "encoding",
    "document",
    "separator",
    "tokenizer",
    "run",
    "base",
    "resume",
}

# Why two options exclude each other, and what to do, where that is not plain.
CONFLICTS = {
    ("--lines", "--jsonl"): (
        "both say what a line of stdin is: a prompt, or a request in JSON",
        "jq -R -c '{prompt: .}' PROMPTS | tfcli generate --jsonl",
    ),
}

# The parser's sentences, each as one of ours.
SENTENCES = (
    (r"Missing argument '([^']+?)(?:\.\.\.)?'.*", r"missing argument \1"),
    (r"Missing option '([^' ]+).*", r"missing option \1"),
    (r"Missing command.*", "missing command"),
    (r"Got unexpected extra argument(?:\(s\))? \((\S+)\)", r"unexpected argument: \1"),
    (r"Got unexpected extra argument(?:\(s\)|s) \((.*)\)", r"unexpected arguments: \1"),
    (r"Option '(\S+)' requires an argument", r"\1 needs a value"),
    (r"Option '(\S+)' requires (\d+) arguments", r"\1 needs \2 values"),
    (r"Option '(\S+)' does not take a value.*", r"\1 takes no value"),
    (r"No such option:? '?([^' ]+)'?.*", r"unknown option: \1"),
    (r"No such command:? '?([^' ]+)'?.*", r"unknown command: \1"),
    (
        r"Invalid value for '(\S+)'.*?: '(.*?)' is not one of (.*)",
        r"\1 must be one of \3, not '\2'",
    ),
    (r"Invalid value for '(\S+)'.*? valid boolean.*", r"\1 must be true or false"),
    (r"Invalid value for '(\S+)'.*?: Input should be ([^,]*).*", r"\1 must be \2"),
    (r"Invalid value for '?(\S+?)'?(?: \(env var.*?\))?: (.*)", r"\1: \2"),
)
# Commands whose arguments may begin with a dash, as a line of dialogue does in Spanish.
TAKES_TEXT = {"generate": "PROMPT", "inspect": "PROMPT", "fill": "TEXT", "trace": "RUN TEXT"}
UNKNOWN = re.compile(r"unknown (?:command|option): (\S+)")


def as_usage_error(error: typer.TyperException, root: Any, arguments: Sequence[str]) -> UsageError:
    """A parser's error as one of ours, with what was meant, or how the command is called.

    Args:
        root: the whole program; some errors do not say of which command they are.
        arguments: the command line.

    """
    command, path = command_at(root, arguments)
    message = _in_our_words(error.format_message())
    if unknown := UNKNOWN.match(message):
        hint = _prompt_meant(unknown[1], arguments, command, path)
        hint = hint or _meant(unknown[1], command, path)
    elif path == "tfcli generate" and message.startswith("unexpected argument"):
        message, hint = _of_several_prompts(message, arguments)
    elif wrong := re.fullmatch(r"\S+ must be one of (.+), not '(.*)'", message):
        hint = similar_choice(wrong[2], wrong[1].split(", ")) or f"{path} --help"
    elif without := re.fullmatch(r"(\S+) needs a value", message):
        hint = _with_value(without[1], command) or f"{path} --help"
    elif message.startswith("missing "):
        hint = _usage(command, path)
    else:
        hint = f"{path} --help"
    return UsageError(message, hint=hint)


def explained(error: OptionError) -> OptionError:
    """An error of two options that exclude each other, with the reason and a way out."""
    known = CONFLICTS.get((error.option, error.other or ""))
    if known and not error.why:
        error.why, error.hint = known
    return error


def refuse_missing_values(parameters: Sequence[Any], arguments: Sequence[str]) -> None:
    """Raises UsageError where what follows an option in place of its value is another option.

    `--stop=--seed` says that the value is meant.

    Args:
        parameters: those of the command.
        arguments: the words of its command line.

    """
    options = {
        name: each for each in parameters if each.param_type_name == "option"
        for name in (*each.opts, *each.secondary_opts)
    }  # fmt: skip
    words, _ = _split(arguments)
    taken = False
    for word, following in pairwise(words):
        option = None if taken else options.get(word)
        taken = option is not None and not option.is_flag
        if taken and option is not None and following in options:
            raise UsageError(
                f"{word} needs a value", why=f"{following} is an option",
                hint=_example(word, option),
            )  # fmt: skip


# Values of options that the help only names.
EXAMPLES = {"SHARE": "0.5", "FRACTION": "0.1", "RATE": "0.01", "STEPS": "100", "N": "10"}


def _example(name: str, option: Any) -> str:
    """An option with a value: its default, the first one of its help, or what stands for one."""
    shown = (option.metavar or option.name.upper()).split("|")[0]
    usual = option.default if type(option.default) in {int, float} and option.default else None
    return f"{name} {EXAMPLES.get(shown, shown) if usual is None else usual}"


def _with_value(name: str, command: Any) -> str | None:
    """The same of an option that stands at the end of the line."""
    return next((_example(name, each) for each in command.params if name in each.opts), None)


def refuse_repeated(order: Sequence[Any], arguments: Sequence[str]) -> None:
    """Raises UsageError where an option that counts once was given twice.

    Args:
        order: the parameters as they were given.
        arguments: the words of the command line.

    """
    for place, parameter in enumerate(order):
        if parameter.name in ONCE and parameter in order[:place]:
            name = parameter.opts[0]
            fields = _values_of(name, arguments) if parameter.name == "field" else []
            if all("=" in field for field in fields) and fields:
                raise UsageError(f"{name} was given twice",
                                 hint=f"{name} {shlex.quote(','.join(fields))}")  # fmt: skip
            raise UsageError(
                f"{name} was given twice",
                why="the text of a row is in one field" if fields else None,
                hint=join_fields(fields, "ROWS") if fields else "give it once",
            )


def _values_of(option: str, arguments: Sequence[str]) -> list[str]:
    """The values that an option was given."""
    found = []
    for word, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if word == option:
            found.append(following)
        elif word.startswith(f"{option}="):
            found.append(word.partition("=")[2])
    return found


def prompt_for_samples(root: Any, arguments: Sequence[str]) -> str | None:
    """The command line that a prompt such as `-no` needs, which was read as `-n o`; or None."""
    return _prompt_meant("-n", arguments, *command_at(root, arguments))


def command_at(root: Any, arguments: Sequence[str]) -> tuple[Any, str]:
    """The command that a command line names, and the words that call it."""
    command, path = root, ["tfcli"]
    for word in arguments:
        if word not in getattr(command, "commands", {}):
            if word.startswith("-") and command is root:
                continue
            break
        command = command.commands[word]
        path.append(word)
    return command, " ".join(path)


def _in_our_words(message: str) -> str:
    message = message.split("\n")[0].rstrip(".").replace("Value error, ", "")  # pydantic's
    for pattern, words in SENTENCES:
        if found := re.fullmatch(pattern, message):
            message = found.expand(words)
            break
    if " must be one of " in message:
        choices, _, value = message.rpartition(", not ")
        message = f"{choices.replace(chr(39), '')}, not {value}"
    return message[:1].lower() + message[1:] if message[1:2].islower() else message


def _prompt_meant(option: str, arguments: Sequence[str], command: Any, path: str) -> str | None:
    """How to write a prompt such as `-No quiero`, in which an option was seen."""
    if path != "tfcli generate":
        return None
    known = {plain(name) for each in command.params for name in (*each.opts, *each.secondary_opts)}
    known |= {plain(name) for name in (*OPTIONS, *ARGUMENTS["generate"])}
    options, prompt = _split(arguments)
    for place, word in enumerate(options):
        inside = word.startswith(option) or (word[:2] != "--" and option[1:] in word[1:])
        text = word.lstrip("-")
        is_text = not text or " " in text or (word[:2] != "--" and len(text) > 1 and text.isalpha())
        if prompt or not (word.startswith("-") and inside and is_text) or plain(text) in known:
            continue
        return shlex.join(["tfcli", *options[:place], *options[place + 1 :], "--", word])
    return None


def _of_several_prompts(message: str, arguments: Sequence[str]) -> tuple[str, str]:
    """What to say of more arguments than the one prompt, and how to write them."""
    options, after = _split(arguments)
    first = next((n for n, word in enumerate(after) if n and word.startswith("-")), None)
    if first is None:
        return message, "put the prompt in quotes"
    given, prompt = after[first:], " ".join(after[:first])
    return (
        f"after -- comes only the prompt, not {shlex.join(given)}",
        shlex.join(["tfcli", *options, *given, "--", prompt]),
    )


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words before `--`, and those after it."""
    words = list(arguments)
    end = words.index("--") if "--" in words else len(words)
    return words[:end], words[end + 1 :]


def _usage(command: Any, path: str) -> str:
    """How a command is called at least, and where to read more."""
    words = [path]
    for parameter in command.params:
        if parameter.required and parameter.param_type_name == "argument":
            words.append(parameter.metavar or parameter.name.upper())
        elif parameter.required:
            choices = getattr(parameter.type_descriptor, "choices", None)
            words += [parameter.opts[0], choices[0] if choices else parameter.name.upper()]
    return f"{' '.join(words)}   # see {path} --help"


def _meant(unknown: str, command: Any, path: str) -> str:
    """What to type in place of a name that is not known."""
    place = path.removeprefix("tfcli").strip()
    if not unknown.startswith("-"):
        return _meant_command(unknown, command, place) or f"{path} --help"
    name = plain(unknown)
    known = ["--help", "--debug"] if place else ["--help", "--debug", "--version"]
    for each in command.params:
        if each.param_type_name == "option":
            known += [*each.opts, *each.secondary_opts]
    same = [option for option in known if plain(option) == name]
    if not same and any(
        each.param_type_name == "argument" and plain(each.name) == name for each in command.params
    ):
        return f"{path} {name.upper()} ...   # see {path} --help"
    if not same and (argument := _entry(ARGUMENTS.get(place, {}), name)):
        return argument
    called_otherwise = _entry(OPTIONS, name) or ()
    same += [option for option in called_otherwise if option.split()[0] in known]
    if not same and place in TAKES_TEXT and not unknown.startswith("--"):
        return f"{path} -- {TAKES_TEXT[place]}   # for one that begins with a dash"
    if not same and unknown.startswith("--"):
        similar = similar_name(name, [each for each in known if each.startswith("--")])
        same = [similar] if similar else []
    return f"did you mean {same[0]!r}?" if same else f"{path} --help"


def _entry(table: dict[str, Value], name: str) -> Value | None:
    """What a table has for a name, however it is written."""
    return next((value for other, value in table.items() if plain(other) == name), None)


def _meant_command(unknown: str, command: Any, place: str) -> str | None:
    if hint := _entry(COMMANDS, plain(f"{place} {unknown}".strip())):
        return hint
    for words in _commands(command):
        if words[-1] == unknown:  # of a group
            return " ".join(("tfcli", *words))
    return similar_choice(unknown, getattr(command, "commands", {}))


def _commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, child in getattr(command, "commands", {}).items():
        yield (*path, name)
        yield from _commands(child, (*path, name))
