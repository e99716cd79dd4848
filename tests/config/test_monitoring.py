"""Alert rules and the dashboard: each metric and label they name exists, and Prometheus itself accepts the rules."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from gateway.metrics import COUNTERS, GAUGES, HISTOGRAMS

MONITORING = Path(__file__).resolve().parents[2] / "config/monitoring"
ALERTS_PAGE = (MONITORING.parents[1] / "docs/alerts.md").read_text(encoding="utf-8")
RULES = [
    rule
    for group in yaml.safe_load((MONITORING / "pombo-alerts.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
DASHBOARD = json.loads((MONITORING / "pombo-dashboard.json").read_text(encoding="utf-8"))
QUERIES = [rule["expr"] for rule in RULES] + [
    target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]
]
LABELS = {f"{name}_total": set(labels) for name, (_, labels) in COUNTERS.items()}
LABELS |= {name: set(labels) for name, (_, labels) in GAUGES.items()}
LABELS |= {f"{name}_bucket": {*labels, "le"} for name, (_, labels, _) in HISTOGRAMS.items()}
FROM_PROMETHEUS = {"instance", "job"}
promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)")


@pytest.mark.parametrize("query", QUERIES)
def test_every_metric_and_label_of_a_query_exists(query: str) -> None:
    named = re.findall(r"\b(pombo_\w+)", re.sub(r'"[^"]*"', '""', query))
    assert named or "up{" in query
    assert set(named) <= set(LABELS)
    known = FROM_PROMETHEUS.union(*(LABELS[name] for name in named))
    wanted = re.findall(r"\b(?:by|on) \(([^)]*)\)", query) + re.findall(r"\{([^}]*)\}", query)
    labels = {re.split(r"=|!", one)[0].strip() for text in wanted for one in text.split(",") if one.strip()}
    assert labels <= known


def test_every_alert_has_its_section_and_its_case() -> None:
    names = [rule["alert"] for rule in RULES]
    assert re.findall(r"^## (\w+)$", ALERTS_PAGE, re.MULTILINE) == names
    for rule in RULES:
        assert rule["annotations"]["runbook_url"] == f"docs/alerts.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("page", "ticket")
    cases = yaml.safe_load((MONITORING / "pombo-alerts.test.yml").read_text(encoding="utf-8"))["tests"]
    rung = {one["alertname"] for case in cases for one in case["alert_rule_test"] if one["exp_alerts"]}
    assert rung == set(names)


def test_the_dashboard_has_room_for_each_panel() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    seen: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24 and not cells & seen
        seen |= cells


@promtool
@pytest.mark.parametrize(
    "words", [("check", "config", "prometheus.yml"), ("test", "rules", "pombo-alerts.test.yml")], ids="-".join
)
def test_prometheus_accepts_the_files_and_the_alerts_ring_as_they_should(words: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *words], cwd=MONITORING, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr


@promtool
def test_prometheus_accepts_the_page_of_metrics() -> None:
    from prometheus_client import CollectorRegistry

    from gateway.metrics import Metrics

    metrics = Metrics(CollectorRegistry())
    for name, (_, labels) in COUNTERS.items():
        metrics.count(name, *labels)
    metrics.gauges(lambda: [(name, labels, 1.0) for name, (_, labels) in GAUGES.items()])
    done = subprocess.run(["promtool", "check", "metrics"], input=metrics.page(), capture_output=True, timeout=60)
    wrong = [line for line in done.stderr.decode().splitlines() if "_created" not in line]
    assert not [line for line in wrong if "error" in line.lower()], wrong
