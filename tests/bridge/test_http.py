"""The HTTP client against a real server on loopback: what was written, what was not."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as real_reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.protocol import Factory, Protocol
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from bridge.http import HttpClient
from bridge.provider import HttpOutcome, HttpRequest, HttpResponse, NotWritten, Unanswered

reactor: Any = real_reactor


class Server(Resource):
    """Answers by the path; counts connections and requests."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.requests: list[tuple[bytes, bytes, dict[bytes, list[bytes]]]] = []

    def render(self, request: Any) -> Any:
        path = request.path
        self.requests.append((request.method, request.content.read(), dict(request.requestHeaders.getAllRawHeaders())))
        if path == b"/silent":
            return NOT_DONE_YET
        if path == b"/cut":
            request.transport.abortConnection()
            return NOT_DONE_YET
        if path == b"/half":
            request.setHeader(b"content-length", b"100")
            request.write(b"half")
            if request.args.get(b"then") == [b"cut"]:
                reactor.callLater(0.01, request.transport.loseConnection)
            return NOT_DONE_YET
        if path == b"/elsewhere":
            request.setResponseCode(302)
            request.setHeader(b"location", b"/ok")
            return b""
        request.setResponseCode(int(request.args.get(b"status", [b"200"])[0]))
        request.setHeader(b"retry-after", b"7")
        return b'{"answer": true}'


site: Any = Site


class Counted(site):  # type: ignore[misc]
    connections = 0

    def buildProtocol(self, addr: Any) -> Any:
        self.connections += 1
        return super().buildProtocol(addr)


@pytest.fixture
def server() -> Iterator[tuple[Counted, Server, str]]:
    pages = Server()
    site = Counted(pages)
    port = reactor.listenTCP(0, site, interface="127.0.0.1")
    yield site, pages, f"http://127.0.0.1:{port.getHost().port}"
    pytest_twisted.blockon(port.stopListening())


@pytest.fixture
def client() -> Iterator[HttpClient]:
    http = HttpClient(reactor, connections=4)
    yield http
    pytest_twisted.blockon(Deferred.fromCoroutine(http.close()))


Place = tuple[Counted, Server, str]


def on_the_wire(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., Any]:
    """A test that runs in the real reactor."""
    run: Callable[..., Any] = pytest_twisted.ensureDeferred(test)
    return run


def ask(client: HttpClient, url: str, timeout: float = 5.0, body: bytes = b'{"a": 1}') -> Deferred[HttpOutcome]:
    request = HttpRequest("POST", url, (("apikey", "k3y"), ("Content-Type", "application/json")), body)
    return Deferred.fromCoroutine(client.send(request, timeout))


@on_the_wire
async def test_method_headers_and_body_arrive_and_the_answer_comes_back(client: HttpClient, server: Place) -> None:
    answer = await ask(client, server[2] + "/x?status=201")
    assert isinstance(answer, HttpResponse)
    assert (answer.status, answer.json(), answer.header("Retry-After")) == (201, {"answer": True}, "7")
    [(method, body, headers)] = server[1].requests
    assert (method, body) == (b"POST", b'{"a": 1}')
    assert next(value for name, value in headers.items() if name.lower() == b"apikey") == [b"k3y"]


@on_the_wire
async def test_connections_are_kept_and_used_again(client: HttpClient, server: Place) -> None:
    for _ in range(5):
        await ask(client, server[2] + "/x")
    assert server[0].connections == 1
    await gatherResults([ask(client, server[2] + "/x") for _ in range(4)])
    await gatherResults([ask(client, server[2] + "/x") for _ in range(4)])
    assert server[0].connections == 4


@on_the_wire
async def test_an_error_status_is_an_answer_and_redirects_are_not_followed(client: HttpClient, server: Place) -> None:
    for path, status in (("/x?status=500", 500), ("/x?status=401", 401), ("/elsewhere", 302)):
        answer = await ask(client, server[2] + path)
        assert isinstance(answer, HttpResponse) and answer.status == status
    assert len(server[1].requests) == 3


@on_the_wire
async def test_a_refused_connection_was_not_written(client: HttpClient) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert await ask(client, f"http://127.0.0.1:{port}/x") == NotWritten("refused")


@on_the_wire
async def test_a_host_without_an_address_was_not_written(client: HttpClient) -> None:
    answer = await ask(client, "http://no-such-host.invalid/x")
    assert isinstance(answer, NotWritten)


@on_the_wire
async def test_silence_after_the_request_is_a_timeout(client: HttpClient, server: Place) -> None:
    assert await ask(client, server[2] + "/silent", timeout=0.1) == Unanswered("timeout")
    assert await ask(client, server[2] + "/half", timeout=0.1) == Unanswered("timeout")
    assert isinstance(await ask(client, server[2] + "/x"), HttpResponse)


@pytest_twisted.ensureDeferred
async def test_an_answer_that_came_while_the_process_stood_still_is_not_lost(client: HttpClient) -> None:
    listening, answered = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def stand_still(until: float) -> None:
        answered.wait(5.0)
        time.sleep(max(0.0, until - time.time()))

    def serve() -> None:
        connection, _ = listening.accept()
        connection.recv(65536)
        reactor.callFromThread(stand_still, time.time() + 0.3)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        answered.set()

    serving = threading.Thread(target=serve)
    serving.start()
    host, port = listening.getsockname()
    outcome = await client.send(HttpRequest("POST", f"http://{host}:{port}/", (), b"{}"), 0.2)
    serving.join()
    listening.close()
    assert isinstance(outcome, HttpResponse) and outcome.status == 200


@on_the_wire
async def test_a_connection_cut_after_the_request_leaves_it_open_what_happened(
    client: HttpClient, server: Place
) -> None:
    assert await ask(client, server[2] + "/cut") == Unanswered("connection_lost")
    assert await ask(client, server[2] + "/half?then=cut") == Unanswered("connection_lost")
    assert len(server[1].requests) == 2  # and it is not sent a second time


class Plain(Protocol):
    """Speaks first, and no TLS."""

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@on_the_wire
async def test_a_server_that_speaks_no_tls_got_no_request(client: HttpClient) -> None:
    port = reactor.listenTCP(0, Factory.forProtocol(Plain), interface="127.0.0.1")
    assert await ask(client, f"https://127.0.0.1:{port.getHost().port}/x") == NotWritten("tls")
    await port.stopListening()


@on_the_wire
async def test_a_server_that_never_finishes_tls_is_no_certain_failure(client: HttpClient) -> None:
    port = reactor.listenTCP(0, Factory.forProtocol(Protocol), interface="127.0.0.1")
    answer = await ask(client, f"https://127.0.0.1:{port.getHost().port}/x", timeout=0.1)
    assert answer == Unanswered("timeout")
    await port.stopListening()


@on_the_wire
async def test_nagle_does_not_hold_requests_back(client: HttpClient, server: Place) -> None:
    await ask(client, server[2] + "/x")
    port = int(server[2].rpartition(":")[2])
    ours = [
        r for r in reactor.getReaders() if getattr(getattr(r, "addr", None), "__getitem__", None) and r.addr[1] == port
    ]
    assert ours and all(transport.getTcpNoDelay() for transport in ours)
