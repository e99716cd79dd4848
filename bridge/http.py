"""HTTP to the providers: one persistent pool, always a timeout, and always an answer to "was it written?".

Twisted's Agent is used directly: what treq adds around it (cookies, redirects, decompression, parsing the URL anew for
every call) is not needed here and costs twice as much as the call itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.abstract import isIPAddress
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionRefusedError,
    DNSLookupError,
    TimeoutError,
)
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web import client as web_client
from twisted.web._newclient import RequestNotSent
from twisted.web.client import URI, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IBodyProducer
from zope.interface import implementer

from bridge.provider import HttpOutcome, HttpRequest, HttpResponse, NotWritten, Unanswered

CONNECT_TIMEOUT_S = 5
NEXT_ADDRESS_S = 0.1
LAST_LOOK_S = 0.05  # of a timeout: whoever could not run for a while reads what has come meanwhile before giving up
# Node's servers close a quiet connection after 5 s; a request must not meet that moment, for nobody could tell
# whether it was read.
QUIET_S = 4
MOST_OCTETS = 8 * 1024 * 1024  # of an answer; the largest ones are checks of 50 numbers

_untyped: Any = web_client

# TLS failures that come before any octet of a request: OpenSSL's words.
_BEFORE_TLS = ("certificate verify failed", "wrong version number", "handshake failure", "unknown protocol")


@implementer(IStreamClientEndpoint)
class _WithoutDelay:
    """An endpoint whose connections have TCP_NODELAY."""

    def __init__(self, endpoint: Any) -> None:
        self._endpoint = endpoint

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        connecting: Deferred[IProtocol] = self._endpoint.connect(factory)
        return connecting.addCallback(self._connected)

    @staticmethod
    def _connected(protocol: Any) -> Any:
        set_no_delay = getattr(protocol.transport, "setTcpNoDelay", None)
        if set_no_delay is not None:
            set_no_delay(True)
        return protocol


@implementer(IAgentEndpointFactory)
class _Endpoints:
    def __init__(self, reactor: Any, tls: Any) -> None:
        self._reactor, self._tls = reactor, tls
        self._known: dict[tuple[bytes, bytes, int], _WithoutDelay] = {}  # the agent asks before every request

    def endpointForURI(self, uri: URI) -> _WithoutDelay:
        key = (uri.scheme, uri.host, uri.port)
        if key not in self._known:
            self._known[key] = self._endpoint(uri)
        return self._known[key]

    def _endpoint(self, uri: URI) -> _WithoutDelay:
        host = uri.host.decode("ascii")
        endpoint: Any
        if isIPAddress(host):  # a refusal is known at once; names try their addresses one after the other
            endpoint = TCP4ClientEndpoint(self._reactor, host, uri.port, timeout=CONNECT_TIMEOUT_S)
        else:
            endpoint = HostnameEndpoint(
                self._reactor, host, uri.port, timeout=CONNECT_TIMEOUT_S, attemptDelay=NEXT_ADDRESS_S
            )
        if uri.scheme == b"https":
            endpoint = wrapClientTLS(self._tls.creatorForNetloc(uri.host, uri.port), endpoint)
        return _WithoutDelay(endpoint)


@implementer(IBodyProducer)
class _Octets:
    """The body of a request, written in one piece."""

    def __init__(self, octets: bytes) -> None:
        self._octets, self.length = octets, len(octets)

    def startProducing(self, consumer: Any) -> Deferred[None]:
        consumer.write(self._octets)
        return succeed(None)

    def pauseProducing(self) -> None: ...
    def resumeProducing(self) -> None: ...
    def stopProducing(self) -> None: ...


class _Body(Protocol):
    """Reads the body of an answer; `whole` fires with it. Cancelling `whole` closes the connection."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._left = MOST_OCTETS
        self.whole: Deferred[bytes] = Deferred(lambda _: self._close())

    def dataReceived(self, data: bytes) -> None:
        self._chunks.append(data)
        self._left -= len(data)
        if self._left < 0:
            self._close()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.whole.called:
            return
        if self._left >= 0 and isinstance(reason.value, (ResponseDone, PotentialDataLoss)):
            self.whole.callback(b"".join(self._chunks))
        else:
            self.whole.errback(reason)

    def _close(self) -> None:
        transport: Any = self.transport
        if transport is not None:
            transport.loseConnection()


class HttpClient:
    """bridge.provider.Http over Twisted. One for all channels; `close` when the last has stopped."""

    def __init__(self, reactor: Any, *, connections: int = 256, tls: Any = None) -> None:
        """connections: kept open per provider. tls: an IPolicyForHTTPS; without: as a browser would."""
        self._reactor = reactor
        self._pool = _untyped.HTTPConnectionPool(reactor, persistent=True)
        self._pool.maxPersistentPerHost = connections
        self._pool.cachedConnectionTimeout = QUIET_S
        self._pool.retryAutomatically = False  # a retry is the bridge's own decision
        endpoints = _Endpoints(reactor, tls or _untyped.BrowserLikePolicyForHTTPS())
        self._agent = _untyped.Agent.usingEndpointFactory(reactor, endpoints, pool=self._pool)

    async def send(self, request: HttpRequest, timeout: float) -> HttpOutcome:
        """One request, one outcome; `timeout` seconds for all of it, the answer's body included."""
        answering: Deferred[HttpResponse] = Deferred.fromCoroutine(self._send(request))
        late = _Late(self._reactor, timeout, answering.cancel)
        try:
            return await answering
        except Exception as error:
            return _outcome_of(error, timed_out=late.called)
        finally:
            late.stop()

    async def _send(self, request: HttpRequest) -> HttpResponse:
        headers = Headers()
        for name, value in request.headers:
            headers.addRawHeader(name, value)
        body_of_request = _Octets(request.body) if request.body else None
        response: Any = await self._agent.request(
            request.method.encode("ascii"), request.url.encode("ascii"), headers, body_of_request
        )
        body = _Body()
        response.deliverBody(body)
        octets = await body.whole
        fields = response.headers.getAllRawHeaders()
        return HttpResponse(
            response.code,
            octets,
            tuple((name.decode("latin-1"), value.decode("latin-1")) for name, values in fields for value in values),
        )

    async def close(self) -> None:
        await self._pool.closeCachedConnections()


class _Late:
    """Calls when time is over and one more look at the sockets has brought nothing: after a pause of the whole process
    every timer is due before anything is read."""

    def __init__(self, reactor: Any, seconds: float, call: Callable[[], object]) -> None:
        self._reactor, self._call, self.called = reactor, call, False
        self._timer = reactor.callLater(seconds, self._look)

    def _look(self) -> None:
        self._timer = self._reactor.callLater(LAST_LOOK_S, self._over)

    def _over(self) -> None:
        self.called = True
        self._call()

    def stop(self) -> None:
        if self._timer.active():
            self._timer.cancel()


def _outcome_of(error: Exception, timed_out: bool) -> HttpOutcome:
    """What a failure says about the request. When in doubt it was written."""
    causes = [error, *(getattr(reason, "value", reason) for reason in getattr(error, "reasons", None) or ())]
    for cause in causes:
        if isinstance(cause, ConnectionRefusedError):
            return NotWritten("refused")
        if isinstance(cause, DNSLookupError):
            return NotWritten("unknown_host")
        if isinstance(cause, (ConnectingCancelledError, TimeoutError)):
            return NotWritten("connect_timeout")
        if isinstance(cause, (ConnectError, RequestNotSent)):
            return NotWritten("no_connection")
        if type(cause).__name__ in ("VerificationError", "CertificateError") or _says(cause, _BEFORE_TLS):
            return NotWritten("tls")
    if timed_out or any(isinstance(cause, CancelledError) for cause in causes):
        return Unanswered("timeout")
    return Unanswered("connection_lost")


def _says(cause: object, words: tuple[str, ...]) -> bool:
    said = repr(getattr(cause, "args", ""))
    return any(word in said for word in words)
