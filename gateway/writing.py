"""Octets into the kernel at once: the peer goes on while this turn of the reactor does, and what is left in the
process's own buffer would count as sent and die with it.

Twisted's own way is to ask the kernel to tell when a socket takes octets, to write in the next turn, and to ask it to
be silent again: two calls of the kernel more for every write, and none of them is needed while the socket has room.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.abstract import FileDescriptor

Write = Callable[[bytes], None]


def writer(transport: Any) -> Write:
    """What writes to this transport, over TCP, TLS or a local socket; to be asked for once TLS, if any, is under way.

    What the kernel does not take waits in the transport, whose producer is paused when that is much. Other writes to
    the same transport keep their place.
    """
    if isinstance(transport, FileDescriptor) and not getattr(transport, "TLS", False):
        return _to_socket(transport)
    hand_over = getattr(transport, "doWrite", None)
    if hand_over is None:
        write: Write = transport.write
        return write
    return _through(transport, hand_over)


def _to_socket(transport: Any) -> Write:
    def write(data: bytes) -> None:
        # Twisted has no public name for what was written and not yet joined; without it nothing is written directly.
        waits = transport.dataBuffer or getattr(transport, "_tempDataBuffer", True)
        if waits or not transport.connected or transport.disconnecting:
            transport.write(data)
            return
        try:
            taken = transport.socket.send(data)
        except OSError:  # it is full, or the connection is lost: the reactor finds out, and says so to the protocol
            taken = 0
        if taken < len(data):
            transport.write(data[taken:])

    return write


def _through(transport: Any, hand_over: Callable[[], object]) -> Write:
    def write(data: bytes) -> None:
        transport.write(data)
        if not getattr(transport, "disconnecting", False):
            hand_over()

    return write


class Written:
    """A transport whose own `write` is such a one, for a protocol that only knows that."""

    def __init__(self, transport: Any) -> None:
        self._transport, self.write = transport, writer(transport)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
