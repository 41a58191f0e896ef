"""What `run.json` records of the tokens by which a run knows a gap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfcli.text.infill_tokens import InfillTokens

if TYPE_CHECKING:
    from collections.abc import Mapping

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
