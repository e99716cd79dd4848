"""A billing system for the laboratory: binds, submits at a rate within a window, counts answers and receipts.

pombo simulate esme --connect tcp:127.0.0.1:2775 --system-id billing --to '551198888....' --count 1000 --rate 100/s
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import msgspec
from twisted.internet.defer import Deferred

from gateway.delivery.pacing import Pacer
from gateway.smpp import charset, pdu, receipt_text
from gateway.smpp.constants import EsmClass
from gateway.smpp.events import Answered, BindRefused, Bound, Event, Received, Unanswered
from gateway.smpp.segments import Part, split
from gateway.smpp.session import Role, SessionSettings
from tools.clock import Clock, Timer
from tools.session_protocol import SessionProtocol


class EsmeSettings(msgspec.Struct, frozen=True):
    """What to submit and how fast."""

    system_id: str
    password: str
    to: str  # a number; each "." becomes a random digit
    text: str = "Pombo: mensagem de teste"
    source: str = ""
    count: int = 10
    rate: float = 0.0  # submits per second; 0: as fast as the window allows
    window: int = 10
    registered_delivery: int = 1
    receipts_s: float = 60.0  # patience for receipts after the last answer
    quiet_s: float = 1.0  # listening after the last receipt, for those that should not come

    def __repr__(self) -> str:
        return f"EsmeSettings(system_id={self.system_id!r}, count={self.count}, rate={self.rate:g})"


class Summary(msgspec.Struct):
    """What came of it."""

    bound: bool = False
    bind_status: int = 0
    submitted: int = 0
    unanswered: int = 0
    answers: Counter[int] = msgspec.field(default_factory=Counter)  # by command_status
    answer_s: list[float] = []
    receipts: Counter[str] = msgspec.field(default_factory=Counter)  # by stat
    receipt_s: list[float] = []  # from the submit to its receipt
    duplicates: int = 0
    unknown: int = 0  # receipts for ids that we were never given
    missing: int = 0  # receipts that never came
    texts: int = 0  # MO messages
    began_at: float = 0.0
    ended_at: float = 0.0

    @property
    def complete(self) -> bool:
        """Everything was answered OK and every receipt came once."""
        return (
            self.bound
            and self.answers[0] == self.submitted
            and not (self.unanswered or self.missing or self.duplicates or self.unknown)
        )


def parts_of(text: str, reference: int) -> tuple[int, list[Part]]:
    """A text as (data_coding, one part per submit_sm): GSM-7 or UCS-2, with an 8-bit UDH where it is long."""
    data_coding, octets = charset.choose(text)
    return data_coding, split(octets, data_coding, "udh8", reference & 0xFF)


class Esme(SessionProtocol):
    """One bind that submits and then waits for its receipts. `done` fires with the Summary."""

    role = Role.ESME

    def __init__(
        self, settings: EsmeSettings, clock: Clock, *, rng: random.Random | None = None,
        watch: Callable[[Summary], None] = lambda summary: None,
    ) -> None:  # fmt: skip
        super().__init__(clock)
        self.settings = SessionSettings(window=settings.window)
        self.plan = settings
        self.summary = Summary()
        self.done: Deferred[Summary] = Deferred()
        self._rng = rng or random.Random()
        self._watch = watch
        self._pacer: Pacer | None = None
        self._left = settings.count
        self._parts: list[tuple[str, int, Part]] = []  # still to go: number, data_coding, part
        self._submitted_at: dict[str, float] = {}  # message_id -> when
        self._received: Counter[str] = Counter()
        self._owed: set[str] = set()  # answered with these ids, and no receipt yet
        self._next: Timer | None = None
        self._end: Timer | None = None
        self._all_here = False
        self._finished = False

    def on_open(self) -> None:
        self.summary.began_at = self.now()
        bind = pdu.BindTransceiver(system_id=self.plan.system_id, password=self.plan.password, interface_version=0x34)
        self.session.request(bind, self.now())

    def on_event(self, event: Event) -> None:
        match event:
            case Bound():
                self.summary.bound = True
                self._pacer = Pacer(self.plan.rate, self.now()) if self.plan.rate else None
                self._pump()
            case BindRefused(command_status=status):
                self.summary.bind_status = int(status)
            case Answered(context=float() as at, response=response):
                self._answered(at, response)
            case Unanswered(context=float()):
                self.summary.unanswered += 1
                self._pump()
            case Received(pdu=pdu.DeliverSm() as request):
                self.session.respond(pdu.DeliverSmResp(sequence_number=request.sequence_number))
                self._delivered(request)
            case Received(pdu=pdu.DataSm() as request):
                self.session.respond(pdu.DataSmResp(sequence_number=request.sequence_number))

    def on_closed(self) -> None:
        self._finish()

    def _pump(self) -> None:
        """Submit what window and rate allow; end when nothing is left to wait for."""
        while (self._left or self._parts) and self.session.free > 0:
            now = self.now()
            if self._pacer is not None:
                if not self._pacer.available(now):
                    self._again(self._pacer.next_at(now) - now)
                    break
                self._pacer.take(1, now)
            self._submit(now)
        self.flush()
        self._watch(self.summary)
        if not self._left and not self._parts and not self.session.outstanding:
            self._await_receipts()

    def _submit(self, now: float) -> None:
        if not self._parts:
            self._left -= 1
            number = "".join(str(self._rng.randrange(10)) if c == "." else c for c in self.plan.to)
            data_coding, parts = parts_of(self.plan.text, self._left)
            self._parts = [(number, data_coding, part) for part in parts]
        number, data_coding, part = self._parts.pop(0)
        self.summary.submitted += 1
        self.session.request(
            pdu.SubmitSm(
                source_addr=self.plan.source,
                dest_addr_ton=1,
                dest_addr_npi=1,
                destination_addr=number,
                esm_class=part.esm_class,
                registered_delivery=self.plan.registered_delivery,
                data_coding=data_coding,
                short_message=part.short_message,
                tlvs=part.tlvs,
            ),
            now,
            now,
        )

    def _again(self, wait_s: float) -> None:
        if self._next is None or not self._next.active():
            self._next = self.clock.callLater(max(wait_s, 0.001), self._pump)

    def _answered(self, at: float, response: pdu.Pdu) -> None:
        self.summary.answers[int(response.command_status)] += 1
        self.summary.answer_s.append(self.now() - at)
        if response.command_status == 0 and isinstance(response, pdu.SubmitSmResp):
            self._submitted_at[response.message_id] = at
            if response.message_id not in self._received:
                self._owed.add(response.message_id)
        self._pump()

    def _delivered(self, request: pdu.DeliverSm) -> None:
        receipt = receipt_text.parse(request.short_message) if request.esm_class & EsmClass.DELIVERY_RECEIPT else None
        if receipt is None or receipt.message_id is None:
            self.summary.texts += 1
            return
        self.summary.receipts[receipt.stat or "?"] += 1
        self._received[receipt.message_id] += 1
        self._owed.discard(receipt.message_id)
        if self._received[receipt.message_id] > 1:
            self.summary.duplicates += 1
        elif receipt.message_id in self._submitted_at:
            self.summary.receipt_s.append(self.now() - self._submitted_at[receipt.message_id])
        self._watch(self.summary)
        if self._end is not None:
            self._await_receipts()

    def _await_receipts(self) -> None:
        """Leave soon after the last receipt, or when patience ends; only registered_delivery 1 says how many come."""
        asked = self.plan.registered_delivery & 0x03
        if not asked:
            self._leave()
        elif asked == 1 and not self._owed:
            if not self._all_here:
                self._all_here = True
                self._leave_in(self.plan.quiet_s)
        elif self._end is None:
            self._leave_in(self.plan.receipts_s)

    def _leave_in(self, wait_s: float) -> None:
        if self._end is not None and self._end.active():
            self._end.cancel()
        self._end = self.clock.callLater(wait_s, self._leave)

    def _leave(self) -> None:
        self.session.unbind(self.now())
        self.flush()

    def _finish(self) -> None:
        if self._finished:
            return
        self._finished = True
        for call in (self._next, self._end):
            if call is not None and call.active():
                call.cancel()
        self.summary.ended_at = self.now()
        self.summary.unknown = len(self._received.keys() - self._submitted_at.keys())
        if self.plan.registered_delivery & 0x03 == 1:
            self.summary.missing = len(self._owed)
        self.done.callback(self.summary)


def percentile(values: list[float], share: float) -> float:
    """The value below which so many lie; 0 of nothing."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0
