"""Matrices as pictures: PNG files of a pixel for each number, within a page.

A picture has no ground of its own: the larger a number, the more opaque its pixel, so that the same
picture does in light and in dark.
"""

from __future__ import annotations

import base64
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    Pixels = np.ndarray[Any, np.dtype[np.uint8]]

POSITIVE, NEGATIVE = (60, 120, 235), (230, 100, 30)  # in between the colors for light and dark
MIDDLE = 127  # the index of 0


def encode_png(indices: Pixels, palette: Pixels) -> bytes:
    """A PNG of (rows, columns) indices into (colors, 4) red, green, blue and alpha.

    W3C, "Portable Network Graphics (PNG) Specification", color type 3.
    """
    rows, columns = indices.shape
    header = struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)
    lines = b"".join(b"\0" + row.tobytes() for row in indices)  # 0: no filter
    chunks = {
        b"IHDR": header,
        b"PLTE": palette[:, :3].tobytes(),
        b"tRNS": palette[:, 3].tobytes(),
        b"IDAT": zlib.compress(lines, 9),
        b"IEND": b"",
    }
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks.items()
    )


def picture_of(values: Any, *, shares: bool) -> str:
    """A matrix as the address of a picture: `data:image/png;base64,...`.

    Args:
        values: (rows, columns), from 0 to 1 if `shares`; others are scaled by the largest.

    """
    x = np.asarray(values, np.float64)
    if not shares:
        x = x / max(float(np.abs(x).max()), 1e-30)
    strength = np.sign(x) * np.abs(x) ** 0.6  # so that small ones are seen too
    indices = np.rint(MIDDLE + MIDDLE * np.clip(strength, -1, 1)).astype(np.uint8)
    used, places = np.unique(indices, return_inverse=True)  # the palette has only what is used
    data = encode_png(places.reshape(indices.shape).astype(np.uint8), _palette()[used])
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def _palette() -> Pixels:
    ramp = np.arange(2 * MIDDLE + 1) - MIDDLE
    colors = np.where(ramp[:, None] < 0, NEGATIVE, POSITIVE)
    alpha = np.rint(np.abs(ramp) * 255 / MIDDLE)
    return np.concatenate([colors, alpha[:, None]], 1).astype(np.uint8)


def shrink(matrix: Any, most: int) -> Any:
    """A square matrix of at most so many rows: the largest of neighboring numbers stay."""
    x = np.asarray(matrix)
    step = -(-len(x) // most)
    if step <= 1:
        return x
    padded = np.pad(x, (0, -len(x) % step))
    side = len(padded) // step
    return padded.reshape(side, step, side, step).max((1, 3))
