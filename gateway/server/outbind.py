"""Asks billing systems to bind when something waits for them: outbind (SMPP 3.4, 4.1.8).

Looks once a second. One connection per account at a time; what the ESME makes of it is an ordinary session.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import clientFromString
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from config.schema import AccountSettings
from gateway.server.factory import SmppServer
from gateway.server.protocol import SmscProtocol

LOOK_S = 1.0
REST_S = 2.0  # after a receiver was there: what is known to wait may have been taken meanwhile
FIRST_S, LONGEST_S = 5.0, 300.0  # between two tries
JITTER = 0.2  # of the pause, up and down
log = Logger("outbind")

Connect = Callable[[str, SmppServer], Any]
"""connect(endpoint, factory): a Deferred of the protocol."""


class Outbind:
    """All accounts that have `outbind`."""

    def __init__(
        self,
        server: SmppServer,
        clock: Any,
        pending: Callable[[], Mapping[str, int]],
        random: Callable[[], float],
        connect: Connect,
    ) -> None:
        """pending: account -> how many receipts and replies wait for it. random: from 0 to 1."""
        self._server, self._clock, self._pending = server, clock, pending
        self._random, self._connect = random, connect
        self._tries: dict[str, _Tries] = {}
        self._loop = LoopingCall(self._look)
        self._loop.clock = clock

    def start(self) -> None:
        self._loop.start(LOOK_S, now=False)

    def stop(self) -> None:
        """No more tries; connections that are open end with the server's."""
        if self._loop.running:
            self._loop.stop()
        for tries in self._tries.values():
            if tries.connecting is not None:
                tries.connecting.cancel()

    def _look(self) -> None:
        pending, now = self._pending(), self._clock.seconds()
        accounts = {one.system_id: one for one in self._server.settings.accounts if one.outbind is not None}
        for name in self._tries.keys() - accounts.keys():
            if not self._tries[name].under_way:
                del self._tries[name]
        for name, account in accounts.items():
            tries = self._tries.setdefault(name, _Tries())
            if self._server.bound.receiving(name):
                tries.pause, tries.next_at = FIRST_S, now + REST_S
            elif pending.get(name) and now >= tries.next_at and not tries.under_way:
                self._try(account, tries, now)

    def _try(self, account: AccountSettings, tries: _Tries, now: float) -> None:
        tries.next_at = now + tries.pause * (1.0 + JITTER * (2.0 * self._random() - 1.0))
        tries.pause = min(2.0 * tries.pause, LONGEST_S)
        log.info("{account} is asked to bind: something waits for it", account=account.system_id)
        assert account.outbind is not None
        tries.connecting = connecting = maybeDeferred(self._connect, account.outbind, self._server)
        connecting.addCallbacks(
            self._connected, self._not_connected, callbackArgs=(account, tries), errbackArgs=(account, tries)
        )
        connecting.addErrback(lambda failure: log.failure("an outbind was not sent", failure=failure))

    def _connected(self, protocol: SmscProtocol, account: AccountSettings, tries: _Tries) -> None:
        tries.connecting, tries.protocol = None, protocol
        password = account.password.get_secret_value() if account.password is not None else ""
        protocol.ask_to_bind(self._server.settings.system_id, password)

    def _not_connected(self, failure: Failure, account: AccountSettings, tries: _Tries) -> None:
        tries.connecting = None
        log.info(
            "{account} cannot be asked to bind: {why}", account=account.system_id, why=type(failure.value).__name__
        )


class _Tries:
    """How far one account's tries have come."""

    def __init__(self) -> None:
        self.pause, self.next_at = FIRST_S, 0.0
        self.connecting: Any = None
        self.protocol: SmscProtocol | None = None

    @property
    def under_way(self) -> bool:
        return self.connecting is not None or (self.protocol is not None and not self.protocol.over)


def connector(reactor: Any) -> Connect:
    """Connects to Twisted endpoint strings."""
    make_endpoint: Any = clientFromString
    return lambda endpoint, factory: make_endpoint(reactor, endpoint).connect(factory)
