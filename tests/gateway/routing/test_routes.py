"""Which route takes a message."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.messages.message import Message
from gateway.routing.routes import Route, Routes, When, parse_hours
from tests.gateway.samples import START, message

TAKEN = Route("taken", ("operator",))


def text_of(one: Message) -> str | None:
    return one.user_data.decode("latin-1") if one.data_coding == 0 else None


def takes(when: When, one: Message, now: float = START) -> bool:
    found = Routes((Route("special", ("zap",), when=when), TAKEN)).find(one, now, text_of)
    assert found is not None
    return found.name == "special"


@pytest.mark.parametrize(
    ("when", "fields", "expected"),
    [
        (When(), {}, True),
        (When(account=("billing",)), {}, True),
        (When(account=("billing", "shop")), {"account": "shop"}, True),
        (When(account=("shop",)), {}, False),
        (When(to=("5511",)), {}, True),
        (When(to=("+5511",)), {}, True),
        (When(to=("5521", "55119")), {}, True),
        (When(to=("5521",)), {}, False),
        (When(to=("5511987654321",)), {}, True),
        (When(sources=("28940",)), {}, True),
        (When(sources=("POMBO",)), {}, False),
        (When(sources=("POMBO", "28940")), {}, True),
        (When(text=re.compile("fatura")), {}, True),
        (When(text=re.compile("codigo|token")), {}, False),
        (When(text=re.compile("(?i)CODIGO|token")), {"user_data": b"Seu codigo: 1234"}, True),
        (When(text=re.compile("^fatura")), {}, False),
        (When(text=re.compile(".*")), {"data_coding": 4}, False),
        (When(data_coding=(0,)), {}, True),
        (When(data_coding=(8,)), {}, False),
        (When(data_coding=(4, 8)), {"data_coding": 8}, True),
        (When(account=("billing",), to=("5511",), text=re.compile("fatura")), {}, True),
        (When(account=("billing",), to=("5511",), text=re.compile("token")), {}, False),
        (When(account=("shop",), to=("5511",)), {}, False),
    ],
)
def test_a_route_takes_what_all_of_its_conditions_allow(when: When, fields: dict[str, Any], expected: bool) -> None:
    assert takes(when, message(**fields)) is expected


def test_the_first_route_that_matches_wins() -> None:
    routes = (
        Route("a", ("x",), when=When(account=("shop",))),
        Route("b", ("x",), when=When(to=("55",))),
        Route("c", ("x",)),
        Route("d", ("x",)),
    )
    found = Routes(routes).find(message(), START, text_of)
    assert found is not None
    assert found.name == "b"
    other = Routes(routes).find(message(msisdn="4915112345678"), START, text_of)
    assert other is not None
    assert other.name == "c"


def test_a_message_may_match_no_route() -> None:
    assert Routes((Route("a", ("x",), when=When(account=("shop",))),)).find(message(), START, text_of) is None
    assert Routes(()).find(message(), START, text_of) is None


def test_the_text_is_read_once_at_most_and_only_when_a_route_asks_for_it() -> None:
    asked = []

    def read(one: Message) -> str | None:
        asked.append(one)
        return "nothing special"

    silent = (Route("a", ("x",), when=When(account=("shop",), text=re.compile("x"))), TAKEN)
    Routes(silent).find(message(), START, read)
    assert asked == []
    loud = (Route("a", ("x",), when=When(text=re.compile("A"))), Route("b", ("x",), when=When(text=re.compile("B"))))
    assert Routes(loud).find(message(), START, read) is None
    assert len(asked) == 1


def at(weekday: str, clock: str) -> float:
    """That moment in the week that begins on Monday 21 September 2026, local time."""
    day = 21 + ("mon", "tue", "wed", "thu", "fri", "sat", "sun").index(weekday)
    hour, minute = map(int, clock.split(":"))
    return datetime(2026, 9, day, hour, minute).timestamp()


OFFICE = When(hours=parse_hours("08:00-20:00"))
NIGHT = When(hours=parse_hours("22:00-06:00"))
WEEKDAYS = When(days=("mon", "tue", "wed", "thu", "fri"))
FRIDAY_NIGHT = When(hours=parse_hours("22:00-06:00"), days=("fri",))
MONDAY_OFFICE = When(hours=parse_hours("08:00-20:00"), days=("mon",))


@pytest.mark.parametrize(
    ("when", "weekday", "clock", "expected"),
    [
        (OFFICE, "mon", "07:59", False),
        (OFFICE, "mon", "08:00", True),
        (OFFICE, "sun", "12:00", True),
        (OFFICE, "mon", "19:59", True),
        (OFFICE, "mon", "20:00", False),
        (NIGHT, "mon", "21:59", False),
        (NIGHT, "mon", "22:00", True),
        (NIGHT, "tue", "00:00", True),
        (NIGHT, "tue", "05:59", True),
        (NIGHT, "tue", "06:00", False),
        (NIGHT, "tue", "12:00", False),
        (WEEKDAYS, "mon", "00:00", True),
        (WEEKDAYS, "fri", "23:59", True),
        (WEEKDAYS, "sat", "00:00", False),
        (WEEKDAYS, "sun", "23:59", False),
        (MONDAY_OFFICE, "mon", "09:00", True),
        (MONDAY_OFFICE, "tue", "09:00", False),
        (FRIDAY_NIGHT, "thu", "23:00", False),
        (FRIDAY_NIGHT, "fri", "05:00", False),
        (FRIDAY_NIGHT, "fri", "22:00", True),
        (FRIDAY_NIGHT, "sat", "05:59", True),
        (FRIDAY_NIGHT, "sat", "06:00", False),
        (FRIDAY_NIGHT, "sat", "22:00", False),
    ],
)
def test_hours_and_days_are_local_and_a_night_belongs_to_its_evening(
    when: When, weekday: str, clock: str, expected: bool
) -> None:
    assert takes(when, message(), at(weekday, clock)) is expected


@pytest.mark.parametrize(
    ("written", "minutes"), [("08:00-20:00", (480, 1200)), ("22:30-06:05", (1350, 365)), ("00:00-24:00", (0, 1440))]
)
def test_hours_are_minutes_of_the_day(written: str, minutes: tuple[int, int]) -> None:
    assert parse_hours(written) == minutes


@pytest.mark.parametrize("written", ["8", "08:00", "08:00-", "x-y", "08:00-20:00-22:00"])
def test_what_is_no_span_of_hours_is_an_error(written: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_hours(written)


PREFIXES = st.lists(st.sampled_from(["5", "55", "+5511", "551198", "44", "5511987654321"]), max_size=3)
CONDITIONS = st.builds(
    lambda to, account, source: When(to=tuple(to), account=tuple(account), sources=tuple(source)),
    PREFIXES,
    st.lists(st.sampled_from(["billing", "shop"]), max_size=2),
    st.lists(st.sampled_from(["28940", "1"]), max_size=1),
)


@given(
    conditions=st.lists(st.none() | CONDITIONS, max_size=12),
    account=st.sampled_from(["billing", "shop", "other"]),
    number=st.sampled_from(["5511987654321", "5521", "4411", "5", ""]),
)
def test_of_all_that_fit_the_first_one_takes_it(conditions: list[When | None], account: str, number: str) -> None:
    one = message(account=account, msisdn=number)
    routes = tuple(Route(f"r{place}", ("x",), when=when) for place, when in enumerate(conditions))
    alone = (route for route in routes if Routes((route,)).find(one, START, text_of))
    assert Routes(routes).find(one, START, text_of) is next(alone, None)


def test_five_hundred_routes_by_number_are_not_looked_at_one_by_one() -> None:
    looked: list[str] = []

    class Looking(Route, frozen=True):
        def __getattribute__(self, name: str) -> object:
            if name == "when":
                looked.append(super().__getattribute__("name"))
            return super().__getattribute__(name)

    routes = Routes([*(Looking(f"r{n}", ("x",), when=When(to=(f"44{n:03d}",))) for n in range(500)), TAKEN])
    routes.find(message(), START, text_of)
    looked.clear()
    assert routes.find(message(), START, text_of) is TAKEN and looked == []
    assert getattr(routes.find(message(msisdn="4432199"), START, text_of), "name", "") == "r321" and looked == ["r321"]
