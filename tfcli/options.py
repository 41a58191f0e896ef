"""Options, each declared once: a field of a frozen dataclass, with its help, range and names.

    @dataclass(frozen=True, kw_only=True)
    class Sampling(Options):
        temperature: float = option(0.8, min=0, aliases=("temp",), help="Higher is more varied.")

From that follow `--temperature` (and `--temp`) on the command line, `"temperature"` in a JSON
request, `/set temperature` in `generate -i`, and the environment variable. A field may also be
another such dataclass: its options then count as options of the outer one.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, fields, replace
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from tfcli.errors import UsageError, share_meant, without_comma

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_KEY = "option"
_NEVER = object()  # no value turns this option off


@dataclass(frozen=True, kw_only=True)
class Option:
    """What is known of one option.

    Attributes:
        name: as users write it, with underscores; on the command line `--` and hyphens.
        path: the attributes that lead to its value.
        type: bool, int, float, str, a Literal, or a tuple; without None.
        optional: whether None is a value: the program decides, or the option is off.
        default: the value where none is given.
        help: a sentence.
        aliases: further names.
        short: a letter for the command line.
        min, max: bounds, both included.
        metavar: stands for the value in the help.
        panel: the heading under which the help shows it.
        shown_default: what the help shows as the default, if not `default`.
        off: the value with which the option does nothing, so that it conflicts with nothing.
        conflicts: names of options that it cannot be combined with; one side declares it.
        from_text, from_json: make a value, where its type does not say how. They raise ValueError
            with the rest of a sentence that begins with the option's name.

    """

    name: str
    path: tuple[str, ...]
    type: Any
    optional: bool
    default: Any
    help: str
    aliases: tuple[str, ...] = ()
    short: str | None = None
    min: float | None = None
    max: float | None = None
    metavar: str | None = None
    panel: str | None = None
    shown_default: str | None = None
    off: Any = None
    conflicts: tuple[str, ...] = ()
    from_text: Callable[[str], Any] | None = None
    from_json: Callable[[Any], Any] | None = None

    @property
    def repeatable(self) -> bool:
        """Whether it takes several values."""
        return get_origin(self.type) is tuple

    @property
    def choices(self) -> tuple[str, ...]:
        """The values of a Literal; else none."""
        return get_args(self.type) if get_origin(self.type) is Literal else ()

    def is_active(self, value: Any) -> bool:
        """Whether a value changes anything: it is not None, False, empty, or `off`."""
        return value is not None and value is not False and value != () and value != self.off

    def parse_text(self, text: str) -> Any:
        """The value that a word of the command line, or of `/set`, stands for.

        Raises:
            OptionError: it stands for none.

        """
        read = self.from_text or self._read_text
        try:
            return read(text)
        except ValueError as error:
            hint = without_comma(text, read, whole=self.type is int)
            hint = hint or share_meant(text, self.min, self.max)
            found = OptionError(self.name, str(error), hint=hint)
            found.choices = error.choices if isinstance(error, ChoiceError) else ()
            raise found from None

    def _read_text(self, text: str) -> Any:
        kind = self.type
        if self.repeatable:
            return (text,)
        if self.choices and text not in self.choices:
            raise ChoiceError(self.choices, text)
        if self.choices or kind is str:
            return text
        if kind is bool:
            if text.lower() not in _TRUTH:
                raise ValueError(f"must be true or false, not {text!r}")
            return _TRUTH[text.lower()]
        try:
            return kind(text)
        except ValueError:
            raise ValueError(f"must be {_NOUNS[kind]}, not {text!r}") from None

    def parse_json(self, value: Any) -> Any:
        """The value that a JSON value stands for.

        Raises:
            OptionError: it is of another type.

        """
        if value is None and self.optional:
            return None
        try:
            return (self.from_json or self._read_json)(value)
        except ValueError as error:
            raise OptionError(self.name, str(error)) from None

    def _read_json(self, value: Any) -> Any:
        shown = (repr(value) if isinstance(value, str) else json.dumps(value))[:60]
        if self.choices and value not in self.choices:
            raise ValueError(f"must be one of {', '.join(self.choices)}, not {shown}")
        if self.repeatable:
            values = value if isinstance(value, list) else [value]
            if not all(isinstance(each, str) for each in values):
                raise ValueError(f"must be a string or a list of strings, not {shown}")
            return tuple(values)
        kind = str if self.choices else self.type
        if kind is float and type(value) is int:
            return to_float(value)
        if type(value) is not kind:
            raise ValueError(f"must be {_NOUNS[kind]}, not {shown}")
        return value

    def check_range(self, value: Any) -> None:
        """Raises OptionError where a number is out of range."""
        if type(value) not in {int, float}:
            return
        low = -math.inf if self.min is None else self.min
        high = math.inf if self.max is None else self.max
        if low <= value <= high and math.isfinite(value):
            return
        if self.min is not None and self.max is not None and (value >= low or high < FAR):
            bounds = f"between {_format(self.min)} and {_format(self.max)}"
        elif self.min is not None:
            bounds = f"at least {_format(self.min)}"
        else:
            bounds = "a finite number"
        hint = share_meant(f"{value:g}", self.min, self.max)
        raise OptionError(self.name, f"must be {bounds}, not {value}", hint=hint)


FAR = 100_000  # a maximum from here on only keeps numbers finite: it is no news for one too low


def _format(bound: float) -> str:
    return f"{bound:,.0f}" if bound == int(bound) else f"{bound:g}"


_TRUTH = {"true": True, "yes": True, "on": True, "1": True,
          "false": False, "no": False, "off": False, "0": False}  # fmt: skip
_NOUNS = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}


class ChoiceError(ValueError):
    """A value that is none of those that there are.

    Attributes:
        choices: those that there are.

    """

    def __init__(self, choices: Iterable[str], value: object) -> None:
        self.choices = tuple(choices)
        super().__init__(f"must be one of {', '.join(self.choices)}, not {value!r}")


class OptionError(UsageError):
    """A value that an option does not accept, or two options that exclude each other.

    It names options as Python and JSON do. The command line, where they are called otherwise,
    asks for another spelling.

    Attributes:
        choices: the values that there are, where one of few was asked for.

    """

    def __init__(
        self,
        option: str,
        problem: str,
        other: str | None = None,
        *,
        why: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(" ".join(filter(None, (option, problem, other))), why=why, hint=hint)
        self.option, self.problem, self.other = option, problem, other
        self.choices: tuple[str, ...] = ()

    def spelled(self, spell: Callable[[str], str]) -> OptionError:
        """The same with the names of the options written in another way."""
        other = self.other and spell(self.other)
        return OptionError(spell(self.option), self.problem, other, why=self.why, hint=self.hint)


def option(
    default: Any,
    *,
    help: str,
    name: str | None = None,
    aliases: tuple[str, ...] = (),
    short: str | None = None,
    min: float | None = None,
    max: float | None = None,
    metavar: str | None = None,
    panel: str | None = None,
    shown_default: str | None = None,
    off: Any = _NEVER,
    conflicts: tuple[str, ...] = (),
    from_text: Callable[[str], Any] | None = None,
    from_json: Callable[[Any], Any] | None = None,
) -> Any:
    """A dataclass field that is an option; see `Option`.

    Args:
        name: where it is not the field's own.

    """
    declared = {
        "name": name, "aliases": aliases, "short": short, "help": help, "min": min, "max": max,
        "metavar": metavar, "panel": panel, "shown_default": shown_default, "off": off,
        "conflicts": conflicts, "from_text": from_text, "from_json": from_json,
    }  # fmt: skip
    return field(default=default, metadata={_KEY: declared})


class Options:
    """The base of dataclasses whose fields are options: it checks their ranges."""

    def __post_init__(self) -> None:
        for each in options_of(type(self)).values():
            if len(each.path) == 1:
                each.check_range(getattr(self, each.path[0]))


Record = TypeVar("Record", bound=Options)


def options_of(kind: type[Options]) -> dict[str, Option]:
    """All options of a dataclass by name, those of nested ones included, in order."""
    hashable: Any = kind
    return _options_of(hashable)


@cache
def _options_of(kind: Any) -> dict[str, Option]:
    hints = get_type_hints(kind)
    found: dict[str, Option] = {}
    for each in fields(kind):
        hint = hints[each.name]
        if isinstance(hint, type) and issubclass(hint, Options):
            for nested in options_of(hint).values():
                found[nested.name] = replace(nested, path=(each.name, *nested.path))
        elif _KEY in each.metadata:
            declared = {**each.metadata[_KEY]}
            declared["name"] = declared["name"] or each.name
            bare, optional = _without_none(hint)
            known = Option(
                path=(each.name,), type=bare, optional=optional, default=each.default, **declared
            )
            found[known.name] = known
    return found


def _without_none(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) not in {Union, UnionType}:
        return hint, False
    (bare,) = (each for each in get_args(hint) if each is not type(None))
    return bare, True


def find_option(kind: type[Options], name: str) -> Option | None:
    """The option of that name or alias, if there is one."""
    found = options_of(kind)
    return found.get(name) or next((o for o in found.values() if name in o.aliases), None)


def values_of(record: Options) -> dict[str, Any]:
    """What each option is set to, by name."""
    found = {}
    for name, each in options_of(type(record)).items():
        value: Any = record
        for attribute in each.path:
            value = getattr(value, attribute)
        found[name] = value
    return found


def make_options(kind: type[Record], values: Mapping[str, Any]) -> Record:
    """A dataclass with some values by the names of the options, and defaults for the others.

    Raises:
        OptionError: a value is out of range.

    """
    return _replaced(kind(), values)


def update_options(record: Record, values: Mapping[str, Any]) -> Record:
    """A copy with some options set anew; those that cannot be combined with them are reset.

    Raises:
        OptionError: a value is out of range, or two of the values exclude each other.

    """
    known = options_of(type(record)).values()
    refuse_conflicts(known, values)
    reset = {each.name: each.default for each in excluded_by(values, known)}
    return _replaced(record, {**reset, **values})


def _replaced(record: Record, values: Mapping[str, Any]) -> Record:
    changes: dict[str, Any] = {}
    nested: dict[str, dict[str, Any]] = {}
    known = options_of(type(record))
    for name, value in values.items():
        first, *rest = known[name].path
        if rest:
            nested.setdefault(first, {})[name] = value
        else:
            changes[first] = value
    for attribute, inner in nested.items():
        changes[attribute] = _replaced(getattr(record, attribute), inner)
    return replace(record, **changes)  # type: ignore[type-var]


def _exclude(one: Option, other: Option) -> bool:
    return other.name in one.conflicts or one.name in other.conflicts


def excluded_by(given: Mapping[str, Any], options: Iterable[Option]) -> list[Option]:
    """The options that cannot be combined with those that were given, by name."""
    options = list(options)
    active = [each for each in options if each.name in given and each.is_active(given[each.name])]
    return [each for each in options if any(_exclude(each, other) for other in active)]


def refuse_conflicts(options: Iterable[Option], given: Mapping[str, Any]) -> None:
    """Raises OptionError where two of the options that were given cannot be combined.

    Args:
        given: what was given, by name; defaults left out.

    """
    active = [each for each in options if each.name in given and each.is_active(given[each.name])]
    for place, one in enumerate(active):
        for other in active[:place]:
            if _exclude(one, other):
                raise OptionError(other.name, "cannot be combined with", one.name)


def to_float(number: float) -> float:
    """A number as a float; infinite where JSON's whole numbers are larger than any float."""
    if abs(number) < 10**300:
        return float(number)
    return math.inf if number > 0 else -math.inf
