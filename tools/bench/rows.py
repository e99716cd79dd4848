"""The rows of the table: which figure of which scene, against which goal. How each is measured is in the scenes."""

from __future__ import annotations

from collections.abc import Callable

from tools.bench.scenes import FULL, Sizes
from tools.bench.stage import DLR_DELAY_MS
from tools.bench.table import Goal, Round, Row

FLAT = 15.0  # %
NEAR = 65.0  # % of the plain figure


def figure(scene: str, name: str) -> Callable[[Round], float]:
    return lambda one: one[scene][name]


def share(scene: str, name: str, of: str = "plain") -> Callable[[Round], float]:
    """In percent."""
    return lambda one: 100 * one[scene][name] / one[of][name]


def dearer(scene: str, than: str) -> Callable[[Round], float]:
    """How much more processor time a message costs, in percent."""
    return lambda one: 100 * (one[scene]["cpu_us"] / one[than]["cpu_us"] - 1)


def added(one: Round) -> float:
    return one["plain"]["steady_receipt_p50_ms"] - DLR_DELAY_MS


def longer(one: Round) -> float:
    return one["lookup"]["steady_answer_p99_ms"] - one["no-lookup"]["steady_answer_p99_ms"]


def grown(one: Round) -> float:
    return 100 * (one["growth"]["after_mb"] / one["growth"]["warm_mb"] - 1)


def wrong(one: Round) -> float:
    return sum(figures.get("wrong", 0.0) for figures in one.values())


ROWS = (
    Row("sms", "SMS path, receipts end to end", ("plain",), figure("plain", "receipts_per_s"),
        Goal(25_000, or_ratio=0.028), "/s", of_tool="plain"),
    Row("workers", "with --workers 2, against one process", ("one", "two"), share("two", "receipts_per_s", "one"),
        Goal(100), "%"),
    Row("books", "missing, doubled, unknown or refused, all scenes together", ("plain",), wrong, Goal(0, "at most"),
        worst=True),
    Row("features", "the same with every production feature on", ("plain", "features"),
        share("features", "receipts_per_s"), Goal(85), "%"),
    Row("lookup-rate", "answers/s with every number looked up, 150 ms, against without", ("no-lookup", "lookup"),
        share("lookup", "answers_per_s", "no-lookup"), Goal(90), "%"),
    Row("lookup-p99", "and how much longer the answer p99 is at 1,000/s", ("no-lookup", "lookup"), longer,
        Goal(2, "at most"), "ms", 1),
    Row("whatsapp", "WhatsApp path, send and two webhooks", ("whatsapp",), figure("whatsapp", "receipts_per_s"),
        Goal(2_000), "/s", of_tool="whatsapp"),
    Row("parts", "texts of three parts, in segments", ("plain", "parts"), share("parts", "receipts_per_s"),
        Goal(NEAR), "%"),
    Row("ucs2", "UCS-2", ("plain", "ucs2"), share("ucs2", "receipts_per_s"), Goal(NEAR), "%"),
    Row("tls", "TLS", ("plain", "tls"), share("tls", "receipts_per_s"), Goal(NEAR), "%"),
    Row("answer-steady", "answer p99 at 1,000/s", ("plain",), figure("plain", "steady_answer_p99_ms"),
        Goal(5, "at most"), "ms", 1),
    Row("answer-full", "answer p99 at saturation", ("plain",), figure("plain", "answer_p99_ms"),
        Goal(25, "at most"), "ms", 1),
    Row("receipt", "what a receipt takes beyond the operator's time, p50 at 1,000/s", ("plain",), added,
        Goal(3, "at most"), "ms", 1),
    Row("urgent", "high priority while 500,000 low ones wait, submit to receipt, p99", ("urgent",),
        figure("urgent", "p99_ms"), Goal(1_000, "at most"), "ms"),
    Row("capped", "operator capped at 150/s that answers in 200 ms", ("capped",), figure("capped", "per_s"),
        Goal(142), "/s", 1),
    Row("capped-second", "and the most it was given in any second", ("capped",), figure("capped", "busiest_second"),
        Goal(150, "at most"), worst=True),
    Row("cpu", "processor time per message at saturation, gateway and store", ("plain",), figure("plain", "cpu_us"),
        Goal(50, "at most"), "µs"),
    Row("rest", "memory at rest, gateway and store", ("plain",), figure("plain", "rest_mb"), Goal(90, "at most"), "MB"),
    Row("growth", "and by how much the gateway grows over 1,000,000 messages", ("growth",), grown,
        Goal(10, "at most"), "%", 1),
    Row("sessions", "1,000 bound sessions, 100 of them busy, against 4", ("plain", "sessions"),
        share("sessions", "receipts_per_s"), Goal(90), "%"),
    Row("waiting", "cost of a message with 1,000,000 waiting, beyond that with 10,000", ("few", "many"),
        dearer("many", "few"), Goal(FLAT, "at most"), "%"),
    Row("accounts", "with 200 accounts, beyond that with one", ("account", "accounts"), dearer("accounts", "account"),
        Goal(FLAT, "at most"), "%"),
    Row("crowd", "with 200 accounts, beyond that with as many sessions of one", ("crowd", "accounts"),
        dearer("accounts", "crowd"), Goal(FLAT, "at most"), "%"),
    Row("routes", "with 500 routes, beyond that with one", ("plain", "routes"), dearer("routes", "plain"),
        Goal(FLAT, "at most"), "%"),
)  # fmt: skip


SMALLER: dict[str, Callable[[Sizes], str]] = {
    "urgent": lambda sizes: f"{sizes.low_waiting:,} waited",
    "growth": lambda sizes: f"over {sizes.growth_count:,} messages",
    "waiting": lambda sizes: f"{sizes.many_waiting:,} against {sizes.few_waiting:,}",
    "capped": lambda sizes: f"for {sizes.capped_s:g} s",
}


def smaller(row: Row, sizes: Sizes) -> str:
    """In what way a row was measured with less than its goal speaks of; "" when it was not."""
    return (
        SMALLER[row.name](sizes) if row.name in SMALLER and SMALLER[row.name](sizes) != SMALLER[row.name](FULL) else ""
    )


def chosen(names: str | None) -> tuple[Row, ...]:
    """All rows, or those named, separated by commas. ValueError names the ones there are."""
    if names is None:
        return ROWS
    known = {row.name: row for row in ROWS}
    unknown = [name for name in names.split(",") if name not in known]
    if unknown:
        raise ValueError(f"no row is called {', '.join(map(repr, unknown))}; there are {', '.join(known)}")
    return tuple(known[name] for name in names.split(","))
