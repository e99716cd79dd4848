"""The shell around an SMPP session that the simulators share: octets in, events out, timers kept."""

from __future__ import annotations

import math
from typing import Any

from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from gateway.smpp.events import Event, Over
from gateway.smpp.session import Role, Session, SessionSettings
from tools.clock import Clock, Timer


class SessionProtocol(Protocol):
    """One connection. Subclasses override `on_event` and call `flush` after they changed the session outside of it."""

    role = Role.SMSC
    settings = SessionSettings()

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._tick: Timer | None = None
        self._over = False

    def now(self) -> float:
        return float(self.clock.seconds())

    def connectionMade(self) -> None:
        set_no_delay = getattr(self.transport, "setTcpNoDelay", None)
        if set_no_delay:
            set_no_delay(True)
        self.session = Session(self.role, self.settings, self.now())
        self.on_open()
        self.flush()

    def dataReceived(self, data: bytes) -> None:
        self._take(self.session.receive(data, self.now()))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._tick is not None and self._tick.active():
            self._tick.cancel()
        self._take(self.session.lost(self.now()))
        self._over = True
        self.on_closed()

    def on_open(self) -> None:
        """The connection is there."""

    def on_event(self, event: Event) -> None:
        """The session reports something; `Over` is dealt with here."""

    def on_closed(self) -> None:
        """The connection is gone."""

    def flush(self) -> None:
        """Write what the session has to say and keep its next deadline."""
        if self._over:
            return
        data = self.session.output()
        transport: Any = self.transport
        if data and transport is not None:
            transport.write(data)
        deadline = self.session.deadline()
        if self._tick is not None and self._tick.active():
            if self._tick.getTime() <= deadline:
                return  # a tick that comes early only looks again
            self._tick.cancel()
        if deadline != math.inf:
            self._tick = self.clock.callLater(max(0.0, deadline - self.now()), self._on_tick)

    def _on_tick(self) -> None:
        self._take(self.session.tick(self.now()))

    def _take(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Over):
                self.flush()
                self._over = True
                transport: Any = self.transport
                if transport is not None:
                    transport.loseConnection()
            else:
                self.on_event(event)
        self.flush()
