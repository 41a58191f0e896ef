"""`tfcli score` in the shell."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import math
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import BOOK, SENTENCES, Shell, bare_environment, forked
from tests.text.documents_of_offices import word_of


def test_held_out_text_scores_as_in_training(trained: Shell, tmp_path: Path) -> None:
    metadata = json.loads(trained("runs", "show", "tale", "--json").out)
    held_out = metadata["held_out"]
    text = BOOK.encode()[-held_out["bytes"] :]
    (tmp_path / "held out.txt").write_bytes(text)  # with its last newline
    done = trained("score", str(tmp_path / "held out.txt"), "--run", "tale", "--json")
    assert done.code == 0, done.err
    assert done.err == ""
    result = json.loads(done.out)
    assert result.keys() == {
        "nats", "nats_per_byte", "perplexity", "bytes", "tokens", "context", "stride"
    }  # fmt: skip
    assert result["bytes"] == held_out["bytes"]
    # training also counts the loss of the final eos, which has no bytes
    eos_nats = held_out["nats_per_byte"] * held_out["bytes"] - result["nats"]
    assert 0 < eos_nats < 20
    assert result["tokens"] == held_out["tokens"] - 1
    assert result["perplexity"] == pytest.approx(math.exp(result["nats"] / result["tokens"]))
    text_output = trained("score", str(tmp_path / "held out.txt"), "--run", "tale").out.decode()
    assert f"{result['nats_per_byte']:.4f} nats/byte" in text_output


@pytest.mark.parametrize("by", ["text", "token"])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_last_newline_of_stdin_is_not_part_of_the_text(
    trained: Shell, newline: bytes, by: str
) -> None:
    score = ("score", "--run", "tale", "--json", "--by", by)
    bare = trained(*score, stdin=b"Ann saw").out
    assert trained(*score, stdin=b"Ann saw" + newline).out == bare
    assert trained(*score, stdin=b"Ann saw\n" + newline).out != bare
    assert trained(*score, stdin=newline).code == trained(*score, stdin=b"").code == 65


def test_last_newline_of_a_file_is_part_of_the_text(trained: Shell, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"Ann saw\n")
    done = trained("score", str(tmp_path / "a.txt"), "--run", "tale", "--json")
    assert json.loads(done.out)["bytes"] == 8


@pytest.mark.parametrize("piped", [True, False])
def test_lines_of_windows_are_scored_without_mark_and_carriage_returns(
    trained: Shell, tmp_path: Path, piped: bool
) -> None:
    path, by_line = tmp_path / "lines.txt", ("score", "--run", "tale", "--by", "line")
    path.write_bytes(b"\xef\xbb\xbfAnn saw\r\n\r\nBob\r\n")
    told = trained(*by_line, stdin=path.read_bytes()) if piped else trained(*by_line, str(path))
    assert told.out == trained(*by_line, stdin=b"Ann saw\n\nBob\n").out


def test_likely_lines_have_a_lower_loss(trained: Shell) -> None:
    lines = [SENTENCES[0].strip(), "zzzz qqqq xxxx!", "", SENTENCES[5].strip()]
    done = trained("score", "--run", "tale", "--by", "line", stdin="\n".join(lines).encode())
    table = [line.split("\t") for line in done.out.decode().split("\n")[:-1]]
    assert [text for _, _, text in table] == lines
    each = [float(figure) for figure, _, _ in table]
    assert max(each[0], each[3]) < each[1]
    assert each[2] == 0
    alone = trained("score", "--run", "tale", "--json", stdin=lines[1].encode())
    assert float(table[1][1]) == pytest.approx(json.loads(alone.out)["nats"], abs=1e-3)


def test_token_losses_sum_to_that_of_the_text(trained: Shell) -> None:
    text = "Ann saw\tJosé.\r\nBob"
    done = trained("score", "--run", "tale", "--by", "token", "--json", stdin=text.encode())
    tokens = [json.loads(line) for line in done.out.splitlines()]
    whole = json.loads(trained("score", "--run", "tale", "--json", stdin=text.encode()).out)
    assert sum(token["nats"] for token in tokens) == pytest.approx(whole["nats"], rel=1e-6)
    table = trained("score", "--run", "tale", "--by", "token", stdin=text.encode()).out.decode()
    escaped = "".join(line.split("\t")[1] for line in table.splitlines())
    assert escaped.replace("\\t", "\t").replace("\\r", "\r").replace("\\n", "\n") == text


def rows(out: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.decode().splitlines()]


def lines(*values: object) -> bytes:
    return "".join(json.dumps(value) + "\n" for value in values).encode()


def test_rows_are_scored_like_texts(trained: Shell) -> None:
    texts = [SENTENCES[0].strip(), "zzzz", "", SENTENCES[5] * 9]
    done = trained(
        "score", "--run", "tale", "--jsonl",
        stdin=lines(*({"text": text, "id": [n]} for n, text in enumerate(texts))),
    )  # fmt: skip
    assert (done.code, done.err) == (0, "")
    found = rows(done.out)
    assert [row["id"] for row in found] == [[n] for n in range(4)]
    assert [row["row"] for row in found] == [1, 2, 3, 4]
    for text, row in zip(texts, found, strict=True):
        assert row.keys() == {
            "row", "id", "nats", "nats_per_byte", "perplexity", "bytes", "tokens"
        }  # fmt: skip
        if text:
            alone = json.loads(
                trained("score", "--run", "tale", "--json", stdin=f"{text}\n".encode()).out
            )
            for key in ("nats", "nats_per_byte", "perplexity", "bytes", "tokens"):
                assert row[key] == pytest.approx(alone[key], rel=1e-4)


def test_answers_are_ranked_after_their_prompt(trained: Shell) -> None:
    answers = [" saw a ship at noon.", " qqq zz", " by the the"]
    done = trained(
        "score", "--run", "tale", "--jsonl", "--by", "token",
        stdin=lines(*({"prompt": "Ann", "text": text} for text in answers)),
    )  # fmt: skip
    found = rows(done.out)
    assert min(found, key=lambda row: row["nats_per_byte"])["row"] == 1
    whole = rows(
        trained(
            "score", "--run", "tale", "--by", "token", "--json", stdin=f"Ann{answers[0]}".encode()
        ).out
    )
    own = found[0]["by_token"]
    assert "".join(token["text"] for token in own) == answers[0]
    assert [token["nats"] for token in own] == pytest.approx(
        [token["nats"] for token in whole[-len(own) :]], abs=1e-4
    )
    assert (found[0]["bytes"], found[0]["tokens"]) == (len(answers[0]), len(own))


def test_prompt_longer_than_the_context_is_cut_on_the_left(trained: Shell) -> None:
    long = "".join(SENTENCES) + "Ann saw"
    done = trained(
        "score", "--run", "tale", "--jsonl",
        stdin=lines({"prompt": long, "text": " a"}, {"prompt": long, "text": ""}),
    )  # fmt: skip
    last = trained("score", "--run", "tale", "--by", "token", "--json", "--stride", "1",
                   stdin=f"{long} a".encode())  # fmt: skip
    first, empty = rows(done.out)
    assert first["nats"] == pytest.approx(rows(last.out)[-1]["nats"], abs=1e-4)
    assert (empty["nats"], empty["tokens"], empty["nats_per_byte"]) == (0, 0, None)


BAD_ROWS = {
    "nonsense": "not valid JSON",
    '"Ann"': "not a JSON object",
    '{"id": 5}': "no field text (its fields: id)",
    '{"texts": "a", "id": 5}': "did you mean 'texts'?",
    '{"text": {"a": "b"}, "id": 5}': "text must be a string",
    '{"text": true, "id": 5}': "text must be a string",
    '{"text": "a", "prompt": null, "id": 5}': "prompt must be a string",
    '{"text": "a", "promt": "b", "id": 5}': "did you mean 'prompt'",
    '{"text": "\\ud83d", "id": 5}': "unpaired surrogate (U+D83D)",
    '{"text": "a", "id": 1e999}': "id must be valid JSON",
    "\xff": "not valid UTF-8",
}


@pytest.mark.parametrize("way", ["stdin", "file"])
def test_invalid_rows_are_answered_with_an_error(trained: Shell, tmp_path: Path, way: str) -> None:
    good = '{"text": "Ann", "id": "good"}'
    data = b"\xef\xbb\xbf" + "\r\n\n".join([good, *BAD_ROWS, good]).encode("latin-1")
    (tmp_path / "rows.jsonl").write_bytes(data)
    where = {"stdin": (), "file": (str(tmp_path / "rows.jsonl"),)}[way]
    done = trained(
        "score", "--run", "tale", "--jsonl", *where, stdin=data if way == "stdin" else b""
    )
    assert done.code == 65
    assert f"invalid lines: {len(BAD_ROWS)} of {len(BAD_ROWS) + 2}" in done.err
    first, *bad, last = rows(done.out)
    assert [row["row"] for row in (first, *bad, last)] == list(range(1, 2 * len(bad) + 4, 2))
    assert first | {"row": 0} == last | {"row": 0}
    for row, (line, message) in zip(bad, BAD_ROWS.items(), strict=True):
        assert message in row["error"]
        assert row.get("id") == (5 if '"id": 5' in line else None)


def test_text_of_a_row_may_be_in_any_field(trained: Shell) -> None:
    data = lines(
        {"id": 1, "review": {"body": "Ann saw"}, "stars": 3, "title": None},
        {"id": 2, "review": "Ann saw"},
        {"id": 3, "text": "Ann saw"},
    )
    done = trained("score", "--run", "tale", "--jsonl", "--field", "review.body", stdin=data)
    first, second, third = rows(done.out)
    alone = trained("score", "--run", "tale", "--jsonl", stdin=lines({"text": "Ann saw"}))
    assert first == rows(alone.out)[0] | {"id": 1}
    assert "line 2: no field review.body: review is a string, without fields" in second["error"]
    assert "no field review (its fields: id, text)" in third["error"]
    assert "invalid lines: 2 of 3" in done.err


@pytest.mark.parametrize("piped", [True, False])
@pytest.mark.parametrize("kind", ["json", "parquet"])
def test_rows_of_an_array_and_of_parquet_are_read(
    trained: Shell, tmp_path: Path, kind: str, piped: bool
) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    found: list[dict[str, Any]] = [{"id": 1, "text": "Ann saw"}, {"id": 2, "text": "a ship"}]
    path = tmp_path / f"rows.{kind}"
    path.write_text(json.dumps(found, indent=2))
    if kind == "parquet":
        parquet.write_table(pyarrow.Table.from_pylist(found), path)
    by_row = ("score", "--run", "tale", "--jsonl")
    done = trained(*by_row, stdin=path.read_bytes()) if piped else trained(*by_row, str(path))
    assert done.code == 0, done.err
    assert done.out == trained(*by_row, stdin=lines(*found)).out


def test_an_open_quote_is_named_by_the_row_it_is_in(trained: Shell) -> None:
    table = 'id,text\n1,"two\nlines"\n2,"Ann saw\n3,a ship\n4,the moon\n'
    done = trained("score", "--run", "tale", "--jsonl", "--format", "csv", stdin=table.encode())
    assert done.code == 65
    assert "the row that begins on line 4 is never closed" in " ".join(done.err.split())


def test_prompts_may_have_a_name_and_numbers_are_their_digits(trained: Shell) -> None:
    by_row = ("score", "--run", "tale", "--jsonl")
    named = ("--prompt-field", "text", "--answer-field", "label")
    done = trained(*by_row, *named, stdin=lines({"text": "Ann saw", "label": 5}))
    assert done.code == 0, done.err
    assert done.out == trained(*by_row, stdin=lines({"prompt": "Ann saw", "text": "5"})).out


def test_compressed_rows_are_read(trained: Shell, tmp_path: Path) -> None:
    data = lines({"text": "Ann"}) * 300
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(data))
    done = trained("score", "--run", "tale", "--jsonl", str(tmp_path / "rows.jsonl.gz"))
    assert done.out == trained("score", "--run", "tale", "--jsonl", stdin=data).out
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(data)[:-9])
    done = trained("score", "--run", "tale", "--jsonl", str(tmp_path / "cut.jsonl.gz"))
    assert done.code == 65
    assert "not a complete gzip file" in done.err


@pytest.mark.parametrize(
    "options", [("--jsonl",), ("--by", "line"), ("--by", "line", "--format", "text")]
)
def test_line_is_scored_before_the_next_is_read(trained: Shell, options: tuple[str, ...]) -> None:
    process = subprocess.Popen(
        [*forked(), "score", "--run", "tale", *options],
        cwd=trained.folder, env=bare_environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdin
    assert process.stdout
    for _ in range(2):
        process.stdin.write(lines({"text": "Ann"}) if "--jsonl" in options else b"Ann saw\n")
        process.stdin.flush()
        assert process.stdout.readline().endswith(b"\n")
    process.stdin.close()
    assert process.wait() == 0
    process.stdout.close()


ROWS = {
    "rows.jsonl": lines({"text": "Ann saw"}, {"text": "Bob"}),
    "rows.csv": b"id,text\n1,Ann saw\n2,Bob\n",
    "rows.tsv": b"text\tid\nAnn saw\t1\nBob\t2\n",
    "rows.docx": word_of(["Ann saw", "Bob"]),
    "rows.html": b"<!doctype html>\n<p>Ann saw<p>Bob",
    "documents.txt": b"Ann saw\n<|endoftext|>\nBob\n",
    "rows.txt": "Ann saw\nBob\n".encode("utf-16"),
    "rows.txt.gz": gzip.compress(b"Ann saw\nBob\n"),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_pipe_has_the_lines_that_the_file_has(trained: Shell, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(ROWS[name])
    by_line = ("score", "--run", "tale", "--by", "line")
    piped, named = trained(*by_line, stdin=ROWS[name]), trained(*by_line, str(tmp_path / name))
    assert piped.out == named.out, piped.err
    texts = [line.split("\t")[2] for line in piped.out.decode().splitlines()]
    assert list(filter(None, texts)) == ["Ann saw", "Bob"]


def test_a_single_object_on_stdin_is_a_line_with_a_note(trained: Shell) -> None:
    done = trained("score", "--run", "tale", "--by", "line", stdin=lines({"quote": "Ann saw"}))
    assert done.out.decode().split("\t")[2] == '{"quote": "Ann saw"}\n'
    assert "--format json scores the text field" in " ".join(done.err.split())
    row = trained("score", "--run", "tale", "--by", "line", stdin=lines({"text": "Ann saw"}))
    assert row.out.decode().split("\t")[2] == "Ann saw\n"


@pytest.mark.parametrize("piped", [True, False])
def test_rows_of_a_table_keep_their_ids(trained: Shell, tmp_path: Path, piped: bool) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('id,prompt,text\na,Ann," saw\n a ship"\nb\n')
    by_row = ("score", "--run", "tale", "--jsonl")
    done = trained(*by_row, stdin=path.read_bytes()) if piped else trained(*by_row, str(path))
    assert done.code == 65
    first, second = rows(done.out)
    row = {"prompt": "Ann", "text": " saw\n a ship", "id": "a"}
    assert first == rows(trained(*by_row, stdin=lines(row)).out)[0]
    assert second == {"row": 2, "error": "row 2: 1 cell for 3 columns, on line 4"}


def test_alternatives_are_the_likeliest_other_tokens(trained: Shell) -> None:
    text = b"Ann saw\ta ship"
    by_token = ("score", "--run", "tale", "--by", "token", "--top-logprobs", "3")
    found = rows(trained(*by_token, "--json", stdin=text).out)
    table = [line.split("\t") for line in trained(*by_token, stdin=text).out.decode().splitlines()]
    for row, cells in zip(found, table, strict=True):
        assert len(row["top_logprobs"]) == 3
        assert row["token"] not in {other["token"] for other in row["top_logprobs"]}
        logprobs = [other["logprob"] for other in row["top_logprobs"]]
        assert logprobs == sorted(logprobs, reverse=True)
        assert sum(map(math.exp, logprobs)) + math.exp(-row["nats"]) <= 1 + 1e-5
        assert cells[2::2] == [other["text"].replace("\n", "\\n") for other in row["top_logprobs"]]
        assert [float(p) for p in cells[3::2]] == pytest.approx(
            [math.exp(each) for each in logprobs], abs=2e-6
        )
    plain = rows(trained("score", "--run", "tale", "--by", "token", "--json", stdin=text).out)
    assert [row | {"top_logprobs": 0} for row in plain] == [
        row | {"top_logprobs": 0} for row in found
    ]
    assert plain[0].keys() == {"token", "text", "nats"}


def test_end_of_the_text_can_be_an_alternative(trained: Shell) -> None:
    many = ("score", "--run", "tale", "--by", "token", "--top-logprobs", "100")
    done = trained(*many, stdin=BOOK[:300].encode())
    assert "\t<eos>\t" in done.out.decode()


def test_a_sentence_in_place_of_a_file_gets_the_command(trained: Shell) -> None:
    done = trained("score", "Ann saw a ship.", "--run", "tale")
    assert done.code == 66
    assert "try: echo 'Ann saw a ship.' | tfcli score" in done.err


def test_file_scores_the_same_as_standard_input(trained: Shell) -> None:
    piped = trained("score", "--run", "tale", stdin=f"{BOOK}\n".encode())
    assert trained("score", "book.txt", "--run", "tale").out == piped.out
    for by, end in (("line", ""), ("token", "\n")):  # a last newline counts in a file alone
        piped = trained("score", "--run", "tale", "--by", by, stdin=f"{BOOK}{end}".encode())
        assert trained("score", "book.txt", "--run", "tale", "--by", by).out == piped.out


def test_cost_of_int8_is_reported(trained: Shell) -> None:
    done = trained("score", "book.txt", "--run", "tale", "--int8")
    assert "int8 differs by" in done.err
    rounded = float(done.out.split()[0])
    exact = float(trained("score", "book.txt", "--run", "tale").out.split()[0])
    assert rounded == pytest.approx(exact, abs=0.05)


CASES = {
    "nothing": ((), b"", 65, "no text to score"),
    "no lines": (("--by", "line"), b"", 0, ""),
    "not UTF-8": ((), b"\xff", 65, "byte 0"),
    "a line that is not UTF-8": (("--by", "line"), b"a\n\xff\n", 65, "line 2"),
    "no such file": (("nowhere.txt",), b"", 66, "nowhere.txt"),
    "no rows": (("--jsonl",), b"\n", 0, ""),
    "rows by line": (("--jsonl", "--by", "line"), b"", 2, "cannot be combined with --by line"),
    "rows of a format": (("--jsonl", "--format", "html"), b"", 2, "must be json, csv or tsv"),
    "alternatives": (("--top-logprobs", "3"), b"a", 2, "--top-logprobs requires --by token"),
    "folder of rows": (("--jsonl", "checkpoints/tale"), b"", 2, "reads one file"),
    "no such file of rows": (("--jsonl", "nowhere.jsonl"), b"", 66, "nowhere.jsonl"),
    "samples of no bound": (("--bound-samples", "4"), b"a", 2, "--bound-samples requires --bound"),
    "field of another file": (
        ("book.txt", "--field", "rows.csv=a"),
        b"",
        2,
        "--field names rows.csv, which is not among",
    ),
    "field twice": (("--field", "a.csv=a,a.csv=b"), b"a", 2, "--field names a.csv twice"),
    "no field": (("--field", "a.csv="), b"a", 2, "must be NAME or FILE=NAME, not 'a.csv='"),
    "no file of a field": (("--field", "=a"), b"a", 2, "must be NAME or FILE=NAME, not '=a'"),
    "stride": (("--stride", "1000"), b"a", 2, "--stride must be at most 32"),
}


@pytest.mark.parametrize("case", CASES)
def test_empty_and_invalid_input_is_handled(trained: Shell, case: str) -> None:
    options, stdin, code, message = CASES[case]
    done = trained("score", "--run", "tale", *options, stdin=stdin)
    assert done.code == code, done.err
    assert message in done.err + done.out.decode()
    assert "Traceback" not in done.err


def test_of_a_folder_what_is_no_text_is_left_out_and_named(trained: Shell, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Ann saw a ship.\n")
    (tmp_path / "b.pdf").write_bytes(b"%PDF-1.7\n")
    done = trained("score", str(tmp_path), "--run", "tale", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["bytes"] == 16
    assert "b.pdf is a PDF, not text" in " ".join(done.err.split())
    assert trained("score", str(tmp_path / "b.pdf"), "--run", "tale").code == 65


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress, bytes])
def test_piped_rows_are_read_as_those_of_a_file(trained: Shell, compress: Any) -> None:
    options = ("score", "--run", "tale", "--jsonl", "--field", "body", "-q")
    rows = b'{"id": "1", "body": "Ann saw"}\n{"id": "2", "body": "the moon"}\n'
    expected = trained(*options, stdin=rows)
    assert expected.code == 0, expected.err
    table = b'\xef\xbb\xbfid;body\r\n1;"Ann saw"\r\n2;the moon\r\n'
    for data in (rows, table):
        done = trained(*options, stdin=compress(data))
        assert (done.code, done.out) == (0, expected.out), done.err
