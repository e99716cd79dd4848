"""The nodes on one store: who is alive, who may write whose receipts, and how much of which rate is whose.

Every node renews, once a second, a lease on all it holds. A node that has not for LEASE_S counts as dead: what was in
its hands is taken over (takeover.py), its accounts' receipts flow through another node, its share of a rate is divided
among the others. It stops by itself before that: what it holds ends for it SAFETY_S earlier than for the others.

Time is the store's for the leases, so that nodes whose clocks differ agree, and this node's own for how long it may
count on one, taken from before it asked.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet import defer, task
from twisted.logger import Logger

from gateway.delivery.deliver import Delivery
from gateway.delivery.pacing import Rate
from gateway.delivery.receipts import ReceiptDesk
from gateway.delivery.takeover import Takeover
from gateway.routing.decide import ChannelFacts
from gateway.store import records
from gateway.store.valkey import Keep, Store

TEND_S = 1.0
LOOK_S = 0.5  # how often the receipts that other nodes have written are looked for
LEASE_S = 12.0
SAFETY_S = 3.0
SETTLED_S = 5.0  # after the start: until then channels may only look down
LEAVE_S = 2.0  # for the store to hear that this node leaves
FORGOTTEN_S = 3600.0  # a node that was away for so long is known to nobody any more; see tend.lua
LOST_S = 1.5 * TEND_S  # the store has lost more than one word of ours
APART_S = 2.0  # clocks that differ by so much are told of
ELSEWHERE_S = 3.0  # an account whose receivers here answer nothing is not asked for
SOON_S = 0.05  # a receiver has come: until its account's lease is asked for
log = Logger("membership")


class Membership:
    """This node among the others. Satisfies `receipts.Leases`."""

    def __init__(
        self, *, store: Store, node: str, instance: int, reactor: Any, delivery: Delivery, desk: ReceiptDesk,
        takeover: Takeover, accounts: Callable[[], Sequence[str]], alone: bool,
        ousted: Callable[[], None], time: Callable[[], str] = lambda: "", count: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """instance: the number of this process, greater than those before it. alone: the store is this node's only, so
        nothing is shared and nobody else can be alive. ousted(): a younger process has this node's name. time: of the
        leases; "" is the store's. count: of gateway.metrics."""
        self._store, self._node, self._instance, self._reactor = store, node, instance, reactor
        self._delivery, self._desk, self._takeover, self._accounts = delivery, desk, takeover, accounts
        self._alone, self._ousted, self._time = alone, ousted, time
        self._until: dict[str, float] = {}  # accounts whose receipts are ours to write, and until when
        self._left: dict[str, float] = {}  # accounts that others may have, until when; inf: something is on its way
        self._shares: dict[str, float] = {}  # rate -> how much of it is this node's
        self.held_elsewhere: frozenset[str] = frozenset()  # accounts whose receipts another living node writes
        self._asking = self._soon = self.joined = False
        self._renewed_at = self._here_since = self._joined_at = 0.0
        self._count = count
        self._ends = 0.0  # of the lease, by the store's clock: what it must know the next time
        self.ahead_s = 0.0  # by how much this node's clock is ahead of the store's; below 0: behind
        self._apart = False  # the log has told so
        self._ticks = 0
        self._loop = task.LoopingCall(self._tick)
        self._loop.clock = reactor

    # -- life

    async def join(self) -> None:
        """Be known to the others, before anything is taken into hand."""
        now = self._here_since = self._joined_at = self._reactor.seconds()
        rates = self._rates()
        answer = await self._ask(self._request(rates, [], []), Keep.ALWAYS)
        self.joined = True
        self._heard(now, rates, [], answer)

    def start(self) -> None:
        self._loop.start(LOOK_S, now=False)
        self._tend()  # by now channels can say what of their rates they can use

    def stop(self) -> None:
        if self._loop.running:
            self._loop.stop()

    async def leave(self) -> None:
        """Nothing is in hand any more, or not ours to wait for: others need not wait either. A store that does not
        answer is not waited for longer than LEAVE_S: the lease runs out by itself."""
        self.stop()
        accounts, self._until = list(self._until), {}
        if self.joined and self._store.writable:
            names = list(self._shares)
            told = self._store.call(
                "leave", self._time(), self._node, str(self._instance), str(len(names)), *names, *accounts, keep=Keep.NO
            )
            told.addTimeout(LEAVE_S, self._reactor)
            with contextlib.suppress(defer.TimeoutError):
                await told

    # -- receipts

    def holds(self, account: str) -> bool:
        """May this node write the account's receipts now?"""
        return self._alone or self._until.get(account, 0.0) > self._reactor.seconds()

    def want(self) -> None:
        """An account has a receiver here and its receipts are not ours to write, as far as is known."""
        if not self._soon and self.joined:
            self._soon = True
            self._reactor.callLater(SOON_S, self._tend_soon)

    def leave_to_others(self, account: str) -> None:
        """Nothing more of it is written; once nothing is on its way to its binds, whoever has a receiver may."""
        if not self._alone and self._until.pop(account, 0.0):
            self._left[account] = math.inf

    def _tend_soon(self) -> None:
        self._soon = False
        if self._loop.running:
            self._tend()

    # -- once in a while

    def _tick(self) -> None:
        try:
            self._ticks += 1
            if self._ticks % int(TEND_S / LOOK_S) == 0:
                self._tend()
            for account in list(self._until):
                if self._desk.esmes.receiving(account) and self.holds(account):
                    self._desk.look(account)
        except Exception:
            log.failure("a look at the other nodes failed; the next one comes soon")

    def _tend(self) -> None:
        now = self._reactor.seconds()
        if now - self._renewed_at > LEASE_S - SAFETY_S:
            self._give_up_shares()
        if self._asking or not self._store.writable:
            return
        receiving = self._desk.esmes.receiving
        self._left = {one: until for one, until in self._left.items() if until > now}
        wants = [] if self._alone else [one for one in self._accounts() if receiving(one) and one not in self._left]
        frees = [one for one in self._until if not receiving(one) and self._desk.at_rest(one)]
        for account in [one for one, until in self._left.items() if until == math.inf]:
            if self._desk.at_rest(account):
                frees.append(account)
                self._left[account] = now + ELSEWHERE_S
            else:
                wants.append(account)
        for account in frees:  # from here on nothing of it is written
            self._until.pop(account, None)
        wants += [one for one in self._until if one not in wants]  # until what it has on its way is answered
        self._asking, rates = True, self._rates()
        asked = self._ask(self._request(rates, wants, frees), Keep.NO)
        asked.addCallbacks(lambda answer: self._heard(now, rates, wants, answer), lambda _: None)
        asked.addErrback(lambda failure: log.failure("what the other nodes said was not understood", failure=failure))
        asked.addBoth(self._asked)

    def _asked(self, _: Any) -> None:
        self._asking = False

    def _request(self, rates: Mapping[str, Rate], wants: list[str], frees: list[str]) -> list[Any]:
        now = self._reactor.seconds()
        if now - self._renewed_at > TEND_S * 3 and self._renewed_at:
            self._here_since = now  # the store was away, for the others perhaps as well: let them renew first
        channels = [(name, channel.kind) for name, channel in self._delivery.channels.items()]
        shared = [(name, rate.up, rate.per_s, self._shares.get(name, 0.0)) for name, rate in rates.items()]
        patient = self._alone or now - self._here_since > LEASE_S
        accounts = [] if self._alone else list(self._accounts())
        return [self._instance, LEASE_S, self._alone, patient, channels, shared, wants, frees, accounts]

    def _rates(self) -> dict[str, Rate]:
        """What is divided among the nodes, as it is at this moment."""
        found: dict[str, Rate] = {}
        for channel in () if self._alone else self._delivery.channels.values():
            for rate in getattr(channel, "rates", tuple)():  # channels of other workers have none
                found[rate.name] = rate
        return found

    def _ask(self, request: list[Any], keep: Keep) -> Any:
        return self._store.call("tend", self._time(), self._node, records.encode(request), keep=keep)

    def _heard(self, asked_at: float, rates: Mapping[str, Rate], wants: list[str], answer: list[Any]) -> None:
        """rates, wants: what was asked for, in order; some of it may have gone by a reload since."""
        lapsed, ousted, left, orphans, elsewhere, shares, desks, held, before, now = answer
        if ousted:
            log.critical(
                "another gateway has joined the store under the name {node}; give each node its own", node=self._node
            )
            self._until.clear()
            self._ousted()
            return
        self._see_what_is_lost(float(before or 0.0), float(now))
        self._compare_clocks(asked_at, float(now))
        if lapsed and self._renewed_at and not self._alone:
            log.warn("this node was away for so long that others may have taken over what it held")
        self._renewed_at = asked_at
        self._delivery.elsewhere = {
            name: ChannelFacts(kind) for name, kind in map(_words, elsewhere) if name not in self._delivery.channels
        }
        self.held_elsewhere = frozenset(one.decode() for one in held)
        if not self._alone:
            self._use_shares(dict(zip(rates, map(float, shares), strict=True)))
            self._use_leases(asked_at + LEASE_S - SAFETY_S, wants, desks)
        if (left or orphans) and asked_at - self._joined_at > SETTLED_S:
            self._takeover.begin([tuple(_words(one)) for one in left], [tuple(_words(one)) for one in orphans])

    def _see_what_is_lost(self, before: float, now: float) -> None:
        """A store that comes back empty or with an older state does not know what it has told this node. before: until
        when the lease was, as it knows; 0: it knows of none."""
        known, self._ends = self._ends, now + LEASE_S
        lost = known - before if known else 0.0
        if lost < LOST_S or (not before and now - known > FORGOTTEN_S):
            return
        self._count("pombo_store_losses")
        what = f"what it took in {lost:.0f} s" if before else "all that it had"
        log.critical(
            "the store has lost {what}: messages that were accepted are gone, others may be sent and reported twice "
            "(docs/backup.md)", what=what,
        )  # fmt: skip

    def _compare_clocks(self, asked_at: float, now: float) -> None:
        """now: by the store's clock, at some moment since it was asked."""
        self.ahead_s = max(0.0, asked_at - now) or min(0.0, self._reactor.seconds() - now)
        apart, self._apart = self._apart, abs(self.ahead_s) > APART_S
        if self._apart and not apart:
            log.warn(
                "this node's clock is {n:.0f} s {way} the store's: what is due, validity and fallback_after follow it",
                n=abs(self.ahead_s), way="ahead of" if self.ahead_s > 0 else "behind",
            )  # fmt: skip

    def _use_leases(self, until: float, wants: list[str], desks: list[int]) -> None:
        for account, whose in zip(wants, desks, strict=True):
            if account in self._left:
                continue
            if whose == 0:
                self._until.pop(account, None)
                continue
            had = self.holds(account)
            self._until[account] = until
            if whose == 2:
                self._desk.begin(account)
            if not had:
                self._desk.look(account)

    def _use_shares(self, shares: dict[str, float]) -> None:
        for name, rate in self._rates().items():
            if name in shares:
                self._shares[name] = shares[name]
                rate.take(shares[name])

    def _give_up_shares(self) -> None:
        """The lease runs out: others may use it all from then on."""
        for name, rate in self._rates().items():
            if self._shares.get(name):
                self._shares[name] = 0.0
                rate.take(0.0)


def _words(one: bytes) -> list[str]:
    return one.decode().split(" ")
