"""Events are read in order; lines torn by a kill are skipped."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcli.errors import TfcliError
from tfcli.runs.metrics import METRICS, append_metrics, read_metrics

VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
ROWS = st.lists(st.dictionaries(st.text(), VALUES, max_size=4), max_size=6)


@given(rows=ROWS)
@settings(max_examples=50)
def test_events_are_read_in_order(tmp_path: Path, rows: list[dict[str, object]]) -> None:
    (tmp_path / METRICS).unlink(missing_ok=True)
    for row in rows:
        append_metrics(tmp_path, row)
    assert list(read_metrics(tmp_path)) == rows


@given(data=st.data())
@settings(max_examples=50)
def test_torn_line_loses_only_that_event(tmp_path: Path, data: Any) -> None:
    path = tmp_path / METRICS
    path.unlink(missing_ok=True)
    for step in range(3):
        append_metrics(tmp_path, {"step": step})
    whole = path.read_bytes()
    kept = whole[: data.draw(st.integers(0, len(whole)))]
    path.write_bytes(kept)
    append_metrics(tmp_path, {"step": 3})
    survivors = [{"step": step} for step in range(3) if b'{"step": %d}' % step in kept]
    assert list(read_metrics(tmp_path)) == [*survivors, {"step": 3}]


@pytest.mark.parametrize(
    "torn", [b"", b"{", b'{"step": 1', b"\0\0\0\0", b"\xff\xfe", b"[]", b"5", b"null", b"[" * 10**5]
)
def test_lines_that_are_not_events_are_skipped(tmp_path: Path, torn: bytes) -> None:
    (tmp_path / METRICS).write_bytes(b'{"step": 1}\n' + torn + b'\n{"step": 2}\n')
    assert list(read_metrics(tmp_path)) == [{"step": 1}, {"step": 2}]


@given(content=st.binary())
def test_any_bytes_can_be_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / METRICS).write_bytes(content + b'\n{"last": 1}')
    assert list(read_metrics(tmp_path))[-1] == {"last": 1}


def test_event_can_hold_any_generated_text(tmp_path: Path) -> None:
    row = {"text": "línea\r\n\u2028\u0085\0\x1b[31m\ufffd"}
    append_metrics(tmp_path, row)
    assert list(read_metrics(tmp_path)) == [row]


def test_event_can_hold_a_file_name_that_is_not_utf_8(tmp_path: Path) -> None:
    row = {"path": os.fsdecode(b"caf\xe9.txt")}
    append_metrics(tmp_path, row)
    assert list(read_metrics(tmp_path)) == [row]


def test_run_without_metrics_has_no_events(tmp_path: Path) -> None:
    assert list(read_metrics(tmp_path)) == []


def test_unreadable_metrics_raise_our_own_error(tmp_path: Path) -> None:
    (tmp_path / METRICS).mkdir()
    with pytest.raises(TfcliError, match=METRICS):
        list(read_metrics(tmp_path))
