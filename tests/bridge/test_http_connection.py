"""What is written on a provider's connection, what is read as an answer, and which connections are used again; no
sockets, so that every octet has its moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as real_reactor
from twisted.internet import ssl
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.web.client import BrowserLikePolicyForHTTPS
from twisted.web.resource import Resource
from twisted.web.server import Site

from bridge.http import QUIET_S, SWEEP_S, HttpClient
from bridge.http_connection import MOST_HEAD_OCTETS, MOST_OCTETS, Place, written
from bridge.provider import HttpOutcome, HttpRequest, HttpResponse, NotWritten, Unanswered
from tools.certificate import write_certificate

URL = "http://127.0.0.1:8080/send"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-One: 1\r\n\r\n{}"
ANSWER = HttpResponse(200, b"{}", (("Content-Length", "2"), ("X-One", "1")))
_MemoryReactorClock: Any = MemoryReactorClock
_StringTransport: Any = StringTransport


class Line:
    """A client and the providers' ends of its connections."""

    def __init__(self, **options: int) -> None:
        self.reactor = _MemoryReactorClock()
        self.client = HttpClient(self.reactor, **options)
        self.ends: list[Any] = []

    def ask(self, url: str = URL, timeout: float = 10.0) -> Deferred[HttpOutcome]:
        """Send a request; a connection that it needs is there at once."""
        outcome: Deferred[HttpOutcome] = Deferred.fromCoroutine(self.client.send(HttpRequest("GET", url), timeout))
        while self.reactor.tcpClients:
            _, _, factory, _, _ = self.reactor.tcpClients.pop()
            protocol, transport = factory.buildProtocol(None), _StringTransport()
            transport.abortConnection = lambda: None
            protocol.makeConnection(transport)
            self.ends.append((protocol, transport))
        return outcome

    def says(self, octets: bytes, end: int = -1) -> None:
        self.ends[end][0].dataReceived(octets)

    def hangs_up(self, clean: bool = True, end: int = -1) -> None:
        self.ends[end][0].connectionLost(Failure(ConnectionDone() if clean else ConnectionLost()))


# ----------------------------------------------------------------------------------------------------- what is written


@pytest.mark.parametrize(
    ("url", "place", "first", "host"),
    [
        ("http://h/a/b?c=d%20e", Place("http", "h", 80), "GET /a/b?c=d%20e HTTP/1.1", "h"),
        ("http://h", Place("http", "h", 80), "GET / HTTP/1.1", "h"),
        ("http://h?x=1", Place("http", "h", 80), "GET /?x=1 HTTP/1.1", "h"),
        ("https://h:443/a#b", Place("https", "h", 443), "GET /a HTTP/1.1", "h"),
        ("https://H.example:80/a", Place("https", "h.example", 80), "GET /a HTTP/1.1", "h.example:80"),
        ("http://[::1]:8080/a", Place("http", "::1", 8080), "GET /a HTTP/1.1", "[::1]:8080"),
        ("http://user:pass@h/a", Place("http", "h", 80), "GET /a HTTP/1.1", "h"),
    ],
)
def test_a_request_names_its_path_and_its_host(url: str, place: Place, first: str, host: str) -> None:
    assert written(HttpRequest("GET", url)) == (place, f"{first}\r\nHost: {host}\r\n\r\n".encode())


def test_a_body_has_its_length_and_what_has_none_says_so_where_one_is_expected() -> None:
    _, octets = written(HttpRequest("POST", URL, (("apikey", "k"),), "é".encode()))
    assert octets == "POST /send HTTP/1.1\r\nHost: 127.0.0.1:8080\r\napikey: k\r\nContent-Length: 2\r\n\r\né".encode()
    assert b"Content-Length: 0\r\n" in written(HttpRequest("POST", URL))[1]
    assert b"Content-Length" not in written(HttpRequest("DELETE", URL))[1]


def test_no_header_can_smuggle_another_in() -> None:
    _, octets = written(HttpRequest("GET", URL, (("apikey", "k\r\nX-Other: 1\0"),)))
    assert b"\r\napikey: k X-Other: 1 \r\n\r\n" in octets


@pytest.mark.parametrize(
    "request_",
    [
        HttpRequest("GET", "ftp://h/a"),
        HttpRequest("GET", "/a"),
        HttpRequest("GET", "http://h:port/a"),
        HttpRequest("GET", "http://h/a b"),
        HttpRequest("GET", "http://h/ção"),
        HttpRequest("GET", "http://h ost/"),
        HttpRequest("GET X", "http://h/"),
        HttpRequest("GET", "http://h/", (("a b", "1"),)),
    ],
)
def test_what_no_request_can_be_made_of_is_not_written(request_: HttpRequest) -> None:
    line = Line()
    outcome = Deferred.fromCoroutine(line.client.send(request_, 1.0))
    assert outcome.result == NotWritten("bad_request")
    assert line.reactor.tcpClients == [] and line.reactor.getDelayedCalls() == []


# -------------------------------------------------------------------------------------------------------- what is read


def test_an_answer_is_the_same_wherever_the_octets_are_cut() -> None:
    chunked = b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
    for octets, answer in ((OK, ANSWER), (chunked, HttpResponse(201, b"{}", (("Transfer-Encoding", "chunked"),)))):
        for cut in range(1, len(octets)):
            line = Line()
            asked = line.ask()
            line.says(octets[:cut])
            assert not asked.called
            line.says(octets[cut:])
            assert asked.result == answer


def test_a_provisional_answer_is_none() -> None:
    line = Line()
    asked = line.ask()
    line.says(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
    assert not asked.called
    line.says(OK)
    assert asked.result == ANSWER


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_may_have_no_body(status: int) -> None:
    line = Line()
    asked = line.ask()
    line.says(b"HTTP/1.1 %d X\r\n\r\n" % status)
    assert asked.result == HttpResponse(status)


def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    head = b"HTTP/1.1 200 OK\r\n\r\n{"
    line = Line()
    asked = line.ask()
    line.says(head)
    line.says(b"}")
    assert not asked.called
    line.hangs_up()
    assert asked.result == HttpResponse(200, b"{}")
    for octets, clean in ((head, False), (b"HTTP/1.1 200 OK\r\n", True), (OK[:-1], True), (b"", True)):
        asked = line.ask()
        line.says(octets)
        line.hangs_up(clean)
        assert asked.result == Unanswered("connection_lost")


@pytest.mark.parametrize(
    "octets",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * MOST_HEAD_OCTETS,
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MOST_OCTETS + 1) + b"x" * (MOST_OCTETS + 1),
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (MOST_OCTETS + 1),
    ],
    ids=["another protocol", "two lengths", "upgrade", "head", "large", "large without a length"],
)
def test_what_is_no_answer_or_too_large_leaves_it_open_what_happened(octets: bytes) -> None:
    line = Line()
    asked = line.ask()
    line.says(octets)
    assert asked.result == Unanswered("connection_lost")
    line.ask()
    assert len(line.ends) == 2
    assert len(line.reactor.getDelayedCalls()) == 1, "the second request's time"


# ----------------------------------------------------------------------------------------------- what is used again


def test_the_connection_that_was_used_last_is_used_next() -> None:
    line = Line()
    first, second = line.ask(), line.ask()
    line.says(OK, 0)
    line.says(OK, 1)
    assert (first.result, second.result) == (ANSWER, ANSWER)
    line.ask()
    assert [transport.value().count(b"GET") for _, transport in line.ends] == [1, 2]


@pytest.mark.parametrize(
    "octets",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        OK + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        OK + b"rubbish",
    ],
    ids=["close", "1.0", "a second answer", "rubbish behind it"],
)
def test_after_some_answers_a_connection_is_not_used_again(octets: bytes) -> None:
    line = Line()
    asked = line.ask()
    line.says(octets)
    assert isinstance(asked.result, HttpResponse) and asked.result.body == b"{}"
    line.ask()
    assert len(line.ends) == 2


def test_a_connection_that_ended_or_spoke_unasked_is_not_used_again() -> None:
    for happens in (Line.hangs_up, lambda line: line.says(OK)):
        line = Line()
        line.ask()
        line.says(OK)
        happens(line)
        line.ask()
        assert len(line.ends) == 2


def test_quiet_connections_are_closed_before_the_other_end_would() -> None:
    line = Line()
    line.ask()
    line.says(OK)
    line.reactor.advance(QUIET_S - SWEEP_S)
    assert not line.ends[0][1].disconnecting
    line.reactor.pump([SWEEP_S / 2] * 4)
    assert line.ends[0][1].disconnecting
    assert line.reactor.getDelayedCalls() == []
    line.ask()
    assert len(line.ends) == 2


def test_no_more_are_kept_than_were_allowed() -> None:
    line = Line(connections=2)
    for _ in range(3):
        line.ask()
    for end in range(3):
        line.says(OK, end)
    assert [transport.disconnecting for _, transport in line.ends] == [True, False, False]
    Deferred.fromCoroutine(line.client.close())
    assert all(transport.disconnecting for _, transport in line.ends)
    assert line.reactor.getDelayedCalls() == []


def test_a_late_answer_is_nobodys() -> None:
    line = Line()
    asked = line.ask(timeout=1.0)
    line.reactor.pump([0.5, 0.5, 0.5])
    assert asked.result == Unanswered("timeout")
    line.says(OK)
    line.hangs_up()
    line.ask()
    assert len(line.ends) == 2


def test_another_provider_has_its_own_connections() -> None:
    line = Line()
    line.ask()
    line.says(OK)
    line.ask("http://127.0.0.2:8080/send")
    assert len(line.ends) == 2


# ----------------------------------------------------------------------------------------------------------- over TLS

reactor: Any = real_reactor


class Page(Resource):
    isLeaf = True
    asked = 0

    def render_GET(self, request: Any) -> bytes:
        self.asked += 1
        return b"{}"


@pytest_twisted.ensureDeferred
async def test_a_certificate_has_to_be_trusted_and_to_bear_the_name(tmp_path: Path) -> None:
    key, shown = tmp_path / "key.pem", tmp_path / "certificate.pem"
    write_certificate(key, shown)  # its name is the address
    options = ssl.DefaultOpenSSLContextFactory(str(key), str(shown))
    page: Any = Page()
    port = reactor.listenSSL(0, Site(page), options, interface="127.0.0.1")
    policy = BrowserLikePolicyForHTTPS(trustRoot=ssl.Certificate.loadPEM(shown.read_bytes()))
    doubting, trusting = HttpClient(reactor), HttpClient(reactor, tls=policy)
    number = port.getHost().port

    def ask(client: HttpClient, host: str) -> Any:
        return client.send(HttpRequest("GET", f"https://{host}:{number}/"), 5.0)

    assert await ask(doubting, "127.0.0.1") == NotWritten("tls")
    assert await ask(trusting, "localhost") == NotWritten("tls")
    assert page.asked == 0
    for _ in range(2):
        answer = await ask(trusting, "127.0.0.1")
        assert isinstance(answer, HttpResponse) and answer.body == b"{}"
    assert page.asked == 2
    await trusting.close()
    await port.stopListening()
