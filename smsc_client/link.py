"""One bind to the operator, kept up: connect, bind, and after a loss again, more and more slowly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from config.schema import SmscSettings
from gateway.smpp.constants import VERSION_3_4
from gateway.smpp.events import BindRefused, Bound, Event, Over
from gateway.smpp.pdu import Bind, BindReceiver
from gateway.smpp.session import SessionSettings
from gateway.smpp.states import BOUND
from smsc_client.backoff import LOCKED_OUT, Backoff
from smsc_client.clock import Clock, Endpoint, Timer, cancel
from smsc_client.protocol import EsmeProtocol

BIND_ANSWER_S = 15.0
STEADY_S = 60.0  # a bind that lasted so long starts the back-off anew
AGAIN_S, REMIND_S = 60.0, 3600.0  # how long one line is not repeated: after other lines, without any


class LinkOwner(Protocol):
    """Who hears of a link: the channel."""

    def happened(self, link: Link, events: list[Event]) -> None:
        """A batch of events. Those that are not about messages go back to `Link.noticed`."""


class Link:
    """A bind as transceiver, transmitter or receiver. transmitter_receiver is two of these side by side."""

    def __init__(
        self,
        settings: SmscSettings,
        bind: type[Bind],
        label: str,
        *,
        endpoint: Endpoint,
        clock: Clock,
        random: Callable[[], float],
        owner: LinkOwner,
        log: Logger,
    ) -> None:
        """label: for the log, the channel's name and which of its links this is."""
        self.sends = bind is not BindReceiver
        self.label = label
        self.since = 0.0  # when it was bound
        self.slow_sequence = 0  # submits up to this one were written before the last slowing down
        self.last_sequence = 0
        self.protocol: EsmeProtocol | None = None  # the present connection
        self._bind = bind(
            system_id=settings.system_id,
            system_type=settings.system_type,
            interface_version=VERSION_3_4,
        )
        self._password = settings.password.get_secret_value()
        self._session_settings = SessionSettings(
            session_init_timeout=BIND_ANSWER_S,
            enquire_link=settings.enquire_link,
            response_timeout=settings.response_timeout,
            window=settings.window,
        )
        self._endpoint, self._clock, self._owner, self._log = endpoint, clock, owner, log
        self._backoff = Backoff(settings.reconnect, random)
        self._wanted = False
        self._connecting: Deferred[Any] | None = None
        self._again: Timer | None = None
        self._ended: list[Deferred[None]] = []
        self._refused = 0
        self._said: dict[str, float] = {}
        self._said_last = ""

    @property
    def bound(self) -> bool:
        return self.protocol is not None and self.protocol.session.state in BOUND

    @property
    def free(self) -> int:
        """How many submit_sm may be written now."""
        return self.protocol.session.free if self.sends and self.protocol is not None else 0

    def start(self) -> None:
        self._wanted = True
        self._connect()

    def unbind(self) -> None:
        """Leave the present bind politely; it is made again unless the link is stopped."""
        if self.protocol is not None:
            self.protocol.unbind()

    def stop(self, within: float) -> Deferred[None]:
        """Unbind, after that many seconds at the latest, and stay away. Fires when the connection is gone; see
        `abort`."""
        self._wanted = False
        cancel(self._again)
        if self._connecting is not None:
            self._connecting.cancel()
        ended: Deferred[None] = Deferred()
        if self.protocol is None:
            ended.callback(None)
        else:
            self._ended.append(ended)
            self.protocol.unbind(within)
        return ended

    def abort(self) -> None:
        """Close at once, whatever is unanswered."""
        if self.protocol is not None:
            self.protocol.abort()

    def _connect(self) -> None:
        self._again = None
        self._refused = 0
        factory = Factory.forProtocol(
            lambda: EsmeProtocol(
                self._session_settings,
                self._bind,
                self._password,
                self._clock,
                made=self._made,
                happened=self._happened,
                gone=self._gone,
            )
        )
        factory.noisy = False
        connecting = self._connecting = self._endpoint.connect(factory)
        connecting.addCallbacks(self._connected, self._not_connected)
        connecting.addErrback(lambda failure: self._log.failure("{link}: not connected", failure, link=self.label))

    def _connected(self, _: EsmeProtocol) -> None:
        self._connecting = None

    def _not_connected(self, failure: Failure) -> None:
        self._connecting = None
        if self._wanted and not isinstance(failure.value, CancelledError):
            self._say(f"not reachable: {failure.type.__name__ if failure.type else 'unknown error'}")
            self._later()

    def noticed(self, event: Event) -> None:
        """An event about the bind itself."""
        match event:
            case Bound():
                self.since = self._clock.seconds()
                self._say("bound", good=True)
            case BindRefused(command_status=status):
                self._refused = status
                self._say(f"bind refused with command_status 0x{status:02X}", alarm=status in LOCKED_OUT)
            case Over(reason=reason):
                if self._wanted and not reason.startswith("bind refused"):
                    self._say(f"link lost: {reason}")

    def _made(self, protocol: EsmeProtocol) -> None:
        if self._wanted and self.protocol is None:
            self.protocol = protocol
        else:  # stopped meanwhile, or a host name with two addresses that both answered
            protocol.abort()

    def _happened(self, protocol: EsmeProtocol, events: list[Event]) -> None:
        if protocol is self.protocol:
            self._owner.happened(self, events)

    def _gone(self, protocol: EsmeProtocol) -> None:
        if protocol is not self.protocol:
            return
        if self.since and self._clock.seconds() - self.since >= STEADY_S:
            self._backoff.reset()
        self.since = 0.0
        self.slow_sequence = self.last_sequence = 0
        self.protocol = None
        ended, self._ended = self._ended, []
        for waiting in ended:
            waiting.callback(None)
        if self._wanted:
            self._later()

    def _later(self) -> None:
        self._again = self._clock.callLater(self._backoff.delay(self._refused), self._connect)

    def _say(self, what: str, *, good: bool = False, alarm: bool = False) -> None:
        """One line per change, repeated after an hour, and not over and over while a link flaps."""
        now = self._clock.seconds()
        quiet_s = REMIND_S if what == self._said_last else AGAIN_S
        if now - self._said.get(what, -REMIND_S) < quiet_s:
            return
        if len(self._said) > 100:
            self._said.clear()
        self._said[what], self._said_last = now, what
        if good:
            self._log.info("{link}: {what}", link=self.label, what=what)
        elif alarm:
            said = "{link}: {what}; its system_id, password or system_type need attention; trying again, seldom"
            self._log.error(said, link=self.label, what=what)
        else:
            self._log.warn("{link}: {what}; trying again", link=self.label, what=what)
