"""How fast: towards a channel never above its rate in any one second; from an account with room for a burst.

Pure: `now` is any clock in seconds that never goes back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Rate(NamedTuple):
    """A rate that all nodes together may use. name: the same at each of them. up: can this node use some of it now?
    take(share): so much of it is this node's from now on; 0: nothing."""

    name: str
    up: bool
    per_s: float
    take: Callable[[float], None]


class Pacer:
    """Emission times for a channel (generic cell rate algorithm, ITU-T I.371, used as a scheduler).

    The rate is spaced at 98 % of what is allowed and at most 2 % of a second's worth leaves together, so that no
    window of one second holds more than `rate`, even with some milliseconds of jitter on the way.
    """

    def __init__(self, rate: float, now: float) -> None:
        """rate: segments per second."""
        self._next = now
        self.set_rate(rate)

    def set_rate(self, rate: float) -> None:
        """Change the rate from now on (slowing down after throttling, or a new configuration)."""
        self.rate = rate
        self._interval = 1.0 / (rate * 0.98)
        self._slack = (max(1.0, rate * 0.02) - 1.0) * self._interval

    def available(self, now: float) -> int:
        """How many may leave at this moment."""
        lead = now + self._slack - self._next
        if lead < 0:
            return 0
        most = int(self._slack / self._interval + 1e-9) + 1
        return min(most, int(lead / self._interval + 1e-9) + 1)

    def take(self, count: int, now: float) -> None:
        """Count what leaves now; `available` should have allowed it."""
        self._next = max(self._next, now) + count * self._interval

    def next_at(self, now: float, count: int = 1) -> float:
        """When so many may leave together (`now` when they may already)."""
        most = int(self._slack / self._interval + 1e-9) + 1
        return max(now, self._next - self._slack + (min(count, most) - 1) * self._interval)


class Bucket:
    """A token bucket for what comes in. `size` tokens at most; a long message's parts are admitted together."""

    def __init__(self, rate: float, size: float, now: float) -> None:
        self.rate, self.size = rate, size
        self.debt = 0.0  # of what was longer than the bucket: kept here for whoever takes
        self._tokens, self._at = size, now

    def take(self, count: int, now: float) -> bool:
        """True and the tokens are taken, or False and nothing is."""
        tokens = self._tokens + (now - self._at) * self.rate
        if tokens > self.size:
            tokens = self.size
        self._at = now
        taken = tokens >= count
        self._tokens = tokens - count if taken else tokens
        return taken

    def seconds_until(self, count: int, now: float) -> float:
        """How long until so many tokens are there; 0 when they are."""
        tokens = min(self.size, self._tokens + (now - self._at) * self.rate)
        return max(0.0, (count - tokens) / self.rate)
