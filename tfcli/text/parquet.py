"""zstd and parquet files, read with pyarrow, which the extra `tfcli[data]` installs.

One library for both: the smaller `zstandard` does not notice a truncated file.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from tfcli.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BATCH_ROWS = 64  # read at a time


def open_zstd(source: Path) -> io.BufferedReader:
    """Opens a zstd file, of one frame or several, for reading decompressed.

    Reading raises EOFError if the file is truncated or not zstd, as with gzip.

    Raises:
        OSError: it cannot be opened.
        UsageError: pyarrow is not installed.

    """
    _require(source)
    return io.BufferedReader(_Zstd(source), 1 << 17)


class _Zstd(io.RawIOBase):
    """The raw stream under `io.BufferedReader`, which adds reading lines and fixed sizes."""

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
            if error.errno is not None:  # from the system, not the content
                raise
            raise EOFError(str(error)) from None

    def close(self) -> None:
        self._file.close()
        super().close()


def read_parquet(source: Path, name: Path) -> Iterator[bytes]:
    """Yields the texts of a parquet file, row by row; empty rows are skipped.

    The texts are in the column `text`, or in the only text column.

    Args:
        name: what errors call the file.

    Raises:
        OSError: it cannot be opened.
        UsageError: pyarrow is not installed.
        DataError: it is not a complete parquet file, or which column to read is not clear.

    """
    _require(name)
    import pyarrow
    from pyarrow import parquet

    with source.open("rb") as stream:
        try:
            file = parquet.ParquetFile(
                stream, buffer_size=1 << 20, page_checksum_verification=True
            )  # without a buffer, a whole row group would be in memory
            column = _text_column(file.schema_arrow, name)
            for rows in file.iter_batches(BATCH_ROWS, columns=[column], use_threads=False):
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
    return DataError(f"{name} is not a complete parquet file", why=str(error).splitlines()[0][:200])


def _text_column(schema: Any, name: Path) -> str:
    from pyarrow import types

    def is_text(kind: Any) -> bool:
        if types.is_dictionary(kind):
            kind = kind.value_type
        return bool(
            types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
        )

    text_columns: list[str] = [field.name for field in schema if is_text(field.type)]
    if "text" in text_columns:
        return "text"
    if len(text_columns) == 1:
        return text_columns[0]
    listed = ", ".join(f"{field.name} ({field.type})" for field in schema)
    raise DataError(
        f"{name} has no column named text, and {len(text_columns)} others hold text",
        why=f"columns: {listed[:300]}",
        hint="rename the text column to: text",
    )


def _require(name: Path) -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise UsageError(
            f"reading {name} requires pyarrow", hint='pip install "tfcli[data]"'
        ) from None
