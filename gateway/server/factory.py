"""The SMPP listener: accepts connections within limits, and ends them in good order."""

from __future__ import annotations

from collections import Counter
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from config.schema import SmppServerSettings
from gateway.listening import Fresh, Listeners
from gateway.metrics import Metrics
from gateway.server.accounts import Accounts, InThread, Limits
from gateway.server.bound import Bound
from gateway.server.ports import Clock, Intake, Spawn
from gateway.server.protocol import Server, SmscProtocol
from gateway.server.requests import Requests

MAX_CONNECTIONS = 2000
MAX_UNBOUND = 200  # connections of one address that have not bound
STOP_S = 4.0
UNBIND_S = 1.0  # of STOP_S, for the answer to our unbind
TELL_AGAIN_S, MOST_TOLD_OF = 60.0, 1000

log = Logger()


class SmppServer(Factory, Server):
    """Connections of ESMEs. `listening` is True while every address of the configuration is open."""

    noisy = False
    protocol = SmscProtocol

    def __init__(
        self,
        clock: Clock,
        settings: SmppServerSettings,
        country: str,
        *,
        bound: Bound,
        intake: Intake,
        metrics: Metrics,
        spawn: Spawn,
        in_thread: InThread,
        limits: Limits | None = None,
        listeners: Listeners | None = None,
    ) -> None:
        """country: how national numbers are read, ISO 3166. in_thread: runs a slow password check aside. limits: of
        accounts; without, this process is the only one. listeners: those that others listen on as well."""
        accounts = Accounts(settings, clock.seconds, metrics, bound.count, in_thread, limits)
        requests = Requests(settings, country, accounts=accounts, intake=intake, metrics=metrics, spawn=spawn)
        Server.__init__(self, clock, settings, accounts, bound, requests, metrics)
        self.listening = False
        self.most_connections = MAX_CONNECTIONS
        self._connections: dict[SmscProtocol, None] = {}
        self._unbound: Counter[str] = Counter()
        self._waiting: dict[SmscProtocol, None] = {}
        self._told_of: dict[str, float] = {}  # addresses whose clients could not bind, and when the log told last
        self._listeners = listeners or Listeners()
        self._stopping = False
        self._all_gone: Deferred[None] | None = None

    # Listening

    async def start(self, reactor: Any) -> None:
        """Open every address; the error of the first that cannot be opened, with none left open."""
        await self._listeners.open(reactor, self.settings.listen, self)
        self.listening = True

    async def stop(self) -> None:
        """Take nothing new, answer what was read, unbind everybody; what is still open after 4 s is cut."""
        self._stopping = True
        await self._close_ports()
        if not self._connections:
            return
        self._all_gone = Deferred()
        cut = self.clock.callLater(STOP_S, self._cut)
        for connection in list(self._connections):
            connection.end(STOP_S - UNBIND_S)
        if self._connections:
            await self._all_gone
        if cut.active():
            cut.cancel()

    async def _close_ports(self) -> None:
        self.listening = False
        await self._listeners.close()

    def read_certificates(self, settings: SmppServerSettings) -> Fresh:
        """The certificates of TLS listeners as their files are now, not yet in use; ValueError when one cannot be."""
        return self._listeners.read_again(settings.listen)

    def _cut(self) -> None:
        log.info("{count} SMPP connections did not end in time; closing them", count=len(self._connections))
        for connection in list(self._connections):
            connection.abort()

    def reload(self, settings: SmppServerSettings, country: str) -> None:
        """Take new accounts and timers. Timers hold for new connections; addresses to listen on need a restart.

        Binds of accounts that are gone or have another password are ended politely; all others stay.
        """
        if settings.listen != self.settings.listen:
            log.warn("smpp_server.listen changed; new addresses are opened with the next start")
        over = self.accounts.reload(settings)
        self.settings = self.requests.settings = settings
        self.requests.country = country
        for link in self.bound.links():
            account = self.accounts.get(link.account)
            if account is None or link.account in over:
                link.end()
            elif isinstance(link, SmscProtocol):
                link.use(account)
        for settings_of in settings.accounts:
            self.bound.freed(settings_of.system_id)

    # Connections

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    def buildProtocol(self, addr: IAddress | None) -> SmscProtocol | None:
        host = str(getattr(addr, "host", ""))
        if self._stopping or self._unbound[host] >= MAX_UNBOUND or not self._make_room():
            return None
        protocol = self.protocol(self, host, f"{host}:{getattr(addr, 'port', '')}" if host else "local")
        protocol.factory = self
        self._connections[protocol] = None
        self._waiting[protocol] = None
        self._unbound[host] += 1
        return protocol

    def _make_room(self) -> bool:
        """When all connections are taken, the oldest that has not bound goes: strangers who only connect keep nobody
        out."""
        if len(self._connections) < self.most_connections:
            return True
        oldest = next(iter(self._waiting), None)
        if oldest is None:
            return False
        self.gone(oldest)
        oldest.abort()
        return True

    def may_tell_of(self, host: str) -> bool:
        now = self.clock.seconds()
        if now - self._told_of.get(host, -TELL_AGAIN_S) < TELL_AGAIN_S:
            return False
        self._told_of.pop(host, None)
        self._told_of[host] = now
        if len(self._told_of) > MOST_TOLD_OF:
            del self._told_of[next(iter(self._told_of))]
        return True

    def bound_or_gone(self, protocol: SmscProtocol) -> None:
        if protocol in self._waiting:
            del self._waiting[protocol]
            self._unbound[protocol.host] -= 1
            if not self._unbound[protocol.host]:
                del self._unbound[protocol.host]

    def gone(self, protocol: SmscProtocol) -> None:
        self.bound_or_gone(protocol)
        self._connections.pop(protocol, None)
        if not self._connections and self._all_gone is not None:
            all_gone, self._all_gone = self._all_gone, None
            all_gone.callback(None)


def threads_of(reactor: Any) -> InThread:
    """Slow checks in the reactor's thread pool."""
    return lambda check: deferToThreadPool(reactor, reactor.getThreadPool(), check)
