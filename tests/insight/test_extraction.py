"""What a model knows by heart, compared with generating it."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from tests.conftest import BOOK, Shell
from tfcli.generation.engines.engine import Engine
from tfcli.generation.open_engine import open_best, open_engine
from tfcli.generation.request import Sampling
from tfcli.generation.sampling import choose_tokens, row_random
from tfcli.insight.extraction import (
    ROWS,
    Extraction,
    Window,
    choose_windows,
    count_occurrences,
    extract,
)
from tfcli.insight.memorization import Share, audit_memory
from tfcli.insight.training_text import Block, Place, TrainingText
from tfcli.runs.run import Run, find_run
from tfcli.text.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def run(trained: Shell) -> Run:
    return find_run(str(trained.folder / "checkpoints/tale"))[0]


@pytest.fixture(scope="module")
def engine(run: Run) -> Engine:
    def give_up(error: Exception) -> None:
        raise error

    _, engine = open_best(
        run, None, lambda step: open_engine(run, step, "cpu", rows=ROWS), on_damaged=give_up
    )
    return engine


@pytest.fixture(scope="module")
def tokenizer(run: Run) -> Tokenizer:
    return run.tokenizer()


def windows_of(run: Run, tokenizer: Tokenizer, context: int = 32) -> tuple[list[Window], int]:
    text = TrainingText(run)
    return choose_windows(text.blocks(), text.training_bytes, tokenizer, context=context)


def test_windows_are_passages_of_the_text(run: Run, tokenizer: Tokenizer) -> None:
    windows, half = windows_of(run, tokenizer)
    assert len(windows) > 10
    assert half in {25, 50}
    lines = BOOK.split("\n")
    for window in windows:
        first = tokenizer.decode(window.prompt)
        text = first + tokenizer.decode_continuation(window.target)
        assert text.decode() in BOOK
        assert half <= len(first) < half + 16
        assert 2 * half <= len(text) < 2 * half + 16
        assert window.place.line is not None
        assert text.decode().split("\n")[0] in lines[window.place.line - 1]


def test_no_window_crosses_documents(tokenizer: Tokenizer) -> None:
    place = Place("a", 1, None)
    text = b"".join(bytes([97 + i]) * 30 + b" ." * 40 + b"\xff" for i in range(20))
    windows, half = choose_windows(
        [Block(text, [0], [place])], len(text), tokenizer, context=200, lengths=(25,)
    )
    assert windows
    assert half == 25
    assert all(len(set(tokenizer.decode(w.prompt + w.target)) - set(b" .")) <= 1 for w in windows)
    assert choose_windows([Block(b"short", [0], [place])], 5, tokenizer, context=200)[0] == []


def test_the_flag_is_that_of_a_greedy_generation(
    run: Run, engine: Engine, tokenizer: Tokenizer
) -> None:
    windows, _ = windows_of(run, tokenizer)
    parts = [Window(w.prompt, w.target[:n], w.place) for w in windows for n in (1, 3, 8)]
    found = extract(engine, parts, tokenizer.special)
    assert {each.greedy for each in found} == {True, False}
    for window, extraction in zip(parts, found, strict=True):
        written: list[int] = []
        engine.reset(0)
        bos = tokenizer.special.bos
        assert bos is not None
        logits = engine.forward([0], [[bos, *window.prompt]])
        while len(written) < len(window.target):
            (token,) = choose_tokens(
                logits, Sampling(greedy=True), [row_random(0)], tokenizer.special
            ).tolist()
            written.append(token)
            logits = engine.forward([0], [[token]])
        assert extraction.greedy == (written == window.target)


def test_the_flag_is_that_of_fifty_texts_of_generate(
    trained: Shell, run: Run, engine: Engine, tokenizer: Tokenizer
) -> None:
    windows, _ = windows_of(run, tokenizer)
    parts = [
        Window(w.prompt, w.target[:n], w.place)
        for w in windows
        for n in (2, 5, 9)
        if tokenizer.encode(tokenizer.decode(w.prompt).decode()) == w.prompt
    ]
    assert len(parts) >= 50
    requests = [
        {"prompt": tokenizer.decode(part.prompt).decode(), "max_new_tokens": len(part.target)}
        for part in parts
    ]
    done = trained(
        "generate", "--run", "tale", "--jsonl", "--greedy", "--no-token-healing",
        stdin="".join(f"{json.dumps(request)}\n" for request in requests).encode(),
    )  # fmt: skip
    assert done.code == 0, done.err
    written = [json.loads(line)["tokens"] for line in done.out.splitlines()]
    found = [each.greedy for each in extract(engine, parts, tokenizer.special)]
    assert found == [own == part.target for own, part in zip(written, parts, strict=True)]
    assert set(found) == {True, False}


def test_the_probability_is_that_of_sampling(
    run: Run, engine: Engine, tokenizer: Tokenizer
) -> None:
    count = 10_000
    bos = tokenizer.special.bos
    assert bos is not None
    sampling = Sampling(top_k=40, temperature=1.0)
    windows, _ = windows_of(run, tokenizer)
    parts = [Window(w.prompt, w.target[:3], w.place) for w in windows[:8]]
    randoms = [row_random(1)] * count
    for window, extraction in zip(parts, extract(engine, parts, tokenizer.special), strict=True):
        left = count
        engine.reset(0)
        logits = engine.forward([0], [[bos, *window.prompt]])
        for token in window.target:
            if left:
                drawn = choose_tokens(
                    np.repeat(logits, left, 0), sampling, randoms[:left], tokenizer.special
                )
                left = int((drawn == token).sum())
            logits = engine.forward([0], [[token]])
        probability = math.exp(extraction.log_probability)
        tolerance = 4 * math.sqrt(probability * (1 - probability) / count) + 1e-3
        assert left / count == pytest.approx(probability, abs=tolerance)


def test_what_many_samples_give() -> None:
    half = Extraction(greedy=False, log_probability=math.log(0.5))
    assert half.possible_in(1, 0.5)
    assert not half.possible_in(1, 0.9)
    assert half.possible_in(4, 0.9)
    rare = Extraction(greedy=False, log_probability=math.log(0.001))
    assert not rare.possible_in(100, 0.5)
    assert rare.possible_in(1000, 0.5)
    assert not rare.possible_in(1000, 0.9)
    assert Extraction(greedy=True, log_probability=0.0).possible_in(1, 0.9)
    assert not Extraction(greedy=False, log_probability=-math.inf).possible_in(1000, 0.5)


def test_passages_are_counted() -> None:
    one, two = b"the first of two passages", b"and the other passage"
    data = b"\xff".join([one + b" " + two, one * 3, b"nothing"])
    blocks = [Block(data[:70], [0], [Place("a", 1, None)]), Block(data[70:], [0], [])]
    assert count_occurrences([one, two, b"not in there at all"], blocks) == [4, 1, 0]


def test_a_share_has_an_interval() -> None:
    low, high = Share(1000, 10).interval
    assert low < 0.01 < high
    assert (low, high) == pytest.approx((0.00544, 0.0183), abs=1e-4)  # Wilson's
    assert Share(0, 0).interval == (0, 1)


def test_an_audit_has_the_held_out_text_beside_it(
    run: Run, engine: Engine, tokenizer: Tokenizer
) -> None:
    told: list[float] = []
    audit = audit_memory(TrainingText(run), tokenizer, engine, windows=30, progress=told.append)
    assert audit is not None
    assert audit.held_out is not None
    assert told == sorted(told)
    assert told[-1] == 1
    assert sum(share.windows for _, _, share in audit.by_count) == audit.training.greedy.windows
    # every sentence is there a dozen times
    assert audit.by_count[2][2].windows > 0.9 * audit.training.greedy.windows
    scores = [passage.extraction.log_probability for passage in audit.worst]
    assert scores == sorted(scores, reverse=True)
    assert all(map(math.isfinite, scores)), "what cannot come out is not known"
