"""zstd and parquet files, read with pyarrow, which the extra `tfcli[data]` installs.

One library for both: the smaller `zstandard` does not notice a truncated file.
"""

from __future__ import annotations

import io
from typing import IO, TYPE_CHECKING, Any

from tfcli.errors import DataError, UsageError
from tfcli.text.rows import CONVERSATIONS, Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

BATCH_ROWS = 64  # read at a time


def open_zstd(stream: IO[bytes], name: Path) -> IO[bytes]:
    """The decompressed content of a zstd stream, of one frame or several.

    Reading raises EOFError if it is truncated or not zstd, as with gzip.

    Raises:
        UsageError: pyarrow is not installed.

    """
    _require(name)
    return io.BufferedReader(_Zstd(stream), 1 << 17)


class _Zstd(io.RawIOBase):
    """The raw stream under `io.BufferedReader`, which adds reading lines and fixed sizes."""

    def __init__(self, stream: IO[bytes]) -> None:
        import pyarrow

        self._file = stream
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


def parquet_rows(
    stream: IO[bytes], name: Path, wanted: Sequence[str] = (), *, every: bool = False
) -> Iterator[Row]:  # fmt: skip
    """The rows of a parquet file, each an object of its text columns.

    Args:
        stream: can be read at any position.
        name: what errors call the file.
        wanted: the only columns that are needed, with dots into structures; none: all with text.
        every: whether each row has `whole`, all of its columns of whatever type.

    Raises:
        UsageError: pyarrow is not installed.
        DataError: it is not a complete parquet file.

    """
    _require(name)
    import pyarrow
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(
            stream, buffer_size=1 << 20, page_checksum_verification=True
        )  # without a buffer, a whole row group would be in memory
        named = dict.fromkeys(each.split(".")[0] for each in wanted)
        columns = list(named) or _text_columns(file.schema_arrow)
        if not set(columns) & set(file.schema_arrow.names):
            raise _no_column(file.schema_arrow, name, wanted)
        number = 0
        for rows in file.iter_batches(
            BATCH_ROWS, columns=None if every else columns, use_threads=False
        ):
            for row in rows.to_pylist():
                number += 1
                value = {key: row[key] for key in columns if key in row}
                yield Row(number, value, whole=row if every else None)
    except (pyarrow.ArrowException, ValueError) as error:
        raise _unreadable(name, error) from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise _unreadable(name, error) from None


def _unreadable(name: Path, error: Exception) -> DataError:
    return DataError(f"{name} is not a complete parquet file", why=str(error).splitlines()[0][:200])


def _no_column(schema: Any, name: Path, wanted: Sequence[str]) -> DataError:
    listed = ", ".join(f"{field.name} ({field.type})" for field in schema)
    return DataError(
        f"{name} has no column {' or '.join(wanted)}"
        if wanted
        else f"no column of {name} holds text",
        why=f"its columns: {listed[:300]}",
    )


def _text_columns(schema: Any) -> list[str]:
    """The columns that hold text, or structures that may."""
    from pyarrow import types

    def is_text(kind: Any) -> bool:
        if types.is_dictionary(kind):
            kind = kind.value_type
        return bool(
            types.is_string(kind)
            or types.is_large_string(kind)
            or types.is_string_view(kind)
            or types.is_struct(kind)
        )

    return [
        field.name
        for field in schema
        if is_text(field.type) or (field.name in CONVERSATIONS and types.is_list(field.type))
    ]


def _require(name: Path) -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise UsageError(
            f"reading {name} requires pyarrow", hint='pip install "tfcli[data]"'
        ) from None
