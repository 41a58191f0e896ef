"""The tasks: how a prompt is drawn, and what its answer is.

A prompt belongs to training or to testing by a hash of itself. So whatever is made with whatever
seed, no prompt of a test is ever in a training, and neither has any prompt twice.
"""

from __future__ import annotations

import hashlib
import string
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from tfcli.errors import UsageError
from tfcli.options import Options, option
from tfcli.tasks.dates import date_to_iso, random_date
from tfcli.tasks.numbers import number_to_words, words_to_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TEST_SHARE = 10  # one prompt in so many is for testing
TRIES = 1000  # draws without a new prompt, after which there are no more
LETTERS = string.ascii_lowercase + "áéíóúüñç"
REPETITIVE, FEW_LETTERS = 0.5, (2, 6)  # how many strings are of so few letters, in training
SUMS, WORDS = 3, 6  # digits of add and numbers, if not given
LENGTH = 16  # letters of the others
STRINGS = {"length": LENGTH}  # what tasks on letters take
CARRY = 0.5  # how often a place of a sum carries, in training
SHORTER = 0.3  # how often a number of a sum has one digit fewer, in training


@dataclass(frozen=True, kw_only=True)
class TaskOptions(Options):
    """How large the prompts of a task are."""

    digits: int | None = option(
        None, min=1, max=6, shown_default="add: 3, numbers: 6", help="Digits at most, 1 to 6."
    )
    reversed: bool = option(False, help="Write the sum from its last digit on.")
    length: int = option(LENGTH, min=1, max=1000, help="Characters at most, 1 to 1,000.")

    def largest(self, usual: int) -> int:
        """The power of ten that numbers stay below."""
        return int(10 ** (self.digits or usual))


class Task(NamedTuple):
    """A task.

    Attributes:
        about: what it is, in a few words.
        draw: a random prompt; the last argument is whether it is for training, where some tasks
            draw what is rare more often.
        takes: the names of its options, with their defaults.
        solve: the answer to a prompt. Raises ValueError where it is no prompt of the task.

    """

    about: str
    draw: Callable[[Random, TaskOptions, bool], str]
    solve: Callable[[str, TaskOptions], str]
    takes: Mapping[str, object] = MappingProxyType({})


def make_pairs(
    name: str, options: TaskOptions, *, count: int, seed: int, test: bool = False
) -> Iterator[tuple[str, str]]:
    """Prompts of a task with their answers, all different.

    Args:
        test: whether they are for testing; none of these is ever for training.

    Raises:
        UsageError: there are not so many.

    """
    task, random = TASKS[name], Random(f"{name} {seed} {test}")
    made: set[str] = set()
    tries = 0
    while len(made) < count:
        prompt = task.draw(random, options, not test)
        if prompt in made or is_test(prompt) != test:
            tries += 1
            if tries > TRIES * TEST_SHARE:
                larger = " or ".join(f"--{each}" for each in task.takes if each != "reversed")
                raise UsageError(
                    f"{name} has only {len(made):,} different prompts for "
                    f"{'testing' if test else 'training'}, not {count:,}",
                    hint=f"--count {len(made)}" + (f", or a larger {larger}" if larger else ""),
                )
            continue
        tries = 0
        made.add(prompt)
        yield prompt, task.solve(prompt, options)


def is_test(prompt: str) -> bool:
    """Whether a prompt is for testing."""
    return hashlib.blake2b(prompt.encode(), digest_size=8).digest()[0] % TEST_SHARE == 0


def _string(
    random: Random, options: TaskOptions, training: bool, alphabet: str = string.ascii_lowercase
) -> str:
    """A string; in training, half of them are of few letters, which repeat."""
    if training and random.random() < REPETITIVE:
        alphabet = "".join(random.sample(alphabet, random.randint(*FEW_LETTERS)))
    return "".join(random.choices(alphabet, k=random.randint(1, options.length)))


def _sum(random: Random, options: TaskOptions, training: bool) -> str:
    """A sum; in training, half of its places carry, and short numbers come often enough."""
    if not training:
        return "+".join(str(random.randrange(options.largest(SUMS))) for _ in range(2))
    length, other_length = _length(random, options), _length(random, options)
    first = second = carry = 0
    for place in range(max(length, other_length)):
        digits = _digits(place, length), _digits(place, other_length)
        one, other = _addends(random, carry, *digits)
        first, second = first + one * 10**place, second + other * 10**place
        carry = (one + other + carry) // 10
    return f"{first}+{second}"


def _length(random: Random, options: TaskOptions) -> int:
    """Digits of a number: mostly all; each fewer is `SHORTER` times as frequent."""
    length = options.digits or SUMS
    while length > 1 and random.random() < SHORTER:
        length -= 1
    return length


def _digits(place: int, length: int) -> range:
    """The digits that a number of some length can have at a place; no leading zeros."""
    if place >= length:
        return range(1)
    return range(1 if place == length - 1 > 0 else 0, 10)


def _addends(random: Random, carry: int, ones: range, others: range) -> tuple[int, int]:
    """Two digits that carry as often as not, where they can."""
    wanted = random.random() < CARRY
    pairs = list(product(ones, others))
    return random.choice([pair for pair in pairs if (sum(pair) + carry > 9) == wanted] or pairs)


def _add(prompt: str, options: TaskOptions) -> str:
    first, second = prompt.split("+")
    total = str(int(first) + int(second))
    return total[::-1] if options.reversed else total


TASKS: dict[str, Task] = {
    "copy": Task(
        "the same letters again",
        _string,
        lambda prompt, _: prompt,
        STRINGS,
    ),
    "reverse": Task(
        "the letters, last to first",
        _string,
        lambda prompt, _: prompt[::-1],
        STRINGS,
    ),
    "upper": Task(
        "the letters in upper case",
        lambda random, o, training: _string(random, o, training, LETTERS),
        lambda prompt, _: prompt.upper(),
        STRINGS,
    ),
    "sort": Task(
        "the letters in alphabetical order",
        _string,
        lambda prompt, _: "".join(sorted(prompt)),
        STRINGS,
    ),
    "dates": Task(
        "a date in ISO 8601",
        lambda random, _o, _t: random_date(random),
        lambda prompt, _: date_to_iso(prompt),
    ),
    "numbers": Task(
        "Spanish number words in digits",
        lambda random, o, _: number_to_words(random.randrange(o.largest(WORDS))),
        lambda prompt, _: str(words_to_number(prompt)),
        {"digits": WORDS},
    ),
    "add": Task("the sum of two numbers", _sum, _add, {"digits": SUMS, "reversed": False}),
}
