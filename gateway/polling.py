"""The epoll reactor's turn without the context of Twisted's first log around each socket that is ready: ten functions
for every read, for a prefix that no line of ours has."""

from __future__ import annotations

from typing import Any

from twisted.internet.epollreactor import EPollReactor
from twisted.logger import Logger

log = Logger("reactor")


def without_context(reactor: Any) -> None:
    """Give a reactor such a turn, for as long as the process lives; any other than epoll's stays as it is."""
    if type(reactor) is not EPollReactor:
        return
    poll, watched, read_or_write = reactor._poller.poll, reactor._selectables, reactor._doReadOrWrite

    def turn(timeout: float | None) -> None:
        for descriptor, event in poll(timeout, len(watched)):
            selectable = watched.get(descriptor)
            if selectable is not None:  # closed by one that was ready before it
                try:
                    read_or_write(selectable, descriptor, event)
                except Exception:
                    log.failure("what a socket's end brought failed")

    reactor.doIteration = turn  # type: ignore[method-assign]
