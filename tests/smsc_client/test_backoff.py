"""How long a link waits before it tries again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.schema import ReconnectSettings
from smsc_client.backoff import LOCKED_OUT, Backoff

PASSWORD, SYSTEM_ID, BIND_FAILED, SYSTEM_TYPE = 0x0E, 0x0F, 0x0D, 0x53
ALREADY_BOUND, SYSTEM_ERROR, QUEUE_FULL, THROTTLED = 0x05, 0x08, 0x14, 0x58


def backoff(chance: float = 0.5, initial: float = 1.0, most: float = 60.0) -> Backoff:
    return Backoff(ReconnectSettings(initial=initial, max=most), lambda: chance)


def test_a_lost_link_doubles_its_wait_up_to_the_maximum() -> None:
    one = backoff()
    assert [one.delay() for _ in range(8)] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    one.reset()
    assert one.delay() == 1.0


@pytest.mark.parametrize(("chance", "expected"), [(0.0, 0.8), (0.25, 0.9), (0.999999, 1.2)])
def test_every_wait_is_given_or_taken_a_fifth(chance: float, expected: float) -> None:
    assert backoff(chance).delay() == pytest.approx(expected, rel=1e-3)
    assert backoff(chance).delay(PASSWORD) == pytest.approx(30 * expected, rel=1e-3)
    assert backoff(chance).delay(SYSTEM_ERROR) == pytest.approx(5 * expected, rel=1e-3)


@pytest.mark.parametrize(
    ("refused", "most", "expected"),
    [
        (PASSWORD, 60.0, [30.0, 60.0, 120.0, 240.0, 300.0, 300.0]),
        (SYSTEM_ID, 60.0, [30.0, 60.0, 120.0, 240.0, 300.0, 300.0]),
        (BIND_FAILED, 60.0, [30.0, 60.0, 120.0, 240.0, 300.0, 300.0]),
        (SYSTEM_TYPE, 60.0, [30.0, 60.0, 120.0, 240.0, 300.0, 300.0]),
        (PASSWORD, 600.0, [30.0, 60.0, 120.0, 240.0, 300.0, 300.0]),
        (PASSWORD, 2.0, [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]),
        (ALREADY_BOUND, 60.0, [66.0] * 6),
        (ALREADY_BOUND, 2.0, [2.2] * 6),
        (SYSTEM_ERROR, 60.0, [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]),
        (QUEUE_FULL, 60.0, [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]),
        (THROTTLED, 60.0, [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]),
        (0x401, 60.0, [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]),
    ],
)
def test_a_refused_bind_waits_as_its_status_deserves(refused: int, most: float, expected: list[float]) -> None:
    one = backoff(most=most)
    assert [one.delay(refused) for _ in expected] == pytest.approx(expected)
    one.reset()
    assert one.delay(refused) == pytest.approx(expected[0])


@given(
    st.lists(st.sampled_from([0, PASSWORD, ALREADY_BOUND, SYSTEM_ERROR, 0x401]), max_size=40),
    st.floats(0.0, 0.999),
    st.floats(0.05, 5.0),
    st.floats(5.0, 900.0),
)
def test_no_wait_is_nothing_and_none_is_endless(
    statuses: list[int], chance: float, initial: float, most: float
) -> None:
    one = backoff(chance, initial, most)
    for status in statuses:
        wait = one.delay(status)
        assert 0.8 * initial <= wait <= max(most * 1.2, 300.0)
        if status in LOCKED_OUT:
            assert wait >= 0.8 * 30.0 * min(1.0, most / 60.0)
