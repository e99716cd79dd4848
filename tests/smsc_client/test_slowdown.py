"""The search for the rate an operator allows, without an operator."""

from __future__ import annotations

import math

import pytest

from smsc_client.slowdown import Slowdown


def settle(slowdown: Slowdown, limit: float, now: float, until: float) -> list[float]:
    """Let everything above `limit` be refused a quarter second after it began; returns the moments of refusal."""
    refused = []
    while now < until:
        slowdown.update(now)
        if now >= slowdown.paused_until + 0.25 and slowdown.rate > limit:
            slowdown.throttled(now)
            refused.append(now)
        now += 0.25
    return refused


def test_a_new_channel_goes_at_full_speed_and_never_asks_to_be_updated() -> None:
    slowdown = Slowdown(100.0)
    assert (slowdown.rate, slowdown.due) == (100.0, math.inf)


def test_the_first_refusal_stops_for_a_second_and_halves() -> None:
    slowdown = Slowdown(100.0)
    slowdown.throttled(10.0)
    assert (slowdown.rate, slowdown.paused_until) == (50.0, 11.0)


def test_the_rate_never_falls_below_one() -> None:
    slowdown = Slowdown(5.0)
    for moment in range(20):
        slowdown.throttled(float(moment))
    assert slowdown.rate == 1.0


@pytest.mark.parametrize("limit", [97.0, 80.0, 50.0, 33.3, 10.0, 3.0])
def test_the_limit_is_found_from_below(limit: float) -> None:
    slowdown = Slowdown(100.0)
    settle(slowdown, limit, 0.0, 60.0)
    assert 0.95 * limit <= slowdown.rate <= limit + 5.0


def test_attempts_to_go_faster_become_seldom() -> None:
    slowdown = Slowdown(100.0)
    refused = settle(slowdown, 40.0, 0.0, 600.0)
    assert len([at for at in refused if at > 300]) <= 6


def test_a_lower_limit_is_found_again() -> None:
    slowdown = Slowdown(100.0)
    settle(slowdown, 80.0, 0.0, 60.0)
    settle(slowdown, 20.0, 60.0, 120.0)
    assert 18.0 <= slowdown.rate <= 25.0


def test_full_speed_returns_when_nothing_is_refused_any_more() -> None:
    slowdown = Slowdown(100.0)
    settle(slowdown, 20.0, 0.0, 60.0)
    assert settle(slowdown, 1000.0, 60.0, 180.0) == []
    assert (slowdown.rate, slowdown.due) == (100.0, math.inf)


def test_an_operator_that_is_nearly_congested_takes_a_tenth_off_at_most_every_two_seconds() -> None:
    slowdown = Slowdown(100.0)
    rates = []
    for tick in range(10):
        slowdown.congested(tick * 0.5)
        rates.append(round(slowdown.rate, 3))
    assert rates == [90.0] * 4 + [81.0] * 4 + [72.9] * 2
    assert slowdown.paused_until == -math.inf


def test_full_speed_returns_after_congestion() -> None:
    slowdown = Slowdown(100.0)
    slowdown.congested(0.0)
    settle(slowdown, 1000.0, 0.0, 60.0)
    assert (slowdown.rate, slowdown.due) == (100.0, math.inf)


def test_congestion_never_stops_a_channel() -> None:
    slowdown = Slowdown(2.0)
    for tick in range(100):
        slowdown.congested(tick * 2.0)
    assert slowdown.rate == 1.0


def chance(every: int, rate: float, seconds: float) -> Slowdown:
    """One of so many submits is throttled, whatever the rate."""
    slowdown, now, submits = Slowdown(rate), 0.0, 0
    while now < seconds:
        slowdown.update(now)
        if now >= slowdown.paused_until:
            submits += 1
            if submits % every == 0 and not slowdown.forgives(now):
                slowdown.throttled(now)
        now += 1.0 / slowdown.rate
    return slowdown


@pytest.mark.parametrize("rate", [20.0, 150.0, 400.0])
def test_one_throttled_answer_among_a_hundred_slows_nothing_down_for_long(rate: float) -> None:
    assert chance(100, rate, 120.0).rate >= 0.9 * rate


@pytest.mark.parametrize("rate", [20.0, 150.0, 400.0])
def test_one_among_ten_is_no_chance(rate: float) -> None:
    assert chance(10, rate, 60.0).rate < 0.7 * rate


def test_what_is_throttled_by_chance_after_long_good_work_costs_nothing() -> None:
    slowdown = Slowdown(100.0, began=50.0)
    assert not slowdown.forgives(50.0), "at the very start nobody knows"
    assert [slowdown.forgives(110.0) for _ in range(4)] == [True, True, True, False]
    assert (slowdown.rate, slowdown.paused_until) == (100.0, -math.inf)


def test_an_attempt_to_go_faster_is_told_by_the_first_refusal() -> None:
    slowdown = Slowdown(100.0)
    settle(slowdown, 50.0, 0.0, 60.0)
    while slowdown.rate < 51.0:
        slowdown.update(slowdown.due)
    assert not slowdown.forgives(slowdown.due)


def test_a_pause_earns_nothing() -> None:
    slowdown = Slowdown(100.0)
    assert not slowdown.forgives(0.0)
    slowdown.throttled(0.0)
    assert not slowdown.forgives(1.1)
