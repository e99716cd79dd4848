"""What goes out on one connection: how much of it the peer has not taken yet, and since when it takes nothing.

Twisted says "enough" at 64 KiB; from then on the octets wait here, where they can be counted, over TCP and TLS alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from gateway.server.ports import Transport
from gateway.writing import Write, writer

CHUNK_OCTETS = 64 * 1024
SLOW_OCTETS = 256 * 1024  # more than this unsent: no more deliver_sm, and nothing more is read
MAX_OCTETS = 1024 * 1024  # more than this unsent: the link ends
STUCK_S = 60.0  # so long without progress: the link ends


@implementer(IPushProducer)
class Outlet:
    """Writes to a transport, by `write`. `on_drained` is called when a slow peer has caught up.

    slow: more than SLOW_OCTETS wait; over: more than MAX_OCTETS, so the link ends.
    """

    slow = over = False

    def __init__(self, transport: Transport, seconds: Callable[[], float], on_drained: Callable[[], None]) -> None:
        self._transport, self._seconds, self._on_drained = transport, seconds, on_drained
        self._held = bytearray()
        self._progress_at = 0.0
        self._registered = True
        self._directly: Write = writer(transport)
        self._block(False)
        transport.registerProducer(self, True)

    @property
    def unsent(self) -> int:
        """Octets that wait here, not counting the 64 KiB that the transport may hold."""
        return len(self._held)

    def _weigh(self) -> None:
        """What waits has become more, or less."""
        held = len(self._held)
        self.slow, self.over = held > SLOW_OCTETS, held > MAX_OCTETS

    def _block(self, blocked: bool) -> None:
        """Whether what is written from now on waits here."""
        self._blocked = blocked
        self.write = self._hold if blocked else self._directly

    def _hold(self, data: bytes) -> None:
        self._held += data
        self._weigh()

    def deadline(self) -> float:
        """When the peer must have taken something, never sooner than STUCK_S after it began to wait; inf while nothing
        waits, 0.0 when too much does."""
        if self.over:
            return 0.0
        return self._progress_at + STUCK_S if self._blocked else math.inf

    def stuck(self, now: float) -> bool:
        """Whether it is time to give the peer up."""
        return now >= self.deadline()

    def close(self) -> None:
        """Hand over what is left, so that loseConnection comes after it."""
        if self._registered:
            self._registered = False
            self._transport.unregisterProducer()
        self._block(False)
        if self._held:
            self._transport.write(bytes(self._held))
            self._held.clear()
            self._weigh()

    def pauseProducing(self) -> None:
        self._block(True)
        self._progress_at = self._seconds()

    def resumeProducing(self) -> None:
        was_slow = self.slow
        self._block(False)
        while self._held and not self._blocked:
            chunk = bytes(self._held[:CHUNK_OCTETS])
            del self._held[:CHUNK_OCTETS]
            self._transport.write(chunk)
        self._weigh()
        if was_slow and not self.slow:
            self._on_drained()

    def stopProducing(self) -> None:
        """The connection is gone."""
        self._registered = False
        self._held.clear()
        self._weigh()
