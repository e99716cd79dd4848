"""HTTP to the providers: one persistent pool, always a timeout, and always an answer to "was it written?".

Endpoints and TLS are Twisted's, the parser is httptools'. What is between them does less than Twisted's Agent, which
takes three times as long for a call: no redirects, no cookies, no bodies in pieces.
"""

from __future__ import annotations

from collections import deque
from typing import Any, TypeVar

from twisted.internet.abstract import isIPAddress
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionRefusedError,
    DNSLookupError,
    TimeoutError,
)
from twisted.internet.protocol import Factory
from twisted.web import client as web_client

from bridge.http_connection import Connection, Place, written
from bridge.provider import HttpOutcome, HttpRequest, NotWritten, Unanswered

CONNECT_TIMEOUT_S = 5
NEXT_ADDRESS_S = 0.1
LAST_LOOK_S = 0.05  # of a timeout: whoever could not run for a while reads what has come meanwhile before giving up
# Node's servers close a quiet connection after 5 s; a request must not meet that moment, for nobody could tell
# whether it was read.
QUIET_S = 4
SWEEP_S = 1.0  # how often quiet ones are looked for

Watched = TypeVar("Watched")
_untyped: Any = web_client

# TLS failures that come before any octet of a request: OpenSSL's words.
_BEFORE_TLS = ("certificate verify failed", "wrong version number", "handshake failure", "unknown protocol")


class HttpClient:
    """bridge.provider.Http over Twisted. One for all channels; `close` when the last has stopped."""

    def __init__(self, reactor: Any, *, connections: int = 256, tls: Any = None) -> None:
        """connections: kept open per provider. tls: an IPolicyForHTTPS; without: as a browser would."""
        self._reactor, self._most_idle = reactor, connections
        self._tls = tls or _untyped.BrowserLikePolicyForHTTPS()
        self._idle: dict[Place, deque[Connection]] = {}  # those that became idle last are at the right
        self._sweeping: Any = None

    async def send(self, request: HttpRequest, timeout: float) -> HttpOutcome:
        """One request, one outcome; `timeout` seconds for all of it, the answer's body included."""
        try:
            place, octets = written(request)
        except ValueError:
            return NotWritten("bad_request")
        late = _Late(self._reactor, timeout)
        try:
            connection = self._idle_one(place)
            if connection is None:
                connection = await late.watch(self._connect(place))
            response = await late.watch(connection.ask(octets))
        except Exception as error:
            return _outcome_of(error, timed_out=late.over)
        finally:
            late.stop()
        if connection.usable:
            self._keep(place, connection)
        return response

    async def close(self) -> None:
        """Close what is idle; nothing is sent any more."""
        for connections in self._idle.values():
            while connections:
                connections.pop().close()
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None

    def _connect(self, place: Place) -> Deferred[Connection]:
        endpoint: Any
        if isIPAddress(place.host):  # a refusal is known at once; names try their addresses one after the other
            endpoint = TCP4ClientEndpoint(self._reactor, place.host, place.port, timeout=CONNECT_TIMEOUT_S)
        else:
            endpoint = HostnameEndpoint(
                self._reactor, place.host, place.port, timeout=CONNECT_TIMEOUT_S, attemptDelay=NEXT_ADDRESS_S
            )
        if place.scheme == "https":
            endpoint = wrapClientTLS(self._tls.creatorForNetloc(place.host.encode("ascii"), place.port), endpoint)
        connecting: Deferred[Connection] = endpoint.connect(Factory.forProtocol(Connection))
        return connecting

    # ----------------------------------------------------------------------------------------------- idle connections

    def _idle_one(self, place: Place) -> Connection | None:
        """The one that was used last, for the others may then be closed."""
        idle = self._idle.get(place)
        while idle:
            connection = idle.pop()
            if connection.usable and self._reactor.seconds() - connection.idle_since < QUIET_S:
                return connection
            connection.close()
        return None

    def _keep(self, place: Place, connection: Connection) -> None:
        idle = self._idle.get(place)
        if idle is None:
            idle = self._idle[place] = deque()
        connection.idle_since = self._reactor.seconds()
        idle.append(connection)
        if len(idle) > self._most_idle:
            idle.popleft().close()
        if self._sweeping is None:
            self._sweeping = self._reactor.callLater(SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        """Close what has been idle for too long."""
        self._sweeping = None
        quiet_since = self._reactor.seconds() - QUIET_S
        for place, idle in list(self._idle.items()):
            while idle and idle[0].idle_since <= quiet_since:
                idle.popleft().close()
            if not idle:
                del self._idle[place]
        if self._idle:
            self._sweeping = self._reactor.callLater(SWEEP_S, self._sweep)


class _Late:
    """Cancels what is waited for when time is over and one more look at the sockets has brought nothing: after a pause
    of the whole process every timer is due before anything is read."""

    def __init__(self, reactor: Any, seconds: float) -> None:
        self._reactor, self.over = reactor, False
        self._waiting: Deferred[Any] | None = None
        self._timer = reactor.callLater(seconds, self._look)

    def watch(self, waiting: Deferred[Watched]) -> Deferred[Watched]:
        self._waiting = waiting
        return waiting

    def _look(self) -> None:
        self._timer = self._reactor.callLater(LAST_LOOK_S, self._end)

    def _end(self) -> None:
        self.over = True
        if self._waiting is not None:
            self._waiting.cancel()

    def stop(self) -> None:
        if self._timer.active():
            self._timer.cancel()


def _outcome_of(error: Exception, timed_out: bool) -> HttpOutcome:
    """What a failure says about the request. When in doubt it was written."""
    if isinstance(error, ConnectionRefusedError):
        return NotWritten("refused")
    if isinstance(error, DNSLookupError):
        return NotWritten("unknown_host")
    if isinstance(error, (ConnectingCancelledError, TimeoutError)):
        return NotWritten("connect_timeout")
    if isinstance(error, ConnectError):
        return NotWritten("no_connection")
    if type(error).__name__ in ("VerificationError", "CertificateError") or _says(error, _BEFORE_TLS):
        return NotWritten("tls")
    if timed_out or isinstance(error, CancelledError):
        return Unanswered("timeout")
    return Unanswered("connection_lost")


def _says(cause: object, words: tuple[str, ...]) -> bool:
    said = repr(getattr(cause, "args", ""))
    return any(word in said for word in words)
