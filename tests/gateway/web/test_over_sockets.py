"""The HTTP listener and the HTTP client against each other, over real sockets, with TLS and without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as real_reactor
from twisted.internet import ssl
from twisted.internet.defer import Deferred, gatherResults
from twisted.web.client import BrowserLikePolicyForHTTPS

from bridge.http import HttpClient
from bridge.provider import HttpOutcome, HttpRequest, HttpResponse
from gateway.listening import Listeners
from gateway.web.listener import Asked, Listener
from tools.certificate import write_certificate

LARGE = 3_000_000  # octets; a socket takes them in many pieces
reactor: Any = real_reactor


async def echo(asked: Asked) -> HttpResponse:
    return HttpResponse(200, asked.request.body, (("X-From", asked.peer), ("X-Listening", asked.host)))


@pytest.fixture
def interface() -> str:
    return "127.0.0.1"


@pytest.fixture(params=["tcp", "ssl"])
def place(request: pytest.FixtureRequest, tmp_path: Path, interface: str) -> Iterator[tuple[HttpClient, str]]:
    """A client, and the URL of a listener that answers with the body it is given."""
    key, shown = tmp_path / "key.pem", tmp_path / "certificate.pem"
    write_certificate(key, shown)
    files = f":privateKey={key}:certKey={shown}" if request.param == "ssl" else ""
    listeners, factory = Listeners(), Listener(echo, clock=reactor, most_octets=2 * LARGE)
    opening = listeners.open(reactor, [f"{request.param}:0:interface={interface}{files}"], factory)
    pytest_twisted.blockon(Deferred.fromCoroutine(opening))
    policy = BrowserLikePolicyForHTTPS(trustRoot=ssl.Certificate.loadPEM(shown.read_bytes()))
    client = HttpClient(reactor, tls=policy)
    scheme = "https" if request.param == "ssl" else "http"
    yield client, f"{scheme}://127.0.0.1:{listeners.ports[0].getHost().port}/"
    pytest_twisted.blockon(Deferred.fromCoroutine(client.close()))
    pytest_twisted.blockon(Deferred.fromCoroutine(listeners.close()))


@pytest_twisted.ensureDeferred
async def test_bodies_small_and_large_come_back_whole(place: tuple[HttpClient, str]) -> None:
    client, url = place
    bodies = [b"", b"x", bytes(range(256)) * 300, b"y" * LARGE]

    def ask(body: bytes) -> Deferred[HttpOutcome]:
        return Deferred.fromCoroutine(client.send(HttpRequest("POST", url, (), body), 30.0))

    for _ in range(2):  # on new connections, then on the same
        for body, answer in zip(bodies, await gatherResults([ask(body) for body in bodies]), strict=True):
            assert isinstance(answer, HttpResponse) and answer.status == 200
            assert answer.body == body and answer.header("X-From") == "127.0.0.1"


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("interface", ["127.0.0.1", "0.0.0.0"])
async def test_a_request_tells_the_address_that_is_listened_on(place: tuple[HttpClient, str], interface: str) -> None:
    client, url = place
    answer = await client.send(HttpRequest("GET", url, (), b""), 30.0)
    assert isinstance(answer, HttpResponse) and answer.header("X-Listening") == interface
