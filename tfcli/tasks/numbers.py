"""Whole numbers below a million in Spanish words, and back."""

from __future__ import annotations

SMALL = (
    "cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve", "diez",
    "once", "doce", "trece", "catorce", "quince", "dieciséis", "diecisiete", "dieciocho",
    "diecinueve", "veinte", "veintiuno", "veintidós", "veintitrés", "veinticuatro", "veinticinco",
    "veintiséis", "veintisiete", "veintiocho", "veintinueve",
)  # fmt: skip
TENS = ("treinta", "cuarenta", "cincuenta", "sesenta", "setenta", "ochenta", "noventa")
HUNDREDS = (
    "ciento", "doscientos", "trescientos", "cuatrocientos", "quinientos", "seiscientos",
    "setecientos", "ochocientos", "novecientos",
)  # fmt: skip
THOUSAND, ONE_HUNDRED = "mil", "cien"
BEFORE_THOUSAND = {"veintiún": "veintiuno", "un": "uno"}  # uno loses its end before mil

VALUES = (
    {word: value for value, word in enumerate(SMALL)}
    | {word: 10 * place for place, word in enumerate(TENS, 3)}
    | {word: 100 * place for place, word in enumerate(HUNDREDS, 1)}
    | {ONE_HUNDRED: 100}
)


def number_to_words(number: int) -> str:
    """The words of a number from 0 to 999,999: `342101` is "trescientos cuarenta y dos mil ..."."""
    thousands, rest = divmod(number, 1000)
    words = []
    if thousands:
        words += [_below_thousand(thousands, shortened=True)] * (thousands > 1) + [THOUSAND]
    if rest or not thousands:
        words.append(_below_thousand(rest))
    return " ".join(words)


def _below_thousand(number: int, *, shortened: bool = False) -> str:
    hundreds, rest = divmod(number, 100)
    if number == 100:
        return ONE_HUNDRED
    words = [HUNDREDS[hundreds - 1]] if hundreds else []
    if rest >= len(SMALL):
        tens, ones = divmod(rest, 10)
        words += [TENS[tens - 3], *(["y", SMALL[ones]] if ones else [])]
    elif rest or not hundreds:
        words.append(SMALL[rest])
    if shortened:
        short = {full: cut for cut, full in BEFORE_THOUSAND.items()}
        words[-1] = short.get(words[-1], words[-1])
    return " ".join(words)


def words_to_number(words: str) -> int:
    """The number that Spanish words stand for.

    Raises:
        ValueError: they stand for none.

    """
    total = current = 0
    for word in words.split():
        if word == THOUSAND:
            total, current = total + 1000 * max(current, 1), 0
        elif word != "y":
            value = VALUES.get(BEFORE_THOUSAND.get(word, word))
            if value is None:
                raise ValueError(f"{word!r} is no number word")
            current += value
    return total + current
