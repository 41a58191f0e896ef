"""From keyword arguments to a request of generation: the options of `generate --jsonl`."""

from __future__ import annotations

import inspect
import json
import os
from dataclasses import replace
from secrets import randbelow
from typing import TYPE_CHECKING, Any, TypeVar

from tfcli.api.arguments import require_text
from tfcli.errors import UsageError, closest_match
from tfcli.generation.request import GenerationRequest
from tfcli.options import OptionError, Options, find_option, options_of, update_options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Method = TypeVar("Method", bound="Callable[..., Any]")


def make_request(prompt: str, options: Mapping[str, Any]) -> GenerationRequest:
    """The request for a prompt with options by their names; None is the default.

    Without a seed it is a random one.

    Raises:
        UsageError: the prompt is no text; there is no such option; a value is of the wrong type or
            out of range; or two options exclude each other.

    """
    request = update_options(GenerationRequest(), read_options(GenerationRequest, options))
    return replace(request, prompt=require_text(prompt))


def read_options(kind: type[Options], options: Mapping[str, Any]) -> dict[str, Any]:
    """The values of options by their names, and a random seed if there is none; None is no value.

    Args:
        kind: what has these options.

    Raises:
        UsageError: there is no such option, or a value is of the wrong type.

    """
    values: dict[str, Any] = {"seed": randbelow(2**31)}
    given: dict[str, str] = {}  # and the names by which they were
    for name, value in options.items():
        found = find_option(kind, name)
        if found is None:
            known = options_of(kind)
            similar = closest_match(name, known)
            hint = f"did you mean {similar!r}?" if similar else f"known: {', '.join(known)}"
            raise UsageError(f"unknown option {name!r}", hint=hint)
        if value is None:
            continue  # as if it were not given
        if found.name in given:
            raise OptionError(found.name, f"was given twice: as {given[found.name]!r} and {name!r}")
        given[found.name] = name
        if isinstance(value, os.PathLike):  # a JSON schema in a file
            values[found.name] = found.parse_text(os.fspath(value))
        else:
            values[found.name] = found.parse_json(_as_json(found.name, value))
    return values


def _as_json(name: str, value: Any) -> Any:
    """A value of Python as JSON has it: tuples as lists, numbers of numpy as numbers."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, tuple | set | frozenset):
        value = list(value)
    if isinstance(value, dict) and name == "logit_bias":
        value = {str(key): _as_json(name, each) for key, each in value.items()}
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        raise OptionError(name, f"cannot be a value of type {type(value).__name__}") from None
    return value


def takes_generation_options(method: Method) -> Method:
    """Shows the options in place of `**options` in the method's signature and documentation."""
    return show_options(method, GenerationRequest)


def show_options(method: Method, kind: type[Options]) -> Method:
    """Shows the options of `kind` in place of `**options`."""
    signature = inspect.signature(method)
    kept = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    options = options_of(kind).values()
    shown = [
        inspect.Parameter(
            option.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None if option.shown_default else option.default,
        )
        for option in options
    ]
    lines = [f"    {option.name}: {option.help}" for option in options]
    method.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [*kept, *shown], return_annotation=signature.return_annotation
    )
    explained = inspect.cleandoc(method.__doc__ or "")
    method.__doc__ = "\n".join([explained, "", "Options:", *lines])
    return method
