"""Whether a run fills gaps, by which tokens it knows one, and what `run.json` records of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfcli.text.infill_tokens import InfillTokens, find_infill_tokens, make_infill_tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tfcli.text.tokenizer import Tokenizer

KEY = "infill_tokens"


def infill_metadata(tokens: InfillTokens | None) -> dict[str, Any]:
    """What `run.json` records of them."""
    return {KEY: None if tokens is None else tokens._asdict()}


def read_infill_metadata(metadata: Mapping[str, Any]) -> InfillTokens | None:
    """What `run.json` records of them; None: the run fills no gaps, or does not say.

    Raises:
        ValueError: it records something else.

    """
    value = metadata.get(KEY)
    if value is None:
        return None
    names, size = InfillTokens._fields, metadata["model"]["vocab_size"]
    if not isinstance(value, dict) or {*value} != {*names}:
        raise ValueError(f"{KEY} must be {', '.join(names)}, not {str(value)[:40]}")
    if not all(type(token) is int and 0 <= token < size for token in value.values()):
        raise ValueError(f"{KEY} are not in the vocabulary: {str(value)[:80]}")
    return InfillTokens(**value)


def find_run_infill_tokens(
    metadata: Mapping[str, Any], tokenizer: Tokenizer
) -> InfillTokens | None:
    """The infill tokens of a run that fills gaps; None: it does not."""
    if KEY in metadata:
        return read_infill_metadata(metadata)
    found = None  # a run of an earlier build, whose middles end as texts do
    if metadata["plan"].get("infill"):
        found = find_infill_tokens(tokenizer)
    elif metadata.get("imported"):
        found = find_infill_tokens(tokenizer, named_only=True)
    return found and make_infill_tokens(tokenizer, found.markers)
