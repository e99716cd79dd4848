"""One worker asks another: a word there, a value in msgpack back, over a socket that only their user can open."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure

LONGEST = 64 * 1024 * 1024
log = Logger("workers")


class NoAnswer(Exception):
    """The other worker is not there, or does not answer in time."""


class _Answering(Int32StringReceiver):
    MAX_LENGTH = LONGEST
    transport: Any

    def __init__(self, says: Mapping[str, Callable[[], Any]]) -> None:
        self._says = says

    def stringReceived(self, string: bytes) -> None:
        try:
            answer = msgspec.msgpack.encode(self._says[string.decode()]())
        except Exception:
            log.failure("a question of another worker was not answered")
            self.transport.loseConnection()
        else:
            self.sendString(answer)


class Ear(Factory):
    """Answers what other workers ask."""

    noisy = False

    def __init__(self, reactor: Any, path: str, says: Mapping[str, Callable[[], Any]]) -> None:
        """says: the answer to each question."""
        self._reactor, self._path, self._says = reactor, path, says
        self._port: Any = None

    def buildProtocol(self, addr: Any) -> _Answering:
        return _Answering(self._says)

    def open(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)  # that of a dead worker
        self._port = self._reactor.listenUNIX(self._path, self, mode=0o600)

    async def close(self) -> None:
        if self._port is not None:
            port, self._port = self._port, None
            await port.stopListening()


class _Asking(Int32StringReceiver):
    MAX_LENGTH = LONGEST
    transport: Any = None

    def __init__(self, what: str) -> None:
        self._what = what
        self.answer: Deferred[bytes] = Deferred()

    def connectionMade(self) -> None:
        self.sendString(self._what.encode())

    def stringReceived(self, string: bytes) -> None:
        if not self.answer.called:
            self.answer.callback(string)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.answer.called:
            self.answer.errback(NoAnswer())


async def ask(reactor: Any, path: str, what: str, within: float) -> bytes:
    """The answer of the worker that listens there, still packed. NoAnswer when there is none."""
    asking = _Asking(what)
    asking.answer.addTimeout(within, reactor)
    try:
        await connectProtocol(UNIXClientEndpoint(reactor, path, timeout=within), asking)
        return await asking.answer
    except Exception:
        raise NoAnswer from None
    finally:
        asking.answer.addErrback(lambda _: None)
        if asking.transport is not None:
            asking.transport.loseConnection()
