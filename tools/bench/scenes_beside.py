"""Scenes with something beside the gateway and the load tool: a WhatsApp provider, TLS, a slow operator."""

from __future__ import annotations

import json
from typing import Any

from gateway.messages.message import Priority
from tools.bench import configurations as made
from tools.bench.loadtool import LoadError
from tools.bench.scenes import Bench, Scene, counted
from tools.bench.stage import STEADY_RATE, Stage
from tools.bench.table import Figures
from tools.bench.waiting import leave_waiting
from tools.certificate import write_certificate
from tools.ports import free_port

PEOPLE = ("--prefix", "551197", "--pool", "10000000")  # mobile numbers of São Paulo, each of them once
LOOKUP_MS = 150
CAP, CAPPED_ANSWER_MS = 150, 200
URGENT_RATE, LOW_RATE = 50, 500
PATIENCE_S = 60.0


def lookups(bench: Bench, asks: bool) -> Figures:
    """SMS to people of whom nothing is known: WhatsApp is asked first whether they have it, or nobody is."""
    with bench.stage(
        lambda place: made.with_lookup(place, asks), before=lambda stage: _open_whatsapp(stage, everybody=False)
    ) as stage:
        steady = stage.steady(bench.sizes.steady_s, *PEOPLE)
        start = ("--start", str(int(STEADY_RATE * bench.sizes.steady_s)))
        figures = stage.saturate(bench.sizes.count, *PEOPLE, *start)
    figures |= {"steady_answer_p99_ms": steady["answer_p99_ms"], "wrong": figures["wrong"] + steady["wrong"]}
    return counted(figures, stage)


def whatsapp(bench: Bench) -> Figures:
    """Texts that WhatsApp takes, each with two webhooks."""
    with bench.stage(
        made.whatsapp_only, operator=None, before=lambda stage: _open_whatsapp(stage, everybody=True)
    ) as stage:
        return stage.saturate(bench.sizes.whatsapp_count, *PEOPLE, ceiling=True)


def _open_whatsapp(stage: Stage, everybody: bool) -> None:
    ports = ("--port", str(stage.place.other), "--webhook-port", str(stage.place.http))
    people = ("--everybody",) if everybody else ("--lookup-ms", str(LOOKUP_MS))
    stage.helper("tools.bench.whatsapp_stub", *ports, *people)


def tls(bench: Bench) -> Figures:
    """The billing system over TLS, by a relay, which takes its share of the processor."""
    relay = free_port()

    def configure(place: made.Place) -> made.Configuration:
        key, shown = place.directory / "key.pem", place.directory / "certificate.pem"
        write_certificate(key, shown, "bench")
        return made.over_tls(place, key, shown)

    with bench.stage(configure) as stage:
        shown = str(stage.place.directory / "certificate.pem")
        stage.helper("tools.bench.tls_relay", "--port", str(relay), "--to", str(stage.place.other), "--trust", shown)
        figures = stage.saturate(bench.sizes.count, port=relay)
    return counted(figures, stage)


def urgent(bench: Bench) -> Figures:
    """Urgent messages at an operator that is busy with others without end. What is told is how long it takes from the
    submit to the receipt of an operator that gives it at once: the message reached it within that time."""
    with bench.stage(
        lambda place: made.urgent_first(place, LOW_RATE),
        operator=("--dlr-window", "2000", "--dlr-delay", "0"),
        before=lambda stage: leave_waiting(
            stage.gateway.store_directory, bench.sizes.low_waiting, "operator", Priority.LOW
        ),
    ) as stage:
        count = int(URGENT_RATE * bench.sizes.urgent_s)
        said = stage.load(count, "--rate", str(URGENT_RATE)).wait()
        left = queue_of(stage, "operator")
    if left == 0:
        raise LoadError("no message waited any more at the end: the urgent ones had nothing to overtake")
    return {"p99_ms": said["receipt_ms"]["p99"], "wrong": said["receipts_missing"] + said["receipts_dup"], "left": left}


def queue_of(stage: Stage, channel: str) -> int:
    """How many messages wait for a channel."""
    return next(one["queue"] for one in stage.node.status()["channels"] if one["name"] == channel)


def capped(bench: Bench) -> Figures:
    """An operator with a cap that answers slowly; everything waits for it from the start."""
    count = int(CAP * bench.sizes.capped_s)
    helper: list[Any] = []

    def open_operator(stage: Stage) -> None:
        options = ("--port", str(stage.place.operator), "--count", str(count), "--answer-ms", str(CAPPED_ANSWER_MS))
        helper.append(stage.helper("tools.bench.capped_operator", *options))

    with bench.stage(lambda place: made.capped(place, CAP), operator=None, before=open_operator) as stage:
        stage.tool.esme(stage.place.smpp, count).wait()
        said, _ = helper[0].communicate(timeout=bench.sizes.capped_s + PATIENCE_S)
    seen: dict[str, float] = json.loads(said.splitlines()[-1])
    return {"per_s": seen["per_s"], "busiest_second": seen["busiest_second"]}


SCENES = (
    Scene("no-lookup", lambda bench: lookups(bench, False)),
    Scene("lookup", lambda bench: lookups(bench, True)),
    Scene("whatsapp", whatsapp),
    Scene("tls", tls),
    Scene("urgent", urgent, most_rounds=3),
    Scene("capped", capped, most_rounds=3),
)
