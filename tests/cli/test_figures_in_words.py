"""Figures as the program prints them: no zero has a minus."""

from __future__ import annotations

import re
from pathlib import Path

from tfcli.cli.commands.exchange import _format_loss
from tfcli.exchange.quantization_loss import QuantizationLoss

SOURCES = Path(__file__).parents[2] / "tfcli"


def test_no_difference_is_a_negative_zero() -> None:
    said = _format_loss(QuantizationLoss(rounded=1.2, exact=1.2 + 1e-9, bytes=100), "f16")
    assert said.endswith("(+0.0000).")


def test_no_signed_figure_may_be_a_negative_zero() -> None:
    for path in SOURCES.rglob("*.py"):
        assert not re.search(r":\+\.\d+f\}", path.read_text(encoding="utf-8")), path
