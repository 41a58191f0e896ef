r"""A run's metrics as a TensorBoard event file, written from its description, without TensorBoard.

The file is a row of TFRecords (tensorflow/core/lib/io/record_writer.h), each a message `Event`
(tensorflow/core/util/event.proto) in the encoding of protocol buffers:

    record   length as uint64 | masked CRC-32C of those 8 bytes | message | masked CRC-32C of it
    Event    1: wall_time, double   2: step, int64   3: file_version   5: Summary
    Summary  1: Value, repeated
    Value    1: tag   2: simple_value, float

All numbers are little-endian.
"""

from __future__ import annotations

import datetime
import struct
from typing import TYPE_CHECKING, Any

from tfcli.files import new_file
from tfcli.runs.series import number, read_series, true_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tfcli.runs.run import Run

NAME = "events.out.tfevents.tfcli"  # one name, so that a run written again takes its own place
SCALARS = ("loss", "nats_per_byte", "tokens_per_second", "gradient_norm", "learning_rate_scale")
VARINT, DOUBLE, BYTES, FLOAT = 0, 1, 2, 5  # wire types


def write_events(run: Run, folder: Path) -> tuple[Path, int]:
    """Writes the metrics of a run to `folder/NAME`, in place of what an earlier call wrote.

    The wall time of an event is the beginning of the run plus the seconds it had trained for, so
    that TensorBoard's relative time is the time of the training, without the pauses.

    Returns:
        the file, and how many steps and measurements are in it.

    Raises:
        InputOutputError, ConflictError: the file cannot be written there.

    """
    began = _created(run)
    events = sorted(_events(run), key=lambda event: event[0])
    path = folder / NAME
    with new_file(path) as file:
        file.write(_record(_field(1, DOUBLE, began) + _field(3, BYTES, b"brain.Event:2")))
        for step, seconds, scalars in events:
            file.write(_record(_event(began + seconds, step, scalars)))
    return path, len(events)


def _events(run: Run) -> Iterator[tuple[int, float, dict[str, float]]]:
    """Step, seconds of training, and scalars of each step and each measurement."""
    for row in true_rows(run.path):
        seconds = number(row.get("seconds"))
        scalars = {
            name: figure for name in SCALARS if (figure := number(row.get(name))) is not None
        }
        if row["event"] == "StepFinished" and scalars and seconds is not None:
            yield row["step"], seconds, scalars
    series = read_series(run)
    for name, points in (("held_out", series.held_out), ("held_out_apart", series.apart)):
        for point in points:
            yield point.step, point.seconds, {name: point.nats_per_byte}


def _created(run: Run) -> float:
    """When the run was begun, in seconds since 1970; 0 where its card does not say."""
    try:
        return datetime.datetime.fromisoformat(run.metadata["created"]).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError):
        return 0.0


# --- the encoding -------------------------------------------------------------------------------


def _event(wall_time: float, step: int, scalars: Mapping[str, float]) -> bytes:
    values = b"".join(
        _field(1, BYTES, _field(1, BYTES, name.encode()) + _field(2, FLOAT, value))
        for name, value in scalars.items()
    )
    return _field(1, DOUBLE, wall_time) + _field(2, VARINT, step) + _field(5, BYTES, values)


def _field(number: int, wire_type: int, value: Any) -> bytes:
    key = _varint(number << 3 | wire_type)
    if wire_type == VARINT:
        return key + _varint(value)
    if wire_type == BYTES:
        return key + _varint(len(value)) + bytes(value)
    return key + struct.pack("<d" if wire_type == DOUBLE else "<f", value)


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return b"".join((length, _masked_crc(length), data, _masked_crc(data)))


def _make_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)  # Castagnoli, reversed
        table.append(value)
    return table


_TABLE = _make_table()


def _masked_crc(data: bytes) -> bytes:
    """CRC-32C (RFC 3720, appendix B.4), rotated and shifted as TFRecords have it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
