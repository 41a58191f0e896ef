"""Compiles the TOML files of a language into a grammar; `README.md` explains their notation."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import reduce
from typing import Any

from tfcli.stories.grammar import Choice, Grammar, Option, Slot, Template

Form = Callable[[str], str]
"""One form of a word, such as its plural."""

_WORD = re.compile(r"\{word((?:\.\w+)*)\}")
_INNERMOST_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{([^{}]*)\}")


def parse_grammar(files: Iterable[Mapping[str, Any]], forms: Mapping[str, Form]) -> Grammar:
    """Compile the contents of some files; raise ValueError for mistakes in them.

    `forms` holds the word forms of the language by name: `{"plural": ...}` for `{word.plural}`.
    """
    sections = [item for file in files for item in file.items()]
    cast = [
        (variable, choice)
        for title, section in sections
        if title == "cast"
        for choice, variables in section.items()
        for variable in variables
    ]
    entries = [entry for title, section in sections if title != "cast" for entry in section.items()]
    names = [name for name, _ in cast + entries]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice} is given twice")
    choices: dict[str, Choice] = {}
    for name, value in entries:
        rows = _rows(value, forms)
        choices[name] = Choice([_option(weight, fields, choices) for weight, fields in rows])
    return Grammar(choices, dict(cast))


def _rows(
    value: str | list[Any], forms: Mapping[str, Form]
) -> Iterator[tuple[int, dict[str, str]]]:
    """The weight and the fields of each entry; a list of `words` has as many entries as words."""
    for entry in [value] if isinstance(value, str) else value:
        fields: dict[str, Any] = {"text": entry} if isinstance(entry, str) else dict(entry)
        weight = fields.pop("weight", 1)
        if "words" not in fields:
            yield weight, fields
            continue
        patterns = {"text": "{word}"} | fields
        for word in patterns.pop("words"):
            yield weight, {name: _inflect(text, word, forms) for name, text in patterns.items()}


def _inflect(pattern: str, word: str, forms: Mapping[str, Form]) -> str:
    """Put a word, or forms of it, into a pattern: `{word.feminine.plural}` gives `rojas`."""

    def form_of_word(match: re.Match[str]) -> str:
        names = match[1].split(".")[1:]
        if unknown := [name for name in names if name not in forms]:
            raise ValueError(f"{match[0]}: no word form is called {unknown[0]}")
        return reduce(lambda form, name: forms[name](form), names, word)

    return _WORD.sub(form_of_word, pattern)


def _option(weight: int, fields: dict[str, str], choices: dict[str, Choice]) -> Option:
    """Compile an option: `fields["text"]`, and `fields["Text"]` as it begins a sentence.

    The choices in brackets are added to `choices`, and slots take their place.
    """

    def choice_in_brackets(brackets: re.Match[str]) -> str:
        name = f"#{len(choices)}"
        texts = brackets[1].split("|")
        choices[name] = Choice([_option(1, {"text": text}, choices) for text in texts])
        return f"{{{name}}}"

    templates = {}
    for field, text in fields.items():
        count = 1
        while count:  # from the inside out
            text, count = _INNERMOST_BRACKETS.subn(choice_in_brackets, text)
        templates[field] = _template(text)
        templates[field.capitalize()] = _capitalized(templates[field])
    return Option(weight, templates)


def _template(text: str) -> Template:
    """Split a text at its slots."""
    parts = enumerate(_SLOT.split(text.replace(" ¶ ", "\n\n")))
    return tuple(_slot(part) if index % 2 else part for index, part in parts if part or index % 2)


def _slot(text: str) -> Slot:
    """Read what stands between two braces: `hero`, `Hero` or `hero.he`."""
    name, _, field = text.partition(".")
    field = field or "text"
    small = name[:1].lower() + name[1:]
    return Slot(small, field if small == name else field.capitalize())


def _capitalized(template: Template) -> Template:
    """The same template with a capital letter at its beginning."""
    if not template:
        return template
    first, *rest = template
    if isinstance(first, str):
        return (first[:1].upper() + first[1:], *rest)
    return (Slot(first.name, first.field.capitalize()), *rest)
