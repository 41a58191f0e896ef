"""Documents of Word and of LibreOffice, written as those programs write them."""

from __future__ import annotations

import io
import zipfile
from html import escape

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
MC = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
_ODF = "urn:oasis:names:tc:opendocument:xmlns:"
ODF = " ".join(
    f'xmlns:{prefix}="{_ODF}{name}:1.0"'
    for prefix, name in (
        ("office", "office"), ("text", "text"), ("table", "table"), ("draw", "drawing"),
        ("svg", "svg-compatible"),
    )
)  # fmt: skip


def zipped(files: dict[str, str]) -> bytes:
    """An archive of these files; those that are empty are left out."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            if text:
                archive.writestr(name, text)
    return out.getvalue()


def word(body: str, **files: str) -> bytes:
    """A document of Word; further files by their names in `word/`, without `.xml`."""
    document = f"<?xml version='1.0'?><w:document {W} {MC}><w:body>{body}</w:body></w:document>"
    inside = {"word/document.xml": document, "[Content_Types].xml": "<Types/>"}
    inside |= {
        f"word/{name}.xml": f"<w:{name} {W}>{text}</w:{name}>" for name, text in files.items()
    }
    return zipped(inside)


def run(text: str, properties: str = "") -> str:
    """A run of Word."""
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def word_of(lines: list[str]) -> bytes:
    """A document of Word with these paragraphs, each in two runs."""
    runs = ((escape(line[: len(line) // 2]), escape(line[len(line) // 2 :])) for line in lines)
    return word("".join(f"<w:p>{run(first)}{run(second)}</w:p>" for first, second in runs))


def odt(body: str, kind: str = "text", **files: str) -> bytes:
    """An OpenDocument file."""
    content = f"<office:document-content {ODF}><office:body><office:{kind}>{body}</office:{kind}>"
    return zipped({
        "mimetype": f"application/vnd.oasis.opendocument.{kind}",
        "content.xml": f"{content}</office:body></office:document-content>",
        **files,
    })  # fmt: skip


def odt_of(lines: list[str]) -> bytes:
    """A document of LibreOffice with these paragraphs."""
    return odt("".join(f"<text:p>{escape(line)}</text:p>" for line in lines))
