"""One connection to a Valkey or Redis server. The only file that knows txredisapi, which carries no types."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import txredisapi
from twisted.internet import defer
from twisted.python.failure import Failure

from gateway.writing import Written

GONE_S = 10.0  # a server whose machine has acknowledged nothing for so long is looked for anew
ResponseError: type[Exception] = txredisapi.ResponseError  # the server's answer is an error


class NotLetIn(Exception):
    """The server refuses the url's password or its database."""


class Connection(txredisapi.RedisProtocol):
    """txredisapi counts on a factory of its own; this needs none of what that one does."""

    transport: Any
    isLazy = False
    _waiting_for_connect: list[defer.Deferred[Any]]

    def __init__(self, password: str | None, dbid: str | None, username: str | None, lost: Callable[[], None]) -> None:
        super().__init__(charset=None, password=password, dbid=dbid, username=username, convertNumbers=False)
        self._lost = lost

    def tryConvertData(self, data: Any) -> Any:
        """Octets stay octets; the library's own way walks through every answer for nothing."""
        return data

    def _build_command(self, *args: str | bytes, **_: Any) -> bytes:
        """The same octets as the library's own way makes, which takes three times as long over them."""
        out = [b"*%d\r\n" % len(args)]
        for arg in args:
            octets = arg if type(arg) is bytes else arg.encode()  # type: ignore[union-attr]
            out.append(b"$%d\r\n%b\r\n" % (len(octets), octets))
        return b"".join(out)

    def stopTrying(self) -> None:
        """What txredisapi calls when AUTH or SELECT failed."""

    def connectionError(self, why: str) -> None:
        """Likewise, with what the server said."""
        waiting, self._waiting_for_connect = self._waiting_for_connect, []
        for one in waiting:
            one.errback(NotLetIn(why))

    def connectionMade(self) -> Any:
        self.factory = self  # in the place of the one that built it
        if hasattr(self.transport, "setTcpNoDelay"):
            self.transport.setTcpNoDelay(True)
            _notice_its_end(self.transport.socket)
        self.transport = Written(self.transport)  # the server may work while this turn of the reactor goes on
        return super().connectionMade()

    def connectionLost(self, why: Failure | None = None) -> None:
        self._lost()  # first: whoever hears that a call failed may ask again at once
        super().connectionLost(why)


def _notice_its_end(link: socket.socket) -> None:
    """A machine that loses its power or its network closes no connection. The kernel's own patience is a quarter of an
    hour, and when it is back, two minutes until it is tried again. Linux; elsewhere it stays so."""
    if hasattr(socket, "TCP_USER_TIMEOUT") and link.family in (socket.AF_INET, socket.AF_INET6):
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(GONE_S * 1000))
