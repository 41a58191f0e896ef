"""A GGUF file: metadata and named tensors, listed without being read, and read one at a time.

The layout, all numbers little-endian: github.com/ggml-org/ggml, docs/gguf.md.

    header     "GGUF", version, how many tensors, how many metadata
    metadata   key, type, value: a number, a truth value, a text, or an array of one of these
    tensors    name, dimensions (the innermost first), number format, offset
    (padding)  to a multiple of general.alignment
    data       the tensors

The file is untrusted: every length is compared with what is left of the file before anything is
made of it, so a short file costs little, whatever it says. The library `gguf` reads such files too,
but takes seconds for a large vocabulary; it is asked only to unpack quantized tensors.
"""

from __future__ import annotations

import math
import mmap
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from tfcli.errors import DamagedError, DataError, UsageError
from tfcli.model.safetensors_file import BFLOAT16

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    Array = np.ndarray[Any, Any]

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_HEADER_BYTES = 128 << 20  # of everything before the data; 262,144 tokens and merges take 20
MAX_STRINGS = 1 << 21  # in all arrays together
MAX_TENSORS = 1 << 17
MAX_KEYS = 1 << 16
MAX_DIMENSIONS = 4
ALIGNMENT = "general.alignment"
DEFAULT_ALIGNMENT = 32

# Types of metadata by their number: how struct and numpy call them.
NUMBERS = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
STRING, ARRAY = 8, 9

FLOATS: dict[str, Any] = {"F32": "<f4", "F16": "<f2", "BF16": [BFLOAT16]}


@dataclass(frozen=True)
class NumberFormat:
    """How numbers are stored: in blocks, whose numbers are small integers times scales.

    Attributes:
        name: "F32", "F16", "BF16", or a quantized one such as "Q8_0".
        block: numbers in a block.
        block_bytes: bytes of a block.
        scales: where in a block its scales in float16 begin, and how many they are.

    """

    name: str
    block: int
    block_bytes: int
    scales: tuple[int, int] = (0, 0)


# By their number in a file; ggml-common.h.
FORMATS = {
    0: NumberFormat("F32", 1, 4), 1: NumberFormat("F16", 1, 2), 30: NumberFormat("BF16", 1, 2),
    2: NumberFormat("Q4_0", 32, 18, (0, 1)), 3: NumberFormat("Q4_1", 32, 20, (0, 2)),
    6: NumberFormat("Q5_0", 32, 22, (0, 1)), 7: NumberFormat("Q5_1", 32, 24, (0, 2)),
    8: NumberFormat("Q8_0", 32, 34, (0, 1)),
    10: NumberFormat("Q2_K", 256, 84, (80, 2)), 11: NumberFormat("Q3_K", 256, 110, (108, 1)),
    12: NumberFormat("Q4_K", 256, 144, (0, 2)), 13: NumberFormat("Q5_K", 256, 176, (0, 2)),
    14: NumberFormat("Q6_K", 256, 210, (208, 1)),
    20: NumberFormat("IQ4_NL", 32, 18, (0, 1)), 23: NumberFormat("IQ4_XS", 256, 136, (0, 1)),
}  # fmt: skip
UNPACKED_AT_ONCE = 1 << 20  # numbers


@dataclass(frozen=True)
class GgufTensor:
    """Where a tensor is.

    Attributes:
        shape: as numpy has it, the innermost dimension last.
        begin, end: its bytes in the file.

    """

    format: NumberFormat
    shape: tuple[int, ...]
    begin: int
    end: int


class GgufFile:
    """The metadata and tensors of a file, memory-mapped.

    Attributes:
        metadata: by key: int, float, bool, str; arrays of strings as lists, others of numpy.
        tensors: by name.

    Raises:
        DamagedError: it is not a GGUF file, or not a whole one.
        DataError: it is of another version, or has a format that is not read here.
        NotFoundError, InputOutputError: it cannot be read.

    """

    def __init__(self, path: Path) -> None:
        from tfcli.files import translate_os_error

        self.path = path
        if path.exists() and not path.is_file():
            raise DamagedError(f"{path} is not a file")  # a pipe would block
        try:
            with path.open("rb") as file:
                self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:  # nothing to map
            raise DamagedError(f"{path} is empty") from None
        except OSError as error:
            raise translate_os_error(error, path) from error
        try:
            header = _Header(self._data)
            tensor_count = header.begin()
            self.metadata = header.metadata()
            self.tensors = header.tensors(tensor_count, self.metadata.get(ALIGNMENT))
        except (ValueError, struct.error) as error:  # struct.error: beyond the end
            why = "it ends too early" if isinstance(error, struct.error) else str(error)
            raise DamagedError(f"{path} is not a valid GGUF file", why=why) from None
        except DataError as error:
            raise type(error)(f"{path}: {error.what}", why=error.why, hint=error.hint) from None

    def map(self, name: str) -> Array:
        """A tensor that is not quantized, in its own number format; nothing is copied.

        One in bfloat16 has the dtype of `safetensors_file.is_bfloat16`.
        """
        import numpy as np

        tensor = self.tensors[name]
        return np.ndarray(
            tensor.shape, np.dtype(FLOATS[tensor.format.name]), self._data, tensor.begin
        )

    def unpack(self, name: str, dtype: Any) -> Array:
        """A quantized tensor, unpacked.

        Args:
            dtype: float32 or float16.

        Raises:
            UsageError: the package `gguf`, which unpacks it, is missing.

        """
        import numpy as np

        tensor = self.tensors[name]
        library = gguf_library("reading a quantized GGUF file")
        packed = self._blocks(tensor)
        format = library.GGMLQuantizationType[tensor.format.name]
        unpacked = np.empty((len(packed), tensor.format.block), dtype)
        step = max(1, UNPACKED_AT_ONCE // tensor.format.block)
        for begin in range(0, len(packed), step):
            part = slice(begin, begin + step)
            unpacked[part] = library.quants.dequantize(packed[part], format)
        return unpacked.reshape(tensor.shape)

    def scales(self, name: str) -> Array:
        """The scales of a quantized tensor, a row for each block: float16."""
        import numpy as np

        tensor = self.tensors[name]
        begin, count = tensor.format.scales
        found: Array = self._blocks(tensor)[:, begin : begin + 2 * count].copy().view("<f2")
        return np.abs(found)

    def same(self, one: str, other: str) -> bool:
        """Whether two tensors are equal, byte by byte."""
        first, second = self.tensors[one], self.tensors[other]
        if (first.format, first.shape) != (second.format, second.shape):
            return False
        with memoryview(self._data) as data:
            return data[first.begin : first.end] == data[second.begin : second.end]

    def _blocks(self, tensor: GgufTensor) -> Array:
        """The bytes of a tensor, a row for each block."""
        import numpy as np

        size = tensor.format.block_bytes
        shape = ((tensor.end - tensor.begin) // size, size)
        return np.ndarray(shape, np.uint8, self._data, tensor.begin)


def is_gguf(path: Path) -> bool:
    """Whether a path is that of a file which begins like a GGUF file, or is called like one."""
    from tfcli.files import translate_os_error

    if path.suffix == ".gguf":
        return not path.is_dir()
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise translate_os_error(error, path) from error


def gguf_library(doing: str) -> Any:
    """The package `gguf`.

    Args:
        doing: what it is needed for, as the subject of a sentence.

    Raises:
        UsageError: it is missing.

    """
    try:
        import gguf
    except ImportError:
        raise UsageError(
            f"{doing} needs the package gguf", hint='pip install "tfcli[gguf]"'
        ) from None
    return gguf


class _Header:
    """Reads a file from its beginning.

    Its methods raise ValueError or struct.error where the file is damaged.
    """

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.limit = min(len(data), MAX_HEADER_BYTES)
        self.place = 0
        self.strings_left = MAX_STRINGS
        self.keys = 0  # of metadata

    def begin(self) -> int:
        """The fixed part; returns how many tensors there are."""
        if self.data[:4] != MAGIC:
            raise ValueError("it does not begin with GGUF")
        self.place = 4
        version = self.number("I")
        if version not in VERSIONS:
            swapped = version & 0xFFFF == 0
            raise DataError(
                "this GGUF file is big-endian" if swapped else f"GGUF version {version}",
                why=f"only little-endian files of the versions {VERSIONS[0]} and {VERSIONS[1]} "
                "are read",
            )
        tensors: int = self.number("Q")
        self.keys = self.number("Q")
        if tensors > MAX_TENSORS or self.keys > MAX_KEYS:
            raise ValueError(f"it claims to have {tensors:,} tensors and {self.keys:,} keys")
        return tensors

    def metadata(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for _ in range(self.keys):
            key = self.string()
            if key in found:
                raise ValueError(f"it has the key {key[:60]!r} twice")
            found[key] = self.value(self.number("I"))
        return found

    def tensors(self, count: int, alignment: object) -> dict[str, GgufTensor]:
        alignment = DEFAULT_ALIGNMENT if alignment is None else alignment
        if type(alignment) is not int or alignment < 1 or alignment & (alignment - 1):
            raise ValueError(f"invalid {ALIGNMENT}: {str(alignment)[:40]}")
        entries = [self.tensor() for _ in range(count)]
        data_begin = -(-self.place // alignment) * alignment
        found: dict[str, GgufTensor] = {}
        for name, format, shape, size, offset in entries:
            begin = data_begin + offset
            if offset % alignment or begin + size > len(self.data):
                raise ValueError(f"the tensor {name[:60]!r} lies beyond its end")
            if name in found:
                raise ValueError(f"it has the tensor {name[:60]!r} twice")
            found[name] = GgufTensor(format, shape, begin, begin + size)
        return found

    def tensor(self) -> tuple[str, NumberFormat, tuple[int, ...], int, int]:
        """Name, format, shape, bytes and offset of the next tensor."""
        name, dimensions = self.string(), self.number("I")
        if dimensions > MAX_DIMENSIONS:
            raise ValueError(f"the tensor {name[:60]!r} has {dimensions:,} dimensions")
        shape = tuple(self.number("Q") for _ in range(dimensions))[::-1]
        if 0 in shape:
            raise ValueError(f"the tensor {name[:60]!r} is empty")
        number = self.number("I")
        if number not in FORMATS:
            raise DataError(
                f"the tensor {name[:60]!r} has a number format that is not read here ({number})",
                why=f"read are {', '.join(known.name for known in FORMATS.values())}",
            )
        format = FORMATS[number]
        if format.block > 1 and (not shape or shape[-1] % format.block):
            raise ValueError(f"the rows of {name[:60]!r} are no multiple of {format.block}")
        size = math.prod(shape) // format.block * format.block_bytes
        return name, format, shape, size, self.number("Q")

    # --- values -----------------------------------------------------------------------------------

    def number(self, type: str) -> Any:
        found = struct.Struct(f"<{type}")
        (value,) = found.unpack_from(self.data, self.place)
        self.advance(found.size)
        return value

    def string(self) -> str:
        return self.strings(1)[0]

    def strings(self, count: int) -> list[str]:
        self.strings_left -= count
        if self.strings_left < 0 or count > len(self.data) - self.place:
            _too_long(f"an array of {count:,} texts")
        data, place, limit, length_at = self.data, self.place, self.limit, struct.Struct("<Q")
        found: list[str] = []
        for _ in range(count):
            begin = place + 8
            place = begin + length_at.unpack_from(data, place)[0]
            if place > limit:
                _too_long("a text")
            found.append(data[begin:place].decode())
        self.place = place
        return found

    def value(self, type: int) -> Any:
        if type == STRING:
            return self.string()
        if type == ARRAY:
            return self.array()
        if type not in NUMBERS:
            raise ValueError(f"metadata of the unknown type {type}")
        return self.number(NUMBERS[type])

    def array(self) -> Any:
        import numpy as np

        type, count = self.number("I"), self.number("Q")
        if type == STRING:
            return self.strings(count)
        if type not in NUMBERS:
            raise ValueError("an array of arrays" if type == ARRAY else f"unknown type {type}")
        format = np.dtype(NUMBERS[type]).newbyteorder("<")
        if count > (self.limit - self.place) // format.itemsize:
            _too_long(f"an array of {count:,} numbers")
        begin = self.place
        self.advance(count * format.itemsize)
        return np.frombuffer(self.data[begin : self.place], format)

    def advance(self, size: int) -> None:
        self.place += size
        if self.place > self.limit:
            _too_long("its header")


def _too_long(what: str) -> NoReturn:
    raise ValueError(f"{what} is longer than the file or the limit ({MAX_HEADER_BYTES >> 20} MiB)")
