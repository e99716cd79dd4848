"""Two protocols joined through memory, with the time a packet takes."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost, ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.python.failure import Failure


class Transport:
    """One end. `writes` holds what was written, a call each."""

    def __init__(self, clock: Clock, latency: float) -> None:
        self._clock, self._latency = clock, latency
        self.protocol: Any = None
        self.producer: Any = None
        self.peer: Transport | None = None
        self.writes: list[bytes] = []
        self.options: list[str] = []
        self.open = self.reading = True

    def write(self, data: bytes) -> None:
        if not self.open:
            return
        self.writes.append(data)
        self._clock.callLater(self._latency, self.peer._take, data)

    def _take(self, data: bytes) -> None:
        if self.open:
            self.protocol.dataReceived(data)

    def loseConnection(self) -> None:
        self._clock.callLater(self._latency, self._end, ConnectionDone())

    def abortConnection(self) -> None:
        self._clock.callLater(0, self._end, ConnectionLost())

    def _end(self, why: Exception) -> None:
        for end in (self, self.peer):
            if end.open:
                end.open = False
                end.protocol.connectionLost(Failure(why))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        self.reading = True

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.options.append("nodelay")

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self.options.append("keepalive")


class Endpoint:
    """Connects to a server protocol made by `serve()`, or refuses while `refusing`."""

    def __init__(self, clock: Clock, serve: Any, latency: float = 0.0) -> None:
        self._clock, self._serve, self._latency = clock, serve, latency
        self.refusing = False
        self.tries: list[float] = []
        self.clients: list[Transport] = []

    def connect(self, factory: Any) -> Deferred[Any]:
        self.tries.append(self._clock.seconds())
        if self.refusing:
            return fail(ConnectionRefusedError())
        here, there = Transport(self._clock, self._latency), Transport(self._clock, self._latency)
        here.peer, there.peer = there, here
        here.protocol, there.protocol = factory.buildProtocol(None), self._serve()
        self.clients.append(here)
        there.protocol.makeConnection(there)
        here.protocol.makeConnection(here)
        return succeed(here.protocol)
