"""kill -9 at random moments under a steady load, for as long as you like: is anything lost, doubled or stuck? (R1)

    python -m tools.soak                                        the full run: 400/s, a kill every 20 to 60 s, 10 minutes
    python -m tools.soak --rate 200/s --time 2m --every 5s-15s  shorter and harder
    python -m tools.soak --workers 2 --victims worker,store     one of several processes, or the store that all have
    python -m tools.soak --rate 50/s --time 20m --victims frozen,operator,provider --away 5m-5m --validity 1h
                                                                long outages: each is away for five minutes (R2)

Gateway, embedded store, both, operator and WhatsApp provider are killed in turn and come back. The operator throttles
and leaves some submits unanswered. Books kept outside hold what was answered OK against final states, receipts and what
came to each handset. Exit status 0 when every promise was kept; the report is also written to a file.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
from argparse import ArgumentTypeError
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from tools.clock import pause
from tools.journal import Entry, Reader
from tools.node import NodeError
from tools.soak_audit import Left, StoreReader
from tools.soak_load import Load
from tools.soak_report import Kill, Look, Report, in_flight, make_report, reached
from tools.soak_world import FROZEN, VICTIMS, WORKER, Plan, World
from tools.units import fraction, per_second, seconds

LOOK_S, TELL_S = 0.1, 5.0
STALL_S = 2.0  # a machine that gives nobody a turn for so long stood still
START_S, STOP_S, MARGIN_S = 30.0, 20.0, 60.0
GATEWAY_AWAY_S, PEER_AWAY_S = (0.1, 1.0), (1.0, 3.0)  # until who was killed is started again
PEERS = ("operator", "provider")
WHATSAPP = 0.1  # of people; at 400/s half of them would take more than two cores, for all parts are on one machine
NODE, CHANNELS, ACCOUNT = "soak", ("zap", "operator"), "billing"
LOG_LINES, MOST_TRACES = 40, 6


class SoakError(Exception):
    """The run cannot go on, or does not end."""


class Soak:
    """One run."""

    def __init__(self, reactor: Any, plan: Plan, tell: Callable[[str], object] = lambda line: None) -> None:
        self.plan = plan
        self.world = World(plan)
        self.load = Load(reactor, plan, self.world.smpp_port, self.world.password)
        self.kills: list[Kill] = []
        self.looks: list[Look] = []
        self.stalls: list[Kill] = []
        self._back_s: list[float] = []
        self._use: list[tuple[float, float]] = []
        self._reactor, self._tell = reactor, tell
        self._random = random.Random(plan.seed)
        self._nodes = [f"{NODE}-{n + 1}" for n in range(plan.workers)] if plan.workers > 1 else [NODE]
        self._loaded = self._over = False
        self._readers = {peer: Reader(self.world.journal(peer)) for peer in ("operator", "provider")}
        self._entries: dict[str, list[Entry]] = {"operator": [], "provider": []}

    async def run(self) -> Report:
        """From the first start to the last; whatever happens, nothing is left behind."""
        world = self.world
        try:
            for who in ("operator", "provider", "gateway"):
                world.start(who)
            await self._until(self._up, START_S, "gateway and channels are up")
            self._began = self._reactor.seconds()
            self.load.bind()
            await self._until(lambda: self.load.bound == self.plan.binds, START_S, "the billing system is bound")
            watching = [Deferred.fromCoroutine(work) for work in (self._watch(), self._kill_now_and_then())]
            watching.append(Deferred.fromCoroutine(self._notice_stalls()))
            self._loaded = True
            await self.load.run()
            self._loaded = False
            self._say("the load has ended; waiting for what is under way")
            await watching[1]
            patience_s = self.plan.validity_s + MARGIN_S
            await self._until(lambda: self.load.books.settled == self.load.submitted, 60.0, "all submits are settled")
            reader = StoreReader(world.gateway.store_directory)
            left = await self._finished(reader, patience_s)
            await pause(self._reactor, 1.0)  # for receipts that should not come
            ends = await deferToThread(reader.ends, list(self.load.books.accepted))
            self._tell_of_doubles(reader)
            reader.close()
            self._over = True
            await watching[0]
            await watching[2]
            status, stop_s = await self._stop()
            self._read_journals()
            return make_report(
                plan=self.plan, kills=self.kills, stalls=self.stalls, books=self.load.books,
                submitted=self.load.submitted, ends=ends, left=left,
                operator=self._entries["operator"], provider=self._entries["provider"], looks=self.looks,
                back_s=self._back_s, use=self._use, answer_s=self.load.answer_s, exit_status=status, stop_s=stop_s,
            )  # fmt: skip
        finally:
            self._over = True
            self.load.stop()
            await deferToThread(world.close)

    # -- waiting

    async def _until(self, question: Callable[[], Any], patience_s: float, what: str) -> float:
        """How long it took. Time is counted in looks, so that a machine that stood still costs none."""
        for look in range(int(patience_s / LOOK_S) + 1):
            answer = question()
            if hasattr(answer, "__await__"):
                answer = await answer
            if answer:
                return look * LOOK_S
            await pause(self._reactor, LOOK_S)
        log = "\n".join(self.world.gateway.log().splitlines()[-LOG_LINES:])
        raise SoakError(f"not within {patience_s:g} s: {what}\n--- gateway ---\n{log}\n{self.world.peers_log()}")

    async def _up(self) -> bool:
        if not self.world.gateway.alive:
            raise SoakError(f"the gateway ended with status {self.world.gateway.status}\n{self.world.gateway.log()}")
        try:
            if not await deferToThread(self.world.node.ready):
                return False
            status = await deferToThread(self.world.node.status)
        except NodeError:
            return False
        return all(channel["up"] for channel in status["channels"])

    async def _finished(self, reader: StoreReader, patience_s: float) -> Left:
        """Wait until every message has ended and every receipt has come, or for as long as is reasonable."""
        left = Left(-1, -1, -1)

        async def at_rest() -> bool:
            nonlocal left
            left = await deferToThread(reader.left, self._nodes, CHANNELS, ACCOUNT)
            return left.nothing and not self.load.books.owed

        with contextlib.suppress(SoakError):  # the report tells what is missing
            await self._until(at_rest, patience_s, "everything has ended")
        return left

    # -- the kills

    async def _kill_now_and_then(self) -> None:
        end = self._reactor.seconds() + self.plan.duration_s - self.plan.quiet_s
        order: list[str] = []
        while True:
            wait_s = self._random.uniform(*self.plan.kill_every_s)
            if self._reactor.seconds() + wait_s > end:
                return
            await pause(self._reactor, wait_s)
            if not order:
                order = list(self.plan.victims)
                self._random.shuffle(order)
            await self._kill(order.pop())

    async def _kill(self, victim: str) -> None:
        again = self.world.kill(victim, self._random.random())
        at = self._reactor.seconds()
        self._say(f"kill -9 {victim}")
        away_s = 0.0
        before = self.world.gateway.use()
        if again:
            usual = PEER_AWAY_S if victim in PEERS else GATEWAY_AWAY_S
            away_s = self._random.uniform(*(self.plan.away_s or usual))
            await pause(self._reactor, away_s)
            if self.plan.away_s and before is not None and (use := self.world.gateway.use()) is not None:
                self._use.append(((use[0] - before[0]) / away_s, (use[1] - before[1]) / away_s))
            for who in again:
                self.world.start(who)
        back_at = self._reactor.seconds()
        if victim not in PEERS:
            took_s = await self._until(lambda: self.load.last_taken_at > at, 60.0, "submits are taken again")
            self._back_s.append(took_s if self.plan.away_s else away_s + took_s)
            self.kills.append(Kill(at, victim, self._reactor.seconds()))
            return
        self.kills.append(Kill(at, victim, at))
        if self.plan.away_s:
            took_s = await self._until(
                lambda: self._reached_since(victim, back_at), 60.0, f"the {victim} is used again"
            )
            self._back_s.append(took_s)

    def _reached_since(self, peer: str, at: float) -> bool:
        """Has the peer been given a text since?"""
        self._read_journals()
        return any(entry.at > at and entry.what in ("submit", "send") for entry in self._entries[peer][-50:])

    # -- looking

    async def _watch(self) -> None:
        told_at = 0.0
        while not self._over:
            with contextlib.suppress(NodeError):
                status = await deferToThread(self.world.node.status)
                queued = {channel["name"]: int(channel["queue"]) for channel in status["channels"]}
                self.looks.append(Look(self._reactor.seconds(), queued.get("operator", 0), self._loaded))
            if self._reactor.seconds() - told_at >= TELL_S:
                told_at = self._reactor.seconds()
                self._progress()
            await pause(self._reactor, 1.0)

    async def _notice_stalls(self) -> None:
        while not self._over:
            before = self._reactor.seconds()
            await pause(self._reactor, LOOK_S)
            now = self._reactor.seconds()
            if now - before > STALL_S:
                self.stalls.append(Kill(before, "machine", now))
                self._say(f"the machine stood still for {now - before:.1f} s")

    def _read_journals(self) -> None:
        for peer, reader in self._readers.items():
            self._entries[peer].extend(reader.more())

    def _tell_of_doubles(self, reader: StoreReader) -> None:
        """The traces of some that reached a handset twice although no kill explains it."""
        self._read_journals()
        operator, provider = self._entries["operator"], self._entries["provider"]
        explained = in_flight([*self.kills, *self.stalls], operator, provider)
        times: Counter[str] = Counter()
        for (_, number), seen in reached(operator, provider).items():
            times[number] += seen
        strange = {number for number, seen in times.items() if seen > 1 and number not in explained}
        ids = [one for one, number in self.load.books.accepted.items() if number in strange]
        for one in ids[:MOST_TRACES]:
            self._say(f"twice: {reader.trace(one)}")

    def _progress(self) -> None:
        self._read_journals()
        books, queued = self.load.books, self.looks[-1].queued if self.looks else 0
        self._say(
            f"submitted {self.load.submitted}  answered OK {len(books.accepted)}  refused {len(books.refused)}"
            f"  unanswered {len(books.unanswered)}  receipts {len(books.stats)}  owed {len(books.owed)}  queue {queued}"
        )

    def _say(self, what: str) -> None:
        self._tell(f"{self._reactor.seconds() - self._began:7.1f} s  {what}")

    # -- the end

    async def _stop(self) -> tuple[int | None, float]:
        """SIGTERM: (exit status, seconds)."""
        gateway = self.world.gateway
        gateway.terminate()
        try:
            took_s = await self._until(lambda: not gateway.alive, STOP_S, "the gateway stops")
        except SoakError:
            took_s = STOP_S
        return gateway.status, took_s


def _span(text: str) -> tuple[float, float]:
    shortest, dash, longest = text.partition("-")
    if not dash:
        raise ArgumentTypeError(f"{text!r} is not a span such as 20s-60s")
    return seconds(shortest), seconds(longest)


def plan_of(words: list[str]) -> tuple[Plan, str]:
    """(the plan that a command line describes, the report's file)."""
    usual = Plan()
    parser = argparse.ArgumentParser(
        "python -m tools.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=per_second, default=usual.rate, metavar="RATE", help="submits, as 400/s")
    parser.add_argument("--time", type=seconds, default=usual.duration_s, metavar="T", help="of the load, as 10m")
    parser.add_argument("--every", type=_span, default=usual.kill_every_s, metavar="T-T", help="kills, as 20s-60s")
    parser.add_argument("--victims", default=",".join(VICTIMS), help=f"of %(default)s,{FROZEN},{WORKER}")
    parser.add_argument("--workers", type=int, default=usual.workers, metavar="N", help="processes of the gateway")
    parser.add_argument("--away", type=_span, default=None, metavar="T-T",
                        help="who was killed stays away so long, as 10m-10m; default: a second or so")  # fmt: skip
    parser.add_argument("--validity", type=seconds, default=float(usual.validity_s), metavar="T")
    parser.add_argument("--whatsapp", type=fraction, default=WHATSAPP, metavar="SHARE", help="of people with it")
    parser.add_argument("--operator-rate", type=per_second, default=0.0, metavar="RATE",
                        help="the operator channel's; default: a little less than what arrives for it")  # fmt: skip
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--report", default="var/soak-report.md", help="file (%(default)s)")
    options = parser.parse_args(words)
    victims = tuple(options.victims.split(","))
    if not set(victims) <= {*VICTIMS, FROZEN, WORKER}:
        parser.error(f"--victims: choose from {', '.join(VICTIMS)}, {FROZEN}, {WORKER}")
    if WORKER in victims and options.workers < 2:
        parser.error(f"--victims: there is no {WORKER} without --workers 2 or more")
    plan = Plan(
        rate=options.rate, duration_s=options.time, kill_every_s=options.every, victims=victims, seed=options.seed,
        validity_s=int(options.validity), workers=options.workers, whatsapp=options.whatsapp, away_s=options.away,
        operator_rate=options.operator_rate or round(options.rate * (1 - options.whatsapp) * 0.925),
    )  # fmt: skip
    return plan, options.report


def main() -> int:
    plan, path = plan_of(sys.argv[1:])
    from twisted.internet import reactor as default

    reactor: Any = default
    statuses: list[int] = []

    async def whole() -> None:
        report = await Soak(reactor, plan, lambda line: print(line, flush=True)).run()
        print("\n".join(["", *report.lines()]), flush=True)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(report.markdown(), encoding="utf-8")
        statuses.append(0 if report.good else 1)

    def failed(failure: Any) -> None:
        print(failure.getErrorMessage() if failure.check(SoakError) else failure.getTraceback(), file=sys.stderr)

    def begin() -> None:
        work = Deferred.fromCoroutine(whole()).addErrback(failed)
        work.addBoth(lambda _: reactor.callLater(0, reactor.stop) if not over else None)

        def interrupted() -> Deferred[None]:
            over.append(True)
            work.cancel()
            return work

        reactor.addSystemEventTrigger("before", "shutdown", interrupted)

    over: list[bool] = []  # asked to stop before the end
    reactor.callWhenRunning(begin)
    reactor.run()
    return statuses[0] if statuses else 2


if __name__ == "__main__":
    sys.exit(main())
