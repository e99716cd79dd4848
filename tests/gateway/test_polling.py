"""The reactor's turn as the gateway has it, with a real epoll reactor and real sockets."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.python import log as old_log

from gateway.polling import without_context
from tests.gateway.server.house import logged

PATIENCE_S = 5.0


class Echo(Protocol):
    """Says what it hears. `broken` is not understood, and the end of what said `ill` is not borne."""

    said = b""

    def dataReceived(self, data: bytes) -> None:
        self.said += data
        if data == b"broken":
            raise LookupError("not understood")
        self.transport.write(data)

    def connectionLost(self, reason: Any = None) -> None:
        self.factory.lost.append(self.said)  # type: ignore[attr-defined]
        if self.said == b"ill":
            raise LookupError("not borne")


class House:
    """A server on such a reactor."""

    def __init__(self) -> None:
        self.reactor: Any = EPollReactor()
        without_context(self.reactor)
        self.factory: Any = Factory.forProtocol(Echo)
        self.factory.lost = []
        self.port = self.reactor.listenTCP(0, self.factory, interface="127.0.0.1")

    def client(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port.getHost().port))
        client.setblocking(False)
        return client

    def until(self, done: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < end, "nothing came"
            self.reactor.iterate(0.01)

    def hear(self, client: socket.socket, wanted: bytes) -> None:
        heard = b""

        def all_of_it() -> bool:
            nonlocal heard
            try:
                heard += client.recv(65_536)
            except BlockingIOError:
                return False
            return len(heard) >= len(wanted)

        self.until(all_of_it)
        assert heard == wanted

    def close(self) -> None:
        for one in self.reactor.getReaders():
            if hasattr(one, "abortConnection"):
                one.abortConnection()
        self.port.stopListening()
        self.reactor.iterate(0.01)
        self.reactor._poller.close()


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    yield house
    house.close()


def test_what_is_read_is_answered_and_an_end_is_told(house: House) -> None:
    first, second = house.client(), house.client()
    first.send(b"one")
    second.send(b"two")
    house.hear(first, b"one")
    house.hear(second, b"two")
    first.close()
    house.until(lambda: house.factory.lost == [b"one"])
    second.send(b"three")
    house.hear(second, b"three")
    second.close()


def test_more_than_a_socket_takes_is_written_bit_by_bit(house: House) -> None:
    client = house.client()
    client.send(b"x")
    house.hear(client, b"x")
    [echo] = [one.protocol for one in house.reactor.getReaders() if hasattr(one, "protocol")]
    much = bytes(range(256)) * 40_000
    echo.transport.write(much)
    house.hear(client, much)
    client.close()


def test_a_protocol_that_fails_loses_its_connection_and_no_other(house: House) -> None:
    bad, good = house.client(), house.client()
    with logged() as lines:
        bad.send(b"broken")
        house.until(lambda: house.factory.lost == [b"broken"])
    assert any("LookupError" in line for line in lines)
    good.send(b"well")
    house.hear(good, b"well")
    bad.close()
    good.close()


def test_one_that_cannot_bear_its_end_is_named_in_the_log_and_the_others_go_on(house: House) -> None:
    ill, good = house.client(), house.client()
    ill.send(b"ill")
    house.hear(ill, b"ill")
    with logged() as lines:
        ill.close()
        good.send(b"well")
        house.hear(good, b"well")
        house.until(lambda: house.factory.lost == [b"ill"])
    assert "what a socket's end brought failed" in lines
    good.close()


def test_a_read_enters_no_context_of_the_log(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def entered(*_: object) -> None:
        raise AssertionError("a context was entered")

    monkeypatch.setattr(old_log, "callWithLogger", entered)
    client = house.client()
    client.send(b"one")
    house.hear(client, b"one")
    client.close()


def test_another_kind_of_reactor_stays_as_it_is() -> None:
    clock = Clock()
    before = dict(vars(clock))
    without_context(clock)
    assert vars(clock) == before
