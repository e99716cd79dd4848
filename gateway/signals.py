"""SIGHUP asks a gateway to read its file again. One that comes before there is anybody to do so waits in the kernel:
by default it ends the process."""

import signal

_ASKED = {signal.SIGHUP} if hasattr(signal, "SIGHUP") else set()


def hold() -> None:
    """From before the file is read for the first time."""
    if _ASKED:
        signal.pthread_sigmask(signal.SIG_BLOCK, _ASKED)


def release() -> None:
    """There is a handler: it takes one that came meanwhile."""
    if _ASKED:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ASKED)
