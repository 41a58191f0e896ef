"""The text of an EPUB book: a zip archive of pages of XHTML, and a list of them in order.

Nothing of it is trusted: it is read in memory, within limits, and no entity is followed.
"""

from __future__ import annotations

import errno
import io
import posixpath
import zipfile
import zlib
from typing import IO, TYPE_CHECKING
from urllib.parse import unquote
from xml.parsers import expat

from tfcli.errors import DataError
from tfcli.text.html import html_text

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
    try:
        with zipfile.ZipFile(stream) as archive:
            texts = [html_text(page, name, xhtml=True) for page in _pages(archive, name)]
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise _damaged(name, str(error)) from None
    except OSError as error:
        if error.errno not in {None, errno.EINVAL}:  # from the system, not a place that is none
            raise
        raise _damaged(name, str(error)) from None
    return b"\n".join(filter(None, texts))


def _pages(archive: zipfile.ZipFile, name: Path) -> Iterator[bytes]:
    """The pages of a book, in the order of its spine."""
    wanted = [page for page in _spine(archive, name) if page is not None]
    encrypted = _encrypted(archive, name)
    known = {info.filename: info for info in archive.infolist()}
    if missing := [page for page in wanted if page not in known]:
        raise _damaged(name, f"{missing[0]} is missing")
    if any(page in encrypted or known[page].flag_bits & 1 for page in wanted):
        raise DataError(
            f"{name} is encrypted", why="it is DRM-protected", hint="use a DRM-free copy"
        )  # fmt: skip
    if (size := sum(known[page].file_size for page in wanted)) > MAX_BOOK:
        raise DataError(f"{name} unpacks to {size:,} bytes", why=f"at most {MAX_BOOK:,} are read")
    for page in wanted:
        with archive.open(known[page]) as opened:
            yield opened.read()


def _spine(archive: zipfile.ZipFile, name: Path) -> Iterator[str]:
    """The names of a book's pages in their order, each once."""
    package = next(
        (found["full-path"] for tag, found in _elements(archive, CONTAINER, name)
         if tag == "rootfile" and "full-path" in found),
        None,
    )  # fmt: skip
    if package is None:
        raise _damaged(name, f"{CONTAINER} has no rootfile")
    items: dict[str, dict[str, str]] = {}
    seen = set()
    for tag, found in _elements(archive, package, name):
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


def _encrypted(archive: zipfile.ZipFile, name: Path) -> set[str]:
    """What of a book is encrypted, which may be no more than its fonts."""
    if ENCRYPTION not in archive.namelist():
        return set()
    found = _elements(archive, ENCRYPTION, name)
    return {_inside("", each.get("URI", "")) for tag, each in found if tag == "CipherReference"}


def _elements(archive: zipfile.ZipFile, path: str, name: Path) -> list[tuple[str, dict[str, str]]]:
    """The elements of an XML file in their order: tag and attributes."""
    try:
        info = archive.getinfo(path)
    except KeyError:
        raise _damaged(name, f"{path} is missing") from None
    if info.file_size > MAX_LIST:
        raise _damaged(name, f"{path} has more than {MAX_LIST:,} bytes")
    if info.flag_bits & 1:
        raise DataError(f"{name} is encrypted", why="it needs a password")
    found: list[tuple[str, dict[str, str]]] = []
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = lambda tag, attributes: found.append(
        (tag.rpartition(" ")[2], attributes)
    )

    def refuse(*_: object) -> None:
        raise _damaged(name, f"{path} declares entities")

    parser.EntityDeclHandler = refuse  # which could grow without end, or name other files
    try:
        parser.ParseFile(io.BytesIO(archive.read(info)))
    except expat.ExpatError as error:
        raise _damaged(name, f"{path}: {error}") from None
    return found


def _damaged(name: Path, why: str) -> DataError:
    return DataError(f"{name} is not a valid EPUB", why=why[:200])
