"""Octets into the kernel at once, over real sockets: nothing lost, nothing out of order, nothing in the clear."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from twisted.internet import tcp
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol
from zope.interface import implementer

from gateway.writing import writer

OCTETS = bytes(range(256))


class Asked:
    """A reactor as far as a transport asks one: which of them want to be told when there is room."""

    def __init__(self) -> None:
        self.writers: list[Any] = []
        self.asked = 0

    def addWriter(self, transport: Any) -> None:
        self.asked += 1
        if transport not in self.writers:
            self.writers.append(transport)

    def removeWriter(self, transport: Any) -> None:
        if transport in self.writers:
            self.writers.remove(transport)

    def addReader(self, transport: Any) -> None: ...
    def removeReader(self, transport: Any) -> None: ...


@implementer(IPushProducer)
class Producer:
    paused = False

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False

    def stopProducing(self) -> None: ...


class Line:
    """A Twisted transport on one end of a pair of sockets, and what comes out of the other."""

    def __init__(self) -> None:
        ours, self.peer = socket.socketpair()
        ours.setblocking(False)
        self.peer.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.reactor = Asked()
        self.transport = tcp.Connection(ours, Protocol(), self.reactor)
        self.transport.connected = True
        self.came = b""

    def read(self) -> bytes:
        """What has come by now."""
        try:
            while octets := self.peer.recv(65_536):
                self.came += octets
        except BlockingIOError:
            pass
        return self.came

    def settle(self) -> bytes:
        """What comes once the reactor has written all there is."""
        self.read()
        while self.reactor.writers:
            assert self.transport.doWrite() is None
            self.read()
        return self.came


@pytest.fixture
def line() -> Any:
    line = Line()
    yield line
    line.peer.close()
    line.transport.socket.close()


def test_what_the_socket_has_room_for_is_with_the_peer_and_the_reactor_is_asked_for_nothing(line: Line) -> None:
    write = writer(line.transport)
    write(b"one")
    write(b"two")
    assert line.read() == b"onetwo" and line.reactor.asked == 0


def test_what_a_full_socket_leaves_comes_in_order_before_what_is_written_later(line: Line) -> None:
    write = writer(line.transport)
    written = b""
    for n in range(2000):
        octets = b"%d " % n + OCTETS
        write(octets)
        written += octets
        if n % 300 == 299:
            line.read()  # room in the socket again, while older octets wait in the transport
    assert line.reactor.writers
    assert line.settle() == written


def test_what_others_write_keeps_its_place(line: Line) -> None:
    write = writer(line.transport)
    line.transport.write(b"first, ")  # waits for the reactor
    write(b"second")
    assert line.settle() == b"first, second"


def test_a_producer_is_told_when_much_waits_and_when_it_is_gone(line: Line) -> None:
    producer = Producer()
    line.transport.registerProducer(producer, True)
    writer(line.transport)(OCTETS * 4096)
    assert producer.paused
    assert line.settle() == OCTETS * 4096 and not producer.paused


def test_a_lost_connection_is_left_for_the_reactor_to_find(line: Line) -> None:
    write = writer(line.transport)
    line.peer.close()
    write(b"to nobody")
    assert line.reactor.writers == [line.transport] and isinstance(line.transport.doWrite(), Exception)


def test_nothing_is_written_to_a_connection_that_is_closed(line: Line) -> None:
    write = writer(line.transport)
    line.transport.connected = False
    write(b"too late")
    assert line.read() == b"" and not line.reactor.writers


def test_octets_of_a_connection_that_is_ending_go_before_its_end(line: Line) -> None:
    write = writer(line.transport)
    write(OCTETS * 1024)
    line.transport.disconnecting = True  # what loseConnection says while octets wait
    write(b"the last")
    assert line.read().endswith(b"the last") is False
    while line.transport.doWrite() is None:
        line.read()
    assert line.read() == OCTETS * 1024 + b"the last"


def test_what_is_behind_tls_is_never_written_to_the_socket_itself(line: Line) -> None:
    passed: list[bytes] = []
    line.transport.TLS = True
    line.transport.write = passed.append  # type: ignore[method-assign]
    line.transport.doWrite = lambda: passed.append(b"now")  # type: ignore[method-assign]
    writer(line.transport)(b"secret")
    assert passed == [b"secret", b"now"] and line.read() == b""


def test_a_transport_without_a_socket_is_just_written_to() -> None:
    class Plain:
        written = b""

        def write(self, data: bytes) -> None:
            self.written += data

    plain = Plain()
    writer(plain)(b"octets")
    assert plain.written == b"octets"
