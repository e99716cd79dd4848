"""Coroutines that run without a Deferred of their own."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.python.failure import Failure

from gateway.running import Running


class Run:
    """How a coroutine ended: ("ended", what) or ("failed", exception type)."""

    def __init__(self, coroutine: Any) -> None:
        self.told: list[tuple[str, Any]] = []
        self.running = Running(coroutine, self._ended, self._failed)

    def _ended(self, value: Any) -> None:
        self.told.append(("ended", value))

    def _failed(self, failure: Failure) -> None:
        self.told.append(("failed", failure.type))


async def sum_of(*awaited: Deferred[int]) -> int:
    return sum([await one for one in awaited])


def test_one_that_waits_for_nothing_ends_at_once() -> None:
    assert Run(sum_of()).told == [("ended", 0)]
    assert Run(sum_of(succeed(1), succeed(2))).told == [("ended", 3)]


def test_it_goes_on_with_what_it_waited_for() -> None:
    first, second = Deferred[int](), Deferred[int]()
    run = Run(sum_of(first, second))
    first.callback(1)
    assert run.told == []
    second.callback(2)
    assert run.told == [("ended", 3)]


def test_a_paused_deferred_is_waited_for() -> None:
    paused = succeed(4)
    paused.pause()
    run = Run(sum_of(paused))
    assert run.told == []
    paused.unpause()
    assert run.told == [("ended", 4)]


def test_what_fails_is_raised_where_it_was_awaited() -> None:
    failing = Deferred[int]()

    async def careful() -> str:
        try:
            await failing
        except ZeroDivisionError:
            return "caught"
        return "not raised"

    run = Run(careful())
    failing.errback(ZeroDivisionError())
    assert run.told == [("ended", "caught")]


def test_what_escapes_is_told() -> None:
    failing = Deferred[int]()
    run = Run(sum_of(failing))
    failing.errback(ZeroDivisionError())
    assert run.told == [("failed", ZeroDivisionError)]


def test_cancelling_reaches_what_it_waits_for() -> None:
    cancelled: list[object] = []
    waiting = Deferred[int](cancelled.append)
    run = Run(sum_of(waiting))
    run.running.cancel()
    assert cancelled == [waiting] and run.told == [("failed", CancelledError)]
    run.running.cancel()  # it is over


def test_ten_thousand_at_once_are_no_recursion() -> None:
    assert Run(sum_of(*(succeed(1) for _ in range(10_000)))).told == [("ended", 10_000)]
