"""Durations, rates and money, as a person writes and reads them on the command line."""

from __future__ import annotations

from argparse import ArgumentTypeError
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal

from config import units


def seconds(text: str) -> float:
    """A duration ("300ms", "30s", "10m", "36h", "7d") in seconds."""
    try:
        return units.duration(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is not a duration; {error}") from None


def per_second(text: str) -> float:
    """A rate ("50/s", "200/m") per second."""
    try:
        return units.rate(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is not a rate; {error}") from None


def fraction(text: str) -> float:
    """A share between 0 and 1, also written as "5%"."""
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise ArgumentTypeError(f"{text!r} is not a share between 0 and 1")
    return value


def since(text: str, now: float) -> float:
    """A moment, epoch seconds: ISO 8601 (UTC unless it says otherwise) or an age such as "10m" before `now`."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            return now - seconds(text)
        except ArgumentTypeError:
            raise ArgumentTypeError(
                f"{text!r} is neither an age such as 10m nor a moment such as 2026-11-21T10:00"
            ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def epoch(at: str | float) -> float:
    """The `at` of an event (ISO 8601 or epoch seconds) as epoch seconds."""
    return at if isinstance(at, (int, float)) else datetime.fromisoformat(at).timestamp()


def money(amount: Decimal, currency: str) -> str:
    """An amount with at least two decimals: "R$ 0,08" for BRL, "USD 0.08" otherwise; never rounded to a lie."""
    exact = amount.quantize(Decimal("0.0001"), ROUND_HALF_UP)
    text = f"{exact:,.4f}"
    while text.endswith("0") and len(text.partition(".")[2]) > 2:
        text = text[:-1]
    if currency == "BRL":
        return "R$ " + text.translate(str.maketrans(",.", ".,"))
    return f"{currency} {text}"


def age(span_s: float) -> str:
    """A span in the largest unit that keeps it readable: "0.35 s", "12 s", "4 min", "3.0 h"."""
    if span_s < 10:
        return f"{span_s:.2f} s"
    if span_s < 120:
        return f"{span_s:.0f} s"
    if span_s < 7200:
        return f"{span_s / 60:.0f} min"
    return f"{span_s / 3600:.1f} h"


def counted(n: int, one: str, many: str = "") -> str:
    """ "1 message", "2 messages"."""
    return f"{n} {one if n == 1 else many or one + 's'}"
