"""Work that nobody awaits: started here, so that no error is lost and shutdown can wait for it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from types import CoroutineType
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from gateway.running import Running

Work = Coroutine[Any, Any, Any] | Deferred[Any]


class Clock(Protocol):
    """As much of a reactor as waiting needs; the answer has `active()` and `cancel()`, as IDelayedCall."""

    def callLater(self, delay: float, callable: Callable[..., object], *args: object) -> Any: ...


class Task:
    """Work under way. what: names it in the log."""

    __slots__ = ("_background", "_log", "_work", "what")

    def __init__(self, background: Background, what: str, log: Logger) -> None:
        self._background, self.what, self._log = background, what, log
        self._work: Running | Deferred[Any] | None = None

    def begin(self, work: Work) -> None:
        # Whether it is a Deferred takes longer to find out, for that is an abstract class.
        if not isinstance(work, CoroutineType) and isinstance(work, Deferred):
            self._work = work
            work.addCallbacks(self._ended, self._failed)
        else:
            self._work = Running(work, self._ended, self._failed)

    def cancel(self) -> None:
        if self._work is not None:
            self._work.cancel()

    def _ended(self, _: object) -> None:
        self._background.over(self)

    def _failed(self, failure: Failure) -> None:
        self._background.failed(failure, self.what, self._log)
        self._background.over(self)


class Background:
    """A set of running work. `failures` counts what escaped since the start; `on_failure` is told each time."""

    def __init__(self, on_failure: Callable[[], None] | None = None) -> None:
        self.failures = 0
        self.on_failure = on_failure
        self._running: dict[Task, None] = {}
        self._waiting: list[Deferred[None]] = []

    @property
    def running(self) -> tuple[str, ...]:
        """What is under way, in the order it was started."""
        return tuple([task.what for task in self._running])

    def spawn(self, work: Work, what: str, log: Logger) -> Task:
        """Run a coroutine, or watch a Deferred, that nobody awaits.

        what: names the work in the log; no numbers, texts or secrets. An exception is logged as an error with its
        traceback and counted; being cancelled is no failure. What it returns is for cancelling only.
        """
        task = Task(self, what, log)
        self._running[task] = None
        task.begin(work)
        return task

    async def drain(self, timeout: float, clock: Clock) -> tuple[str, ...]:
        """Wait until nothing is running, work started meanwhile included, but no longer than `timeout` seconds.

        Returns what is still running then; it goes on, until `cancel`.
        """
        if self._running:
            waiting: Deferred[None] = Deferred()
            self._waiting.append(waiting)
            late = clock.callLater(timeout, self._give_up, waiting)
            try:
                await waiting
            finally:
                if waiting in self._waiting:
                    self._waiting.remove(waiting)
                if late.active():
                    late.cancel()
        return self.running

    def cancel(self) -> None:
        """Cancel everything that is running."""
        for task in list(self._running):
            task.cancel()

    def _give_up(self, waiting: Deferred[None]) -> None:
        self._waiting.remove(waiting)
        waiting.callback(None)

    def failed(self, failure: Failure, what: str, log: Logger) -> None:
        """Of a task: this escaped."""
        if isinstance(failure.value, CancelledError):
            log.debug("cancelled: {what}", what=what)
            return
        self.failures += 1
        if self.on_failure is not None:
            self.on_failure()
        log.failure("failed in the background: {what}", failure, what=what)

    def over(self, task: Task) -> None:
        """Of a task: it has ended."""
        self._running.pop(task, None)
        if not self._running:
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                one.callback(None)


everything = Background()
"""The process's own; wiring sets its `on_failure`."""


def spawn(work: Work, what: str, log: Logger) -> Task:
    """`Background.spawn` of the process's own set."""
    return everything.spawn(work, what, log)


async def drain(timeout: float, clock: Clock) -> tuple[str, ...]:
    """`Background.drain` of the process's own set."""
    return await everything.drain(timeout, clock)
