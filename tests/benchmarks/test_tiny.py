"""Every benchmark runs to its end, on the smallest sizes, and is where the docs say it is."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks.runs import make_run, number_tokenizer
from tfcli.exchange.export_gguf import export_to_gguf
from tfcli.model.config import named_config
from tfcli.runs.run import open_run
from tfcli.runs.valid_steps import choose_step

ROOT = Path(__file__).parent.parent.parent
BENCHMARKS = [
    path.stem
    for path in sorted((ROOT / "benchmarks").glob("*.py"))
    if "\ndef main(" in path.read_text()
]


def run_tiny(name: str, capsys: pytest.CaptureFixture[str], *arguments: str) -> list[list[str]]:
    """The rows of the table that a benchmark prints, without its head."""
    import_module(f"benchmarks.{name}").main(["--tiny", *arguments])
    printed = capsys.readouterr().out
    assert re.match(r".* cores, .*Python 3.*, torch 2.*; \d{4}-\d\d-\d\d, commit \w+", printed)
    assert f"    python -m benchmarks.{name} --tiny" in printed
    table = [line for line in printed.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    assert len({len(row) for row in rows}) == 1
    assert rows[1] == ["---"] * len(rows[0])
    assert len(rows) > 2
    cells = [cell for row in rows for cell in row]
    assert all(cells)
    assert not [cell for cell in cells if re.search(r"\bnan\b|failed", cell)]
    return rows[2:]


@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHMARKS)
def test_tiny_mode_prints_a_whole_table(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    run_tiny(name, capsys)


@pytest.mark.slow
def test_nanogpt_and_tfcli_are_measured_on_the_same_bytes(
    nanogpt: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = run_tiny("nanogpt", capsys, "--nanogpt", str(nanogpt))
    assert [row[0] for row in rows] == ["nanoGPT", "tfcli, seed 0"]


@pytest.mark.slow
def test_gpu_table_compares_with_nanogpt_and_goes_to_out(
    nanogpt: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OUT", str(tmp_path))
    rows = run_tiny("gpu", capsys, "--nanogpt", str(nanogpt))
    assert [row[2] for row in rows if row[0] == "training"] == [
        "tfcli", "nanoGPT", "tfcli, sharded, not compiled"
    ]  # fmt: skip
    assert rows[-1][2] in (tmp_path / "gpu.md").read_text()


def test_a_run_made_for_a_benchmark_is_valid_and_can_be_exported(tmp_path: Path) -> None:
    config = named_config(
        "nano", vocab_size=400, context_length=32, num_layers=1, d_model=32, num_heads=2
    )
    made = make_run(config, number_tokenizer(400), tmp_path / "it")
    run = open_run(made.path)
    assert run.model_config == config
    step = choose_step(run, None, on_damaged=lambda error: pytest.fail(str(error)))
    export_to_gguf(run, step, tmp_path / "it.gguf", "q8_0")
    assert (tmp_path / "it.gguf").stat().st_size > 10_000


def test_docs_and_makefile_name_every_benchmark() -> None:
    for path in (ROOT / "docs/benchmarks.md", ROOT / "Makefile"):
        named = set(re.findall(r"python -m benchmarks\.(\w+)", path.read_text()))
        assert named == set(BENCHMARKS), path.name
