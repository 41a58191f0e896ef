"""Where a text comes from: planted passages, places in files of many kinds, chance."""

from __future__ import annotations

import json
import math
import random
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcli.errors import DataError, NotFoundError
from tfcli.insight.matches import WIDTH
from tfcli.insight.passages import common_prefix
from tfcli.insight.trace import BOUND, Trace, trace
from tfcli.insight.training_text import BLOCK, Block, TrainingText
from tfcli.insight.white_space import collapse, collapse_blocks
from tfcli.runs.corpus_metadata import CorpusMetadata
from tfcli.runs.run import Run
from tfcli.text.corpus import open_corpus
from tfcli.text.reading_options import DEFAULT, ReadingOptions

PLANTED = "the lighthouse keeper of Finisterre counted nineteen herons before breakfast"
VOCABULARY = [f"w{number}" for number in range(2000)]


def prose(words: int, seed: int = 0) -> str:
    rng = random.Random(seed)
    weights = [1 / rank for rank in range(1, len(VOCABULARY) + 1)]
    drawn = rng.choices(VOCABULARY, weights, k=words)
    return "\n".join(" ".join(drawn[i : i + 12]) for i in range(0, words, 12)) + "\n"


def training_text(
    folder: Path, *files: Path, reading: ReadingOptions = DEFAULT, val: float = 0.0
) -> TrainingText:
    """The text of a run that was trained on some files, as its `run.json` has it."""
    part = open_corpus(files, reading, cache=folder / "cache", val_fraction=val).parts[0]
    corpus = CorpusMetadata(
        sources=tuple(map(str, part.sources)), bytes=part.scan.bytes,
        documents=part.scan.documents, fingerprint=part.scan.fingerprint,
        training_bytes=part.scan.training_bytes, training_tokens=1, held_out=part.scan.held_out,
        held_out_bytes=0, token_cache="", reading=reading, parts=(), val=None,
        arguments=(), exclude=(), pairs=None,
    )  # fmt: skip
    record = json.loads(json.dumps(corpus, default=vars))
    return TrainingText(Run(folder / "run", {"corpus": record}))


def traced(folder: Path, text: str, training: str, name: str = "book.txt") -> Trace:
    (folder / name).write_text(training, encoding="utf-8")
    return trace(text.encode(), training_text(folder, folder / name))


@pytest.mark.parametrize(
    ("text", "training", "span"),
    [
        ("esta fortaleza de la torre", "desta fortaleza de la torre", "fortaleza de la torre"),
        ("por la sierra de la torre", "por la sierra de la torrecilla", "por la sierra de la"),
        ("esta fortaleza", "desta fortalezas", None),
        ("la 山の上にある古い城", "x山の上にある古い城だ", "山の上にある古い城"),
        ("niño de la casa roja", "pequeño niño de la casa roja", "niño de la casa roja"),
        ("ño de la casita roja", "un niño de la casita roja", "de la casita roja"),
    ],
)
def test_what_is_part_of_a_longer_word_there_is_no_match(
    tmp_path: Path, text: str, training: str, span: str | None
) -> None:
    found = traced(tmp_path, text, f"{prose(3000)}{training}\n{prose(3000, seed=2)}")
    assert [found.words_of(each) for each in found.spans] == ([span] if span else [])


def test_a_planted_passage_comes_back_with_file_and_line(tmp_path: Path) -> None:
    before, after = prose(3000), prose(300_000, seed=1)
    assert len(after) > BLOCK
    found = traced(tmp_path, f"He said {PLANTED}, so.", f"{before}and {PLANTED}.\n{after}")
    (span,) = found.spans
    assert found.words_of(span) == PLANTED
    assert (span.number, span.words, span.count) == (1, 10, 1)
    (passage,) = span.passages
    assert Path(passage.place.file).name == "book.txt"
    assert (passage.place.line, passage.place.row) == (before.count("\n") + 1, None)
    assert passage.before.endswith("and ")
    assert passage.after.startswith(". w")
    assert (found.longest and found.words_of(found.longest)) == PLANTED
    assert found.marked_bytes == len(PLANTED)


def test_training_text_gives_one_span_and_shuffled_text_none(tmp_path: Path) -> None:
    text = prose(300_000)
    (tmp_path / "book.txt").write_text(text)
    training = training_text(tmp_path, tmp_path / "book.txt")
    own = text[BLOCK - 20_000 : BLOCK + 20_000].split("\n", 1)[1].rsplit("\n", 1)[0]
    found = trace(own.encode(), training)
    assert [(span.begin, span.end, span.count) for span in found.spans] == [(0, len(own), 1)]
    assert all(row.text == 0 for row in found.novelty)
    words = own.split()
    random.Random(0).shuffle(words)
    shuffled = trace(" ".join(words).encode(), training)
    assert shuffled.marked_bytes < 0.02 * len(own)
    novelty = [row.text for row in shuffled.novelty]
    assert novelty[0] == 0
    assert novelty[-1] == 1


def test_a_sentence_on_one_line_is_found_where_it_is_wrapped(tmp_path: Path) -> None:
    wrapped = PLANTED.replace("keeper of ", "keeper\n    of\r\n").replace("counted", "counted\n\n")
    before = prose(3000)
    found = traced(
        tmp_path, f"So:  {PLANTED}, so", f"{before}and {wrapped}.\n{prose(3000, seed=1)}"
    )
    (span,) = found.spans
    assert (found.words_of(span), span.words, span.count) == (PLANTED, 10, 1)
    assert span.passages[0].place.line == before.count("\n") + 1
    other = traced(tmp_path, f"So: {wrapped}, so", f"{before}and {PLANTED}.\n{prose(3000, seed=1)}")
    (span,) = other.spans
    assert (other.words_of(span), span.words) == (wrapped, 10)
    assert other.longest
    assert other.words_of(other.longest) == wrapped


spaced = st.text(st.sampled_from("ab \n\t"), max_size=20).map(str.encode)


@given(st.lists(spaced, max_size=5))
def test_white_space_is_one_space_and_every_byte_knows_its_place(parts: list[bytes]) -> None:
    whole = b"".join(parts)
    found, origin = collapse(whole)
    assert found == re.sub(rb"\s+", b" ", whole)
    assert [whole[place : place + 1].replace(b"\n", b" ").replace(b"\t", b" ")
            for place in origin[:-1]] == [bytes([byte]) for byte in found]  # fmt: skip
    blocks = collapse_blocks(Block(part) for part in parts)
    assert b"".join(block.data for block in blocks) == found


def brute_force(text: str, training: str) -> list[str]:
    """What is marked of words with single spaces, by looking for every run of them."""
    own, words = text.split(), training.split()
    whole, counts, total = f" {' '.join(words)} ", Counter(words), len(words)
    runs: list[tuple[int, int]] = []
    for begin in range(len(own)):
        end = begin
        while end < len(own) and f" {' '.join(own[begin : end + 1])} " in whole:
            end += 1
        if not runs or end > runs[-1][1]:  # otherwise it is within the one before
            runs.append((begin, end))
    found = [own[begin:end] for begin, end in runs]
    return [
        " ".join(run)
        for run in found
        if len(" ".join(run)) >= WIDTH
        and total * math.prod(counts[word] / total for word in run) < BOUND
    ]


def test_samples_equal_brute_force(tmp_path: Path) -> None:
    training = prose(20_000)
    rng, words = random.Random(1), training.split()
    marked = 0
    for number in range(40):
        parts = []
        for _ in range(6):  # copies of some words, words of their own, and words drawn like them
            begin = rng.randrange(len(words) - 12)
            parts.append(words[begin : begin + rng.randrange(1, 12)])
            parts.append([rng.choice(["heron", *words])])
        text = " ".join(word for part in parts for word in part)
        found = traced(tmp_path, text, training)
        expected = brute_force(text, training)
        assert [" ".join(found.words_of(span).split()) for span in found.spans] == expected, number
        marked += len(expected)
    assert marked > 40


def test_all_places_are_counted_and_some_are_shown(tmp_path: Path) -> None:
    lines = [prose(12, seed=number) + PLANTED + "\n" for number in range(25)]
    (span,) = traced(tmp_path, PLANTED, "".join(lines)).spans
    assert span.count == 25
    assert [passage.place.line for passage in span.passages] == list(range(2, 22, 2))


def test_chance_is_n_times_the_product_of_shares(tmp_path: Path) -> None:
    training = "a b\n" * 500 + "rare words here stand alone\n" + "c d\n" * 500
    found = traced(tmp_path, "rare words here stand", training)
    total = 2005
    (span,) = found.spans
    assert found.training_words == total
    assert span.log10_expected == pytest.approx(math.log10(total * total**-4))
    common = traced(tmp_path, "aaaa bbbb\naaaa bbbb", "aaaa bbbb\n" * 500)
    assert common.spans == ()
    assert common.longest
    assert common.longest.words == 4
    assert BOUND == 0.01


def test_a_match_goes_through_long_runs_of_one_byte(tmp_path: Path) -> None:
    code = f"def keeper(herons):\n{' ' * 40}return lighthouse(herons)\n"
    found = traced(tmp_path, code, prose(2000) + code + prose(2000, seed=1))
    assert [found.words_of(span) for span in found.spans] == [code.rstrip()]


def test_a_text_that_repeats_itself_is_covered_once(tmp_path: Path) -> None:
    found = traced(tmp_path, f"{PLANTED}. " * 50, prose(3000) + f"{PLANTED}. " * 5)
    assert len(found.spans) <= 12
    assert found.marked_bytes > 0.95 * len(found.text)


@pytest.mark.parametrize(
    ("name", "content", "reading", "line", "row"),
    [
        ("a.jsonl", '{"text": "one"}\n\n{"text": "and PLANTED"}\n', DEFAULT, None, 3),
        ("a.csv", "text,n\none,1\nand PLANTED,2\n", DEFAULT, None, 2),
        ("a.txt", "one\n<|endoftext|>\ntwo\n<|endoftext|>\nand\nPLANTED\n", DEFAULT, 6, None),
        ("a.txt", "one\n\nand PLANTED\n", ReadingOptions(document="line"), 3, None),
        ("a.txt", "one\n\n\nand\nPLANTED\n\n", ReadingOptions(document="blank-line"), 5, None),
        ("a.txt", "one\n---\nand\nPLANTED\n", ReadingOptions(separator="---"), 4, None),
    ],
)  # fmt: skip
def test_places_in_files_of_many_kinds(
    name: str, content: str, reading: ReadingOptions, line: int | None, row: int | None,
    tmp_path: Path,
) -> None:  # fmt: skip
    (tmp_path / name).write_text(content.replace("PLANTED", PLANTED))
    (span,) = trace(
        PLANTED.encode(), training_text(tmp_path, tmp_path / name, reading=reading)
    ).spans
    place = span.passages[0].place
    assert (place.line, place.row) == (line, row)


def test_no_match_crosses_documents_or_files(tmp_path: Path) -> None:
    half = len(PLANTED) // 2
    (tmp_path / "a.txt").write_text(PLANTED[:half])
    (tmp_path / "b.txt").write_text(PLANTED[half:])
    found = trace(PLANTED.encode(), training_text(tmp_path, tmp_path / "a.txt", tmp_path / "b.txt"))
    files = [Path(span.passages[0].place.file).name for span in found.spans]
    assert files == ["a.txt", "b.txt"]


def test_held_out_text_is_not_training_text(tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_text(prose(5000) + PLANTED + "\n")
    training = training_text(tmp_path, path, val=0.1)
    found = trace(PLANTED.encode(), training)
    assert found.spans == ()
    assert found.longest is None
    assert found.held_out_bytes > 0
    assert [row.held_out is not None for row in found.novelty] == [True] * 10
    assert training_text(tmp_path, path).check() == []


def test_another_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_text(prose(1000))
    training = training_text(tmp_path, path)
    path.write_text(prose(1000).replace("w1 ", "w2 ", 1))
    with pytest.raises(DataError, match="not what it was trained on"):
        trace(b"w1 w2", training)
    path.rename(tmp_path / "moved.txt")
    with pytest.raises(NotFoundError):
        trace(b"w1 w2", training)
    (tmp_path / "moved.txt").write_text(prose(1000))
    moved = TrainingText(training.run, [str(tmp_path / "moved.txt")])
    assert trace(b"w1 w2", moved).training_words == 1000


def test_texts_that_cannot_be_traced(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no text"):
        traced(tmp_path, " \n", "one two three")
    run = training_text(tmp_path, tmp_path / "book.txt").run
    run.metadata["corpus"]["training_tokens"] = 0
    with pytest.raises(DataError, match="not known"):
        TrainingText(run)


@pytest.mark.parametrize("equal", [0, 1, 15, 16, 17, 40, 1000])
def test_common_prefix(equal: int) -> None:
    one, other = b"x" * equal + b"a", b"yy" + b"x" * equal + b"b"
    assert common_prefix(one, 0, other, 2) == equal
    assert common_prefix(one, 0, one, 0) == equal + 1
