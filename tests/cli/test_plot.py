"""`tfcli runs plot` and `tfcli runs tensorboard`: real runs, and metrics with holes in them."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.conftest import RealShell, Shell, bare_environment

SVG = "{http://www.w3.org/2000/svg}"
NASTY = "x<script>alert(1)</script>&'\"\x1b[31m\u202e"


def copy_run(trained: Shell, folder: Path, *names: str) -> RealShell:
    """A shell in `folder` with a copy of the run `tale` under each of these names."""
    for name in names:
        shutil.copytree(trained.folder / "checkpoints/tale", folder / "checkpoints" / name)
    return RealShell(folder)


def step(number: int, loss: float = 2.0, **more: object) -> dict[str, object]:
    row = {"event": "StepFinished", "step": number, "seconds": float(number)}
    return row | {"loss": 2 * loss, "nats_per_byte": loss} | more


def evaluated(number: int, loss: float, size: int = 100) -> dict[str, object]:
    held_out = {
        "nats_per_byte": loss, "bytes": size, "tokens": 50, "context": 32, "stride": 16,
        "whole": size > 100,
    }  # fmt: skip
    return {"event": "Evaluated", "step": number, "held_out": held_out, "seconds": float(number)}


def write_metrics(shell: Shell, name: str, *rows: object) -> None:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path = shell.folder / "checkpoints" / name / "metrics.jsonl"
    path.write_text("\n".join(lines) + "\n")


def points(shell: Shell, name: str) -> dict[str, list[dict[str, Any]]]:
    done = shell("runs", "plot", name, "--json")
    assert done.code == 0, done.err
    found: dict[str, list[dict[str, Any]]] = json.loads(done.out)["points"]
    return found


# --- what is drawn ------------------------------------------------------------------------------


def test_json_has_every_step_and_measurement_of_the_run(trained: Shell) -> None:
    done = trained("runs", "plot", "--json")
    (line,) = done.out.splitlines()
    series = json.loads(line)
    assert (series["name"], series["steps"]) == ("tale", 60)
    training = series["points"]["training"]
    assert [point["step"] for point in training] == list(range(1, 61))
    assert training[-1]["tokens"] == series["tokens_seen"]
    last = series["points"]["held_out"][-1]
    assert last["nats_per_byte"] == series["held_out"]["nats_per_byte"]
    assert {"bytes", "context", "whole", "seconds", "step"} <= last.keys()


def test_of_steps_made_again_after_a_kill_the_later_are_true(
    trained: Shell, tmp_path: Path
) -> None:
    shell = copy_run(trained, tmp_path, "it")
    write_metrics(
        shell, "it",
        *(step(number, 9.0) for number in range(1, 8)), evaluated(7, 9.0),
        *(step(number, 3.0) for number in range(5, 7)), evaluated(6, 2.5), evaluated(6, 2.4),
    )  # fmt: skip
    found = points(shell, "it")
    losses = [(point["step"], point["nats_per_byte"]) for point in found["training"]]
    assert losses == [(1, 9), (2, 9), (3, 9), (4, 9), (5, 3), (6, 3)]
    assert [(p["step"], p["nats_per_byte"]) for p in found["held_out"]] == [(6, 2.4)]


def test_rows_that_say_nothing_are_passed_over(trained: Shell, tmp_path: Path) -> None:
    shell = copy_run(trained, tmp_path, "it")
    nonsense = [
        {"event": "Dreamt", "step": 1}, {"step": 1}, step(1, nats_per_byte="low"), [1], "torn {",
        step(1, nats_per_byte=None), step(1, seconds=None), step(-4), step(True), step(10**30),
        {"event": "Evaluated", "step": 2}, {"event": "Evaluated", "step": 2, "held_out": {"x": 1}},
        '{"event": "StepFinished", "step": 1, "seconds": 1, "nats_per_byte": NaN}',
        step(1, nats_per_byte=10**400),
    ]  # fmt: skip
    write_metrics(shell, "it", *nonsense, step(2, 1.5))
    assert [point["step"] for point in points(shell, "it")["training"]] == [2]
    assert shell("runs", "plot", "it").code == 0


def test_nothing_to_draw_is_an_error_that_says_how_to_go_on(trained: Shell, tmp_path: Path) -> None:
    shell = copy_run(trained, tmp_path, "it")
    write_metrics(shell, "it", {"event": "Dreamt"})
    done = shell("runs", "plot", "it")
    assert (done.code, done.out) == (66, b"")
    assert "try: tfcli train --resume it" in done.err
    assert points(shell, "it") == {"training": [], "held_out": []}
    assert shell("runs", "plot", "tail").code == 66


def test_tokens_need_a_saved_step(trained: Shell, tmp_path: Path) -> None:
    shell = copy_run(trained, tmp_path, "it")
    for folder in (tmp_path / "checkpoints/it").glob("step-*"):
        shutil.rmtree(folder)
    done = shell("runs", "plot", "it", "--x", "tokens")
    assert done.code == 66
    assert "try: tfcli runs plot it --x steps" in done.err
    assert shell("runs", "plot", "it", "--x", "steps").code == 0


# --- on the terminal ----------------------------------------------------------------------------


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_the_chart_in_a_pipe_fits_and_has_no_colour(
    trained: Shell, tmp_path: Path, columns: str
) -> None:
    shell = copy_run(trained, tmp_path, "one", "a-run-with-a-name-of-some-length")
    done = shell(
        *("runs", "plot", "one", "a-run-with-a-name-of-some-length"), env={"COLUMNS": columns}
    )
    assert done.code == 0, done.err
    text = done.out.decode()
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= int(columns)
    for word in ("nats/byte", "seconds of training", "one", "●", "▲", "held out", "┤", "┬"):
        assert word in text
    assert re.search("[\u2801-\u28ff]", text)
    assert "Next: tfcli runs plot one a-run" in done.err


@pytest.mark.skipif(os.name == "nt", reason="terminals of POSIX")
@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colour_on_a_terminal_unless_nobody_wants_it(
    trained: Shell, no_color: str, coloured: bool
) -> None:
    environment = bare_environment() | {"TERM": "xterm-256color", "NO_COLOR": no_color}
    child = pexpect.spawn(
        sys.executable, ["-m", "tfcli", "runs", "plot", "tale"], cwd=str(trained.folder),
        env=environment, dimensions=(30, 100), encoding="utf-8", timeout=60,
    )  # fmt: skip
    child.expect(pexpect.EOF)
    assert ("\x1b[34m●" in child.before) is coloured
    assert ("\x1b[" in child.before) is coloured


def test_a_level_loss_and_a_single_step_can_be_drawn(trained: Shell, tmp_path: Path) -> None:
    shell = copy_run(trained, tmp_path, "it")
    write_metrics(shell, "it", *(step(number, 2.0) for number in range(1, 9)))
    assert shell("runs", "plot", "it").code == 0
    write_metrics(shell, "it", step(1, 0.0, seconds=0.0))
    assert shell("runs", "plot", "it", "--x", "steps").code == 0


# --- pages and pictures -------------------------------------------------------------------------


class Page(HTMLParser):
    """What a browser would find: tags, where they point, the cells of the table."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.cells: list[str] = []
        self._in_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [f"{k}={v}" for k, v in attrs if k in {"src", "href", "onload", "style"}]
        self._in_cell = tag == "td"

    def handle_endtag(self, tag: str) -> None:
        self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.cells.append(data)


def test_a_page_is_whole_in_itself_and_has_the_figures(trained: Shell, tmp_path: Path) -> None:
    shell = copy_run(trained, tmp_path, "one", "two")
    done = shell("runs", "plot", "one", "two", "--out", "page/losses.html")
    assert (done.code, done.out) == (0, b"")
    text = (tmp_path / "page/losses.html").read_text()
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object"} & page.tags
    assert page.links == []
    assert re.findall(r"https?://[^\"]*", text) == ["http://www.w3.org/2000/svg"]
    assert "prefers-color-scheme: dark" in text
    (summary, _) = map(json.loads, shell("runs", "plot", "one", "two", "--json").out.splitlines())
    assert page.cells[0] == "one"
    assert f"{summary['held_out']['nats_per_byte']:.4f}" in page.cells
    assert any(f"{summary['held_out']['bytes']:,} bytes" in cell for cell in page.cells)


def test_a_picture_is_xml_with_its_points_inside_the_frame(trained: Shell, tmp_path: Path) -> None:
    shell = copy_run(trained, tmp_path, "it")
    rows = [step(number, 5 / number) for number in range(1, 1001)]
    write_metrics(
        shell, "it", *rows, *(evaluated(1000, 0.3 + size / 1000, size) for size in (100, 900))
    )
    assert shell("runs", "plot", "it", "--out", "losses.svg").code == 0
    root = ElementTree.parse(tmp_path / "losses.svg").getroot()
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    (curve,) = [e for e in root.iter(f"{SVG}polyline") if "training" in e.attrib["class"]]
    places = [tuple(map(float, place.split(","))) for place in curve.attrib["points"].split()]
    assert len(places) == 100
    assert "mean of 10 steps" in "".join(root.itertext())
    assert all(0 <= x <= width and y <= height for x, y in places)
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    assert [y for _, y in places] == sorted(y for _, y in places)  # downwards is less
    circles = [e.attrib for e in root.iter(f"{SVG}circle")]
    assert all(0 <= float(c["cx"]) <= width and 0 <= float(c["cy"]) <= height for c in circles)
    assert [c["class"] for c in circles].count("ring s0") == 1


@pytest.mark.skipif(os.name == "nt", reason="no such names there")
@pytest.mark.parametrize("end", ["html", "svg"])
def test_a_name_is_no_markup(trained: Shell, tmp_path: Path, end: str) -> None:
    name = NASTY.replace("/", "")
    shell = copy_run(trained, tmp_path, name)
    assert shell("runs", "plot", name, "--out", f"it.{end}").code == 0
    text = (tmp_path / f"it.{end}").read_text()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert b"\x1b" not in shell("runs", "plot", name).out
    if end == "svg":
        ElementTree.fromstring(text)


def test_runs_on_different_texts_are_compared_with_a_warning(
    trained: Shell, tmp_path: Path
) -> None:
    shell = copy_run(trained, tmp_path, "one")
    (tmp_path / "other.txt").write_text("".join(f"{i} and {i + 1}\n" for i in range(3000)))
    made = shell(
        *("train", "other.txt", "--run", "two", "--steps", "3", "--layers", "1"),
        *("--width", "32", "--context", "16", "--batch-tokens", "128"),
    )
    assert made.code == 0, made.err
    done = shell("runs", "plot", "one", "two", "--out", "it.html")
    assert "different texts" in done.err
    assert "different texts" in (tmp_path / "it.html").read_text()


def test_only_pictures_are_overwritten(trained: Shell, tmp_path: Path) -> None:
    shell = copy_run(trained, tmp_path, "it")
    (tmp_path / "book.txt").write_text("dear")
    done = shell("runs", "plot", "it", "--out", "book.txt")
    assert done.code == 2
    assert "try: --out book.html" in done.err
    assert (tmp_path / "book.txt").read_text() == "dear"
    (tmp_path / "it.svg").write_text("old")
    assert shell("runs", "plot", "it", "--out", "it.svg").code == 0
    assert "<svg" in (tmp_path / "it.svg").read_text()
    (tmp_path / "folder.html").mkdir()
    assert shell("runs", "plot", "it", "--out", "folder.html").code == 73
    assert shell("runs", "plot", "it", "--out", "book.txt/it.svg").code == 73
    assert not list(tmp_path.glob(".tmp-*"))


def test_drawing_leaves_torch_and_numpy_out(trained: Shell) -> None:
    code = (
        "import sys; from tfcli.cli.app import run; run(sys.argv[1:], started=0.0); "
        "sys.exit(bool({'torch', 'numpy'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "runs", "plot", "tale"],
        cwd=trained.folder, check=False, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0


# --- event files --------------------------------------------------------------------------------


def crc32c(data: bytes) -> int:
    """By long division, one bit at a time."""
    crc = 0xFFFFFFFF
    for byte in data:
        for bit in range(8):
            carry = (crc ^ byte >> bit) & 1
            crc = crc >> 1 ^ (0x82F63B78 if carry else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32


def records(data: bytes) -> Iterator[bytes]:
    """The messages of a TFRecord file, their checksums verified."""
    while data:
        (size, check) = struct.unpack("<QI", data[:12])
        assert check == masked(data[:8])
        message = data[12 : 12 + size]
        assert struct.unpack("<I", data[12 + size : 16 + size]) == (masked(message),)
        yield message
        data = data[16 + size :]


def fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a protocol buffer: number and value."""

    def varint() -> int:
        nonlocal message
        value = shift = 0
        while True:
            byte, message = message[0], message[1:]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while message:
        number, kind = divmod(varint(), 8)
        size = {0: 0, 1: 8, 5: 4}.get(kind)
        if kind == 0:
            yield number, varint()
            continue
        size = varint() if size is None else size
        value, message = message[:size], message[size:]
        codes = {1: "<d", 5: "<f"}
        yield number, struct.unpack(codes[kind], value)[0] if kind in codes else value


def test_the_checksum_is_that_of_the_standard() -> None:
    assert crc32c(b"\0" * 32) == 0x8A9136AA  # RFC 3720, B.4
    assert crc32c(b"123456789") == 0xE3069283


def test_event_files_hold_the_metrics(trained: Shell, tmp_path: Path) -> None:
    shell = copy_run(trained, tmp_path, "one", "two")
    many = 2**21  # takes four bytes
    write_metrics(
        shell, "two",
        step(1, 2.5, gradient_norm=0.5, tokens_per_second=1000.0, learning_rate_scale=0.25),
        evaluated(1, 2.25), step(many, 1.5), evaluated(many, 1.25), evaluated(many, 1.75, 900),
    )  # fmt: skip
    done = shell("runs", "tensorboard", "one", "two", "--out", "events")
    assert (done.code, done.out) == (0, b"")
    assert "Next: tensorboard --logdir events" in done.err
    (_,) = (tmp_path / "events/one").glob("*tfevents*")
    (path,) = (tmp_path / "events/two").glob("*tfevents*")
    first, *events = (dict(fields(message)) for message in records(path.read_bytes()))
    assert first[3] == b"brain.Event:2"
    began = first[1]
    found = []
    for event in events:
        assert event[1] - began == pytest.approx(event[2])
        for _, value in fields(event[5]):
            scalar = dict(fields(value))
            found.append((event[2], scalar[1].decode(), scalar[2]))
    assert sorted(found) == sorted([
        (1, "loss", 5.0), (1, "nats_per_byte", 2.5), (1, "gradient_norm", 0.5),
        (1, "tokens_per_second", 1000.0), (1, "learning_rate_scale", 0.25), (1, "held_out", 2.25),
        (many, "loss", 3.0), (many, "nats_per_byte", 1.5), (many, "held_out", 1.25),
        (many, "held_out_apart", 1.75),
    ])  # fmt: skip
    before = path.read_bytes()
    assert shell("runs", "tensorboard", "two", "--out", "events").code == 0
    assert [p.read_bytes() for p in path.parent.iterdir()] == [before]


def test_two_runs_of_one_name_would_be_one(trained: Shell, tmp_path: Path) -> None:
    shell = copy_run(trained, tmp_path, "it")
    shutil.copytree(tmp_path / "checkpoints/it", tmp_path / "other/it")
    done = shell("runs", "tensorboard", "it", "other/it", "--out", "events")
    assert done.code == 2
    both = shell("runs", "plot", "it", "other/it")
    assert "other/it" in both.out.decode()
