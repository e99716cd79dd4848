"""Workers tell each other at once what the store would tell them within a second: that something waits in a queue, that
a receipt was written. A word that is lost costs that second, and nothing else."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.protocol import DatagramProtocol

LARGEST = 32_768  # octets of one datagram
Heard = Callable[[str, str], None]
"""heard(what, name): a word of another worker."""


class Bell(DatagramProtocol):
    """One worker's ear, and its voice to all others."""

    noisy = False

    def __init__(self, reactor: Any, own: str, others: Sequence[str], heard: Heard) -> None:
        """own, others: paths of the workers' sockets."""
        self._reactor, self._own, self._others, self._heard = reactor, own, others, heard
        self._words: dict[str, None] = {}
        self._voice = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._voice.setblocking(False)
        self._port: Any = None

    def open(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._own)  # that of a dead worker
        self._port = self._reactor.listenUNIXDatagram(self._own, self, LARGEST)

    def close(self) -> None:
        if self._port is not None:
            self._port.stopListening()
            self._port = None
        self._voice.close()

    def ring(self, what: str, name: str) -> None:
        """Tell all others, once in a turn of the reactor however often it is said."""
        if not self._words:
            self._reactor.callLater(0, self._say)
        self._words[f"{what} {name}"] = None

    def _say(self) -> None:
        words, self._words = self._words, {}
        datagrams = [b""]
        for word in words:
            line = word.encode() + b"\n"
            if len(datagrams[-1]) + len(line) > LARGEST:
                datagrams.append(b"")
            datagrams[-1] += line
        for path in self._others:
            with contextlib.suppress(OSError):  # it is dead, or has not listened for a while
                for datagram in datagrams:
                    self._voice.sendto(datagram, path)

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        for line in datagram.decode().splitlines():
            what, _, name = line.partition(" ")
            self._heard(what, name)
