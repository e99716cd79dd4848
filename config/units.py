"""Quantities as people write them, turned into numbers. Everything here raises ValueError with a whole sentence."""

from __future__ import annotations

import re
from decimal import Decimal

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
DURATION = r"^(\d{1,12}(?:\.\d{1,6})?) ?(ms|s|m|h|d)$"
RATE = r"^(\d{1,9}(?:\.\d{1,6})?) ?/ ?(s|m|h)$"
MONEY = r"^\d{1,12}(?:\.\d{1,8})?$"
HOURS = r"^(\d\d):(\d\d) ?- ?(\d\d):(\d\d)$"
_DURATION, _RATE, _MONEY, _HOURS = map(re.compile, (DURATION, RATE, MONEY, HOURS))

DURATION_FORM = "write a number and a unit, such as 300ms, 30s, 10m, 36h or 7d"
RATE_FORM = "write a number per second or minute, such as 50/s or 200/m"
MONEY_FORM = 'write a decimal in quotes, such as "0.08"'
HOURS_FORM = 'write two times of the day, such as "08:00-20:00"'


def duration(text: str) -> float:
    """`300ms 30s 10m 36h 7d` in seconds; `0` needs no unit."""
    if text.strip() == "0":
        return 0.0
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError(DURATION_FORM)
    return float(Decimal(found[1]) * Decimal(str(_SECONDS[found[2]])))


def rate(text: str) -> float:
    """`50/s 200/m` per second."""
    found = _RATE.fullmatch(text.strip())
    if found is None:
        raise ValueError(RATE_FORM)
    return float(found[1]) / _SECONDS[found[2]]


def money(text: str) -> Decimal:
    """A decimal string, never negative."""
    if _MONEY.fullmatch(text.strip()) is None:
        raise ValueError(MONEY_FORM)
    return Decimal(text.strip())


def hours(text: str) -> tuple[int, int]:
    """`08:00-20:00` as minutes since midnight: (from, to), `to` excluded.

    `22:00-06:00` runs over midnight; `24:00` ends a day.
    """
    found = _HOURS.fullmatch(text.strip())
    if found is None:
        raise ValueError(HOURS_FORM)
    first, last = int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])
    if int(found[2]) > 59 or int(found[4]) > 59 or first >= 1440 or last > 1440:
        raise ValueError(HOURS_FORM)
    if first == last:
        raise ValueError("the two times are the same; leave hours out to mean the whole day")
    return first, last
