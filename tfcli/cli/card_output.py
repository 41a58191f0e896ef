"""The card of a run in the terminal: the sections of its Markdown, without the marks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfcli.cli import streams
from tfcli.cli.audit_output import wrapped
from tfcli.cli.render import show_sections
from tfcli.generation.streaming import make_visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.exchange.card.facts import Facts
    from tfcli.exchange.card.words import Section


def show_card(card: Facts, sections: Sequence[Section], origin: str) -> None:
    """Writes it to stdout."""
    said = [f"{card['name']}: a language model of {card['model']['parameters']:,} parameters, "
            f"{origin}."]  # fmt: skip
    if card["description"]:
        said.append(card["description"])
    lines = [line for paragraph in said for line in (*wrapped(make_visible(paragraph)), "")]
    streams.write_result("".join(f"{line}\n" for line in lines).encode(errors="backslashreplace"))
    show_sections({section.title: _lines(section) for section in sections})


def _lines(section: Section) -> dict[str, str]:
    """The facts of a section, its sentences numbered after them."""
    lines = {name: _bare(value) for name, value in section.facts.items()}
    single = len(section.text) == 1
    return lines | {
        "note" if single else f"{number}": _bare(text)
        for number, text in enumerate(section.text, 1)
    }


def _bare(markdown: str) -> str:
    return markdown.replace("**", "").replace("`", "")
