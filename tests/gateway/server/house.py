"""An SMPP server without sockets, and clients that speak to it in PDUs. Time moves only when the test says so."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import CollectorRegistry
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import LogEvent, globalLogPublisher
from twisted.python.failure import Failure

from config.schema import AccountSettings, SmppServerSettings
from gateway.logs import message
from gateway.messages.message import Mo, Receipt
from gateway.messages.states import State
from gateway.metrics import Metrics
from gateway.server.bound import Bound, Done, Item
from gateway.server.factory import SmppServer
from gateway.smpp.framing import Framer
from gateway.smpp.pdu import (
    Bind,
    BindReceiver,
    BindTransceiver,
    BindTransmitter,
    DeliverSm,
    DeliverSmResp,
    Pdu,
    SubmitSm,
    decode,
    encode,
)
from tests.fakes.intake import FakeIntake

START = 1_790_000_000.0  # 21 September 2026
BINDS: dict[str, type[Bind]] = {"tx": BindTransmitter, "rx": BindReceiver, "trx": BindTransceiver}
NUMBER = "5511987654321"


@contextmanager
def logged() -> Iterator[list[str]]:
    """What the gateway says meanwhile, as people read it."""
    lines: list[str] = []

    def keep(event: LogEvent) -> None:
        lines.append(message(event, masks=True))

    globalLogPublisher.addObserver(keep)
    try:
        yield lines
    finally:
        globalLogPublisher.removeObserver(keep)


def account(system_id: str = "billing", **settings: Any) -> AccountSettings:
    return AccountSettings(**{"system_id": system_id, "password": "secret", **settings})


def server_settings(*accounts: AccountSettings, **settings: Any) -> SmppServerSettings:
    return SmppServerSettings(**{"accounts": accounts or (account(),), **settings})


_StringTransport: Any = StringTransport


class House:
    def __init__(self, *accounts: AccountSettings, automatic: bool = False, **settings: Any) -> None:
        self.clock = Clock()
        self.clock.advance(START)
        self.metrics = Metrics(CollectorRegistry())
        self.intake = FakeIntake(automatic)
        self.bound = Bound(self.clock)
        self.failures: list[Failure] = []
        self.server = SmppServer(
            self.clock,
            server_settings(*accounts, **settings),
            "BR",
            bound=self.bound,
            intake=self.intake,
            metrics=self.metrics,
            spawn=self.spawn,
            in_thread=lambda check: succeed(check()),
        )

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        Deferred.fromCoroutine(work).addErrback(self.failures.append)

    def connect(self, host: str = "127.0.0.1") -> Esme:
        return Esme(self, host)

    def bind(
        self, kind: str = "trx", system_id: str = "billing", password: str = "secret", version: int = 0x34
    ) -> Esme:
        esme = self.connect()
        assert esme.bind(kind, system_id, password, version) == 0
        return esme

    def deliver(self, item: Item, done: Done, account: str = "billing") -> bool:
        """One receipt or text for an account; False when no session takes it."""
        return self.bound.deliver(account, iter([(item, done)])) == 1

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


class Esme:
    """A client. `got` holds every PDU that came and was not taken yet."""

    def __init__(self, house: House, host: str) -> None:
        self.house = house
        address: Any = IPv4Address("TCP", host, 40_000)
        protocol = house.server.buildProtocol(address)
        self.accepted = protocol is not None
        if protocol is None:
            return
        self.protocol: Any = protocol
        self.transport: Any = _StringTransport(peerAddress=address)
        self.protocol.makeConnection(self.transport)
        self._framer = Framer(70_000)
        self._pdus: list[Pdu] = []
        self._next = 1

    @property
    def got(self) -> list[Pdu]:
        self.house.clock.advance(0)
        octets = self.transport.value()
        self.transport.clear()
        self._pdus += [decode(frame) for frame in self._framer.feed(octets)]
        return self._pdus

    def take(self) -> list[Pdu]:
        got, self._pdus = self.got, []
        return got

    def only(self) -> Pdu:
        (pdu,) = self.take()
        return pdu

    def statuses(self) -> list[int]:
        return [pdu.command_status for pdu in self.take()]

    def send(self, *pdus: Pdu) -> None:
        octets = b""
        for pdu in pdus:
            octets += encode(pdu, pdu.sequence_number or self._next)
            self._next += not pdu.sequence_number
        self.raw(octets)

    def raw(self, octets: bytes) -> None:
        self.protocol.dataReceived(octets)

    def bind(self, kind: str = "trx", system_id: str = "billing", password: str = "secret", version: int = 0x34) -> int:
        self.send(BINDS[kind](system_id=system_id, password=password, interface_version=version))
        return self.only().command_status

    def submit(self, destination: str = NUMBER, text: bytes = b"hello", **fields: Any) -> None:
        self.send(submit(destination, text, **fields))

    def acknowledge(self, command_status: int = 0) -> list[DeliverSm]:
        """Answer every deliver_sm that came."""
        deliveries = [pdu for pdu in self.take() if isinstance(pdu, DeliverSm)]
        if deliveries:
            self.send(*(DeliverSmResp(pdu.sequence_number, command_status) for pdu in deliveries))
        return deliveries

    def lose(self) -> None:
        self.protocol.connectionLost()

    @property
    def reading(self) -> bool:
        return bool(self.transport.producerState == "producing")

    @property
    def closing(self) -> bool:
        return bool(self.transport.disconnecting)


def submit(destination: str = NUMBER, text: bytes = b"hello", **fields: Any) -> SubmitSm:
    return SubmitSm(**{"source_addr": "28940", "destination_addr": destination, "short_message": text, **fields})


def receipt(message_id: str = "17", **fields: Any) -> Receipt:
    return Receipt(
        **{
            "message_id": message_id,
            "source": NUMBER,
            "source_ton": 1,
            "source_npi": 1,
            "dest": "28940",
            "dest_ton": 0,
            "dest_npi": 1,
            "service_type": "",
            "state": State.DELIVERED,
            "err": 0,
            "submitted_at": START,
            "done_at": START + 60,
            "channel": "operator",
            **fields,
        }
    )


def mo(user_data: bytes = b"ok", **fields: Any) -> Mo:
    return Mo(
        **{
            "account": "billing",
            "source": NUMBER,
            "source_ton": 1,
            "source_npi": 1,
            "dest": "28940",
            "dest_ton": 0,
            "dest_npi": 1,
            "esm_class": 0,
            "data_coding": 0,
            "user_data": user_data,
            **fields,
        }
    )
