"""Canaries: made-up secrets that are planted in a text, to see how well a model keeps them.

A model that has learned a canary by heart finds its secret likelier than other secrets of the same
form. Among R candidates, of which it is the rank-th likeliest, its exposure is log2 R - log2 rank
bits (Carlini et al., 2019, "The Secret Sharer", arXiv 1802.08232). A secret that was never planted
has any rank: 1 / ln 2 = 1.44 bits on average. Rank 1 is the highest: log2 R.
"""

from __future__ import annotations

import math
import random
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcli.errors import DamagedError, DataError
from tfcli.files import read_checked_json, read_record, write_checked_json
from tfcli.quantities import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tfcli.generation.scorer import Scorer

SCHEMA = 1
TEMPLATE = "My canary number is {}."
DIGITS = 9
REPEATS = (1, 4, 16, 64)
EACH = 2  # canaries for each number of repeats
CANDIDATES = 1023  # other secrets; with the canary's own they are a power of two
PLANTED_IN = 4 / 5  # of the text: the end of a text is what is held out
CHANCE = 1 / math.log(2)  # bits


@dataclass(frozen=True)
class Canary:
    """A secret, and how often it was planted."""

    secret: str
    repeats: int


@dataclass(frozen=True)
class Key:
    """What a key file records: enough to find the canaries again, and other secrets like them.

    Attributes:
        template: a line with {} for the secret.

    """

    schema: int
    template: str
    seed: int
    canaries: tuple[Canary, ...]

    def line(self, secret: str) -> str:
        """The line that a secret stands in."""
        return self.template.replace("{}", secret)

    def candidates(self, count: int = CANDIDATES) -> list[str]:
        """Secrets that were not planted."""
        planted = {canary.secret for canary in self.canaries}
        return _secrets(random.Random(f"candidates {self.seed}"), count, planted)

    def check(self) -> None:
        """Raises ValueError where it cannot be of use."""
        if "{}" not in self.template or not self.canaries:
            raise ValueError("it has no canaries, or no place for their secrets")


@dataclass(frozen=True)
class Exposure:
    """How exposed a canary is.

    Attributes:
        found: how often the training text has its line.
        rank: 1 if no candidate is likelier.
        bits: its exposure.

    """

    canary: Canary
    found: int
    rank: float
    bits: float


def read_key(path: str | Path) -> Key:
    """The key in a file.

    Raises:
        NotFoundError: there is no such file.
        DamagedError: it is not as it was written, or no key.

    """
    try:
        key = read_record(Key, read_checked_json(Path(path), schema=SCHEMA))
        key.check()
    except ValueError as error:
        raise DamagedError(f"{path} is not a key of canaries", why=str(error)) from None
    return key


def write_key(path: Path, key: Key) -> None:
    """Writes a key with its own hash in it."""
    write_checked_json(path, asdict(key))


def make_key(
    template: str = TEMPLATE, repeats: Sequence[int] = REPEATS, each: int = EACH, seed: int = 0
) -> Key:
    """New canaries: `each` for each number of repeats.

    Raises:
        DataError: the template has no {}, or is not one line.

    """
    if "{}" not in template or "\n" in template:
        raise DataError(
            f"the template {template!r} cannot be planted",
            why="it has to be one line with {} for the secret",
            hint=f"--template {TEMPLATE!r}",
        )
    secrets = _secrets(random.Random(f"canaries {seed}"), each * len(repeats), set())
    often = [times for times in repeats for _ in range(each)]
    canaries = tuple(map(Canary, secrets, often))
    return Key(SCHEMA, template, seed, canaries)


def plant(text: str, key: Key) -> str:
    """The text with the canaries on lines of their own, in its first PLANTED_IN.

    Raises:
        DataError: it has fewer lines there than canaries to plant.

    """
    lines = text.splitlines(keepends=True)
    planted = [key.line(c.secret) for c in key.canaries for _ in range(c.repeats)]
    room = int(PLANTED_IN * len(lines))
    if room < len(planted):
        raise DataError(
            f"the text has {counted(len(lines), 'line')}, too few for "
            f"{counted(len(planted), 'line')} of canaries",
            hint="--repeats 1,4   # or a longer text",
        )
    rng = random.Random(f"places {key.seed}")
    rng.shuffle(planted)
    places = sorted(rng.sample(range(1, room + 1), len(planted)), reverse=True)
    for place, line in zip(places, planted, strict=True):
        end = "\r\n" if lines[place - 1].endswith("\r\n") else "\n"
        before = "" if lines[place - 1].endswith("\n") else end
        lines.insert(place, f"{before}{line}{end}")
    return "".join(lines)


def exposures(
    key: Key,
    found: Sequence[int],
    scorer: Scorer,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Exposure]:
    """How exposed each canary is to a model.

    Args:
        found: how often the training text has the line of each.
        progress: is told how many bytes were scored.

    """
    others = key.candidates()
    lines = [key.line(secret) for secret in [*others, *(c.secret for c in key.canaries)]]
    nats = [scored.nats for scored in scorer.score(lines, progress=progress)]
    candidates, own = nats[: len(others)], nats[len(others) :]
    measured = []
    for canary, count, mine in zip(key.canaries, found, own, strict=True):
        likelier = sum(each < mine for each in candidates)
        ties = sum(each == mine for each in candidates)
        rank = 1 + likelier + ties / 2
        bits = math.log2(len(candidates) + 1) - math.log2(rank)
        measured.append(Exposure(canary, count, rank, bits))
    return measured


def exposures_to_json(found: Sequence[Exposure]) -> list[dict[str, Any]]:
    """For `--json`."""
    return [
        {
            "secret": each.canary.secret, "repeats": each.canary.repeats, "found": each.found,
            "rank": each.rank, "bits": round(each.bits, 4),
        }
        for each in found
    ]  # fmt: skip


def _secrets(rng: random.Random, count: int, taken: set[str]) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < count:
        secret = "".join(rng.choices("0123456789", k=DIGITS))
        if secret not in taken:
            found[secret] = None
    return list(found)
