"""Addresses that keep failing to bind."""

from __future__ import annotations

import pytest

from gateway.server.bans import GUESSES, LONGEST_BAN_S, WITHIN_S, Bans


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


# Names


def test_an_account_that_has_bound_from_an_address_is_let_in_while_others_there_are_banned() -> None:
    record = Bans()
    record.proved("10.0.0.9", "billing")
    for _ in range(5):
        record.failed("10.0.0.9", 0.0, "shop")
    assert record.refuses("10.0.0.9", 0.0, "shop") and record.refuses("10.0.0.9", 0.0)
    assert not record.refuses("10.0.0.9", 0.0, "billing")
    assert not record.refuses("::ffff:10.0.0.9", 0.0, "billing")


def test_that_ends_with_the_first_wrong_password() -> None:
    record = Bans()
    record.proved("10.0.0.9", "billing")
    fail(record, 5, 0.0)
    record.failed("10.0.0.9", 0.5, "billing")
    assert record.refuses("10.0.0.9", 0.5, "billing")


def test_while_a_name_is_guessed_at_from_many_addresses_one_wrong_password_is_enough() -> None:
    record = Bans()
    begins = [record.failed(f"10.0.{n}.1", 0.0, "billing") for n in range(GUESSES + 3)]
    assert begins == [False] * (GUESSES - 1) + [True] + [False] * 3, "told once"
    refused = [record.refuses(f"10.0.{n}.1", LONGEST_BAN_S - 1, "billing") for n in range(GUESSES + 3)]
    assert refused == [False] * (GUESSES - 1) + [True] * 4
    assert not record.refuses("192.0.2.7", 0.0, "billing"), "the customer, from an address that has not failed"
    assert not record.failed("10.9.9.9", 0.0, "shop") and not record.refuses("10.9.9.9", 0.0), "other names as ever"


def test_a_quiet_minute_ends_that() -> None:
    record = Bans()
    for n in range(GUESSES):
        record.failed(f"10.0.{n}.1", 0.0, "billing")
    record.failed("192.0.2.7", WITHIN_S + 1, "billing")
    assert not record.refuses("192.0.2.7", WITHIN_S + 1, "billing")


def test_names_that_nobody_has_are_counted_by_address_only() -> None:
    record = Bans()
    for n in range(10 * GUESSES):
        assert not record.failed(f"10.{n // 250}.{n % 250}.1", 0.0)
    assert record._guesses == {}


def test_what_has_bound_is_bounded_too() -> None:
    record = Bans(limit=3)
    for last in range(5):
        record.proved(f"10.0.0.{last}", "billing")
        fail(record, 5, 0.0, f"10.0.0.{last}")
    assert [record.refuses(f"10.0.0.{last}", 0.0, "billing") for last in range(2, 5)] == [False] * 3
    assert len(record._proven) == 3
