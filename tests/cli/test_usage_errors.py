"""Mistakes on the command line: what is said is ours, and names what was meant."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from tests.cli.test_app import COMMANDS
from tests.conftest import Called
from tfcli.cli.app import root_command
from tfcli.cli.other_names import ARGUMENTS, OPTIONS, VALUES, plain
from tfcli.cli.other_names import COMMANDS as OTHER_COMMANDS
from tfcli.cli.usage_errors import as_usage_error, command_at
from tfcli.errors import TfcliError
from tfcli.options import options_of
from tfcli.training.options import TrainOptions

THEIRS = (
    *("value error", "missing argument '", "missing option '", "try 'tfcli", "unexpected extra"),
    *("invalid value", "requires an argument", "does not take", "input should be", "pydantic"),
    *("traceback", "internal error", "usage:"),
)


def options(command: Any) -> set[str]:
    return {name for each in command.params for name in (*each.opts, *each.secondary_opts)}


def test_every_option_that_is_suggested_exists() -> None:
    commands = [command_at(root_command(), path)[0] for path in [(), *COMMANDS]]
    known = set().union(*map(options, commands))
    for meant in OPTIONS.values():
        assert {option.split()[0] for option in meant} <= known
    for command, hints in ARGUMENTS.items():
        for hint in hints.values():
            assert hint.startswith(f"tfcli {command} ")


@pytest.mark.parametrize("hint", sorted(set(OTHER_COMMANDS.values()) - {"ls tokenizers"}))
def test_every_command_that_is_suggested_exists(hint: str) -> None:
    words = hint.split()[1:]
    command, path = command_at(root_command(), words)
    assert path.split()[1:] == words[: len(path.split()) - 1]
    assert path != "tfcli" or words[0] in {"--help", "--version"}
    given = {word for word in words if word.startswith("--")} - {"--help", "--version"}
    assert given <= options(command)


def test_no_name_in_the_tables_is_one_of_ours() -> None:
    for name in OPTIONS:
        assert len([other for other in OPTIONS if plain(other) == plain(name)]) == 1
    for name in OTHER_COMMANDS:
        assert tuple(name.split()) not in COMMANDS


def test_every_value_that_is_suggested_is_a_choice() -> None:
    dtype = options_of(TrainOptions)["dtype"].choices
    assert set(VALUES["dtype"].values()) <= set(dtype)
    assert not set(VALUES["dtype"]) & set(dtype)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("train book.txt --learning_rate 1", "'--learning-rate'"),
        ("train book.txt --lrate 1", "'--learning-rate'"),
        ("train book.txt --n_layer 1", "'--num-layers'"),
        ("train book.txt --n_embd 1", "'--d-model'"),
        ("train book.txt --block_size 1", "'--block-size'"),
        ("train book.txt --batch-size 1", "'--batch-tokens'"),
        ("train book.txt --epoch 1", "'--epochs'"),
        ("train book.txt --max_iters 1", "'--steps'"),
        ("train book.txt --fp16", "'--dtype float16'"),
        ("train book.txt --bf16", "'--dtype bfloat16'"),
        ("train book.txt --output x", "'--run'"),
        ("train --data book.txt", "tfcli train FILE"),
        ("train book.csv --sep ;", "the delimiter of a CSV file is recognized"),
        ("train book.txt --max-length 1", "'--context-length'"),
        ("train book.txt --dtype fp16", "--dtype float16"),
        ("train book.txt --device cuda:1", "CUDA_VISIBLE_DEVICES=1"),
        ("train book.txt --device gpu", "--device cuda"),
        ("train book.txt --fim-rat 0.5", "'--fim-rate'"),
        ("train book.txt --fim 0.5", "'--infill'"),
        ("train book.txt --mlm 0.5", "'--masked'"),
        ("train book.txt --bidirectional 0.5", "'--masked'"),
        ("score --elbo book.txt", "'--bound'"),
        ("text dedup --threshold 0.8", "'--near'"),
        ("generate --max_tokens 1 a", "'--max-tokens'"),
        ("generate --max-length 1 a", "'--max-new-tokens'"),
        ("generate --num-samples 1 a", "'--samples'"),
        ("generate --topk 1 a", "'--top-k'"),
        ("generate --topp 1 a", "'--top-p'"),
        ("generate --tempo 1 a", "'--temp'"),
        ("trace --run x a.txt", "tfcli trace RUN ..."),
        ("runs show --run x", "tfcli runs show RUN ..."),
        ("generate --model x a", "'--run'"),
        ("generate --gpu a", "'--device cuda'"),
        ("generate --prompt a", "tfcli generate"),
        ("generate --output x a", "tfcli generate PROMPT > FILE"),
        ("generate -z", "tfcli generate -- PROMPT"),
        ("list", "tfcli runs list"),
        ("ls", "tfcli runs list"),
        ("delete x", "tfcli runs rm RUN"),
        ("sample", "tfcli generate PROMPT"),
        ("chat", "tfcli generate --interactive"),
        ("finetune", "tfcli train FILE --from RUN"),
        ("fine-tune", "tfcli train FILE --from RUN"),
        ("encode", "tfcli tokenizer encode"),
        ("plot", "tfcli runs plot"),
        ("resume", "tfcli train --resume"),
        ("train a.csv --field a.csv=x --field b.csv=y", "try: --field a.csv=x,b.csv=y"),
        ("runs ls", "tfcli runs list"),
        ("tokenizer list", "ls tokenizers"),
        ("train a.txt --family GPT2", "did you mean 'gpt2'?"),
        ("inspect Once --view surprize", "did you mean 'surprise'?"),
        ("inspect Once --view lens,heads", "try: --view lens --view heads"),
        ("train a.txt --masked --dry-run", "try: --masked 0.5"),
        ("train a.txt --dry-run --masked", "try: --masked 0.5"),
        ("train a.txt --time --dry-run", "try: --time 60s"),
        ("train a.txt --run -q", "try: --run NAME"),
        ("train a.txt --infill 50", "try: 0.5, which is 50 %"),
        ("train a.txt --masked 50%", "try: 0.5, which is 50 %"),
        ("generate --top-p 90 a", "try: 0.9, which is 90 %"),
        ("export", "tfcli export RUN PATH --to huggingface"),
        ("runs tensorboard", "tfcli runs tensorboard --out OUT"),
    ],
)
def test_what_was_meant_is_named(called: Called, typed: str, meant: str) -> None:
    done = called(*typed.split())
    assert done.code == 2
    assert meant in done.err.splitlines()[-1]


def test_an_option_in_place_of_a_value_is_no_value(called: Called) -> None:
    done = called("train", "a.txt", "--sample-prompt", "--dry-run")
    assert done.code == 2
    assert "--sample-prompt needs a value" in done.err
    given = called("train", "a.txt", "--sample-prompt=--dry-run", "--run", "x")
    assert "needs a value" not in given.err  # but that there is no a.txt
    after = called("generate", "--run", "x", "--", "--stop --seed")
    assert "needs a value" not in after.err


@pytest.mark.parametrize("typed", ["train a.txt --xyzzy", "xyzzy", "runs xyzzy", "generate --qq"])
def test_what_resembles_nothing_gets_no_guess(called: Called, typed: str) -> None:
    done = called(*typed.split())
    assert done.code == 2
    assert done.err.splitlines()[-1].endswith("--help")


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_mistakes_are_told_in_our_own_words(called: Called, path: tuple[str, ...]) -> None:
    command, _ = command_at(root_command(), path)
    values: dict[str, list[str]] = {"value": [], "flag": []}
    for each in command.params:
        if each.param_type_name == "option":
            values["flag" if each.is_flag else "value"].append(each.opts[0])
    mistakes = [["--xyzzy"], [*"abcdefgh"]]
    mistakes += [[option] for option in values["value"][:1]]
    mistakes += [[f"{option}=1"] for option in values["flag"][:1]]
    if any(each.required for each in command.params):
        mistakes.append([])
    for mistake in mistakes:
        done = called(*path, *mistake)
        if mistake == [*"abcdefgh"] and done.code == 66:
            continue  # takes any number of arguments
        assert done.code == 2, (mistake, done.err)
        assert len(done.err.splitlines()) <= 3
        assert not [words for words in THEIRS if words in done.err.lower()], done.err


def test_values_of_wrong_types_are_told_in_our_own_words() -> None:
    for path in COMMANDS:
        command, words = command_at(root_command(), path)
        for each in command.params:
            if each.param_type_name != "option" or each.is_flag or each.opts[0] == "--resume":
                continue
            told = told_of_nonsense(command, each.opts[0], words)
            assert not [theirs for theirs in THEIRS if theirs in told.lower()], told


def told_of_nonsense(command: Any, option: str, path: str) -> str:
    """What is said to a value that means nothing; empty if the option takes everything."""
    arguments = [option, "?!"]
    try:
        with command.make_context(path, [*arguments]):
            return ""
    except typer.TyperException as error:
        return str(as_usage_error(error, root_command(), [*path.split()[1:], *arguments]))
    except TfcliError as error:
        return str(error)


def test_flag_in_the_environment_must_be_true_or_false(called: Called) -> None:
    done = called("generate", "a", env={"TFCLI_GENERATE_GREEDY": "maybe"})
    assert done.code == 2
    assert done.err.startswith("error: --greedy must be true or false\n")


def test_too_many_arguments_are_named(called: Called) -> None:
    done = called("runs", "show", "a", "b")
    assert (done.code, done.err.splitlines()[0]) == (2, "error: unexpected argument: b")
    assert "put the prompt in quotes" in called("generate", "once", "upon").err


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (("--run", "tale", "-No quiero"), "tfcli generate --run tale -- '-No quiero'"),
        (("-no quiero",), "tfcli generate -- '-no quiero'"),  # -n with a value
        (("-Hola", "-n", "2"), "tfcli generate -n 2 -- -Hola"),
        (("-iba a decir", "--greedy"), "tfcli generate --greedy -- '-iba a decir'"),
        (("- Hola",), "tfcli generate -- '- Hola'"),
        (("--no, dijo",), "tfcli generate -- '--no, dijo'"),
        (("---",), "tfcli generate -- ---"),
        (("-N",), "did you mean '-n'?"),
        (("-temperature", "1", "a"), "did you mean '--temperature'?"),
        (("--stop", "-No va", "--xyzzy", "a"), "tfcli generate --help"),
        (("-n", "x", "a"), "--samples must be a whole number, not 'x'"),
    ],
)
def test_a_prompt_that_begins_with_a_dash_is_told_from_options(
    called: Called, arguments: tuple[str, ...], meant: str
) -> None:
    done = called("generate", *arguments)
    assert done.code == 2
    assert done.err.splitlines()[-1].split(": ", 1)[1] == meant


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (("--", "-No", "--temp", "1"), "tfcli generate --temp 1 -- -No"),
        (("-n", "2", "--", "-No", "quiero", "-q"), "tfcli generate -n 2 -q -- '-No quiero'"),
    ],
)
def test_options_after_the_dashes_are_told_to_go_before(
    called: Called, arguments: tuple[str, ...], meant: str
) -> None:
    done = called("generate", *arguments)
    assert done.code == 2
    assert "after -- comes only the prompt" in done.err
    assert done.err.splitlines()[-1] == f"  try: {meant}"
    assert "put the prompt in quotes" in called("generate", "--", "-No", "quiero").err


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        ("generate a --min-p 0,5", "0.5, with a decimal point"),
        ("generate a --temperature 0,8", "0.8, with a decimal point"),
        ("generate a --logit-bias 5=-1,5", "5=-1.5, with a decimal point"),
        ("generate a --max-time 1,5s", "1.5s, with a decimal point"),
        ("generate a --max-tokens 1,000", "1000, without commas"),
        ("train book.txt --time 1,5m", "1.5m, with a decimal point"),
        ("train book.txt --learning-rate 1,5e-3", "1.5e-3, with a decimal point"),
        ("train book.txt:0,5", "book.txt:0.5, with a decimal point"),
    ],
)
def test_a_decimal_comma_is_told(called: Called, arguments: str, meant: str) -> None:
    assert called(*arguments.split()).err.splitlines()[-1] == f"  try: {meant}"


def test_what_has_no_decimal_comma_gets_no_such_hint(called: Called) -> None:
    for value in ("0,x", "a,b", "1,2,3", ","):
        assert "comma" not in called("generate", "a", "--temperature", value).err


def test_a_misspelled_value_is_recognized(called: Called) -> None:
    assert "did you mean 'steps'?" in called("runs", "plot", "--x", "step").err
    assert "did you mean 'gpt2'?" in called("train", "book.txt", "--family", "gp2").err


def test_names_with_commas_are_to_be_separated_by_spaces(called: Called) -> None:
    for name in ("base", "g2", "over"):
        folder = called.folder / "checkpoints" / name
        folder.mkdir(parents=True)
        (folder / "run.json").write_text("{}")
    assert "separate runs by spaces: base g2" in called("runs", "plot", "base,g2").err
    assert "over" not in called("runs", "show", "nothere").err
