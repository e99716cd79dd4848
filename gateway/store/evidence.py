"""What is known of people on WhatsApp, kept beside the messages: satisfies bridge.presence.EvidencePort."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from gateway.store import keys
from gateway.store.valkey import Keep, Store, StoreAway

log = Logger("evidence")


class Evidence:
    """Writes gather and go once a turn; the last one of a person counts."""

    def __init__(self, store: Store, later: Callable[[Callable[[], None]], Any]) -> None:
        self._store, self._later = store, later
        self._waiting: dict[str, tuple[bytes, int]] = {}

    async def read(self, people: Sequence[str]) -> list[bytes | None] | None:
        """The record of each person, None where there is none; None in all while the store is away."""
        try:
            found: list[bytes | None] = await self._store.command("MGET", *[keys.person(p) for p in people])
        except StoreAway:
            return None
        return [self._waiting[p][0] if p in self._waiting else f for p, f in zip(people, found, strict=True)]

    def write(self, person: str, value: bytes, ttl_s: float) -> None:
        """Keep a record for so many seconds."""
        if not self._waiting:
            self._later(self._flush)
        self._waiting[person] = (value, max(1, int(ttl_s)))

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, {}
        args: list[str | bytes] = []
        for person, (value, ttl) in waiting.items():
            args += (keys.person(person), str(ttl), value)
        kept: Deferred[Any] = self._store.call("keep", *args, keep=Keep.ALWAYS)
        kept.addErrback(lambda failure: log.error("evidence was not kept: {why}", why=failure.getErrorMessage()[:80]))
