"""The listener over real sockets on loopback."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import pytest_twisted
from prometheus_client import CollectorRegistry
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol

from config.secrets import hash_password
from gateway.metrics import Metrics
from gateway.server.bound import Bound
from gateway.server.factory import SmppServer, threads_of
from gateway.server.protocol import SmscProtocol
from gateway.smpp.framing import Framer
from gateway.smpp.pdu import (
    BindTransceiver,
    DeliverSm,
    DeliverSmResp,
    Pdu,
    SubmitSmResp,
    Unbind,
    UnbindResp,
    decode,
    encode,
)
from tests.fakes.intake import FakeIntake
from tests.gateway.server.house import account, receipt, server_settings, submit


class Client(Protocol):
    """A client over a socket: `next` is the PDU that comes next."""

    transport: Any

    def __init__(self) -> None:
        self._framer = Framer(70_000)
        self._got: list[Pdu] = []
        self._asked: list[Deferred[Pdu]] = []
        self.closed: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self._got += [decode(frame) for frame in self._framer.feed(data)]
        while self._got and self._asked:
            self._asked.pop(0).callback(self._got.pop(0))

    def connectionLost(self, reason: Any = None) -> None:
        self.closed.callback(None)

    def send(self, *pdus: Pdu) -> None:
        self.transport.write(b"".join(encode(pdu, pdu.sequence_number or n) for n, pdu in enumerate(pdus, 1)))

    def next(self) -> Deferred[Pdu]:
        asked: Deferred[Pdu] = Deferred()
        self._asked.append(asked)
        self.dataReceived(b"")
        return asked.addTimeout(5, reactor)


class Listener:
    def __init__(self, **settings: Any) -> None:
        self.intake = FakeIntake(automatic=True)
        self.bound = Bound(reactor)
        self.server = SmppServer(
            reactor,
            server_settings(account(**settings), listen=("tcp:0:interface=127.0.0.1",)),
            "BR",
            bound=self.bound,
            intake=self.intake,
            metrics=Metrics(CollectorRegistry()),
            spawn=Deferred.fromCoroutine,
            in_thread=threads_of(reactor),
        )

    async def client(self, password: str = "secret") -> Client:
        port = self.server._listeners.ports[0]
        connect: Any = connectProtocol
        client: Client = await connect(TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port), Client())
        client.send(BindTransceiver(system_id="billing", password=password, interface_version=0x34))
        assert (await client.next()).command_status == 0
        return client


@pytest_twisted.ensureDeferred
async def test_a_client_binds_submits_receives_and_is_unbound() -> None:
    listener = Listener()
    await listener.server.start(reactor)
    assert listener.server.listening
    client = await listener.client()
    client.send(*(submit(text=b"x" * 150) for _ in range(90)))
    answers = [await client.next() for _ in range(90)]
    assert [pdu.message_id for pdu in answers if isinstance(pdu, SubmitSmResp)] == [str(n) for n in range(1, 91)]
    assert listener.bound.deliver("billing", iter([(receipt(), lambda status: None)]))
    assert isinstance(await client.next(), DeliverSm)
    stopped = Deferred.fromCoroutine(listener.server.stop())
    client.send(DeliverSmResp(1))
    unbind = await client.next()
    assert isinstance(unbind, Unbind) and not listener.server.listening
    client.send(UnbindResp(unbind.sequence_number))
    await stopped
    await client.closed


@pytest_twisted.ensureDeferred
async def test_a_client_that_stops_reading_is_not_read_and_hurts_nobody() -> None:
    """Its answers pile up in the gateway, which then leaves its submits to TCP; the other client is served."""
    listener = Listener(throughput=1_000_000.0)
    await listener.server.start(reactor)
    greedy, other = await listener.client(), await listener.client()
    link = next(link for link in listener.bound.links() if link.peer.endswith(f":{greedy.transport.getHost().port}"))
    assert isinstance(link, SmscProtocol)
    greedy.transport.pauseProducing()
    greedy.transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    link.transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # type: ignore[attr-defined]
    greedy.transport.write(encode(submit(), 1) * 60_000)
    while link.room:
        other.send(submit())
        await other.next()
    other.send(submit())
    assert isinstance(await other.next(), SubmitSmResp)
    greedy.transport.abortConnection()
    other.send(Unbind())
    assert isinstance(await other.next(), UnbindResp)
    await listener.server.stop()


@pytest_twisted.ensureDeferred
async def test_stopping_unbinds_politely_even_where_a_deliver_sm_is_never_answered() -> None:
    listener = Listener()
    await listener.server.start(reactor)
    client = await listener.client()
    ends: list[int | None] = []
    assert listener.bound.deliver("billing", iter([(receipt(), ends.append)]))
    assert isinstance(await client.next(), DeliverSm)
    stopped = Deferred.fromCoroutine(listener.server.stop())
    unbind = await client.next()
    assert isinstance(unbind, Unbind)
    client.send(UnbindResp(unbind.sequence_number))
    await stopped
    await client.closed
    assert ends == [None]


@pytest_twisted.ensureDeferred
async def test_a_hashed_password_is_checked_in_a_thread() -> None:
    listener = Listener(password=None, password_hash=hash_password("secret"))
    await listener.server.start(reactor)
    client = await listener.client()
    client.transport.loseConnection()
    await client.closed
    await listener.server.stop()


@pytest_twisted.ensureDeferred
async def test_an_address_in_use_is_an_error_and_nothing_stays_open() -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    listener = Listener()
    number = taken.getsockname()[1]
    listener.server.settings = server_settings(
        listen=("tcp:0:interface=127.0.0.1", f"tcp:{number}:interface=127.0.0.1")
    )
    with pytest.raises(Exception, match="Couldn't listen"):
        await listener.server.start(reactor)
    assert not listener.server.listening and listener.server._listeners.ports == []
    taken.close()
