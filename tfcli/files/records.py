"""Dataclasses from untrusted JSON: no key missing or unknown, every value of its type; schemas."""

from __future__ import annotations

import contextlib
import math
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from tfcli.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

Record = TypeVar("Record")


def require_known_schema(schema: object, newest: int, path: Path) -> None:
    """Refuses what a newer tfcli wrote.

    Args:
        schema: as found in the file.
        newest: the highest that this version understands.
        path: of what was written, for the message.

    Raises:
        DataError: `schema` is a higher number.

    """
    if type(schema) is int and schema > newest:
        raise DataError(f"{path} was written by a newer tfcli", hint="pip install --upgrade tfcli")


def read_record(kind: type[Record], value: object) -> Record:
    """Makes a dataclass from a JSON object.

    Args:
        kind: a dataclass with fields of int, float, str, bool, Literal, tuple, list, dataclass,
            each of them optional or not.

    Raises:
        ValueError: a key is missing or unknown, or a value has another type; the message names it.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{kind.__name__} must be an object, not {str(value)[:40]!r}")
    hints = get_type_hints(kind)
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if value.keys() != names:
        wrong = ", ".join(sorted(map(str, value.keys() ^ names)))
        raise ValueError(f"missing or unknown keys: {wrong}")
    return kind(**{name: _read(hints[name], value[name], name) for name in names})


def _read(hint: Any, value: object, name: str) -> Any:
    origin = get_origin(hint)
    if is_dataclass(hint):
        return read_record(hint, value)  # type: ignore[arg-type]
    if origin in {Union, UnionType}:
        if value is None:
            return None
        (inner,) = (arg for arg in get_args(hint) if arg is not type(None))
        return _read(inner, value, name)
    if origin in {tuple, list} and isinstance(value, list):
        inner = get_args(hint)
        if origin is list:
            return [_read(inner[0], item, name) for item in value]
        if inner[1:] == (Ellipsis,):
            return tuple(_read(inner[0], item, name) for item in value)
        if len(value) == len(inner):
            return tuple(_read(kind, item, name) for kind, item in zip(inner, value, strict=True))
    if origin is Literal and isinstance(value, str) and value in get_args(hint):
        return value
    if hint is float and type(value) in {int, float}:
        with contextlib.suppress(OverflowError):  # an integer too large for a float
            if not math.isnan(number := float(value)):  # type: ignore[arg-type]
                return number
    if hint in {int, bool, str} and type(value) is hint:
        return value
    raise ValueError(f"invalid {name}: {str(value)[:40]!r}")
