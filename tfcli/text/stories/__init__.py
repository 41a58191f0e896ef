"""Little stories told by a probabilistic grammar that knows how probable each of them is.

A model trained on such stories can be judged exactly: the mean negative log-probability that
the grammar gives to held-out stories is the loss of a perfect model, and no model does better.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from random import Random

from tfcli.text.stories.grammar import Grammar, Story

__all__ = ["LANGUAGES", "Grammar", "Story", "load_grammar", "tell_stories"]

LANGUAGES = ("en", "es")
_MODULES = {"en": "english", "es": "spanish"}


@cache
def load_grammar(language: str) -> Grammar:
    """Import and compile the grammar of one language, once it is needed."""
    if language not in LANGUAGES:
        raise ValueError(f"no stories in {language!r}: choose one of {', '.join(LANGUAGES)}")
    grammar = import_module(f"{__name__}.{_MODULES[language]}").GRAMMAR
    assert isinstance(grammar, Grammar)
    return grammar


def tell_stories(language: str, seed: int) -> Iterator[Story]:
    """Tell stories without end; the same language and seed tell the same stories everywhere.

    A text seed is hashed with SHA-512, and `random()` is the one method of `Random` whose
    numbers Python promises never to change, so neither platform nor version matters.
    """
    return load_grammar(language).tell_all(Random(f"{language}:{seed}").random)
