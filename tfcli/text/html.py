"""The text of a page of HTML, as a person would copy it from a browser.

Parsed with selectolax, which the extra `tfcli[html]` installs: the HTML standard's own algorithm,
since pages leave out end tags, or nest them wrongly, more often than not.
"""

from __future__ import annotations

import codecs
import re
from importlib.util import find_spec
from typing import TYPE_CHECKING

from tfcli.errors import DataError
from tfcli.text.encoding import UTF8, begins_as_utf8, check_utf8, encoding_of, is_utf8

if TYPE_CHECKING:
    from pathlib import Path

    from selectolax.lexbor import LexborNode

MAX_PAGE = 64 << 20  # bytes; parsed, a page takes up to 25 times as much memory

# Begins like a page: after comments and an XML declaration, or with what may come first in one.
_BEGINNING = re.compile(
    rb"\s*(<\?xml[^>]*>\s*)*(<!--(?:(?!-->).)*-->\s*)*<(!doctype html|html[\s>]|FictionBook[\s>])",
    re.DOTALL | re.IGNORECASE,
)
SUFFIXES = {".html", ".htm", ".xhtml", ".xht"}


def is_html(head: bytes, suffix: str) -> bool:
    """Whether a file that begins like this is a page: by its first tags; a part of one by its name.

    Args:
        suffix: of its name, in lower case, without that of a compression.

    """
    start = head[:4096].removeprefix(codecs.BOM_UTF8)
    encoding, mark = encoding_of(head)
    if encoding != UTF8:
        start = head[mark:4096].decode(encoding, errors="ignore").encode(errors="ignore")
    if _BEGINNING.match(start):
        return True
    return suffix in SUFFIXES and re.match(rb"\s*<[a-z!?]", start, re.IGNORECASE) is not None


def is_installed() -> bool:
    """Whether pages can be read."""
    return find_spec("selectolax") is not None


def require_selectolax(name: Path, kind: str) -> None:
    """Raises DataError where the extra is not installed, so that folders leave the file out."""
    if not is_installed():
        raise DataError(f"{name} is {kind}; reading it requires tfcli[html]",
                        hint='pip install "tfcli[html]"')  # fmt: skip


def html_text(
    data: bytes, name: Path, *, encoding: str | None = None, xhtml: bool = False
) -> bytes:
    """The text of a whole page, in UTF-8; empty, or ending with a newline.

    Headings, paragraphs, lists and rows of tables become lines, with an empty line around a
    paragraph. White space counts as little as in a browser, except in `<pre>`. What a browser does
    not show is left out, and so are menus (`<nav>`), what is to be filled in, the readings over
    ruby characters, and what is around the main part (`<main>`) where a page names one. No-break
    spaces become spaces, soft hyphens nothing.

    Args:
        encoding: of the page; None finds it.
        xhtml: whether it is XHTML, even where it does not say so.

    Raises:
        DataError: it is in no known encoding, too large, or nested too deeply.

    """
    if len(data) > MAX_PAGE:
        raise DataError(f"{name} is a page of more than {MAX_PAGE:,} bytes",
                        why="a page has to be parsed as a whole",
                        hint="pandoc -f html -t plain makes a text file of it")  # fmt: skip
    page = _decode(data, name, encoding)
    if _FICTION_BOOK.match(page):
        page, xhtml = _as_html(page), True
    _require_shallow(page, name)
    if xhtml or _XHTML.match(page):
        page = _EMPTY.sub(_closed, page)
    return _text_of(page).encode(errors="replace")


# --- its encoding -------------------------------------------------------------------------------

# What browsers take these names for (encoding.spec.whatwg.org), by Python's names.
_READ_AS = {
    "iso8859-1": "cp1252", "ascii": "cp1252", "iso8859-9": "cp1254", "tis-620": "cp874",
    "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949",
    "johab": "cp949", "big5": "big5hkscs", "utf-16": UTF8, "utf-16-le": UTF8, "utf-16-be": UTF8,
}  # fmt: skip
_ALIASES = {"x-sjis": "cp932", "x-gbk": "gb18030", "x-euc-jp": "euc_jp", "x-cp1252": "cp1252"}
_DECLARED = re.compile(
    rb"<meta[^>]*?\bcharset\s*=\s*[\"']?\s*([\w.:-]+)|<\?xml[^>]*?\bencoding\s*=\s*[\"']([\w.:-]+)",
    re.IGNORECASE,
)


def _decode(data: bytes, name: Path, encoding: str | None) -> str:
    """The page as a string: by its first bytes, as UTF-8 if it is that, or as it says itself."""
    found, mark = encoding_of(data)
    if encoding is not None and begins_as_utf8(data):
        encoding = None  # as in a folder of texts, of which some need the option
    if encoding is None and found == UTF8:
        declared = _declared(data)
        # many pages that say otherwise are UTF-8; no other encoding looks like it by chance
        if declared and declared != UTF8 and (data.isascii() or not is_utf8(data)):
            encoding, mark = declared, 0
        else:
            check_utf8(data, name, 0)
    try:
        return data[mark:].decode(encoding or found).removeprefix("\ufeff")
    except UnicodeError as error:
        start = getattr(error, "start", 0)
        raise DataError(
            f"{name} is not in {encoding or found}", why=f"invalid at byte {mark + start:,}",
            hint="--encoding NAME, such as cp1252, if you know which it is in",
        ) from None  # fmt: skip


def _declared(data: bytes) -> str | None:
    """The encoding that a page says it is in."""
    match = _DECLARED.search(data[:4096])
    if not match:
        return None
    label = (match[1] or match[2]).decode().lower()
    try:
        named = codecs.lookup(_ALIASES.get(label, label))
    except (LookupError, ValueError):
        return None
    if not getattr(named, "_is_text_encoding", True):
        return None
    return _READ_AS.get(named.name, named.name)


# --- what is parsed -----------------------------------------------------------------------------

# FictionBook (.fb2) is XML, with names of its own for what HTML has, and pictures in base64.
_FICTION_BOOK = re.compile(
    r"\s*(<\?xml[^>]*>\s*)*(<!--(?:(?!-->).)*-->\s*)*<FictionBook[\s>]", re.DOTALL
)
_NO_TEXT = re.compile(r"<(description|binary)\b.*?</\1\s*>", re.DOTALL)
_NAMES = {"title": "header", "subtitle": "h3", "v": "div", "empty-line": "hr", "epigraph": "div",
          "poem": "section", "stanza": "section", "cite": "blockquote", "body": "section",
          "text-author": "div", "image": "img"}  # fmt: skip
_NAMED = re.compile(rf"<(/?)({'|'.join(_NAMES)})(?=[\s/>])")


def _as_html(book: str) -> str:
    """A FictionBook as a page: its text without what describes it; its notes come last."""
    return _NAMED.sub(lambda tag: f"<{tag[1]}{_NAMES[tag[2]]}", _NO_TEXT.sub("", book))


# At each of these tags the parser looks through all elements that are open, for a paragraph to
# end: the standard's "has a p element in button scope". All but the last group stay open.
_LOOKING = re.compile(
    r"<(/?)(?:(?:address|article|aside|blockquote|center|details|dialog|dir|div|dl|fieldset|figure|"
    r"figcaption|footer|form|header|hgroup|main|menu|nav|ol|pre|section|summary|ul)|(p|h[1-6]))\b",
    re.IGNORECASE,
)
MOST_LOOKS = 1 << 30  # at an element; takes some seconds


def _require_shallow(page: str, name: Path) -> None:
    """Raises DataError where the parser would take minutes, and could not be interrupted."""
    tags = page.count("<")
    if tags * tags < MOST_LOOKS:
        return
    depth = deepest = looks = 0
    for closes, paragraph in _LOOKING.findall(page):
        if closes:
            depth -= 1 if depth and not paragraph else 0
        else:
            looks += depth
            depth += not paragraph
            deepest = max(deepest, depth)
    if looks > MOST_LOOKS:
        raise DataError(f"{name} is nested too deeply",
                        why=f"elements are nested {deepest:,} levels deep",
                        hint="--format text reads it with its markup")  # fmt: skip


# --- its text -----------------------------------------------------------------------------------


def _tags(names: str) -> frozenset[str]:
    return frozenset(names.split())


_VOID = _tags("area base br col embed hr img input link meta param source track wbr")
_XHTML = re.compile(r"\s*<\?xml|(?s:.){,1024}?<html[^>]*\sxmlns=", re.IGNORECASE)
_EMPTY = re.compile(r"""<([A-Za-z][\w:.-]*)((?:\s+(?:[^<>"']|"[^"]*"|'[^']*')*?)?)\s*/>""")


def _closed(empty: re.Match[str]) -> str:
    """XHTML's `<title/>` as `<title></title>`: HTML would take all that follows for the title."""
    tag, attributes = empty.groups()
    return empty[0] if tag.lower() in _VOID else f"<{tag}{attributes}></{tag}>"


_LEFT_OUT = _tags(
    "head title script style template noscript noframes nav svg iframe object embed audio video "
    "canvas map button input select textarea datalist meter progress rp rt rtc annotation "
    "annotation-xml"
)
_PARAGRAPHS = _tags(
    "p h1 h2 h3 h4 h5 h6 blockquote pre table hr figure section article main header footer aside "
    "address fieldset form details hgroup"
)
_LINES = _tags("div li dt dd tr ul ol dl menu caption figcaption summary legend center dialog body")
_CELLS = _tags("td th")
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)


def _text_of(page: str) -> str:
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(page)
    # HTML has an element for what is the page's own, not the site's; if there is one
    mains = [node for node in tree.css("main, [role=main]") if not _is_left_out(node)]
    return (len(mains) == 1 and _text_in(mains[0])) or _text_in(tree.root)


def _text_in(top: LexborNode | None) -> str:
    lines = _Lines()
    node, end = top, top.mem_id if top is not None else 0
    while node is not None:  # without recursion: some pages are nested thousands deep
        if node.is_text_node:
            lines.add(node.text_content or "")
        elif node.is_element_node and not _is_left_out(node):
            lines.enter(node.tag or "")
            if (child := node.first_child) is not None:
                node = child
                continue
            lines.leave(node.tag or "")
        while node is not None and node.mem_id != end and node.next is None:
            node = node.parent
            lines.leave(node.tag or "" if node is not None else "")
        node = None if node is None or node.mem_id == end else node.next
    return lines.finish()


def _is_left_out(node: LexborNode) -> bool:
    if node.tag in _LEFT_OUT:
        return True
    attributes = node.attributes
    return bool(
        "hidden" in attributes
        or _HIDDEN.search(attributes.get("style") or "")
        or attributes.get("role") == "navigation"
        or (node.tag == "dialog" and "open" not in attributes)
    )


class _Lines:
    """Puts lines together, with as little white space between them as a browser shows."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._newlines = 0  # due before the next text: 2 leave an empty line
        self._between = ""  # a space or a tab that is due before it, on the same line
        self._preformatted = 0  # how many `<pre>` it is in

    def enter(self, tag: str) -> None:
        """The beginning of an element."""
        self._break(tag)
        if tag == "pre":
            self._preformatted += 1
        elif tag == "br":
            if self._preformatted:
                self.add("\n")
            else:
                self._newlines = min(2, self._newlines + 1)

    def leave(self, tag: str) -> None:
        """The end of an element."""
        if tag == "pre":
            self._preformatted -= 1
        self._break(tag)
        if tag in _CELLS:
            self._between = "\t"

    def _break(self, tag: str) -> None:
        if tag in _PARAGRAPHS:
            self._newlines = 2
        elif tag in _LINES:
            self._newlines = max(1, self._newlines)

    def add(self, text: str) -> None:
        """Text of the page, with its white space."""
        text = text.replace("\xad", "")
        if self._preformatted:
            if text:
                self._separate()
                self._parts.append(text.replace("\xa0", " "))
            return
        inner = re.sub(r"[ \t\n\r\f\xa0]+", " ", text)
        if inner[:1] == " ":
            self._between = self._between or " "
        if words := inner.strip(" "):
            self._separate()
            self._parts.append(words)
            self._between = " " if inner[-1] == " " else ""

    def _separate(self) -> None:
        if self._parts and self._newlines:
            self._parts[-1] = self._parts[-1].rstrip("\n")  # of a `<pre>`
            self._parts.append("\n" * self._newlines)
        elif self._parts:
            self._parts.append(self._between)
        self._newlines, self._between = 0, ""

    def finish(self) -> str:
        """All of the text."""
        text = "".join(self._parts).rstrip()
        return f"{text}\n" if text else ""
