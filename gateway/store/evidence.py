"""What is known of people on WhatsApp, kept beside the messages: satisfies bridge.presence.EvidencePort."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from gateway.store import keys
from gateway.store.valkey import Keep, Store

log = Logger("evidence")


class Evidence:
    """Writes gather and go once a turn; the last one of a person counts."""

    def __init__(self, store: Store, later: Callable[[Callable[[], None]], Any]) -> None:
        self._store, self._later = store, later
        self._waiting: dict[str, tuple[bytes, int]] = {}

    async def read(self, people: Sequence[str]) -> list[bytes | None]:
        """The record of each person, None where there is none. StoreAway while the store is."""
        found: list[bytes | None] = await self._store.command("MGET", *[keys.person(p) for p in people])
        return [self._waiting[p][0] if p in self._waiting else f for p, f in zip(people, found, strict=True)]

    def write(self, person: str, value: bytes, ttl_s: float) -> None:
        """Keep a record for so many seconds."""
        if not self._waiting:
            self._later(self._flush)
        self._waiting[person] = (value, max(1, int(ttl_s)))

    def use(self, key: str, more: bytes, ttl_s: float, told: Callable[[bytes], object]) -> None:
        """See bridge.presence.EvidencePort. Over a link that is lost it may count twice, never less."""
        used: Deferred[Any] = self._store.call(
            "used", keys.person(key), str(max(1, int(ttl_s))), more, keep=Keep.ALWAYS
        )  # fmt: skip
        used.addCallback(told).addErrback(lambda failure: log.error("a use was not counted: {why}", why=_why(failure)))

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, {}
        args: list[str | bytes] = []
        for person, (value, ttl) in waiting.items():
            args += (keys.person(person), str(ttl), value)
        kept: Deferred[Any] = self._store.call("keep", *args, keep=Keep.ALWAYS)
        kept.addErrback(lambda failure: log.error("evidence was not kept: {why}", why=_why(failure)))


def _why(failure: Any) -> str:
    return str(failure.getErrorMessage())[:80]
