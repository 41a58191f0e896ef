"""Dates as people write them, and as ISO 8601 has them."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
FIRST, LAST = datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)
ABBREVIATED = 3  # letters of a month


def random_date(random: Random) -> str:
    """A date of 1900 to 2099, written in one of seven ways."""
    day = FIRST + datetime.timedelta(random.randrange((LAST - FIRST).days + 1))
    month = MONTHS[day.month - 1]
    return random.choice(
        (
            f"{day.day} {month} {day.year}",
            f"{month} {day.day}, {day.year}",
            f"{day.day} {month[:ABBREVIATED]} {day.year}",
            f"{month[:ABBREVIATED]} {day.day}, {day.year}",
            f"{day.day}.{day.month}.{day.year}",
            f"{day.year}/{day.month:02}/{day.day:02}",
            f"{day:%A}, {day.day} {month} {day.year}",
        )
    )


def date_to_iso(written: str) -> str:
    """The same as `2021-03-05`.

    Raises:
        ValueError: it is no date in one of these ways.

    """
    words = written.rpartition("day, ")[2].replace(",", "").split()
    if len(words) == 1 and "/" in written:
        year, month, day = map(int, written.split("/"))
    elif len(words) == 1:
        day, month, year = map(int, written.split("."))
    else:
        first, second, last = words
        name, number = (second, first) if first.isdigit() else (first, second)
        short = [each[:ABBREVIATED] for each in MONTHS]
        month, day, year = short.index(name[:ABBREVIATED]) + 1, int(number), int(last)
    return datetime.date(year, month, day).isoformat()
