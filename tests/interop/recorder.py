"""A TCP relay that keeps every octet it passes on, with its time and direction."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.internet import endpoints
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer


class Chunk(msgspec.Struct, frozen=True):
    """What one read brought. connection: counted from 0; `inward`: from whoever connected to whoever listened."""

    at: float
    connection: int
    inward: bool
    octets: bytes


class Recorder(Factory):
    """Listens in front of 127.0.0.1:`target`. Connections are opened on the far side as they come in on this one."""

    noisy = False

    def __init__(self, reactor: Any, target: int) -> None:
        self.reactor = reactor
        self.target = target
        self.port = 0
        self.chunks: list[Chunk] = []
        self.connections = 0
        self._links: list[_Side] = []
        self._listening: Any = None

    async def open(self, port: int = 0) -> None:
        """Listen, and say where in `port`."""
        twisted: Any = endpoints  # carries no types
        self._listening = await twisted.TCP4ServerEndpoint(self.reactor, port, interface="127.0.0.1").listen(self)
        self.port = self._listening.getHost().port

    async def close(self) -> None:
        for link in self._links:
            if link.transport is not None:
                link.transport.abortConnection()
        await self._listening.stopListening()

    def buildProtocol(self, addr: Any) -> Protocol:
        near, far = _Side(self, self.connections, inward=True), _Side(self, self.connections, inward=False)
        near.other, far.other = far, near
        self.connections += 1
        self._links += [near, far]
        twisted: Any = endpoints
        reached = twisted.connectProtocol(twisted.TCP4ClientEndpoint(self.reactor, "127.0.0.1", self.target, 5), far)
        reached.addErrback(lambda _: near.hang_up())
        return near

    def heard(self, connection: int, inward: bool, octets: bytes) -> None:
        self.chunks.append(Chunk(float(self.reactor.seconds()), connection, inward, octets))


@implementer(IHalfCloseableProtocol)
class _Side(Protocol):
    """One of a connection's two ends. Who has only stopped writing still gets what comes back."""

    transport: Any
    other: _Side

    def __init__(self, recorder: Recorder, connection: int, inward: bool) -> None:
        self._recorder = recorder
        self._connection = connection
        self._inward = inward
        self._waiting = b""  # for this side, before it was connected

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self.transport.write(self._waiting)

    def dataReceived(self, data: bytes) -> None:
        self._recorder.heard(self._connection, self._inward, data)
        if self.other.transport is None:
            self.other._waiting += data
        else:
            self.other.transport.write(data)

    def readConnectionLost(self) -> None:
        if self.other.transport is not None:
            self.other.transport.loseWriteConnection()

    def writeConnectionLost(self) -> None:
        """The other end has stopped writing, and everything it wrote is passed on."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.other.hang_up()

    def hang_up(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()
