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
from tfcli.text.infill_tokens import InfillTokens, find_infill_tokens, require_infill_tokens
from tfcli.text.sentencepiece_model import write_pieces
from tfcli.text.sentencepiece_tokenizer import SentencePieceTokenizer
from tfcli.training.batches import IGNORE_INDEX
from tfcli.training.examples import Examples, WindowSampler, document_end, make_examples
from tfcli.training.infilling import SHORTEST, Infilling
from tfcli.training.objectives import NextToken
from tfcli.training.packing import PackedSampler


@cache
def tokenizer() -> SentencePieceTokenizer:
    """One from elsewhere, which puts a space before a text and has few words."""
    return SentencePieceTokenizer(write_pieces(llama_like_pieces(gemma=False)))


OWN = require_infill_tokens(tokenizer())
OLD = OWN._replace(end=document_end(tokenizer().special))  # of runs before a middle had its own end
ADDED = 5  # tokens that a rearranged text has in addition: PRE, SUF, MID, END, and its document's


def infilling(share: float, tokens: InfillTokens = OWN) -> Infilling:
    return Infilling(tokenizer(), tokens, share=share)


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


def texts_of(row: Examples, infill: InfillTokens = OWN) -> list[tuple[str, str]]:
    """How each text of a row is written, and the text itself."""
    own = tokenizer()
    first, last = np.flatnonzero(row.is_target[0] | np.isin(row.ids[0], infill))[[0, -1]]
    ids = row.ids[0, first : last + 1]
    ends = [document_end(own.special), infill.end]
    texts = []
    for part in np.split(ids, np.flatnonzero(np.isin(ids, ends)) + 1):
        kept = part[~np.isin(part, ends)]
        if not len(kept):
            continue
        if kept[0] != infill.prefix:
            texts.append(("plain", own.decode_continuation(kept)))
            continue
        suffix, middle = (int(np.flatnonzero(kept == token)[0]) for token in infill.markers[1:])
        a, b, c = kept[1:suffix], kept[suffix + 1 : middle], kept[middle + 1 :]
        way = "PSM" if suffix > 1 or b.size == 0 else "SPM"
        order = (a, c, b) if suffix > 1 else (c, b)
        texts.append((way, b"".join(map(own.decode_continuation, order))))
    return [(way, text.decode(errors="ignore")) for way, text in texts]


LETTERS = st.text("etaoin ñé日\n▁", min_size=SHORTEST, max_size=40)


TOKENS = st.sampled_from([OWN, OLD])


@given(st.lists(LETTERS, min_size=1, max_size=4), st.integers(0, 2**40), st.integers(0, 99), TOKENS)
def test_the_parts_of_each_text_rejoin_to_it(
    texts: list[str], seed: int, step: int, tokens: InfillTokens
) -> None:
    row = rows(*texts, length=900)
    made = infilling(1.0, tokens).rearrange(row, seed=seed, step=step)
    assert made.ids.shape == row.ids.shape
    assert "".join(text for _, text in texts_of(made, tokens)) == "".join(texts)


@given(LETTERS, st.integers(0, 99), st.floats(0, 1), TOKENS)
def test_a_full_row_stays_as_long_and_loses_only_ends_of_its_text(
    text: str, step: int, share: float, tokens: InfillTokens
) -> None:
    length = len(tokenizer().encode_continuation(text)) + 1
    row = rows(text, length=length)
    made = infilling(share, tokens).rearrange(row, seed=1, step=step)
    assert made.ids.shape == row.ids.shape
    kept = [part for _, part in texts_of(made, tokens)]
    assert kept[0] in text
    lost = len(text) - len("".join(kept))
    assert lost <= len(kept) * (ADDED + 2)


def test_both_orders_and_plain_texts_come_by_their_shares() -> None:
    row = rows(*["the ship in the inn"] * 40, length=1600)
    made = [infilling(0.5).rearrange(row, seed=5, step=s) for s in range(50)]
    ways = [way for each in made for way, _ in texts_of(each)]
    shares = [ways.count(way) / len(ways) for way in ("plain", "PSM", "SPM")]
    assert shares == pytest.approx([0.5, 0.25, 0.25], abs=0.04)


def test_half_of_the_gaps_are_cut_before_words() -> None:
    text = " ".join(["constellation"] * 20)  # few of its places are before a word
    row = rows(text, length=900)
    before_words = 0
    for step in range(200):
        made = infilling(1.0).rearrange(row, seed=5, step=step)
        ids = made.ids[0].tolist()
        middle = ids[ids.index(OWN.middle) + 1 : ids.index(OWN.end)]
        suffix = ids[ids.index(OWN.suffix) + 1 : ids.index(OWN.middle)]
        psm = ids.index(OWN.suffix) - ids.index(OWN.prefix) > 1
        ends = [part for part in ((middle, suffix) if psm else (suffix,)) if part]
        starts = [tokenizer().decode_continuation(part)[:1] == b" " for part in ends]
        before_words += all(starts)
    assert before_words / 200 == pytest.approx(0.5, abs=0.15)


def test_a_text_ends_where_its_document_does_and_a_middle_with_a_token_of_its_own() -> None:
    """A document is read in parts, some with their middle last; only its last part ends it."""
    document = "the ship in the inn and the net in the tin " * 9
    row = rows(document, document, length=900)
    own, end = tokenizer(), document_end(tokenizer().special)
    parts = 0
    for step in range(20):
        ids = infilling(0.8).rearrange(row, seed=3, step=step).ids[0]
        texts = np.split(ids, np.flatnonzero(ids == end) + 1)
        assert np.count_nonzero(ids == end) == 2
        for text in texts[:2]:
            read = own.decode_continuation(text[~np.isin(text, OWN)])
            assert len(read) == len(document)
        middles, ends = np.flatnonzero(ids == OWN.middle), np.flatnonzero(ids == OWN.end)
        assert (middles < ends).all()
        assert (ends[:-1] < middles[1:]).all()
        parts += len(ends)
    assert parts > 2 * 20  # of 2 documents in 20 steps


def test_middles_of_an_earlier_build_end_as_documents_do() -> None:
    row = rows(*["the ship in the inn"] * 9, length=300)
    ids = infilling(1.0, OLD).rearrange(row, seed=1, step=1).ids
    assert np.count_nonzero(ids == OLD.end) == 9
    assert not (ids == OWN.end).any()


def test_infill_tokens_are_read_but_never_predicted_and_ends_are() -> None:
    objective = NextToken(tokenizer().special, token_dropout=0.9, infilling=infilling(1.0))
    batch = objective.training_batch(rows(*["the ship in"] * 9, length=300), seed=1, step=1)
    for token in OWN.markers:
        assert np.count_nonzero(batch.inputs == token) == 9  # token dropout left them
        assert not np.any(batch.targets == token)
    after = batch.targets[np.isin(batch.inputs, OWN.markers)]
    assert np.count_nonzero(after != IGNORE_INDEX)
    for end in (OWN.end, document_end(tokenizer().special)):
        assert np.count_nonzero(batch.targets == end) == 9


def test_packed_rows_keep_their_beginning_and_their_padding() -> None:
    own = tokenizer()
    end = document_end(own.special)
    ids = [token for _ in range(9) for token in (*own.encode_continuation("the ship in"), end)]
    packed = PackedSampler(
        np.array(ids, np.uint16), context=60, rows=4, special=own.special, seed=1
    ).examples(0)
    made = infilling(1.0).rearrange(packed, seed=1, step=0)
    assert (made.ids[:, :2] == packed.ids[:, :2]).all()
    assert not made.is_target[:, :2].any()
    assert made.is_target.any(1).all()
    assert (made.segments == (made.ids == end).cumsum(1)).all()


def test_a_row_is_a_function_of_seed_and_step() -> None:
    own = tokenizer()
    ids = np.array(own.encode_continuation(BOOK[:4000]), np.uint16)
    sampler = WindowSampler(ids, context=64, rows=8, special=own.special, seed=1)
    half = infilling(0.5)

    def at(seed: int, step: int) -> bytes:
        return half.rearrange(sampler.examples(0), seed=seed, step=step).ids.tobytes()

    assert at(1, 2) == at(1, 2)
    assert len({at(1, 2), at(1, 3), at(2, 2)}) == 3


def test_infill_tokens_are_tokens_of_no_text() -> None:
    spelled = [tokenizer().token_bytes[token] for token in OWN]
    assert spelled == [b"\xc0", b"\xc1", b"\xf5", b"\xf6"]
    every = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000, 7)]))
    assert not {*OWN} & {*tokenizer().encode(every)}
    assert find_infill_tokens(tiny_tokenizer(20)) is None
    with pytest.raises(UsageError, match="no tokens to mark a gap"):
        require_infill_tokens(tiny_tokenizer(20))


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
