"""`tfcli score` in the shell."""

from __future__ import annotations

import json
import math

import pytest

from tests.conftest import BOOK, SENTENCES, Shell


def test_held_out_text_scores_as_in_training(trained: Shell) -> None:
    metadata = json.loads(trained("runs", "show", "tale", "--json").out)
    held_out = metadata["held_out"]
    text = BOOK.encode()[-held_out["bytes"] :]
    done = trained("score", "--run", "tale", "--json", stdin=text)
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
    text_output = trained("score", "--run", "tale", stdin=text).out.decode()
    assert f"{result['nats_per_byte']:.4f} nats/byte" in text_output


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


def test_file_scores_the_same_as_standard_input(trained: Shell) -> None:
    piped = trained("score", "--run", "tale", stdin=BOOK.encode())
    assert trained("score", "book.txt", "--run", "tale").out == piped.out
    for by in ("line", "token"):
        piped = trained("score", "--run", "tale", "--by", by, stdin=BOOK.encode())
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
    "stride": (("--stride", "1000"), b"a", 2, "--stride must be at most 32"),
}


@pytest.mark.parametrize("case", CASES)
def test_empty_and_invalid_input_is_handled(trained: Shell, case: str) -> None:
    options, stdin, code, message = CASES[case]
    done = trained("score", "--run", "tale", *options, stdin=stdin)
    assert done.code == code, done.err
    assert message in done.err + done.out.decode()
    assert "Traceback" not in done.err
