"""Personal data and secrets in a text, found by their form, and check digits where there are any.

A pattern knows the form, not the meaning: a number that looks like a telephone's may be an article
number. How often it is right depends on the text, so findings are for a person to judge.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"


@dataclass(frozen=True)
class Finding:
    """A value: characters `begin` to `end` of the text."""

    kind: str
    begin: int
    end: int


# --- what makes a value valid -------------------------------------------------------------------


def is_dni(value: str) -> bool:
    """A Spanish identity number: its letter is that of the number modulo 23."""
    letters = re.sub(r"[ .-]", "", value).upper()
    return letters[-1] == DNI_LETTERS[int(letters[:-1]) % 23]


def is_nie(value: str) -> bool:
    """A Spanish foreigner's number: X, Y, Z stand for 0, 1, 2 in front."""
    letters = re.sub(r"[ .-]", "", value).upper()
    return is_dni(str("XYZ".index(letters[0])) + letters[1:])


def is_iban(value: str) -> bool:
    """An account number by ISO 13616: with letters as numbers, it is 1 modulo 97."""
    compact = value.replace(" ", "").upper()
    turned = compact[4:] + compact[:4]
    return (
        15 <= len(compact) <= 34 and int("".join(str(int(each, 36)) for each in turned)) % 97 == 1
    )


def is_card(value: str) -> bool:
    """A card number by ISO/IEC 7812: its digits pass the test of Luhn."""
    digits = [int(each) for each in re.sub(r"[ -]", "", value)]
    if not 13 <= len(digits) <= 19 or len(set(digits)) == 1:
        return False
    doubled = [each * 2 - 9 * (each > 4) for each in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def is_ip_address(value: str) -> bool:
    """An IPv4 address that may be somebody's: not of a private net, not reserved."""
    try:
        return ipaddress.IPv4Address(value).is_global
    except ValueError:
        return False


def is_phone(value: str) -> bool:
    """As many digits as a telephone number can have, by E.164."""
    return 8 <= sum(each.isdigit() for each in value) <= 15


def _always(_: str) -> bool:
    return True


# Earlier kinds come first where two match: a card number is no telephone's.
KINDS: dict[str, tuple[re.Pattern[str], Callable[[str], bool]]] = {
    "key": (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----"
            r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
            r"|\bgh[pousr]_[A-Za-z0-9]{36,}\b|\bgithub_pat_\w{22,}\b"
            r"|\bsk-[A-Za-z0-9_-]{20,}\b|\bxox[baprs]-[A-Za-z0-9-]{10,}\b"
            r"|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"
        ),
        _always,
    ),
    "email": (
        re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w-])"),
        _always,
    ),
    "iban": (re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"), is_iban),
    "card": (re.compile(r"(?<![\w.,-])[3-6]\d{3}(?:[ -]?\d{2,6}){2,4}(?![\w-])"), is_card),
    "dni": (re.compile(r"(?<![\w.])\d{2}\.?\d{3}\.?\d{3}[ -]?[A-Za-z](?!\w)"), is_dni),
    "nie": (re.compile(r"(?<!\w)[XYZxyz][ -]?\d{7}[ -]?[A-Za-z](?!\w)"), is_nie),
    "ip_address": (re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\d)"), is_ip_address),
    "phone": (
        re.compile(
            r"(?<![\w.+-])(?:\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,4}(?:[ .-]?\d{2,4}){1,4}"
            r"|[6789]\d{2}(?:[ .-]\d{3}){2}|[6789]\d{2}(?:[ .-]\d{2}){3}|[67]\d{8}"
            r"|\(\d{3}\) ?\d{3}-\d{4}|\d{3}-\d{3}-\d{4})(?![\w-]|[.,]\d)"
        ),
        is_phone,
    ),
}


def find_personal_data(text: str) -> list[Finding]:
    """The values in a text, in order; none overlaps another. None goes over the end of a line."""
    found: list[Finding] = []
    taken: set[int] = set()
    for kind, (pattern, is_valid) in KINDS.items():
        for match in pattern.finditer(text):
            begin, end = match.span()
            if is_valid(match[0]) and not taken.intersection((begin, end - 1)):
                found.append(Finding(kind, begin, end))
                taken.update(range(begin, end))
    return sorted(found, key=lambda each: each.begin)


def mask(value: str) -> str:
    """A value by which it can be found again but not read: only its form and first character."""
    return value[:1] + re.sub(r"[^\W_]", "*", value[1:])


def redact(text: str) -> str:
    """The text with the kind of each value in its place, in brackets."""
    return "".join(_redacted(text))


def _redacted(text: str) -> Iterator[str]:
    position = 0
    for each in find_personal_data(text):
        yield text[position : each.begin]
        yield f"[{each.kind.upper()}]"
        position = each.end
    yield text[position:]
