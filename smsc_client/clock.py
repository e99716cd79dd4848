"""Time and connecting as this room uses them; Twisted's reactor, its test Clock and its endpoints satisfy these."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred


class Timer(Protocol):
    """A call to come."""

    def getTime(self) -> float: ...
    def active(self) -> bool: ...
    def cancel(self) -> None: ...


class Clock(Protocol):
    """Seconds of a clock that does not go back, and calls at a later moment."""

    def seconds(self) -> float: ...
    def callLater(self, delay: float, callable: Callable[..., object], /) -> Timer: ...


class Endpoint(Protocol):
    """Where to connect to."""

    def connect(self, protocolFactory: Any, /) -> Deferred[Any]: ...


def cancel(timer: Timer | None) -> None:
    """Cancel a call that may be over already, or never was."""
    if timer is not None and timer.active():
        timer.cancel()
