"""Work that nobody awaits."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import LogEvent, Logger, LogLevel

from gateway import background
from gateway.background import Background


class Log:
    """A Logger and the events it gave out."""

    def __init__(self) -> None:
        self.events: list[LogEvent] = []
        observer: Any = self.events.append
        self.logger = Logger("test", observer=observer)


async def waits_for(deferred: Deferred[Any]) -> Any:
    return await deferred


async def breaks() -> None:
    raise ZeroDivisionError("boom")


def test_what_escapes_is_logged_with_its_name_and_counted() -> None:
    log, told, work = Log(), [], Background()
    work.on_failure = lambda: told.append(1)
    work.spawn(breaks(), "the breaking", log.logger)
    assert (work.failures, len(told), work.running) == (1, 1, ())
    [event] = log.events
    assert (event["log_level"], event["what"]) == (LogLevel.critical, "the breaking")
    assert event["log_failure"].check(ZeroDivisionError)


def test_a_deferred_that_fails_later_is_caught_too() -> None:
    log, work, later = Log(), Background(), Deferred[None]()
    work.spawn(later, "later", log.logger)
    assert work.running == ("later",)
    later.errback(RuntimeError("no"))
    assert work.failures == 1
    assert not work.running


def test_what_ends_well_leaves_nothing_behind() -> None:
    log, work = Log(), Background()
    work.spawn(succeed(3), "at once", log.logger)
    work.spawn(waits_for(succeed(3)), "a coroutine", log.logger)
    assert (work.failures, work.running, log.events) == (0, (), [])


def test_being_cancelled_is_no_failure() -> None:
    log, work = Log(), Background()
    work.spawn(waits_for(Deferred()), "waiting", log.logger)
    work.cancel()
    assert (work.failures, work.running) == (0, ())
    assert [event["log_level"] for event in log.events] == [LogLevel.debug]


def test_draining_waits_for_everything_and_no_longer() -> None:
    log, work, clock = Log(), Background(), Clock()
    first, second = Deferred[None](), Deferred[None]()
    work.spawn(first, "first", log.logger)
    work.spawn(waits_for(second), "second", log.logger)
    drained = Deferred.fromCoroutine(work.drain(10.0, clock))
    first.callback(None)
    assert not drained.called
    second.callback(None)
    assert drained.result == ()
    assert clock.getDelayedCalls() == []


def test_draining_includes_work_that_work_starts() -> None:
    log, work, clock = Log(), Background(), Clock()
    first, second = Deferred[None](), Deferred[None]()

    async def two() -> None:
        await first
        work.spawn(waits_for(second), "second", log.logger)

    work.spawn(two(), "first", log.logger)
    drained = Deferred.fromCoroutine(work.drain(10.0, clock))
    first.callback(None)
    assert not drained.called
    second.callback(None)
    assert drained.result == ()


def test_draining_gives_up_in_time_and_says_what_still_runs() -> None:
    log, work, clock = Log(), Background(), Clock()
    stuck: Deferred[None] = Deferred()
    work.spawn(stuck, "stuck", log.logger)
    drained = Deferred.fromCoroutine(work.drain(2.0, clock))
    clock.advance(1.9)
    assert not drained.called
    clock.advance(0.1)
    assert drained.result == ("stuck",)
    stuck.callback(None)
    assert work.running == ()


def test_draining_nothing_takes_no_time() -> None:
    clock = Clock()
    assert Deferred.fromCoroutine(Background().drain(2.0, clock)).result == ()
    assert clock.getDelayedCalls() == []


def test_a_drain_that_is_cancelled_leaves_no_timer() -> None:
    log, work, clock = Log(), Background(), Clock()
    work.spawn(Deferred(), "stuck", log.logger)
    drained = Deferred.fromCoroutine(work.drain(2.0, clock))
    drained.addErrback(lambda _: None)
    drained.cancel()
    assert clock.getDelayedCalls() == []


def test_the_process_has_a_set_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    before = background.everything.failures
    background.spawn(breaks(), "the breaking", log.logger)
    assert background.everything.failures == before + 1
    assert Deferred.fromCoroutine(background.drain(1.0, Clock())).result == ()
