"""A store with messages that wait, as an earlier gateway would have left it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import valkey

from gateway.messages.message import Priority
from gateway.store.embedded import EmbeddedServer
from tools.backlog import fill
from tools.bench.loadtool import LoadError

ANSWERS_S, ENDS_S, LOOK_S = 30.0, 300.0, 0.05


def leave_waiting(directory: Path, count: int, channel: str, priority: Priority) -> None:
    """Fill the store of this directory, which nobody uses, with messages in the queue of a channel."""
    store = EmbeddedServer(directory, "everysec")
    store.lock()
    store.ensure()
    link: Any = valkey.Valkey(unix_socket_path=store.socket)
    try:
        _await(lambda: _answers(link), ANSWERS_S, "the store does not answer")
        fill(link, count, 0, time.time(), channel=channel, priority=priority)
        link.shutdown(nosave=True)  # the append-only file is written
    finally:
        link.close()
        store.stop()
    _await(lambda: not Path(store.socket).exists(), ENDS_S, "the store does not end")


def _await(question: Callable[[], bool], most_s: float, trouble: str) -> None:
    end = time.monotonic() + most_s
    while not question():
        if time.monotonic() > end:
            raise LoadError(f"{trouble} within {most_s:g} s")
        time.sleep(LOOK_S)


def _answers(link: Any) -> bool:
    try:
        return bool(link.ping())
    except valkey.exceptions.ConnectionError:
        return False
