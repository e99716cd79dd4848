from __future__ import annotations

import pytest

from bridge.pace import ENOUGH, LEAST_RATE, LOOK_AGAIN_S, LOOKED_AT_S, Pace


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


def test_of_its_share_and_what_the_service_allows_it_goes_by_what_is_less() -> None:
    pace = Pace(80.0, 0.0)
    pace.take_share(40.0)
    assert not pace.throttled(10.0)
    assert pace.rate == 20.0, "half of what it was"
    pace.take_share(10.0)
    assert pace.rate == 10.0
    pace.recover(11.0)
    pace.take_share(80.0)
    assert pace.rate == 28.0


def test_without_a_share_nothing_leaves() -> None:
    pace = Pace(80.0, 0.0)
    pace.take_share(0.0)
    assert pace.wait(10.0) == pace.wait(11.0) == LOOK_AGAIN_S
    pace.take_share(1.0)
    assert pace.wait(12.0) == 0.0
