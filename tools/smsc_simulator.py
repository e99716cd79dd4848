"""An operator's SMSC for the laboratory: answers, receipts and faults as its settings and scripts say.

pombo simulate smsc --listen tcp:2776:interface=127.0.0.1 --script '5511999*=undeliv+receipt:5s'
"""

from __future__ import annotations

import itertools
import random
from collections import Counter, deque
from collections.abc import Callable

import msgspec
from msgspec import structs
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory

from gateway.smpp import charset, pdu, receipt_text
from gateway.smpp.constants import CommandStatus, EsmClass, RegisteredDelivery, Tag
from gateway.smpp.events import Answered, BindRequested, Event, Received, Unanswered
from gateway.smpp.segments import text_of
from gateway.smpp.session import Role, SessionState
from tools.clock import Clock
from tools.scripts import OperatorScript, Scripts
from tools.session_protocol import SessionProtocol

ID_FORMS: dict[str, Callable[[int], str]] = {
    "dec": str,
    "padded": lambda number: f"{number:020d}",
    "hex": lambda number: f"{number:x}",
    "upper": lambda number: f"{number:X}",
}
RECEIVERS = (SessionState.BOUND_RX, SessionState.BOUND_TRX)
REFUSALS: dict[type[pdu.Pdu], pdu.Pdu] = {
    pdu.QuerySm: pdu.QuerySmResp(command_status=CommandStatus.ESME_RQUERYFAIL),
    pdu.CancelSm: pdu.CancelSmResp(command_status=CommandStatus.ESME_RCANCELFAIL),
    pdu.ReplaceSm: pdu.ReplaceSmResp(command_status=CommandStatus.ESME_RREPLACEFAIL),
    pdu.SubmitMulti: pdu.SubmitMultiResp(command_status=CommandStatus.ESME_RSUBMITFAIL),
}
RETRY_S = 1.0  # before a receipt that was refused or not answered goes out again


class SmscSettings(msgspec.Struct, frozen=True):
    """How the operator behaves towards everybody; scripts say it per number. Shares are between 0 and 1."""

    system_id: str = ""  # the only one that may bind; empty: anybody, with any password
    password: str = ""
    name: str = "SMSC"  # system_id in bind responses
    answer_after_s: float = 0.02
    receipt_after_s: float = 0.3
    throttle: float = 0.0  # share of submits answered ESME_RTHROTTLED
    rate: float = 0.0  # submits per second beyond which they are answered ESME_RTHROTTLED; 0: no limit
    undeliv: float = 0.0  # share of messages that end UNDELIV
    dropped: float = 0.0  # share of submits that are taken and never answered
    receipts: bool = True
    ids: str = "dec"  # one of ID_FORMS
    receipt_ids: str = ""  # the form in receipts where it differs

    def __repr__(self) -> str:
        return f"SmscSettings(system_id={self.system_id!r}, ids={self.ids!r})"


class Submit(msgspec.Struct):
    """A submit_sm (or data_sm) as it came, and what was made of it. repr shows neither number nor text."""

    at: float
    source: str
    dest: str
    data_coding: int
    esm_class: int
    registered_delivery: int
    user_data: bytes
    status: int = 0
    number: int = 0  # of the message; 0: it was refused

    @property
    def text(self) -> str:
        """The text of this part alone, UDH taken off."""
        return text_of(self.esm_class, self.data_coding, self.user_data)

    def __repr__(self) -> str:
        return f"Submit(number={self.number}, status={self.status:#x}, octets={len(self.user_data)})"


class SmscSession(SessionProtocol):
    """One bind."""

    role = Role.SMSC

    def __init__(self, smsc: SmscSimulator) -> None:
        super().__init__(smsc.clock)
        self.smsc = smsc

    @property
    def receives(self) -> bool:
        return self.session.state in RECEIVERS

    def on_event(self, event: Event) -> None:
        match event:
            case BindRequested(pdu=request):
                self.smsc.bind(self, request)
            case Received(pdu=pdu.SubmitSm() | pdu.DataSm() as request):
                self.smsc.submitted(self, request)
            case Received(pdu=request):
                self._refuse(request)
            case Answered(context=pdu.DeliverSm() as request, response=response):
                self.smsc.receipt_answered(request, int(response.command_status))
            case Unanswered(context=pdu.DeliverSm() as request):
                self.smsc.receipt_answered(request, None)

    def on_closed(self) -> None:
        self.smsc.unbound(self)

    def _refuse(self, request: pdu.Pdu) -> None:
        """What this SMSC does not offer is refused in the words of SMPP 3.4, 5.1.3."""
        response = REFUSALS.get(type(request))
        if response is not None:
            self.session.respond(structs.replace(response, sequence_number=request.sequence_number))


class SmscSimulator(Factory):
    """The operator. `submits` keeps everything that came, in order."""

    noisy = False

    def __init__(
        self,
        settings: SmscSettings,
        clock: Clock,
        *,
        chance: Callable[[], float] = random.random,
        first_number: int = 1_000_001,
        watch: Callable[[str, Submit], None] = lambda what, submit: None,
    ) -> None:
        """watch: told ("submit" | "receipt DELIVRD" | ..., the submit) as things happen."""
        self.settings = settings
        self.clock = clock
        self.scripts: Scripts[OperatorScript] = Scripts(OperatorScript())
        self.submits: list[Submit] = []
        self.sessions: list[SmscSession] = []
        self.receipts: Counter[str] = Counter()  # acknowledged, by stat
        self.peak_rate = 0  # most submits taken within one second
        self._chance = chance
        self._watch = watch
        self._numbers = itertools.count(first_number)
        self._recent: deque[float] = deque()
        self._refused: Counter[str] = Counter()
        self._waiting: deque[pdu.DeliverSm] = deque()

    def buildProtocol(self, addr: IAddress | None) -> SmscSession:
        return SmscSession(self)

    # ---- binds

    @property
    def binds(self) -> int:
        return len(self.sessions)

    def bind(self, session: SmscSession, request: pdu.Bind) -> None:
        """Accept or refuse a bind: a wrong system_id is 0x0F, a wrong password 0x0E."""
        wanted, now = self.settings, session.now()
        if wanted.system_id and request.system_id != wanted.system_id:
            session.session.refuse_bind(request, CommandStatus.ESME_RINVSYSID, now)
        elif wanted.system_id and request.password != wanted.password:
            session.session.refuse_bind(request, CommandStatus.ESME_RINVPASWD, now)
        else:
            session.session.accept_bind(request, wanted.name, now)
            self.sessions.append(session)
            self.clock.callLater(0, self._push)

    def unbound(self, session: SmscSession) -> None:
        """A connection is gone."""
        if session in self.sessions:
            self.sessions.remove(session)

    def stop(self) -> None:
        """Take leave of every bind."""
        for session in list(self.sessions):
            session.session.unbind(session.now())
            session.flush()

    # ---- messages

    def submitted(self, session: SmscSession, request: pdu.SubmitSm | pdu.DataSm) -> None:
        """Take or refuse a message, and plan its answer and its receipt."""
        payload = pdu.tlv(request, Tag.MESSAGE_PAYLOAD)
        submit = Submit(
            at=session.now(),
            source=request.source_addr,
            dest=request.destination_addr,
            data_coding=request.data_coding,
            esm_class=request.esm_class,
            registered_delivery=request.registered_delivery,
            user_data=payload if payload is not None else getattr(request, "short_message", b""),
        )
        self.submits.append(submit)
        script = self.scripts.of(submit.dest)
        answer_after_s = self.settings.answer_after_s if script.answer_after_s is None else script.answer_after_s
        submit.status = self._refusal(submit, script)
        submit.number = 0 if submit.status else next(self._numbers)
        self._watch("submit", submit)
        if submit.status:
            self._later(answer_after_s, self._answer, session, request, submit)
            return
        receipt_after_s = self.settings.receipt_after_s if script.receipt_after_s is None else script.receipt_after_s
        if script.answered and not self._happens(self.settings.dropped):
            behind_s = receipt_after_s + 0.05 if script.early else 0.0  # an early receipt is early on the wire too
            self._later(answer_after_s + behind_s, self._answer, session, request, submit)
        stat, err = (script.stat, script.err)
        if stat == "DELIVRD" and self._happens(self.settings.undeliv):
            stat, err = "UNDELIV", "027"
        if self.settings.receipts and script.receipt and asks_for(submit.registered_delivery, stat):
            wait_s = receipt_after_s if script.early else answer_after_s + max(receipt_after_s, 0.001)
            for _ in range(script.copies):
                self._later(wait_s, self.report, submit, stat, err)

    def _refusal(self, submit: Submit, script: OperatorScript) -> int:
        """command_status of the answer."""
        if script.status:
            self._refused[submit.dest] += 1
            if not script.refusals or self._refused[submit.dest] <= script.refusals:
                return script.status
        if self._happens(self.settings.throttle):
            return int(CommandStatus.ESME_RTHROTTLED)
        while self._recent and submit.at - self._recent[0] >= 1.0:
            self._recent.popleft()
        if self.settings.rate and len(self._recent) >= self.settings.rate:
            return int(CommandStatus.ESME_RTHROTTLED)
        self._recent.append(submit.at)
        self.peak_rate = max(self.peak_rate, len(self._recent))
        return 0

    def _happens(self, share: float) -> bool:
        return share > 0.0 and self._chance() < share

    def _later(self, wait_s: float, call: Callable[..., None], *arguments: object) -> None:
        if wait_s > 0:
            self.clock.callLater(wait_s, call, *arguments)
        else:
            call(*arguments)

    def _answer(self, session: SmscSession, request: pdu.SubmitSm | pdu.DataSm, submit: Submit) -> None:
        response = pdu.SubmitSmResp if isinstance(request, pdu.SubmitSm) else pdu.DataSmResp
        session.session.respond(
            response(
                sequence_number=request.sequence_number,
                command_status=submit.status,
                message_id=ID_FORMS[self.settings.ids](submit.number) if submit.number else "",
            )
        )
        session.flush()

    # ---- receipts and texts towards the ESME

    def report(self, submit: Submit, stat: str, err: str) -> None:
        """A receipt for a submit goes out, now or when there is a bind for it."""
        remote_id = ID_FORMS[self.settings.receipt_ids or self.settings.ids](submit.number)
        state = receipt_text.STATES[stat]
        error = int(err) if err.isdigit() else 0
        delivered = stat == "DELIVRD"
        text = receipt_text.write(remote_id, stat, error, submit.at, float(self.clock.seconds()), delivered)
        self._watch(f"receipt {stat}", submit)
        self._waiting.append(
            pdu.DeliverSm(
                source_addr_ton=1,
                source_addr_npi=1,
                source_addr=submit.dest,
                dest_addr_npi=1,
                destination_addr=submit.source,
                esm_class=EsmClass.DELIVERY_RECEIPT,
                short_message=text,
                tlvs=(
                    (int(Tag.RECEIPTED_MESSAGE_ID), remote_id.encode() + b"\0"),
                    (int(Tag.MESSAGE_STATE), bytes([state])),
                ),
            )
        )
        self._push()

    def mo(self, source: str, dest: str, text: str) -> None:
        """A person at `source` writes to `dest`."""
        data_coding, body = charset.choose(text)
        self._waiting.append(
            pdu.DeliverSm(
                source_addr_ton=1,
                source_addr_npi=1,
                source_addr=source,
                dest_addr_npi=1,
                destination_addr=dest,
                data_coding=data_coding,
                short_message=body,
            )
        )
        self._push()

    def receipt_answered(self, request: pdu.DeliverSm, status: int | None) -> None:
        """The ESME answered a deliver_sm (None: it did not); unless it took it, it comes again."""
        if status == 0:
            found = receipt_text.parse(request.short_message) if request.esm_class & EsmClass.DELIVERY_RECEIPT else None
            self.receipts[(found.stat if found else None) or "MO"] += 1
            self._push()
        else:
            self._waiting.append(request)
            self.clock.callLater(RETRY_S, self._push)

    def _push(self) -> None:
        """Write what waits to receiving binds with room in their windows."""
        while self._waiting:
            ready = [s for s in self.sessions if s.receives and s.session.free > 0]
            if not ready:
                return
            session = max(ready, key=lambda s: s.session.free)
            request = self._waiting.popleft()
            session.session.request(request, session.now(), request)
            session.flush()


def asks_for(registered_delivery: int, stat: str) -> bool:
    """Was a receipt for this outcome asked for? (SMPP 3.4, 5.2.17; 3 is SMPP 5.0's success only)"""
    match registered_delivery & RegisteredDelivery.RECEIPT_MASK:
        case RegisteredDelivery.ALWAYS:
            return True
        case RegisteredDelivery.FAILURE_ONLY:
            return stat != "DELIVRD"
        case RegisteredDelivery.SUCCESS_ONLY:
            return stat == "DELIVRD"
    return False
