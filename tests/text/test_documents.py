"""Plain text is cut into documents at separators, wherever blocks end, and nothing else is lost."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcli.text.documents import split_documents
from tfcli.text.reading_options import DocumentKind, parse_separator

from .helpers import documents, in_chunks

MARK = "<|endoftext|>"
texts = st.text(st.sampled_from("ab \n\ré😀<|"), max_size=80)


def split(
    blocks: list[bytes], kind: DocumentKind = "file", separator: bytes | None = None
) -> tuple[list[bytes], dict[bytes, int]]:
    counts: dict[bytes, int] = {}
    chunks = list(split_documents(filter(None, blocks), kind, separator, counts=counts))
    assert all(chunk.data for chunk in chunks)
    return documents(chunks), counts


def whole_lines(text: bytes, sizes: list[int]) -> list[bytes]:
    """Blocks of about these sizes, cut after newlines, as `read_blocks` cuts them."""
    blocks, rest = [], text
    for size in sizes:
        end = rest.rfind(b"\n", 0, size) + 1
        blocks.append(rest[:end])
        rest = rest[end:]
    return [*blocks, rest]


sizes = st.lists(st.integers(1, 30), max_size=5)


@given(st.lists(texts, min_size=1, max_size=5), sizes)
@settings(max_examples=200)
def test_known_separators_on_lines_of_their_own_end_documents(
    parts: list[str], sizes: list[int]
) -> None:
    text = f"\n{MARK}\n".join(parts).encode()
    if not parts[0].strip():
        sizes = []  # blocks of nothing but white space are not held back before the first separator
    found, counts = split(whole_lines(text, sizes))
    wanted = [
        document for part in re.split(rb"^<\|endoftext\|>[ \t]*\r?\n?", text, flags=re.MULTILINE)
        if (document := re.sub(rb"\r?\n\Z", b"", part)).strip()
    ]  # fmt: skip
    if len(parts) > 1:
        assert counts == {MARK.encode(): len(parts) - 1}
        assert found == wanted
    else:
        assert found == [text] * bool(text)


def test_known_separator_within_a_line_is_text() -> None:
    text = b"He said <|endoftext|>\nand left."
    assert split([text]) == ([text], {})


@given(texts, sizes)
def test_each_line_is_a_document(text: str, sizes: list[int]) -> None:
    found, _ = split(whole_lines(text.encode(), sizes), "line")
    lines = [line.removesuffix(b"\r") for line in text.encode().split(b"\n")]
    assert [d.strip(b"\r") for d in found] == [x.strip(b"\r") for x in lines if x.strip()]


@given(texts, sizes)
def test_blank_lines_end_documents(text: str, sizes: list[int]) -> None:
    text = text.replace("\r", "")
    found, _ = split(whole_lines(text.encode(), sizes), "blank-line")
    paragraphs = re.split(r"^[ \t]*\n", text, flags=re.MULTILINE)
    assert found == [
        stripped.encode() for each in paragraphs if (stripped := each.removesuffix("\n")).strip()
    ]


@given(
    st.lists(st.text(st.sampled_from("ab \né"), max_size=20), min_size=1, max_size=5),
    st.sampled_from(["###", "\n", "\n\n", "%%%", "\n***\n"]),
    st.sampled_from(["\n", "\r\n"]),
    sizes,
)
@settings(max_examples=200)
def test_separator_is_found_wherever_blocks_end(
    parts: list[str], separator: str, newline: str, sizes: list[int]
) -> None:
    text = separator.join(parts).replace("\n", newline).encode()
    blocks = in_chunks(text, sizes)
    found, counts = split(blocks, separator=separator.encode())
    spelled = re.escape(separator).replace("\\\n", "\r?\n").encode()
    pieces = re.split(spelled + rb"(?:\r?\n)?", text)
    assert counts.get(separator.encode(), 0) == len(pieces) - 1
    if len(pieces) > 1:
        wanted = [re.sub(rb"\r?\n\Z", b"", piece) for piece in pieces]
        assert found == [piece for piece in wanted if piece.strip()]


def test_separators_are_typed_with_escapes() -> None:
    assert parse_separator(r"\n\n") == "\n\n"
    assert parse_separator(r"\t") == "\t"
    assert parse_separator(r"C:\\new") == r"C:\new"


@pytest.mark.parametrize("separator", [b"\n", b"\r\n"])
def test_separated_lines_of_windows_keep_no_carriage_return(separator: bytes) -> None:
    found, counts = split([b"one\r\ntwo\r", b"\nthree\r\n"], separator=separator)
    assert (found, counts) == ([b"one", b"two", b"three"], {separator: 3})


@given(
    texts,
    sizes,
    st.sampled_from(["file", "line", "blank-line"]),
    st.sampled_from([None, "a", "b\n"]),
)
def test_each_chunk_is_told_with_its_line(
    text: str, sizes: list[int], kind: DocumentKind, separator: str | None
) -> None:
    text = re.sub(r"\r(?!\n)", "", text.replace("<|", f"\n{MARK}\n"))
    lines: list[int] = []
    cut = separator.encode() if separator else None
    blocks = filter(None, whole_lines(text.encode(), sizes))
    chunks = list(split_documents(blocks, kind, cut, counts={}, began=lines.append))
    assert len(lines) == len(chunks)
    assert lines == sorted(lines)
    written = text.encode().split(b"\n")
    for line, chunk in zip(lines, chunks, strict=True):
        parts = chunk.data.split(b"\n")
        assert written[line - 1].find(parts[0].removesuffix(b"\r")) >= 0
        assert [part.removesuffix(b"\r") for part in parts[1:-1]] == [
            each.removesuffix(b"\r") for each in written[line : line + len(parts) - 2]
        ]
