"""`tfcli inspect` in the shell: terminal, JSON, pages, the tour."""

from __future__ import annotations

import base64
import json
import math
import re
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.test_terminal import terminal
from tests.conftest import RealShell, Shell
from tests.exchange.conftest import SHAPES, make_run, tokenizer
from tests.html_pages import checked_page
from tfcli.cli.humanize import format_odds
from tfcli.cli.pages.png import encode_png, picture_of, shrink

__all__ = ["make_run", "tokenizer"]

RUN = ("--run", "tale")
NASTY = "<b>&'\"\x1b[31m"
VIEWS = ["surprise", "attention", "lens", "prompt", "heads"]


def inspected(shell: Shell, *arguments: str) -> Any:
    done = shell("inspect", *arguments, *RUN, "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)


# --- numbers ------------------------------------------------------------------------------------


def test_surprise_is_that_of_score(trained: Shell) -> None:
    text = "Ann saw the moon."
    found = inspected(trained, text, "--view", "surprise")
    scored = trained("score", *RUN, "--by", "token", "--json", stdin=text.encode())
    rows = [json.loads(line) for line in scored.out.splitlines()]
    assert [row["token"] for row in rows] == [each["token"] for each in found["surprise"]]
    assert [row["nats"] for row in rows] == pytest.approx(
        [each["nats"] for each in found["surprise"]], abs=2e-5
    )
    assert found.keys() == {"run", "step", "text", "tokens", "surprise"}


def test_a_prompt_that_names_a_run_or_a_file_is_noted(trained: Shell) -> None:
    options = ("--view", "surprise", "--json")
    assert "the name of a run" in " ".join(trained("inspect", "tale", *options).err.split())
    assert "the name of a file" in " ".join(trained("inspect", "book.txt", *options).err.split())


def test_the_continuation_is_that_of_greedy_generation(trained: Shell) -> None:
    found = inspected(trained, "Ann saw", "--view", "prompt")["prompt"]
    options = ("--greedy", "--no-token-healing", "--max-new-tokens", "5", "--no-stdin")
    written = trained("generate", "Ann saw", *RUN, *options)
    assert found["continuation"].removesuffix("<eos>") == written.out.decode()
    assert not found["given"]
    given = inspected(trained, "Ann saw", "--view", "prompt", "--then", " a ship")["prompt"]
    assert given["continuation"] == " a ship"
    assert given["given"]


def test_a_single_word_is_taken_away_token_by_token(trained: Shell) -> None:
    found = inspected(trained, "noon", "--view", "prompt")
    assert found["prompt"]["by_token"]
    assert [word["text"] for word in found["prompt"]["words"]] == [
        each["text"] for each in found["tokens"][1:]
    ]
    assert not inspected(trained, "at noon", "--view", "prompt")["prompt"]["by_token"]


def test_what_comes_next_is_of_the_checkpoint_that_was_named(trained: Shell) -> None:
    step = sorted((trained.folder / "checkpoints/tale").glob("step-*"))[-1]
    named = str(step.relative_to(trained.folder))
    done = trained("inspect", "Ann saw", "--view", "surprise", "--run", named)
    assert f"tfcli inspect --run {named} --tour" in done.err


def test_what_is_all_but_certain_is_given_in_percent() -> None:
    assert format_odds(math.log(0.9996)) == "100 %"
    assert format_odds(math.log(0.5)) == "50 %"
    assert format_odds(math.log(1 / 130)) == "1 in 130"


def test_the_text_comes_from_an_argument_a_file_or_stdin(trained: Shell, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Ann saw\n")
    view = ("--view", "lens")
    argument = inspected(trained, "Ann saw", *view)
    assert inspected(trained, "--file", str(tmp_path / "a.txt"), *view) == argument
    piped = trained("inspect", *RUN, "--json", *view, stdin=b"Ann saw\n")
    assert json.loads(piped.out) == argument


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["Ann", "--view", "nothing"], 2, "must be one of surprise, attention, lens"),
        (["Ann", "--tour", "--then", "x"], 2, "cannot be combined with"),
        (["Ann", "--then", "", "--view", "prompt"], 2, "--then must not be empty"),
        (["Ann", "--file", "book.txt"], 2, "--file cannot be combined with PROMPT"),
        (["Ann", "--html", "page.txt"], 2, "does not end in .html"),
        (["--file", "book.txt"], 65, "the model sees 32 at once"),
        (["--file", "nothing.txt"], 66, "file not found: 'nothing.txt'"),
        (["--file", "bok.txt"], 66, "did you mean 'book.txt'?"),
        (["Ann", "--html", "no/a.html"], 66, "try: mkdir -p no"),
        ([""], 65, "too short"),
        (["Ann", "--run", "tail"], 66, "did you mean"),
    ],
)
def test_what_cannot_be_done_is_said(
    trained: Shell, arguments: list[str], code: int, said: str
) -> None:
    run = () if "--run" in arguments else RUN
    done = trained("inspect", *arguments, *run)
    assert (done.code, done.out) == (code, b"")
    assert said in done.err


def test_it_runs_without_torch(trained: Shell) -> None:
    code = (
        "import sys; from tfcli.cli.app import run; "
        "codes = [run(['inspect', 'Ann saw', '--run', 'tale', *more], started=0.0) "
        "for more in ([], ['--tour'])]; sys.exit(any(codes) or 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=trained.folder, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


# --- the terminal -------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [40, 80, 160])
@pytest.mark.parametrize("tour", [False, True])
def test_nothing_is_wider_than_the_terminal(trained: Shell, columns: int, tour: bool) -> None:
    done = trained(
        "inspect", "Ann saw the moon", *RUN, *(["--tour"] if tour else []),
        env={"COLUMNS": str(columns)},
    )  # fmt: skip
    assert done.code == 0, done.err
    text = done.out.decode()
    assert max(map(len, text.splitlines())) <= columns
    assert "\x1b" not in text, "no colors in a pipe"
    expected = ["Queries, keys, values"] if tour else ["not why", "” takes from", "layer 2"]
    for words in expected:
        assert words in " ".join(text.split())


def test_a_terminal_gets_colors(trained: Shell) -> None:
    import pexpect

    child = terminal(trained, "inspect", "The moon saw a fox", *RUN)
    child.expect(pexpect.EOF)
    assert re.search(r"\x1b\[30;48;5;\d+m", child.before)
    assert "Less likely than" in child.before
    child.close()
    assert child.exitstatus == 0
    child = terminal(trained, "inspect", "--tour", "The moon", *RUN)
    child.expect(pexpect.EOF)
    assert "\x1b[1mquery\x1b[0m" in child.before


def test_without_a_text_there_is_a_hint_and_a_tour(trained: Shell) -> None:
    import pexpect

    child = terminal(trained, "inspect", *RUN)
    child.expect("no text to inspect")
    child.expect(pexpect.EOF)
    done = trained("inspect", "--tour", *RUN)
    assert done.code == 0
    assert "the tour follows what the model writes" in done.err


def test_a_long_text_is_followed_by_its_beginning(trained: Shell) -> None:
    done = trained("inspect", "--tour", "Ann saw the moon. " * 4, *RUN, "--json")
    assert "it leaves out" in done.err
    found = json.loads(done.out)
    assert len(found["tokens"]) == 12
    assert len(found["steps"]) == 14


# --- pages --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["modern, grouped queries", "llama, tied", "gpt2", "classic"])
def test_pages_of_every_family(shape: str, make_run: Any, tmp_path: Path) -> None:
    make_run(**SHAPES.get(shape, {"family": "classic"}))
    shell = RealShell(tmp_path)
    done = shell("inspect", f"{NASTY} The fox saw a ship", "--html", "a.html", "--run", "it")
    assert (done.code, done.out) == (0, b""), done.err
    assert "Wrote a.html" in done.err
    page = checked_page(tmp_path / "a.html")
    assert page.tags.count("section") == len(VIEWS)
    assert page.tags.count("img") == 2 * 2, "a picture for each head"
    assert page.tags.count("input") == 2
    assert "<b>&'\"^[[31m The fox" in page.said
    done = shell("inspect", f"Ann {NASTY}", "--tour", "--html", "b.html", "--run", "it")
    assert (done.code, done.out) == (0, b""), done.err
    page = checked_page(tmp_path / "b.html")
    assert page.tags.count("section") >= 14
    assert page.tags.count("dfn") > 14
    assert "def attention" not in page.said
    assert "queries = self.linear" in page.said


def test_a_page_of_some_views_has_no_others(trained: Shell, tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    options = ("--view", "lens", "--view", "heads", "--html", str(path))
    assert trained("inspect", "Ann saw", *RUN, *options).code == 0
    page = checked_page(path)
    assert page.tags.count("section") == 2
    assert "Ann saw" in page.said


def test_a_page_of_a_large_model_stays_below_two_megabytes(tmp_path: Path, tokenizer: Any) -> None:
    from tfcli.cli.pages.inspection_page import draw_page
    from tfcli.insight.inspection import Inspection, Tokens
    from tfcli.insight.views import Lens, Surprise

    layers, heads, length = 24, 16, 200
    random = np.random.default_rng(0)
    weights = np.tril(random.random((layers, heads, length, length), np.float32))
    ids = random.integers(3, tokenizer.vocab_size, length)
    best = random.integers(3, tokenizer.vocab_size, (length, 5))
    logprobs = -random.random((length, 5)) - 1
    found = Inspection(
        tokenizer,
        Tokens(ids.tolist(), 1, length - 1, 0),
        2 * length,
        Surprise(-random.random(length - 1) * 9, ids[1:], logprobs[1:, 0], best, logprobs),
        weights / weights.sum(-1, keepdims=True),
        Lens(
            np.tile(best[:, 0], (layers + 1, 1)),
            np.tile(logprobs[:, 0], (layers + 1, 1)),
            np.tile(-logprobs[:, 0], (layers + 1, 1)),
        ),
        None,
        random.random((layers, heads)),
    )
    path = tmp_path / "a.html"
    path.write_text(draw_page(found, "large", 1, {}))
    page = checked_page(path)
    assert page.tags.count("img") == layers * heads
    assert "200 positions are drawn as" in page.said


def test_heads_that_harm_have_a_minus_in_the_terminal(
    tokenizer: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from tfcli.cli.inspection_output import write_inspection
    from tfcli.insight.inspection import Inspection, Tokens

    rises = np.array([[0.5, -0.3], [0.0, -0.005]])
    found = Inspection(tokenizer, Tokens([1, 5, 6], 1, 2, 0), 10, None, None, None, None, rises)
    write_inspection(found, "tale", 1, {})
    shown = " ".join(capsys.readouterr().out.split())
    assert "layer 1 ██ -▓" in shown
    assert "layer 2 -" in shown
    assert "1.2 -0.0300 nats/byte" in shown
    assert "2 heads do harm" in shown


# --- pictures -----------------------------------------------------------------------------------


def decode_png(data: bytes) -> tuple[Any, Any]:
    """The indices and the palette with its alphas, read as the specification has it."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, place = {}, 8
    while place < len(data):
        size = int.from_bytes(data[place : place + 4])
        name, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + size]
        assert zlib.crc32(name + body) == int.from_bytes(data[place + 8 + size : place + 12 + size])
        chunks[name], place = body, place + 12 + size
    columns, rows = (int.from_bytes(chunks[b"IHDR"][i : i + 4]) for i in (0, 4))
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(rows, columns + 1)
    palette = np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(-1, 3)
    alphas = np.frombuffer(chunks[b"tRNS"], np.uint8)
    return lines[:, 1:], np.concatenate([palette, alphas[:, None]], 1)


def test_a_picture_has_a_pixel_for_each_number() -> None:
    indices = np.arange(6, dtype=np.uint8).reshape(2, 3)
    palette = np.arange(24, dtype=np.uint8).reshape(6, 4)
    found, colors = decode_png(encode_png(indices, palette))
    assert found.tolist() == indices.tolist()
    assert colors.tolist() == palette.tolist()
    address = picture_of([[0, 0.5, 1], [-1, -0.5, 0]], shares=False)
    found, colors = decode_png(base64.b64decode(address.split(",")[1]))
    alphas = colors[found][..., 3]
    assert alphas[0, 0] == alphas[1, 2] == 0
    assert alphas[0, 2] == alphas[1, 0] == 255
    assert 0 < alphas[0, 1] == alphas[1, 1] < 255
    blue, orange = colors[found[0, 2]], colors[found[1, 0]]
    assert blue[2] > blue[0]
    assert orange[0] > orange[2]


def test_a_picture_that_shrinks_keeps_the_largest() -> None:
    matrix = np.zeros((10, 10))
    matrix[9, 3] = 1
    small = shrink(matrix, 5)
    assert small.shape == (5, 5)
    assert np.argwhere(small).tolist() == [[4, 1]]
    assert shrink(matrix, 10) is matrix


# --- what is said of a run ----------------------------------------------------------------------


def test_short_texts_have_pictures(trained: Shell, tmp_path: Path) -> None:
    assert trained("inspect", "Ann", *RUN, "--html", str(tmp_path / "a.html")).code == 0
    assert checked_page(tmp_path / "a.html").tags.count("img") > 0


def test_the_surprise_has_positions_ranks_and_entropies(trained: Shell) -> None:
    done = trained("inspect", "Ann saw the the fox", *RUN, "--view", "surprise")
    text = done.out.decode()
    assert "the most surprising first" in " ".join(text.split())
    rows = [line.split() for line in text.partition("rank entropy")[2].splitlines()[1:]]
    found = inspected(trained, "Ann saw the the fox", "--view", "surprise")["surprise"]
    assert sorted(int(row[0]) for row in rows) == list(range(1, len(found) + 1))
    for row in rows:
        told = found[int(row[0]) - 1]
        assert row[1] == f"{told['nats']:.2f}"
        assert str(told["rank"]) in row
        assert f"{told['entropy']:.2f}" in row


def test_blocks_that_add_nothing_are_not_ranked(
    make_run: Any, tokenizer: Any, tmp_path: Path, capfdbinary: Any
) -> None:
    from tfcli.cli.inspection_output import write_inspection
    from tfcli.cli.pages.inspection_page import draw_page
    from tfcli.insight.forward import Model
    from tfcli.insight.inspection import inspect_text
    from tfcli.runs.weights import map_weights

    run, step, _ = make_run(**SHAPES["llama, tied"])
    weights = {
        name: np.zeros_like(each) if name.endswith(("output.weight", "down.weight")) else each
        for name, each in map_weights(run.model_config, step.path).items()
    }
    found = inspect_text(Model(run.model_config, weights), tokenizer, "The fox saw a ship")
    (tmp_path / "a.html").write_text(draw_page(found, "it", 1, {}))
    write_inspection(found, "it", 1, {})
    terminal = capfdbinary.readouterr().out.decode()
    for said in (checked_page(tmp_path / "a.html").said, terminal):
        said = " ".join(said.split())
        assert said.count("The blocks add nothing yet: step 1.") == 1
        assert "No head is missed" in said
        assert "any layer" in said
        assert "+0.0000" not in said


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"masked": 0.5, "token_dropout": 0.0}, "as its mask (--masked)"),
        ({"masked": 0.0, "token_dropout": 0.1}, "has met in training (--token-dropout)"),
        ({"masked": 0.0, "token_dropout": 0.0}, "this run has not met in training"),
        ({}, "is not known"),
    ],
)
def test_the_prompt_view_says_whether_unk_was_met(plan: dict[str, float], said: str) -> None:
    from tfcli.cli.inspection_words import erased_by
    from tfcli.insight.inspection import WithoutWords

    part = WithoutWords([5], True, -1.0, ["a"], np.zeros(1), True)
    assert said in erased_by(part, plan)


def test_a_document_that_is_too_long_is_cut_as_text(trained: Shell, tmp_path: Path) -> None:
    page = tmp_path / "n.html"
    page.write_text(
        "<html><meta charset=utf-8><body><p>" + "Señor ñandú año " * 50 + "</p></body></html>"
    )
    done = trained("inspect", "--file", str(page), *RUN)
    assert done.code == 65
    command = done.err.split("try: ")[1].strip()
    assert command.startswith(f"tfcli text show {page} | head -c ")
    count = int(command.split("head -c ")[1].split()[0])
    shown = trained("text", "show", str(page))
    assert trained("inspect", *RUN, stdin=shown.out[:count]).code == 0
