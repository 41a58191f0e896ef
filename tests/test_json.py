"""docs/json.md lists the keys that the commands print as JSON: all of them, and no others."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Called, RealShell, Shell
from tests.pages import read_page
from tfcli.generation.fill_lines import KEYS as FILL_KEYS
from tfcli.generation.request_lines import KEYS as REQUEST_KEYS
from tfcli.training import events

PAGE = read_page("docs/json.md")
SECTIONS = {
    heading: text
    for part in re.split(r"^##+ ", PAGE, flags=re.MULTILINE)[1:]
    for heading, _, text in [part.partition("\n")]
}
UNITS = {
    "text", "object", "list", "number", "two numbers", "list of text", "list of ids", "id",
    "any JSON", "object or text", "true or false", "ISO 8601, UTC", "0 to 1", "count", "numbers",
    "bytes", "tokens", "steps", "step", "steps or s", "s", "passes", "evaluations", "rows", "line",
    "nats", "list of nats", "nats/byte", "nats/token", "per token", "logit", "rate", "norm",
    "FLOPs", "J", "W", "kWh", "g", "g/kWh", "tokens/s", "tokens/byte", "bytes/token", "tokens/word",
    "power of ten", "bits", "bits/byte",
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """The keys of a table: those that are always there, and those that are there under conditions.

    A key that ends in `.*` stands for all keys below it.
    """

    always: frozenset[str]
    sometimes: frozenset[str]

    def __add__(self, other: Table) -> Table:
        return Table(self.always | other.always, self.sometimes | other.sometimes)

    def has(self, key: str) -> bool:
        return any(
            key == known or (known.endswith("*") and key.startswith(known.removesuffix("*")))
            for known in self.always | self.sometimes
        )

    def lacks(self, keys: set[str]) -> set[str]:
        """What is always there, but not among `keys`."""
        return {
            known
            for known in self.always
            if not any(k == known or k.startswith(known.removesuffix("*") + ".") for k in keys)
            and not (known.endswith("*") and any(k.startswith(known.rstrip("*")) for k in keys))
        }


def rows(section: str, heading: str = "key") -> list[list[str]]:
    """The cells of a section's table whose first column is headed so."""
    found = re.search(
        rf"^\| {heading} \| unit \| meaning \|\n\| --- .*\n((?:\|.*\n?)+)",
        SECTIONS[section],
        re.MULTILINE,
    )
    assert found, f"{section}: {heading}"
    return [re.split(r" *\| *", line)[1:-1] for line in found[1].splitlines()]


def table(section: str, heading: str = "key") -> Table:
    keys = {cells[0].strip("`"): cells[-1].startswith("Only ") for cells in rows(section, heading)}
    return Table(
        frozenset(key for key, only in keys.items() if not only),
        frozenset(key for key, only in keys.items() if only),
    )


def keys_of(value: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The keys of an object, with dots, and brackets for lists."""
    for key, item in value.items():
        path = f"{prefix}{key}"
        if isinstance(item, dict) and item:
            yield path
            yield from keys_of(item, f"{path}.")
        elif isinstance(item, list):
            yield f"{path}[]"
            for each in item:
                if isinstance(each, dict):
                    yield from keys_of(each, f"{path}[].")
        else:
            yield path


def undocumented(value: dict[str, Any], known: Table) -> set[str]:
    """The keys of an object that are not in the table, but for those of objects within it."""
    keys = set(keys_of(value))
    objects = {key for key in keys if any(other.startswith(f"{key}.") for other in keys)}
    return {key for key in keys - objects if not known.has(key)}


def require_documented(value: dict[str, Any], known: Table) -> None:
    """Every key that is printed is in the table, and every key of the table is printed."""
    assert undocumented(value, known) == set()
    assert known.lacks(set(keys_of(value))) == set()


def objects(shell: Shell, *arguments: str, stdin: bytes = b"", code: int = 0) -> list[Any]:
    done = shell(*arguments, stdin=stdin, env={"COLUMNS": "80"})
    assert done.code == code, done.err
    return [json.loads(line) for line in done.out.splitlines()]


FIGURES = table("A run in figures")
SHOW = table("tfcli runs show --json")
EVALUATIONS = Table(
    frozenset(key for key in SHOW.always if key.startswith(("best_", "last_"))), frozenset()
)
RUN = table("run.json")


# --- runs ---------------------------------------------------------------------------------------


def test_figures_of_a_run(trained: Shell) -> None:
    (listed,) = objects(trained, "runs", "list", "--json")
    require_documented(listed, FIGURES)
    (shown,) = objects(trained, "runs", "show", "tale", "--json")
    run = shown.pop("run")
    require_documented(shown | {"run": None}, FIGURES + SHOW)
    require_documented(run, RUN)
    (plotted,) = objects(trained, "runs", "plot", "tale", "--json")
    require_documented(plotted, FIGURES + EVALUATIONS + table("tfcli runs plot --json"))


def test_a_training_and_its_plan(shell: Shell) -> None:
    small = ["train", "book.txt:2", "--steps", "3", "--layers", "1", "--width", "32"]
    small += ["--context", "16", "--batch-tokens", "64", "--family", "gpt2", "--json"]
    (planned,) = objects(shell, *small, "--dry-run")
    require_documented(planned, RUN + table("tfcli train --dry-run --json"))
    assert planned["expected"]["steps"] == 3
    assert planned["expected"]["tokens_per_step"] == 64
    (trained,) = objects(shell, *small, "--run", "first")
    require_documented(trained, FIGURES)
    (shell.folder / "rows.txt").write_text("Bob saw the moon.\n" * 200)
    (again,) = objects(
        shell, *small, "rows.txt", "--val", "rows.txt", "--run", "second", "--sample-prompt", "Bob"
    )
    require_documented(again, FIGURES)
    for name in ("first", "second"):
        (shown,) = objects(shell, "runs", "show", name, "--json")
        require_documented(shown.pop("run"), RUN)
        require_documented(shown | {"run": None}, FIGURES + SHOW)
    (differing,) = objects(shell, "runs", "diff", "first", "second", "--json")
    require_documented(differing, table("tfcli runs diff --json"))
    known = {f"{key}." for key in ("held_out", "baselines")}
    for key in differing["results"]:
        assert (FIGURES + EVALUATIONS).has(key) or key.startswith(tuple(known)), key
    (differing,) = objects(shell, "runs", "diff", "first", "second", "--all", "--json")
    for key, values in differing["configuration"].items():
        lists = any(isinstance(value, list) for value in values)
        assert RUN.has(f"{key}[]" if lists else key), key
    metrics = (shell.folder / "checkpoints/second/metrics.jsonl").read_text().splitlines()
    seen = [json.loads(line) for line in metrics]
    for event in seen:
        require_documented(event, table("metrics.jsonl", event["event"]))
    assert {event["event"] for event in seen} >= {"StepFinished", "Evaluated", "Saved", "Sampled"}
    for found in objects(shell, "runs", "verify", "--json"):
        require_documented(found | {"faults": {"path": "why"}}, table("tfcli runs verify --json"))


def test_events_that_are_rare() -> None:
    for kind in events.Event.__args__:
        known = table("metrics.jsonl", kind.__name__)
        given = {"event", *(field.name for field in fields(kind))}
        assert {key for key in known.always if "." not in key} == given


def test_an_imported_model(trained: Shell, shell: Shell) -> None:
    folder = str(shell.folder / "hf")
    (exported,) = objects(trained, "export", "tale", folder, "--to", "huggingface", "--json")
    require_documented(exported, table("tfcli export --json"))
    assert shell("import", folder, "--run", "theirs").code == 0
    (shown,) = objects(shell, "runs", "show", "theirs", "--json")
    assert "imported" in shown["run"]
    assert undocumented(shown["run"] | {"plan": None}, RUN) == {"plan"}
    assert undocumented(shown | {"run": None}, FIGURES + SHOW) == set()


# --- texts --------------------------------------------------------------------------------------


def test_answers_of_generate(trained: Shell) -> None:
    assert {cells[0].strip("`") for cells in rows("tfcli generate --jsonl", "request")} == {
        *REQUEST_KEYS
    }
    known = table("tfcli generate --jsonl", "answer")
    asked = b'{"prompt": "Ann", "id": 1}\n{"prompt": "Bob"}\n'
    options = ("--run", "tale", "--jsonl", "--max-new-tokens", "3")
    found = objects(trained, "generate", *options, "-n", "2", stdin=asked)
    found += objects(trained, "generate", "Ann", *options, "--num-beams", "2")
    for answer in found:
        require_documented(answer, known)
    assert {key for answer in found for key in answer} >= {"id", "score", "seed", "logprobs"}
    (wrong,) = objects(trained, "generate", *options, stdin=b'{"id": 1, "a": 2}\n', code=65)
    assert wrong.keys() == {"row", "sample", "id", "error"}
    pytest.importorskip("llguidance")
    (chosen,) = objects(trained, "generate", "Ann", *options, "--regex", " saw")
    require_documented(chosen, known)
    assert "format_probability" in chosen


def test_answers_of_a_chat(trained: Shell, tmp_path: Path) -> None:
    pytest.importorskip("llguidance")
    shutil.copytree(trained.folder / "checkpoints", tmp_path / "checkpoints")
    template = "{# <think> #}{% for m in messages %}{{ m.content }}|{% endfor %}"
    (tmp_path / "checkpoints/tale/chat_template.jinja").write_text(template)
    asked = b'{"messages": [{"role": "user", "content": "Ann"}]}\n'
    options = ("--run", "tale", "--chat", "--jsonl", "--regex", "<think>a</think>b")
    (answer,) = objects(RealShell(tmp_path), "generate", *options, stdin=asked)
    require_documented(answer, table("tfcli generate --jsonl", "answer"))
    assert set(answer["message"]) == {"role", "content", "reasoning_content"}


def test_scores(trained: Shell) -> None:
    text = b"Ann saw the moon.\nBob saw a ship.\n"
    run = ("--run", "tale")
    (whole,) = objects(trained, "score", "book.txt", *run, "--json")
    require_documented(whole, table("tfcli score --json"))
    for line in objects(trained, "score", *run, "--by", "line", "--json", stdin=text):
        require_documented(line, table("tfcli score --by line --json"))
    by_token = table("tfcli score --by token --json")
    tokens = ("--by", "token", "--top-logprobs", "2")
    for token in objects(trained, "score", *run, *tokens, "--json", stdin=text):
        require_documented(token, by_token)
        assert by_token.sometimes <= set(keys_of(token))
    assert {cells[0].strip("`") for cells in rows("tfcli score --jsonl", "row")} == {
        "id",
        "prompt",
        "text",
    }
    asked = b'{"text": "a ship", "prompt": "Ann saw ", "id": 7}\n{"text": "a ship"}\n'
    answers = objects(trained, "score", *run, "--jsonl", stdin=asked)
    answers += objects(trained, "score", *run, "--jsonl", *tokens, stdin=asked)
    for answer in answers:
        require_documented(answer, table("tfcli score --jsonl", "answer"))
    (wrong,) = objects(trained, "score", *run, "--jsonl", stdin=b'{"id": 1}\n', code=65)
    assert wrong.keys() == {"row", "id", "error"}


def test_pairs_and_their_answers(shell: Shell) -> None:
    made = shell("tasks", "copy", "--count", "60", "--length", "4")
    (shell.folder / "copy.jsonl").write_bytes(made.out)
    small = ["train", "copy.jsonl", "--steps", "3", "--layers", "1", "--width", "32", "--json"]
    (planned,) = objects(shell, *small, "--dry-run")
    require_documented(planned, RUN + table("tfcli train --dry-run --json"))
    assert planned["pairs"].keys() == {
        key.removeprefix("pairs.")
        for key in table("tfcli train --dry-run --json").sometimes
        if key.startswith("pairs.")
    }
    objects(shell, *small)
    (shown,) = objects(shell, "runs", "show", "copy", "--json")
    require_documented(shown["run"], RUN)
    (found,) = objects(shell, "eval", "copy", "--json")
    require_documented(found, table("tfcli eval --json"))
    (found,) = objects(shell, "eval", "copy", "--json", "--by", "completion")
    require_documented(found, table("tfcli eval --json"))
    for row in objects(shell, "eval", "copy", "--jsonl"):
        require_documented(row, table("tfcli eval --jsonl"))
    (checked,) = objects(shell, "tasks", "check", "copy", "copy.jsonl", "--json")
    require_documented(checked, table("tfcli tasks check --json"))
    voted = objects(shell, "generate", "ab", "--vote", "2", "--jsonl", "--max-new-tokens", "3")
    require_documented(voted[0], table("tfcli generate --jsonl", "answer"))


# --- insight ------------------------------------------------------------------------------------


def test_where_a_text_comes_from(trained: Shell) -> None:
    (found,) = objects(trained, "trace", "tale", "--json", stdin=b"Nobody saw a ship by the sea.")
    require_documented(found, table("tfcli trace --json"))


def test_what_a_model_makes_of_a_text(trained: Shell) -> None:
    inspect = ("inspect", "Ann saw a ship", "--run", "tale", "--json")
    known = table("tfcli inspect --json")
    (found,) = objects(trained, *inspect)
    require_documented(found, known)
    assert known.sometimes <= set(keys_of(found)) | {"prompt"}
    (found,) = objects(trained, *inspect, "--tour")
    require_documented(found, table("tfcli inspect --json", "tour"))


@pytest.fixture(scope="module")
def audited(trained: Shell, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A copy of the run `tale`, with which audits leave their records."""
    folder = tmp_path_factory.mktemp("audited")
    shutil.copytree(trained.folder, folder, dirs_exist_ok=True)
    return RealShell(folder)


def test_what_a_model_knows_by_heart(audited: Shell, tmp_path: Path) -> None:
    key = str(tmp_path / "key.json")
    assert audited("text", "canaries", "--key", key, stdin=b"Ann saw.\n" * 300).code == 0
    audit = ("audit", "memory", "tale", "--windows", "20", "--json")
    (found,) = objects(audited, *audit)
    require_documented(found, table("tfcli audit memory --json"))
    (found,) = objects(audited, *audit, "--canaries", key)
    require_documented(found, table("tfcli audit memory --json"))
    assert len(found["canaries"]) == 8


def test_which_sentences_a_model_prefers(audited: Shell) -> None:
    (found,) = objects(audited, "audit", "bias", "tale", "--json")
    require_documented(found, table("tfcli audit bias --json"))
    assert [group["group"] for group in found["groups"]] == [
        "occupations",
        "activities",
        "agreement",
    ]


def test_which_groups_a_model_knows(audited: Shell) -> None:
    (found,) = objects(audited, "audit", "groups", "tale", "book.txt", "--json")
    require_documented(found, table("tfcli audit groups --json"))


def test_the_card_of_a_run(audited: Shell) -> None:
    known = table("tfcli runs card --json")
    for audit in ("memory", "bias"):
        assert audited("audit", audit, "tale").code == 0
    assert audited("audit", "groups", "tale", "book.txt").code == 0
    (found,) = objects(audited, "runs", "card", "tale", "--json")
    require_documented(found, known)


def test_what_is_in_a_text(called: Called) -> None:
    (called.folder / "a.txt").write_text("Write to ann@example.org.\n" * 2)
    found = json.loads(called("text", "scan", "a.txt", "--json").out)
    require_documented(found, table("tfcli text scan --json"))
    (called.folder / "pairs.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    for file in ("book.txt", "pairs.jsonl"):
        found = json.loads(called("text", "show", file, "--jsonl").out)
        require_documented(found, table("tfcli text show --jsonl"))


def test_what_a_text_repeats(shell: Shell) -> None:
    lines = b"A line that is long enough.\n" * 9
    for near in ((), ("--near", "0.8", "--min-bytes", "9")):
        (found,) = objects(shell, "text", "dedup", "--json", *near, stdin=lines)
        require_documented(found, table("tfcli text dedup --json"))


# --- the rest -----------------------------------------------------------------------------------


def test_tokenizers(shell: Shell) -> None:
    options = ("--name", "small", "--vocab-size", "320", "--json")
    (made,) = objects(shell, "tokenizer", "train", "book.txt", *options)
    require_documented(made, table("tfcli tokenizer train --json"))
    (shown,) = objects(shell, "tokenizer", "info", "small", "--json")
    require_documented(shown, table("tfcli tokenizer info --json"))
    for entry in objects(shell, "tokenizer", "vocab", "small", "--json"):
        require_documented(entry, table("tfcli tokenizer vocab --json"))


def test_checks_of_the_machine(trained: Shell) -> None:
    for check in objects(trained, "doctor", "--json"):
        require_documented(check, table("tfcli doctor --json"))


def test_every_command_with_json_has_its_table() -> None:
    commands = read_page("docs/commands.md").split("\n## ")[1:]
    for section in commands:
        name, options = section.split("\n", 1)
        for option in ("--json", "--jsonl"):
            if f"`{option}`" in options and name not in {"tfcli train", "tfcli runs"}:
                known = [h for h in SECTIONS if h.startswith(name) and h.endswith(option)]
                assert known or f"`{name} {option}`" in PAGE, f"{name} {option}"
    assert "`tfcli train --json`" in PAGE


def test_every_key_has_a_unit_and_is_there_once() -> None:
    for section in SECTIONS:
        for heading in re.findall(r"^\| (\w+) \| unit", SECTIONS[section], re.MULTILINE):
            cells = rows(section, heading)
            assert len({key for key, *_ in cells}) == len(cells), section
            for key, unit, _ in (each for each in cells if "*`" not in each[0]):
                assert unit in UNITS, f"{section}: {key}: {unit}"


def test_bounds(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("Ann saw the moon at noon. " * 200)
    shell = RealShell(tmp_path)
    small = ("--layers", "1", "--width", "32", "--context", "32", "--batch-tokens", "64")
    made = shell("train", "text.txt", "--steps", "1", *small, "--masked", "0.5", "-q")
    assert made.code == 0, made.err
    known = table("tfcli score --bound --json")
    bound = ("score", "--bound", "--bound-samples", "2", "--json")
    (whole,) = objects(shell, *bound, stdin=b"Ann saw noon.")
    (line,) = objects(shell, *bound, "--by", "line", stdin=b"Ann saw noon.\n")
    for value in (whole, line):
        require_documented(value, known)
    assert known.always | known.sometimes == set(whole) | set(line)


def test_filled_texts(gaps: Shell) -> None:
    of_fill, of_generate = (
        {cells[0].strip("`") for cells in rows(f"tfcli {command} --jsonl", "request")}
        for command in ("fill", "generate")
    )
    left_out = {"prompt", "messages", "ignore_eos", "raw", "token_healing", "special"}
    assert of_fill | of_generate - left_out == {*FILL_KEYS}
    known = table("tfcli fill --jsonl")
    asked = b'{"text": "Ann [] noon.", "id": 1}\n{"text": "no gap"}\n'
    found = objects(gaps, "fill", "--jsonl", "--max-new-tokens", "3", stdin=asked, code=65)
    for value in found:
        require_documented(value, known)
    keys = {key for value in found for key in keys_of(value)}
    assert known.always | known.sometimes == keys - {"gaps[]"}
