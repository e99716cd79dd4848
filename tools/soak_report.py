"""What a soak run came to: books, handsets and kills held against each other. Plain functions over values."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from statistics import median

import msgspec

from tools.books import Audit, Books, End
from tools.journal import Entry
from tools.outside import answer_after_s
from tools.soak_audit import Left
from tools.soak_world import WINDOW, Plan

WITHIN_S = 0.5  # an answer so young at a kill may not have been written down
BACK_S = 15.0  # R2: so soon after the return of who was away work goes on
RECOVERED_S = 10.0  # after a kill, egress is not compared for so long
WAITING_S = 1.0  # a channel has this much work before it when its rate is compared


class Kill(msgspec.Struct, frozen=True):
    """One kill -9."""

    at: float
    victim: str
    back_at: float  # of gateway and store: when submits were taken again; until then no word reached the store


class Look(msgspec.Struct, frozen=True):
    """What the gateway said of its operator channel, once a second."""

    at: float
    queued: int
    loaded: bool  # was there ingress?


class Report(msgspec.Struct, frozen=True):
    """The outcome."""

    plan: Plan
    kills: list[Kill]
    stalls: list[Kill]  # the machine itself stood still
    submitted: int
    answered: int
    refusals: dict[int, int]
    unanswered: int
    reached: dict[str, int]  # messages by the peer that reached the handset
    audit: Audit
    left: Left
    receipts: dict[str, int]  # by stat
    receipts_twice: int
    in_flight: int  # with a peer that had not answered, or only just, at a kill
    unexplained: list[str]  # numbers reached twice that were not
    contended: float  # segments a second to the operator, with ingress and a queue; 0: not seen
    uncontended: float  # the same without ingress
    # From a kill of gateway or store to the first submit that was answered OK; with long outages from the return of
    # who was away to that, or to the first text that it was given.
    back_s: list[float]
    use: list[tuple[float, float]]  # during long outages: the gateway's share of a core, and lines it logged a second
    answer_ms: tuple[float, float]  # median and 99 %
    exit_status: int | None
    stop_s: float

    @property
    def good(self) -> bool:
        """Was every promise kept?"""
        most_held = sum(kill.victim in ("gateway", "both", "operator", "worker") for kill in self.kills) * WINDOW
        in_time = not self.plan.away_s or max(self.back_s, default=0.0) <= BACK_S
        return (
            self.audit.balanced and self.left.nothing and not self.unexplained and len(self.audit.held) <= most_held
            and self.exit_status == 0 and self.stop_s <= 10.0 and in_time
        )  # fmt: skip

    def lines(self) -> list[str]:
        """The report, a row each."""
        audit, plan = self.audit, self.plan
        victims = Counter(kill.victim for kill in self.kills)
        rows = [
            ("load", f"{plan.rate:g} messages/s for {plan.duration_s:g} s, seed {plan.seed}"),
            ("kills", f"{len(self.kills)}: " + ", ".join(f"{who} {n}" for who, n in sorted(victims.items()))),
            ("the machine stood still", f"{len(self.stalls)} times, "
                                        f"{sum(one.back_at - one.at for one in self.stalls):.0f} s"),
            ("submitted", f"{self.submitted}"),
            ("answered OK", f"{self.answered}"),
            ("refused", ", ".join(f"0x{status:02X} {n}" for status, n in sorted(self.refusals.items())) or "0"),
            ("met a crash unanswered", f"{self.unanswered}"),
            ("reached", ", ".join(f"by {who} {n}" for who, n in sorted(self.reached.items())) or "0"),
            ("receipts", ", ".join(f"{stat} {n}" for stat, n in sorted(self.receipts.items())) or "0"),
            ("LOST", f"{len(audit.lost) + len(audit.unknown)}"),
            ("FINAL TWICE", f"{len(audit.final_twice)}"),
            ("RECEIPTS MISSING", f"{len(audit.receipts_missing)}"),
            ("receipt and store disagree", f"{len(audit.misreported)}"),
            ("refused, and sent all the same", f"{len(audit.refused_and_sent)}"),
            ("held: died with a link, reported EXPIRED", f"{len(audit.held)}"),
            ("sent twice to a handset", f"{len(audit.reached_twice)}, of {self.in_flight} in flight at the kills"),
            ("  of these not in flight at any kill", f"{len(self.unexplained)}"),
            ("receipts that came twice", f"{self.receipts_twice}"),
            ("left in the store", f"{self.left.unfinished} messages, {self.left.receipts} receipts, "
                                  f"{self.left.in_hand} in hand"),
            ("egress under ingress", _share(self.contended, self.uncontended)),
            ("submit answered", f"{self.answer_ms[0]:.1f} ms median, {self.answer_ms[1]:.1f} ms at 99 %"),
            ("work goes on after a return" if plan.away_s else "submits again after a kill", _spread(self.back_s)),
            *([("gateway meanwhile, at most", _use(self.use))] if self.use else []),
            ("SIGTERM", f"exit status {self.exit_status} after {self.stop_s:.1f} s"),
            ("VERDICT", "every promise kept" if self.good else "A PROMISE WAS BROKEN"),
        ]  # fmt: skip
        return [f"{name:<42} {value}" for name, value in rows]

    def markdown(self) -> str:
        """The same as a table."""
        cells = [(line[:42].strip(), line[43:]) for line in self.lines()]
        return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in cells)]) + "\n"


def _share(contended: float, uncontended: float) -> str:
    if not contended or not uncontended:
        return "not compared: the queue was never long enough"
    return f"{contended:.0f}/s with, {uncontended:.0f}/s without: {contended / uncontended:.0%}"


def _use(seen: Sequence[tuple[float, float]]) -> str:
    return f"{max(share for share, _ in seen):.1%} of a core, {max(lines for _, lines in seen):.2f} log lines/s"


def _spread(values: Sequence[float]) -> str:
    return f"{median(values):.1f} s median, {max(values):.1f} s at most" if values else "not seen"


def reached(operator: Iterable[Entry], provider: Iterable[Entry]) -> Counter[tuple[str, str]]:
    """How often each peer reached each number: (peer, number)."""
    seen = Counter(("operator", entry.number) for entry in operator if entry.what == "submit" and not entry.status)
    seen.update(("provider", entry.number) for entry in provider if entry.what == "delivered")
    return seen


def in_flight(kills: Sequence[Kill], operator: Iterable[Entry], provider: Iterable[Entry]) -> set[str]:
    """The numbers whose text was with a peer while it, the gateway or the store could not tell or hear what became of
    it. An operator answers in time; when a provider was heard, its journal says."""
    spans = [
        (entry.number, entry.at, entry.at + answer_after_s(entry.number[-1]) + WITHIN_S)
        for entry in operator
        if entry.what == "submit" and not entry.status
    ]
    provider = list(provider)
    told = {(entry.number, entry.id): entry.at for entry in provider if entry.what == "told-delivered"}
    spans += [
        (entry.number, entry.at, told.get((entry.number, entry.id), math.inf) + WITHIN_S)
        for entry in provider
        if entry.what == "send" and not entry.status
    ]
    return {
        number
        for number, began, known_at in spans
        if any(began <= kill.back_at and kill.at <= known_at for kill in kills)
    }


def egress(looks: Sequence[Look], kills: Sequence[Kill], operator: Iterable[Entry], rate: float) -> tuple[float, float]:
    """Segments a second to the operator while its queue was long: with ingress and without; 0 where never seen."""
    taken = Counter(int(entry.at) for entry in operator if entry.what == "submit")
    rates: dict[bool, list[int]] = {True: [], False: []}
    for before, look in pairwise(looks):
        steady = before.loaded == look.loaded and min(before.queued, look.queued) >= rate * WAITING_S
        disturbed = any(kill.at - 1.0 <= look.at <= kill.at + RECOVERED_S for kill in kills)
        if steady and not disturbed and look.at - before.at < 2.0:
            rates[look.loaded].append(taken[int(before.at)])
    with_ingress, without = (sum(some) / len(some) if some else 0.0 for some in (rates[True], rates[False]))
    return with_ingress, without


def make_report(
    *, plan: Plan, kills: list[Kill], stalls: list[Kill], books: Books, submitted: int,
    ends: Mapping[str, End], left: Left,
    operator: list[Entry], provider: list[Entry], looks: list[Look], back_s: list[float],
    use: list[tuple[float, float]], answer_s: list[float],
    exit_status: int | None, stop_s: float,
) -> Report:  # fmt: skip
    """Hold everything against everything."""
    seen = reached(operator, provider)
    by_number: Counter[str] = Counter()
    for (_, number), times in seen.items():
        by_number[number] += times
    audit = books.audit(ends, by_number)
    doubtful = in_flight([*kills, *stalls], operator, provider)
    ordered = sorted(answer_s) or [0.0]
    stats: Counter[str] = Counter()
    for said in books.stats.values():
        stats.update(set(said))
    contended, uncontended = egress(looks, kills, operator, plan.operator_rate)
    return Report(
        plan=plan, kills=kills, stalls=stalls, submitted=submitted,
        answered=len(books.accepted), refusals=dict(books.refusals),
        unanswered=len(books.unanswered),
        reached=dict(Counter(peer for peer, _ in seen)), audit=audit, left=left, receipts=dict(stats),
        receipts_twice=books.receipts_twice, in_flight=len(doubtful),
        unexplained=[number for number in audit.reached_twice if number not in doubtful],
        contended=contended, uncontended=uncontended, back_s=back_s, use=use,
        answer_ms=(ordered[len(ordered) // 2] * 1000, ordered[int(len(ordered) * 0.99)] * 1000),
        exit_status=exit_status, stop_s=stop_s,
    )  # fmt: skip
