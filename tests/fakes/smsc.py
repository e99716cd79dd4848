"""An operator's SMSC in memory: our own Session in the other role, with a script of answers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock

from gateway.smpp.events import Answered, BindRequested, Over, Received, Unanswered
from gateway.smpp.pdu import GenericNack, Pdu, SubmitSm, SubmitSmResp
from gateway.smpp.session import Role, Session, SessionSettings
from gateway.smpp.states import BOUND
from tests.fakes.pipe import Endpoint


class Reply(msgspec.Struct):
    """An answer to a submit_sm. message_id None: the SMSC numbers it. after: seconds."""

    status: int = 0
    message_id: str | None = None
    after: float = 0.0
    nack: bool = False
    tlvs: tuple[tuple[int, bytes], ...] = ()


Script = Callable[[SubmitSm, float], Reply | None]
"""(submit_sm, now) -> how it is answered; None: never."""


class FakeSmsc:
    """Takes binds and submits. Everything that arrived is in `submits` as (moment, PDU), in order."""

    def __init__(self, clock: Clock, script: Script | None = None, latency: float = 0.0) -> None:
        self.clock = clock
        self.script: Script = script or (lambda pdu, now: Reply())
        self.bind_status = 0
        self.insists = False  # a deliver_sm that was refused, or not answered within a minute, comes again
        self.silent = False  # nothing is answered at all, not even enquire_link
        self.binds: list[Any] = []
        self.submits: list[tuple[float, SubmitSm]] = []
        self.answers: list[Pdu] = []  # to our deliver_sm
        self.sessions: list[SmscProtocol] = []
        self.ended: list[str] = []
        self.endpoint = Endpoint(clock, lambda: SmscProtocol(self), latency)
        self._next_id = 1

    def new_id(self) -> str:
        self._next_id += 1
        return str(self._next_id - 1)

    def deliver(self, *pdus: Pdu, session: int = 0) -> None:
        """Send requests to a receiving session in one write."""
        self.receivers[session].request(pdus)

    def insist(self, pdu: Pdu) -> None:
        """A request that was not taken comes again, if this SMSC does so and somebody is bound then."""
        if self.insists:
            self.clock.callLater(1.0, lambda: self.deliver(pdu) if self.receivers else None)

    @property
    def receivers(self) -> list[SmscProtocol]:
        return [s for s in self.sessions if s.session.state.name in ("BOUND_RX", "BOUND_TRX")]

    def drop(self, at: int | None = None) -> None:
        """The connections break, all or one."""
        for session in list(self.sessions) if at is None else [self.sessions[at]]:
            session.transport.abortConnection()
        self.clock.advance(0)


class SmscProtocol(Protocol):
    """One connection of the SMSC."""

    def __init__(self, smsc: FakeSmsc) -> None:
        self.smsc = smsc
        settings = SessionSettings(window=1000, enquire_link=0.0, response_timeout=60.0)
        self.session = Session(Role.SMSC, settings, smsc.clock.seconds())
        self._timer: Any = None

    def connectionMade(self) -> None:
        self.smsc.sessions.append(self)

    def connectionLost(self, reason: Any = None) -> None:
        self.smsc.sessions.remove(self)
        self.session.lost(self.smsc.clock.seconds())
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def dataReceived(self, data: bytes) -> None:
        if not self.smsc.silent:
            self._handle(self.session.receive(data, self.smsc.clock.seconds()))

    def request(self, pdus: tuple[Pdu, ...]) -> None:
        for pdu in pdus:
            self.session.request(pdu, self.smsc.clock.seconds(), pdu)
        self._flush()

    def _handle(self, events: list[Any]) -> None:
        smsc, now = self.smsc, self.smsc.clock.seconds()
        for event in events:
            match event:
                case BindRequested(pdu=bind):
                    smsc.binds.append(bind)
                    if smsc.bind_status:
                        self.session.refuse_bind(bind, smsc.bind_status, now)
                    else:
                        self.session.accept_bind(bind, "SMSC", now)
                case Received(pdu=SubmitSm() as pdu):
                    smsc.submits.append((now, pdu))
                    self._submitted(pdu, smsc.script(pdu, now))
                case Answered(context=request, response=response):
                    smsc.answers.append(response)
                    if response.command_status:
                        smsc.insist(request)
                case Unanswered(context=request):
                    smsc.insist(request)
                case Over(reason=reason):
                    smsc.ended.append(reason)
                    self._flush()
                    self.transport.loseConnection()
        self._flush()

    def _submitted(self, pdu: SubmitSm, reply: Reply | None) -> None:
        if reply is None:
            return
        kind = GenericNack if reply.nack else SubmitSmResp
        response: Any = kind(sequence_number=pdu.sequence_number, command_status=reply.status)
        if not reply.status:
            message_id = self.smsc.new_id() if reply.message_id is None else reply.message_id
            response = SubmitSmResp(sequence_number=pdu.sequence_number, message_id=message_id, tlvs=reply.tlvs)
        if reply.after:
            self.smsc.clock.callLater(reply.after, self._answer, response)
        else:
            self.session.respond(response)

    def _answer(self, response: Pdu) -> None:
        if self in self.smsc.sessions and self.session.state in BOUND:
            self.session.respond(response)
            self._flush()

    def _flush(self) -> None:
        output = self.session.output()
        if output:
            self.transport.write(output)
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        at, now = self.session.deadline(), self.smsc.clock.seconds()
        if at < math.inf:
            self._timer = self.smsc.clock.callLater(max(0.0, at - now), self._tick)

    def _tick(self) -> None:
        now, at = self.smsc.clock.seconds(), self.session.deadline()
        if at <= now + 0.001:
            self._handle(self.session.tick(max(now, at)))
        else:
            self._flush()
