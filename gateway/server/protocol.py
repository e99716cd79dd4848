"""One connection of an ESME: bytes in, `Session`, bytes out; when to stop reading, and when to hang up."""

from __future__ import annotations

import math
from collections import deque
from typing import cast

from msgspec import structs
from twisted.internet import ssl
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from config.schema import AccountSettings, SmppServerSettings
from gateway.messages.message import Mo
from gateway.metrics import Metrics
from gateway.server import translate
from gateway.server.accounts import Accounts
from gateway.server.answers import STATUS, Refusal, status_name
from gateway.server.bound import Bound, Done, Item
from gateway.server.dialect import Dialect, deliver
from gateway.server.in_parts import Together, is_long, parts_of
from gateway.server.outlet import Outlet
from gateway.server.ports import Call, Clock, Transport
from gateway.server.requests import Requests
from gateway.smpp.constants import VERSION_3_4, CommandStatus
from gateway.smpp.errors import LocalProtocolError
from gateway.smpp.events import Answered, AnsweredLate, BindRequested, Event, Over, Received, Rejected, Unanswered
from gateway.smpp.pdu import Bind, BindReceiver, BindTransceiver, BindTransmitter, GenericNack, Outbind, Pdu
from gateway.smpp.session import Role, Session, SessionSettings, SessionState

PDUS_PER_TURN = 100
MAX_PENDING = 2000  # requests of one link without an answer: read no more; on below half of it
_NACKED = int(CommandStatus.ESME_RSYSERR)  # by a generic_nack that says ESME_ROK
_OUR_FAULT = STATUS[Refusal.OUR_FAULT]
OLDER = VERSION_3_4 - 1  # for clients that must get no TLVs, whatever version they name
LINGER_S = 5.0  # for the last octets to leave a closed link
# What clients do that speak something else here: TLS to a port without, HTTP, or data before any bind.
MISTAKEN = frozenset({"impossible command_length", "a PDU stayed incomplete", "a request before any bind"})
BOUND_STATES = frozenset({SessionState.BOUND_TX, SessionState.BOUND_RX, SessionState.BOUND_TRX})
BIND_TYPES: dict[type[Bind], str] = {
    BindTransmitter: "transmitter",
    BindReceiver: "receiver",
    BindTransceiver: "transceiver",
}

log = Logger()


class Server:
    """What all connections share. Replaced piece by piece when the configuration is."""

    def __init__(
        self,
        clock: Clock,
        settings: SmppServerSettings,
        accounts: Accounts,
        bound: Bound,
        requests: Requests,
        metrics: Metrics,
    ) -> None:
        self.clock, self.settings, self.metrics = clock, settings, metrics
        self.accounts, self.bound, self.requests = accounts, bound, requests
        bound.on_acks = lambda read_at: metrics.ack_seconds(read_at, clock.seconds())

    def may_tell_of(self, host: str) -> bool:
        """May the log tell that a client at this address could not bind? Some do nothing else all day."""
        return True

    def bound_or_gone(self, protocol: SmscProtocol) -> None:
        """This connection is no longer one of those that have not bound. May be called again."""

    def gone(self, protocol: SmscProtocol) -> None:
        """This connection is closed."""


@implementer(IHalfCloseableProtocol)
class SmscProtocol(Protocol):
    """We are the SMSC here. `account` is "" until the bind."""

    transport: Transport  # type: ignore[assignment]

    def __init__(self, server: Server, host: str, peer: str) -> None:
        """host: the peer's IP address, "" for a local socket. peer: that with its port, for people to read."""
        self.host, self.peer = host, peer
        self.account = ""
        self.bind_type = ""
        self.since = 0.0
        self._server, self._clock = server, server.clock
        now = self._clock.seconds()
        settings = server.settings
        self.session = Session(
            Role.SMSC,
            SessionSettings(
                session_init_timeout=settings.session_init_timeout,
                enquire_link=settings.enquire_link,
                response_timeout=settings.response_timeout,
                inactivity_timeout=settings.inactivity_timeout,
            ),
            now,
        )
        self._inbox: deque[tuple[Pdu, float]] = deque()  # requests and when they were read
        self._dialect: Dialect | None = None
        self._ref = 0  # of the last text that was sent in parts
        self._heard_at = now
        self._paused = self._full = self._closing = self._marked = False
        self._riding = 0  # deliver_sm in the session's output, which may wait for something to leave with; see Bound
        self._deaf = False  # the peer has closed its side
        self._delayed = False  # what is in the inbox waits for the account's rate: what else comes is read meanwhile
        self._watched = False  # the timer fires before anything that a calm session has to do
        self._timer: Call | None = None
        self._work_later: Call | None = None
        self._linger: Call | None = None

    # The connection

    def connectionMade(self) -> None:
        for option, value in (("setTcpNoDelay", True), ("setTcpKeepAlive", 1)):
            if hasattr(self.transport, option):  # a local socket has neither
                getattr(self.transport, option)(value)
        self._outlet = Outlet(self.transport, self._clock.seconds, self._drained)
        self._schedule()

    def dataReceived(self, data: bytes) -> None:
        self._heard_at = now = self._clock.seconds()
        self._take(self.session.receive(data, now), now)

    def readConnectionLost(self) -> None:
        """The peer has closed its side of the connection. It may still want the answers to what it has asked."""
        self._deaf = True
        if self.session.silent(self._clock.seconds()):
            self.flush()
        else:
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """We never close our side alone."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._closing = True
        for call in (self._timer, self._work_later, self._linger):
            if call is not None and call.active():
                call.cancel()
        self._server.bound.remove(self)
        self._server.gone(self)
        if trouble := _tls_trouble(reason):
            self._could_not_bind(trouble)
        now = self._clock.seconds()
        self._take(self.session.lost(now), now)
        self._inbox.clear()

    def _take(self, events: list[Event], now: float) -> None:
        """Act on what the session reports, then write what it has to say."""
        freed, waits, answered = False, self._inbox.append, self._server.bound.answered
        for event in events:
            kind = type(event)
            if kind is Received:
                waits((event.pdu, now))  # type: ignore[union-attr]
            elif kind is Answered:
                freed = True
                item, done = event.context  # type: ignore[union-attr,misc]  # as `deliver` gave it
                response = event.response  # type: ignore[union-attr]
                status = response.command_status
                if not status and type(response) is GenericNack:
                    status = _NACKED
                answered(self, item, done, status)
            elif isinstance(event, Unanswered):
                freed = True
                item, done = cast(tuple[Item, Done], event.context)
                self._server.bound.unanswered(self, item, done)
            elif isinstance(event, AnsweredLate):
                item, done = cast(tuple[Item, Done], event.context)
                if not event.response.command_status and not isinstance(done, Together):
                    self._server.bound.answered_late(item, done)
            elif isinstance(event, BindRequested):
                self._check_bind(event.pdu)
            elif isinstance(event, Rejected):
                if event.command_status and self.account:
                    self._server.metrics.rejected(self.account, status_name(event.command_status))
            elif isinstance(event, Over):
                self._over(event.reason)
                break
        if self._inbox and self._work_later is None:
            self._work(now)
        if freed and self.account in self._server.bound.starved:
            self._server.bound.freed(self.account)
        self.flush(self._riding)

    # The bind

    @property
    def over(self) -> bool:
        """The session has ended."""
        return self.session.state is SessionState.CLOSED

    def ask_to_bind(self, system_id: str, password: str) -> None:
        """Send outbind, on a connection that was opened by us."""
        try:
            self.session.request(Outbind(system_id=system_id, password=password), self._clock.seconds())
        except LocalProtocolError:
            log.error("outbind cannot be written in SMPP: a name or password is too long")
            self.abort()
        self.flush()

    def _check_bind(self, bind: Bind) -> None:
        checked = Deferred.fromCoroutine(self._server.accounts.why_not(bind.system_id, bind.password, self.host))
        checked.addErrback(self._check_failed)
        checked.addCallback(self._bind_checked, bind)

    def _check_failed(self, failure: Failure) -> Refusal:
        log.failure("a bind from {peer} could not be checked", failure, peer=self.peer)
        return Refusal.OUR_FAULT

    def _bind_checked(self, refusal: Refusal | None, bind: Bind) -> None:
        now = self._clock.seconds()
        accounts = self._server.accounts
        account = accounts.get(bind.system_id)
        if account is None and refusal is None:  # a reload has removed it meanwhile
            refusal = Refusal.UNKNOWN_SYSTEM_ID
        if account is None or refusal is not None:
            assert refusal is not None
            command_status = accounts.status_of(refusal, bind.system_id)
            self._say_refused(refusal, command_status, bind.system_id)
            self.session.refuse_bind(bind, command_status, now)
        else:
            self.use(account)
            newest = OLDER if self._dialect is not None and self._dialect.no_tlvs else 0xFF
            self.session.accept_bind(bind, self._server.settings.system_id, now, newest=newest)
            if self.session.state in BOUND_STATES:
                self.account, self.bind_type, self.since = bind.system_id, BIND_TYPES[type(bind)], now
                log.info(
                    "{account} bound as {type} from {peer}", account=self.account, type=self.bind_type, peer=self.peer
                )
                self._server.bound_or_gone(self)
                self._server.bound.add(self)
        self.flush()

    def _say_refused(self, refusal: Refusal, command_status: int, system_id: str) -> None:
        status, held = status_name(command_status), ""
        if refusal is Refusal.TOO_MANY_BINDS:
            held = f"; {system_id} has {self._server.bound.holders(system_id)}"
        why = refusal.name.lower().replace("_", " ")
        log.info("bind from {peer} refused: {status}, {why}{held}", peer=self.peer, status=status, why=why, held=held)

    def use(self, account: AccountSettings) -> None:
        """The account's settings, at the bind and whenever they change: its window and its dialect."""
        self.session.settings = structs.replace(self.session.settings, window=account.window)
        self._dialect = self._server.accounts.dialect(account.system_id)

    # Requests of the ESME

    def _work(self, now: float) -> None:
        """Serve some requests; the rest in the next turn, or when the account's rate allows it."""
        self._work_later = None
        inbox, requests, wait = self._inbox, self._server.requests, 0.0
        serve, served = requests.serve, inbox.popleft
        for _ in range(PDUS_PER_TURN):
            if not inbox:
                break
            pdu, read_at = inbox[0]
            try:
                wait = serve(self, pdu, now, read_at)
            except Exception:
                log.failure("a request of {account} failed", account=self.account)
                requests.refuse(self, pdu, Refusal.OUR_FAULT)
            if wait:
                break
            served()
        if inbox and not self._closing:
            self._work_later = self._clock.callLater(wait, self._work_on)
            self._delayed = wait > 0.0
            self._steer()

    def _work_on(self) -> None:
        self._work(self._clock.seconds())
        self._steer()

    def respond(self, response: Pdu, read_at: float | None = None) -> None:
        try:
            self.session.respond(response)
        except LocalProtocolError as error:
            log.error("an answer to {account} cannot be written in SMPP: {why}", account=self.account, why=str(error))
            failed = type(response)(sequence_number=response.sequence_number, command_status=_OUR_FAULT)
            self.session.respond(failed)
        if read_at is not None and not self._closing:
            self._server.bound.acks.append(read_at)
        if not self._marked:
            self._marked = True
            self._server.bound.mark(self)

    # Requests of ours

    @property
    def room(self) -> int:
        if self._closing or self.bind_type == "transmitter" or self._outlet.slow:
            return 0
        return self.session.free

    def deliver(self, item: Item, done: Done, now: float) -> None:
        try:
            version = self.session.peer_version
            if version < VERSION_3_4 and is_long(item):
                self._deliver_in_parts(cast(Mo, item), version, done, now)
                return
            pdu: Pdu
            if self._dialect is None:
                pdu = translate.deliver_sm(item, version)
            else:
                pdu = deliver(item, version, self._dialect)
            self.session.request(pdu, now, (item, done))
            self._riding += 1
        except (LocalProtocolError, UnicodeEncodeError):
            if not self.session.free:  # a text in parts has taken more of the window than one
                self._clock.callLater(0, done, None)
                return
            log.error("a deliver_sm for {account} cannot be written in SMPP; it is dropped", account=self.account)
            self._clock.callLater(0, done, int(CommandStatus.ESME_RX_R_APPN))

    def _deliver_in_parts(self, text: Mo, version: int, done: Done, now: float) -> None:
        self._ref += 1
        parts = parts_of(text, version, self._ref)
        if len(parts) > self.session.free and len(parts) <= self.session.settings.window:  # all at once, or later
            self._clock.callLater(0, done, int(CommandStatus.ESME_RX_T_APPN))
            return
        parts = parts[: self.session.free]  # a window that is too small for the whole text has its beginning
        together = Together(len(parts), done)
        for pdu in parts:
            self.session.request(pdu, now, (text, together))

    def end(self, within: float = math.inf) -> None:
        """Answer what was read, wait for what is unanswered, no longer than `within` seconds; unbind and close."""
        self.session.unbind(self._clock.seconds(), within)
        self.flush()

    def abort(self) -> None:
        """Close now."""
        if self.transport is not None:
            self.transport.abortConnection()

    # Writing, and not reading

    def flush(self, riding: int = 0) -> None:
        """After every read and everything said: write what there is, and look after the rest where it has changed.
        riding: so many PDUs stay while there is nothing else for them to leave with."""
        self._marked = False
        if self._closing:
            return
        session, outlet = self.session, self._outlet
        if session.out and (not riding or len(session.out) > riding):
            self._riding = 0
            outlet.write(session.output())
        if self._paused or session.pending > MAX_PENDING or outlet.slow:
            self._steer()
        if not (self._watched and session.bound) or outlet.over:
            self._schedule()

    def _steer(self) -> None:
        """Read on, or leave it to TCP to slow the peer down."""
        if self._closing or self._deaf:
            return
        pending = self.session.pending
        self._full = pending > MAX_PENDING or (self._full and pending >= MAX_PENDING // 2)
        in_turns = self._work_later is not None and not self._delayed
        pause = self._full or in_turns or self._outlet.slow
        if pause != self._paused:
            self._paused = pause
            if pause:
                self.transport.pauseProducing()
            else:
                self.transport.resumeProducing()

    def _drained(self) -> None:
        """The peer has caught up with us."""
        self._steer()
        if self.account:
            self._server.bound.freed(self.account)

    # Time and the end

    def _schedule(self) -> None:
        """One timer per connection; it is only ever moved forward, and looks again when it fires early.

        Of a calm session it fires so often that nothing can be due before it, so `flush` need not look at all."""
        session = self.session
        at = min(session.deadline(), self._outlet.deadline())
        now = self._clock.seconds()
        self._watched = session.calm
        if self._watched:
            at = min(at, now + session.grain())
        elif at == float("inf"):
            return
        if self._frozen(now):
            at, self._watched = max(at, now + 1.0), False
        if self._timer is None:
            self._timer = self._clock.callLater(max(0.0, at - now), self._tick)
        elif at < self._timer.getTime():
            self._timer.reset(max(0.0, at - now))

    def _frozen(self, now: float) -> bool:
        """We have not been reading for a while: silence proves nothing against the peer."""
        return (
            self._paused
            and self.session.state in BOUND_STATES
            and now - self._heard_at >= self.session.settings.response_timeout / 2
        )

    def _could_not_bind(self, why: str) -> None:
        if not self.account and self._server.may_tell_of(self.host):
            log.info("a client at {peer} could not bind: {why}", peer=self.peer, why=why)

    def _tick(self) -> None:
        self._timer, self._watched = None, False
        now = self._clock.seconds()
        if self._outlet.stuck(now):
            log.info("{account} at {peer} does not read; closing", account=self.account, peer=self.peer)
            self.transport.abortConnection()
            return
        if not self._frozen(now) and self.session.deadline() <= now:
            self._take(self.session.tick(now), now)
        elif not self._closing:
            self._schedule()

    def _over(self, reason: str) -> None:
        if self._closing:
            return
        if self.account:
            log.info("session of {account} at {peer} is over: {why}", account=self.account, peer=self.peer, why=reason)
        elif reason in MISTAKEN:
            self._could_not_bind(reason)
        else:  # probes and scanners come and go all day
            log.debug("a connection from {peer} is over: {why}", peer=self.peer, why=reason)
        self._server.bound.remove(self)
        self._inbox.clear()
        self.flush()
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._outlet.close()
        self.transport.loseConnection()
        self._linger = self._clock.callLater(LINGER_S, self.abort)


def _tls_trouble(reason: Failure) -> str:
    """Why TLS could not be spoken, in OpenSSL's words; "" where that is not what has ended the connection."""
    if not isinstance(reason.value, ssl.SSL.Error):
        return ""
    errors = reason.value.args[0] if reason.value.args else ()
    return f"TLS: {errors[0][-1] if errors and isinstance(errors, list) else 'failed'}"
