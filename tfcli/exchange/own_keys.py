r"""How a run's texts and prompts began in training, as exports say it, in keys that others ignore.

config.json  "tfcli": {"prompts": "pairs", "separator": "\n", "documents": 400}
GGUF         tfcli.prompts, tfcli.separator, tfcli.documents
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfcli.text.pairs import PairForm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tfcli.runs.run import Run

KEY = "tfcli"
NAMES = ("prompts", "separator", "documents")
MAX_SEPARATOR = 1000  # characters
MAX_DOCUMENTS = 1 << 63


def own_keys(run: Run) -> dict[str, str | int]:
    """The values of the key; none of a model that continues a single text."""
    form, keys = run.form, dict[str, str | int]()
    if form:
        keys |= {"prompts": form.kind, "separator": form.separator}
    if run.many_documents:
        keys["documents"] = run.corpus.documents
    return keys


def form_in(value: object) -> PairForm | None:
    """The form that an export of ours had; None: it had none, or it is not of ours."""
    found = _dict(value)
    kind, separator = found.get("prompts"), found.get("separator")
    if kind not in ("pairs", "messages") or not isinstance(separator, str):
        return None
    try:
        separator.encode()
    except UnicodeEncodeError:
        return None
    return PairForm(kind, separator) if 0 < len(separator) <= MAX_SEPARATOR else None


def documents_in(value: object) -> int:
    """On how many documents a run was trained before its export; 0: not known."""
    documents = _dict(value).get("documents")
    return documents if type(documents) is int and 0 < documents < MAX_DOCUMENTS else 0


def own_keys_of_gguf(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The key's values in the metadata of a GGUF file."""
    return {name: metadata.get(f"{KEY}.{name}") for name in NAMES}


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
