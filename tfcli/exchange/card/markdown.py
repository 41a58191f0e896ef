"""The card of a run as Markdown.

Hugging Face reads the block of metadata at the top.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from tfcli.exchange.card.words import Section, describe_card, origin

if TYPE_CHECKING:
    from tfcli.exchange.card.facts import Facts

# Of the licenses that Hugging Face has a name for, those that people choose.
LICENSES = {
    "apache-2.0", "mit", "openrail", "bigscience-openrail-m", "creativeml-openrail-m", "cc",
    "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0",
    "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0",
    "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cdla-sharing-1.0",
    "cdla-permissive-1.0", "cdla-permissive-2.0", "wtfpl", "unlicense", "bsd", "bsd-2-clause",
    "bsd-3-clause", "gpl", "gpl-2.0", "gpl-3.0", "lgpl-3.0", "agpl-3.0", "mpl-2.0", "eupl-1.1",
    "eupl-1.2", "isc", "zlib", "odbl", "pddl", "gfdl", "artistic-2.0", "unknown", "other",
}  # fmt: skip


def to_markdown(card: Facts, *, dtype: str | None = None) -> str:
    """A card in Markdown, ending in a newline.

    Args:
        dtype: number format of the weights, if they are beside it.

    """
    sections = describe_card(card)
    if dtype:
        next(s for s in sections if s.title == "Model").facts["dtype"] = dtype
    parameters = f"{card['model']['parameters']:,}"
    parts = [
        _metadata(card),
        f"# {_plain(card['name'])}",
        *([_escaped(card["description"])] if card["description"] else []),
        f"A language model of {parameters} parameters, {_plain(origin(card))}.",
        *(_section(section) for section in sections),
    ]
    return "\n\n".join(parts) + "\n"


def _section(section: Section) -> str:
    parts = [f"## {section.title}"]
    if section.facts:
        parts.append(_table(section.facts))
        parts += map(_escaped, section.text)
    elif len(section.text) > 1:
        parts.append("\n".join(f"- {_escaped(each)}" for each in section.text))
    else:
        parts += map(_escaped, section.text)
    return "\n\n".join(parts)


def _table(facts: dict[str, str]) -> str:
    rows = [f"| {_escaped(name)} | {_escaped(value)} |" for name, value in facts.items()]
    return "\n".join(["| | |", "| --- | --- |", *rows])


def _escaped(text: str) -> str:
    """Somebody's text in one line, without HTML, links or columns of its own."""
    text = re.sub(r"[\x00-\x1f\x7f]+", " ", text).replace("|", "\\|")
    return re.sub(r"<(?!s>`)", "&lt;", text).replace("[", "\\[")


def _metadata(card: Facts) -> str:
    lines = ["library_name: transformers", "pipeline_tag: text-generation"]
    if named := card["license"]:
        known = named.lower() in LICENSES
        lines.append(f"license: {named.lower() if known else 'other'}")
        lines += [] if known else [f"license_name: {json.dumps(named)}"]
    lines += ["tags:", "- tfcli", f"- {card['model']['family']}"]
    return "\n".join(["---", *lines, "---"])


def _plain(name: object) -> str:
    """An untrusted name as one line without Markdown."""
    return re.sub(r"[^\w .,/-]", "_", str(name), flags=re.ASCII)
