"""Asking an ESME to bind when something waits for it."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError

from gateway.server.outbind import Outbind
from gateway.smpp.pdu import Outbind as OutbindPdu
from tests.gateway.server.house import Esme, House, account, receipt

ENDPOINT = "tcp:10.0.0.5:2775"


class Desk:
    """A house whose account is to be asked. `asked`: connections that were begun and have not ended yet."""

    def __init__(self, **settings: Any) -> None:
        self.house = House(account(**{"outbind": ENDPOINT, **settings}), session_init_timeout=10.0)
        self.pending = {"billing": 0}
        self.asked: list[Deferred[Any]] = []
        self.outbind = Outbind(self.house.server, self.house.clock, lambda: self.pending, lambda: 0.5, self.connect)
        self.outbind.start()

    def connect(self, endpoint: str, factory: object) -> Deferred[Any]:
        assert (endpoint, factory) == (ENDPOINT, self.house.server)
        connecting: Deferred[Any] = Deferred()
        self.asked.append(connecting)
        return connecting

    def passes(self, seconds: float) -> int:
        """Time goes by; how many connections were begun meanwhile."""
        before = len(self.asked)
        for _ in range(int(seconds)):
            self.house.clock.advance(1)
        return len(self.asked) - before

    def accept(self) -> Esme:
        """The ESME takes the youngest connection."""
        esme = self.house.connect("10.0.0.5")
        self.asked[-1].callback(esme.protocol)
        return esme

    def refuse(self) -> None:
        self.asked[-1].errback(ConnectionRefusedError())


def test_nobody_is_asked_while_nothing_waits() -> None:
    desk = Desk()
    assert desk.passes(60) == 0


def test_who_has_no_receiver_is_asked_and_gets_what_waits() -> None:
    desk = Desk()
    transmitter = desk.house.bind("tx")
    desk.pending["billing"] = 1
    assert desk.passes(1) == 1
    esme = desk.accept()
    assert esme.only() == OutbindPdu(1, system_id="POMBO", password="secret")
    assert esme.bind("rx") == 0
    assert desk.house.deliver(receipt(), lambda status: None)
    assert len(esme.acknowledge()) == 1
    transmitter.lose()


def test_a_receiver_is_enough() -> None:
    desk = Desk()
    desk.house.bind("rx")
    desk.pending["billing"] = 1
    assert desk.passes(10) == 0


def test_one_connection_at_a_time_and_growing_pauses_between_them() -> None:
    desk = Desk()
    desk.pending["billing"] = 1
    assert desk.passes(1) == 1
    assert desk.passes(100) == 0, "the first has not ended"
    desk.refuse()
    assert desk.passes(1) == 1, "longer ago than the first pause"
    for pause in (10, 20, 40, 80, 160, 300, 300):
        desk.refuse()
        assert (desk.passes(pause - 1), desk.passes(1)) == (0, 1)


def test_a_peer_that_does_not_bind_is_closed_and_asked_again() -> None:
    desk = Desk()
    desk.pending["billing"] = 1
    desk.passes(1)
    esme = desk.accept()
    assert desk.passes(9) == 0
    assert desk.passes(1) == 1, "no bind in session_init_timeout, and 5 s are over"
    assert esme.closing


def test_after_a_bind_the_pauses_begin_anew() -> None:
    desk = Desk()
    desk.pending["billing"] = 1
    desk.passes(1)
    for pause in (5, 10):
        desk.refuse()
        desk.passes(pause)
    esme = desk.accept()
    esme.take()
    assert esme.bind("rx") == 0
    assert desk.passes(20) == 0
    esme.lose()
    assert desk.passes(3) == 1
    desk.refuse()
    assert desk.passes(5) == 1


def test_a_hashed_password_cannot_be_sent() -> None:
    desk = Desk(password=None, password_hash="scrypt$16384$8$1$c2FsdHNhbHRzYWx0c2FsdA==$" + "a2V5" * 10 + "a2U=")
    desk.pending["billing"] = 1
    desk.passes(1)
    (sent,) = desk.accept().take()
    assert isinstance(sent, OutbindPdu) and sent.password == ""


def test_the_end_of_the_server_ends_the_tries() -> None:
    desk = Desk()
    desk.pending["billing"] = 1
    desk.passes(1)
    desk.outbind.stop()
    ended: list[Any] = []
    desk.asked[0].addBoth(ended.append)
    assert ended == [None], "cancelled, and seen to"
    assert desk.passes(60) == 0
