"""The Twisted end of one ESME session: bytes to `Session`, its output and its timers back. Decides nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionClosed
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from gateway.smpp.events import Event, Over
from gateway.smpp.pdu import Bind, Pdu
from gateway.smpp.session import Role, Session, SessionSettings, SessionState
from gateway.writing import writer
from smsc_client.clock import Clock, Timer, cancel

READ_OCTETS = 256 * 1024  # at a time: answers and receipts cost less the more of them come together
EARLY_S = 0.001  # timers may fire so much too early
LATE_S = 1.0  # who fires later was held up with the whole process: what has come meanwhile is read first
MAX_PENDING = 2000  # requests of one link without an answer: read no more; on below half of it
CLOSE_S = 5.0  # what is still unsent then is thrown away with the connection


@implementer(IPushProducer)
class EsmeProtocol(Protocol):
    """Binds as soon as it is connected. `happened` gets every batch of events, the last one holding Over.

    An operator that does not take our answers, or sends more than we can keep, is not read meanwhile.

    flush() has to be called after requests and responses made from outside `happened`.
    """

    def __init__(
        self,
        settings: SessionSettings,
        bind: Bind,
        password: str,
        clock: Clock,
        *,
        made: Callable[[EsmeProtocol], None],
        happened: Callable[[EsmeProtocol, list[Event]], None],
        gone: Callable[[EsmeProtocol], None],
    ) -> None:
        """bind: without its password, which stays out of PDUs. made, gone: the transport is open, is closed."""
        self._bind, self._password = bind, password
        self._clock = clock
        self._made, self._happened, self._gone = made, happened, gone
        self._timer: Timer | None = None
        self._timer_at = math.inf
        self._closing: Timer | None = None
        self._lost = False
        self._unsent = self._full = self._paused = self._held_up = False
        self._transport: Any = None
        self.session = Session(Role.ESME, settings, clock.seconds())

    def connectionMade(self) -> None:
        self._transport = self.transport
        self._transport.bufferSize = READ_OCTETS
        self._write_octets = writer(self._transport)
        for option in ("setTcpNoDelay", "setTcpKeepAlive"):
            setter = getattr(self._transport, option, None)  # a unix socket has neither
            if setter is not None:
                setter(True)
        self._transport.registerProducer(self, True)
        self._made(self)
        self.session.request(self._bind, self._clock.seconds())
        self._write(_with_password(self.session.output(), self._bind, self._password))
        self.flush()

    def dataReceived(self, data: bytes) -> None:
        self._handle(self.session.receive(data, self._clock.seconds()))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._lost = True
        cancel(self._timer)
        cancel(self._closing)
        self._timer = self._closing = None
        events = self.session.lost(self._clock.seconds(), _why(reason))
        if events:
            self._happened(self, events)
        self._gone(self)

    def respond(self, response: Pdu) -> None:
        """Answer a request of the SMSC; without effect when the session is over."""
        self.session.respond(response)

    def unbind(self, within: float = math.inf) -> None:
        """End politely: see Session.unbind."""
        self.session.unbind(self._clock.seconds(), within)
        self.flush()

    def abort(self) -> None:
        if not self._lost and self._transport is not None:
            self._transport.abortConnection()

    def flush(self) -> None:
        """Write what the session has to say, in one piece, and set its timer."""
        output = self.session.output()
        if output:
            self._write(output)
        self._steer()
        at = self.session.deadline()
        if at != self._timer_at:
            self._arm(at)

    def pauseProducing(self) -> None:
        """The operator does not take what we write."""
        self._unsent = True
        self._steer()

    def resumeProducing(self) -> None:
        """It has caught up."""
        self._unsent = False
        self._steer()

    def stopProducing(self) -> None:
        """The connection is gone."""

    def _steer(self) -> None:
        """Read on, or leave it to TCP to slow the operator down. Before the answer to the bind it is read whatever
        waits: TLS takes nothing from us until its handshake is over, and for that it has to be read."""
        pending = self.session.pending
        self._full = pending > MAX_PENDING or (self._full and pending >= MAX_PENDING // 2)
        pause = self._full or (self._unsent and self.session.state is not SessionState.OPEN)
        if pause != self._paused and not self._lost and self._closing is None:
            self._paused = pause
            if pause:
                self._transport.pauseProducing()
            else:
                self._transport.resumeProducing()

    def _write(self, data: bytes) -> None:
        if not self._lost:
            self._write_octets(data)

    def _handle(self, events: list[Event]) -> None:
        if events:
            self._happened(self, events)
        self.flush()
        if events and type(events[-1]) is Over:
            self._close()

    def _close(self) -> None:
        if self._lost or self._closing is not None:
            return
        self._closing = self._clock.callLater(CLOSE_S, self.abort)
        self._transport.unregisterProducer()
        self._transport.loseConnection()

    def _arm(self, at: float) -> None:
        """A timer that fires too early is left alone: it looks again when it fires."""
        if self._lost or at == math.inf:
            cancel(self._timer)
            self._timer, self._timer_at = None, math.inf
        elif at < self._timer_at:
            cancel(self._timer)
            self._timer = self._clock.callLater(max(0.0, at - self._clock.seconds()), self._tick)
            self._timer_at = at

    def _tick(self) -> None:
        self._timer, self._timer_at = None, math.inf
        now, at = self._clock.seconds(), self.session.deadline()
        self._held_up = 0.0 < at < now - LATE_S and not self._held_up
        if self._held_up:
            self._arm(now)
        elif at <= now + EARLY_S:
            self._handle(self.session.tick(max(now, at)))
        else:
            self.flush()


def _why(reason: Failure) -> str:
    """What ended a connection, as the log says it: where TLS did, somebody has to look at a certificate."""
    if reason.check(ConnectionClosed) or reason.value is None:
        return "connection lost"
    words = reason.value.args[0] if reason.value.args else None  # of OpenSSL: library, function, reason of each error
    return f"TLS: {words[-1][-1] if words and isinstance(words, list) else type(reason.value).__name__}"


def _with_password(frame: bytes, bind: Bind, password: str) -> bytes:
    """The encoded bind with its password, which may be longer than SMPP 3.4 allows: some operators give such ones."""
    at = 16 + len(bind.system_id) + 1
    secret = password.encode("latin-1", "replace")
    length = (len(frame) + len(secret)).to_bytes(4, "big")
    return length + frame[4:at] + secret + frame[at:]
