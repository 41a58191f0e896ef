"""The text of an EPUB book: a zip archive of pages of XHTML, and a list of them in order."""

from __future__ import annotations

import posixpath
from typing import IO, TYPE_CHECKING
from urllib.parse import unquote

from tfcli.errors import DataError
from tfcli.text.html import html_text
from tfcli.text.zipped_xml import ZippedXml, open_zipped_xml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_BOOK = 256 << 20  # bytes of all its pages, decompressed: the longest novels have a tenth
MAX_LIST = 16 << 20  # bytes of a file that lists others

CONTAINER, ENCRYPTION = "META-INF/container.xml", "META-INF/encryption.xml"
PAGES = {"application/xhtml+xml", "text/html", "application/x-dtbook+xml", "text/x-oeb1-document"}


def epub_text(stream: IO[bytes], name: Path) -> bytes:
    """The text of a book, in UTF-8: its pages in their order, with an empty line between them.

    Its table of contents is left out.

    Args:
        stream: can be read at any position.
        name: what errors call the file.

    Raises:
        DataError: it is damaged, encrypted, or too large.

    """
    with open_zipped_xml(stream, name, "EPUB") as book:
        texts = [html_text(page, name, xhtml=True) for page in _pages(book)]
    return b"\n".join(filter(None, texts))


def _pages(book: ZippedXml) -> Iterator[bytes]:
    """The pages of a book, in the order of its spine."""
    wanted = [page for page in _spine(book) if page is not None]
    encrypted = _encrypted(book)
    known = book.files
    if missing := [page for page in wanted if page not in known]:
        raise book.damaged(f"{missing[0]} is missing")
    if any(page in encrypted or known[page].flag_bits & 1 for page in wanted):
        raise DataError(
            f"{book.name} is encrypted", why="it is DRM-protected", hint="use a DRM-free copy"
        )  # fmt: skip
    if (size := sum(known[page].file_size for page in wanted)) > MAX_BOOK:
        raise DataError(
            f"{book.name} unpacks to {size:,} bytes", why=f"at most {MAX_BOOK:,} are read"
        )
    for page in wanted:
        with book.archive.open(known[page]) as opened:
            yield opened.read()


def _spine(book: ZippedXml) -> Iterator[str]:
    """The names of a book's pages in their order, each once."""
    package = next(
        (found["full-path"] for tag, found in book.elements(CONTAINER, MAX_LIST)
         if tag == "rootfile" and "full-path" in found),
        None,
    )  # fmt: skip
    if package is None:
        raise book.damaged(f"{CONTAINER} has no rootfile")
    items: dict[str, dict[str, str]] = {}
    seen = set()
    for tag, found in book.elements(package, MAX_LIST):
        if tag == "item" and "href" in found:
            items[found.get("id", "")] = found
        if tag != "itemref" or (item := items.get(found.get("idref", ""))) is None:
            continue
        # a table of contents has nothing but the titles of what follows
        if item.get("media-type") not in PAGES or "nav" in item.get("properties", "").split():
            continue
        page = _inside(package, item["href"])
        if page not in seen:
            seen.add(page)
            yield page


def _inside(base: str, reference: str) -> str:
    """The name in the archive that a file in it refers to."""
    path = unquote(reference.partition("#")[0])
    return posixpath.normpath(posixpath.join(posixpath.dirname(base), path))


def _encrypted(book: ZippedXml) -> set[str]:
    """What of a book is encrypted, which may be no more than its fonts."""
    if ENCRYPTION not in book.files:
        return set()
    found = book.elements(ENCRYPTION, MAX_LIST)
    return {_inside("", each.get("URI", "")) for tag, each in found if tag == "CipherReference"}
