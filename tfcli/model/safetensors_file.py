"""A safetensors file: named arrays, listed without being read, and read one at a time.

The layout is eight bytes with the length of a JSON header, the header, then the bytes of the
arrays one after another: github.com/huggingface/safetensors, "Format". A header is untrusted, so
all of it is checked against the file before any array is touched.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from tfcli.errors import DamagedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np

    Array = np.ndarray[Any, Any]


class SupportsArray(Protocol):
    """What can be written: an array, or what becomes one only when numpy asks for it.

    Attributes:
        shape, dtype: of the array.

    """

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __array__(self) -> Array:
        """The array."""


# bfloat16, which numpy lacks, is the upper half of a float32. As a record of one field it can be
# moved about (sliced, transposed, concatenated, compared), and numpy refuses to calculate with it.
BFLOAT16: tuple[str, str] = ("bfloat16", "<u2")

# Number formats by their name in a header: numpy's name, and bytes per number.
FORMATS: dict[str, tuple[Any, int]] = {
    "F64": ("<f8", 8), "F32": ("<f4", 4), "F16": ("<f2", 2), "BF16": ([BFLOAT16], 2),
}  # fmt: skip
MAX_HEADER_BYTES = 100_000_000  # as in the format's own reader


@dataclass(frozen=True)
class TensorInfo:
    """Where an array is: its number format, its shape, and its byte range after the header."""

    format: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class StoredArray:
    """An array in a file, read when numpy asks for it, and not kept.

    Read and not mapped: mapped pages count as the process's memory until the mapping ends.

    Attributes:
        place: where it begins in the file, in bytes.

    """

    path: Path
    place: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __array__(self, dtype: object = None, copy: bool | None = None) -> Array:
        import numpy as np

        count = math.prod(self.shape)
        array = np.fromfile(self.path, self.dtype, count, offset=self.place)
        return array.reshape(self.shape)


class SafetensorsFile:
    """The arrays of a file, memory-mapped.

    Attributes:
        tensors: the entries of the header, by name.

    Raises:
        DamagedError: it is not a safetensors file.
        NotFoundError, InputOutputError: it cannot be read.

    """

    def __init__(self, path: Path) -> None:
        import numpy as np

        from tfcli.files import translate_os_error

        self.path = path
        if path.exists() and not path.is_file():
            raise DamagedError(f"{path} is not a file")  # a pipe would block
        try:
            data = np.memmap(path, np.uint8, mode="r")
            size = int.from_bytes(data[:8].tobytes(), "little")
            if size > min(len(data) - 8, MAX_HEADER_BYTES):
                raise ValueError("its header is longer than the file or than the format allows")
            header = json.loads(data[8 : 8 + size].tobytes())
            if not isinstance(header.pop("__metadata__", {}), dict):
                raise ValueError("its metadata is not an object")
            self._first = 8 + size
            self._data = data[self._first :]
            self.tensors = {name: self._check(entry) for name, entry in header.items()}
            self._check_coverage()
        except (
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            OverflowError,
            RecursionError,
        ) as error:
            raise DamagedError(f"{path} is not a safetensors file", why=str(error)) from None
        except OSError as error:
            raise translate_os_error(error, path) from error

    def _check(self, entry: dict[str, Any]) -> TensorInfo:
        """Raises ValueError unless an entry of the header is valid for this file."""
        begin, end = entry["data_offsets"]
        shape, format = tuple(entry["shape"]), entry["dtype"]
        if any(type(number) is not int for number in (begin, end, *shape)):
            raise ValueError("an offset or size in its header is not an integer")
        if not 0 <= begin <= end <= len(self._data):
            raise ValueError("an entry of its header is outside the file")
        if format not in FORMATS:  # refused only if it is read
            return TensorInfo(str(format), shape, begin, end)
        if min(shape, default=0) < 0 or FORMATS[format][1] * math.prod(shape) != end - begin:
            raise ValueError("a shape in its header does not match its size")
        return TensorInfo(format, shape, begin, end)

    def _check_coverage(self) -> None:
        """Raises ValueError if any byte belongs to two arrays or to none."""
        offset = 0
        for tensor in sorted(self.tensors.values(), key=lambda tensor: (tensor.begin, tensor.end)):
            if tensor.begin != offset:
                raise ValueError("its tensors overlap or leave gaps")
            offset = tensor.end
        if offset != len(self._data):
            raise ValueError("it is longer than its tensors")

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each array."""
        return {name: tensor.shape for name, tensor in self.tensors.items()}

    def map(self, name: str) -> Array:
        """An array in its own number format, memory-mapped; nothing is copied.

        One in bfloat16 has the dtype of `is_bfloat16`.

        Raises:
            DamagedError: it is not of a floating-point format, or its shape is impossible.

        """
        import numpy as np

        tensor = self.tensors[name]
        if tensor.format not in FORMATS:
            raise DamagedError(
                f"{name} in {self.path} has the unsupported number format {tensor.format}"
            )
        format, _ = FORMATS[tensor.format]
        data = self._data[tensor.begin : tensor.end]
        try:
            return np.ndarray(tensor.shape, format, data)
        except ValueError as error:  # too many dimensions, or sizes such as (2^62, 0)
            raise DamagedError(
                f"{name} in {self.path} has an impossible shape", why=str(error)
            ) from None

    def stored(self, name: str) -> StoredArray:
        """An array that is read from the file when it is asked for; see `map` for its format."""
        mapped = self.map(name)
        place = self._first + self.tensors[name].begin
        return StoredArray(self.path, place, mapped.shape, mapped.dtype)

    def read(self, name: str) -> Array:
        """An array in float32; a copy, unless it is float32 already."""
        return to_float32(self.map(name))


def is_bfloat16(array: SupportsArray) -> bool:
    """Whether an array is one in bfloat16: a record of one field of 16 bits."""
    return array.dtype.names == (BFLOAT16[0],)


CHECKED_AT_ONCE = 1 << 20  # numbers

# Of the numbers of so many bytes: the bits of the exponent, all of which NaN and infinity have.
EXPONENTS = {("f", 2): 0x7C00, ("f", 4): 0x7F800000, ("f", 8): 0x7FF << 52, ("V", 2): 0x7F80}


def is_finite(array: Array) -> bool:
    """Whether no number of an array is NaN or infinite; a part of it is looked at at a time.

    Args:
        array: contiguous, of one of the formats of a file.

    """
    import numpy as np

    exponent = EXPONENTS[array.dtype.kind, array.dtype.itemsize]
    bits = array.reshape(-1).view(f"<u{array.dtype.itemsize}")
    parts = (bits[i : i + CHECKED_AT_ONCE] for i in range(0, len(bits), CHECKED_AT_ONCE))
    return not any(np.any(part & exponent == exponent) for part in parts)


def to_float32(array: Array) -> Array:
    """An array of any number format in float32; a copy, unless it is float32 already."""
    import numpy as np

    if is_bfloat16(array):
        return (array[BFLOAT16[0]].astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):  # becomes infinite; callers refuse that
        return array.astype(np.float32, copy=False)


def to_bfloat16(array: Array) -> Array:
    """The nearest numbers in bfloat16, ties to even; NaN stays NaN."""
    import numpy as np

    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16  # wraps around only for some NaN
    nan = bits >> 16 | 0x40
    upper: Array = np.where(np.isnan(array), nan, rounded).astype("<u2")
    return upper.view([BFLOAT16])


def write_tensors(
    write: Callable[[bytes | memoryview], None],
    arrays: Mapping[str, SupportsArray],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes a safetensors file, one array after the other.

    Each becomes an array when its turn comes and is let go of then, so no more than one of them
    needs to be in memory. They come in the order of the format's own writer: the widest numbers
    first, then by name; see `written_order`.

    Args:
        write: writes bytes to the file.
        metadata: of the file; transformers wants `{"format": "pt"}`.

    """
    import numpy as np

    header: dict[str, dict[str, Any]] = {}
    place = 0
    for name in written_order(arrays):
        shape, format = list(arrays[name].shape), arrays[name].dtype
        kind = "BOOL" if format.kind == "b" else f"{format.kind.upper()}{8 * format.itemsize}"
        kind = "BF16" if is_bfloat16(arrays[name]) else kind
        offsets = [place, place := place + math.prod(shape) * format.itemsize]
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": offsets}
    described = {"__metadata__": dict(metadata)} if metadata else {}
    text = json.dumps(described | header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # so that the arrays are aligned
    write(len(text).to_bytes(8, "little") + text)
    for name in header:
        array = np.asarray(arrays[name])
        array = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1)
        if array.size:
            write(array.view(np.uint8).data)


def written_order(arrays: Mapping[str, SupportsArray]) -> list[str]:
    """The names of arrays in the order in which `write_tensors` writes them."""
    return sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))
