"""Never above the rate in any one second, and close to it; bursts where they are allowed."""

from __future__ import annotations

from bisect import bisect_left
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.delivery.pacing import Bucket, Pacer


def busiest_second(sent: list[tuple[float, int]]) -> int:
    """The most that left within any window of one second, ends excluded."""
    moments = [at for at, _ in sent]
    most = 0
    for i, (at, _) in enumerate(sent):
        end = bisect_left(moments, at + 1.0)
        most = max(most, sum(count for _, count in sent[i:end]))
    return most


def run(rate: float, seconds: float, steps: list[float]) -> list[tuple[float, int]]:
    """Send all that may leave, as often as somebody looks: after every step, and when the pacer says so."""
    pacer, now, sent, look = Pacer(rate, 0.0), 0.0, [], 0
    while now < seconds:
        count = pacer.available(now)
        if count:
            pacer.take(count, now)
            sent.append((now, count))
        now = max(pacer.next_at(now), now + steps[look % len(steps)])
        look += 1
    return sent


RATES = st.one_of(st.integers(1, 1000).map(float), st.floats(0.5, 1000.0))


@settings(max_examples=60, deadline=None)
@given(RATES, st.lists(st.sampled_from([0.0005, 0.001, 0.004, 0.01, 0.05]), min_size=1, max_size=8))
def test_no_second_holds_more_than_the_rate(rate: float, steps: list[float]) -> None:
    sent = run(rate, max(2.0, 5.0 / rate), steps)
    assert busiest_second(sent) <= ceil(rate)


@pytest.mark.parametrize("rate", [1, 2, 5, 10, 50, 100, 150, 400, 1000])
@pytest.mark.parametrize("step", [0.0005, 0.001])
def test_at_least_ninety_four_percent_of_the_rate_is_reached(rate: int, step: float) -> None:
    seconds = max(10.0, 60.0 / rate)
    total = sum(count for _, count in run(rate, seconds, [step]))
    assert total >= 0.94 * rate * seconds


@settings(max_examples=60, deadline=None)
@given(RATES, st.lists(st.tuples(st.floats(0.0, 3.0), st.integers(1, 40)), min_size=1, max_size=30))
def test_traffic_that_comes_and_goes_never_saves_up_a_burst(rate: float, arrivals: list[tuple[float, int]]) -> None:
    pacer, now, sent = Pacer(rate, 0.0), 0.0, []
    for pause, count in arrivals:
        now += pause
        for _ in range(count):
            now = pacer.next_at(now)
            pacer.take(1, now)
            sent.append((now, 1))
    assert busiest_second(sent) <= ceil(rate)


@settings(max_examples=40, deadline=None)
@given(RATES, RATES)
def test_a_slower_rate_holds_from_the_moment_it_is_set(first: float, second: float) -> None:
    pacer, now = Pacer(first, 0.0), 0.0
    sent: list[tuple[float, int]] = []
    for _ in range(50):
        now = pacer.next_at(now)
        pacer.take(1, now)
    pacer.set_rate(second)
    began = now
    while now < began + 3.0 and len(sent) < 2000:
        now = pacer.next_at(now)
        pacer.take(1, now)
        sent.append((now, 1))
    assert busiest_second(sent) <= ceil(second)


@given(st.floats(0.5, 1000.0), st.floats(0.0, 10.0), st.integers(1, 5))
def test_what_may_leave_then_may_really_leave_then(rate: float, now: float, count: int) -> None:
    pacer = Pacer(rate, 0.0)
    pacer.take(3, now)
    at = pacer.next_at(now, count)
    most = pacer.available(now + 1000.0)
    assert pacer.available(at + 1e-6) >= min(count, most)
    assert at >= now


def test_nothing_leaves_before_its_time() -> None:
    pacer = Pacer(10.0, 0.0)
    assert pacer.available(0.0) == 1
    pacer.take(1, 0.0)
    assert pacer.available(0.0) == 0
    assert pacer.next_at(0.0) == pytest.approx(1 / 9.8)
    assert pacer.available(0.05) == 0
    assert pacer.available(0.11) == 1


def test_a_long_text_may_leave_as_one_and_is_paid_for_afterwards() -> None:
    pacer = Pacer(10.0, 0.0)
    pacer.take(5, 0.0)
    assert pacer.next_at(0.0) == pytest.approx(5 / 9.8)


def test_a_bucket_lets_a_burst_of_its_size_through_and_then_its_rate() -> None:
    bucket = Bucket(10.0, 20.0, 0.0)
    assert bucket.take(20, 0.0)
    assert not bucket.take(1, 0.0)
    assert bucket.seconds_until(1, 0.0) == pytest.approx(0.1)
    assert bucket.take(1, 0.1)
    assert not bucket.take(1, 0.1)


def test_a_bucket_that_refuses_takes_nothing() -> None:
    bucket = Bucket(10.0, 10.0, 0.0)
    assert bucket.take(8, 0.0)
    assert not bucket.take(3, 0.0)
    assert bucket.take(2, 0.0)


def test_three_parts_at_a_time_are_never_cut_at_ten_segments_a_second() -> None:
    bucket, now = Bucket(10.0, 10.0, 0.0), 0.0
    for _ in range(100):
        assert bucket.take(3, now)
        now += 0.3


@given(st.floats(1.0, 500.0), st.lists(st.tuples(st.floats(0.0, 2.0), st.integers(1, 10)), max_size=100))
def test_a_bucket_never_lets_through_more_than_its_size_and_its_rate(
    rate: float, asked: list[tuple[float, int]]
) -> None:
    bucket, now, taken = Bucket(rate, max(rate, 10.0), 0.0), 0.0, 0
    for pause, count in asked:
        now += pause
        taken += count if bucket.take(count, now) else 0
        assert taken <= max(rate, 10.0) + rate * now + 1e-6


@given(st.floats(1.0, 500.0), st.integers(1, 10))
def test_after_the_time_it_names_a_bucket_gives(rate: float, count: int) -> None:
    bucket = Bucket(rate, max(rate, 10.0), 0.0)
    while bucket.take(count, 0.0):
        pass
    wait = bucket.seconds_until(count, 0.0)
    assert wait > 0
    assert bucket.take(count, wait + 1e-6)
