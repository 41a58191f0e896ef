"""Personal data in a labelled text, Spanish and English, and check digits one by one."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcli.insight.personal_data import DNI_LETTERS, KINDS, find_personal_data, mask, redact

# A value that has to be found stands between ⟦ and ⟧, with its kind.
LABELLED = """
Escríbeme a ⟦email:ana.garcía+boda@correo.example.es⟧ o llama al ⟦phone:612 345 678⟧, por favor.
El DNI es ⟦dni:12345678Z⟧ y el de su hermana ⟦dni:87.654.321-X⟧; el NIE, ⟦nie:X1234567L⟧.
La cuenta: ⟦iban:ES91 2100 0418 4502 0005 1332⟧. La otra, ⟦iban:GB82WEST12345698765432⟧.
Tarjeta ⟦card:4111 1111 1111 1111⟧, caduca 12/29. Fijo: ⟦phone:91 123 45 67⟧.
Call ⟦phone:+44 20 7946 0958⟧ or ⟦phone:(555) 123-4567⟧, or ⟦phone:+34 612 345 678⟧ in Spain.
From ⟦ip_address:8.8.8.8⟧ port 53, mailto:⟦email:bob@mail.example.com⟧.
Token ⟦key:ghp_abcdefghijklmnopqrstuvwxyz0123456789⟧ and ⟦key:AKIAIOSFODNN7EXAMPLE⟧.
⟦key:-----BEGIN RSA PRIVATE KEY-----⟧
No data: 12345678A is a wrong letter, ES91 2100 0418 4502 0005 1333 fails, 4111 1111 1111 1112 too.
In 1984 he had 3.141592653 and 1,234,567,890 of them; version 1.2.3.4 of 2023-11-27, 10.0.0.1.
The year 2001-2002, pages 123-456, ISBN 978-3-16-148410-0, 12:34:56, @decorator, user@host, 600.
def f(x): return x @ y  # 0x7f0000000001, 1234567890123456789
"""
MARK = re.compile("⟦(\\w+):(.*?)⟧")


def test_precision_and_recall_on_a_labelled_text() -> None:
    wanted = [(match[1], match[2]) for match in MARK.finditer(LABELLED)]
    text = MARK.sub(r"\2", LABELLED)
    found = [(each.kind, text[each.begin : each.end]) for each in find_personal_data(text)]
    right = [each for each in found if each in wanted]
    assert len(right) / len(found) >= 0.9, set(found) - set(wanted)
    assert len(right) / len(wanted) >= 0.9, set(wanted) - set(found)
    assert {kind for kind, _ in right} == set(KINDS)


@given(st.integers(0, 99_999_999), st.sampled_from(DNI_LETTERS))
def test_every_valid_dni_is_found_and_none_with_a_wrong_letter(number: int, letter: str) -> None:
    kinds = [each.kind for each in find_personal_data(f"DNI {number:08}{letter}.")]
    assert ("dni" in kinds) == (DNI_LETTERS[number % 23] == letter)
    assert find_personal_data(f"{number:08}{DNI_LETTERS[number % 23]}")[0].kind == "dni"


@given(st.text(st.sampled_from("12345678Z ana@b.es+34 612\n"), max_size=60))
def test_findings_do_not_overlap_and_are_gone_once_redacted(text: str) -> None:
    found = find_personal_data(text)
    assert all(one.end <= two.begin for one, two in itertools.pairwise(found))
    assert all("\n" not in text[each.begin : each.end] for each in found)
    rest = re.sub(r"\[[A-Z_]+\]", "", redact(text))
    assert all(text[each.begin : each.end] not in rest or rest != text for each in found)


@pytest.mark.parametrize(
    ("value", "masked"),
    [("ana@b.es", "a**@*.**"), ("+34 612 345", "+** *** ***"), ("4111-1", "4***-*"), ("ñu", "ñ*")],
)
def test_a_masked_value_shows_its_form_only(value: str, masked: str) -> None:
    assert mask(value) == masked
