"""`make drill`: two nodes on one store that fails over, under load; one node and the store's master are killed.

Prints what happens and how long it takes. Exit status 0 only when nothing accepted was lost, nothing ended twice, the
operator's rate was kept, and a person got a text twice at most where it was on its way at a kill.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from tools.clock import pause
from tools.drill_client import Books, Client
from tools.drill_stage import RATE, DrillStage, Gateway
from tools.store_group import GroupError
from tools.terminal import Terminal

PER_SECOND = 50  # submits, over both binds
VALIDITY = "000000000025000R"  # what may have been sent is held until then: 25 s
WITHIN_S = 30.0
LOOK_S = 0.05
PATIENCE_S = 60.0
JITTER = 1.05  # on the way to the operator, on a busy machine
RESULT_S = 0.5  # an answer so young at a kill may not have been written down


class DrillError(Exception):
    """The drill cannot go on, or shows what must not be."""


class Drill:
    """One drill."""

    def __init__(self, reactor: Any, terminal: Terminal) -> None:
        self._reactor, self._terminal = reactor, terminal
        self._stage = DrillStage(reactor)
        self._books = Books()
        ports = [gateway.smpp_port for gateway in self._stage.gateways]
        login = ("billing", self._stage.password)
        self._clients = [
            Client(reactor, login, ports, self._books), Client(reactor, login, ports[::-1], self._books)
        ]  # fmt: skip
        self._load = task.LoopingCall(self._submit)
        self._load.clock = reactor
        self._submitted = self._doubtful = 0
        self._killed_at = 0.0
        self._closed = False
        self._began_at = self._now()

    def _now(self) -> float:
        return float(self._reactor.seconds())

    def _said(self, what: str) -> None:
        self._terminal.line(f"  {self._now() - self._began_at:5.1f} s  {what}")

    async def perform(self) -> int:
        """The whole drill; the exit status."""
        good = False
        try:
            await self._set_up()
            await self._kill_a_node()
            await self._bring_it_back()
            await self._kill_the_master()
            await self._upgrade_a_node()
            good = await self._settle()
        except (DrillError, GroupError) as error:
            self._terminal.line(self._terminal.paint(str(error), "red"))
        finally:
            if self._load.running:
                self._load.stop()
            await self.close(keep=not good)
        return 0 if good else 1

    async def close(self, keep: bool = False) -> None:
        """Take everything down; once."""
        if self._closed:
            return
        self._closed = True
        for client in self._clients:
            client.stop()
        await self._stage.close(keep)
        if keep:
            self._terminal.line(f"The logs are in {self._stage.directory}")

    async def _until(self, question: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> float:
        """Look until the answer is yes; the seconds it took."""
        began = self._now()
        while not await deferToThread(question):
            if self._now() - began > patience_s:
                raise DrillError(f"not within {patience_s:g} s: {what}")
            await pause(self._reactor, LOOK_S)
        return self._now() - began

    # -- load

    def _submit(self) -> None:
        number = f"55119{self._submitted:08d}"
        text = f"Ola, o seu protocolo e {self._submitted}."
        for client in (self._clients[self._submitted % 2], self._clients[1 - self._submitted % 2]):
            if client.submit(number, text, VALIDITY):
                self._submitted += 1
                return

    def _on_its_way(self) -> int:
        """What provider and operator had, and the gateways may not have written down."""
        since = self._now() - RESULT_S
        sends = sum(sent.at > since or not sent.status for sent in self._stage.provider.sends)
        return sends + sum(submit.at > since for submit in self._stage.operator.submits)

    # -- the acts

    async def _set_up(self) -> None:
        stage = self._stage
        await stage.open()
        self._said("store: a master and two replicas under three sentinels; store.replicas is 1")
        for gateway in stage.gateways:
            gateway.start()
        for gateway in stage.gateways:
            await self._until(gateway.up, f"{gateway.name} is up")
        stage.webhooks_to(stage.gateways[0])
        for client in self._clients:
            client.start()
        await self._until(lambda: all(client.bound for client in self._clients), "both binds are there")
        self._load.start(1.0 / PER_SECOND)
        self._said(f"two nodes are ready; a bind to each, {PER_SECOND} submits a second, half of them to each")
        await pause(self._reactor, 8.0)

    async def _kill_a_node(self) -> None:
        first, second = self._stage.gateways
        self._doubtful += self._on_its_way()
        first.kill()
        killed_at = self._killed_at = self._now()
        self._said("kill -9 of gw1")
        self._stage.webhooks_to(second)
        before = len(self._books.accepted)
        client = self._clients[0]
        took = await self._until(lambda: client.bound and client.at == 1, "its client is bound again", WITHIN_S)
        self._said(f"its client is bound to gw2 after {took:.1f} s")
        await self._until(lambda: len(self._books.accepted) > before, "submits are accepted")
        try:
            await self._until(lambda: "of gw1:" in second.log(), "gw2 takes over what gw1 had in hand", WITHIN_S)
        except DrillError:  # what it had and nobody took over would be owed in the end
            self._said("gw1 had nothing in hand")
            return
        lines = [line.partition(" of gw1: ")[2] for line in second.log().splitlines() if " of gw1: " in line]
        self._said(f"gw2 takes over after {self._now() - killed_at:.1f} s: {lines[0]}")

    async def _bring_it_back(self) -> None:
        first = self._stage.gateways[0]
        first.start()
        took = await self._until(first.up, "gw1 is back")
        self._said(f"gw1 is started again; ready, with its channels up, after {took:.1f} s")
        await pause(self._reactor, 4.0)

    async def _kill_the_master(self) -> None:
        master = await deferToThread(self._stage.store.master)
        if master is None:
            raise DrillError("no sentinel names a master")
        before = len(self._books.accepted)
        await deferToThread(master.kill)
        self._said(f"kill -9 of the store's master ({master.name})")
        await self._until(lambda: not self._all_ready(), "the nodes notice")
        took = await self._until(self._all_ready, "the nodes are ready again")
        await self._until(lambda: len(self._books.accepted) > before, "submits are accepted")
        new = await deferToThread(self._stage.store.master)
        self._said(f"both nodes are ready on {new.name if new else '?'} after {took:.1f} s")
        await deferToThread(self._stage.store.start_server, master, new)
        self._said(f"{master.name} is back as a replica")
        await pause(self._reactor, 3.0)

    def _all_ready(self) -> bool:
        return all(gateway.ready() for gateway in self._stage.gateways)

    async def _upgrade_a_node(self) -> None:
        """As for an upgrade: the node stops politely and another one starts in its place."""
        second: Gateway = self._stage.gateways[1]
        self._stage.webhooks_to(self._stage.gateways[0])
        began = self._now()
        status = await deferToThread(second.terminate)
        if status is None:
            raise DrillError("gw2 did not stop by itself")
        self._said(f"gw2 stopped politely in {self._now() - began:.1f} s, and is started again")
        second.start()
        await self._until(second.up, "gw2 is back")
        await pause(self._reactor, 3.0)

    async def _settle(self) -> bool:
        self._load.stop()
        self._said(f"no more submits; {self._submitted} in all")
        await self._until(lambda: self._books.settled >= self._submitted, "every submit is answered or lost its link")
        with contextlib.suppress(DrillError):  # the books tell
            await self._until(lambda: not self._books.owed, "every accepted message has its receipt")
        await pause(self._reactor, 1.0)
        return self._account()

    def _account(self) -> bool:
        """Print the books; do they balance?"""
        books, stage = self._books, self._stage
        stats: Counter[str] = Counter(stat for one in books.receipts.values() for stat in one)
        twice_said = sum(sum(one.values()) - 1 for one in books.receipts.values())
        two_ends = sum(len(one) > 1 for one in books.receipts.values())
        reached = Counter(sent.person for sent in stage.provider.sends if sent.message_id)
        reached.update(submit.dest for submit in stage.operator.submits if not submit.status)
        lost = [
            i for i, n in books.accepted.items() if not reached[n] and set(books.receipts.get(i, ())) != {"EXPIRED"}
        ]
        first_at: dict[str, float] = {}
        for person, at in [(s.person, s.at) for s in stage.provider.sends] + [
            (s.dest, s.at) for s in stage.operator.submits
        ]:
            first_at[person] = min(at, first_at.get(person, at))
        doubled = sum(times - 1 for times in reached.values() if times > 1)
        later = sum(times > 1 and first_at[person] > self._killed_at for person, times in reached.items())
        most = most_in_a_second([submit.at for submit in stage.operator.submits])
        line = self._terminal.line
        line()
        line(f"  accepted                                  {len(books.accepted)}")
        line(f"  refused, or link lost                     {books.refused}, {len(books.unanswered)}")
        line(f"  receipts                                  {', '.join(f'{k} {n}' for k, n in stats.most_common())}")
        line(f"  without a receipt                         {len(books.owed)}")
        line(f"  reached nobody and not EXPIRED            {len(lost)}")
        line(f"  two different ends                        {two_ends}")
        line(f"  receipts that came twice                  {twice_said}")
        line(f"  people reached twice                      {doubled}")
        line(f"  on their way when gw1 was killed          {self._doubtful}")
        line(f"  reached twice, and first after that kill  {later}")
        line(f"  most submits in any one second            {most} (the operator allows {RATE})")
        good = not (books.owed or lost or two_ends or later) and doubled <= self._doubtful and most <= RATE * JITTER
        line()
        line(
            self._terminal.paint(
                "Nothing was lost." if good else "The books do not balance.", "green" if good else "red"
            )
        )
        return good


def most_in_a_second(moments: list[float]) -> int:
    """The largest number of moments in any one second."""
    ordered, start, most = sorted(moments), 0, 0
    for end, at in enumerate(ordered):
        while at - ordered[start] >= 1.0:
            start += 1
        most = max(most, end - start + 1)
    return most


def main() -> int:
    """Run the drill; the exit status."""
    from twisted.internet import reactor as default

    reactor: Any = default
    drill = Drill(reactor, Terminal(sys.stdout))
    statuses: list[int] = []
    stopping: list[bool] = []

    def ended(status: Any) -> None:
        if isinstance(status, int):
            statuses.append(status)
        else:
            status.printTraceback()
        if reactor.running and not stopping:
            reactor.stop()

    def stop() -> Any:
        stopping.append(True)
        return Deferred.fromCoroutine(drill.close())

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(drill.perform()).addBoth(ended))
    reactor.addSystemEventTrigger("before", "shutdown", stop)
    reactor.run()
    return statuses[0] if statuses else 1


if __name__ == "__main__":
    sys.exit(main())
