"""A run in Python does what the commands do."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tfcli
from tests.conftest import BOOK, Shell
from tfcli.errors import DataError, NotFoundError, UsageError

LONG = pytest.mark.filterwarnings("ignore:tfcli. prompt and answer together")
GREEDY: dict[str, Any] = {"greedy": True, "max_new_tokens": 24}


# --- opening ------------------------------------------------------------------------------------


def test_run_is_found_by_name_path_step_and_as_the_newest(run: tfcli.OpenRun) -> None:
    text = run.generate("Ann", **GREEDY)
    path = run.path.absolute()
    for name in ("tale", path, str(path), path / "step-00000060", None):
        again = tfcli.open_run(name)
        assert (again.name, again.generate("Ann", **GREEDY)) == ("tale", text)
    elsewhere = tfcli.open_run("tale", folder=path.parent)
    assert elsewhere.checkpoint == path / "step-00000060"


def test_errors_say_what_why_and_what_to_do(run: tfcli.OpenRun, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="did you mean 'tale'") as caught:
        tfcli.open_run("tael")
    assert "not found in checkpoints" in str(caught.value)
    with pytest.raises(UsageError, match="device must be one of auto, cpu, cuda, mps, not 'gpu'"):
        tfcli.open_run("tale", device="gpu")  # type: ignore[arg-type]
    with pytest.raises(NotFoundError, match="tfcli train"):
        tfcli.open_run(folder=tmp_path)


def test_figures_are_those_of_the_commands(run: tfcli.OpenRun, trained: Shell) -> None:
    listed = [json.loads(line) for line in trained("runs", "list", "--json").out.splitlines()]
    assert tfcli.list_runs() == listed
    shown = json.loads(trained("runs", "show", "tale", "--json").out)
    assert shown.items() >= run.summary().items()
    assert run.config.context_length == 32
    assert "135,744 parameters" in repr(run)
    steps = [row for row in run.metrics() if row["event"] == "StepFinished"]
    assert [row["step"] for row in steps] == list(range(1, 61))
    last = run.metrics()[-1]
    assert last["event"] == "Evaluated"
    assert last["held_out"]["nats_per_byte"] == shown["held_out"]["nats_per_byte"]


def test_damaged_checkpoint_is_named_and_another_used(trained: Shell, tmp_path: Path) -> None:
    shutil.copytree(trained.folder / "checkpoints", tmp_path / "runs")
    run = tfcli.open_run("tale", folder=tmp_path / "runs")
    best = run.checkpoint
    weights = best / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    again = tfcli.open_run("tale", folder=tmp_path / "runs")
    with pytest.warns(UserWarning, match=f"{best.name}.*; using step-"):
        assert again.generate("Ann", max_new_tokens=3)


def test_unreadable_run_is_left_out_of_the_list(trained: Shell, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/run.json").write_text("{")
    with pytest.warns(UserWarning, match=r"run\.json"):
        assert tfcli.list_runs(tmp_path) == []


# --- looking ------------------------------------------------------------------------------------


def test_looks_are_those_of_the_commands(run: tfcli.OpenRun, trained: Shell) -> None:
    text = "Ann saw a ship at noon.\n"
    traced = json.loads(trained("trace", "tale", "--json", stdin=text.encode()).out)
    assert {"run": "tale"} | run.trace(text).to_json() == traced
    looked = json.loads(trained("inspect", "Ann", "--then", " saw", "--json").out)
    assert looked.items() >= run.inspect("Ann", " saw").to_json().items()
    one = run.inspect("Ann", views=["lens"])
    assert (one.attention, one.surprise) == (None, None)
    with pytest.raises(UsageError, match="views must be one of surprise, attention"):
        run.inspect("Ann", views=["all"])  # type: ignore[list-item]


def test_answers_are_evaluated_as_by_the_command(
    run: tfcli.OpenRun, trained: Shell, tmp_path: Path
) -> None:
    pairs = [("Ann saw", " the moon."), ("Bob", " saw")]
    rows = [json.dumps({"prompt": prompt, "answer": answer}) for prompt, answer in pairs]
    (tmp_path / "pairs.jsonl").write_text("\n".join(rows))
    done = trained("eval", "tale", str(tmp_path / "pairs.jsonl"), "--json")
    assert "its figures mean little" in done.err
    assert "tfcli train PAIRS --from tale" in " ".join(done.err.split())
    told = json.loads(done.out)
    with pytest.warns(UserWarning, match="not trained on pairs; these figures mean little"):
        found = run.eval(pairs)
    for name in ("exact_match", "character_error_rate", "nats_per_byte", "nats_per_token"):
        own = {key: round(value, 6) for key, value in getattr(found, name).to_json().items()}
        assert told[name].items() >= own.items()
    assert [(each.prompt, each.expected) for each in found.answers] == pairs
    of_rows = run.eval([{"question": prompt, "answer": answer} for prompt, answer in pairs])
    assert of_rows.exact_match == found.exact_match
    assert [(each.prompt, each.expected) for each in of_rows.answers] == pairs
    wrongs: tuple[Any, ...] = (
        [],
        [("a",)],
        [("a", 1)],
        "ab",
        ["ab", "cd"],
        [{"text": "a", "label": "b"}],
        {},
    )
    for wrong in wrongs:
        with pytest.raises(UsageError, match=r"pair|string"):
            run.eval(wrong)


# --- generating ---------------------------------------------------------------------------------


@LONG
@pytest.mark.parametrize(
    "options",
    [
        {"greedy": True},
        {"seed": 7, "top_k": 5, "temp": 1.5},
        {"seed": 1, "stop": ["."], "repetition_penalty": 1.3},
        {"seed": 2, "logit_bias": {"300": -1.5}, "top_p": 0.9},
        {"choices": ["a ship", "the moon"], "seed": 1},
    ],
)
def test_batch_is_what_jsonl_gives(
    run: tfcli.OpenRun, trained: Shell, options: dict[str, Any]
) -> None:
    prompts = ["Ann saw", "", "The old fox saw the moon"]
    options = {"max_new_tokens": 20, "seed": 3} | options
    seed: tuple[str, ...] = ("--seed", str(options["seed"]))  # of the batch, not of each request
    if options.get("greedy"):
        del options["seed"]
        seed = ()
    own = {name: value for name, value in options.items() if name != "seed"}
    rows = [json.dumps({"prompt": prompt, **own}) for prompt in prompts]
    done = trained("generate", "--run", "tale", "--jsonl", "-n", "2", *seed,
                   "--max-new-tokens", "24", stdin="\n".join(rows).encode())  # fmt: skip
    assert done.code == 0, done.err
    expected = [json.loads(line) for line in done.out.splitlines()]
    found = run.generate_batch(prompts, samples=2, **options)
    assert [text.prompt for text in found] == [prompt for prompt in prompts for _ in range(2)]
    for text, row in zip(found, expected, strict=True):
        assert text.sample == row["sample"]
        assert (text.text, text.tokens) == (row["text"], row["tokens"])
        assert text.finish_reason == row["finish_reason"]
        assert text.logprobs == pytest.approx(row["logprobs"], abs=1e-6)
        assert options.get("greedy") or text.seed == row["seed"]


def test_text_stream_and_command_are_the_same(run: tfcli.OpenRun, trained: Shell) -> None:
    command = ("generate", "--run", "tale", "--seed", "5", "--max-new-tokens", "24", "José")
    out = trained(*command).out.decode()
    assert run.generate("José", seed=5, max_new_tokens=24) == out
    pieces = list(run.stream("José", seed=5, max_new_tokens=24))
    assert "".join(pieces) == out
    assert len(pieces) > 3
    numbered = trained(*command, "-n", "3").out.decode().removeprefix("--- 1 ---\n")
    several = re.split(r"\n--- \d ---\n", numbered.removesuffix("\n"))
    assert run.sample("José", 3, seed=5, max_new_tokens=24) == several


@LONG
def test_without_a_seed_texts_differ(run: tfcli.OpenRun) -> None:
    assert run.generate("Ann", max_new_tokens=30) != run.generate("Ann", max_new_tokens=30)
    (first,) = run.generate_batch(["Ann"], max_new_tokens=30)
    assert run.generate("Ann", max_new_tokens=30, seed=first.seed) == first.text


def test_streams_do_not_disturb_each_other(run: tfcli.OpenRun) -> None:
    alone = ["".join(run.stream(prompt, **GREEDY)) for prompt in ("Ann", "Bob")]
    ann, bob = run.stream("Ann", **GREEDY), run.stream("Bob", **GREEDY)
    begun = [next(ann), next(bob), run.generate("Nobody", **GREEDY)]  # takes turns with them
    assert [begun[0] + "".join(ann), begun[1] + "".join(bob)] == alone
    unfinished = run.stream("Ann", **GREEDY)
    next(unfinished)
    del unfinished
    assert run.generate("Ann", **GREEDY) == alone[0]


def test_options_may_be_of_python(run: tfcli.OpenRun, tmp_path: Path) -> None:
    plain = run.generate("Ann", seed=1, max_new_tokens=12, stop=["."], top_p=0.5)
    of_numpy = {"seed": np.int64(1), "top_p": np.float64(0.5), "max_new_tokens": np.int32(12)}
    assert run.generate("Ann", stop=(".",), **of_numpy) == plain
    assert run.generate("Ann", regex=None, stop=None, **(of_numpy | {"top_p": None}))
    forbidden = run.tokenizer.encode("Ann saw")[-1]
    text = run.generate("Ann", logit_bias={forbidden: -math.inf}, max_new_tokens=12, greedy=True)
    assert forbidden not in run.tokenizer.encode(text)
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "properties": {"a": {"type": "boolean"}}, '
                      '"required": ["a"], "additionalProperties": false}')  # fmt: skip
    found = run.generate("Ann", json_schema=schema, max_new_tokens=60, seed=1)
    assert isinstance(json.loads(found)["a"], bool)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": ({"tempratur": 1}, "did you mean 'temperature'"),
    "twice": ({"max_new_tokens": 2, "max_tokens": 3}, "max_new_tokens was given twice"),
    "too low": ({"temperature": -1}, "temperature must be at least 0, not -1"),
    "nowhere near": ({"zzzz": 1}, "known: max_new_tokens"),
    "out of range": ({"top_k": -1}, "top_k must be at least 0, not -1"),
    "another type": ({"top_k": "4"}, "top_k must be a whole number, not '4'"),
    "no value of JSON": ({"stop": object()}, "stop cannot be a value of type object"),
    "excluded": ({"greedy": True, "top_p": 0.5}, "cannot be combined with"),
    "of the model": ({"logit_bias": {999: 1}}, "names token 999, but the vocabulary has 320"),
    "regex": ({"regex": "("}, "invalid regular expression"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_options_are_refused(run: tfcli.OpenRun, case: str) -> None:
    options, message = WRONG[case]
    with pytest.raises(UsageError, match=re.escape(message)):
        run.generate("Ann", **options)
    with pytest.raises(UsageError, match=re.escape(message)):
        next(run.stream("Ann", **options))


def test_names_are_strings_or_paths() -> None:
    with pytest.raises(UsageError, match="named by a string or a path, not by int"):
        tfcli.open_run(5)  # type: ignore[arg-type]
    with pytest.raises(AttributeError, match="train with the command: tfcli train"):
        getattr(tfcli, "train")  # noqa: B009


def test_a_score_is_shown_in_one_line(run: tfcli.OpenRun) -> None:
    assert "by_token" not in repr(run.score("Ann saw a ship."))


def test_wrong_prompts_are_refused(run: tfcli.OpenRun) -> None:
    with pytest.raises(UsageError, match="must be a string, not int"):
        run.generate(3)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="not valid Unicode"):
        run.generate("\udcff")
    with pytest.raises(UsageError, match=r"run\.generate\(prompt\)"):
        run.generate_batch("Ann")
    with pytest.raises(UsageError, match=r"run\.score\(text\)"):
        run.score_batch("Ann")
    for wrong in (0, 2.0):
        with pytest.raises(UsageError, match=f"samples must be a .* at least 1, not {wrong}"):
            run.sample("Ann", wrong)  # type: ignore[arg-type]
    assert run.generate_batch([]) == []


def test_incomplete_structure_is_an_error_and_in_a_batch_a_reason(run: tfcli.OpenRun) -> None:
    options: dict[str, Any] = {"regex": "[a-z ]{40,}", "max_new_tokens": 2, "seed": 1}
    with pytest.raises(DataError, match="raise max_new_tokens"):
        run.generate("Ann", **options)
    with pytest.raises(DataError, match="incomplete"):
        list(run.stream("Ann", **options))
    (text,) = run.generate_batch(["Ann"], **options)
    assert text.finish_reason == "incomplete"
    assert len(text.tokens) == 2


def test_what_was_cut_is_a_warning_where_it_was_called(run: tfcli.OpenRun) -> None:
    with pytest.warns(
        UserWarning, match="the prompt has .* tokens; the model sees at most the last 31"
    ) as caught:
        run.generate("Ann saw the moon. " * 40, max_new_tokens=1)
    assert {warning.filename for warning in caught} == {__file__}
    with pytest.warns(UserWarning, match="longer than the context; the model sees at most"):
        run.generate("Ann", max_new_tokens=40)
    run.generate("Ann", max_new_tokens=40)  # warned of once: a warning is an error here


# --- scoring ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["Ann saw\tJosé.\r\nBob", BOOK[:600], "", "zzz 👍"])
def test_score_is_that_of_the_command(run: tfcli.OpenRun, trained: Shell, text: str) -> None:
    found = run.score(text)
    if text:
        whole = json.loads(trained("score", "--run", "tale", "--json", stdin=text.encode()).out)
        for name in ("nats", "nats_per_byte", "perplexity", "bytes", "tokens"):
            assert getattr(found, name) == pytest.approx(whole[name], rel=1e-6, abs=1e-6)
        done = trained("score", "--run", "tale", "--by", "token", "--json", stdin=text.encode())
        rows = [json.loads(line) for line in done.out.splitlines()]
        own = vars(found.by_token[0]).keys() - {"top_logprobs"}  # which nobody asked for
        assert all(row.keys() == own for row in rows)
        for each, row in zip(found.by_token, rows, strict=True):
            assert (each.token, each.text) == (row["token"], row["text"])
            assert each.nats == pytest.approx(row["nats"], abs=1e-5)
    assert found.nats == pytest.approx(sum(each.nats for each in found.by_token))


def test_many_texts_score_as_they_do_alone(run: tfcli.OpenRun) -> None:
    texts = ["Ann saw the moon.", "", "zzzz qqqq", BOOK[:300]]
    for text, score in zip(texts, run.score_batch(texts), strict=True):
        assert score.nats == pytest.approx(run.score(text).nats, abs=1e-4)
    assert run.score(BOOK[:300], stride=1).nats != run.score(BOOK[:300]).nats
    with pytest.raises(UsageError, match="stride must be at most 32, the context length, not 33"):
        run.score("Ann", stride=33)


@torch.no_grad()
def test_logits_are_those_of_the_torch_model(run: tfcli.OpenRun) -> None:
    text = "Ann saw the moon at noon."
    ids = run.tokenizer.encode(text, bos=True)
    assert ids == [run.tokenizer.bos, *run.tokenizer.encode(text)]
    logits = run.logits(text)
    assert logits.shape == (len(ids), run.config.vocab_size)
    assert logits.dtype == np.float32
    model = run.torch_model("cpu")
    expected = model(torch.tensor([ids]))[0]
    torch.testing.assert_close(torch.from_numpy(logits), expected, rtol=0, atol=1e-5)
    assert np.array_equal(run.logits(ids), logits)
    by_torch = tfcli.open_run("tale", engine="torch").logits(text)
    np.testing.assert_allclose(by_torch, logits, rtol=0, atol=1e-5)
    # row t is for the token after ids[t]: the log-probabilities are those of the score
    logprobs = torch.log_softmax(expected, -1)[range(len(ids) - 1), ids[1:]]
    nats = [each.nats for each in run.score(text).by_token]
    assert nats == pytest.approx((-logprobs).tolist(), abs=1e-4)


def test_logits_are_those_of_transformers_on_an_export(
    run: tfcli.OpenRun, trained: Shell, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    done = trained("export", "tale", str(tmp_path / "hf"), "--to", "huggingface")
    assert done.code == 0, done.err
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "hf", dtype=torch.float32).eval()
    ids = torch.tensor([run.tokenizer.encode("The old fox saw", bos=True)])
    with torch.no_grad():
        expected = theirs(ids).logits[0].numpy()
    np.testing.assert_allclose(run.logits("The old fox saw"), expected, rtol=0, atol=1e-5)


def test_logits_of_what_cannot_be_read_are_refused(run: tfcli.OpenRun) -> None:
    with pytest.raises(UsageError, match="takes 1 to 32 tokens, not"):
        run.logits(BOOK[:600])
    with pytest.raises(UsageError, match="not 0"):
        run.logits([])
    with pytest.raises(UsageError, match="between 0 and 319, not 320"):
        run.logits([1, 320])
    with pytest.raises(UsageError, match="must be integers"):
        run.logits([1.5])  # type: ignore[list-item]


def test_tokenizer_goes_there_and_back(run: tfcli.OpenRun) -> None:
    tokenizer = run.tokenizer
    for text in ("Ann saw\r\n\tJosé 👍", "", "  "):
        assert tokenizer.decode(tokenizer.encode(text)) == text
        assert tokenizer.decode(np.array(tokenizer.encode(text, bos=True), np.int64)) == text
    assert tokenizer.tokenize("Ann saw") == ["A", "n", "n", " saw"]
    assert len(tokenizer) == tokenizer.vocab_size == 320
    assert repr(tokenizer) == "<tokenizer of 320 tokens>"
    with pytest.raises(UsageError, match="between 0 and 319, not -1"):
        tokenizer.decode([-1])
    with pytest.raises(UsageError, match="not valid Unicode"):
        tokenizer.encode("\udcff")
    cut = tokenizer.encode("👍")[:-1]
    assert tokenizer.decode(cut).startswith("\ufffd")


def test_text_is_scored_after_a_prompt_with_what_else_was_likely(run: tfcli.OpenRun) -> None:
    after = run.score(" saw the moon", prompt="Ann", top_logprobs=2)
    whole, before = run.score("Ann saw the moon"), run.score("Ann")
    assert after.nats == pytest.approx(whole.nats - before.nats, abs=1e-3)
    for token in after.by_token:
        assert len(token.top_logprobs) == 2
        assert token.top_logprobs[0][1] >= token.top_logprobs[1][1]
    assert not whole.by_token[0].top_logprobs
    (same,) = run.score_batch([" saw the moon"], prompts=["Ann"])
    assert same.nats == pytest.approx(after.nats)
    with pytest.raises(UsageError, match="2 prompts for 1 text"):
        run.score_batch(["a"], prompts=["b", "c"])
    with pytest.raises(UsageError, match="top_logprobs must be from 0 to 100"):
        run.score("a", top_logprobs=101)


def test_what_is_no_text_is_neither_traced_nor_inspected(run: tfcli.OpenRun) -> None:
    wrong: list[Any] = [5, None, b"Ann"]
    for text in wrong:
        for call in (run.trace, run.inspect, lambda then: run.inspect("Ann", then)):
            with pytest.raises(UsageError, match="a text must be a string, not "):
                call(text)
