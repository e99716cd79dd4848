"""What is set up and measured: the SMS path in its forms. Each scene gives figures; rows.py makes rows of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from tools.bench import configurations as made
from tools.bench.loadtool import LoadError, LoadTool
from tools.bench.stage import Stage
from tools.bench.table import Figures
from tools.node import NodeError

PART_OCTETS = 400  # of a text that needs three parts in GSM-7
SCRAPE_S = 5.0
UNANSWERED = 400  # submits, of all sessions together
AT_ONCE = 100  # connections from one address that have not bound yet; the gateway closes what is beyond its limit


class Sizes(msgspec.Struct, frozen=True):
    """How much of everything."""

    rounds: int = 5
    count: int = 40_000  # messages of a load at saturation
    steady_s: float = 6.0  # at 1,000 messages/s
    long_count: int = 15_000  # messages of three parts
    whatsapp_count: int = 20_000
    low_waiting: int = 500_000
    urgent_s: float = 20.0
    capped_s: float = 60.0
    growth_count: int = 1_000_000
    sessions: int = 1_000
    busy: int = 100
    few_waiting: int = 10_000
    many_waiting: int = 1_000_000
    accounts: int = 200
    routes: int = 500


FULL = Sizes()
QUICK = Sizes(
    rounds=1, count=4_000, steady_s=2.0, long_count=1_500, whatsapp_count=600, low_waiting=20_000, urgent_s=2.0,
    capped_s=4.0, growth_count=8_000, few_waiting=2_000, many_waiting=20_000,
)  # fmt: skip


class Bench(msgspec.Struct, frozen=True):
    """What every scene is given. room: where directories may be made."""

    tool: LoadTool
    room: Path
    sizes: Sizes

    def stage(self, configure: made.Configure, **more: object) -> Stage:
        return Stage(self.tool, self.room, configure, **more)  # type: ignore[arg-type]


class Scene(msgspec.Struct, frozen=True):
    """most_rounds: of the long ones, which are not played every round."""

    name: str
    play: Callable[[Bench], Figures]
    most_rounds: int = 1_000


def counted(figures: dict[str, float], stage: Stage) -> Figures:
    """With what the operator counted, once the stage has ended."""
    said = stage.operator_said
    doubled = said["duplicates"] + said["malformed"] + said["receipts_refused"]
    return figures | {"wrong": figures["wrong"] + doubled}


def plain(bench: Bench) -> Figures:
    """At rest, at a thousand a second, and as fast as it goes."""
    with bench.stage(made.plain) as stage:
        gateway_mb, store_mb = stage.resident_mb()
        steady = stage.steady(bench.sizes.steady_s)
        figures = stage.saturate(bench.sizes.count, ceiling=True)
    figures |= {f"steady_{name}": value for name, value in steady.items()}
    figures |= {"rest_mb": gateway_mb + store_mb, "wrong": figures["wrong"] + steady["wrong"]}
    return counted(figures, stage)


def features(bench: Bench) -> Figures:
    """With everything on, and somebody who reads the metrics."""
    with bench.stage(made.every_feature) as stage:
        over = threading.Event()
        reader = threading.Thread(target=_read_metrics, args=(stage, over), daemon=True)
        reader.start()
        try:
            figures = stage.saturate(bench.sizes.count)
        finally:
            over.set()
            reader.join(SCRAPE_S)
    return counted(figures, stage)


def _read_metrics(stage: Stage, over: threading.Event) -> None:
    while not over.wait(SCRAPE_S / 5):
        with suppress(NodeError):
            stage.node.ask("GET", "/metrics")


def parts(bench: Bench) -> Figures:
    """Long texts, which the operator gets in three parts. Rates are those of segments."""
    with bench.stage(made.plain) as stage:
        figures = stage.saturate(bench.sizes.long_count, "--len", str(PART_OCTETS))
    sent = stage.operator_said["submits"]
    if sent != 3 * bench.sizes.long_count:  # it cannot count doubles: the marker it looks for may be in a header
        raise LoadError(f"{bench.sizes.long_count} texts of three parts went out in {sent} parts")
    return figures | {name: figures[name] * 3 for name in ("answers_per_s", "receipts_per_s")}


def ucs2(bench: Bench) -> Figures:
    """The same octets, said to be UCS-2."""
    with bench.stage(made.plain) as stage:
        figures = stage.saturate(bench.sizes.count, ucs2=True)
    return counted(figures, stage)


def sessions(bench: Bench) -> Figures:
    """A thousand binds, of which a hundred submit, with as many submits unanswered in all as elsewhere. The silent ones
    are another account's, or they would get the receipts."""
    sizes = bench.sizes
    silent = sizes.sessions - sizes.busy
    with bench.stage(lambda place: made.with_accounts(place, [made.USER, "idle"])) as stage:
        bind = ("--port", str(stage.place.smpp), "--user", "idle", "--password", made.PASSWORD)
        stage.helper("tools.bench.silent_esmes", *bind, "--count", str(silent))
        figures = stage.saturate(sizes.count, "--sessions", str(sizes.busy), "--window", str(UNANSWERED // sizes.busy))
        [bound] = [len(one["binds"]) for one in stage.node.status()["accounts"] if one["system_id"] == "idle"]
    if bound < silent:
        raise LoadError(f"{silent} sessions should have stayed bound, {bound} have")
    return counted(figures, stage)


def processes(bench: Bench, workers: int) -> Figures:
    """The SMS path with an operator that allows two binds, as one process or as several."""
    with bench.stage(lambda place: made.with_binds(place, 2), workers=workers) as stage:
        figures = stage.saturate(bench.sizes.count)
    return counted(figures, stage)


SCENES = (
    Scene("plain", plain),
    Scene("one", lambda bench: processes(bench, 1)),
    Scene("two", lambda bench: processes(bench, 2)),
    Scene("features", features),
    Scene("parts", parts),
    Scene("ucs2", ucs2),
    Scene("sessions", sessions),
)
