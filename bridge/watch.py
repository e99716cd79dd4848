"""Watching one sender: lets time pass for its `Health`, and asks for the sender's state when that is due."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence

from twisted.logger import Logger

from bridge.clock import Clock, Spawn, Timer
from bridge.health import OPEN, Health
from bridge.provider import Http, HttpResponse, NotWritten, Provider, Unanswered

PROBE_TIMEOUT_S = 5.0
STEP_S = 1.0  # between looks, at the longest
SHORTEST_STEP_S = 0.02


Answered = Callable[[Sequence[str]], Awaitable[Collection[str] | None]]
"""Of which of these sends has any process of ours heard? None when that cannot be told now."""


class Watch:
    """changed: called after every look and every answer; cheap, for it is called about once a second."""

    log = Logger()

    def __init__(
        self,
        health: Health,
        provider: Provider,
        http: Http,
        *,
        clock: Clock,
        spawn: Spawn,
        window: float,
        timeout: float,
        changed: Callable[[], None],
        answered: Answered | None = None,
    ) -> None:
        """window, timeout: seconds, of the health settings and of an HTTP call. answered: where other processes take
        webhooks, too."""
        self._health, self._provider, self._http = health, provider, http
        self._clock, self._spawn, self._changed = clock, spawn, changed
        self._step, self._timeout = min(STEP_S, window / 4), min(timeout, PROBE_TIMEOUT_S)
        self._answered = answered
        self._running = self._probing = self._looking_around = False
        # Of the last question about the state: how it could not be asked; HTTP status of what no such provider answers.
        self.unreached, self.strange = "", 0
        self._timer: Timer | None = None

    def start(self) -> None:
        self._running = True
        self.probe()
        self._look()

    def stop(self) -> None:
        self._running = False
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def probe(self) -> None:
        """Ask now, unless a question is under way."""
        if self._running and not self._probing:
            self._probing = True
            self._spawn(self._ask(), "asking for a sender's state", self.log)

    def _look(self) -> None:
        now = self._clock.seconds()
        self._health.tick(now)
        if self._health.doubted and self._answered is not None and not self._looking_around:
            self._looking_around = True
            self._spawn(self._look_around(self._answered, self._health.doubted), "looking for answers", self.log)
        if now >= self._health.probe_at:
            self.probe()
        self._changed()
        if self._running:
            until_probe = self._health.probe_at - now
            step = min(self._step, until_probe) if until_probe > 0 else self._step
            self._timer = self._clock.callLater(max(step, SHORTEST_STEP_S), self._look)

    async def _look_around(self, answered: Answered, doubted: Sequence[str]) -> None:
        try:
            heard = await answered(doubted)
        finally:
            self._looking_around = False
        if heard is not None and self._running:
            now = self._clock.seconds()
            self._health.heard_elsewhere(heard, now)
            self._health.tick(now, asked=True)
            self._changed()

    async def _ask(self) -> None:
        state: bool | None = None
        reached = True
        try:
            request = self._provider.state_request()
            if request is None:
                state = True  # it cannot be asked: a message will tell
            else:
                answer = await self._http.send(request, self._timeout)
                self.strange = 0
                self.unreached = answer.reason if isinstance(answer, NotWritten) else ""
                if isinstance(answer, HttpResponse):
                    state = self._provider.read_state(answer)
                    redirects = 300 <= answer.status < 400
                    if state is None and (redirects or (answer.status < 300 and answer.json() is None)):
                        self.strange = answer.status
                else:  # one slow answer is no reason to rest, but none to come back either
                    reached = isinstance(answer, Unanswered) and self._health.state is OPEN
        finally:
            self._probing = False
        if self._running:
            self._health.probed(state, self._clock.seconds(), reached=reached)
            self._changed()
