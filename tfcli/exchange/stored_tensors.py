"""The weights of a run as the tensors of another format, and back.

What each is called there, and what is done to it on the way, is in the table of parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tfcli.model.parameters import Parameter, Shape, WeightMapping, parameters

if TYPE_CHECKING:
    from collections.abc import Callable

    from tfcli.model.config import ModelConfig

    Array = np.ndarray[Any, np.dtype[np.float32]]

Format = Literal["huggingface", "gguf"]


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of another format.

    Attributes:
        name: there.
        parts: the parameters it is made of, concatenated in this order, and how each is mapped.

    """

    name: str
    parts: tuple[tuple[Parameter, WeightMapping], ...]

    @property
    def shape(self) -> Shape:
        """Its shape there."""
        first = self.parts[0][0].shape
        shape = (sum(parameter.shape[0] for parameter, _ in self.parts), *first[1:])
        return shape[::-1] if self._transposed else shape

    @property
    def is_table(self) -> bool:
        """Whether it has a row for each token or position."""
        return self.parts[0][0].role == "table"

    @property
    def keep_float32(self) -> bool:
        """Whether it is stored in float32 even in a file of fewer bits."""
        return self.parts[0][1].keep_float32

    def to_stored(self, read: Callable[[str], Array]) -> Array:
        """The array there.

        Args:
            read: gives the array of a parameter by its name.

        """
        arrays = [
            _interleave(read(parameter.name), mapping.interleaved_heads)
            for parameter, mapping in self.parts
        ]
        joined = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        return joined.T if self._transposed else joined

    def from_stored(self, array: Array) -> dict[str, Array]:
        """The reverse: the arrays of the parameters by name."""
        joined = array.T if self._transposed else array
        ends = np.cumsum([parameter.shape[0] for parameter, _ in self.parts])[:-1]
        return {
            parameter.name: _deinterleave(part, mapping.interleaved_heads)
            for (parameter, mapping), part in zip(self.parts, np.split(joined, ends), strict=True)
        }

    @property
    def _transposed(self) -> bool:
        return self.parts[0][1].transposed


def stored_tensors(config: ModelConfig, format: Format) -> list[StoredTensor]:
    """All tensors of a model in a format, which its family must have a name in."""
    parts: dict[str, list[tuple[Parameter, WeightMapping]]] = {}
    for parameter in parameters(config):
        mapping = parameter.huggingface if format == "huggingface" else parameter.gguf
        assert mapping is not None, f"{config.family} does not exist there"
        parts.setdefault(mapping.name, []).append((parameter, mapping))
    return [StoredTensor(name, tuple(own)) for name, own in parts.items()]


def _interleave(array: Array, heads: int) -> Array:
    """The rows of each head in the order 0, D/2, 1, D/2 + 1, ...; as they are with no heads."""
    if not heads:
        return array
    halves = array.reshape(heads, 2, len(array) // heads // 2, *array.shape[1:])
    return halves.swapaxes(1, 2).reshape(array.shape)


def _deinterleave(array: Array, heads: int) -> Array:
    if not heads:
        return array
    pairs = array.reshape(heads, len(array) // heads // 2, 2, *array.shape[1:])
    return pairs.swapaxes(1, 2).reshape(array.shape)
