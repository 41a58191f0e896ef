"""Plain records from untrusted JSON: every key there, none too many, every value of its type."""

from __future__ import annotations

import contextlib
import math
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Record = TypeVar("Record")


def read_record(kind: type[Record], value: object) -> Record:
    """Makes a dataclass from a JSON object.

    Args:
        kind: a dataclass of numbers, texts, truth values, literals, tuples, lists, records, None.

    Raises:
        ValueError: a key or a value that `kind` does not have; the message names it.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{kind.__name__} is no object but {str(value)[:40]!r}")
    hints = get_type_hints(kind)
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if value.keys() != names:
        wrong = ", ".join(sorted(map(str, value.keys() ^ names)))
        raise ValueError(f"missing or unknown: {wrong}")
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
        if len(value) == len(inner):
            return tuple(_read(kind, item, name) for kind, item in zip(inner, value, strict=True))
    if origin is Literal and isinstance(value, str) and value in get_args(hint):
        return value
    if hint is float and type(value) in {int, float}:
        with contextlib.suppress(OverflowError):  # a whole number beyond all floats
            if not math.isnan(number := float(value)):  # type: ignore[arg-type]
                return number
    if hint in {int, bool, str} and type(value) is hint:
        return value
    raise ValueError(f"{name} cannot be {str(value)[:40]!r}")
