"""Many texts in one call: prompts or requests line by line, several samples, in order."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import subprocess
import sys
from typing import Any

import pytest

from tests.conftest import SENTENCES, Shell, bare_environment, forked

RUN = ("generate", "--run", "tale", "--max-new-tokens", "12")


def rows(out: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.decode().splitlines()]


def test_thousand_lines_get_a_thousand_answers_in_order(trained: Shell) -> None:
    lines = "".join(f"{sentence[: 3 + n % 9]}\n" for n, sentence in enumerate(SENTENCES * 20))
    few = ("generate", "--run", "tale", "--lines", "--greedy", "--max-new-tokens", "8")
    done = trained(*few, stdin="".join(lines.splitlines(keepends=True)[:1000]).encode())
    assert done.code == 0, done.err
    answers = done.out.decode().split("\n")
    assert len(answers) == 1001
    for index in (0, 17, 999):
        prompt = lines.splitlines()[index]
        alone = trained(*few, stdin=prompt.encode()).out.decode().rstrip("\n")
        assert answers[index] == alone


def test_newlines_in_an_answer_are_escaped(trained: Shell) -> None:
    done = trained(*RUN, "--lines", "--echo", "--greedy", stdin=b"Ann saw\nBo\\b\n")
    first, second, rest = done.out.decode().split("\n")
    assert first.startswith("Ann saw")
    assert second.startswith("Bo\\\\b")
    assert rest == ""
    unescaped = subprocess.run(["printf", "%b", first], capture_output=True, check=True).stdout
    plain = trained(*RUN, "--echo", "--greedy", stdin=b"Ann saw").out
    assert unescaped == plain


def test_rows_do_not_depend_on_the_batch(trained: Shell) -> None:
    seeded = (*RUN, "--lines", "--seed", "5")
    many = trained(*seeded, stdin=b"Ann\nBob\nThe old\nNobody\n").out.splitlines()
    assert trained(*seeded, stdin=b"Ann\n").out.splitlines() == many[:1]
    single = trained(*seeded, "--batch-size", "1", stdin=b"Ann\nBob\nThe old\n")
    assert single.out.splitlines() == many[:3]
    assert trained(*RUN, "--seed", "5", stdin=b"Ann\n").out.decode().replace("\n", "\\n") == (
        many[0].decode()
    )


def test_samples_differ_and_are_numbered(trained: Shell) -> None:
    def samples(count: int) -> list[str]:
        sampled = (*RUN, "-n", str(count), "--seed", "1", "--temperature", "1.5", "Ann")
        heading = re.compile(r"^--- (\d+) ---\n", re.MULTILINE)
        before, *parts = heading.split(trained(*sampled).out.decode())
        assert before == ""
        assert parts[::2] == [str(number) for number in range(1, count + 1)]
        return [text.removesuffix("\n") for text in parts[1::2]]

    texts = samples(4)
    assert len(set(texts)) > 1
    assert samples(2) == texts[:2]


def test_all_samples_and_values_end_with_a_newline_and_a_single_text_does_not(
    trained: Shell,
) -> None:
    none = ("generate", "--run", "tale", "--max-new-tokens", "0", "Ann")
    assert trained(*none, "-n", "2").out == b"--- 1 ---\n\n--- 2 ---\n\n"
    assert trained(*none, "--echo").out == b"Ann"
    assert trained(*none, "--echo", "-n", "2").out == b"--- 1 ---\nAnn\n--- 2 ---\nAnn\n"
    pytest.importorskip("llguidance")
    for form in (("--choices", "a,b"), ("--regex", "a|b"), ("--json-schema", '{"enum": [1, 2]}')):
        out = trained("generate", "--run", "tale", "Ann", *form).out
        assert out in {b"a\n", b"b\n", b"1\n", b"2\n"}, form


def test_notes_in_the_same_file_as_a_text_begin_on_a_line_of_their_own(trained: Shell) -> None:
    done = subprocess.run(
        [*forked(), *RUN, "Ann saw", "--stats"], cwd=trained.folder,
        env=bare_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, check=True,
    )  # fmt: skip
    *_, report = done.stdout.decode().splitlines()
    assert report.startswith("First token after ")


def test_answers_of_lines_are_read_back_as_prompts(trained: Shell) -> None:
    lines = trained(*RUN, "--lines", "--echo", stdin=b"Ann saw\nBo\\b\n").out
    assert b"\\n" in lines
    none = ("generate", "--run", "tale", "--max-new-tokens", "0")
    assert trained(*none, "--lines", "--echo", stdin=lines).out == lines


def test_jsonl_answer_has_all_fields(trained: Shell) -> None:
    done = trained(*RUN, "--jsonl", "--seed", "3", "Ann")
    assert trained(*RUN, "--json", "--seed", "3", "Ann").out == done.out
    (row,) = rows(done.out)
    assert row.keys() == {
        "row", "sample", "text", "tokens", "logprobs", "finish_reason", "seed"
    }  # fmt: skip
    assert row["finish_reason"] == "length"
    assert len(row["tokens"]) == len(row["logprobs"]) == 12
    assert row["seed"] == 3
    assert row["text"].encode() == trained(*RUN, "--seed", "3", "Ann").out
    ids = " ".join(map(str, row["tokens"]))
    tokenizer = "checkpoints/tale/tokenizer.model"
    decoded = trained("tokenizer", "decode", "--tokenizer", tokenizer, stdin=ids.encode())
    assert decoded.out.decode() == row["text"]


def test_requests_have_options_of_their_own(trained: Shell) -> None:
    requests = [
        {"prompt": "Ann saw", "greedy": True, "max_new_tokens": 4, "id": "a"},
        {"prompt": "Ann saw", "temperature": 1.5, "seed": 9, "top_p": 0.9, "id": {"b": 1}},
        {"prompt": "Ann saw", "greedy": True, "stop": ["o", "the"], "max_new_tokens": 40},
    ]
    text = "".join(json.dumps(request) + "\n" for request in requests)
    first, second, third = rows(trained(*RUN, "--jsonl", stdin=text.encode()).out)
    assert first["id"] == "a"
    greedy = ("generate", "--run", "tale", "--greedy", "--max-new-tokens", "4", "Ann saw")
    assert first["text"].encode() == trained(*greedy).out
    assert (second["id"], second["seed"], second["row"]) == ({"b": 1}, 9, 2)
    assert third["finish_reason"] == "stop"
    assert "o" not in third["text"]


def test_the_seed_in_an_answer_gives_its_text_again(trained: Shell) -> None:
    prompts = ["Ann", "Bob", "The old"]
    requests: list[dict[str, Any]] = [{"prompt": prompt} for prompt in prompts]
    requests[1]["seed"] = 90
    lines = "".join(json.dumps(row) + "\n" for row in requests).encode()
    sampled = (*RUN, "--temperature", "1.5")
    done = trained(*sampled, "--jsonl", "-n", "2", "--seed", "5", stdin=lines)
    answers = [json.loads(line) for line in done.out.splitlines()]
    assert [answer["seed"] for answer in answers] == [5, 6, 90, 91, 9, 10]
    for answer in answers:
        seed, prompt = str(answer["seed"]), prompts[answer["row"] - 1]
        assert trained(*sampled, "--seed", seed, prompt).out.decode() == answer["text"]


INVALID_ROWS: dict[str, tuple[bytes, str]] = {
    "not JSON": (b"{", "line 2 is not valid JSON"),
    "not an object": (b"[1]", "line 2 is not a JSON object"),
    "not UTF-8": (b'{"prompt": "\xff"}', "line 2 is not valid UTF-8"),
    "of OpenAI": (b'{"n": 3}', "unknown key 'n': -n on the command line, for all requests"),
    "another name": (b'{"inputs": "x"}', "unknown key 'inputs': did you mean 'prompt'?"),
    "twice": (
        b'{"max_tokens": 2, "max_new_tokens": 3}',
        "max_new_tokens was given twice: as 'max_tokens' and 'max_new_tokens'",
    ),
    "misspelled": (b'{"promt": "x"}', "line 2: unknown key 'promt'"),
    "wrong type": (b'{"temperature": "hot"}', "line 2: temperature must be a number"),
    "out of range": (b'{"top_p": 2}', "line 2: top_p must be between 0 and 1, not 2"),
    "huge": (b'{"temperature": 1e999}', "line 2: temperature must be between"),
    "a surrogate": (
        b'{"prompt": "\\ud800"}',
        "line 2: prompt contains an unpaired surrogate (U+D800)",
    ),
    "no such token": (b'{"logit_bias": {"99999": 1}}', "names token 99999"),
    "a huge bias": (
        b'{"logit_bias": {"5": 1' + b"0" * 400 + b"}}",
        "line 2: logit_bias must be finite",
    ),
    "null": (b'{"prompt": null}', "line 2: prompt must be a string, not null"),
    "too low": (b'{"temperature": -1}', "line 2: temperature must be at least 0, not -1"),
    "a list of prompts": (b'{"prompt": ["x"]}', "line 2: prompt must be a string"),
    "not a number": (b'{"id": NaN}', "line 2 is not valid JSON"),
    "an infinite id": (b'{"id": 1e999}', "line 2: id must be valid JSON"),
    "deep": (b"[" * 100_000, "line 2 is not valid JSON"),
}


@pytest.mark.parametrize("case", INVALID_ROWS)
def test_invalid_row_gets_an_error_and_the_others_are_answered(trained: Shell, case: str) -> None:
    line, message = INVALID_ROWS[case]
    good = b'{"prompt": "Ann", "greedy": true}'
    done = trained(*RUN, "--jsonl", stdin=good + b"\n" + line + b"\n" + good + b"\n")
    assert done.code == 65
    assert "invalid lines: 1 of 3" in done.err
    assert "Traceback" not in done.err
    first, second, third = rows(done.out)
    assert first["text"] == third["text"]
    assert message in second["error"]
    assert second["row"] == 2


def test_lines_are_counted_not_their_samples(trained: Shell) -> None:
    done = trained(*RUN, "--jsonl", "-n", "3", stdin=b'{"prompt": "Ann"}\n{\n')
    assert done.code == 65
    assert "invalid lines: 1 of 2" in done.err
    assert [row["row"] for row in rows(done.out)] == [1, 1, 1, 2]


def test_lines_of_windows_are_read_without_mark_and_carriage_returns(trained: Shell) -> None:
    for option, line in (("--lines", b"Ann saw"), ("--jsonl", b'{"prompt": "Ann saw"}')):
        greedy = (*RUN, option, "--greedy", "--max-new-tokens", "4", "--seed", "1")
        plain = trained(*greedy, stdin=line + b"\n" + line + b"\n")
        assert plain.code == 0
        marked = trained(*greedy, stdin=b"\xef\xbb\xbf" + line + b"\r\n" + line + b"\r\n")
        assert marked.out == plain.out


def test_empty_lines_are_skipped(trained: Shell) -> None:
    done = trained(*RUN, "--jsonl", stdin=b'\n{"prompt": "Ann"}\n  \n{"prompt": "Bob"}\n\n')
    assert done.code == 0
    assert [row["row"] for row in rows(done.out)] == [2, 4]


def test_schema_output_matches_the_schema(trained: Shell) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "boolean"}, "b": {"enum": ["x", "y"]}},
        "required": ["a", "b"],
        "additionalProperties": False,
    }
    constrained = ("generate", "--run", "tale", "--json-schema", json.dumps(schema))
    for seed in ("1", "2"):
        done = trained(*constrained, "--seed", seed, "Ann")
        assert done.code == 0, done.err
        assert set(json.loads(done.out)) == {"a", "b"}


def test_every_row_of_random_bytes_is_answered(trained: Shell) -> None:
    drawn = random.Random(4)
    keys = [
        "prompt",
        "stop",
        "seed",
        "top_k",
        "dry_multiplier",
        "id",
        "regex",
        "choices",
        "json_schema",
        "logit_bias",
        "x",
        "max_new_tokens",
    ]
    values = ["Ann", 3, -1, 1.5, None, True, [], ["a"], {"5": 2}, {"x": 1}, "", 10**30]
    lines = []
    for number in range(150):
        if number % 3:
            row = {drawn.choice(keys): drawn.choice(values) for _ in range(drawn.randrange(4))}
            lines.append(json.dumps(row).encode())
        else:
            lines.append(drawn.randbytes(drawn.randrange(30)).replace(b"\n", b""))
    few = ("generate", "--run", "tale", "--max-new-tokens", "3", "--jsonl")
    done = trained(*few, stdin=b"\n".join(lines) + b"\n")
    assert done.code == 65
    assert "Traceback" not in done.err
    answers = rows(done.out)
    asked = [number for number, line in enumerate(lines, 1) if line.strip()]
    assert [answer["row"] for answer in answers] == asked
    assert all(("text" in answer) != ("error" in answer) for answer in answers)
    assert any("text" in answer for answer in answers)


def test_line_is_answered_before_the_next_is_read(trained: Shell) -> None:
    process = subprocess.Popen(
        [*forked(), *RUN, "--lines", "--greedy"],
        cwd=trained.folder, env=bare_environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin
    assert process.stdout
    assert process.stderr
    assert b"Waiting for prompts on standard input" in process.stderr.readline()
    for prompt in (b"Ann saw\n", b"Bob\n", b"Ann saw\n"):
        process.stdin.write(prompt)
        process.stdin.flush()
        assert process.stdout.readline().endswith(b"\n")
    process.stdin.close()
    assert process.wait() == 0
    process.stdout.close()
    process.stderr.close()


def test_broken_pipe_ends_generation(trained: Shell) -> None:
    command = f"yes Ann | {shlex.join(forked())} {' '.join(RUN)} --lines | head -n 3"
    done = subprocess.run(
        f'set -o pipefail; {command}; echo "${{PIPESTATUS[1]}}"', shell=True,
        executable="/bin/bash", cwd=trained.folder, env=bare_environment(), capture_output=True,
        check=False, timeout=60,
    )  # fmt: skip
    lines = done.stdout.decode().splitlines()
    assert len(lines) == 4
    assert lines[-1] == "141"
    assert done.stderr == b""


def test_stop_string_may_be_a_newline_as_it_is_typed(trained: Shell) -> None:
    plain = trained("generate", "--run", "tale", "--greedy", "Ann saw").out.decode()
    done = trained("generate", "--run", "tale", "--greedy", "--stop", r"\n", "Ann saw")
    assert "\n" in plain
    assert done.out.decode() == plain.split("\n")[0]


def test_a_text_that_begins_with_its_stop_string_is_noted(trained: Shell) -> None:
    at_once = ("generate", "--run", "tale", "--greedy", "--stop", " ")
    note = "nothing was written: the model began with the stop text ' '; --min-new-tokens 5 goes on"
    done = trained(*at_once, "Ann saw")
    assert (done.code, done.out) == (0, b"")
    assert note in done.err
    done = trained(*at_once, "--jsonl", stdin=b'{"prompt": "Ann saw"}')
    assert rows(done.out)[0]["finish_reason"] == "stop"
    assert note in done.err
    done = trained(*at_once, "--lines", stdin=b"Ann saw\nBob saw\n")
    assert done.out == b"\n\n"
    assert "2 empty texts: the model began with a stop text, such as ' '" in done.err
    assert "stop text" not in trained(*at_once, "Ann saw ").err


@pytest.mark.parametrize("engine", ["numpy", "torch"])
def test_stop_strings_do_not_end_a_text_before_its_minimum(trained: Shell, engine: str) -> None:
    options = ("generate", "--run", "tale", "--greedy", "--engine", engine)
    least = ("--stop", " ", "--min-new-tokens", "5")
    (whole,) = rows(trained(*options, "--jsonl", stdin=b'{"prompt": "Ann saw"}').out)
    (row,) = rows(trained(*options, *least, "--jsonl", stdin=b'{"prompt": "Ann saw"}').out)
    begun = trained(*options, "Ann saw", "--max-new-tokens", "5").out.decode()
    rest = whole["text"][len(begun) :]
    expected = begun + rest[: rest.index(" ")]
    assert " " in begun
    assert row["text"] == expected
    assert row["finish_reason"] == "stop"
    done = trained(*options, *least, "Ann saw")
    assert (done.out.decode(), "stop text" in done.err) == (expected, False)
    assert trained(*options, *least, "--lines", stdin=b"Ann saw\n").out.decode() == f"{expected}\n"


def test_samples_of_a_line_are_numbered(trained: Shell) -> None:
    lines = b'{"prompt": "Ann"}\n{"prompt": "Bob"}\n'
    done = trained(*RUN, "--jsonl", "-n", "2", "--max-new-tokens", "2", stdin=lines)
    assert [(row["row"], row["sample"]) for row in rows(done.out)] == [
        (1, 0), (1, 1), (2, 0), (2, 1)
    ]  # fmt: skip


def test_stop_strings_end_a_text_even_inside_a_token(trained: Shell) -> None:
    plain = trained("generate", "--run", "tale", "--greedy", "Ann saw").out.decode()
    for stop in ("two", " the s", "oon\n", "s", "zzz"):
        done = trained("generate", "--run", "tale", "--greedy", "--stop", stop, "Ann saw")
        assert done.out.decode() == plain.split(stop)[0]


def test_lines_unanswered_at_the_time_limit_are_an_error(trained: Shell) -> None:
    many = b"Ann\n" * 5000
    limited = ("generate", "--run", "tale", "--lines", "--max-time", "0.5s")
    done = trained(*limited, "-n", "3", stdin=many)
    assert done.code == 65
    answered = len(done.out.splitlines()) // 3
    assert 0 < answered < 5000
    assert re.search(
        rf"the time limit was reached after {answered:,} requests?; the rest were not answered",
        done.err,
    )


def test_large_seeds_are_distinct(trained: Shell) -> None:
    seeds = [2**63, 2**63 + 1, 2**64 - 1, 5]
    lines = "".join(
        json.dumps({"prompt": "A", "seed": seed, "temperature": 3}) + "\n" for seed in seeds
    )
    done = trained(*RUN, "--jsonl", "--batch-size", "1", stdin=lines.encode())
    assert done.err == ""
    assert len({row["text"] for row in rows(done.out)}) == 4


def test_first_of_many_samples_starts_immediately(trained: Shell) -> None:
    process = subprocess.Popen(
        [*forked(), *RUN, "-n", "100000000", "Ann"],
        cwd=trained.folder, env=bare_environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout
    assert process.stdout.read(50)
    process.stdout.close()
    assert process.wait() == 141


def test_time_limit_ends_a_text(trained: Shell) -> None:
    endless = ("generate", "--run", "tale", "--max-new-tokens", "100000000", "--max-time", "1s")
    (row,) = rows(trained(*endless, "--jsonl", "Ann").out)
    assert row["finish_reason"] == "timeout"
    assert row["tokens"]


@pytest.mark.parametrize(
    ("options", "check"),
    [
        (("--regex", "(ab|cd){3}[.]"), lambda text: len(text) == 7 and text.endswith(".")),
        (("--choices", "yes,no"), lambda text: text in {"yes", "no"}),
        (("--choices", '["a, b", "c"]'), lambda text: text in {"a, b", "c"}),
        (("--choices", "yes, no"), lambda text: text in {"yes", "no"}),
        (
            ("--json-schema", '{"type": "object", "properties": {"n": {"type": "boolean"}}, '
             '"required": ["n"], "additionalProperties": false}'),
            lambda text: type(json.loads(text)["n"]) is bool,
        ),
    ],
)  # fmt: skip
def test_constrained_output_matches_grammar(
    trained: Shell, options: tuple[str, str], check: Any
) -> None:
    constrained = ("generate", "--run", "tale", *options, "--temperature", "3", "--top-k", "0")
    for seed in ("1", "2", "3"):
        done = trained(*constrained, "--seed", seed, "Ann")
        assert done.code == 0, done.err
        assert check(done.out.decode().removesuffix("\n")), done.out


def test_incomplete_structured_output_is_an_error(trained: Shell) -> None:
    done = trained(*RUN, "--regex", "a{500}", "Ann")
    assert done.code == 65
    assert "1 of 1 output incomplete: a limit was reached" in done.err
    done = trained(*RUN, "--regex", "a{500}", "--jsonl", stdin=b'{}\n{"n": 1}\n')
    assert "invalid lines: 1 of 2; 1 of 1 output incomplete: a limit was reached" in done.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--regex", "("), "unclosed group"),
        (("--choices", ""), "--choices must not be empty"),
        (("--choices", "[1]"), "--choices must be a list of strings"),
        (("--json-schema", "{"), "invalid JSON schema"),
        (("--json-schema", "nowhere.json"), "file not found: 'nowhere.json'"),
        (("--regex", "a", "--choices", "b"), "--regex cannot be combined with --choices"),
        (("--lines",), "its prompts are the lines of stdin"),
        (("--num-beams", "2", "-n", "3"), "--samples must not be more than 2"),
        (("--logit-bias", "x=1"), "--logit-bias must be a token id and a number"),
        (("--logit-bias", "99999=1"), "--logit-bias names token 99999"),
        (("--int8", "--engine", "torch"), "int8 needs the numpy engine"),
        (("--engine", "numpy", "--device", "cuda"), "the numpy engine does not run on cuda"),
        (
            ("--repetition-penalty", "0"),
            "--repetition-penalty must be between 0.001 and 1,000, not 0.0",
        ),
        (("--presence-penalty", "1e39"), "--presence-penalty must be between"),
        (("--dry-multiplier", "1e308"), "--dry-multiplier must be between"),
        (("--stop", ""), "--stop must not be empty"),
    ],
)
def test_invalid_options_are_refused(
    trained: Shell, options: tuple[str, ...], message: str
) -> None:
    done = trained(*RUN, *options, "Ann")
    assert done.code in {2, 65, 66}
    assert message in done.err
    assert done.out == b""
    assert len(done.err.splitlines()) <= 6


def test_engines_generate_the_same_text(trained: Shell) -> None:
    for options in (("--greedy",), ("--seed", "4", "--temperature", "1.2", "-n", "3")):
        texts = {
            trained("generate", "--run", "tale", "--engine", engine, *options, "Ann").out
            for engine in ("numpy", "torch")
        }
        assert len(texts) == 1


def test_generating_on_a_cpu_does_not_import_torch(trained: Shell) -> None:
    code = (
        "import sys\nfrom tfcli.cli.app import run\n"
        f"assert run({[*RUN, '--lines']!r}, started=0) == 0\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=trained.folder, input=b"Ann\n", check=False,
        env=bare_environment() | {"CUDA_VISIBLE_DEVICES": ""}, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()


def test_int8_generates_text(trained: Shell) -> None:
    done = trained(*RUN, "--int8", "--greedy", "--stats", "Ann saw")
    assert done.code == 0
    assert done.out
    assert "First token after" in done.err
    assert "GB/s" in done.err
    assert "Engine: " in done.err


def test_beam_search_scores_at_least_as_high_as_greedy(trained: Shell) -> None:
    done = trained(*RUN, "--num-beams", "4", "-n", "2", "--jsonl", "Ann")
    best, second = rows(done.out)
    assert best["tokens"] != second["tokens"]
    greedy = rows(trained(*RUN, "--greedy", "--jsonl", "Ann").out)[0]
    assert best["score"] >= sum(greedy["logprobs"]) / len(greedy["logprobs"]) - 1e-6


def test_logprobs_in_a_pipe_are_a_tab_separated_table(trained: Shell) -> None:
    done = trained(*RUN, "--logprobs", "--greedy", "Ann saw")
    table = [line.split("\t") for line in done.out.decode().splitlines()]
    assert len(table) == 12
    text = "".join(token for _, token in table)
    plain = trained(*RUN, "--greedy", "Ann saw").out.decode()
    assert text.replace("\\n", "\n") == plain
    assert all(float(surprisal) >= 0 for surprisal, _ in table)


def test_interrupted_batch_stops_at_once(trained: Shell) -> None:
    process = subprocess.Popen(
        [*forked(), *RUN, "--lines"],
        cwd=trained.folder, env=bare_environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin
    assert process.stdout
    process.stdin.write(b"Ann\n")
    process.stdin.flush()
    assert process.stdout.readline()
    os.kill(process.pid, 2)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Traceback" not in err


def test_several_greedy_texts_are_said_to_be_the_same(trained: Shell) -> None:
    greedy = ("generate", "Ann", "--run", "tale", "--max-new-tokens", "3")
    for option in (("--greedy",), ("--temperature", "0")):
        done = trained(*greedy, "-n", "3", *option)
        assert done.code == 0
        assert "greedy decoding has one answer, which is written 3 times" in done.err
    assert "greedy" not in trained(*greedy, "-n", "2").err
