"""Who may bind, and how fast an account may submit."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from twisted.internet.defer import Deferred, succeed

from config.schema import AccountSettings
from config.secrets import hash_password
from gateway.messages.message import Message, Part
from gateway.metrics import Metrics
from gateway.server.accounts import Accounts
from gateway.server.answers import Refusal
from tests.gateway.server.house import account, logged, server_settings
from tests.gateway.server.test_translate import message


class Door:
    """Accounts with a clock, a number of binds and a count of slow checks that the test can read."""

    def __init__(self, *accounts: AccountSettings, **settings: Any) -> None:
        self.now = 1000.0
        self.binds = 0
        self.checks = 0
        self.metrics = Metrics(CollectorRegistry())
        self.accounts = Accounts(
            server_settings(*accounts, **settings),
            lambda: self.now,
            self.metrics,
            lambda account: self.binds,
            self.in_thread,
        )

    def in_thread(self, check: Any) -> Deferred[bool]:
        self.checks += 1
        return succeed(check())

    def bind(self, system_id: str = "billing", password: str = "secret", peer: str = "127.0.0.1") -> int:
        answers: list[Refusal | None] = []
        Deferred.fromCoroutine(self.accounts.why_not(system_id, password, peer)).addCallback(answers.append)
        (refusal,) = answers
        return self.accounts.status_of(refusal, system_id) if refusal is not None else 0

    def refused_for(self, reason: str) -> float:
        return self.metrics.registry.get_sample_value("pombo_auth_failures_total", {"reason": reason}) or 0


@pytest.mark.parametrize(
    ("settings", "attempt", "binds", "status", "reason"),
    [
        ({}, {}, 0, 0, ""),
        ({}, {"system_id": "nobody"}, 0, 0x0F, "unknown_system_id"),
        ({}, {"password": "Secret"}, 0, 0x0E, "wrong_password"),
        ({}, {"password": ""}, 0, 0x0E, "wrong_password"),
        ({"allow_from": ("10.0.0.0/8",)}, {}, 0, 0x0D, "address_not_allowed"),
        ({"allow_from": ("10.0.0.0/8",)}, {"password": "no"}, 0, 0x0E, "wrong_password"),
        ({"allow_from": ("10.0.0.0/8", "127.0.0.0/8")}, {}, 0, 0, ""),
        ({"allow_from": ("127.0.0.0/8",)}, {"peer": "::ffff:127.0.0.1"}, 0, 0, ""),
        ({"allow_from": ("2001:db8::/32",)}, {"peer": "2001:db8::1"}, 0, 0, ""),
        ({"allow_from": ("127.0.0.0/8",)}, {"peer": ""}, 0, 0x0D, "address_not_allowed"),
        ({"max_binds": 2}, {}, 1, 0, ""),
        ({"max_binds": 2}, {}, 2, 0x0D, "too_many_binds"),
    ],
)
def test_a_bind_is_checked_in_order(
    settings: dict[str, Any], attempt: dict[str, str], binds: int, status: int, reason: str
) -> None:
    door = Door(account(**settings))
    door.binds = binds
    assert door.bind(**attempt) == status
    assert not reason or door.refused_for(reason) == 1


def test_a_hashed_password_is_checked_aside_once() -> None:
    hashed = hash_password("secret", lambda octets: b"s" * octets)
    door = Door(account(password=None, password_hash=hashed))
    assert door.bind(password="wrong") == 0x0E
    assert [door.bind(), door.bind(), door.bind()] == [0, 0, 0]
    assert door.checks == 2
    assert door.bind(password="wrong") == 0x0E


def test_an_address_that_fails_five_times_in_a_minute_waits_and_others_do_not() -> None:
    door = Door()
    for _ in range(5):
        assert door.bind(password="guess", peer="10.0.0.9") == 0x0E
        door.now += 5
    door.now -= 4.5
    assert door.bind(peer="10.0.0.9") == 0x0D and door.refused_for("banned") == 1
    assert door.bind(peer="10.0.0.8") == 0, "the account is open to everybody else"
    door.now += 0.6
    assert door.bind(peer="10.0.0.9") == 0


def test_a_stranger_elsewhere_cannot_keep_a_customer_out_however_hard_he_tries() -> None:
    """300 addresses guess at the name for ten minutes, slowly enough not to be noticed one by one; the customer gets in
    at the first try every time."""
    door = Door()
    tries = 0
    with logged() as lines:
        for second in range(600):
            for host in range(20):
                tries += door.bind(password="guess", peer=f"198.51.{second % 15}.{host}") == 0x0E
            assert door.bind(peer="203.0.113.5") == 0
            door.now += 1.0
    assert tries <= 300 * 11, "one a minute and address"
    assert door.refused_for("banned") == 600 * 20 - tries
    assert len([line for line in lines if "billing is being guessed" in line]) >= 1


def test_a_neighbour_behind_the_same_address_does_not_keep_out_who_has_bound_before() -> None:
    door = Door(account(), account("misconfigured", password="other"))
    assert door.bind() == 0
    for _ in range(6):
        door.bind("misconfigured", "wrong")
    assert door.bind("misconfigured", "other") == 0x0D
    assert door.bind() == 0


def test_an_unknown_name_is_refused_like_a_wrong_password_where_that_is_wanted() -> None:
    hashed = hash_password("secret", lambda octets: b"s" * octets)
    door = Door(account(password=None, password_hash=hashed), account("other"), uniform_bind_error=True)
    assert door.bind("nobody") == 0x0E and door.refused_for("unknown_system_id") == 1
    assert door.checks == 1, "with as much work"
    assert door.bind(password="wrong") == 0x0E and door.checks == 2
    door.accounts.reload(server_settings(account()))
    assert door.bind("nobody") == 0x0F


# Rates


def part(number: int, total: int = 3, ref: int = 1) -> Message:
    text = message()
    text.part = Part(f"billing|28940|{text.msisdn}|udh8|{ref}|{total}", total, number)
    return text


def test_parts_of_an_admitted_message_are_never_throttled() -> None:
    """10 segments/s and three-part messages: whole messages are refused, never a part 2 or 3."""
    door = Door(account(throughput=10.0))
    admitted, segments = 0, 0
    for ref in range(60):
        waits = [door.accounts.wait_for(part(number, ref=ref), door.now) for number in (1, 2, 3)]
        if waits[0] == 0.0:
            assert waits == [0.0, 0.0, 0.0]
            admitted += 1
            segments += 3
        else:
            assert all(waits), "a set that was refused at its first part is not let in at its second"
        door.now += 0.1
    assert 10 + 10 * 6.0 >= segments >= 10 * 5.9


def test_the_set_is_paid_by_whichever_part_comes_first() -> None:
    door = Door(account(throughput=1.0))
    assert [door.accounts.wait_for(part(n, 10), door.now) for n in (7, 1, 10, 2)] == [0.0] * 4
    assert door.accounts.wait_for(message(), door.now) == pytest.approx(1.0)


def test_a_part_that_comes_again_pays_for_a_new_set() -> None:
    door = Door(account(throughput=1.0))
    assert door.accounts.wait_for(part(1, 5), door.now) == 0.0
    assert door.accounts.wait_for(part(1, 5), door.now) == 0.0
    assert door.accounts.wait_for(part(1, 5), door.now) > 0.0


def test_what_is_paid_is_forgotten_after_parts_timeout() -> None:
    door = Door(account(throughput=1.0))
    assert door.accounts.wait_for(part(1, 10), door.now) == 0.0
    door.now += 60.0
    assert door.accounts.wait_for(message(), door.now) == 0.0
    assert door.accounts.wait_for(part(2, 10), door.now) == pytest.approx(1.0), "9 tokens left for 10 segments"


def test_a_message_longer_than_the_bucket_is_let_in_and_paid_later() -> None:
    door = Door(account(throughput=10.0))
    long = message()
    long.segments = 30
    assert door.accounts.wait_for(long, door.now) == 0.0
    door.now += 1.0
    assert door.accounts.wait_for(message(), door.now) == 0.0, "10 of the 20 that are owed, and itself not yet"
    door.now += 1.0
    assert door.accounts.wait_for(message(), door.now) == 0.0
    assert door.accounts.wait_for(message(), door.now) > 0.0


def test_messages_that_go_together_are_all_paid_or_none() -> None:
    door = Door(account(throughput=10.0))
    assert door.accounts.wait_for_all([message()] * 8, door.now) == 0.0
    assert door.accounts.wait_for_all([message()] * 3, door.now) == pytest.approx(0.1)
    assert door.accounts.wait_for_all([message()] * 2, door.now) == 0.0
    assert door.accounts.wait_for_all([], door.now) == 0.0


def test_parts_to_many_are_paid_per_destination() -> None:
    door = Door(account(throughput=10.0))

    def to_both(number: int) -> list[Message]:
        return [part(number, ref=1), part(number, ref=2)]

    assert door.accounts.wait_for_all(to_both(1), door.now) == 0.0
    assert door.accounts.wait_for_all([message()] * 5, door.now) > 0.0, "6 of 10 segments are taken"
    assert [door.accounts.wait_for_all(to_both(number), door.now) for number in (2, 3)] == [0.0, 0.0]
    assert door.accounts.wait_for_all([message()] * 4, door.now) == 0.0


def test_reload_keeps_the_bucket_of_an_account_whose_rate_stays() -> None:
    door = Door(account(throughput=10.0), account("other", throughput=10.0))
    for _ in range(10):
        assert door.accounts.wait_for(message(), door.now) == 0.0
    ended = door.accounts.reload(server_settings(account(throughput=10.0, window=5), account("new")))
    assert ended == {"other"}
    assert door.accounts.wait_for(message(), door.now) > 0.0
    settings = door.accounts.get("billing")
    assert settings is not None and settings.window == 5
    assert door.accounts.reload(server_settings(account(throughput=20.0, window=5), account("new"))) == set()
    assert door.accounts.wait_for(message(), door.now) == 0.0, "a new rate begins with a full bucket"


def test_reload_ends_the_binds_of_a_changed_password() -> None:
    door = Door()
    assert door.accounts.reload(server_settings(account(password="another"))) == {"billing"}
    assert door.bind() == 0x0E and door.bind(password="another") == 0
