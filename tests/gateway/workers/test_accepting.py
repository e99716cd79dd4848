"""One listening socket, several who take connections from it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import endpoints, reactor
from twisted.internet.protocol import Factory, Protocol

from gateway.listening import Listeners
from gateway.workers.accepting import Inherited
from tests.gateway.server.test_tls import TlsListener, name_of, works
from tools.certificate import write_certificate
from tools.clock import pause
from tools.run_workers import open_listeners

ADDRESS = "tcp:0:interface=127.0.0.1"
ANY: Any = reactor


class Taker:
    """A worker: counts what it took."""

    def __init__(self) -> None:
        self.freer = False  # another one is
        self.took: list[Protocol] = []
        self.looked = 0

    def factory(self) -> Factory:
        def build() -> Protocol:
            self.took.append(Protocol())
            return self.took[-1]

        return Factory.forProtocol(build)

    def look(self) -> None:
        self.looked += 1


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen(50)
        one.setblocking(False)
        yield one


async def connect(listening: socket.socket) -> Any:
    point: Any = endpoints.TCP4ClientEndpoint(reactor, "127.0.0.1", listening.getsockname()[1], timeout=5)
    return await endpoints.connectProtocol(point, Protocol())


@pytest_twisted.ensureDeferred
async def test_connections_go_to_whoever_is_freer_and_none_is_lost(listening: socket.socket) -> None:
    one, other = Taker(), Taker()
    opened = []
    clients = []
    for taker in (one, other):
        inherited = Inherited({(ADDRESS,): listening}, lambda taker=taker: taker.freer, taker.look)  # type: ignore[misc]
        listeners = Listeners(inherited)
        await listeners.open(reactor, [ADDRESS], taker.factory())
        opened.append(listeners)
    try:
        one.freer = True
        for _ in range(5):
            clients.append(await connect(listening))
            await pause(reactor, 0.005)
        await pause(reactor, 0.05)
        assert (len(one.took), len(other.took)) == (0, 5)
        assert other.looked >= 5
        await opened[1].close()  # the socket is the other's still
        clients.append(await connect(listening))
        await pause(reactor, 0.1)
        assert len(one.took) == 1, "who waits for somebody freer does not wait for long"
    finally:
        for client in clients:
            client.transport.abortConnection()
        for listeners in opened:
            await listeners.close()
    assert socket.create_connection(listening.getsockname(), 5), "it waits for the next who listens"


@pytest_twisted.ensureDeferred
async def test_a_port_that_is_closed_while_it_waits_takes_nothing(listening: socket.socket) -> None:
    taker = Taker()
    taker.freer = True
    listeners = Listeners(Inherited({(ADDRESS,): listening}, lambda: taker.freer))
    await listeners.open(reactor, [ADDRESS], taker.factory())
    client = await connect(listening)
    await pause(reactor, 0)
    await listeners.close()
    await pause(reactor, 0.05)
    assert not taker.took
    client.transport.abortConnection()


@pytest_twisted.ensureDeferred
async def test_tls_is_spoken_and_certificates_are_exchanged_where_all_listen(tmp_path: Path) -> None:
    listener = TlsListener(tmp_path)
    sockets = open_listeners(listener.settings.listen)
    listener.server._listeners = Listeners(Inherited(sockets))
    await listener.start()
    try:
        before = await listener.connect()
        assert name_of(before) == "first"
        write_certificate(listener.key, listener.certificate, "second")
        listener.read_again()
        assert name_of(await listener.connect()) == "second"
        await works(before)
    finally:
        await listener.stop()
        for one in sockets.values():
            one.close()
