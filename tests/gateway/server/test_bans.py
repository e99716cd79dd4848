"""Addresses that keep failing to bind."""

from __future__ import annotations

import pytest

from gateway.server.bans import Bans


def fail(record: Bans, times: int, now: float, peer: str = "10.0.0.9") -> None:
    for _ in range(times):
        record.failed(peer, now)


def test_four_failures_are_forgiven() -> None:
    record = Bans()
    fail(record, 4, 0.0)
    assert not record.refuses("10.0.0.9", 0.0)


def test_failures_further_apart_than_a_minute_in_all_are_forgiven() -> None:
    record = Bans()
    for number in range(20):
        record.failed("10.0.0.9", number * 16.0)
        assert not record.refuses("10.0.0.9", number * 16.0)


def test_every_further_failure_doubles_the_wait_up_to_a_minute() -> None:
    record, now, waits = Bans(), 0.0, []
    fail(record, 4, now)
    for _ in range(8):
        record.failed("10.0.0.9", now)
        wait = 0.5
        while record.refuses("10.0.0.9", now + wait):
            wait += 0.5
        waits.append(wait)
        now += wait
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_quiet_minute_begins_anew() -> None:
    record = Bans()
    fail(record, 6, 0.0)
    record.failed("10.0.0.9", 70.0)
    assert not record.refuses("10.0.0.9", 70.0)


@pytest.mark.parametrize(
    ("failing", "asking", "same"),
    [
        ("10.0.0.9", "10.0.0.8", False),
        ("10.0.0.9", "::ffff:10.0.0.9", True),
        ("2001:db8:1:2::9", "2001:db8:1:2:3::1", True),
        ("2001:db8:1:2::9", "2001:db8:1:3::9", False),
        ("fe80::1%eth0", "fe80::1%eth0", True),
        ("", "", True),
    ],
)
def test_what_counts_as_one_address(failing: str, asking: str, same: bool) -> None:
    record = Bans()
    fail(record, 5, 0.0, failing)
    assert record.refuses(asking, 0.0) is same


def test_the_list_is_bounded_and_forgets_the_oldest() -> None:
    record = Bans(limit=3)
    for last in range(5):
        fail(record, 5, 0.0, f"10.0.0.{last}")
    assert [record.refuses(f"10.0.0.{last}", 0.0) for last in range(5)] == [False, False, True, True, True]
