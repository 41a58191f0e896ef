r"""How prompts were framed in training, as exports say it, in keys that other programs ignore.

config.json  "tfcli": {"prompts": "pairs", "separator": "\n"}
GGUF         tfcli.prompts, tfcli.separator
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfcli.text.pairs import PairForm

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY = "tfcli"
MAX_SEPARATOR = 1000  # characters


def form_to_json(form: PairForm | None) -> dict[str, str]:
    """The values of the key; none of a model that continues texts."""
    return {"prompts": form.kind, "separator": form.separator} if form else {}


def form_from_json(value: object) -> PairForm | None:
    """The form that an export of ours had; None: it had none, or it is not of ours."""
    found: dict[str, Any] = value if isinstance(value, dict) else {}
    kind, separator = found.get("prompts"), found.get("separator")
    if kind not in ("pairs", "messages") or not isinstance(separator, str):
        return None
    try:
        separator.encode()
    except UnicodeEncodeError:
        return None
    return PairForm(kind, separator) if 0 < len(separator) <= MAX_SEPARATOR else None


def form_from_gguf(metadata: Mapping[str, Any]) -> PairForm | None:
    """The same of the metadata of a GGUF file."""
    names = ("prompts", "separator")
    return form_from_json({name: metadata.get(f"{KEY}.{name}") for name in names})
