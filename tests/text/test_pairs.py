"""Rows of prompt and answer: found by their fields, framed, held out by prompt, and masked."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcli.errors import DataError, TfcliError, UsageError
from tfcli.text.chunks import Chunk
from tfcli.text.corpus import Corpus, open_corpus, open_sources
from tfcli.text.pairs import PairForm, choose_pairs, key_of
from tfcli.text.readers import read_chunks
from tfcli.text.reading import Reading
from tfcli.text.reading_options import ReadingOptions
from tfcli.text.sources import find_sources
from tfcli.text.token_cache import tokenize_corpus
from tfcli.text.tokenizer_training import train_tokenizer

PAIRS = [("abc", "cba"), ("Hola, ¿qué tal?", "Bien\ny tú"), ("x", " y ")]


def write_rows(path: Path, rows: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def read(path: Path, reading: Reading | None = None, **options: Any) -> list[tuple[str, str]]:
    """The framed prompts and the answers of a file."""
    found, prompt = [], ""
    for chunk in read_chunks(path, ReadingOptions(**options), reading=reading):
        text = chunk.data.decode()
        if chunk.role == "prompt":
            prompt += text
        else:
            assert chunk.role == "answer"
            assert chunk.last
            found.append((prompt, text))
            prompt = ""
    return found


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [("prompt", "completion"), ("input", "target"), ("question", "answer"), ("source", "target")],
)
def test_fields_are_known_by_their_names_and_said(tmp_path: Path, prompt: str, answer: str) -> None:
    file = write_rows(tmp_path / "a.jsonl", [{"id": 7, prompt: p, answer: a} for p, a in PAIRS])
    reading = Reading()
    assert read(file, reading) == [(f"{p}\n", a) for p, a in PAIRS]
    (note,) = reading.notes(file, ReadingOptions())
    assert f"prompts in {prompt!r}, answers in {answer!r}" in note


def test_fields_can_be_named_and_several_are_joined(tmp_path: Path) -> None:
    rows = [{"q": "2+2", "more": "now", "a": "4"}, {"q": "3+3", "more": "", "a": "6"}]
    file = write_rows(tmp_path / "a.jsonl", rows)
    named: dict[str, Any] = {
        "prompt_field": ("q", "more"),
        "answer_field": "a",
        "pair_separator": " = ",
    }
    assert read(file, **named) == [("2+2\nnow = ", "4"), ("3+3 = ", "6")]
    named["field"] = named.pop("answer_field")  # beside the prompt's, it is the answer's
    assert read(file, **named) == [("2+2\nnow = ", "4"), ("3+3 = ", "6")]
    with pytest.raises(UsageError, match="--answer-field is needed too"):
        read(file, prompt_field=("q",))


def test_named_columns_of_parquet_may_hold_numbers(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table({"q": ["2+2", "3+3"], "a": [4, 6], "note": ["x y", "z"]})
    parquet.write_table(table, tmp_path / "a.parquet")
    found = read(tmp_path / "a.parquet", prompt_field=("q",), answer_field="a")
    assert found == [("2+2\n", "4"), ("3+3\n", "6")]


def test_instruction_with_an_input_is_one_prompt(tmp_path: Path) -> None:
    rows = [
        {"instruction": "Add.", "input": "1 2", "output": "3"},
        {"instruction": "Greet.", "input": "", "output": "Hi"},
    ]
    assert read(write_rows(tmp_path / "a.jsonl", rows)) == [
        ("Add.\n1 2\n", "3"),
        ("Greet.\n", "Hi"),
    ]


def test_csv_and_json_arrays_hold_pairs_too(tmp_path: Path) -> None:
    table = io.StringIO()
    csv.writer(table).writerows([("prompt", "completion"), *PAIRS])
    (tmp_path / "a.csv").write_text(table.getvalue())
    (tmp_path / "a.json").write_text(
        json.dumps([{"prompt": p, "completion": a} for p, a in PAIRS], indent=1)
    )
    assert (
        read(tmp_path / "a.csv") == read(tmp_path / "a.json") == [(f"{p}\n", a) for p, a in PAIRS]
    )


def test_parquet_holds_pairs_and_conversations(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [{"prompt": p, "completion": a} for p, a in PAIRS]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == [(f"{p}\n", a) for p, a in PAIRS]
    said = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
    parquet.write_table(pyarrow.Table.from_pylist([{"messages": said}]), tmp_path / "b.parquet")
    assert read(tmp_path / "b.parquet") == [("user: Hi\nassistant: ", "Ho")]


def test_conversation_is_a_pair_for_each_answer_with_one_key(tmp_path: Path) -> None:
    turns = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Bye"},
        {"role": "assistant", "content": "See you"},
    ]
    first = "system: Be kind.\nuser: Hi\nassistant: "
    second = f"{first}Hello\nuser: Bye\nassistant: "
    file = write_rows(tmp_path / "a.jsonl", [{"messages": turns}])
    assert read(file) == [(first, "Hello"), (second, "See you")]
    assert {chunk.key for chunk in read_chunks(file)} == {key_of(first.encode())}
    share = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]
    file = write_rows(tmp_path / "b.jsonl", [{"conversations": share}])
    assert read(file) == [("user: Hi\nassistant: ", "Hello")]
    assert PairForm("messages").frame("Hi") == "user: Hi\nassistant: "


def test_rows_with_a_text_stay_texts(tmp_path: Path) -> None:
    rows = [{"text": "a b c", "prompt": "a", "completion": "b"}] * 3
    file = write_rows(tmp_path / "a.jsonl", rows)
    assert [chunk.role for chunk in read_chunks(file)] == ["text"] * 3
    file = write_rows(tmp_path / "b.jsonl", [{"prompt": "a b", "completion": "b"}] * 3)
    chunks = [*read_chunks(file, ReadingOptions(field="prompt"))]
    assert chunks == [Chunk(b"a b", last=True)] * 3


def test_rows_without_a_pair_are_counted_and_many_refused(tmp_path: Path) -> None:
    good = [{"prompt": f"p{i}", "completion": "a"} for i in range(300)]
    bad = [{"prompt": "p", "completion": None}, {"prompt": "q", "completion": ""}]
    file = write_rows(tmp_path / "a.jsonl", [*good, *bad])
    reading = Reading()
    assert len(read(file, reading)) == 300
    assert "skipped 2 of 302 rows without a pair" in reading.notes(file, ReadingOptions())[1]
    with pytest.raises(DataError, match="a row without a pair"):
        read(file, strict=True)
    with pytest.raises(DataError, match=r"40 of 340 rows of .* have no pair"):
        read(write_rows(file, [*good, *bad * 20]))


def test_texts_and_pairs_are_not_mixed(tmp_path: Path) -> None:
    pairs = write_rows(tmp_path / "a.jsonl", [{"prompt": "a", "completion": "b"}] * 3)
    (tmp_path / "b.txt").write_text("Some text.\n")
    said = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
    talk = write_rows(tmp_path / "c.jsonl", [{"messages": said}] * 3)
    for other in (tmp_path / "b.txt", talk):
        with pytest.raises(DataError, match=r"a\.jsonl holds pairs, and "):
            open_corpus([pairs, other], cache=tmp_path / "cache")
    weighted = find_sources(
        [f"{pairs}:2", str(write_rows(tmp_path / "d.jsonl", [{"prompt": "c", "completion": "d"}]))]
    )
    with pytest.raises(TfcliError, match="source weights"):
        open_sources(weighted, cache=tmp_path / "cache")


# --- what is held out ---------------------------------------------------------------------------


@given(st.lists(st.integers(0, 50), min_size=1, max_size=200), st.floats(0, 0.9))
def test_a_share_of_the_prompts_is_held_out_and_never_all(prompts: list[int], share: float) -> None:
    keys = [key_of(str(prompt).encode()) for prompt in prompts]
    scan = choose_pairs(keys, [1] * len(keys), share, PairForm())
    held_out = {key for key in keys if key < scan.held_out_below}
    different = len(set(keys))
    wanted = min(max(1, round(share * different)), different - 1) if share else 0
    assert len(held_out) == wanted
    assert scan.held_out_pairs == sum(key in held_out for key in keys) == scan.held_out_bytes


def corpus_of(tmp_path: Path, rows: Sequence[Any], **options: Any) -> Corpus:
    return open_corpus(
        [write_rows(tmp_path / "a.jsonl", rows)], cache=tmp_path / "cache", **options
    )


def sides(corpus: Corpus) -> tuple[list[bytes], list[bytes]]:
    """The prompts to train on, and those held out."""
    return (
        [chunk.data for chunk in corpus.training() if chunk.role == "prompt"],
        [chunk.data for chunk in corpus.held_out() if chunk.role == "prompt"],
    )


def test_the_same_prompt_is_never_on_both_sides_whatever_the_order(tmp_path: Path) -> None:
    rows = [{"prompt": f"p{i % 100}", "completion": f"a{i}"} for i in range(300)]
    training, held_out = sides(corpus_of(tmp_path, rows))
    assert (len(training), len(held_out)) == (270, 30)
    assert not {*training} & {*held_out}
    again = sides(corpus_of(tmp_path, rows[::-1]))
    assert {*again[1]} == {*held_out}
    assert held_out != sorted(held_out, key=lambda p: int(p[1:])), "at random"


def test_the_cache_says_which_tokens_are_answers(tmp_path: Path) -> None:
    rows = [{"prompt": f"p{i}", "completion": f"a{i}é\n"} for i in range(200)]
    corpus = corpus_of(tmp_path, rows)
    tokenizer, _ = train_tokenizer(
        (c.data for c in corpus.training()), text_bytes=2000, type="char"
    )
    for _ in range(2):  # made, then found
        tokens = tokenize_corpus(corpus, tokenizer, cache=tmp_path / "cache")
        answers = {f"a{i}é\n" for i in range(200)}
        for ids, is_target in (
            (tokens.training[:], tokens.training_targets),
            (tokens.held_out, tokens.held_out_targets),
        ):
            assert is_target is not None
            assert is_target.shape == ids.shape
            ends = np.flatnonzero(ids == tokenizer.special.eos) + 1
            for pair, flags in zip(
                np.split(ids, ends)[:-1], np.split(is_target, ends)[:-1], strict=True
            ):
                assert tokenizer.decode(pair[flags][:-1].tolist()).decode() in answers
                assert tokenizer.decode(pair[~flags].tolist()).decode().endswith("\n")
                assert flags[-1], "the end counts"
    text = open_corpus([Path(__file__)], cache=tmp_path / "cache")
    plain = tokenize_corpus(text, tokenizer, cache=tmp_path / "cache")
    assert plain.training_targets is plain.held_out_targets is None
