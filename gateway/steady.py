"""The clock of the process: the time of day, but one that never goes back.

Timers, deadlines and rates are counted on the reactor's clock, which in Twisted is the time of day. Were that set back
by an hour, no timer would ring and no rate would allow anything for an hour. So seconds are counted by the machine's
steady clock: they follow the time of day at once where it is ahead, and where it is behind they pass a tenth slower
until it has caught up.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

LOOK_S = 1.0
SLOWEST = 0.9  # seconds that pass in a second, while the time of day is behind
EVEN_S = 0.001  # less is no difference
TOLD_S = 1.0  # a difference of which the log tells
log = Logger("clock")


class SteadyClock:
    """Seconds since the epoch that never decrease (but for a rounding). `look` wants to be called every LOOK_S."""

    def __init__(
        self, day: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic, least: float = 0.0
    ) -> None:
        """day: the time of day, seconds since the epoch. steady: seconds since any moment, that nobody can set. least:
        it begins no earlier."""
        self._day, self._steady = day, steady
        self._pace, self._offset = 1.0, max(day(), least) - steady()
        self._told = False

    def seconds(self) -> float:
        return self._steady() * self._pace + self._offset

    def look(self) -> None:
        """See how far the time of day is ahead, and go after it."""
        steady = self._steady()
        now = steady * self._pace + self._offset
        ahead = self._day() - now
        if ahead < -EVEN_S:
            self._pace = max(SLOWEST, 1.0 + ahead / LOOK_S)
        else:
            self._pace = 1.0
            now += max(ahead, 0.0)
        self._offset = now - steady * self._pace
        self._tell(ahead)

    def _tell(self, ahead: float) -> None:
        set_back = ahead < -TOLD_S
        if set_back and not self._told:
            log.warn("the clock was set back by {n:.0f} s; until it has caught up, timers run a tenth slower", n=-ahead)
        elif ahead > TOLD_S:
            log.warn("the clock went forward by {n:.0f} s at once, and everything that is due goes with it", n=ahead)
        self._told = set_back


def steady(reactor: Any, least: float = 0.0) -> None:
    """Give a reactor such a clock, for as long as the process lives."""
    clock = SteadyClock(least=least)
    reactor.seconds = clock.seconds

    def look() -> None:
        clock.look()
        reactor.callLater(LOOK_S, look)

    look()
