"""The tree of errors is the one that its docstring draws."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcli import errors
from tfcli.errors import TfcliError, closest_match

LINE = re.compile(r"^    ((?:\+--|\||\s)*)(\w+Error) +(\d+) ", re.MULTILINE)


def drawn() -> Iterator[tuple[str, str, int]]:
    """Name, name of the parent and exit code of each line of the docstring, by its indentation."""
    path: list[str] = []
    for indent, name, code in LINE.findall(errors.__doc__ or ""):
        path[len(indent) // 4 :] = [name]
        yield name, (["Exception", *path])[-2], int(code)


TREE = list(drawn())


def classes(root: type[TfcliError]) -> Iterator[type[TfcliError]]:
    yield root
    for child in root.__subclasses__():
        yield from classes(child)


@pytest.mark.parametrize(("name", "parent", "code"), TREE)
def test_error_tree_matches_its_documentation(name: str, parent: str, code: int) -> None:
    error = getattr(errors, name)
    assert error.__base__.__name__ == parent
    assert error("x").exit_code == code


def test_every_error_is_documented() -> None:
    known = {error.__name__ for error in classes(TfcliError) if error.__module__ == errors.__name__}
    assert known == {name for name, _, _ in TREE}
    assert len(known) == len(TREE) == 8


@given(what=st.text(), why=st.none() | st.text(), hint=st.none() | st.text())
def test_error_keeps_its_parts(what: str, why: str | None, hint: str | None) -> None:
    error = TfcliError(what, why=why, hint=hint)
    assert (error.what, error.why, error.hint) == (what, why, hint)


def test_error_shows_all_that_it_knows() -> None:
    assert str(TfcliError("no run")) == "no run"
    error = TfcliError("no run 'tael'", why="there are others", hint="did you mean 'tale'?")
    assert str(error) == "no run 'tael'\n  why: there are others\n  try: did you mean 'tale'?"


@pytest.mark.parametrize(
    "misspelled", ["storis", "stores", "stoires", "Stories", "sotries", "storie"]
)
def test_misspelled_name_is_recognized(misspelled: str) -> None:
    assert closest_match(misspelled, ["moby-dick", "stories", "quijote"]) == "stories"


def test_dissimilar_name_is_not_guessed() -> None:
    assert closest_match("zzz", ["moby-dick", "stories"]) is None
    assert closest_match("stories", []) is None


@given(name=st.text(min_size=1), others=st.lists(st.text()))
def test_known_name_is_closest_to_itself(name: str, others: list[str]) -> None:
    assert closest_match(name, [*others, name]) == name


@given(name=st.text(), known=st.lists(st.text()))
def test_only_known_names_are_suggested(name: str, known: list[str]) -> None:
    assert closest_match(name, iter(known)) in {None, *known}


@pytest.mark.parametrize(
    ("hint", "shown"),
    [
        ("tfcli runs   # lists all runs", "try in a shell: tfcli runs   # lists all runs"),
        ("--stride 64", "try: stride=64"),
        ("--int8 --device cpu", "try: int8=True, device='cpu'"),
        ("--d-model 64, or another --num-heads", "try: --d-model 64, or another --num-heads"),
        ("a short text", "try: a short text"),
    ],
)
def test_hints_in_python_are_no_options_of_the_command_line(hint: str, shown: str) -> None:
    assert str(TfcliError("what", hint=hint)) == f"what\n  {shown}"
