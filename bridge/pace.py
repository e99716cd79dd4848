"""How fast one sender sends: at its configured rate, slower when the service says so, and not at all for a while when
it says so most of the time. Pure: told what happens and the time."""

from __future__ import annotations

import math
from collections import deque

from gateway.delivery.pacing import Pacer

LEAST_RATE = 0.05  # of the configured rate, however often the service asks us to slow down
ENOUGH, LOOKED_AT_S = 20, 30.0  # so many of the last sends, within so long, are a verdict
MOST_THROTTLED = 0.5  # of them
LOOK_AGAIN_S = 1.0  # for a share


class Pace:
    """One sender. rate: sends per second."""

    def __init__(self, rate: float, now: float) -> None:
        self._configured = self._allowed = rate  # by us, and by the service as far as it seems
        self._share = math.inf
        self.stopped = False  # all of the rate is another node's
        self._pacer = Pacer(rate, now)
        self._changed_at = 0.0
        self._last: deque[tuple[float, bool]] = deque(maxlen=ENOUGH)  # when, and was it throttled

    @property
    def rate(self) -> float:
        return self._pacer.rate

    def take_share(self, share: float) -> None:
        """Send no faster than this from now on, whatever is configured; 0: not at all."""
        self._share, self.stopped = share, share <= 0
        self._set_rate()

    def _set_rate(self) -> None:
        if not self.stopped:
            self._pacer.set_rate(min(self._allowed, self._share))

    def wait(self, now: float) -> float:
        """Seconds until the next send may leave; 0: now."""
        if self.stopped:
            return LOOK_AGAIN_S
        return 0.0 if self._pacer.available(now) else self._pacer.next_at(now) - now

    def take(self, now: float) -> None:
        """A send leaves."""
        self._pacer.take(1, now)

    def passed(self, now: float) -> None:
        """The service said nothing against the rate of a send."""
        self._last.append((now, False))

    def throttled(self, now: float) -> bool:
        """The service refused a send for its rate: half of it, at most once a second. Is it time to stop for a while,
        because it refused most of the last ones?"""
        if now - self._changed_at >= 1.0:
            self._changed_at = now
            self._allowed = max(self.rate / 2, self._configured * LEAST_RATE)
            self._set_rate()
        self._last.append((now, True))
        young = [refused for at, refused in self._last if now - at < LOOKED_AT_S]
        too_many = len(young) == ENOUGH and sum(young) > MOST_THROTTLED * ENOUGH
        if too_many:
            self._last.clear()
        return too_many

    def recover(self, now: float) -> None:
        """A tenth of the configured rate comes back every second; to be called about as often."""
        if self._allowed < self._configured and now - self._changed_at >= 1.0:
            self._changed_at = now
            self._allowed = min(self._configured, self._allowed + self._configured / 10)
            self._set_rate()
