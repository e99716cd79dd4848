"""How often texts of which shape found no template on which channel. Never the texts: their shapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from twisted.logger import Logger

from gateway.store import keys
from gateway.store.valkey import Keep, Store

GATHERED_S = 2.0  # counts go to the store together
MOST_SHAPES = 1000  # per channel; the rarest go
MOST_GATHERED = 500  # shapes between two writes; more are only counted by the metric
KEPT_S = 90 * 86400
log = Logger("unmatched")


class Unmatched:
    """Counts that gather here and live in the store."""

    def __init__(self, store: Store, call_later: Callable[[float, Callable[[], None]], Any]) -> None:
        self._store, self._call_later = store, call_later
        self._counts: dict[str, Counter[str]] = {}

    def note(self, channel: str, shape: str) -> None:
        """One more text of this shape."""
        if not self._counts:
            self._call_later(GATHERED_S, self._flush)
        counts = self._counts.setdefault(channel, Counter())
        if shape in counts or len(counts) < MOST_GATHERED:
            counts[shape] += 1

    def _flush(self) -> None:
        gathered, self._counts = self._counts, {}
        for channel, counts in gathered.items():
            args = [word for shape, count in counts.items() for word in (shape, str(count))]
            kept = self._store.call(
                "shapes", keys.shapes(channel), str(KEPT_S), str(MOST_SHAPES), *args, keep=Keep.OVER_LINKS
            )
            kept.addErrback(lambda failure: log.warn("shapes were not counted: {why}", why=failure.getErrorMessage()))

    async def commonest(self, channels: Sequence[str], limit: int) -> list[tuple[str, str, int]]:
        """(channel, shape, count), the commonest first. StoreAway while the store is."""
        found: list[tuple[str, str, int]] = []
        for channel in channels:
            row = await self._store.command("ZREVRANGE", keys.shapes(channel), "0", str(limit - 1), "WITHSCORES")
            found += [
                (channel, bytes(shape).decode("utf-8", "replace"), int(float(count)))
                for shape, count in zip(row[::2], row[1::2], strict=True)
            ]
        return sorted(found, key=lambda one: (-one[2], one[0], one[1]))[:limit]
