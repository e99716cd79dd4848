"""The billing system of the drill: one bind to each node, which moves to the other node when its own is gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from twisted.internet import endpoints

from gateway.smpp import charset, pdu, receipt_text
from gateway.smpp.constants import EsmClass
from gateway.smpp.events import Answered, BindRefused, Bound, Event, Received, Unanswered
from gateway.smpp.session import Role, SessionSettings
from tools.session_protocol import SessionProtocol

AGAIN_S = 0.3  # between two tries to bind
CONNECT_S = 2.0


class Books(msgspec.Struct):
    """What was submitted, what was promised, and what came."""

    accepted: dict[str, str] = {}  # message_id -> number
    unanswered: list[str] = []  # numbers whose submit met a broken link
    refused: int = 0
    receipts: dict[str, Counter[str]] = {}  # message_id -> stat -> how often

    @property
    def owed(self) -> set[str]:
        """Accepted and without a receipt."""
        return self.accepted.keys() - self.receipts.keys()

    @property
    def settled(self) -> int:
        return len(self.accepted) + len(self.unanswered) + self.refused


class Link(SessionProtocol):
    """One connection."""

    role = Role.ESME
    settings = SessionSettings(window=2000, response_timeout=30.0)

    def __init__(self, clock: Any, client: Client, login: tuple[str, str]) -> None:
        super().__init__(clock)
        self._client, self._login = client, login
        self.bound = False

    def on_open(self) -> None:
        name, password = self._login
        request = pdu.BindTransceiver(system_id=name, password=password, interface_version=0x34)
        self.session.request(request, self.now())

    def on_event(self, event: Event) -> None:
        match event:
            case Bound():
                self.bound = True
                self._client.came(self)
            case BindRefused():
                self.bound = False
            case Answered(context=str() as number, response=response):
                message_id = response.message_id if isinstance(response, pdu.SubmitSmResp) else ""
                self._client.answered(number, int(response.command_status), message_id)
            case Unanswered(context=str() as number):
                self._client.books.unanswered.append(number)
            case Received(pdu=pdu.DeliverSm() as request):
                self.session.respond(pdu.DeliverSmResp(sequence_number=request.sequence_number))
                self._client.received(request)

    def on_closed(self) -> None:
        self.bound = False
        self._client.lost(self)


class Client:
    """One of the two binds. `at` says which node it is with; `bound_at` since when."""

    def __init__(self, reactor: Any, login: tuple[str, str], ports: Sequence[int], books: Books) -> None:
        """ports: of the nodes, its own first."""
        self._reactor, self._login, self._ports, self.books = reactor, login, list(ports), books
        self._link: Link | None = None
        self._tries = 0
        self._stopping = False
        self.at, self.bound_at = 0, 0.0

    def start(self) -> None:
        self._connect()

    def stop(self) -> None:
        self._stopping = True
        if self._link is not None and self._link.transport is not None:
            transport: Any = self._link.transport
            transport.loseConnection()

    @property
    def bound(self) -> bool:
        return self._link is not None and self._link.bound

    def submit(self, number: str, text: str, validity: str) -> bool:
        """False: not bound now."""
        link = self._link
        if link is None or not link.bound:
            return False
        data_coding, octets = charset.choose(text)
        request = pdu.SubmitSm(
            source_addr="28940", dest_addr_ton=1, dest_addr_npi=1, destination_addr=number, registered_delivery=1,
            data_coding=data_coding, short_message=octets, validity_period=validity,
        )  # fmt: skip
        link.session.request(request, link.now(), number)
        link.flush()
        return True

    # -- what the link tells

    def answered(self, number: str, status: int, message_id: str) -> None:
        if status:
            self.books.refused += 1
        else:
            self.books.accepted[message_id] = number

    def received(self, request: pdu.DeliverSm) -> None:
        receipt = receipt_text.parse(request.short_message) if request.esm_class & EsmClass.DELIVERY_RECEIPT else None
        if receipt is not None and receipt.message_id:
            self.books.receipts.setdefault(receipt.message_id, Counter())[receipt.stat or "?"] += 1

    def came(self, link: Link) -> None:
        self.bound_at, self._tries = float(self._reactor.seconds()), 0

    def lost(self, link: Link) -> None:
        if self._link is link:
            self._link = None
        self._again()

    def _again(self) -> None:
        if not self._stopping:
            self._tries += 1
            self._reactor.callLater(AGAIN_S, self._connect)

    def _connect(self) -> None:
        """Its own node first, then the other, in turn."""
        if self._stopping:
            return
        self.at = self._tries % len(self._ports)
        link = self._link = Link(self._reactor, self, self._login)
        twisted: Any = endpoints
        point = twisted.TCP4ClientEndpoint(self._reactor, "127.0.0.1", self._ports[self.at], timeout=CONNECT_S)
        twisted.connectProtocol(point, link).addErrback(lambda _: self._not_connected())

    def _not_connected(self) -> None:
        self._link = None
        self._again()
