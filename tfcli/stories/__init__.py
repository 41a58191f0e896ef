"""Short stories told by a probabilistic grammar that knows the exact probability of each of them.

A model trained on such stories can be judged exactly: the mean negative log-probability that
the grammar gives to held-out stories is the loss of a perfect model, and no model does better.

A language is a folder of TOML files, which `README.md` explains. `notation` compiles them, the
`grammar` tells the stories.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random

from tfcli.stories import spanish
from tfcli.stories.grammar import Grammar, Story
from tfcli.stories.notation import parse_grammar

__all__ = ["LANGUAGES", "Grammar", "Story", "load_grammar", "tell_stories"]

_FOLDER = Path(__file__).parent
_FORMS = {"es": spanish.FORMS}

LANGUAGES = tuple(sorted(path.parent.name for path in _FOLDER.glob("*/plots.toml")))


@cache
def load_grammar(language: str) -> Grammar:
    """Read and compile the grammar of one language; ValueError if there is none."""
    if language not in LANGUAGES:
        raise ValueError(f"no stories in {language!r}: choose one of {', '.join(LANGUAGES)}")
    paths = sorted((_FOLDER / language).glob("*.toml"))
    files = [tomllib.loads(path.read_text(encoding="utf-8")) for path in paths]
    return parse_grammar(files, _FORMS.get(language, {}))


def tell_stories(language: str, seed: int) -> Iterator[Story]:
    """Tell stories without end; the same language and seed tell the same stories everywhere.

    A text seed is hashed with SHA-512, and `random()` is the one method of `Random` whose
    numbers Python promises never to change, so neither platform nor version matters.
    """
    return load_grammar(language).tell_all(Random(f"{language}:{seed}").random)
