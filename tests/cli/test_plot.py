"""`tfcli runs plot`: real runs, and metrics with gaps."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.conftest import RealShell, Shell, bare_environment, forked
from tests.html_pages import checked_page

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


# --- points -------------------------------------------------------------------------------------


def test_json_has_every_step_and_evaluation(trained: Shell) -> None:
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


def test_steps_repeated_after_a_kill_replace_the_earlier_ones(
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


def test_rows_without_usable_fields_are_skipped(trained: Shell, tmp_path: Path) -> None:
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


def test_run_without_points_is_an_error_with_a_hint(trained: Shell, tmp_path: Path) -> None:
    shell = copy_run(trained, tmp_path, "it")
    write_metrics(shell, "it", {"event": "Dreamt"})
    done = shell("runs", "plot", "it")
    assert (done.code, done.out) == (66, b"")
    assert "try: tfcli train --resume it" in done.err
    assert points(shell, "it") == {"training": [], "held_out": []}
    assert shell("runs", "plot", "tail").code == 66


def test_tokens_axis_needs_a_checkpoint(trained: Shell, tmp_path: Path) -> None:
    shell = copy_run(trained, tmp_path, "it")
    for folder in (tmp_path / "checkpoints/it").glob("step-*"):
        shutil.rmtree(folder)
    done = shell("runs", "plot", "it", "--x", "tokens")
    assert done.code == 66
    assert "try: tfcli runs plot it --x steps" in done.err
    assert shell("runs", "plot", "it", "--x", "steps").code == 0


# --- in the terminal ----------------------------------------------------------------------------


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_piped_chart_fits_the_width_and_has_no_color(
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
    for word in (
        "nats per byte",
        "training time (seconds)",
        "one",
        "●",
        "△",
        "held out: best 0." if columns == "200" else "  0.0" if columns == "40" else "best 0.",
        "┤",
        "┬",
    ):
        assert word in text
    assert re.search("[\u2801-\u28ff]", text)
    assert "Next: tfcli runs plot one a-run" in done.err


def test_where_a_student_begins_is_marked(trained: Shell, tmp_path: Path) -> None:
    shell = copy_run(trained, tmp_path, "one", "other")
    told = points(shell, "one")
    assert json.loads(shell("runs", "plot", "one", "--json").out)["student_since"] is None
    assert "▲" not in shell("runs", "plot", "one").out.decode()
    metrics = tmp_path / "checkpoints/one/metrics.jsonl"
    begun = json.dumps({"event": "StudentBegun", "step": 30})
    metrics.write_text(f"{metrics.read_text()}{begun}\n")
    found = json.loads(shell("runs", "plot", "one", "--json").out)
    assert found["student_since"] == 30
    assert found["points"] == told
    (axis, said) = re.findall(".*▲.*", shell("runs", "plot", "one", "--x", "steps").out.decode())
    assert axis.index("▲") / len(axis) == pytest.approx(0.5, abs=0.1)
    assert said == "▲ the student of self-distillation, after step 30"
    both = shell("runs", "plot", "one", "other").out.decode()
    assert "▲ one: the student" in both
    assert "▲ other" not in both
    done = shell("runs", "plot", "one", "other", "--out", "it.svg")
    assert done.code == 0, done.err
    picture = ElementTree.parse(tmp_path / "it.svg")
    gids = {element.get("id", "") for element in picture.iter()}
    assert sum("student-" in gid for gid in gids) == 1


@pytest.mark.skipif(os.name == "nt", reason="terminals of POSIX")
@pytest.mark.parametrize(("no_color", "colored"), [("", True), ("1", False)])
def test_terminal_gets_color_unless_no_color_is_set(
    trained: Shell, no_color: str, colored: bool
) -> None:
    environment = bare_environment() | {"TERM": "xterm-256color", "NO_COLOR": no_color}
    child = pexpect.spawn(
        forked()[0], [*forked()[1:], "runs", "plot", "tale"], cwd=str(trained.folder),
        env=environment, dimensions=(30, 100), encoding="utf-8", timeout=60,
    )  # fmt: skip
    child.expect(pexpect.EOF)
    assert ("\x1b[34m●" in child.before) is colored
    assert ("\x1b[" in child.before) is colored


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (120, 40), (40, 24), (80, 10)])
def test_chart_of_four_runs_has_room_and_even_ticks(
    trained: Shell, tmp_path: Path, columns: int, rows: int
) -> None:
    names = [f"run-{number}" for number in range(4)]
    shell = copy_run(trained, tmp_path, *names)
    done = shell("runs", "plot", *names, env={"COLUMNS": str(columns), "LINES": str(rows)})
    lines = done.out.decode().splitlines()
    chart = [line for line in lines if re.match(r" *[0-9.]* [┤│]", line)]
    assert len(chart) >= 10
    assert len(lines) <= max(rows - 4, 18)
    ticks = [number for number, line in enumerate(chart) if "┤" in line]
    assert len(ticks) > 1
    assert len({after - before for before, after in itertools.pairwise(ticks)}) == 1
    signs = "●△■×"
    final = json.loads(shell("runs", "list", "--json").out.splitlines()[0])["held_out"]
    for line, name, sign in zip(lines[-4:], names, signs, strict=True):
        assert {name, sign} <= set(line.split())
        assert f"{final['nats_per_byte']:.4f}" in line


def test_constant_loss_and_a_single_step_can_be_drawn(trained: Shell, tmp_path: Path) -> None:
    shell = copy_run(trained, tmp_path, "it")
    write_metrics(shell, "it", *(step(number, 2.0) for number in range(1, 9)))
    assert shell("runs", "plot", "it").code == 0
    write_metrics(shell, "it", step(1, 0.0, seconds=0.0))
    assert shell("runs", "plot", "it", "--x", "steps").code == 0


# --- HTML pages and image files -----------------------------------------------------------------


class Page(HTMLParser):
    """The tags, links and table cells of an HTML page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.ids: list[str | None] = []
        self.cells: list[str] = []
        self._in_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [f"{k}={v}" for k, v in attrs if k in {"src", "href", "onload", "style"}]
        self.ids += [v for k, v in attrs if k == "id"]
        self._in_cell = tag in {"td", "th"}

    def handle_endtag(self, tag: str) -> None:
        self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.cells.append(data.replace("\u00a0", " "))


def test_page_is_self_contained_and_has_the_numbers(trained: Shell, tmp_path: Path) -> None:
    shell = copy_run(trained, tmp_path, "one", "two")
    refused = shell("runs", "plot", "one", "two", "--out", "page/losses.html")
    assert refused.code == 66
    assert "try: mkdir -p page" in refused.err  # a mistyped name makes no folders
    (shell.folder / "page").mkdir()
    done = shell("runs", "plot", "one", "two", "--out", "page/losses.html")
    assert (done.code, done.out) == (0, b"")
    checked_page(tmp_path / "page/losses.html")
    text = (tmp_path / "page/losses.html").read_text()
    page = Page(text)
    assert all(link.startswith(("href=#", "style=")) for link in page.links)
    assert set(re.findall(r"https?://[^\"]*", text)) == {"http://www.w3.org/2000/svg"}
    assert len(page.ids) == len(set(page.ids))
    (summary, _) = map(json.loads, shell("runs", "plot", "one", "two", "--json").out.splitlines())
    assert page.cells[:3] == ["one", "two", "Results"]
    loss = f"{summary['held_out']['nats_per_byte']:.4f}, step {summary['best_step']}"
    best = page.cells.index("best nats/byte")
    assert page.cells[best + 1 : best + 3] == [loss, loss]
    assert page.cells[best + 3] == "last nats/byte"
    assert "all held-out text, 2.2 kB" in page.cells


def test_page_of_several_runs_shows_what_differs_between_them(
    trained: Shell, tmp_path: Path
) -> None:
    shell = copy_run(trained, tmp_path, "one", "two")
    shutil.copy(trained.folder / "book.txt", tmp_path)
    made = shell(
        *("train", "book.txt", "--run", "gpt", "--family", "gpt2", "--steps", "2"),
        *("--layers", "1", "--width", "32", "--context", "16", "--batch-tokens", "128"),
    )
    assert made.code == 0, made.err
    assert shell("runs", "plot", "one", "gpt", "--out", "it.html").code == 0
    cells = Page((tmp_path / "it.html").read_text()).cells
    layers = cells.index("layers")
    assert cells[layers + 1 : layers + 3] == ["2", "1"]
    assert "files" not in cells  # both were trained on the same
    assert shell("runs", "plot", "one", "two", "--out", "it.html").code == 0
    cells = Page((tmp_path / "it.html").read_text()).cells
    assert "layers" not in cells
    assert shell("runs", "plot", "one", "--out", "it.html").code == 0
    cells = Page((tmp_path / "it.html").read_text()).cells
    assert {"layers", "files", "seed", "torch"} <= set(cells)


def test_losses_side_by_side_were_measured_on_the_same_part(trained: Shell, tmp_path: Path) -> None:
    """The final evaluation is of all of the text, those before it of a subset."""
    shell = copy_run(trained, tmp_path, "it")
    write_metrics(
        shell, "it", evaluated(0, 4.0), step(1, 3.0), step(2, 2.0),
        evaluated(1, 1.75), evaluated(2, 1.875), evaluated(2, 1.5, 900),
    )  # fmt: skip
    shown = " ".join(shell("runs", "plot", "it").out.decode().split())
    assert (
        "held out: best 1.7500, last 1.8750 on a subset of 100 bytes; best on all 2.2 kB" in shown
    )
    assert shell("runs", "plot", "it", "--x", "steps", "--out", "it.html").code == 0
    cells = Page((tmp_path / "it.html").read_text()).cells
    for name, value in (
        ("best on a subset", "1.7500, step 1"),
        ("last on a subset", "1.8750, step 2"),
        ("the subset", "100 bytes"),
        ("measured on", "all held-out text, 2.2 kB"),
    ):
        assert cells[cells.index(name) + 1] == value
    assert [point["step"] for point in points(shell, "it")["held_out"]] == [0, 1, 2, 2]


def test_legend_is_in_columns_where_there_is_room(trained: Shell, tmp_path: Path) -> None:
    shell = copy_run(trained, tmp_path, "one", "a-longer-name")
    lines = shell("runs", "plot", "one", "a-longer-name", env={"COLUMNS": "120"}).out.decode()
    first, second = lines.splitlines()[-2:]
    assert first.index("●") == second.index("△")
    assert first.index("⠤⠤") == second.index("⠤⠤")


def test_labels_of_runs_have_the_figure_that_the_list_has(trained: Shell, tmp_path: Path) -> None:
    shell = copy_run(trained, tmp_path, "one", "two")
    for name in ("one", "two"):
        write_metrics(
            shell, name, evaluated(0, 4.0), evaluated(1, 1.875), evaluated(1, 1.5, 900)
        )  # fmt: skip
    assert shell("runs", "plot", "one", "two", "--out", "losses.svg").code == 0
    texts = "".join(ElementTree.parse(tmp_path / "losses.svg").getroot().itertext())
    assert "one  1.5000" in texts
    assert "1.8750 " not in texts.replace("1.8750 nats", "")


def test_svg_shows_falling_losses_and_has_the_numbers(trained: Shell, tmp_path: Path) -> None:
    shell = copy_run(trained, tmp_path, "it")
    measured = [(100, 3.0), (500, 2.5), (1000, 2.25)]
    write_metrics(
        shell, "it", *(step(number, 2 + 5 / number) for number in range(1, 1001)),
        *(evaluated(number, loss) for number, loss in measured), evaluated(1000, 2.125, 900),
    )  # fmt: skip
    assert shell("runs", "plot", "it", "--out", "losses.svg").code == 0
    root = ElementTree.parse(tmp_path / "losses.svg").getroot()
    groups = {e.attrib.get("id"): e for e in root.iter(f"{SVG}g")}
    markers = list(groups["chart-held-out-0"].iter(f"{SVG}use"))
    tooltips = ["".join(marker.itertext()) for marker in markers]
    for (number, loss), tooltip in zip(measured, tooltips, strict=True):
        assert f"{loss:.4f} nats per byte at step {number:,}" in tooltip
    places = [(float(marker.attrib["x"]), float(marker.attrib["y"])) for marker in markers]
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    assert [y for _, y in places] == sorted(y for _, y in places)  # y grows downwards
    (final,) = groups["chart-final-eval-0"].iter(f"{SVG}use")
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for x, y in (*places, (float(final.attrib["x"]), float(final.attrib["y"]))):
        assert 0 < x < width
        assert 0 < y < height
    text = " ".join(root.itertext())
    for words in ("held out 2.2500", "final 2.1250", "mean of 17 steps", "loss (nats per byte)"):
        assert words in text


@pytest.mark.parametrize(
    ("end", "magic"),
    [("png", b"\x89PNG\r\n"), ("pdf", b"%PDF-"), ("svg", b"<?xml"), ("html", b"<!D")],
)
def test_output_is_deterministic_and_ignores_matplotlibrc(
    trained: Shell, tmp_path: Path, end: str, magic: bytes
) -> None:
    shell = copy_run(trained, tmp_path, "one", "two")
    assert shell("runs", "plot", "one", "two", "--out", f"a.{end}").code == 0
    (tmp_path / "matplotlibrc").write_text("axes.facecolor: red\nfont.size: 30\n")
    done = shell("runs", "plot", "one", "two", "--out", f"b.{end}")
    assert (done.code, done.out) == (0, b"")
    assert "arning" not in done.err
    first = (tmp_path / f"a.{end}").read_bytes()
    assert first.startswith(magic)
    assert first == (tmp_path / f"b.{end}").read_bytes()


def test_without_matplotlib_the_error_says_how_to_install_it(
    trained: Shell, tmp_path: Path
) -> None:
    code = (
        "import sys; sys.modules['matplotlib'] = None; from tfcli.cli.app import run; "
        "sys.exit(run(sys.argv[1:], started=0.0))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "runs", "plot", "tale", "--out", str(tmp_path / "it.png")],
        cwd=trained.folder, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert 'try: pip install "tfcli[plot]"' in done.stderr
    assert not (tmp_path / "it.png").exists()


@pytest.mark.skipif(os.name == "nt", reason="no such names there")
@pytest.mark.parametrize("end", ["html", "svg"])
def test_names_are_escaped(trained: Shell, tmp_path: Path, end: str) -> None:
    name = NASTY.replace("/", "")
    shell = copy_run(trained, tmp_path, name)
    assert shell("runs", "plot", name, "--out", f"it.{end}").code == 0
    text = (tmp_path / f"it.{end}").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert b"\x1b" not in shell("runs", "plot", name).out
    if end == "svg":
        ElementTree.fromstring(text)


def test_comparing_runs_on_different_texts_gives_a_warning(trained: Shell, tmp_path: Path) -> None:
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


def test_only_plot_files_are_overwritten(trained: Shell, tmp_path: Path) -> None:
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


def test_terminal_chart_does_not_import_heavy_libraries(trained: Shell) -> None:
    code = (
        "import sys; from tfcli.cli.app import run; run(sys.argv[1:], started=0.0); "
        "sys.exit(bool({'torch', 'numpy', 'matplotlib'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "runs", "plot", "tale"],
        cwd=trained.folder, check=False, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0
