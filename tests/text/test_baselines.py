"""Baselines against plain counting in dictionaries, the entropy of a source, and gzip."""

from __future__ import annotations

import gzip
import math
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcli.text.baselines import (
    LONG_ORDER,
    ORDER,
    choose_discounts,
    compare_texts,
    gzip_nats,
    ngram_probabilities,
)
from tfcli.text.chunks import Chunk

BORDER = b"\xff"

# Few letters, so that n-grams repeat; or any byte.
small_texts = st.text("ab\n", max_size=60).map(str.encode) | st.binary(max_size=30)
orders = st.integers(1, 8)


class PlainKneserNey:
    """The formula of `ngram_probabilities` with a dictionary per order, byte by byte."""

    def __init__(self, training: bytes, order: int) -> None:
        padded = BORDER * (order - 1) + training
        longest = Counter(padded[i : i + order] for i in range(len(training)))
        self.counts = {order: longest}
        for length in range(order - 1, 0, -1):
            self.counts[length] = Counter(gram[1:] for gram in self.counts[length + 1])

    def discount(self, length: int, count: int) -> float:
        if count == 0:
            return 0.0
        n1, n2, n3, n4 = (
            sum(c == times for c in self.counts[length].values()) for times in (1, 2, 3, 4)
        )
        i = min(count, 3)
        fewer, more = {1: (n1, n2), 2: (n2, n3), 3: (n3, n4)}[i]
        if n1 + n2 == 0 or fewer == 0:
            return i / 2
        estimate = i - (i + 1) * n1 / (n1 + 2 * n2) * more / fewer
        return estimate if 0 < estimate < i else i / 2

    def probability(self, history: bytes, byte: int) -> float:
        length = len(history) + 1
        counts = self.counts[length]
        lower = self.probability(history[1:], byte) if history else 1 / 256
        followers = [counts[history + bytes([b])] for b in range(256)]
        total = sum(followers)
        if total == 0:
            return lower
        left = sum(self.discount(length, c) for c in followers) / total
        own = followers[byte] - self.discount(length, followers[byte])
        return max(0.0, own) / total + left * lower


# --- n-grams ------------------------------------------------------------------------------------


@given(training=small_texts.filter(len), text=small_texts, order=orders)
@settings(max_examples=60, deadline=None)
def test_probabilities_equal_plain_counting(training: bytes, text: bytes, order: int) -> None:
    text = (training[:5] + text)[:12]  # some of it occurs in training
    plain = PlainKneserNey(training, order)
    padded = BORDER * (order - 1) + text
    expected = [plain.probability(padded[i : i + order - 1], byte) for i, byte in enumerate(text)]
    assert ngram_probabilities(training, text, order=order) == pytest.approx(expected, rel=1e-9)


@given(training=small_texts.filter(len), history=st.binary(max_size=7), seen=st.booleans())
@settings(deadline=None)
def test_probabilities_of_all_bytes_sum_to_one(training: bytes, history: bytes, seen: bool) -> None:
    if seen:
        history = training[-len(history) or len(training) :]
    order = len(history) + 1
    text = b"".join(history + bytes([byte]) for byte in range(256))
    every = ngram_probabilities(training, text, order=order)[order - 1 :: order]
    assert len(every) == 256
    assert every.min() > 0
    assert every.sum() == pytest.approx(1, rel=1e-9)


def test_example_computed_by_hand() -> None:
    """For "aab" with order 1: one byte occurs once (b), one twice (a), none more often."""
    # Y = 1 / (1 + 2); D(1) = 1 - 2/3 * 1/1 = 1/3; D(2) = 2 - 3/3 * 0/1 = 2, too much: half of 2
    left = (1 + 1 / 3) / 3 / 256
    expected = [(2 - 1) / 3 + left, (1 - 1 / 3) / 3 + left, left]
    assert ngram_probabilities(b"aab", b"abc", order=1) == pytest.approx(expected)


def test_discounts_equal_the_published_ones_where_defined() -> None:
    """Chen & Goodman 1999, equation 26, for many n-grams of each count."""
    n1, n2, n3, n4 = 40_000, 12_000, 6_000, 3_500
    counts = np.repeat([1, 2, 3, 4, 90], [n1, n2, n3, n4, 20_000])
    y = n1 / (n1 + 2 * n2)
    expected = [0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3]
    assert choose_discounts(counts) == pytest.approx(expected, rel=1e-12)


@given(counts=st.lists(st.integers(1, 9), min_size=1, max_size=50))
def test_discount_is_positive_but_below_the_count(counts: list[int]) -> None:
    discounts = choose_discounts(np.array(counts))
    assert discounts[0] == 0
    for count in (1, 2, 3):
        assert 0 < discounts[count] < count


# --- both baselines -----------------------------------------------------------------------------


def words(size: int, seed: int = 0) -> bytes:
    """About `size` bytes of words from a small vocabulary, some frequent, some rare."""
    chance = random.Random(seed)
    speaker = random.Random(7)  # the same vocabulary for every seed
    vocabulary = [
        "".join(speaker.choices("etaoinshrdlu", k=speaker.randint(2, 9))) for _ in range(400)
    ]
    weights = [1 / (rank + 1) for rank in range(400)]
    return " ".join(chance.choices(vocabulary, weights, k=size // 5)).encode()


def whole(text: bytes) -> list[Chunk]:
    return [Chunk(text, last=True)]


def test_no_baseline_beats_the_entropy_of_a_memoryless_source() -> None:
    letters = random.Random(1).choices(b"0123456789abcdef", k=60_000)
    measured = compare_texts(whole(bytes(letters[10_000:])), whole(bytes(letters[:10_000])))
    assert measured is not None
    assert math.log(16) * 0.99 < measured.ngram < math.log(16) * 1.15
    assert math.log(16) * 0.99 < measured.gzip < math.log(16) * 1.15


def test_repeated_text_has_low_loss() -> None:
    text = random.Random(2).randbytes(3000).replace(BORDER, b"")
    known = compare_texts(whole(text) * 3, whole(text))
    new = compare_texts(whole(text[:1500]), whole(text[1500:]))
    assert known is not None and new is not None
    assert new.gzip == pytest.approx(math.log(256), rel=0.02)
    assert new.ngram == pytest.approx(math.log(256), rel=0.03)
    assert known.gzip < 0.1
    assert known.ngram < math.log(2)  # of a count of three, half is discounted


def test_ngram_loss_falls_with_more_text() -> None:
    held_out = whole(words(4_000, seed=1))
    costs = []
    for size in (1_000, 10_000, 100_000):
        measured = compare_texts(whole(words(size)), held_out)
        assert measured is not None
        costs.append(measured.ngram)
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] < 0.8 * costs[0]


def test_duplicated_text_counts_about_once() -> None:
    training, held_out = words(30_000), words(4_000, seed=1)
    once = compare_texts(whole(training), whole(held_out))
    twice = compare_texts(whole(training) * 2, whole(held_out))
    assert once is not None and twice is not None
    assert twice.ngram == pytest.approx(once.ngram, rel=0.05)


def test_gzip_loss_is_the_added_size_after_the_training_text() -> None:
    training, text = words(200_000), words(30_000, seed=1)
    added = len(gzip.compress(training + text)) - len(gzip.compress(training))
    assert gzip_nats(training, text) == pytest.approx(added * 8 * math.log(2), rel=0.01)


def test_ends_of_documents_count_as_loss_but_not_as_bytes() -> None:
    documents = [b"a ship", b"a sheep", b"an ape"]
    measured = compare_texts(whole(b"a shape, an ape"), [Chunk(d, True) for d in documents])
    assert measured is not None
    plain = PlainKneserNey(b"a shape, an ape" + BORDER, ORDER)
    text = b"".join(document + BORDER for document in documents)
    padded = BORDER * (ORDER - 1) + text
    nats = -sum(
        math.log(plain.probability(padded[i : i + ORDER - 1], byte)) for i, byte in enumerate(text)
    )
    assert measured.held_out_bytes == sum(map(len, documents))
    assert measured.training_bytes == 15
    assert measured.ngram == pytest.approx(nats / measured.held_out_bytes)


@given(st.lists(st.integers(0, 2000), max_size=6), st.lists(st.integers(0, 700), max_size=6))
@settings(max_examples=20, deadline=None)
def test_chunk_boundaries_make_no_difference(cuts: list[int], other_cuts: list[int]) -> None:
    def cut(text: bytes, at: list[int]) -> list[Chunk]:
        parts = [text[a:b] for a, b in zip([0, *sorted(at)], [*sorted(at), len(text)], strict=True)]
        return [Chunk(part, last=False) for part in parts[:-1]] + [Chunk(parts[-1], last=True)]

    training, held_out = words(2000), words(700, seed=1)
    in_one = compare_texts(whole(training), whole(held_out), training_limit=900, held_out_limit=300)
    assert in_one == compare_texts(
        cut(training, cuts), cut(held_out, other_cuts), training_limit=900, held_out_limit=300
    )


def test_limits_take_the_end_of_training_and_the_start_of_held_out() -> None:
    training, held_out = words(5000), words(900, seed=1)
    measured = compare_texts(
        whole(training), whole(held_out), training_limit=2000, held_out_limit=300
    )
    part = compare_texts(whole(training[-1999:]), [Chunk(held_out[:300], last=False)])
    assert measured == part
    assert part is not None
    assert (part.training_bytes, part.held_out_bytes) == (1999, 300)


def test_held_out_text_is_read_no_further_than_its_limit() -> None:
    def chunks() -> Iterator[Chunk]:
        yield Chunk(b"x" * 100, last=False)
        raise AssertionError("this was not needed")

    measured = compare_texts(whole(b"x"), chunks(), held_out_limit=100)
    assert measured is not None


def test_empty_held_out_text_has_no_baselines() -> None:
    assert compare_texts(whole(b"text"), []) is None


def test_module_does_not_import_torch() -> None:
    code = "import sys, tfcli.text.baselines; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_ngrams_are_longer_where_characters_are() -> None:
    def order(text: str) -> int:
        chunks = [Chunk(text.encode(), last=True)]
        measured = compare_texts(chunks, chunks)
        assert measured is not None
        return measured.ngram_order

    assert order("Anna sah den Bären. " * 20) == ORDER
    assert order("Анна увидела медведя. " * 20) == order("吾輩は猫である。" * 20) == LONG_ORDER
