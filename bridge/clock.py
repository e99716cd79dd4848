"""Time and background work, as the bridge gets them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from twisted.logger import Logger


class Timer(Protocol):
    """As much of IDelayedCall as the bridge needs."""

    def active(self) -> bool: ...
    def cancel(self) -> None: ...
    def getTime(self) -> float: ...


class Clock(Protocol):
    """As much of a reactor as the bridge needs. `seconds` counts from the epoch: webhook proofs expire by it."""

    def seconds(self) -> float: ...
    def callLater(self, delay: float, call: Callable[..., object], /, *args: Any) -> Timer: ...


class Spawn(Protocol):
    """gateway.background.spawn: run what nobody awaits; `what` names it in the log."""

    def __call__(self, work: Coroutine[Any, Any, Any], what: str, log: Logger, /) -> object: ...
