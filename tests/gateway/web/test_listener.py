"""What the HTTP listener makes of octets, however they come, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from bridge.provider import HttpRequest, HttpResponse
from gateway.web.listener import IDLE_S, MOST_HEAD_OCTETS, MOST_HEADERS, MOST_WAITING, PATIENT_TIMES, Asked, Listener

MOST = 10_000  # octets of a body
_StringTransport: Any = StringTransport


class Peer:
    """One connection to a listener, which answers with method, URL and body: at once, or when `answers` fire."""

    def __init__(self, listener: Listener | None = None, at_once: bool = True) -> None:
        self.clock = Clock()
        self.asked: list[Asked] = []
        self.answers: list[Deferred[HttpResponse]] = []
        self.at_once = at_once
        self.listener: Any = listener or Listener(self.answer, clock=self.clock, most_octets=MOST)
        self.protocol = self.listener.buildProtocol(None)
        self.transport = _StringTransport(
            hostAddress=IPv4Address("TCP", "10.0.0.1", 8081), peerAddress=IPv4Address("TCP", "10.0.0.9", 40_000)
        )
        self.protocol.makeConnection(self.transport)

    async def answer(self, asked: Asked) -> HttpResponse:
        self.asked.append(asked)
        said = f"{asked.request.method} {asked.request.url} ".encode() + asked.request.body
        if not self.at_once:
            self.answers.append(Deferred())
            await self.answers[-1]
        return HttpResponse(200, said, (("X-Kind", "echo"),))

    def send(self, octets: bytes) -> None:
        self.protocol.dataReceived(octets)

    def reply(self, index: int) -> None:
        self.answers[index].callback(HttpResponse(200))

    def lose(self) -> None:
        self.protocol.connectionLost(Failure(ConnectionDone()))

    @property
    def requests(self) -> list[HttpRequest]:
        return [asked.request for asked in self.asked]

    @property
    def statuses(self) -> list[int]:
        lines = self.transport.value().split(b"HTTP/1.1 ")[1:]
        return [int(line[:3]) for line in lines]

    @property
    def closed(self) -> bool:
        return bool(self.transport.disconnecting or self.transport.disconnected)


def post(path: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: h", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


CHUNKED = (
    b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Late: 1\r\n\r\n"
)


def test_a_request_is_the_same_wherever_the_octets_are_cut() -> None:
    stream = post("/a?b=%20c", b'{"x": 1}', "X-Proof: s") + CHUNKED + b"GET /d HTTP/1.1\r\nHost: h\r\n\r\n"
    whole = Peer()
    whole.send(stream)
    assert [(one.method, one.url, one.body) for one in whole.requests] == [
        ("POST", "/a?b=%20c", b'{"x": 1}'),
        ("POST", "/c", b"abcde"),
        ("GET", "/d", b""),
    ]
    assert whole.requests[0].header("x-proof") == "s" and not whole.requests[1].header("x-late")
    for cut in range(1, len(stream)):
        peer = Peer()
        peer.send(stream[:cut])
        peer.send(stream[cut:])
        assert peer.requests == whole.requests
        assert peer.transport.value() == whole.transport.value()


def test_an_answer_has_its_length_its_date_and_its_headers() -> None:
    peer = Peer()
    peer.clock.rightNow = 784_111_777.0
    peer.send(post("/a", b"b"))
    assert peer.transport.value() == (
        b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-Kind: echo\r\nContent-Length: 9\r\n\r\nPOST /a b"
    )
    assert (peer.asked[0].peer, peer.asked[0].host) == ("10.0.0.9", "10.0.0.1")
    assert not peer.closed


def test_a_head_is_answered_without_the_body() -> None:
    peer = Peer()
    peer.send(b"HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n")
    assert peer.transport.value().endswith(b"Content-Length: 8\r\n\r\n")


def test_answers_keep_the_order_of_the_requests() -> None:
    peer = Peer(at_once=False)
    peer.send(post("/1") + post("/2"))
    peer.send(post("/3"))
    for index, url in enumerate(("/1", "/2", "/3")):
        assert [one.url for one in peer.requests][index:] == [url]
        peer.reply(index)
    assert peer.statuses == [200, 200, 200]


def test_who_asks_faster_than_is_answered_is_not_read_meanwhile() -> None:
    peer = Peer(at_once=False)
    for index in range(MOST_WAITING):
        peer.send(post(f"/{index}"))
    assert peer.transport.producerState == "producing"
    peer.send(post("/one-more"))
    assert peer.transport.producerState == "paused"
    peer.reply(0)
    assert peer.transport.producerState == "producing"


def test_a_thousand_requests_in_one_read_are_all_answered() -> None:
    peer = Peer()
    peer.send(b"GET / HTTP/1.1\r\n\r\n" * 2000)
    assert peer.statuses == [200] * 2000


def test_who_does_not_take_answers_is_not_asked_for_more() -> None:
    peer = Peer()
    peer.protocol.pauseProducing()
    peer.send(post("/1"))
    assert peer.statuses == [] and peer.transport.producerState == "paused"
    peer.protocol.resumeProducing()
    assert peer.statuses == [200] and peer.transport.producerState == "producing"


@pytest.mark.parametrize(
    "octets",
    [
        b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        b"GET /a HTTP/1.0\r\n\r\n",
        b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
        post("/a", b"body", "Connection: Upgrade", "Upgrade: websocket"),
    ],
    ids=["close", "1.0", "1.0 kept alive", "HTTP/2", "websocket"],
)
def test_the_connection_ends_with_the_answer_where_nothing_can_follow(octets: bytes) -> None:
    peer = Peer(at_once=False)
    peer.send(octets + post("/unheard"))
    assert [one.url for one in peer.requests] == ["/a"] and not peer.closed
    peer.reply(0)
    assert peer.statuses == [200] and b"\r\nConnection: close\r\n" in peer.transport.value()
    assert peer.closed and len(peer.requests) == 1


def test_a_body_is_asked_for_where_its_sender_waits_for_that() -> None:
    peer = Peer()
    head, _, body = post("/a", b"b", "Expect: 100-continue").rpartition(b"\r\n\r\n")
    peer.send(head + b"\r\n\r\n")
    assert peer.transport.value() == b"HTTP/1.1 100 Continue\r\n\r\n"
    peer.send(body)
    assert peer.statuses == [100, 200]


# ---------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    "octets",
    [
        b"\x16\x03\x01\x02\x00\x01",
        b"GET\r\n\r\n",
        b"GET /a HTTP/9.9\r\n\r\n",
        b"POST /a HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST /a HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /a HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /a HTTP/1.1\r\nA header: 1\r\n\r\n",
    ],
    ids=["TLS", "no URL", "version", "length", "two lengths", "length and chunks", "chunk", "header name"],
)
def test_what_is_no_request_is_400_and_the_end(octets: bytes) -> None:
    peer = Peer()
    peer.send(octets)
    assert peer.statuses == [400] and peer.closed and peer.asked == []
    peer.send(post("/unheard"))
    assert peer.asked == []


def test_what_came_before_nonsense_is_answered_first() -> None:
    peer = Peer(at_once=False)
    peer.send(post("/a") + b"nonsense\r\n\r\n")
    assert peer.statuses == []
    peer.reply(0)
    assert peer.statuses == [200, 400] and peer.closed


def test_a_head_has_its_limits() -> None:
    fits = Peer()
    fits.send(b"GET /a HTTP/1.1\r\n" + b"A: 1\r\n" * MOST_HEADERS + b"\r\n")
    assert fits.statuses == [200]
    for octets in (
        b"GET /a HTTP/1.1\r\n" + b"A: 1\r\n" * (MOST_HEADERS + 1) + b"\r\n",
        b"GET /a HTTP/1.1\r\nA: " + b"1" * MOST_HEAD_OCTETS + b"\r\n\r\n",
        b"GET /" + b"a" * MOST_HEAD_OCTETS + b" HTTP/1.1\r\n\r\n",
    ):
        peer = Peer()
        peer.send(octets)
        assert peer.statuses == [431] and peer.closed and peer.asked == []


def test_a_head_without_an_end_is_not_gathered_for_ever() -> None:
    for piece in (b"A: 1\r\n", b"x"):
        peer = Peer()
        peer.send(b"GET /a HTTP/1.1\r\nA: ")
        sent = 0
        while not peer.closed:
            peer.send(piece * 100)
            sent += 100 * len(piece)
            assert sent < 2 * MOST_HEAD_OCTETS
        assert peer.statuses == [431]


def test_a_body_that_is_too_large_is_read_to_its_end_and_refused() -> None:
    for octets in (
        post("/a", b"x" * (MOST + 1)),
        b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"fff\r\n" + b"x" * 4095 + b"\r\n" + b"3e8\r\n"
        + b"y" * 1000 + b"\r\n" + b"1400\r\n" + b"z" * 5120 + b"\r\n0\r\n\r\n",
    ):  # fmt: skip
        peer = Peer()
        peer.send(octets[:-1])
        assert peer.statuses == []
        peer.send(octets[-1:])
        assert peer.statuses == [413] and peer.closed and peer.asked == []
        peer.lose()
        assert peer.listener.held == 0


def test_nobody_is_listened_to_without_an_end() -> None:
    for stream in (b"x" * 1000, b"A: 1\r\n" * 100):
        peer = Peer()
        peer.send(b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        if stream[:1] == b"A":
            peer.send(b"0\r\n")
            framed = stream
        else:
            framed = b"%x\r\n%b\r\n" % (len(stream), stream)
        sent = 0
        while not peer.closed:
            peer.send(framed)
            sent += len(framed)
            assert sent < 2 * PATIENT_TIMES * MOST
        assert peer.statuses == [413] and len(peer.protocol._fields) < 10


def test_bodies_of_all_connections_together_have_a_limit() -> None:
    first = Peer(at_once=False)
    first.listener.most_held = 3 * MOST
    others = [Peer(first.listener) for _ in range(4)]
    first.send(post("/a", b"x" * MOST))
    for peer in others:
        peer.send(post("/a", b"x" * MOST)[:-1])
    for peer in others:
        peer.send(b"x")
    assert [peer.statuses for peer in others] == [[], [], [503], [503]]
    for index in range(3):
        first.reply(index)
    assert [peer.statuses for peer in (first, *others)] == [[200], [200], [200], [503], [503]]
    for peer in (first, *others):
        peer.lose()
    assert first.listener.held == 0


# ------------------------------------------------------------------------------------------------------- who is silent


def test_who_says_nothing_is_dropped_after_a_minute() -> None:
    peer = Peer()
    peer.clock.advance(IDLE_S - 1)
    peer.send(post("/a"))
    peer.clock.advance(IDLE_S - 1)
    peer.send(b"POST /slow")
    peer.clock.advance(IDLE_S - 1)
    assert not peer.closed
    peer.clock.advance(1)
    assert peer.closed


def test_a_request_that_comes_drop_by_drop_is_dropped_after_a_minute() -> None:
    peer = Peer()
    peer.clock.advance(IDLE_S / 2)
    peer.send(post("/a", b"x" * MOST)[:-5])
    for _ in range(4):
        peer.clock.advance(IDLE_S / 4)
        assert peer.closed == (peer.clock.seconds() >= 1.5 * IDLE_S)
        peer.send(b"x")
    peer.lose()
    assert peer.listener.held == 0


def test_who_waits_for_an_answer_may_be_silent() -> None:
    peer = Peer(at_once=False)
    peer.send(post("/a"))
    peer.clock.pump([IDLE_S] * 3)
    assert not peer.closed
    peer.reply(0)
    peer.clock.pump([IDLE_S] * 2)
    assert peer.closed


def test_an_answer_to_who_has_gone_is_dropped() -> None:
    peer = Peer(at_once=False)
    peer.send(post("/a", b"body") + post("/b", b"body"))
    peer.lose()
    peer.reply(0)
    assert peer.statuses == [] and len(peer.asked) == 1
    assert peer.listener.held == 0 and peer.clock.getDelayedCalls() == []
