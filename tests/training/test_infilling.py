"""Infilling: rows whose texts have their middle last still hold the text, and nothing else."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import BOOK
from tests.tokenizers import llama_like_pieces, tiny_tokenizer
from tests.training.conftest import StopAfter, Workshop
from tests.training.conftest import workshop as workshop
from tests.training.test_loop import final_bits, losses
from tfcli.errors import UsageError
from tfcli.runs.run import open_run
from tfcli.text.infill_tokens import find_infill_tokens
from tfcli.text.sentencepiece_model import write_pieces
from tfcli.text.sentencepiece_tokenizer import SentencePieceTokenizer
from tfcli.text.tokenizer import Tokenizer
from tfcli.training.batches import IGNORE_INDEX
from tfcli.training.examples import Examples, WindowSampler, document_end, make_examples
from tfcli.training.infilling import ADDED, SHORTEST, Infilling
from tfcli.training.objectives import NextToken
from tfcli.training.packing import PackedSampler


@cache
def tokenizer() -> SentencePieceTokenizer:
    """One from elsewhere, which puts a space before a text and has few words."""
    return SentencePieceTokenizer(write_pieces(llama_like_pieces(gemma=False)))


def rows(*texts: str, length: int) -> Examples:
    """A row of texts, each with its end, in `length` tokens after BOS."""
    own = tokenizer()
    assert own.special.bos is not None
    end = document_end(own.special)
    ids = [token for text in texts for token in (*own.encode_continuation(text), end)]
    assert len(ids) <= length
    row = np.full((1, length + 1), own.special.bos, np.int64)
    row[0, 1 : len(ids) + 1] = ids
    is_target = np.arange(length + 1) < len(ids) + 1
    is_target[0] = False
    return make_examples(row, is_target[None], own.special)


def texts_of(row: Examples, own: Tokenizer) -> list[tuple[str, str]]:
    """How each text of a row is written, and the text itself."""
    infill = find_infill_tokens(own)
    assert infill is not None
    first, last = np.flatnonzero(row.is_target[0] | np.isin(row.ids[0], infill))[[0, -1]]
    ids = row.ids[0, first : last + 1]
    ends = np.flatnonzero(ids == document_end(own.special)) + 1
    texts = []
    for part in np.split(ids, ends):
        if not len(part):
            continue
        kept = part[part != document_end(own.special)]
        if kept[0] != infill.prefix:
            texts.append(("plain", own.decode_continuation(kept)))
            continue
        suffix, middle = (int(np.flatnonzero(kept == token)[0]) for token in infill[1:])
        a, b, c = kept[1:suffix], kept[suffix + 1 : middle], kept[middle + 1 :]
        way = "PSM" if suffix > 1 or b.size == 0 else "SPM"
        order = (a, c, b) if suffix > 1 else (c, b)
        texts.append((way, b"".join(map(own.decode_continuation, order))))
    return [(way, text.decode(errors="ignore")) for way, text in texts]


LETTERS = st.text("etaoin ñé日\n▁", min_size=SHORTEST, max_size=40)


@given(st.lists(LETTERS, min_size=1, max_size=4), st.integers(0, 2**40), st.integers(0, 99))
def test_the_parts_of_each_text_rejoin_to_it(texts: list[str], seed: int, step: int) -> None:
    row = rows(*texts, length=900)
    made = Infilling(tokenizer(), share=1.0).rearrange(row, seed=seed, step=step)
    assert made.ids.shape == row.ids.shape
    assert "".join(text for _, text in texts_of(made, tokenizer())) == "".join(texts)


@given(LETTERS, st.integers(0, 99), st.floats(0, 1))
def test_a_full_row_stays_as_long_and_loses_only_ends_of_its_text(
    text: str, step: int, share: float
) -> None:
    length = len(tokenizer().encode_continuation(text)) + 1
    row = rows(text, length=length)
    made = Infilling(tokenizer(), share=share).rearrange(row, seed=1, step=step)
    assert made.ids.shape == row.ids.shape
    kept = [part for _, part in texts_of(made, tokenizer())]
    assert kept[0] in text
    lost = len(text) - len("".join(kept))
    assert lost <= len(kept) * (ADDED + 2)


def test_both_orders_and_plain_texts_come_by_their_shares() -> None:
    row = rows(*["the ship in the inn"] * 40, length=1600)
    made = [Infilling(tokenizer(), share=0.5).rearrange(row, seed=5, step=s) for s in range(50)]
    ways = [way for each in made for way, _ in texts_of(each, tokenizer())]
    shares = [ways.count(way) / len(ways) for way in ("plain", "PSM", "SPM")]
    assert shares == pytest.approx([0.5, 0.25, 0.25], abs=0.04)


def test_infill_tokens_are_read_but_never_predicted_and_ends_are() -> None:
    infill = find_infill_tokens(tokenizer())
    assert infill is not None
    objective = NextToken(
        tokenizer().special, token_dropout=0.9, infilling=Infilling(tokenizer(), share=1.0)
    )
    batch = objective.training_batch(rows(*["the ship in"] * 9, length=300), seed=1, step=1)
    for token in infill:
        assert np.count_nonzero(batch.inputs == token) == 9  # token dropout left them
        assert not np.any(batch.targets == token)
    after = batch.targets[np.isin(batch.inputs, infill)]
    assert np.count_nonzero(after != IGNORE_INDEX)
    assert np.count_nonzero(batch.targets == document_end(tokenizer().special)) == 9


def test_packed_rows_keep_their_beginning_and_their_padding() -> None:
    own = tokenizer()
    end = document_end(own.special)
    ids = [token for _ in range(9) for token in (*own.encode_continuation("the ship in"), end)]
    packed = PackedSampler(
        np.array(ids, np.uint16), context=60, rows=4, special=own.special, seed=1
    ).examples(0)
    made = Infilling(own, share=1.0).rearrange(packed, seed=1, step=0)
    assert (made.ids[:, :2] == packed.ids[:, :2]).all()
    assert not made.is_target[:, :2].any()
    assert made.is_target.any(1).all()
    assert (made.segments == (made.ids == end).cumsum(1)).all()


def test_a_row_is_a_function_of_seed_and_step() -> None:
    own = tokenizer()
    ids = np.array(own.encode_continuation(BOOK[:4000]), np.uint16)
    sampler = WindowSampler(ids, context=64, rows=8, special=own.special, seed=1)
    infilling = Infilling(own, share=0.5)

    def at(seed: int, step: int) -> bytes:
        return infilling.rearrange(sampler.examples(0), seed=seed, step=step).ids.tobytes()

    assert at(1, 2) == at(1, 2)
    assert len({at(1, 2), at(1, 3), at(2, 2)}) == 3


def test_infill_tokens_are_tokens_of_no_text() -> None:
    infill = find_infill_tokens(tokenizer())
    assert infill is not None
    assert [tokenizer().token_bytes[token] for token in infill] == [b"\xc0", b"\xc1", b"\xf5"]
    every = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000, 7)]))
    assert not {*infill} & {*tokenizer().encode(every)}
    assert find_infill_tokens(tiny_tokenizer(20)) is None
    with pytest.raises(UsageError, match="no tokens to mark a gap"):
        Infilling(tiny_tokenizer(20), share=0.5)


# --- training -----------------------------------------------------------------------------------


def test_training_with_infilling_resumes_to_the_same_bits(workshop: Workshop) -> None:
    job = workshop.job(steps=8, infill=0.5, context_length=32, token_dropout=0.1)
    list(workshop.begin("whole", job).events())
    list(workshop.begin("parts", job, stop=StopAfter(3)).events())
    list(workshop.resume("parts").events())
    assert final_bits(workshop.folder / "parts") == final_bits(workshop.folder / "whole")
    assert open_run(workshop.folder / "parts").metadata["plan"]["infill"] == 0.5


def test_share_0_is_training_without_and_another_share_is_not(workshop: Workshop) -> None:
    list(workshop.begin("none", workshop.job(context_length=32)).events())
    for name, share in (("zero", 0.0), ("half", 0.5)):
        list(workshop.begin(name, workshop.job(context_length=32, infill=share)).events())
    assert final_bits(workshop.folder / "none") == final_bits(workshop.folder / "zero")
    assert losses(workshop.folder / "none") != losses(workshop.folder / "half")
