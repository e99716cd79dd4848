"""Every name and label of the metrics, and nothing else: dashboards and alerts rely on them."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from gateway.metrics import Gauge, Metrics

COUNTERS = {
    "pombo_submitted": {"account"},
    "pombo_rejected": {"account", "status"},
    "pombo_sent": {"channel"},
    "pombo_final": {"channel", "state"},
    "pombo_fallback": {"from_channel", "to_channel", "reason"},
    "pombo_lookup": {"channel", "result", "origin"},
    "pombo_receipts": {"account", "state"},
    "pombo_late_acks": {"channel"},
    "pombo_unknown_receipts": {"channel"},
    "pombo_cost": {"channel"},
    "pombo_saved": set[str](),
    "pombo_throttled": {"channel"},
    "pombo_unmatched": {"channel"},
    "pombo_unknown_errors": {"channel"},
    "pombo_sender_sent": {"channel", "sender"},
    "pombo_sender_moves": {"channel", "from_sender", "to_sender", "reason"},
    "pombo_auth_failures": {"reason"},
    "pombo_store_losses": set[str](),
}
GAUGES = {
    "pombo_binds": ("side", "name"),
    "pombo_queue_depth": ("channel", "priority"),
    "pombo_queue_oldest_seconds": ("channel",),
    "pombo_receipts_pending": ("account",),
    "pombo_inflight": ("channel",),
    "pombo_channel_up": ("channel",),
    "pombo_sender_up": ("channel", "sender"),
    "pombo_channel_quarantined": ("channel",),
    "pombo_unfinished": (),
    "pombo_unfinished_limit": (),
    "pombo_store_writable": (),
    "pombo_store_used_bytes": (),
    "pombo_store_limit_bytes": (),
    "pombo_store_disk_free_bytes": (),
    "pombo_clock_off_seconds": (),
}
HISTOGRAMS = {
    "pombo_ack_seconds": (),
    "pombo_lookup_seconds": ("channel",),
    "pombo_delivery_seconds": ("channel",),
    "pombo_store_seconds": (),
}


def values(metrics: Metrics, name: str) -> list[tuple[dict[str, str], float]]:
    """The samples of one name, as a scraper reads them."""
    metrics.page()
    return [
        (sample.labels, sample.value)
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == name
    ]


@pytest.mark.parametrize("name", COUNTERS)
def test_a_counter_has_its_name_and_its_labels(name: str) -> None:
    metrics = Metrics(CollectorRegistry())
    labels = sorted(COUNTERS[name])
    metrics.count(name, *labels)
    metrics.count(name, *labels, n=2.5)
    ((found, value),) = values(metrics, f"{name}_total")
    assert set(found) == COUNTERS[name]
    assert value == 3.5


@pytest.mark.parametrize("name", GAUGES)
def test_a_gauge_has_its_name_and_its_labels_and_is_read_when_somebody_asks(name: str) -> None:
    metrics = Metrics(CollectorRegistry())
    seen: list[Gauge] = []
    metrics.gauges(lambda: seen)
    assert values(metrics, name) == []
    seen.append((name, GAUGES[name], 7.0))
    assert values(metrics, name) == [({label: label for label in GAUGES[name]}, 7.0)]


@pytest.mark.parametrize("name", HISTOGRAMS)
def test_a_histogram_has_its_name_and_its_labels(name: str) -> None:
    metrics = Metrics(CollectorRegistry())
    for seconds in (0.0001, 0.3, 100_000.0):
        metrics.observe(name, seconds, *HISTOGRAMS[name])
    ((labels, count),) = values(metrics, f"{name}_count")
    assert (set(labels), count) == (set(HISTOGRAMS[name]), 3)
    ((_, total),) = values(metrics, f"{name}_sum")
    assert total == pytest.approx(100_000.3001)
    buckets = {labels["le"]: value for labels, value in values(metrics, f"{name}_bucket")}
    assert buckets["+Inf"] == 3
    assert buckets["0.25"] == 1
    assert buckets["0.5"] == 2


def test_there_is_nothing_else_but_two_counts_of_our_own() -> None:
    metrics = Metrics(CollectorRegistry())
    named = {family.name for family in metrics.registry.collect()}
    assert named - set(COUNTERS) - set(GAUGES) - set(HISTOGRAMS) == {"pombo_background_failures", "pombo_unanswered"}


def test_the_shorthands_of_channels_and_servers_count_under_the_right_names() -> None:
    metrics = Metrics(CollectorRegistry())
    metrics.sent("operator", 5)
    metrics.lookup("zap", "inactive", "provider", 0.2)
    metrics.lookup("zap", "active", "cache", 0.0)
    metrics.throttled("operator")
    metrics.unknown_receipts("operator", 2)
    metrics.auth_failure("password")
    metrics.rejected("billing", "ESME_RTHROTTLED", 3)
    metrics.ack_seconds([0.0], 0.004)
    assert values(metrics, "pombo_sent_total") == [({"channel": "operator"}, 5.0)]
    assert values(metrics, "pombo_lookup_seconds_count") == [({"channel": "zap"}, 1.0)], "memory answers are no lookups"
    assert len(values(metrics, "pombo_lookup_total")) == 2
    assert values(metrics, "pombo_throttled_total") == [({"channel": "operator"}, 1.0)]
    assert values(metrics, "pombo_unknown_receipts_total") == [({"channel": "operator"}, 2.0)]
    assert values(metrics, "pombo_auth_failures_total") == [({"reason": "password"}, 1.0)]
    assert values(metrics, "pombo_rejected_total") == [({"account": "billing", "status": "ESME_RTHROTTLED"}, 3.0)]
    assert values(metrics, "pombo_ack_seconds_count") == [({}, 1.0)]


def test_a_page_is_text_and_two_nodes_in_one_process_do_not_mix() -> None:
    one, other = Metrics(CollectorRegistry()), Metrics(CollectorRegistry())
    one.sent("zap")
    assert b'pombo_sent_total{channel="zap"} 1.0' in one.page()
    assert b"pombo_sent_total{" not in other.page()
    assert one.page().count(b'pombo_sent_total{channel="zap"} 1.0') == 1, "looking counts nothing again"
