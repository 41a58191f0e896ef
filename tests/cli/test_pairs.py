"""A model of pairs from the command line: trained, asked, compared with what was expected."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.conftest import Called, RealShell, Shell, bare_environment, forked
from tfcli import open_run

SMALL = ("--layers", "1", "--width", "64", "--batch-tokens", "512")


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A shell in a folder with a run `twice`, which answers a letter with that letter twice."""
    shell = RealShell(tmp_path_factory.mktemp("taught"))
    rows = [{"prompt": p, "completion": p[0] * 2} for p in map(prompt, range(400))]
    write(shell.folder / "twice.jsonl", rows)
    made = shell("train", "twice.jsonl", "--steps", "60", *SMALL)
    assert made.code == 0, made.err
    return shell


def prompt(number: int) -> str:
    return f"{'abcd'[number % 4]}{'uvwxyz'[number // 4 % 6]}{'klmnopqr'[number // 24 % 8]}"


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_training_says_what_it_found_and_chose(taught: Shell) -> None:
    done = taught("train", "twice.jsonl", "--dry-run", "--steps", "3", *SMALL, "--run", "other")
    assert done.code == 0, done.err
    assert "400 rows of JSON: prompts in 'prompt', answers in 'completion'" in done.err
    out = done.out.decode()
    assert "context 16" in out
    assert "The loss is of the answers and their ends" in out
    assert "vocabulary 274" not in out
    example = out.splitlines()[-1]
    answer = example.split("\\n[")[1].split("</s>]")[0]
    assert example.split("\\n[")[0].removeprefix("  <s>")[0] * 2 == answer
    planned = json.loads(
        taught("train", "twice.jsonl", "--dry-run", "--steps", "3", "--json", "--run", "o").out
    )
    assert planned["pairs"]["training"] + planned["pairs"]["held_out"] == 400
    assert planned["corpus"]["pairs"]["form"] == {"kind": "pairs", "separator": "\n"}


def test_prompts_that_are_held_out_and_trained_on_are_counted(taught: Shell) -> None:
    rows = [{"prompt": f"{n} {m}", "completion": "x"} for n in range(20) for m in range(5)]
    write(taught.folder / "some.jsonl", rows)
    write(taught.folder / "val.jsonl", [*rows[7:10], {"prompt": "new", "completion": "x"}])
    plan = ("train", "some.jsonl", "--val", "val.jsonl", "--dry-run", "--steps", "3", *SMALL)
    done = taught(*plan, "--run", "shared")
    assert done.code == 0, done.err
    assert "3 of 4 held-out pairs have a prompt that is trained on too" in " ".join(
        done.err.split()
    )
    write(taught.folder / "val.jsonl", [{"prompt": p, "completion": "x"} for p in "ab"])
    assert "trained on too" not in taught(*plan, "--run", "apart").err


def test_long_pairs_are_counted_and_named(taught: Shell) -> None:
    rows = [{"prompt": "a", "completion": "b"}] * 9 + [
        {"prompt": "long one", "completion": "x" * 90}
    ]
    write(taught.folder / "long.jsonl", rows)
    arguments = ("long.jsonl", "--dry-run", "--steps", "3", "--context", "8", "--val-fraction", "0")
    done = taught("train", *arguments)
    assert "left out 1 pair longer than the context of 8 tokens: 'long one" in done.out.decode()


def test_prompts_are_framed_as_in_training(taught: Shell) -> None:
    greedy = ("generate", "--greedy", "--max-new-tokens", "9")
    assert taught(*greedy, "avk").out == b"aa"
    assert taught(*greedy, "avk\n", "--raw").out == b"aa"
    assert taught(*greedy, "--lines", stdin=b"avk\nbzp\n").out == b"aa\nbb\n"
    asked = b'{"prompt": "cul"}\n{"prompt": "dwm\\n", "raw": true}\n'
    rows = [json.loads(row) for row in taught(*greedy, "--jsonl", stdin=asked).out.splitlines()]
    assert [row["text"] for row in rows] == ["cc", "dd"]
    assert {row["finish_reason"] for row in rows} == {"eos"}


def test_the_answer_that_comes_most_often_is_written(taught: Shell) -> None:
    asked = b'{"prompt": "avk", "id": 7}\n{"nothing": 1}\n{"prompt": "bvk"}\n'
    options = ("generate", "--jsonl", "--vote", "5", "--seed", "3")
    done = taught(*options, stdin=asked)
    assert done.code == 65
    first, wrong, second = map(json.loads, done.out.splitlines())
    assert (first["text"], first["votes"], first["id"], first["row"]) == ("aa", 5, 7, 1)
    assert "error" in wrong
    assert (second["text"], second["row"]) == ("bb", 3)
    assert taught("generate", "avk", "--vote", "3").out == b"aa"
    assert taught("generate", "--lines", "--vote", "2", stdin=b"avk\ncvk\n").out == b"aa\ncc\n"
    hot = ("generate", "avk", "--raw", "--temperature", "1.5", "--max-new-tokens", "4", "--jsonl")
    won = json.loads(taught(*hot, "--vote", "4", "--seed", "1").out)
    again = json.loads(taught(*hot, "--seed", str(won["seed"])).out)
    assert again["text"] == won["text"], "the seed gives it again"
    assert taught(*hot, "--vote", "1", "--seed", "1").out == taught(*hot, "--seed", "1").out
    refused = taught("generate", "avk", "--vote", "3", "-n", "2")
    assert "cannot be combined" in refused.err


def test_eval_compares_answers_with_those_expected(taught: Shell) -> None:
    rows = [{"prompt": p, "completion": p[0] * 2} for p in map(prompt, range(40))]
    rows += [{"prompt": "avk", "completion": "ab"}, {"prompt": "bvk", "completion": "xyz"}]
    write(taught.folder / "test.jsonl", rows)
    done = taught("eval", "twice", "test.jsonl", "--json", "-o", "answers.jsonl")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["pairs"] == 42
    assert found["exact_match"]["count"] == 40
    assert found["exact_match"]["value"] == pytest.approx(40 / 42)
    assert found["exact_match"]["low"] < 40 / 42 < found["exact_match"]["high"]
    assert found["character_error_rate"]["edits"] == 1 + 3
    assert found["character_error_rate"]["characters"] == 80 + 2 + 3
    assert found["nats_per_byte"]["bytes"] == 85
    assert found["nats_per_token"]["tokens"] == 85 + 42
    written = (taught.folder / "answers.jsonl").read_text()
    answers = [json.loads(line) for line in written.splitlines()]
    assert answers[0] == answers[0] | {
        "row": 1, "prompt": "auk", "completion": "aa", "answer": "aa", "exact": True, "edits": 0,
    }  # fmt: skip
    assert sum(row["nats"] for row in answers) == pytest.approx(found["nats_per_byte"]["nats"])
    assert "Wrong: 'avk' -> 'aa', expected 'ab'" in done.err


def test_a_text_scored_by_a_run_of_pairs_is_told_to_be_an_answer(taught: Shell) -> None:
    done = taught("score", "--run", "twice", stdin=b"aa")
    assert "a text is scored without a prompt" in " ".join(done.err.split())
    row = b'{"prompt": "auk", "text": "aa"}'
    assert taught("score", "--run", "twice", "--jsonl", stdin=row).err == ""


def test_answers_are_scored_given_their_prompts(taught: Shell) -> None:
    """As a whole and by line: the sums and the rows of --jsonl, whatever the fields are called."""
    pairs = [("auk", "aa"), ("bvk", "bc"), ("cvk", "")]
    asked = [{"prompt": p, "text": t} for p, t in pairs[:2]]
    write(taught.folder / "asked.jsonl", asked)
    done = taught("score", "--run", "twice", "--jsonl", "asked.jsonl")
    rows = [json.loads(line) for line in done.out.splitlines()]
    lines = ["n,question,answer", *(f"{n},{p},{t}" for n, (p, t) in enumerate(pairs[:2]))]
    (taught.folder / "asked.csv").write_text("\n".join(lines) + "\n")
    fields = ("asked.csv", "--prompt-field", "question", "--field", "answer")
    write(taught.folder / "known.jsonl", [{"prompt": p, "completion": t} for p, t in pairs[:2]])
    for named in (fields, ("known.jsonl",)):
        whole = taught("score", "--run", "twice", "--json", *named)
        assert whole.code == 0, whole.err
        assert "without a prompt" not in whole.err
        found = json.loads(whole.out)
        assert found["bytes"] == 4
        assert found["nats"] == pytest.approx(sum(row["nats"] for row in rows), abs=1e-5)
        by_line = taught("score", "--run", "twice", "--json", "--by", "line", *named)
        each = [json.loads(line) for line in by_line.out.splitlines()]
        assert [(line["prompt"], line["text"]) for line in each] == [
            ("auk\n", "aa"), ("bvk\n", "bc")
        ]  # fmt: skip
        assert [line["nats"] for line in each] == [row["nats"] for row in rows]
        again = taught("score", "--run", "twice", "--jsonl", *named)
        assert [json.loads(line)["nats"] for line in again.out.splitlines()] == [
            row["nats"] for row in rows
        ]


def test_eval_keeps_ids_and_names_the_fields_that_rows_have(taught: Shell) -> None:
    row = {"id": "x7", "prompt": "auk", "completion": "aa"}
    (taught.folder / "ids.jsonl").write_text(json.dumps(row) + "\n")
    done = taught("eval", "twice", "ids.jsonl", "--jsonl")
    assert done.code == 0, done.err
    assert json.loads(done.out)["id"] == "x7"
    wrong = taught("eval", "twice", "ids.jsonl", "--prompt-field", "a", "--answer-field", "b")
    assert "--prompt-field prompt --answer-field completion" in wrong.err


def test_eval_without_a_file_takes_the_pairs_held_out(taught: Shell) -> None:
    done = taught("eval", "twice")
    assert done.code == 0, done.err
    assert b"exact match       100" in done.out
    lines = taught("eval", "twice", "--jsonl").out.splitlines()
    held_out = {json.loads(line)["prompt"] for line in lines}
    assert 0 < len(held_out) < 40
    few = taught("eval", "twice", "--limit", "3", "--json").out
    assert json.loads(few)["pairs"] == 3


def test_one_of_a_thing_is_not_many(taught: Shell) -> None:
    write(taught.folder / "one.jsonl", [{"prompt": "avk", "completion": "ax"}])
    done = taught("eval", "twice", "one.jsonl")
    assert "one.jsonl: 1 row of JSON" in " ".join(done.err.split())
    assert re.search(r" 0 of 1 pair$", done.out.decode(), re.MULTILINE)
    assert "1 edit in 2 characters" in done.out.decode()


def test_eval_on_its_own_text_says_where_that_has_changed(taught: Shell, tmp_path: Path) -> None:
    shell = RealShell(Path(shutil.copytree(taught.folder, tmp_path / "work")))
    write(
        shell.folder / "mine.jsonl", [{"prompt": prompt(n), "completion": "x"} for n in range(50)]
    )
    assert shell("train", "mine.jsonl", "--steps", "2", *SMALL).code == 0
    done = shell("eval", "mine")
    assert "Warning" not in done.err
    assert "eval.json, for tfcli runs card" in " ".join(done.err.split())
    (kept,) = (shell.folder / "checkpoints/mine").rglob("eval.json")
    before = kept.read_bytes()
    path = shell.folder / "mine.jsonl"
    path.write_text(path.read_text().replace('"x"', '"y"'))
    for options in ([], ["--json"]):
        done = shell("eval", "mine", *options)
        assert done.code == 0, done.err
        assert "Warning: mine.jsonl changed since mine was trained" in " ".join(done.err.split())
        assert "Kept in" not in done.err
        assert kept.read_bytes() == before


def test_eval_compares_the_values_of_a_field(taught: Shell) -> None:
    rows = [
        {"prompt": p, "completion": p[0] * (2 if n % 5 else 3), "meta": {"length": 10 - n % 5}}
        for n, p in enumerate(map(prompt, range(40)))
    ]
    rows.append({"prompt": "avk", "completion": "aa", "meta": {}})
    write(taught.folder / "lengths.jsonl", rows)
    done = taught("eval", "twice", "lengths.jsonl", "--by", "meta.length", "--json")
    assert done.code == 0, done.err
    by = json.loads(done.out)["by"]
    assert by["field"] == "meta.length"
    assert [group["value"] for group in by["groups"]] == ["6", "7", "8", "9", "10", "(none)"]
    assert [group["pairs"] for group in by["groups"]] == [8, 8, 8, 8, 8, 1]
    exact = [group["exact_match"] for group in by["groups"]]
    assert [each["value"] for each in exact] == [1, 1, 1, 1, 0, 1]
    assert exact[4]["high"] == pytest.approx(0.3244, abs=1e-4)  # Wilson's, 0 of 8
    shown = taught("eval", "twice", "lengths.jsonl", "--by", "meta.length").out.decode()
    assert re.search(r"\n10 +8 +0.0 % +0.0 % to 32.4 % +33.3 %\n", shown), shown
    wrong = taught("eval", "twice", "lengths.jsonl", "--by", "length")
    assert wrong.code == 65
    assert "no row has the field 'length'" in wrong.err
    assert "its fields: prompt, completion, meta" in wrong.err
    few = taught("eval", "twice", "lengths.jsonl", "--by", "length", "--limit", "2")
    assert (few.code, few.out) == (65, b"")


def test_eval_of_a_parquet_table_sees_columns_without_text(taught: Shell) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {"prompt": ["auk", "bvk"], "completion": ["aa", "bb"], "id": [7, 8], "n": [1, 2]}
    parquet.write_table(pyarrow.table(columns), taught.folder / "test.parquet")
    done = taught("eval", "twice", "test.parquet", "--jsonl", "--by", "n")
    assert done.code == 0, done.err
    assert [json.loads(line)["id"] for line in done.out.splitlines()] == [7, 8]
    assert "\n1  " in done.err


def test_figures_of_eval_are_kept_for_the_card(taught: Shell) -> None:
    write(taught.folder / "three.jsonl", [
        {"prompt": "auk", "completion": "aa", "kind": "short"},
        {"prompt": "bvk", "completion": "bb", "kind": "short"},
        {"prompt": "cvk", "completion": "no", "kind": "long"},
    ])  # fmt: skip
    done = taught("eval", "twice", "three.jsonl", "--by", "kind")
    assert "eval.json, for tfcli runs card" in " ".join(done.err.split())
    card = json.loads(taught("runs", "card", "twice", "--json").out)
    assert card["eval"]["is_current"]
    assert card["eval"]["figures"]["source"] == "three.jsonl"
    assert card["eval"]["figures"]["exact_match"]["count"] == 2
    shown = taught("runs", "card", "twice").out.decode()
    assert "| answers | 3 pairs of three.jsonl, decoded greedily, 20" in shown
    assert "| exact match | 66.7 % (20.8 % to 93.9 %) |" in shown
    assert "| exact match, kind long | 0.0 % " in shown
    assert "like those of three.jsonl, of which it answers 66.7 % exactly." in shown
    part = taught("eval", "twice", "three.jsonl", "--limit", "1", "-o", "-")
    assert [json.loads(line)["exact"] for line in part.out.splitlines()] == [True]
    assert "eval.json" not in part.err
    assert json.loads(taught("runs", "card", "twice", "--json").out)["eval"] == card["eval"]
    trained_on = taught("eval", "twice", "twice.jsonl", "--limit", "3")
    assert "twice was trained on twice.jsonl" in " ".join(trained_on.err.split())


def test_nats_of_eval_are_those_of_training(taught: Shell) -> None:
    (run,) = [json.loads(line) for line in taught("runs", "list", "--json").out.splitlines()]
    found = json.loads(taught("eval", "twice", "--json").out)
    assert found["nats_per_byte"]["value"] == pytest.approx(
        run["held_out"]["nats_per_byte"], rel=1e-3, abs=1e-5
    )
    assert found["nats_per_token"]["tokens"] == run["held_out"]["tokens"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("eval", "twice", "words.txt"), "words.txt has no pairs of prompt and answer"),
        (("eval", "none", "test.jsonl"), "run 'none' not found"),
        (("eval", "twice", "test.jsonl", "more"), "eval takes a run and a file"),
        (("eval", "twice", "--json", "--jsonl"), "--json cannot be combined with --jsonl"),
        (("train", "twice.jsonl", "--prompt-loss", "much"), "must be a number from 0 to 1, or on"),
        (
            ("train", "twice.jsonl", "--answer-field", "prompt", "--field", "x"),
            "cannot be combined",
        ),
    ],
)
def test_errors_say_what_is_wrong(taught: Shell, arguments: tuple[str, ...], message: str) -> None:
    (taught.folder / "words.txt").write_text("Some words.\n")
    write(taught.folder / "test.jsonl", [{"prompt": "a", "completion": "b"}])
    done = taught(*arguments)
    assert done.code != 0
    assert message in done.err


# --- tasks --------------------------------------------------------------------------------------


def test_tasks_are_made_and_checked(called: Called) -> None:
    made = called("tasks", "add", "--count", "50", "--reversed", "--digits", "2")
    rows = [json.loads(line) for line in made.out.splitlines()]
    assert len({row["prompt"] for row in rows}) == 50
    for row in rows:
        first, second = row["prompt"].split("+")
        assert row["completion"] == str(int(first) + int(second))[::-1]
    rows[0]["completion"] = "?"
    write(called.folder / "answers.jsonl", rows)
    checked = called("tasks", "check", "add", "answers.jsonl", "--reversed")
    assert checked.out.startswith(b"49 of 50 right: 98.00 %")
    assert "Wrong: row 1: " in checked.err
    found = json.loads(called("tasks", "check", "add", "answers.jsonl", "--reversed", "--json").out)
    assert found | {"task": "add", "rows": 50, "right": 49} == found


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("dates", "--digits", "2"), "dates takes no --digits"),
        (("check", "ad", "answers.jsonl"), "did you mean 'add'?"),
        (("addition",), "did you mean 'add'?"),
        (("copy", "-n", "0"), "--count must be at least 1, not 0"),
        (("check", "add", "answers.jsonl"), "row 1 is no prompt of add: 'hello'"),
        (("check", "add", "answers.jsonl"), "one looks like '997+8'"),
        (("add", "--digits", "1", "--count", "1000"), "different prompts for training, not 1,000"),
        (("add", "--digits", "1", "--count", "1000"), ", or a larger --digits\n"),
        (("copy", "--length", "1", "--count", "1000"), ", or a larger --length\n"),
    ],
)
def test_task_errors(called: Called, arguments: tuple[str, ...], message: str) -> None:
    write(called.folder / "answers.jsonl", [{"prompt": "hello", "answer": "1"}])
    done = called("tasks", *arguments)
    assert done.code != 0
    assert message in done.err


def test_the_help_of_a_task_shows_only_what_it_takes(called: Called) -> None:
    takes = {"add": ("--digits", "--reversed"), "numbers": ("--digits",), "copy": ("--length",)}
    usual = {"add": "[default: 3]", "numbers": "[default: 6]", "copy": "[default: 16]"}
    for name, own in takes.items():
        said = called("tasks", name, "--help").out.decode()
        shown = {each for each in ("--digits", "--reversed", "--length") if each in said}
        assert shown == {*own}
        assert usual[name] in said


def test_inspect_reads_a_prompt_as_generate_does(taught: Shell) -> None:
    done = taught("inspect", "buk", "--run", "twice", "--json")
    assert done.code == 0, done.err
    assert "as it was written there" in done.err
    found = json.loads(done.out)
    assert found["text"] == "buk\n"
    written = taught("generate", "buk", "--run", "twice", "--greedy").out.decode()
    assert found["prompt"]["continuation"].startswith(written.strip())
    assert found["prompt"]["by_token"]
    named = [each["text"] for each in found["tokens"][1:]]
    assert [each["text"] for each in found["prompt"]["words"]] == named
    tour = json.loads(taught("inspect", "buk", "--run", "twice", "--tour", "--json").out)
    assert tour["tokens"] == [each["token"] for each in found["tokens"]]
    run = open_run(str(taught.folder / "checkpoints/twice"))
    assert run.inspect("buk", views=["prompt"]).to_json()["prompt"] == found["prompt"]
    assert run.inspect("buk", views=["lens"], raw=True).text == "buk"
    raw = json.loads(taught("inspect", "buk", "--run", "twice", "--json", "--raw").out)
    assert raw["text"] == "buk"
    shown = taught("inspect", "buk", "--run", "twice", "--view", "prompt").out.decode()
    assert "Prompt: token by token" in shown
    assert f"{len(named)} tokens." in shown  # without the one that begins every text


# --- elsewhere ----------------------------------------------------------------------------------


def test_an_export_shows_prompts_as_they_were_in_training(
    taught: Shell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("transformers")
    made = taught("export", "twice", "shown", "--to", "huggingface")
    [_, _, code] = shlex.split(made.err.splitlines()[-1].removeprefix("Next: "))
    assert r'("Once\n", ' in code
    text = (taught.folder / "shown/README.md").read_text()
    assert r"`\n` follows each prompt" in text
    example = text.split("```python\n")[1].split("```")[0]
    assert r'tokenizer("Once upon\n", ' in example
    monkeypatch.chdir(taught.folder)
    exec(example.replace("Once upon", "bup").replace("(**ids", "(**ids, do_sample=False"), {})
    assert capsys.readouterr().out == "bup\nbb\n"
    made = taught("export", "twice", "shown.gguf", "--to", "gguf")
    assert r"-p 'Once\n' " in made.err


def test_an_exported_model_gives_the_same_answers_in_transformers(taught: Shell) -> None:
    transformers = pytest.importorskip("transformers")
    folder = taught.folder / "exported"
    done = taught("export", "twice", str(folder), "--to", "huggingface")
    assert done.code == 0, done.err
    assert '`PROMPT` is written as `"PROMPT\\n"`' in (folder / "README.md").read_text()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    prompts = [prompt(number) for number in range(6)]
    asked = "".join(f"{each}\n" for each in prompts).encode()
    ours = taught("generate", "--run", "twice", "--lines", "--greedy", stdin=asked).out.decode()
    for each, answer in zip(prompts, ours.splitlines(), strict=True):
        ids = tokenizer(f"{each}\n", return_tensors="pt").input_ids
        written = model.generate(ids, max_new_tokens=9, do_sample=False)[0, ids.shape[1] :]
        assert tokenizer.decode(written, skip_special_tokens=True) == answer


@pytest.mark.others
def test_an_exported_model_gives_the_same_answers_in_llama_cpp(taught: Shell) -> None:
    import llama_cpp

    file = taught.folder / "twice.gguf"
    done = taught("export", "twice", str(file), "--to", "gguf", "--type", "f32")
    assert done.code == 0, done.err
    theirs = llama_cpp.Llama(str(file), n_ctx=16, n_threads=1, verbose=False)
    prompts = [prompt(number) for number in range(24)] + ["é", "a b", "zzzzz"]
    asked = "".join(f"{json.dumps({'prompt': each})}\n" for each in prompts).encode()
    options = ("--run", "twice", "--jsonl", "--greedy", "--max-new-tokens", "9")
    ours = [json.loads(line) for line in taught("generate", *options, stdin=asked).out.splitlines()]
    for each, answer in zip(prompts, ours, strict=True):
        ids = theirs.tokenize(f"{each}\n".encode(), add_bos=True, special=False)
        written: list[int] = []
        for token in theirs.generate(ids, temp=0.0, top_k=1, repeat_penalty=1.0):
            if len(written) == 9 or token == theirs.token_eos():
                break
            written.append(token)
        assert (written, len(written) < 9) == (answer["tokens"], answer["finish_reason"] == "eos")
        found = theirs.create_completion(f"{each}\n", max_tokens=9, temperature=0, top_k=1)
        assert found["choices"][0]["text"] == answer["text"]


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX terminals")
def test_interactive_lines_are_prompts_of_their_own(taught: Shell) -> None:
    child = pexpect.spawn(
        forked()[0], [*forked()[1:], "generate", "--run", "twice", "-i", "--greedy"],
        cwd=str(taught.folder), env=bare_environment() | {"NO_COLOR": "1"},
        dimensions=(30, 200), encoding="utf-8", timeout=30,
    )  # fmt: skip
    child.expect("Type a prompt, which is answered on its own")
    for line, answer in (("avk", "aa"), ("dul", "dd"), ("bzp", "bb")):
        child.expect("> $")
        child.sendline(line)
        child.expect_exact(f"{answer}\r\n")
    child.expect("> $")
    child.sendline("/retry 2")
    for number in (1, 2):
        child.expect_exact(f"--- {number} ---\r\nbb\r\n")
    child.expect("> $")
    child.sendline("/take 1")
    child.expect_exact("bzp\r\nbb\r\n")
    child.expect("> $")
    child.sendline("/quit")
    child.expect(pexpect.EOF)
