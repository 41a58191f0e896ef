"""The figures of groups are those of their texts, scored one by one."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import numpy as np
import pytest

from tfcli.errors import DataError
from tfcli.generation.engines.numpy_engine import NumpyEngine
from tfcli.generation.scorer import Scorer
from tfcli.insight import statistics
from tfcli.insight.groups import PIECE, DocumentPiece, audit_groups, read_pieces
from tfcli.insight.statistics import ratio_interval
from tfcli.model.transformer import Transformer
from tfcli.text.reading_options import DEFAULT
from tfcli.text.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def engine(model: Transformer) -> NumpyEngine:
    weights = {name: p.detach().numpy() for name, p in model.named_parameters()}
    return NumpyEngine(model.config, weights, 4)


def test_figures_are_sums_over_documents(engine: NumpyEngine, tokenizer: Tokenizer) -> None:
    texts = {"one": ["Ann saw the moon.", "Bob saw él mismo."], "two": ["日本語", "xyzzy " * 30]}
    pieces = [DocumentPiece(name, text) for name, own in texts.items() for text in own]
    found = audit_groups(engine, tokenizer, pieces, rows=4)
    scorer = Scorer(engine, tokenizer, rows=4)
    expected = {name: scorer.whole(own) for name, own in texts.items()}
    assert [group.name for group in found] == sorted(
        texts, key=lambda name: expected[name].nats_per_byte
    )
    for group in found:
        whole = expected[group.name]
        assert group.nats_per_byte.value == pytest.approx(whole.nats_per_byte)
        assert group.tokens_per_byte.value == pytest.approx(len(whole.ids) / whole.bytes)
        assert (group.documents, group.bytes) == (2, whole.bytes)
        assert (group.few, group.interval_over) == (True, "pieces")
        ratio = whole.nats_per_byte / expected[found[0].name].nats_per_byte
        assert group.ratio == pytest.approx(ratio)


def test_one_document_has_no_interval_and_many_have(
    engine: NumpyEngine, tokenizer: Tokenizer
) -> None:
    single, many = (
        [DocumentPiece("single", "Ann saw.")],
        [DocumentPiece("many", f"Bob {n}.") for n in range(12)],
    )
    found = audit_groups(engine, tokenizer, single + many, rows=4)
    assert [(each.name, each.ratio == 1) for each in found] == [("many", True), ("single", False)]
    for group in found:
        loss = group.nats_per_byte
        if group.name == "single":
            assert (loss.low, loss.high, group.few) == (None, None, True)
        else:
            assert loss.low is not None
            assert loss.high is not None
            assert loss.low < loss.value < loss.high
            assert (group.few, group.interval_over) == (False, "documents")


def test_pieces_are_the_text_and_know_their_group(tmp_path: Path) -> None:
    rng = random.Random(0)
    book = "".join(rng.choice("ab é月.\n ") for _ in range(9 * PIECE))
    endless = "月" * 5 * PIECE
    (tmp_path / "book.txt").write_text(book)
    (tmp_path / "endless.txt").write_text(endless)
    files = [tmp_path / "book.txt", tmp_path / "endless.txt"]
    pieces = list(read_pieces(files, DEFAULT))
    for name, text in (("book.txt", book), ("endless.txt", endless)):
        own = [piece for piece in pieces if piece.group == name]
        assert "".join(piece.text for piece in own) == text
        assert [piece.ends for piece in own] == [*[False] * (len(own) - 1), True]
        assert all(PIECE <= len(piece.text.encode()) <= 2 * PIECE + 3 for piece in own[:-1])


def test_groups_are_values_of_a_field(tmp_path: Path) -> None:
    rows = [{"text": "a b", "meta": {"lang": "en"}}, {"text": "c d", "meta": {"lang": "es"}},
            {"text": "e f", "meta": {}}, {"text": "g h", "meta": {"lang": 7}}]  # fmt: skip
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    found = [(piece.group, piece.text) for piece in read_pieces([path], DEFAULT, "meta.lang")]
    assert found == [("en", "a b"), ("es", "c d"), ("(none)", "e f"), ("7", "g h")]
    table = tmp_path / "rows.csv"
    table.write_text("text,lang\nHello there,en\nBuenos días,es\n")
    assert [piece.group for piece in read_pieces([table], DEFAULT, "lang")] == ["en", "es"]
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {"text": ["Hello there", "Buenos días"], "year": [1990, 1991]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "rows.parquet")
    of_parquet = read_pieces([tmp_path / "rows.parquet"], DEFAULT, "year")
    assert [piece.group for piece in of_parquet] == ["1990", "1991"]
    with pytest.raises(DataError, match="has the field 'language'") as caught:
        list(read_pieces([table], DEFAULT, "language"))
    assert caught.value.why == "its fields: lang, text"


def test_the_interval_of_a_ratio_covers_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """95 % of the time, where documents are long or short and their losses differ."""
    monkeypatch.setattr(statistics, "RESAMPLES", 1000)
    rng = np.random.default_rng(1)
    covered, trials = 0, 1500
    for trial in range(trials):
        sizes = rng.integers(50, 2000, 25).astype(float)
        nats = sizes * rng.normal(1.5, 0.3, 25)
        low, high = ratio_interval(nats, sizes, seed=trial)
        covered += low <= 1.5 <= high
    assert 0.93 <= covered / trials <= 0.97
    assert math.isinf(ratio_interval(np.ones(1), np.ones(1))[0])
