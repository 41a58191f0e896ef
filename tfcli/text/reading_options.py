"""What a user may say about how files are read; the rest is found in their content."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from tfcli.options import ChoiceError, OptionError, Options, option
from tfcli.text.encoding import shown_name
from tfcli.text.escapes import unescape

if TYPE_CHECKING:
    from collections.abc import Iterable

Format = Literal["text", "json", "csv", "tsv", "parquet", "html", "epub", "docx", "odt"]
# What is read, in the words of the help and of the pages in docs/.
READABLE = (
    "plain text, JSON rows, CSV, TSV, parquet, HTML, EPUB, FictionBook, DOCX or ODT, compressed or "
    "not"
)
DocumentKind = Literal["file", "line", "blank-line"]

DATA = "Data"
_FILE_FIELD = re.compile(r"([^=,]*\.[^=,]+)=([^=,]+)")  # of a list of FILE=NAME

_OTHER_NAMES = {
    "jsonl": "json", "ndjson": "json", "txt": "text", "htm": "html", "xhtml": "html", "fb2": "html",
}  # fmt: skip
_MARKUP: tuple[Format, ...] = ("text", "html", "epub", "docx", "odt")


def parse_encoding(name: str) -> str:
    """The name of an encoding as Python spells it.

    Raises:
        ValueError: Python knows no such encoding of text.

    """
    try:
        found = codecs.lookup(name)
    except (LookupError, ValueError):
        found = None
    if found is None or not getattr(found, "_is_text_encoding", True):
        raise ValueError(f"must be an encoding such as cp1252, gb18030 or utf-16, not {name!r}")
    return found.name


def parse_format(name: str) -> str:
    """The name of a format; some have several.

    Raises:
        ValueError: there is no such format.

    """
    name = _OTHER_NAMES.get(name.lower(), name)
    if name not in get_args(Format):
        raise ChoiceError(get_args(Format), name)
    return name


def parse_separator(text: str) -> str:
    r"""A separator as it is typed, with `\n` for a newline.

    Raises:
        ValueError: it is empty.

    """
    if not text:
        raise ValueError("must not be empty")
    return unescape(text)


def encoding_option(help: str, *, panel: str | None = None) -> Any:
    """The field for an encoding that a text does not tell by itself."""
    return option(
        None, metavar="NAME", shown_default="UTF-8, UTF-16 or UTF-32", panel=panel,
        from_text=parse_encoding, help=help,
    )  # fmt: skip


def _field_names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


@dataclass(frozen=True, kw_only=True)
class ReadingOptions(Options):
    """How files are read, where their content does not tell, or tells it wrong.

    Attributes:
        by_suffix: whether only the name tells the format, and nothing separates documents, which
            is how the first runs were made.

    """

    format: Format | None = option(
        None, metavar="FORMAT", shown_default="from the content", panel=DATA,
        from_text=parse_format,
        help=f"Format of the files: {', '.join(get_args(Format)[:-1])} or {get_args(Format)[-1]}.",
    )  # fmt: skip
    field: str | None = option(
        None, metavar="NAME", shown_default="text, or the only one", panel=DATA,
        help="Field or column of the text; dots lead into objects. Of several files, "
        "a.csv=NAME,b.csv=NAME.",
    )  # fmt: skip
    prompt_field: tuple[str, ...] = option(
        (), metavar="NAME", panel=DATA, from_text=_field_names,
        help="Field of the prompts in rows of prompts and answers, if not known by its name; "
        "several are joined by newlines.",
    )  # fmt: skip
    answer_field: str | None = option(
        None, metavar="NAME", panel=DATA, conflicts=("field",),
        shown_default="completion, target, ...",
        help="Field of the answers to learn; --field beside --prompt-field is the same.",
    )  # fmt: skip
    pair_separator: str = option(
        "\n", metavar="TEXT", panel=DATA, from_text=parse_separator, shown_default="\\n",
        help="What is put between a prompt and its answer.",
    )  # fmt: skip
    encoding: str | None = encoding_option("Encoding of the files.", panel=DATA)
    document: DocumentKind = option("file", panel=DATA, help="What a document is in plain text.")
    separator: str | None = option(
        None, metavar="TEXT", from_text=parse_separator, conflicts=("document",), panel=DATA,
        shown_default="a line with <|endoftext|>", help="What separates documents in plain text.",
    )  # fmt: skip
    strict: bool = option(
        False, panel=DATA, help="Refuse rows without text, instead of skipping a few."
    )
    by_suffix: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        parts = [part.partition("=") for part in (self.field or "").split(",")]
        named = [file for file, equals, _ in parts if equals]
        for file, equals, name in parts:
            if equals and not (file.strip() and name.strip()):
                raise OptionError(
                    "field", f"must be NAME or FILE=NAME, not {file + equals + name!r}"
                )
            if not equals and _FILE_FIELD.search(self.field or ""):
                raise OptionError("field", f"must be FILE=NAME for each file, not {file!r}")
            if named.count(file) > 1:
                raise OptionError("field", f"names {file} twice")

    @property
    def answer(self) -> str | None:
        """The field of the answers, if one was named: beside that of prompts, `field` is it."""
        return self.answer_field or (self.field if self.prompt_field else None)

    @property
    def named_fields(self) -> tuple[str, ...]:
        """All fields that were named."""
        named = (*self.prompt_field, self.field, self.answer_field)
        return tuple(name for name in named if name)

    @property
    def columns(self) -> tuple[str, ...]:
        """The fields that were named, with dots where they are nested; none: all with text."""
        named = (*self.prompt_field, self.answer) if self.prompt_field else (self.field,)
        return tuple(name for name in named if name) if all(named) else ()

    def require_named(self, files: Iterable[Path]) -> None:
        """Raises OptionError where `field` names a file that is not one of these."""
        files = [*map(shown_name, files)]
        for name, _ in _FILE_FIELD.findall(self.field or ""):
            if not any(path.match(name) for path in files):
                given = ", ".join(map(str, files[:3])) + ", ..." * (len(files) > 3)
                raise OptionError(
                    "field", f"names {name}, which is not among the files", why=f"they are {given}"
                )

    def of_file(self, path: Path) -> ReadingOptions:
        """What holds for one of several files: `field` may name one for each, as `a.csv=review`.

        A file that is not named there finds its own.
        """
        named = _FILE_FIELD.findall(self.field or "")
        if not named:
            return self
        field = next((field for file, field in named if path.match(file)), None)
        return replace(self, field=field)


def _parse_text_format(name: str) -> str:
    name = _OTHER_NAMES.get(name.lower(), name)
    if name not in _MARKUP:
        raise ChoiceError(_MARKUP, name)
    return name


@dataclass(frozen=True, kw_only=True)
class FormatOptions(Options):
    """How a text is read that is looked at as a whole."""

    format: Format | None = option(
        None, metavar="FORMAT", shown_default="from the content", from_text=_parse_text_format,
        help="Format of the text: text, html, epub, docx or odt; text leaves a page its markup.",
    )  # fmt: skip
    encoding: str | None = encoding_option("Encoding of the text.")

    @property
    def as_reading(self) -> ReadingOptions:
        """The same among all options of reading."""
        return ReadingOptions(format=self.format, encoding=self.encoding)


# Keys that a record of these may lack, with what held before they existed.
ADDED_LATER: dict[str, object] = {"prompt_field": [], "answer_field": None, "pair_separator": "\n"}

DEFAULT = ReadingOptions()
READ_BY_SUFFIX = ReadingOptions(by_suffix=True)
