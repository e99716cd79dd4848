"""An operator's channel of a dry run: takes what the real one would be given, at its rate, and connects to nobody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from config.schema import SmscSettings
from gateway.delivery.pacing import Pacer
from gateway.messages.message import Message
from gateway.messages.outcome import DRY_RUN, Accepted, AttemptResult
from smsc_client.clock import Clock, Timer, cancel


class Results(Protocol):
    """What is needed of delivery's Results."""

    def attempted(self, channel: str, results: Sequence[tuple[Message, AttemptResult]]) -> None: ...
    def capacity_changed(self, channel: str) -> None: ...


class DrySmscChannel:
    """kind "smsc". Every message is taken; nothing is marked as written, for nothing is."""

    kind = "smsc"
    up = True
    learn = None

    def __init__(self, settings: SmscSettings, *, results: Results, clock: Clock, later: Callable[..., Timer]) -> None:
        """later: IReactorTime.callLater."""
        self.settings, self.name, self.price = settings, settings.name, str(settings.price)
        self.binds = self.inflight = 0
        self._results, self._clock, self._later = results, clock, later
        self._pacer = Pacer(settings.throughput, clock.seconds())
        self._taken: list[Message] = []
        self._turn: Timer | None = None
        self._free: Timer | None = None

    def capacity(self) -> int:
        now = self._clock.seconds()
        room = self._pacer.available(now)
        if not room and self._free is None:
            self._free = self._later(self._pacer.next_at(now) - now, self._has_room)
        return room

    def _has_room(self) -> None:
        self._free = None
        self._results.capacity_changed(self.name)

    def send(self, message: Message) -> None:
        self.inflight += 1
        self._pacer.take(message.segments, self._clock.seconds())
        self._taken.append(message)
        if self._turn is None:
            self._turn = self._later(0, self._hand_in)

    def _hand_in(self) -> None:
        self._turn = None
        taken, self._taken = self._taken, []
        self.inflight -= len(taken)
        if taken:
            results = [(message, Accepted(f"dry-{message.id}", note=DRY_RUN)) for message in taken]
            self._results.attempted(self.name, results)
            self._results.capacity_changed(self.name)

    async def start(self) -> None:
        self._results.capacity_changed(self.name)

    async def stop(self) -> None:
        cancel(self._free)
        cancel(self._turn)
        self._hand_in()
