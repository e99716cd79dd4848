"""Metrics and status of several workers as those of one node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from gateway.metrics import Gauge, Metrics
from gateway.workers.kept import Kept, read
from gateway.workers.sums import Sums, Tally, gauges_of, status_of, tally_of


def samples(page: bytes) -> dict[tuple[str, ...], float]:
    """(name, label values ...) -> value of a page."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def counted(n: float, seconds: float = 0.02) -> Metrics:
    metrics = Metrics()
    metrics.count("pombo_submitted", "billing", n=n)
    metrics.count("pombo_saved", n=n / 2)
    metrics.observe("pombo_ack_seconds", seconds)
    metrics.observe("pombo_delivery_seconds", seconds, "operator")
    return metrics


def test_counters_and_durations_are_sums() -> None:
    found = samples(Sums().page({1: tally_of(counted(3)), 2: tally_of(counted(4, 0.2))}))
    assert found["pombo_submitted_total", "billing"] == 7
    assert found["pombo_saved_total",] == 3.5
    assert found["pombo_ack_seconds_count",] == 2
    assert abs(found["pombo_ack_seconds_sum",] - 0.22) < 1e-9
    assert found["pombo_ack_seconds_bucket", "0.025"] == 1
    assert found["pombo_delivery_seconds_count", "operator"] == 2


def test_the_sum_of_one_worker_is_its_own_page() -> None:
    metrics = counted(3)
    metrics.gauges(lambda: [("pombo_binds", ("server", "billing"), 2.0), ("pombo_unfinished", (), 5.0)])
    own, sums = samples(metrics.page()), samples(Sums().page({1: tally_of(metrics)}))
    made_at = {key for key in own if key[0].endswith("_created")}
    assert made_at == {key for key in sums if key[0].endswith("_created")}
    assert {key: own[key] for key in set(own) - made_at} == {key: sums[key] for key in set(sums) - made_at}


def test_looking_twice_counts_nothing_twice() -> None:
    sums, one = Sums(), counted(3)
    sums.page({1: tally_of(one)})
    one.count("pombo_submitted", "billing", n=2)
    found = samples(sums.page({1: tally_of(one)}))
    assert found["pombo_submitted_total", "billing"] == 5
    assert found["pombo_ack_seconds_count",] == 1


def test_a_worker_that_does_not_answer_keeps_its_counts_and_has_no_gauges() -> None:
    sums, one, other = Sums(), counted(3), counted(4)
    for metrics in (one, other):
        metrics.gauges(lambda: [("pombo_binds", ("server", "billing"), 2.0)])
    first = samples(sums.page({1: tally_of(one), 2: tally_of(other)}))
    assert (first["pombo_submitted_total", "billing"], first["pombo_binds", "billing", "server"]) == (7, 4)
    later = samples(sums.page({1: tally_of(one)}))
    assert (later["pombo_submitted_total", "billing"], later["pombo_binds", "billing", "server"]) == (7, 2)


def test_a_worker_that_has_begun_anew_makes_no_sum_less() -> None:
    sums = Sums()
    sums.page({1: tally_of(counted(3)), 2: tally_of(counted(4))})
    found = samples(sums.page({1: tally_of(counted(3)), 2: tally_of(counted(1))}))
    assert found["pombo_submitted_total", "billing"] == 7


def test_gauges_of_one_store_are_not_added_up() -> None:
    def tally(*gauges: Gauge) -> Tally:
        return Tally(gauges=list(gauges))

    found = gauges_of(
        [
            tally(
                ("pombo_binds", ("client", "operator"), 1.0),
                ("pombo_queue_depth", ("operator", "low"), 7.0),
                ("pombo_store_writable", (), 1.0),
                ("pombo_channel_up", ("zap",), 0.0),
            ),
            tally(
                ("pombo_binds", ("client", "operator"), 2.0),
                ("pombo_queue_depth", ("operator", "low"), 9.0),
                ("pombo_store_writable", (), 0.0),
                ("pombo_channel_up", ("zap",), 1.0),
            ),
        ]
    )
    assert found == [
        ("pombo_binds", ("client", "operator"), 3.0),
        ("pombo_queue_depth", ("operator", "low"), 9.0),
        ("pombo_store_writable", (), 0.0),
        ("pombo_channel_up", ("zap",), 1.0),
    ]


def test_the_follower_of_a_dead_worker_goes_on_where_that_ended(tmp_path: Path) -> None:
    path = tmp_path / "2.counts"
    dead = counted(4)
    Kept(path, dead).go_on()  # nobody was before it
    assert Kept(path, dead).keep().counted == dead.told()[0]
    follower = Metrics()
    Kept(path, follower).go_on()
    follower.count("pombo_submitted", "billing")
    found = samples(follower.page())
    assert found["pombo_submitted_total", "billing"] == 5
    assert found["pombo_delivery_seconds_count", "operator"] == 1


def test_a_damaged_tally_is_none(tmp_path: Path) -> None:
    path = tmp_path / "1.counts"
    path.write_bytes(b"\x93")
    assert read(path) is None
    path.write_bytes(b"")
    assert read(path) is None


def test_what_an_older_version_counted_and_this_one_does_not_know_is_left_out() -> None:
    metrics = Metrics()
    metrics.add([(("pombo_gone", "x"), 1.0), (("pombo_submitted",), 1.0)], [(("pombo_ack_seconds",), [1], 1.0)])
    counted, timed = metrics.told()
    assert [key for key, n in counted if n] == timed == []


# -- status


def part(binds: int, **channel: Any) -> dict[str, Any]:
    return {
        "node": "gw1-1",
        "dry_run": False,
        "accounts": [
            {
                "system_id": "billing",
                "binds": [{"type": "receiver", "peer": f"p{n}", "since": f"{9 - n}"} for n in range(binds)],
                "receipts_pending": binds,
            }
        ],
        "channels": [
            {
                "name": "operator", "kind": "smsc", "up": False, "binds": 1, "queue": 3, "oldest_seconds": 1.5,
                "inflight": 2, "quarantined": False, **channel,
            }
        ],
    }  # fmt: skip


def test_the_status_of_two_workers_is_that_of_one_node() -> None:
    found = status_of("gw1", [part(2), part(1, up=True, queue=4, senders=[{"name": "main"}])])
    assert found["node"] == "gw1"
    (account,) = found["accounts"]
    assert [bind["since"] for bind in account["binds"]] == ["8", "9", "9"]
    assert account["receipts_pending"] == 2
    assert found["channels"] == [
        {
            "name": "operator", "kind": "smsc", "up": True, "binds": 2, "queue": 4, "oldest_seconds": 1.5,
            "inflight": 4, "quarantined": False, "senders": [{"name": "main"}],
        }
    ]  # fmt: skip


def test_the_status_of_one_worker_is_what_it_says() -> None:
    alone = part(2)
    assert status_of("gw1-1", [alone]) == {
        **alone,
        "accounts": [{**alone["accounts"][0], "binds": alone["accounts"][0]["binds"][::-1]}],
    }
