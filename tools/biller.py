"""A billing system that keeps account of everything it was told: one bind of an ESME, for tests and for `make soak`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from twisted.internet.defer import Deferred

from gateway.smpp import charset, pdu, receipt_text
from gateway.smpp.constants import EsmClass, Tag
from gateway.smpp.events import Answered, BindRefused, Bound, Event, Received, Unanswered
from gateway.smpp.segments import Part, split
from gateway.smpp.session import Role, SessionSettings
from gateway.smpp.states import BOUND
from tools.session_protocol import SessionProtocol

DECIDED_BY = 0x1401  # the name of the channel that decided
BINDS = {
    "transceiver": pdu.BindTransceiver,
    "transmitter": pdu.BindTransmitter,
    "receiver": pdu.BindReceiver,
}


class Answer(msgspec.Struct, frozen=True):
    """What became of a submit; status None: the link was lost before the answer."""

    status: int | None
    message_id: str = ""
    after_s: float = 0.0


class Receipt(msgspec.Struct, frozen=True):
    """A receipt as it came."""

    message_id: str
    stat: str
    err: str
    channel: str
    source: str
    dest: str


class Biller(SessionProtocol):
    """One bind. `receipts` and `texts` (replies) keep what came, in order; deliver_sm are acknowledged."""

    role = Role.ESME
    settings = SessionSettings(window=5000, response_timeout=30.0)

    def __init__(self, clock: Any, system_id: str, password: str, bind: str = "transceiver") -> None:
        super().__init__(clock)
        self._bind = BINDS[bind](system_id=system_id, password=password, interface_version=0x34)
        self.bound: Deferred[int] = Deferred()  # fires with the command_status of the bind
        self.receipts: list[Receipt] = []
        self.texts: list[pdu.DeliverSm] = []
        self.closed = False
        self.acknowledges = True  # False: deliver_sm stay unanswered
        self.on_closing: Callable[[], None] = lambda: None
        self.on_receipt: Callable[[Receipt], None] = lambda receipt: None

    def on_open(self) -> None:
        self.session.request(self._bind, self.now())

    def on_event(self, event: Event) -> None:
        match event:
            case Bound():
                self.bound.callback(0)
            case BindRefused(command_status=status):
                self.bound.callback(int(status))
            case Answered(context=(float() as at, Deferred() as answered), response=response):
                message_id = response.message_id if isinstance(response, pdu.SubmitSmResp) else ""
                answered.callback(Answer(int(response.command_status), message_id, self.now() - at))
            case Unanswered(context=(float() as at, Deferred() as answered)):
                answered.callback(Answer(None, "", self.now() - at))
            case Received(pdu=pdu.DeliverSm() as request):
                self._take_delivery(request)
                if self.acknowledges:
                    self.session.respond(pdu.DeliverSmResp(sequence_number=request.sequence_number))

    def on_closed(self) -> None:
        self.closed = True
        if not self.bound.called:
            self.bound.callback(-1)
        self.on_closing()

    def _take_delivery(self, request: pdu.DeliverSm) -> None:
        if not request.esm_class & EsmClass.DELIVERY_RECEIPT:
            self.texts.append(request)
            return
        read = receipt_text.parse(request.short_message)
        assert read is not None and read.message_id is not None
        assert (pdu.tlv(request, Tag.RECEIPTED_MESSAGE_ID) or b"").rstrip(b"\0").decode() == read.message_id
        receipt = Receipt(
            read.message_id, read.stat or "", read.err or "", (pdu.tlv(request, DECIDED_BY) or b"").decode(),
            request.source_addr, request.destination_addr,
        )  # fmt: skip
        self.receipts.append(receipt)
        self.on_receipt(receipt)

    # -- what its owner asks for

    def submit(self, to: str, text: str = "", **fields: Any) -> Deferred[Answer]:
        """One submit_sm with a receipt asked for; it fires with its Answer, always."""
        if text:
            fields["data_coding"], fields["short_message"] = charset.choose(text)
        request = pdu.SubmitSm(
            **{
                "source_addr": "28940", "dest_addr_ton": 1, "dest_addr_npi": 1, "destination_addr": to,
                "registered_delivery": 1, **fields,
            }
        )  # fmt: skip
        answered: Deferred[Answer] = Deferred()
        if self.session.state not in BOUND:  # it has unbound, or was unbound
            answered.callback(Answer(None))
            return answered
        self.session.request(request, self.now(), (self.now(), answered))
        self.flush()
        return answered

    def submit_parts(
        self,
        to: str,
        text: str,
        how: str = "udh8",
        reference: int = 7,
        order: Callable[[list[Part]], list[Part]] = list,
    ) -> list[Deferred[Answer]]:
        """A long text, one submit_sm per part, in the order that `order` makes of them."""
        data_coding, octets = charset.choose(text)
        return [
            self.submit(
                to, data_coding=data_coding, esm_class=part.esm_class, short_message=part.short_message, tlvs=part.tlvs
            )
            for part in order(split(octets, data_coding, how, reference))
        ]

    def leave(self) -> None:
        """Unbind."""
        self.session.unbind(self.now())
        self.flush()

    def raw(self, octets: bytes) -> None:
        """Octets that no session would write."""
        transport: Any = self.transport
        transport.write(octets)

    def receipts_of(self, message_id: str) -> list[Receipt]:
        return [receipt for receipt in self.receipts if receipt.message_id == message_id]
