"""What is known of people on WhatsApp, kept beside the messages: satisfies bridge.presence.EvidencePort."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from gateway.store import keys
from gateway.store.valkey import Keep, Store, StoreAway

log = Logger("evidence")


Told = Callable[[bytes], None]


class Evidence:
    """Writes gather and go once a turn; the last one of a person counts, and uses of a day add up."""

    def __init__(self, store: Store, later: Callable[[Callable[[], None]], Any]) -> None:
        self._store, self._later = store, later
        self._waiting: dict[str, tuple[bytes, int]] = {}
        self._uses: dict[tuple[str, int], tuple[int, int, list[Told]]] = {}

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

    def use(self, tally: str, day: int, count: int, ttl_s: float, told: Told) -> None:
        """Add uses of a day to those of all nodes, and tell what they come to, packed."""
        if not self._uses:
            self._later(self._count)
        before, _, waiting = self._uses.get((tally, day), (0, 0, []))
        self._uses[tally, day] = (before + count, max(1, int(ttl_s)), [*waiting, told])

    async def spend(self, budget: str, window_s: float, most: int, count: int) -> tuple[int, float]:
        """So much of `count` as all nodes have left of `most` in any window; and for how many seconds nothing is left
        then. StoreAway."""
        granted, seconds = await self._store.call(
            "spend", "", keys.person(budget), str(window_s), str(most), str(count), keep=Keep.NO
        )
        return int(granted), float(seconds)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, {}
        args: list[str | bytes] = []
        for person, (value, ttl) in waiting.items():
            args += (keys.person(person), str(ttl), value)
        kept: Deferred[Any] = self._store.call("keep", *args, keep=Keep.ALWAYS)
        kept.addErrback(lambda failure: log.error("evidence was not kept: {why}", why=failure.getErrorMessage()[:80]))

    def _count(self) -> None:
        uses, self._uses = self._uses, {}
        args: list[str | bytes] = []
        for (tally, day), (count, ttl, _) in uses.items():
            args += (keys.person(tally), str(ttl), str(day), str(count))

        def tell(sums: list[bytes]) -> None:
            for (_, _, waiting), packed in zip(uses.values(), sums, strict=True):
                for told in waiting:
                    told(packed)

        counted: Deferred[Any] = self._store.call("use", *args, keep=Keep.ALWAYS)
        counted.addCallback(tell)
        counted.addErrback(
            lambda failure: log.error("uses were not counted: {why}", why=failure.getErrorMessage()[:80])
        )
