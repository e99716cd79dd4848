from __future__ import annotations

import pytest

from bridge.pace import ENOUGH, LEAST_RATE, LOOKED_AT_S, Pace


def test_it_sends_at_its_rate() -> None:
    pace, now, left = Pace(10.0, 0.0), 0.0, 0
    while now < 10.0:
        wait = pace.wait(now)
        if wait > 0:
            now += wait
            continue
        pace.take(now)
        left += 1
    assert left == pytest.approx(100, abs=10)


def test_throttling_halves_the_rate_once_a_second_and_no_further_than_its_floor() -> None:
    pace = Pace(80.0, 0.0)
    assert [pace.throttled(10.0), pace.throttled(10.5)] == [False, False]
    assert pace.rate == 40.0
    for second in range(11, 30):
        pace.throttled(float(second))
        pace.passed(float(second))
        pace.passed(float(second))
    assert pace.rate == 80.0 * LEAST_RATE


def test_the_rate_comes_back_by_a_tenth_a_second() -> None:
    pace = Pace(80.0, 0.0)
    pace.throttled(10.0)
    for second in range(11, 20):
        pace.recover(float(second))
    assert pace.rate == 80.0


def throttled(pace: Pace, share: float, within: float) -> list[bool]:
    """Told of ENOUGH sends, evenly, so many of which were refused for their rate."""
    said = []
    for index in range(ENOUGH):
        now = 100.0 + within * index / ENOUGH
        if int((index + 1) * share) > int(index * share):
            said.append(pace.throttled(now))
        else:
            pace.passed(now)
    return said


@pytest.mark.parametrize(
    ("share", "within", "stops"),
    [(1.0, 5.0, True), (0.6, 5.0, True), (0.5, 5.0, False), (0.2, 5.0, False), (1.0, 2 * LOOKED_AT_S, False)],
)
def test_it_stops_when_more_than_half_of_the_last_sends_were_refused(share: float, within: float, stops: bool) -> None:
    assert throttled(Pace(80.0, 0.0), share, within)[-1] is stops


def test_after_a_stop_the_count_begins_anew() -> None:
    pace = Pace(80.0, 0.0)
    assert throttled(pace, 1.0, 5.0)[-1]
    assert not pace.throttled(106.0)
