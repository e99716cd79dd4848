"""Metric names, labels and units: the whole of what `/metrics` says. No label ever holds a number or a message id.

Counts are gathered in a plain dictionary and handed to the library when somebody looks, which makes them cheap enough
for every message. Gauges are read when Prometheus asks, by the function given to `gauges`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.utils import floatToGoString

FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
SLOW = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 14400, 86400)

COUNTERS = {
    "pombo_submitted": ("messages accepted from an account", ("account",)),
    "pombo_rejected": ("requests refused, by command_status name", ("account", "status")),
    "pombo_sent": ("messages that a channel took", ("channel",)),
    "pombo_final": ("messages that ended, by channel that decided and state", ("channel", "state")),
    "pombo_fallback": ("moves from one channel to the next", ("from_channel", "to_channel", "reason")),
    "pombo_lookup": ("answers to 'has this number an account?'", ("channel", "result", "origin")),
    "pombo_receipts": ("receipts that an ESME has acknowledged", ("account", "state")),
    "pombo_late_acks": ("acknowledgements that came too late to change anything", ("channel",)),
    "pombo_unknown_receipts": ("reports that name no message of ours", ("channel",)),
    "pombo_unanswered": ("sends whose answer never came, so that they may have arrived", ("channel",)),
    "pombo_cost": ("what the channels charged, in the configured currency", ("channel",)),
    "pombo_saved": ("price of the segments that were not sent, less the WhatsApp price", ()),
    "pombo_throttled": ("answers of a channel that asked us to slow down", ("channel",)),
    "pombo_unmatched": ("texts that no template of a channel stands for", ("channel",)),
    "pombo_unknown_errors": ("error codes of a provider that are in no table of ours", ("channel",)),
    "pombo_sender_sent": ("messages that one of a channel's senders took", ("channel", "sender")),
    "pombo_sender_moves": (
        "messages that went from one of a channel's senders to another",
        ("channel", "from_sender", "to_sender", "reason"),
    ),
    "pombo_auth_failures": ("refused binds", ("reason",)),
    "pombo_store_losses": ("times the store came back without what it had taken", ()),
    "pombo_background_failures": ("errors in work that nobody awaited", ()),
}
HISTOGRAMS = {
    "pombo_ack_seconds": ("submit_sm read to submit_sm_resp written", (), FAST),
    "pombo_lookup_seconds": ("question to answer of a lookup at the provider", ("channel",), FAST),
    "pombo_delivery_seconds": ("accepted to delivered", ("channel",), SLOW),
    "pombo_store_seconds": ("a call of the store, from its writing to its answer", (), FAST),
}
GAUGES = {
    "pombo_binds": ("bound sessions", ("side", "name")),
    "pombo_queue_depth": ("messages waiting for a channel", ("channel", "priority")),
    "pombo_queue_oldest_seconds": ("age of the oldest message waiting for a channel", ("channel",)),
    "pombo_receipts_pending": ("receipts and replies an account has not acknowledged", ("account",)),
    "pombo_inflight": ("messages in a channel's hands", ("channel",)),
    "pombo_channel_up": ("1 while the channel can send", ("channel",)),
    "pombo_sender_up": ("1 while the sender can send", ("channel", "sender")),
    "pombo_channel_quarantined": ("1 while a WhatsApp channel is put aside", ("channel",)),
    "pombo_unfinished": ("messages without an outcome yet", ()),
    "pombo_unfinished_limit": ("as many may be; store.max_messages", ()),
    "pombo_store_writable": ("1 while the store takes writes", ()),
    "pombo_store_used_bytes": ("memory the store uses", ()),
    "pombo_store_limit_bytes": ("memory the store may use; absent without a limit", ()),
    "pombo_store_disk_free_bytes": ("free where an embedded store writes", ()),
    "pombo_clock_off_seconds": ("by how much the node's clock and the store's differ", ()),
}
Gauge = tuple[str, tuple[str, ...], float]  # name, label values, value
Counted = list[tuple[tuple[str, ...], float]]  # (name, label value ...) and how many
Timed = list[tuple[tuple[str, ...], list[int], float]]  # (name, label value ...), how many under each bound, their sum


class Metrics:
    """The counters of one node. Methods are cheap enough for every message; batches pass n."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._counted: dict[tuple[str, ...], float] = {}
        self._timed: dict[tuple[str, ...], _Durations] = {}
        self.registry.register(_Settle(self))  # before the families: they are asked in the order of registration
        self._families = {
            name: Counter(name, text, labels, registry=self.registry) for name, (text, labels) in COUNTERS.items()
        }
        self._gauges: Callable[[], Iterable[Gauge]] = lambda: ()
        self.registry.register(_Gauges(self))

    def gauges(self, read: Callable[[], Iterable[Gauge]]) -> None:
        """Where gauge values come from when somebody asks."""
        self._gauges = read

    def count(self, *key: str, n: float = 1) -> None:
        """Add n to a counter of COUNTERS: its name, then its labels in the order given there."""
        counted = self._counted
        counted[key] = counted.get(key, 0) + n

    def observe(self, name: str, seconds: float, *labels: str) -> None:
        """Add one duration to a histogram of HISTOGRAMS."""
        key = (name, *labels)
        timed = self._timed.get(key)
        if timed is None:
            timed = self._timed[key] = _Durations(HISTOGRAMS[name][2])
        timed.counts[bisect_left(timed.bounds, seconds)] += 1
        timed.total += seconds

    def ack_seconds(self, read_at: Iterable[float], now: float) -> None:
        """Answers that were written now, each to a submit_sm read at its moment."""
        key = ("pombo_ack_seconds",)
        timed = self._timed.get(key)
        if timed is None:
            timed = self._timed[key] = _Durations(HISTOGRAMS[key[0]][2])
        counts, bounds = timed.counts, timed.bounds
        for at in read_at:
            counts[bisect_left(bounds, now - at)] += 1
            timed.total += now - at

    def _settle(self) -> None:
        """Hand what was gathered to the library; its locks cost more than all the counting."""
        counted, self._counted = self._counted, {}
        for (name, *labels), n in counted.items():
            family = self._families[name]
            (family.labels(*labels) if labels else family).inc(n)

    def sent(self, channel: str, n: int = 1) -> None:
        self.count("pombo_sent", channel, n=n)

    def lookup(self, channel: str, result: str, origin: str, seconds: float | None = None) -> None:
        self.count("pombo_lookup", channel, result, origin)
        if seconds is not None and origin == "provider":
            self.observe("pombo_lookup_seconds", seconds, channel)

    def throttled(self, channel: str, n: int = 1) -> None:
        self.count("pombo_throttled", channel, n=n)

    def unknown_receipts(self, channel: str, n: int = 1) -> None:
        self.count("pombo_unknown_receipts", channel, n=n)

    def auth_failure(self, reason: str) -> None:
        self.count("pombo_auth_failures", reason)

    def rejected(self, account: str, status: str, n: int = 1) -> None:
        self.count("pombo_rejected", account, status, n=n)

    # -- for whoever adds up several processes

    def told(self) -> tuple[Counted, Timed]:
        """Everything counted and timed so far."""
        self._settle()
        counted: Counted = []
        for name, family in self._families.items():
            for metric in family.collect():
                counted += [
                    ((name, *(sample.labels[label] for label in COUNTERS[name][1])), sample.value)
                    for sample in metric.samples
                    if sample.name == f"{name}_total"
                ]
        return counted, [(key, list(timed.counts), timed.total) for key, timed in self._timed.items()]

    def add(self, counted: Counted, timed: Timed) -> None:
        """What another process has counted and timed counts here as well. Metrics that are not known are left out."""
        for (name, *labels), n in counted:
            if name in COUNTERS and len(labels) == len(COUNTERS[name][1]):
                self.count(name, *labels, n=n)
        for key, counts, total in timed:
            if key[0] in HISTOGRAMS and len(counts) == len(HISTOGRAMS[key[0]][2]) + 1:
                mine = self._timed.setdefault(key, _Durations(HISTOGRAMS[key[0]][2]))
                mine.counts = [one + more for one, more in zip(mine.counts, counts, strict=True)]
                mine.total += total

    def forget_durations(self) -> None:
        """Before they are added up anew."""
        self._timed.clear()

    def measured(self) -> list[Gauge]:
        """All gauges as they are now."""
        return list(self._gauges())

    def page(self) -> bytes:
        """The Prometheus text page."""
        return generate_latest(self.registry)


class _Settle:
    """A collector without metrics of its own: whoever asks the registry gets settled counts."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        self._metrics._settle()
        return ()


class _Gauges:
    """A collector for what is read when somebody asks: gauges and the durations."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        families = {name: GaugeMetricFamily(name, text, labels=labels) for name, (text, labels) in GAUGES.items()}
        for name, labels, value in self._metrics._gauges():
            families[name].add_metric(labels, value)
        yield from families.values()
        yield from self._histograms()

    def _histograms(self) -> Iterable[Metric]:
        found = {
            name: HistogramMetricFamily(name, text, labels=labels) for name, (text, labels, _) in HISTOGRAMS.items()
        }
        for name, (_, labels, bounds) in HISTOGRAMS.items():
            if not labels:  # always there, as the library would have it
                self._metrics._timed.setdefault((name,), _Durations(bounds))
        for (name, *values), timed in self._metrics._timed.items():
            upto = accumulate(timed.counts)
            buckets = [
                (floatToGoString(bound), n) for bound, n in zip((*timed.bounds, float("inf")), upto, strict=True)
            ]
            found[name].add_metric(values, buckets, timed.total)
        yield from found.values()


class _Durations:
    """How many durations fell under each bound, and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds, self.counts, self.total = bounds, [0] * (len(bounds) + 1), 0.0
