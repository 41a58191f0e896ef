"""What takes pyarrow to read, which only the extra `tfcli[data]` brings: zstd and parquet.

One library for both: the smaller `zstandard` takes a file cut short for a whole one.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from tfcli.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROWS = 64  # read at a time


def open_zstd(source: Path) -> io.BufferedReader:
    """Opens a zstd file of one frame or many, to be read as what was compressed.

    Reading raises EOFError where the file is cut short or no zstd, as gzip does.

    Raises:
        OSError: it cannot be opened.
        UsageError: pyarrow is not installed.

    """
    _require(source)
    return io.BufferedReader(_Zstd(source), 1 << 17)


class _Zstd(io.RawIOBase):
    """A zstd file for `io.BufferedReader`, which can read lines and all of a size."""

    def __init__(self, source: Path) -> None:
        import pyarrow

        self._file = source.open("rb")
        self._stream = pyarrow.CompressedInputStream(self._file, "zstd")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            return self._stream.readinto(buffer)  # type: ignore[no-any-return]
        except OSError as error:
            if error.errno is not None:  # of the system, not of the content
                raise
            raise EOFError(str(error)) from None

    def close(self) -> None:
        self._file.close()
        super().close()


def read_parquet(source: Path, name: Path) -> Iterator[bytes]:
    """Yields the texts of a parquet file, row by row; rows without any are passed over.

    They are in the column `text`, or in the only column of text there is.

    Args:
        name: what errors call it.

    Raises:
        OSError: it cannot be opened.
        UsageError: pyarrow is not installed.
        DataError: it is no parquet file or a damaged one, or it is not clear where its text is.

    """
    _require(name)
    import pyarrow
    from pyarrow import parquet

    with source.open("rb") as stream:
        try:
            file = parquet.ParquetFile(
                stream, buffer_size=1 << 20, page_checksum_verification=True
            )  # a buffer, else a whole group of rows is in memory at once
            column = _text_column(file.schema_arrow, name)
            for rows in file.iter_batches(ROWS, columns=[column], use_threads=False):
                for text in rows.column(0).to_pylist():
                    if text is not None:
                        yield text.encode()
        except (pyarrow.ArrowException, ValueError) as error:
            raise _unreadable(name, error) from None
        except OSError as error:
            if error.errno is not None:
                raise
            raise _unreadable(name, error) from None


def _unreadable(name: Path, error: Exception) -> DataError:
    return DataError(f"{name} is not a whole parquet file", why=str(error).splitlines()[0][:200])


def _text_column(schema: Any, name: Path) -> str:
    from pyarrow import types

    def is_text(kind: Any) -> bool:
        if types.is_dictionary(kind):
            kind = kind.value_type
        return bool(
            types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
        )

    of_text: list[str] = [field.name for field in schema if is_text(field.type)]
    if "text" in of_text:
        return "text"
    if len(of_text) == 1:
        return of_text[0]
    listed = ", ".join(f"{field.name} ({field.type})" for field in schema)
    raise DataError(
        f"{name} has no column called text, and {len(of_text)} others hold text",
        why=f"its columns: {listed[:300]}",
        hint="rename the column with the text to: text",
    )


def _require(name: Path) -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise UsageError(
            f"{name} cannot be read without pyarrow", hint="pip install pyarrow"
        ) from None
