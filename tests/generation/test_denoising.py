"""Denoising and the bound, with a model that is exact: a Markov chain of which all is known."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tokenizers import ByteTokenizer
from tfcli.generation.bound import Bound, BoundEstimator, estimate, masked_nats
from tfcli.generation.denoising import Canvas, Denoiser, DenoisingOptions
from tfcli.generation.gap_characters import GapCharacters
from tfcli.generation.request import Sampling
from tfcli.generation.sampling import row_random
from tfcli.options import OptionError
from tfcli.text.tokenizer import SpecialTokens

MASK = 0
AS_IT_IS = Sampling(temperature=1.0, min_p=0.0)
LETTERS = ByteTokenizer([b"", b"a", b"b", b"c"], SpecialTokens(None, None, MASK, frozenset({MASK})))


class Chain:
    """A Markov chain over the letters a, b and c, with its exact conditionals."""

    def __init__(self, seed: int, length: int = 12) -> None:
        random = np.random.default_rng(seed)
        self.start = random.dirichlet(np.ones(3))
        self.steps = random.dirichlet(np.full(3, 0.5), 3)
        self.mask, self.length, self.vocab_size = MASK, length, 4

    def probability(self, word: tuple[int, ...]) -> float:
        """Of a word of ids 1 to 3."""
        found = self.start[word[0] - 1]
        for one, other in itertools.pairwise(word):
            found *= self.steps[one - 1, other - 1]
        return float(found)

    def logits(self, ids: Any, wanted: Any) -> Any:
        """By summing over everything that the masked tokens could be."""
        return np.array(
            [
                self._logits(tuple(row), place)
                for row, flags in zip(ids.tolist(), wanted, strict=True)
                for place in flags.nonzero()[0].tolist()
            ]
        ).reshape(-1, 4)

    def _logits(self, row: tuple[int, ...], place: int) -> list[float]:
        ways = [range(1, 4) if token == MASK else [token] for token in row]
        ways[place] = range(1, 4)
        found = np.zeros(4)
        for word in itertools.product(*ways):
            found[word[place]] += self.probability(word)
        with np.errstate(divide="ignore"):
            logits: list[float] = np.log(found).tolist()
        return logits


class Random:
    """Predictions that fit no distribution: logits from a hash of what is read."""

    def __init__(self, length: int = 12) -> None:
        self.mask, self.length, self.vocab_size = MASK, length, 4

    def logits(self, ids: Any, wanted: Any) -> Any:
        """Different for every text and place."""
        rows = [
            np.random.default_rng([*row, place]).normal(size=4)
            for row, flags in zip(ids.tolist(), wanted, strict=True)
            for place in flags.nonzero()[0].tolist()
        ]
        found = np.array(rows).reshape(-1, 4)
        found[:, MASK] = -np.inf
        return found


def all_masks(model: Any, word: list[int]) -> float:
    """The bound from its definition: every number of masks, every choice of them."""
    length, total = len(word), 0.0
    for count in range(1, length + 1):
        choices = list(itertools.combinations(range(length), count))
        masks = np.zeros((len(choices), length), np.bool_)
        for row, choice in enumerate(choices):
            masks[row, list(choice)] = True
        total += length / count * masked_nats(model, np.array(word), masks).mean()
    return total / length


# --- the bound ------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 2, 5, 10])
def test_estimate_agrees_with_all_masks_enumerated(length: int) -> None:
    model, word = Random(), [1 + i % 3 for i in range(length)]
    exact = all_masks(model, word)
    nats, variance = estimate(model, word, 0, samples=2000, random=row_random(1))
    assert abs(nats - exact) <= 4 * math.sqrt(variance) + 1e-9
    assert variance == pytest.approx(0, abs=1e-12) if length == 1 else variance > 0


def test_standard_error_is_that_of_many_estimates() -> None:
    model, word = Random(), [1, 2, 3, 1, 1, 2]
    found = [estimate(model, word, 0, samples=16, random=row_random(n)) for n in range(300)]
    nats = np.array([each for each, _ in found])
    expected = math.sqrt(np.mean([variance for _, variance in found]))
    assert nats.std() == pytest.approx(expected, rel=0.15)
    assert nats.mean() == pytest.approx(all_masks(model, word), abs=4 * nats.std() / 300**0.5)


@given(st.integers(0, 1000), st.lists(st.integers(1, 3), min_size=1, max_size=5))
def test_bound_of_exact_conditionals_is_the_log_probability(seed: int, word: list[int]) -> None:
    chain = Chain(seed)
    nats = -math.log(chain.probability(tuple(word)))
    assert all_masks(chain, word) == pytest.approx(nats, rel=1e-9)


def test_bound_is_above_the_log_probability_of_a_chain_that_reads_too_little() -> None:
    """One that takes what is masked for independent of what is not."""
    chain = Chain(3)

    class Alone(Chain):
        def logits(self, ids: Any, wanted: Any) -> Any:
            return super().logits(np.full_like(ids, MASK), wanted)

    for word in itertools.product(range(1, 4), repeat=3):
        if chain.probability(word) > 0.05:
            assert all_masks(Alone(3), list(word)) > -math.log(chain.probability(word)) - 1.5
    mean = sum(
        chain.probability(word) * all_masks(Alone(3), list(word))
        for word in itertools.product(range(1, 4), repeat=3)
    )
    entropy = -sum(
        chain.probability(word) * math.log(chain.probability(word))
        for word in itertools.product(range(1, 4), repeat=3)
    )
    assert mean > entropy


def test_known_tokens_are_read_and_not_counted() -> None:
    chain, word = Chain(5), [1, 3, 2]
    nats, _ = estimate(chain, word, 2, samples=4, random=row_random(0))
    assert nats == pytest.approx(-math.log(chain.steps[2, 1]))


def test_texts_longer_than_the_context_are_read_in_windows() -> None:
    """Windows of exact conditionals: each token given what the window has before it."""
    chain = Chain(7, length=4)
    text = "abcabbca"
    estimator = BoundEstimator(chain, LETTERS, samples=2000, stride=2)
    (found,) = estimator.score([text])
    word = tuple(1 + "abc".index(letter) for letter in text)
    exact = -math.log(chain.probability(word))
    assert found.nats == pytest.approx(exact, abs=4 * math.sqrt(found.variance) + 1e-6)
    assert (found.bytes, found.tokens) == (8, 8)
    assert estimator.protocol == {"context": 5, "stride": 2, "samples": 2000}


def test_texts_together_are_the_sum_of_each() -> None:
    estimator = BoundEstimator(Random(), LETTERS, samples=8)
    each = list(estimator.score(["ab", "cab"]))
    whole = estimator.whole(["ab", "cab"])
    assert whole.nats == pytest.approx(sum(text.nats for text in each))
    assert whole.standard_error * 5 == pytest.approx(math.sqrt(sum(t.variance for t in each)))
    assert Bound(0.0, 0.0, 0, 0).nats_per_byte == Bound(0.0, 0.0, 0, 0).standard_error == 0


@pytest.mark.parametrize(("samples", "stride"), [(3, None), (0, None), (2, 13)])
def test_impossible_estimates_are_refused(samples: int, stride: int | None) -> None:
    with pytest.raises(OptionError):
        BoundEstimator(Random(), LETTERS, samples=samples, stride=stride)


# --- denoising ------------------------------------------------------------------------------------


def denoised(steps: int | None, times: int, seed: int = 11) -> dict[str, int]:
    """How often each word of three letters comes of an empty text."""
    model = Chain(seed)
    denoiser, options = Denoiser(model, LETTERS), DenoisingOptions(steps=steps)
    random = row_random(1)
    found: dict[str, int] = {}
    for _ in range(times):
        canvas = Canvas(np.full(3, model.mask), [range(3)], set(), {})
        assert len(list(denoiser.denoise(canvas, options, AS_IT_IS, random))) == (steps or 3)
        word = LETTERS.decode(canvas.ids.tolist()).decode()
        found[word] = found.get(word, 0) + 1
    return found


def chi_square(found: dict[str, int], seed: int = 11) -> float:
    """Against the chain's own distribution; 26 degrees of freedom at most."""
    chain, times = Chain(seed), sum(found.values())
    total = 0.0
    for word in itertools.product("abc", repeat=3):
        expected = times * chain.probability(tuple(1 + "abc".index(letter) for letter in word))
        total += (found.get("".join(word), 0) - expected) ** 2 / expected
    return total


def test_one_token_a_step_has_the_joint_distribution_and_several_have_not() -> None:
    assert chi_square(denoised(None, 2000)) < 54  # which chance exceeds once in a thousand
    assert chi_square(denoised(1, 2000)) > 200


def test_what_is_known_stays_and_greedy_takes_the_likeliest() -> None:
    model = chain = Chain(2)
    a, mask = LETTERS.encode("a")[0], model.mask
    canvas = Canvas(np.array([mask, a, mask]), [range(1), range(2, 3)], set(), {})
    denoiser, greedy = Denoiser(model, LETTERS), Sampling(greedy=True)
    steps = list(denoiser.denoise(canvas, DenoisingOptions(), greedy, row_random(0)))
    before = np.argmax(chain.start * chain.steps[:, 0])
    after = np.argmax(chain.steps[0])
    expected = LETTERS.encode("abc"[before] + "a" + "abc"[after])
    assert canvas.ids.tolist() == expected
    assert len(steps) == len(canvas.logprobs) == 2
    assert canvas.logprobs[2] == pytest.approx(math.log(chain.steps[0].max()))


@pytest.mark.parametrize(("steps", "expected"), [(1, 1), (2, 2), (3, 3), (7, 7), (9, 7)])
def test_steps_are_as_many_as_asked_for(steps: int, expected: int) -> None:
    model = Random()
    canvas = Canvas(np.full(7, model.mask), [range(7)], set(), {})
    denoiser, options = Denoiser(model, LETTERS), DenoisingOptions(steps=steps)
    assert len(list(denoiser.denoise(canvas, options, AS_IT_IS, row_random(0)))) == expected
    assert model.mask not in canvas.ids


@pytest.mark.parametrize(("threshold", "steps"), [(0.0, 1), (1.0, 6)])
def test_threshold_decides_how_many_are_chosen_at_once(threshold: float, steps: int) -> None:
    model = Random()
    canvas = Canvas(np.full(6, model.mask), [range(6)], set(), {})
    denoiser, options = Denoiser(model, LETTERS), DenoisingOptions(threshold=threshold)
    assert len(list(denoiser.denoise(canvas, options, AS_IT_IS, row_random(0)))) == steps


def test_gaps_longer_than_the_context_are_filled_from_left_to_right() -> None:
    model = Random(length=5)
    canvas = Canvas(np.full(40, model.mask), [range(40)], set(), {})
    order: list[int] = []
    for _ in Denoiser(model, LETTERS).denoise(canvas, DenoisingOptions(), AS_IT_IS, row_random(0)):
        order += set(canvas.logprobs) - set(order)
    assert len(order) == 40
    assert max(place - sorted(order).index(place) for place in order) == 0
    assert all(place - step <= 5 for step, place in enumerate(order))


# --- whole characters -----------------------------------------------------------------------------

BYTES = [bytes([b]) for b in "é€🦊a".encode()] + [b"a", "é".encode(), b"", b"\xff"]


@given(st.lists(st.integers(0, len(BYTES) - 1) | st.none(), max_size=4), st.integers(0, 3))
def test_a_token_fits_where_some_choice_of_the_others_makes_text(
    gap: list[int | None], place: int
) -> None:
    """Against all choices of the open places."""
    usable = np.array([bool(each) for each in BYTES])
    place = min(place, len(gap))
    before, after = gap[:place], gap[place:]
    found = GapCharacters(BYTES, usable).allowed(before, after)
    choices = [i for i in range(len(BYTES)) if usable[i]]
    for token in choices:
        ways = [choices if each is None else [each] for each in (*before, token, *after)]
        possible = any(
            _is_text(b"".join(BYTES[i] for i in way)) for way in itertools.product(*ways)
        )
        assert found[token] == possible


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
