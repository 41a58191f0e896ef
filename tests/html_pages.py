"""What every page that tfcli writes has to be: one file, which asks nobody for anything."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path


class CheckedPage(HTMLParser):
    """Notes what is on a page; raises where elements are not closed in order."""

    EMPTY = ("meta", "img", "input", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.targets: set[str | None] = set()
        self.links: list[str] = []
        self.said = ""
        self.feed(text.removeprefix("<!DOCTYPE html>"))
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        named = dict(attributes)
        assert len(named) == len(attributes)
        assert not any(name.startswith("on") for name in named)
        self.tags.append(tag)
        self.targets.add(named.get("id"))
        self.sources += [named["src"] or ""] if "src" in named else []
        self.links += [
            (named[key] or "").removeprefix("#") for key in ("href", "for") if key in named
        ]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said += data if self.open[-1:] != ["style"] else ""


def checked_page(path: Path) -> CheckedPage:
    """A page that is one file, without scripts or requests, under 2 MB."""
    text = path.read_text()
    assert len(text.encode()) < 2_000_000
    assert "default-src 'none'" in text
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"url\((?!#)", text), "only of what is on the page itself"
    assert "\x1b" not in text
    page = CheckedPage(text)
    assert not {"script", "link", "iframe", "object", "base", "form"} & set(page.tags)
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert set(page.links) <= page.targets
    return page
