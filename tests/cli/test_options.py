"""Options on the command line, in requests and in the environment: names, ranges, conflicts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Called, Shell
from tfcli.cli.app import root_command
from tfcli.cli.command import flag
from tfcli.generation.request import DEFAULT_TRUNCATION, GenerationRequest
from tfcli.options import options_of

RUN = ("generate", "--run", "tale", "--max-new-tokens", "12")
SCHEMA = {
    "type": "object", "properties": {"n": {"type": "boolean"}}, "required": ["n"],
    "additionalProperties": False,
}  # fmt: skip


def rows(out: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.decode().splitlines()]


def requests(*values: object) -> bytes:
    return "".join(json.dumps(value) + "\n" for value in values).encode()


def parameters(command: Any) -> Iterator[Any]:
    yield from command.params
    for child in getattr(command, "commands", {}).values():
        yield from parameters(child)


def test_environment_variable_of_an_option_has_its_name() -> None:
    for parameter in parameters(root_command()):
        if parameter.param_type_name == "option" and parameter.opts[0] not in {"--version"}:
            name = parameter.name.strip("_")
            variable = parameter.envvar or f"TFCLI_COMMAND_{name.upper()}"
            assert flag(variable.split("_", 2)[2].lower()) in parameter.opts


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("TFCLI_TEMPERTURE", "TFCLI_GENERATE_TEMPERATURE"),
        ("TFCLI_GENERATE_TEMP", "TFCLI_GENERATE_TEMPERATURE"),  # an alias
        ("TFCLI_GENERATE_TOPK", "TFCLI_GENERATE_TOP_K"),
        ("TFCLI_GENRATE_TOP_K", "TFCLI_GENERATE_TOP_K"),
        ("TFCLI_LEARNING_RATE", "TFCLI_TRAIN_LEARNING_RATE"),
        ("TFCLI_TRAIN_STEP", "TFCLI_TRAIN_STEPS"),  # of another command
    ],
)
def test_an_environment_variable_of_no_option_is_named_with_the_nearest(
    called: Called, variable: str, meant: str
) -> None:
    done = called("generate", "a", env={variable: "1"})
    note = f"Note: no option has the environment variable {variable}; did you mean {meant}?\n"
    assert done.err.startswith(note)
    assert "Note" not in called("generate", "a", "-q", env={variable: "1"}).err


def test_every_environment_variable_of_an_option_is_known(called: Called) -> None:
    page = (Path(__file__).parents[2] / "docs/commands.md").read_text(encoding="utf-8")
    names = re.findall(r"`(TFCLI_\w+)`", page)
    assert len(names) > 100
    values = dict.fromkeys([*names, "TFCLI_DEBUG"], "")
    assert "variable" not in called("runs", "list", env=values).err
    assert "TFCLI_XYZZY.\n" in called("runs", "list", env={"TFCLI_XYZZY": "1"}).err


def test_help_lists_an_option_once_with_its_aliases(shell: Shell) -> None:
    text = shell("train", "--help").out.decode()
    assert re.search(r"--num-layers +N", text)
    assert "Also --layers." in " ".join(re.sub("[│╭╮╰╯─]", " ", text).split())
    for alias in ("--layers", "--width", "--context", "--lr"):
        assert not re.search(rf"^│ {alias} ", text, re.MULTILINE)


def test_aliases_are_the_same_option(trained: Shell) -> None:
    by_name = trained(*RUN, "--seed", "3", "--temperature", "2", "Ann")
    assert by_name.code == 0
    by_alias = trained(
        "generate", "--run", "tale", "--max-tokens", "12", "--seed", "3", "--temp", "2", "Ann"
    )
    assert by_alias.out == by_name.out
    request = {"prompt": "Ann", "temp": 2, "seed": 3, "max_tokens": 12}
    (row,) = rows(trained("generate", "--run", "tale", "--jsonl", stdin=requests(request)).out)
    assert row["text"].encode() == by_name.out


# --- conflicts ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--num-beams", "4", "--stop", "a"), "--stop cannot be combined with --num-beams"),
        (("--num-beams", "4", "--temp", "0.5"), "--temperature cannot be combined"),
        (("--num-beams", "4", "--stats"), "cannot be combined with --stats"),
        (("--greedy", "--top-p", "0.5"), "--greedy cannot be combined with --top-p"),
        (("-i", "--max-time", "1s"), "--max-time cannot be combined with --interactive"),
        (("-i", "--samples", "2"), "--samples cannot be combined with --interactive"),
        (("--logprobs", "--echo"), "--echo cannot be combined with --logprobs"),
        (("--jsonl", "--lines"), "both say what a line of stdin is"),
    ],
)
def test_options_that_would_be_ignored_are_refused(
    trained: Shell, options: tuple[str, ...], words: str
) -> None:
    done = trained(*RUN, *options, "Ann")
    assert done.code == 2
    assert words in done.err
    assert done.out == b""


@pytest.mark.parametrize(
    "options",
    [
        ("--num-beams", "1", "--temperature", "0.5"),
        ("--greedy", "--top-p", "1", "--top-k", "0"),
        ("--num-beams", "2", "--max-time", "60s"),
        ("--logprobs", "--samples", "1"),
        ("--logprobs", "--jsonl"),
    ],
)
def test_options_that_are_off_conflict_with_nothing(
    trained: Shell, options: tuple[str, ...]
) -> None:
    assert trained(*RUN, *options, "Ann").code == 0


def test_beam_search_keeps_the_time_limit(trained: Shell) -> None:
    beams = (*RUN, "--num-beams", "4", "--jsonl", "Ann")
    (row,) = rows(trained(*beams, "--max-time", "0.000001s").out)
    assert (row["finish_reason"], row["tokens"]) == ("timeout", [])
    (row,) = rows(trained(*beams, "--max-time", "1h").out)
    assert row["finish_reason"] == "length"
    assert row == rows(trained(*beams).out)[0]


def test_command_line_overrides_what_it_excludes_in_the_environment(trained: Shell) -> None:
    hot = (*RUN, "--temperature", "3", "--seed", "1", "Ann")
    assert trained(*hot, env={"TFCLI_GENERATE_GREEDY": "1"}).out == trained(*hot).out
    greedy = trained(*RUN, "--greedy", "Ann").out
    assert trained(*RUN, "Ann", env={"TFCLI_GENERATE_GREEDY": "1"}).out == greedy
    steps = ("train", "book.txt", "--dry-run", "--steps", "3", "--json", "--run", "it")
    done = trained(*steps, env={"TFCLI_TRAIN_TIME": "20s"})
    assert json.loads(done.out)["plan"]["budget"] == {"kind": "steps", "amount": 3}


def test_prompt_on_the_command_line_overrides_lines_in_the_environment(trained: Shell) -> None:
    greedy = (*RUN, "--greedy", "--max-new-tokens", "8", "Ann")
    assert trained(*greedy, env={"TFCLI_GENERATE_LINES": "1"}).out == trained(*greedy).out


HOT = ("generate", "--run", "tale", "--temperature", "2", "--seed", "3", "--max-new-tokens", "40")


@pytest.mark.parametrize(
    ("command", "variables", "error"),
    [
        ("train", {"TFCLI_TRAIN_TIME": "abc"}, "TFCLI_TRAIN_TIME must be a duration"),
        ("generate", {"TFCLI_GENERATE_TOP_P": "7"}, "TFCLI_GENERATE_TOP_P must be between"),
        ("train", {"TFCLI_TRAIN_TIME": "9s", "TFCLI_TRAIN_STEPS": "3"},
         "TFCLI_TRAIN_TIME cannot be combined with TFCLI_TRAIN_STEPS"),
    ],
)  # fmt: skip
def test_wrong_value_in_the_environment_is_named_by_its_variable(
    called: Shell, command: str, variables: dict[str, str], error: str
) -> None:
    done = called(command, "book.txt", env=variables)
    assert done.code == 2
    assert error in done.err
    assert "--time" not in done.err


TOP_K = {"TFCLI_GENERATE_TOP_K": "9"}


def test_truncation_that_is_asked_for_replaces_the_default(trained: Shell) -> None:
    def text(*options: str, env: dict[str, str] | None = None) -> bytes:
        done = trained(*HOT, *options, "Ann", env=env)
        assert done.code == 0, done.err
        return done.out

    usual, whole = text(), text("--top-k", "0")
    default = str(DEFAULT_TRUNCATION.min_p)
    assert usual == text("--min-p", default)
    assert whole == text("--min-p", "0") == text("--top-p", "1") == text("--typical-p", "1")
    few, both = text("--top-k", "9"), text("--top-k", "9", "--min-p", default)
    assert len({usual, whole, few}) == 3
    assert few != both
    assert few == text(env=TOP_K)
    assert both == text("--min-p", default, env=TOP_K)  # the one does not exclude the other


def test_stop_string_in_the_environment_may_hold_spaces(trained: Shell) -> None:
    greedy = (*RUN, "--greedy", "--max-new-tokens", "8", "Ann")
    stopped = trained(*greedy, env={"TFCLI_GENERATE_STOP": "a zzz"})
    assert stopped.out == trained(*greedy).out
    assert b" saw" in stopped.out
    assert b" saw" not in trained(*greedy, env={"TFCLI_GENERATE_STOP": " saw"}).out


@pytest.mark.parametrize(
    "options",
    [("--vocab-size", "300"), ("--tokenizer-type", "unigram"), ("--tokenizer-type", "bpe")],
)
def test_existing_tokenizer_is_not_trained(trained: Shell, options: tuple[str, str]) -> None:
    done = trained("train", "book.txt", "-t", "words", *options, "--run", "it", "--steps", "1")
    assert done.code == 2
    assert f"--tokenizer cannot be combined with {options[0]}" in done.err


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--json-schema", "true", "must be a JSON object or the name of a file, not true"),
        ("--json-schema", "[1]", "must be a JSON object or the name of a file, not [1]"),
        ("--json-schema", "{...broken", "it is not JSON: Expecting property name"),
        ("--json-schema", "book.txt", "invalid JSON schema in book.txt"),
        ("--json-schema", "nosuch.json", "a schema that is not in a file begins with {"),
        ("--json-schema", '{"type": "object", "not": {}}', "why: not supported: not\n"),
        ("--regex", r"\bAnn", r"why: \b, \B, ^ and $ are not supported in it; "),
        ("--regex", "a^b", r"why: \b, \B, ^ and $ are not supported in it; "),
    ],
)
def test_a_form_that_cannot_be_is_told_in_our_own_words(
    trained: Shell, option: str, value: str, words: str
) -> None:
    done = trained(*RUN, option, value, "Ann")
    assert done.code in {2, 66}
    assert words in done.err
    assert not re.search(r"lookaround|Unicode|Unimplemented|at \d+\(", done.err)


def test_a_time_limit_that_leaves_nothing_is_said(trained: Shell) -> None:
    done = trained(*RUN, "--max-time", "0.000001s", "Ann")
    assert (done.code, done.out) == (0, b"")
    assert done.err == "Note: --max-time was over before the first token.\n"


# --- requests -----------------------------------------------------------------------------------


def test_every_option_of_a_request_is_accepted_by_its_name(trained: Shell) -> None:
    together = {
        "prompt": "Ann", "max_new_tokens": 4, "stop": ["zzz"], "temperature": 0.5, "top_k": 5,
        "top_p": 0.9, "min_p": 0.01, "typical_p": 0.9, "seed": 3, "logit_bias": {"5": 1},
        "repetition_penalty": 1.1, "presence_penalty": 0.1, "frequency_penalty": 0.1,
        "no_repeat_ngram_size": 3, "dry_multiplier": 0.8, "min_new_tokens": 1,
        "ignore_eos": False, "token_healing": True, "special": False, "raw": False,
    }  # fmt: skip
    others = (
        {"greedy": True}, {"regex": "ab?"}, {"choices": ["x", "y"]},
        {"json_schema": SCHEMA, "max_new_tokens": 40},  # it may write spaces between the parts
    )  # fmt: skip
    named = {name for request in (together, *others) for name in request}
    assert named - {"prompt"} == options_of(GenerationRequest).keys()
    done = trained(*RUN, "--jsonl", stdin=requests(together, *others))
    assert done.code == 0, done.err
    assert all("text" in row for row in rows(done.out))


def test_requests_have_grammars_of_their_own(trained: Shell) -> None:
    asked = requests(
        {"regex": "(ab|cd){2}[.]"},
        {"json_schema": SCHEMA},
        {"json_schema": json.dumps(SCHEMA)},
        {"choices": ["yes", "no"]},
        {"choices": ["yes", "no"], "seed": 2},
        {"regex": None, "max_new_tokens": 3},
    )
    hot = ("generate", "--run", "tale", "--jsonl", "--temperature", "3", "--top-k", "0")
    done = trained(*hot, "--regex", "q", stdin=asked)
    assert done.code == 0, done.err
    texts = [row["text"] for row in rows(done.out)]
    assert re.fullmatch("(ab|cd){2}[.]", texts[0])
    assert all(set(json.loads(text)) == {"n"} for text in texts[1:3])
    assert all(text in {"yes", "no"} for text in texts[3:5])
    assert texts[5] != "q"


def test_request_with_an_invalid_grammar_gets_an_error(trained: Shell) -> None:
    asked = requests(
        {"regex": "("},
        {"choices": ["a"]},
        {"choices": []},
        {"choices": "a,b"},
        {"json_schema": 3},
        {"json_schema": "nowhere.json"},
        {"regex": "a", "choices": ["b"]},
    )
    done = trained(*RUN, "--jsonl", stdin=asked)
    assert done.code == 65
    assert "Traceback" not in done.err
    first, fine, *others = rows(done.out)
    assert first["error"].startswith("line 1: invalid regular expression: ")
    assert fine["text"] == "a"
    assert others[0]["error"] == "line 3: choices must not be empty"
    assert others[1]["error"] == "line 4: choices must be a list of strings"
    assert others[2]["error"] == "line 5: json_schema must be an object or a string"
    assert others[3]["error"].startswith("line 6: invalid JSON schema: ")
    assert others[4]["error"] == "line 7: regex cannot be combined with choices"


def test_request_overrides_what_it_excludes_on_the_command_line(trained: Shell) -> None:
    asked = requests({"temperature": 3, "seed": 1}, {"greedy": False, "seed": 1}, {})
    done = trained(*RUN, "--jsonl", "--greedy", stdin=asked)
    hot, drawn, greedy = rows(done.out)
    plain = rows(trained(*RUN, "--jsonl", stdin=asked).out)
    assert (hot["text"], drawn["text"]) == (plain[0]["text"], plain[1]["text"])
    assert greedy["text"].encode() == trained(*RUN, "--greedy", stdin=b"").out
