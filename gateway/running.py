"""Coroutines run without a Deferred of their own. What `Deferred.fromCoroutine` gives beyond that, a Deferred for the
end and a context for each, takes more calls than a short coroutine has itself."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure


class Running:
    """A coroutine that awaits Deferreds, begun at once. Once it has ended: ended(what it returned), or failed(why)."""

    __slots__ = ("_awaited", "_coroutine", "_ended", "_failed")

    def __init__(
        self,
        coroutine: Coroutine[Deferred[Any], Any, Any],
        ended: Callable[[Any], object],
        failed: Callable[[Failure], object],
    ) -> None:
        self._coroutine, self._ended, self._failed = coroutine, ended, failed
        self._awaited: Deferred[Any] | None = None
        self._go_on(None)

    def cancel(self) -> None:
        """Cancel what it waits for."""
        if self._awaited is not None:
            self._awaited.cancel()

    def _go_on(self, result: object) -> None:
        """As callback and errback of what it waits for."""
        try:
            if isinstance(result, Failure):
                awaited = result.throwExceptionIntoGenerator(self._coroutine)
            else:
                awaited = self._coroutine.send(result)
        except StopIteration as end:
            self._awaited = None
            returned = end.value
        except BaseException:
            self._awaited = None
            self._failed(Failure())
            return
        else:
            self._awaited = awaited
            awaited.addBoth(self._go_on)
            return
        self._ended(returned)
