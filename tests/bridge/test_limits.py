"""Quotas of a day, the warm-up of a new sender and the gap between messages to one person."""

from __future__ import annotations

import math
from datetime import datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.limits import Gaps, Quota, Tally, pack, unpack

NOON = datetime(2026, 11, 25, 12, 0).timestamp()
DAY = 86_400.0


def test_without_limits_there_is_no_end() -> None:
    quota = Quota(None)
    quota.take(10**6, NOON)
    assert quota.left(NOON) == math.inf and not quota.limited


def test_a_day_has_its_number_and_the_next_day_begins_anew() -> None:
    quota = Quota(3)
    quota.take(2, NOON)
    assert quota.left(NOON) == 1
    quota.take(1, NOON + 11 * 3600)
    assert quota.left(NOON + 11.9 * 3600) == 0
    assert quota.left(NOON + 12.1 * 3600) == 3, "at midnight"
    assert Quota.seconds_left(NOON) == 12 * 3600.0


def test_what_was_not_taken_is_given_back() -> None:
    quota = Quota(3)
    quota.take(2, NOON)
    quota.take(-1, NOON)
    assert quota.left(NOON) == 2
    quota.take(-5, NOON + DAY)
    assert quota.left(NOON + DAY) == 3, "no day has more than its own"


@pytest.mark.parametrize(("day", "after"), [(None, math.inf), (100, 100.0), (30, 30.0)])
def test_a_new_sender_warms_up_from_its_first_day_of_use(day: int | None, after: float) -> None:
    """R22."""
    quota, seen = Quota(day, (20, 40, 80)), []
    assert quota.left(NOON - 9 * DAY) == 20, "not used yet: its days are not counted"
    for number in range(5):
        now = NOON + number * DAY
        seen.append(quota.left(now))
        quota.take(1, now)
    assert seen == [min(20.0, after), min(40.0, after), min(80.0, after), after, after]


def test_a_tally_outlives_the_process() -> None:
    quota = Quota(5, (1, 2))
    quota.take(1, NOON - 3 * DAY)
    quota.take(4, NOON)
    again = Quota(5, (1, 2))
    again.tally = unpack(pack(quota.tally))
    assert again.left(NOON) == 1.0
    assert unpack(None) == unpack(b"\xc1") == unpack(b"rubbish") == Tally()


def test_what_other_nodes_use_of_a_day_counts_with_what_is_on_its_way_to_them() -> None:
    quota = Quota(10)
    quota.take(3, NOON)
    first = quota.tell()
    quota.take(1, NOON)
    second = quota.tell()
    quota.take(1, NOON)
    assert (first, second, quota.left(NOON)) == (3, 1, 5)
    today = quota.tally.day
    quota.agree(Tally(today - 3, today, 7), first)
    assert (quota.left(NOON), quota.tally.first_day) == (1, today - 3), "7 of all, and 2 that are not among them"
    quota.agree(Tally(today - 3, today, 8), second)
    assert quota.left(NOON) == 1
    quota.take(-1, NOON)
    quota.agree(Tally(today - 3, today, 7), quota.tell())
    assert quota.left(NOON) == 3
    quota.agree(Tally(today - 3, today + 1, 9), 0)
    assert quota.left(NOON) == 3, "a clock that is a day ahead"


def test_messages_to_one_person_are_apart_and_others_do_not_wait() -> None:
    gaps = Gaps(6.0)
    assert [gaps.wait("a", NOON, 10.0) for _ in range(3)] == [0.0, 6.0, 12.0]
    assert gaps.wait("a", NOON, 10.0) == pytest.approx(12.001), "a moment too far away is not taken"
    assert gaps.wait("a", NOON, 10.0) == pytest.approx(12.002), "and who was put off first comes again first"
    assert gaps.wait("b", NOON, 10.0) == 0.0
    assert gaps.wait("a", NOON + 12.0, 10.0) == 0.0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 5)), max_size=60))
def test_no_two_moments_of_a_person_are_closer_than_the_gap(asked: list[tuple[str, float]]) -> None:
    gaps, now, moments = Gaps(6.0), NOON, dict[str, list[float]]()
    for person, later in asked:
        now += later
        wait = gaps.wait(person, now, 10.0)
        if wait <= 10.0:
            moments.setdefault(person, []).append(now + wait)
    for taken in moments.values():
        assert all(after - before > 5.999 for before, after in pairwise(taken))
