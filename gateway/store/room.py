"""How much room the store has: its memory, and the disk of an embedded one. Looked at now and then, for metrics."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

from twisted.internet import task

from gateway.store.valkey import Store

LOOK_S = 10.0
Gauge = tuple[str, tuple[str, ...], float]


class Room:
    """As last seen; nothing is told before the first look, nor of what has no limit."""

    def __init__(self, store: Store, reactor: Any, directory: str) -> None:
        """directory: of an embedded store; "" for one elsewhere."""
        self._store, self._directory = store, directory
        self._used = self._limit = 0.0
        self._loop = task.LoopingCall(self._look)
        self._loop.clock = reactor

    def start(self) -> None:
        self._loop.start(LOOK_S, now=True)

    def stop(self) -> None:
        if self._loop.running:
            self._loop.stop()

    def gauges(self) -> Iterator[Gauge]:
        """Octets, as gateway.metrics names them."""
        if self._used:
            yield "pombo_store_used_bytes", (), self._used
        if self._limit:
            yield "pombo_store_limit_bytes", (), self._limit
        if self._directory:
            try:
                yield "pombo_store_disk_free_bytes", (), float(shutil.disk_usage(self._directory).free)
            except OSError:
                return

    def _look(self) -> None:
        self._store.command("INFO", "memory").addCallbacks(self._seen, lambda _: None)

    def _seen(self, info: bytes) -> None:
        said = dict(line.split(":", 1) for line in info.decode().split("\r\n") if ":" in line)
        self._used, self._limit = float(said.get("used_memory", 0)), float(said.get("maxmemory", 0))
