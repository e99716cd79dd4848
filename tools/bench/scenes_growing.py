"""Scenes of what there can be much of: messages that wait, accounts, routes, messages that were."""

from __future__ import annotations

import time

from gateway.messages.message import Priority
from tools.bench import configurations as made
from tools.bench.scenes import AT_ONCE, UNANSWERED, Bench, Scene, counted
from tools.bench.stage import read
from tools.bench.table import Figures
from tools.bench.waiting import leave_waiting

WARM_SHARE = 0.05  # of the messages of the long load, after which its memory is looked at first
SETTLE_S = 2.0


def waiting(bench: Bench, count: int) -> Figures:
    """The usual load while so many messages wait for an operator that is away."""
    with bench.stage(
        made.with_absent_operator,
        before=lambda stage: leave_waiting(stage.gateway.store_directory, count, "away", Priority.NORMAL),
    ) as stage:
        figures = stage.saturate(bench.sizes.count)
    return counted(figures, stage)


def accounts(bench: Bench, count: int) -> Figures:
    """The usual load from so many accounts at once, a bind each, with as many submits unanswered in all.

    The accounts share few processes of the tool, where it can be made to: with one each, what is measured is how two
    hundred processes drive the gateway out of the processor and its caches."""
    each, shared = bench.sizes.count // count, bench.tool.numbered is not None
    sizes = [min(AT_ONCE, count - first) for first in range(0, count, AT_ONCE)] if shared else [1] * count
    names = [f"acc{group}-{n}" for group, size in enumerate(sizes) for n in range(size)]
    with bench.stage(lambda place: made.with_accounts(place, names)) as stage:
        before = stage.cpu_s()
        esmes = []
        for group, size in enumerate(sizes):
            user = f"acc{group}-%d" if shared else f"acc{group}-0"
            window = ("--sessions", str(size), "--window", str(UNANSWERED // count))
            esmes.append(stage.load(each * size, "--user", user, *window, numbered=shared))
        said = [esme.wait() for esme in esmes]
        cost = stage.per_message(before, sum(one["ok"] for one in said))
    return counted({"wrong": sum(read(one)["wrong"] for one in said)} | cost, stage)


def crowd(bench: Bench) -> Figures:
    """What the accounts of the busiest scene submit, from as many sessions of one account."""
    count = bench.sizes.accounts
    with bench.stage(made.plain) as stage:
        load = ("--sessions", str(count), "--window", str(UNANSWERED // count))
        figures = stage.saturate(bench.sizes.count, *load)
    return counted(figures, stage)


def routes(bench: Bench, count: int) -> Figures:
    """The usual load with so many routes, of which the last one matches."""
    with bench.stage(lambda place: made.with_routes(place, count)) as stage:
        figures = stage.saturate(bench.sizes.count)
    return counted(figures, stage)


def growth(bench: Bench) -> Figures:
    """Memory of the gateway over many messages that are forgotten soon."""
    count = bench.sizes.growth_count
    warm = int(count * WARM_SHARE)
    with bench.stage(made.forgetful) as stage:
        rest, _ = stage.resident_mb()
        stage.saturate(warm)
        time.sleep(SETTLE_S)
        before, _ = stage.resident_mb()
        figures = stage.saturate(count - warm)
        time.sleep(SETTLE_S)
        after, store = stage.resident_mb()
    memory = {"rest_mb": rest, "warm_mb": before, "after_mb": after, "store_mb": store}
    return counted(figures | memory, stage)


SCENES = (
    Scene("few", lambda bench: waiting(bench, bench.sizes.few_waiting), most_rounds=3),
    Scene("many", lambda bench: waiting(bench, bench.sizes.many_waiting), most_rounds=3),
    Scene("crowd", crowd),
    Scene("account", lambda bench: accounts(bench, 1)),
    Scene("accounts", lambda bench: accounts(bench, bench.sizes.accounts)),
    Scene("routes", lambda bench: routes(bench, bench.sizes.routes)),
    Scene("growth", growth, most_rounds=1),
)
