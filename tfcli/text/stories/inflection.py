"""Spanish inflection, as far as the stories need it, to make tables of word forms for a grammar.

A *form* is a function from a word to one of its forms. Nouns come with an article (`un sapo`, `la
torre`), which tells their gender and number; adjectives in the masculine singular.
"""

from __future__ import annotations

from collections.abc import Callable

Form = Callable[[str], str]

_ENDINGS = {"el": "o", "la": "a", "los": "os", "las": "as", "un": "o", "una": "a"}


def table(words: str, *forms: Form) -> str:
    """Write the options of a choice, one for each word (between commas) with these forms."""
    nouns = [" ".join(word.split()) for word in words.split(",")]
    return " | ".join(" / ".join(form(noun) for form in forms) for noun in nouns)


def feminine(word: str) -> str:
    """`rojo` gives `roja`, `pastor` gives `pastora`, `glotón` gives `glotona`; `a rayas` stays."""
    if " " in word:
        return word
    if word.endswith("o"):
        return word[:-1] + "a"
    return _without_accent(word) + "a" if word.endswith(("or", "ín", "ón")) else word


def plural(word: str) -> str:
    """`rojo` gives `rojos`, `azul` gives `azules`, `tritón` gives `tritones`; `a rayas` stays."""
    if " " in word:
        return word
    return word + "s" if word.endswith(("a", "e", "o")) else _without_accent(word) + "es"


def feminine_plural(word: str) -> str:
    """`rojo` gives `rojas`."""
    return plural(feminine(word))


def bare(noun: str) -> str:
    """`un sapo` gives `sapo`."""
    return noun.split(" ", 1)[1]


def definite(noun: str) -> str:
    """`un sapo` gives `el sapo`."""
    return ("la " if noun.startswith("una ") else "el ") + bare(noun)


def after_a(noun: str) -> str:
    """`el pozo` gives `al pozo`, `la torre` gives `a la torre`."""
    return "al " + bare(noun) if noun.startswith("el ") else "a " + noun


def after_de(noun: str) -> str:
    """`el pozo` gives `del pozo`, `la torre` gives `de la torre`."""
    return "del " + bare(noun) if noun.startswith("el ") else "de " + noun


def described(adjective: str, form: Form = str) -> Form:
    """Let `un sapo` give `un sapo {mood.o}`: a form of the noun and a slot that agrees with it."""
    return lambda noun: f"{form(noun)} {{{adjective}.{_ENDINGS[noun.split()[0]]}}}"


def many(adjective: str) -> Form:
    """Let `un sapo` give `sapos {tint.os}`: the plural and a slot that agrees with it."""
    return lambda noun: f"{plural(bare(noun))} {{{adjective}.{_ENDINGS[noun.split()[0]]}s}}"


def _without_accent(word: str) -> str:
    """Drop the accent of a last syllable that is the last no more: `tritón`, but `tritones`."""
    return word[:-2] + {"ín": "in", "ón": "on"}.get(word[-2:], word[-2:])
