"""The clock of the process, when the time of day is set."""

from __future__ import annotations

from itertools import pairwise

import pytest

from gateway.steady import LOOK_S, SteadyClock
from tests.gateway.server.house import logged

START = 1_800_000_000.0


class Machine:
    """Its two clocks, and a SteadyClock that looks at them every second."""

    def __init__(self) -> None:
        self.day, self.passed, self.next_look = START, 5000.0, LOOK_S
        self.clock = SteadyClock(lambda: self.day, lambda: self.passed)

    def set(self, by: float) -> None:
        self.day += by

    def go(self, seconds: float) -> list[float]:
        """What the clock said on the way."""
        said = []
        for _ in range(round(seconds * 10)):
            self.day += 0.1
            self.passed += 0.1
            said.append(self.clock.seconds())
            self.next_look -= 0.1
            if self.next_look < 0.05:
                self.clock.look()
                said.append(self.clock.seconds())
                self.next_look = LOOK_S
        return said


def never_back(said: list[float]) -> bool:
    return all(later - earlier > -1e-6 for earlier, later in pairwise(said))


def test_it_is_the_time_of_day() -> None:
    machine = Machine()
    machine.go(100)
    assert machine.clock.seconds() == pytest.approx(START + 100, abs=1e-5)


def test_it_does_not_go_back_and_lets_time_pass_when_the_time_of_day_is_set_back() -> None:
    machine = Machine()
    machine.go(10)
    machine.set(-600)
    said = machine.go(100)
    assert never_back(said)
    assert said[0] == pytest.approx(START + 10.1, abs=1e-5), "nothing of it before the first look either"
    assert said[-1] - said[0] > 89, "what is due in a minute and a half is done"


def test_it_agrees_again_once_the_time_of_day_has_caught_up() -> None:
    machine = Machine()
    machine.set(-60)
    said = machine.go(605)
    assert never_back(said)
    assert said[-1] == pytest.approx(machine.day, abs=0.002)


def test_a_little_is_made_good_within_a_second() -> None:
    machine = Machine()
    machine.set(-0.05)
    said = machine.go(2)
    assert never_back(said) and said[-1] == pytest.approx(machine.day, abs=0.002)


def test_it_follows_at_once_where_the_time_of_day_is_ahead() -> None:
    machine = Machine()
    machine.go(10)
    machine.set(3600)
    assert machine.go(1)[-1] == pytest.approx(START + 3611, abs=0.002)


def test_the_log_tells_once() -> None:
    machine = Machine()
    with logged() as lines:
        machine.set(-30)
        machine.go(400)
        machine.set(7200)
        machine.go(5)
    assert len(lines) == 2 and "set back by 30 s" in lines[0] and "went forward by 7200 s" in lines[1]


def test_whoever_is_started_after_the_time_of_day_was_set_back_agrees_with_those_who_run() -> None:
    machine = Machine()
    machine.go(10)
    machine.set(-3600)
    machine.go(10)
    late = Machine()
    late.day, late.passed = machine.day, machine.passed
    late.clock = SteadyClock(lambda: late.day, lambda: late.passed, least=machine.clock.seconds())
    assert late.clock.seconds() == pytest.approx(machine.clock.seconds())
    assert never_back(late.go(10))
    machine.go(10)
    assert late.clock.seconds() == pytest.approx(machine.clock.seconds(), abs=0.2)
