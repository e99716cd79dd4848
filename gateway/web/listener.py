"""HTTP/1.1 for whoever asks: requests are read off a connection and answered one after the other, in their order.

The parser is llhttp's, by httptools. twisted.web takes three times as long for a webhook, of which every text has two.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from bridge.provider import HttpRequest, HttpResponse
from gateway.running import Running
from gateway.writing import writer

IDLE_S = 60.0  # without a request, and of a request from its first octet to its last
MOST_HEAD_OCTETS = 16 * 1024
MOST_HEADERS = 500
MOST_WAITING = 16  # requests that came before the one ahead of them was answered: no more is read meanwhile
MOST_HELD = 64 * 1024 * 1024  # octets of bodies that are not answered yet, on all connections
PATIENT_TIMES = 4  # so much of a body that is too large is read, for its sender to hear why it is refused
T = TypeVar("T")
log = Logger("http")

_REASONS = {status.value: status.phrase for status in HTTPStatus}


class Asked(msgspec.Struct, frozen=True):
    """A request. peer: the address it came from; host: the one that is listened on, `0.0.0.0` for every address."""

    request: HttpRequest
    peer: str
    host: str


class Listener(ServerFactory):
    """answer: does not raise. clock: an IReactorTime, of seconds since the epoch. most_octets: of a body."""

    noisy = False

    def __init__(
        self, answer: Callable[[Asked], Coroutine[Any, Any, HttpResponse]], *, clock: Any, most_octets: int
    ) -> None:
        self.answer, self.clock, self.most_octets = answer, clock, most_octets
        self.held, self.most_held = 0, MOST_HELD
        self._dated = (0, "")

    def buildProtocol(self, addr: Any) -> Connection:
        return Connection(self)

    def date(self) -> str:
        """As HTTP writes it."""
        now = int(self.clock.seconds())
        if now != self._dated[0]:
            self._dated = (now, formatdate(now, usegmt=True))
        return self._dated[1]


@implementer(IPushProducer)
class Connection(Protocol):
    """What is read goes into `_waiting`: requests, and last of all perhaps the answer to what is none. A peer that does
    not take its answers is not read any more until it does."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._parser = HttpRequestParser(self)
        self._waiting: deque[HttpRequest | HttpResponse] = deque()
        self._answering = self._in_turn = False
        self._full = self._paused = False
        self._deaf = False  # nothing more is read
        self._gone = False
        self._held = 0
        self._begin()

    # ------------------------------------------------------------------------------------------------------- protocol

    def connectionMade(self) -> None:
        transport: Any = self.transport
        self._transport = transport
        self._write_octets = writer(transport)
        if hasattr(transport, "setTcpNoDelay"):
            transport.setTcpNoDelay(True)
        transport.registerProducer(self, True)
        self._peer = str(getattr(transport.getPeer(), "host", "local"))
        listening = getattr(transport, "server", None) or transport  # the port that took the connection
        self._host = str(getattr(listening.getHost(), "host", "local"))
        self._heard_at = self._listener.clock.seconds()
        self._timer = self._listener.clock.callLater(IDLE_S, self._look)

    def dataReceived(self, data: bytes) -> None:
        if self._deaf:
            return
        if not self._octets:
            self._heard_at = self._listener.clock.seconds()
        self._octets += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:  # to what we do not speak: the request is answered, and what follows is not read
            self._deaf = True
        except HttpParserError:
            self._refuse(400)
        if self._octets > (MOST_HEAD_OCTETS if self._in_head else PATIENT_TIMES * self._listener.most_octets):
            self._refuse(431 if self._in_head else 413)
        self._next()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._gone = self._deaf = True
        self._waiting.clear()
        self._release(self._held)
        if self._timer.active():
            self._timer.cancel()

    def _look(self) -> None:
        """Has no request come for too long? Who waits for an answer need send none; who sends one drop by drop holds
        memory that others' webhooks need."""
        now = self._listener.clock.seconds()
        left = IDLE_S if self._answering else self._heard_at + IDLE_S - now
        if left > 0:
            self._timer = self._listener.clock.callLater(left, self._look)
        else:
            self._transport.abortConnection()

    # ---------------------------------------------------------------------------------------------- reading: a parser's

    def _begin(self) -> None:
        self._url = b""
        self._fields: list[bytes] = []  # names of headers and their values, in turn
        self._body = bytearray()
        self._octets = 0  # read of it so far, in whole reads
        self._in_head = True
        self._unread = 0  # the status that a body is refused with

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # not behind a body in chunks, where nothing counts
            self._fields += name, value

    def on_headers_complete(self) -> None:
        self._in_head = False
        head = b"".join(self._fields)
        if len(head) + len(self._url) > MOST_HEAD_OCTETS or len(self._fields) > 2 * MOST_HEADERS:
            self._refuse(431)
        elif b"100-continue" in head.lower() and self._expects() and not self._waiting and not self._answering:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _expects(self) -> bool:
        """Does it want to hear that its body is welcome?"""
        said = [value.lower() for name, value in _pairs(self._fields) if name.lower() == b"expect"]
        return said[-1:] == [b"100-continue"]

    def on_body(self, body: bytes) -> None:
        octets, listener = len(body), self._listener
        if len(self._body) + octets > listener.most_octets:
            self._unread = 413
        elif listener.held + octets > listener.most_held:
            self._unread = 503
        if not self._unread:
            self._body += body
            self._held += octets
            listener.held += octets

    def on_message_complete(self) -> None:
        if self._deaf:
            return
        if self._unread:
            return self._refuse(self._unread)
        method, url = self._parser.get_method().decode("ascii"), self._url.decode("latin-1")
        headers = _pairs([str(one, "latin-1") for one in self._fields])
        request = HttpRequest(method, url, tuple(headers), bytes(self._body))
        self._waiting.append(request)
        self._deaf = not self._parser.should_keep_alive() or self._parser.get_http_version() != "1.1"
        self._begin()
        return None

    def _refuse(self, status: int) -> None:
        """What came is no request that is answered otherwise, and the last thing that is read."""
        if not self._deaf:
            self._deaf = True
            self._waiting.append(HttpResponse(status))

    # -------------------------------------------------------------------------------------------------------- answering

    def _next(self) -> None:
        if not self._in_turn:
            self._in_turn = True
            while self._waiting and not self._answering and not self._full:
                self._serve(self._waiting.popleft())
            self._in_turn = False
            if self._waiting or self._full or self._paused:
                self._pace()

    def _serve(self, what: HttpRequest | HttpResponse) -> None:
        if isinstance(what, HttpResponse):
            return self._write(what)
        self._answering = True
        self._asked = what
        Running(self._listener.answer(Asked(what, self._peer, self._host)), self._answered, self._failed)
        return None

    def _answered(self, response: HttpResponse) -> None:
        request, self._answering = self._asked, False
        if not self._gone:
            self._release(len(request.body))
            self._heard_at = self._listener.clock.seconds()
            self._write(response, bodiless=request.method == "HEAD")
            self._next()

    def _failed(self, failure: Failure) -> None:
        log.failure("a request failed", failure=failure)
        self._transport.abortConnection()

    def _write(self, response: HttpResponse, bodiless: bool = False) -> None:
        last = self._deaf and not self._waiting
        fields = ""
        for name, value in response.headers:
            fields += f"{name}: {value}\r\n"
        end = "Connection: close\r\n\r\n" if last else "\r\n"
        head = (
            f"HTTP/1.1 {response.status} {_REASONS.get(response.status, '')}\r\nDate: {self._listener.date()}\r\n"
            f"{fields}Content-Length: {len(response.body)}\r\n{end}"
        )
        self._write_octets(head.encode("latin-1") + (b"" if bodiless else response.body))
        if last:
            self._transport.unregisterProducer()
            self._transport.loseConnection()

    def _release(self, octets: int) -> None:
        """Of bodies of this connection that were answered, or never will be."""
        self._listener.held -= octets
        self._held -= octets

    # --------------------------------------------------------------------------------------- pace: a producer's methods

    def _pace(self) -> None:
        paused = not self._gone and (self._full or len(self._waiting) >= MOST_WAITING)
        if paused != self._paused:
            self._paused = paused
            (self._transport.pauseProducing if paused else self._transport.resumeProducing)()

    def pauseProducing(self) -> None:
        """The peer does not take what is written."""
        self._full = True
        self._pace()

    def resumeProducing(self) -> None:
        self._full = False
        self._next()

    def stopProducing(self) -> None: ...


def _pairs(fields: list[T]) -> Iterator[tuple[T, T]]:
    """(name, value) of what stands in turn."""
    return zip(fields[::2], fields[1::2], strict=True)
