"""One HTTP/1.1 connection to a provider: a request is written, its answer read, then the next.

The parser is llhttp's, by httptools. Pools, timeouts and what a failure means are bridge.http's.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any
from urllib.parse import SplitResult, urlsplit

import msgspec
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from bridge.provider import Headers, HttpRequest, HttpResponse
from gateway.writing import writer

MOST_OCTETS = 8 * 1024 * 1024  # of an answer's body; the largest ones are checks of 50 numbers
MOST_HEAD_OCTETS = 64 * 1024  # of its head
_PORTS = {"http": 80, "https": 443}
_BODILESS = ("POST", "PUT", "PATCH")  # which say so when they have no body
_LENGTHS = {b"content-length", b"transfer-encoding"}  # headers that tell where the body ends
_TARGET = re.compile(r"[\x21-\x7e]+")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BREAKS = re.compile(r"[\r\n\0]+")


class Place(msgspec.Struct, frozen=True):
    """Where a provider listens. host: a name or an address, without brackets."""

    scheme: str
    host: str
    port: int


class BadAnswer(Exception):
    """What came is no answer, or a larger one than we read."""


def written(request: HttpRequest) -> tuple[Place, bytes]:
    """Where a request goes, and its octets. ValueError for what no request can be made of."""
    place, head = _head(request.method, request.url, request.headers)
    if request.body or request.method in _BODILESS:
        return place, b"%bContent-Length: %d\r\n\r\n%b" % (head, len(request.body), request.body)
    return place, head + b"\r\n"


@lru_cache(maxsize=64)  # texts of one sender differ in the body alone
def _head(method: str, url: str, headers: Headers) -> tuple[Place, bytes]:
    """Where it goes, and the head but for the length and the empty line."""
    split = urlsplit(url)
    place, host = _origin(split.scheme, split.netloc)
    target = (split.path or "/") + (f"?{split.query}" if split.query else "")
    if not (_TARGET.fullmatch(target) and _TOKEN.fullmatch(method)):
        raise ValueError("no request line")
    lines = [f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n"]
    for name, value in headers:
        if not _TOKEN.fullmatch(name):
            raise ValueError("no header name")
        lines.append(f"{name}: {_BREAKS.sub(' ', value)}\r\n")
    return place, "".join(lines).encode("utf-8")


@lru_cache(maxsize=256)
def _origin(scheme: str, netloc: str) -> tuple[Place, str]:
    """Where it is, and how a request names it."""
    url = SplitResult(scheme, netloc, "", "", "")
    if scheme not in _PORTS or not url.hostname:
        raise ValueError("no http URL")
    place = Place(scheme, url.hostname, url.port or _PORTS[scheme])
    host = f"[{place.host}]" if ":" in place.host else place.host
    if place.port != _PORTS[scheme]:
        host = f"{host}:{place.port}"
    if not _TARGET.fullmatch(host):
        raise ValueError("no host name")
    return place, host


class Connection(Protocol):
    """usable: another request may be written once the one under way, if any, is answered."""

    def __init__(self) -> None:
        self.usable = True
        self.idle_since = 0.0
        self._parser = HttpResponseParser(self)
        self._answering: Deferred[HttpResponse] | None = None
        self._begin()

    def ask(self, octets: bytes) -> Deferred[HttpResponse]:
        """Write a request; fires with the answer, fails with why the connection was lost. Cancelling it closes the
        connection: nobody could tell to which request a late answer belongs."""
        answering: Deferred[HttpResponse] = Deferred(lambda _: self._forget())
        self._answering = answering
        self._write(octets)
        return answering

    def close(self) -> None:
        """Of an idle connection."""
        self.usable = False
        transport: Any = self.transport
        transport.loseConnection()

    # ------------------------------------------------------------------------------------------------------- protocol

    def connectionMade(self) -> None:
        transport: Any = self.transport
        set_no_delay = getattr(transport, "setTcpNoDelay", None)
        if set_no_delay is not None:
            set_no_delay(True)
        self._write = writer(transport)

    def dataReceived(self, data: bytes) -> None:
        if not self.usable:
            return
        if self._answering is None:
            return self._drop()  # nobody asked
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._broken = True
        self._head_left -= 0 if self._in_body else len(data)
        too_large = self._head_left < 0 or len(self._body) > MOST_OCTETS
        if too_large or (self._broken and not self._whole):
            self._drop()
            self._fail(Failure(BadAnswer()))
        elif self._whole:
            if self._broken or self._last:
                self._drop()
            self._answer()
        return None

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.usable = False
        if self._answering is None:
            return
        if self._in_body and self._until_the_end() and reason.check(ConnectionDone):
            self._answer()
        else:
            self._fail(reason)

    def _until_the_end(self) -> bool:
        """Is the end of the connection the end of the body?"""
        return not {name.lower() for name in self._fields[::2]} & _LENGTHS

    def _begin(self) -> None:
        """The next answer, whole or provisional, begins."""
        self._fields: list[bytes] = []  # names of headers and their values, in turn
        self._body = bytearray()
        self._head_left = MOST_HEAD_OCTETS
        self._in_body = self._whole = self._last = self._broken = False

    def _answer(self) -> None:
        answering, self._answering = self._answering, None
        fields = [str(one, "latin-1") for one in self._fields]
        headers = tuple(zip(fields[::2], fields[1::2], strict=True))
        response = HttpResponse(self._status, bytes(self._body), headers)
        self._begin()
        if answering is not None:
            answering.callback(response)

    def _fail(self, why: Failure) -> None:
        answering, self._answering = self._answering, None
        if answering is not None:
            answering.errback(why)

    def _forget(self) -> None:
        """Nobody wants the answer any more."""
        self._answering = None
        self._drop()

    def _drop(self) -> None:
        self.usable = False
        transport: Any = self.transport
        transport.abortConnection()

    # -------------------------------------------------------------------------------------------------- of the parser

    def on_message_begin(self) -> None:
        if self._whole:  # a second answer to one request
            self._broken = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._whole:
            self._fields += name, value

    def on_headers_complete(self) -> None:
        if not self._whole:
            self._status, self._in_body = self._parser.get_status_code(), True

    def on_body(self, body: bytes) -> None:
        if not self._whole:
            self._body += body

    def on_message_complete(self) -> None:
        if self._status < 200:  # 100 Continue and the like: the answer is still to come
            self._begin()
        else:
            self._whole, self._last = True, not self._parser.should_keep_alive()
