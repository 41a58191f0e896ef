"""Spanish word forms, as far as the stories need them; `es/words.toml` asks for them by name.

A form is made of a word: an adjective in the masculine singular (`rojo`), or a noun with its
article (`un sapo`, `las rosas`), which tells its gender and number.
"""

from __future__ import annotations

_ENDINGS = {"el": "o", "la": "a", "los": "os", "las": "as", "un": "o", "una": "a"}


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


def ending(noun: str) -> str:
    """`un sapo` gives `o`, `la torre` gives `a`, `las rosas` gives `as`, as in `roj-as`."""
    return _ENDINGS[noun.split()[0]]


def _without_accent(word: str) -> str:
    """Drop the accent of a last syllable that is the last no more: `tritón`, but `tritones`."""
    return word[:-2] + {"ín": "in", "ón": "on"}.get(word[-2:], word[-2:])


FORMS = {
    form.__name__: form for form in (feminine, plural, bare, definite, after_a, after_de, ending)
}
