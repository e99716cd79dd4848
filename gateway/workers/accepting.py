"""Listening where all workers listen: one socket, so that no connection is lost when one of them ends. Whoever has the
fewest connections takes the next one; the others leave it a moment."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet import tcp

from config.running import place_of

WAIT_S = 0.02


class SharedPort(tcp.Port):
    """Takes one connection at a time, later than the others as long as one of them is freer."""

    others_freer: Callable[[], bool] = staticmethod(lambda: False)
    taken: Callable[[], object] = staticmethod(lambda: None)  # called after every look at who wants to connect
    _waiting = False

    def doRead(self) -> None:
        if self._waiting:
            return
        if self.others_freer():
            self._waiting = True
            self.stopReading()
            self.reactor.callLater(WAIT_S, self._in_turn)
        else:
            self._take()

    def _in_turn(self) -> None:
        self._waiting = False
        if self.connected and not self.disconnecting:
            self._take()  # if it is still there
            self.startReading()

    def _take(self) -> None:
        self.numberAccepts = 1
        super().doRead()
        self.taken()


Sockets = Mapping[tuple[str, ...], socket.socket]
"""Listening sockets by where they listen (config.running.place_of): endpoint strings change with their certificates."""


class Inherited:
    """Opens addresses whose sockets the parent has opened. See gateway.listening.Listeners."""

    def __init__(
        self, sockets: Sockets, others_freer: Callable[[], bool] = lambda: False,
        taken: Callable[[], object] = lambda: None,
    ) -> None:  # fmt: skip
        self._sockets, self._others_freer, self._taken = sockets, others_freer, taken

    def __call__(self, reactor: Any, description: str, factory: Any) -> Any:
        listening = self._sockets[place_of(description)]
        port = SharedPort._fromListeningDescriptor(reactor, listening.fileno(), listening.family, factory)
        port.others_freer, port.taken = self._others_freer, self._taken
        port.startListening()
        return port
