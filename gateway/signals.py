"""Signals that come too early or too often. SIGHUP asks a gateway to read its file again: one that comes before there
is anybody to do so waits in the kernel, as by default it ends the process. SIGTERM and SIGINT ask for the end, once."""

import signal
from typing import Any

_HANGUP = {signal.SIGHUP} if hasattr(signal, "SIGHUP") else set()
_STOPS = (signal.SIGTERM, signal.SIGINT)


def hold_hangup() -> None:
    """From before the file is read for the first time."""
    if _HANGUP:
        signal.pthread_sigmask(signal.SIG_BLOCK, _HANGUP)


def release_hangup() -> None:
    """There is a handler: it takes one that came meanwhile."""
    if _HANGUP:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANGUP)


def stop_once(reactor: Any) -> None:
    """In the place of the reactor's own handlers, once it runs. They take a second signal for an error, and twistd ends
    by the signal, although what is asked to stop and has stopped has ended well."""

    def stop(*_: object) -> None:
        for one in _STOPS:
            signal.signal(one, signal.SIG_IGN)
        reactor.callFromThread(reactor.stop)

    for one in _STOPS:
        signal.signal(one, stop)
