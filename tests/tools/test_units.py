from __future__ import annotations

from argparse import ArgumentTypeError
from decimal import Decimal

import pytest

from tools.units import age, epoch, fraction, money, per_second, seconds, since


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("0.08", "BRL", "R$ 0,08"),
        ("1234.5", "BRL", "R$ 1.234,50"),
        ("0", "BRL", "R$ 0,00"),
        ("0.0375", "BRL", "R$ 0,0375"),
        ("2.4", "USD", "USD 2.40"),
    ],
)
def test_money_is_written_as_its_country_writes_it(amount: str, currency: str, text: str) -> None:
    assert money(Decimal(amount), currency) == text


def test_durations_rates_and_shares_are_read_as_in_the_configuration() -> None:
    assert (seconds("300ms"), seconds("2m"), per_second("200/m"), fraction("5%"), fraction("0.5")) == (
        0.3, 120.0, pytest.approx(3.333, abs=0.001), 0.05, 0.5,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("read", "text"), [(seconds, "soon"), (per_second, "fast"), (fraction, "2"), (fraction, "half")]
)
def test_nonsense_is_refused_with_a_sentence(read: object, text: str) -> None:
    with pytest.raises(ArgumentTypeError, match=text):
        read(text)  # type: ignore[operator]


def test_since_takes_an_age_or_a_moment_in_utc() -> None:
    assert since("10m", 1_000_000.0) == 999_400.0
    assert since("1970-01-02T00:00", 0.0) == 86_400.0
    assert since("1970-01-02T00:00:00-03:00", 0.0) == 97_200.0
    with pytest.raises(ArgumentTypeError):
        since("yesterday", 0.0)


def test_moments_come_as_text_or_number() -> None:
    assert epoch("1970-01-01T00:00:01.500Z") == 1.5
    assert epoch(2.5) == 2.5


@pytest.mark.parametrize(("span_s", "text"), [(0.351, "0.35 s"), (42.4, "42 s"), (600, "10 min"), (10_800, "3.0 h")])
def test_ages_are_short(span_s: float, text: str) -> None:
    assert age(span_s) == text
