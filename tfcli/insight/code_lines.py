"""Lines of the program itself, as they run, to be shown beside what they compute."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

NOT_SHOWN = re.compile(r"  # (type: ignore|fmt: ).*")  # for other programs
ROOT = Path(__file__).parent.parent.parent  # of the repository


@dataclass(frozen=True)
class Code:
    """Some lines of a function, in order.

    Attributes:
        file: relative to the repository.
        lines: the number of each in the file, and what it says, without common indentation and
            without remarks to type checkers.

    """

    file: str
    lines: tuple[tuple[int, str], ...]


def code_lines(function: Callable[..., Any], *starts: str) -> Code:
    """The statements of a function that begin in one of these ways; without any, all of its body.

    Raises:
        LookupError: no statement begins so: the function has changed.

    """
    source, first = inspect.getsourcelines(function)
    tree = ast.parse(textwrap.dedent("".join(source))).body[0]
    assert isinstance(tree, ast.FunctionDef)
    found: list[int] = []
    for statement in ast.walk(tree):
        if not isinstance(statement, ast.stmt) or statement is tree:
            continue
        begin, end = statement.lineno, statement.end_lineno or statement.lineno
        text = source[begin - 1].strip()
        is_docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if starts and text.startswith(starts):
            found += range(begin, _end_of_head(statement, end) + 1)
        elif not starts and not is_docstring and statement in tree.body:
            found += range(begin, end + 1)
    missing = [start for start in starts if not any(
        source[n - 1].strip().startswith(start) for n in found)]  # fmt: skip
    if missing:
        raise LookupError(f"{function.__qualname__} has no line {missing[0]!r}")
    numbers = sorted(set(found))
    shown = [NOT_SHOWN.sub("", source[n - 1].rstrip()) for n in numbers]
    lines = textwrap.dedent("\n".join(shown)).split("\n")
    file = Path(inspect.getfile(function)).resolve()
    named = file.relative_to(ROOT).as_posix() if file.is_relative_to(ROOT) else file.name
    return Code(named, tuple(zip((first + n - 1 for n in numbers), lines, strict=True)))


def _end_of_head(statement: ast.stmt, end: int) -> int:
    """The last line of a statement; of one with a body of its own, of what stands before that."""
    body = getattr(statement, "body", None)
    return body[0].lineno - 1 if body else end
