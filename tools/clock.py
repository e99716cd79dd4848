"""The part of a reactor that tells the time, by shape: a reactor or a `twisted.internet.task.Clock`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred


class Timer(Protocol):
    """A call that is still to come."""

    def active(self) -> bool: ...
    def cancel(self) -> None: ...
    def getTime(self) -> float: ...


class Clock(Protocol):
    """Epoch seconds (or any clock that does not go back), and calls later."""

    def seconds(self) -> float: ...
    def callLater(self, delay: float, callable: Callable[..., Any], *args: Any) -> Timer: ...


def pause(clock: Clock, wait_s: float) -> Deferred[None]:
    """A Deferred that fires after so many seconds; at once for none. Cancelling it cancels the call."""
    waiting: Deferred[None] = Deferred(lambda _: timer.cancel())
    if wait_s <= 0:
        waiting.callback(None)
    else:
        timer = clock.callLater(wait_s, waiting.callback, None)
    return waiting
