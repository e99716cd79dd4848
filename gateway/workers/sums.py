"""What all workers say, as one node would say it: metrics added up, one status of all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from gateway.metrics import Counted, Gauge, Metrics, Timed

ADDED = frozenset({"pombo_binds", "pombo_inflight"})  # gauges of which each worker has a part
LEAST = frozenset({"pombo_store_writable"})  # the worst counts; of all others the largest, for they are of one store


class Tally(msgspec.Struct):
    """The metrics of one worker."""

    counted: Counted = []
    timed: Timed = []
    gauges: list[Gauge] = []


def tally_of(metrics: Metrics) -> Tally:
    """What one worker has counted, and its gauges as they are now."""
    counted, timed = metrics.told()
    return Tally(counted, timed, metrics.measured())


class Sums:
    """The page of all workers. What it has shown of a counter never becomes less: the tallies of a worker go on where
    those of the dead one ended, see `Kept`."""

    def __init__(self) -> None:
        self._metrics = Metrics()
        self._shown: dict[tuple[str, ...], float] = {}
        self._last: dict[int, Tally] = {}  # of a worker that does not answer

    def page(self, tallies: Mapping[int, Tally]) -> bytes:
        """The Prometheus text page. tallies: by the worker's number; of one that is missing its last one counts, but
        for its gauges, which are nothing any more."""
        for worker in set(self._last) - set(tallies):
            self._last[worker].gauges = []
        self._last.update(tallies)
        self._count()
        self._metrics.forget_durations()
        for tally in self._last.values():
            self._metrics.add([], tally.timed)
        gauges = gauges_of(self._last.values())
        self._metrics.gauges(lambda: gauges)
        return self._metrics.page()

    def _count(self) -> None:
        totals: dict[tuple[str, ...], float] = {}
        for tally in self._last.values():
            for key, n in tally.counted:
                totals[key] = totals.get(key, 0) + n
        more = [(key, n - self._shown.get(key, 0)) for key, n in totals.items()]
        grown = [(key, n) for key, n in more if n > 0]
        self._metrics.add(grown, [])
        for key, n in grown:
            self._shown[key] = self._shown.get(key, 0) + n


def gauges_of(tallies: Iterable[Tally]) -> list[Gauge]:
    """The gauges of all workers as one node's."""
    found: dict[tuple[str, tuple[str, ...]], float] = {}
    for tally in tallies:
        for name, labels, value in tally.gauges:
            key = name, tuple(labels)
            before = found.get(key)
            if before is None:
                found[key] = value
            elif name in ADDED:
                found[key] = before + value
            else:
                found[key] = min(before, value) if name in LEAST else max(before, value)
    return [(name, labels, value) for (name, labels), value in found.items()]


def status_of(node: str, parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What /admin/status says of a node, from what it says of each worker: see gateway.web.admin. parts: those of the
    workers that answered, one at least."""
    accounts: dict[str, dict[str, Any]] = {}
    channels: dict[str, dict[str, Any]] = {}
    for part in parts:
        for one in part["accounts"]:
            known = accounts.setdefault(one["system_id"], {**one, "binds": []})
            known["binds"] += one["binds"]
            known["receipts_pending"] = max(known["receipts_pending"], one["receipts_pending"])
        for one in part["channels"]:
            name = one["name"]
            channels[name] = _both(channels[name], one) if name in channels else dict(one)
    for one in accounts.values():
        one["binds"].sort(key=lambda bind: bind["since"])
    return {**parts[0], "node": node, "accounts": list(accounts.values()), "channels": list(channels.values())}


def _both(one: dict[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """A channel as two workers see it: the binds of both; one queue, which both have looked at."""
    both = {**one}
    for key in ("binds", "inflight"):
        both[key] += other[key]
    for key in ("up", "queue", "oldest_seconds", "quarantined"):
        both[key] = max(one[key], other[key])
    if other.get("senders"):
        both["senders"] = other["senders"]
    return both
