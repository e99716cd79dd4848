"""Times of SMPP: absolute, relative, and what clients send instead."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.smpp.times import BadTime, absolute, parse_absolute_or_relative, relative

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC).timestamp()
BRASILIA = timezone(timedelta(hours=-3))
ESME_RINVEXPIRY = 0x62


def read(text: str) -> float | None:
    return parse_absolute_or_relative(text, NOW, ESME_RINVEXPIRY, BRASILIA)


def at(*fields: int) -> float:
    return datetime(*fields, tzinfo=UTC).timestamp()  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("000007000000000R", 7 * 86400),
        ("000000001000000R", 600),
        ("000000001000000R", 600),
        ("000000001000500R", 600),  # tenths are ignored
        ("000000000060000R", 60),
        ("000000990000000R", 99 * 3600),
        ("000100000000000R", 30 * 86400),
        ("010000000000000R", 365 * 86400),
    ],
)
def test_an_amount_of_time_counts_from_now(text: str, seconds: int) -> None:
    assert read(text) == NOW + seconds


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("261122233100000+", at(2026, 11, 22, 23, 31)),
        ("261122233100012-", at(2026, 11, 23, 2, 31)),
        ("261122233100012+", at(2026, 11, 22, 20, 31)),
        ("261122233100548-", at(2026, 11, 23, 11, 31) + 0.5),
        ("261122233100", at(2026, 11, 23, 2, 31)),  # no zone: local time
        ("2611222331", at(2026, 11, 23, 2, 31)),
        ("20261122233100", at(2026, 11, 23, 2, 31)),
    ],
)
def test_a_moment_is_read_with_its_zone_or_as_local_time(text: str, moment: float) -> None:
    assert read(text) == moment


@pytest.mark.parametrize("text", ["", "000000000000000R", "000000000000000+", "0000000000", "0000000000000000"])
def test_nothing_and_zeros_mean_none(text: str) -> None:
    assert read(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "230229120000000+",  # no such day
        "261322233100000+", "261122243100000+", "261122233100049+", "261122233100000", "261122233100000Z",
        "00000000100\u00e900R", "0000000010000000R", "R", "+", "tomorrow", "2611",
        "00001231235959", "１２３４５６７８９０",
    ],
)  # fmt: skip
def test_what_nobody_can_read_names_the_status_to_answer(text: str) -> None:
    with pytest.raises(BadTime) as error:
        read(text)
    assert error.value.status == ESME_RINVEXPIRY


@given(st.text(max_size=17))
def test_reading_raises_nothing_else(text: str) -> None:
    with suppress(BadTime):
        read(text)


@given(st.integers(1, 99 * 86400 - 1))
def test_amounts_up_to_a_hundred_days_survive_exactly(seconds: int) -> None:
    text = relative(seconds)
    assert len(text) == 16
    assert read(text) == NOW + seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(600, "000000001000000R"), (0, "000000000001000R"), (-5, "000000000001000R"), (0.4, "000000000001000R"),
     (86400, "000001000000000R"), (259200, "000003000000000R"), (400 * 86400, "010035000000000R")],
)  # fmt: skip
def test_an_amount_is_written_in_days_and_never_as_none(seconds: float, text: str) -> None:
    assert relative(seconds) == text


@given(st.integers(int(at(2000, 1, 2)), int(at(2099, 12, 30))), st.integers(-48, 48))
def test_moments_survive_exactly(moment: int, quarters: int) -> None:
    text = absolute(moment, quarters * 900)
    assert len(text) == 16
    assert read(text) == moment
