"""`make demo`: a billing client, the gateway, an operator and a WhatsApp provider on one machine, and what happens.

Exit status 0 only when every expected receipt arrived exactly once and each message ended where it should.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from decimal import Decimal
from typing import Any

import smpplib.gsm
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from tools.clock import pause
from tools.demo_client import ForeignClient, Receipt, Text
from tools.demo_show import Run, Show, cast_runs
from tools.demo_stage import CURRENCY, PRICE, Stage, StageError
from tools.node import NodeError
from tools.terminal import Terminal

GAP_S = 0.12  # between two submits, so that one can follow
FRAME_S = 0.1
PATIENCE_S = 40.0  # for the last receipt
QUIET_S = 1.5  # after it, for receipts that should not come
_COST = re.compile(r'^pombo_cost_total\{channel="([^"]+)"\} (\S+)', re.MULTILINE)


class Demo:
    """One performance."""

    def __init__(self, reactor: Any, terminal: Terminal) -> None:
        self._reactor = reactor
        self._terminal = terminal
        self._stage = Stage(reactor)
        self._runs = cast_runs()
        self._show = Show(terminal, self._runs)
        self._of_id: dict[str, Run] = {}
        self._early: list[Receipt] = []  # receipts that overtook the answer that names their id
        self._client: ForeignClient | None = None
        self._client_over: Deferred[None] | None = None
        self._client_trouble = ""
        self._began_at = float(reactor.seconds())
        self._closed = False

    async def perform(self) -> int:
        """The whole demo; the exit status."""
        good = False
        try:
            await self._set_up()
            await self._play()
            good = await self._end()
        except (StageError, NodeError) as error:
            self._terminal.region([])
            self._terminal.line(self._terminal.paint(str(error), "red"))
        finally:
            await self.close(keep=not good)
        return 0 if good else 1

    async def close(self, keep: bool = False) -> None:
        """Take everything down; once."""
        if self._closed:
            return
        self._closed = True
        self._terminal.region(["stopping ..."])
        if self._client is not None and self._client_over is not None:
            self._client.stop()
            await self._client_over
        await self._stage.close(keep)
        self._terminal.region([])
        if keep:
            self._terminal.line(f"The gateway's log and store are in {self._stage.directory}")

    # ---- the acts

    def _now(self) -> float:
        return float(self._reactor.seconds())

    def _said(self, what: str) -> None:
        mark = self._terminal.paint("✓" if self._terminal.unicode else "ok", "green")
        seconds = self._terminal.paint(f"{self._now() - self._began_at:5.2f} s", "dim")
        self._terminal.line(f" {mark} {seconds}  {what}")

    async def _set_up(self) -> None:
        stage = self._stage
        self._terminal.line(self._terminal.paint("Pombo", "bold") + ": SMPP in, WhatsApp or SMS out, one receipt back")
        self._terminal.line()
        await stage.open_simulators()
        self._said("operator's SMSC and WhatsApp provider (simulators) listen")
        await stage.start_gateway()
        self._said("gateway is ready on its embedded store, bound to the operator")
        client = ForeignClient(
            stage.smpp_port,
            accepted=lambda *answer: self._reactor.callFromThread(self._accepted, *answer),
            received=lambda receipt: self._reactor.callFromThread(self._received, receipt),
            failed=lambda why: self._reactor.callFromThread(self._failed, why),
        )
        self._client = client
        self._client_over = deferToThread(client.run, "billing", stage.password)
        if not await deferToThread(client.wait_bound, 10.0):
            raise StageError(f"the billing client could not bind: {self._client_trouble}\n{stage.log_tail()}")
        self._said("billing client (smpplib) is bound as a transceiver")
        self._terminal.line()

    async def _play(self) -> None:
        """Submit the cast one after the other, then wait until every journey is complete."""
        self._show.title()
        waiting = list(self._runs)
        next_at = self._now()
        end = next_at + GAP_S * len(waiting) + PATIENCE_S
        while any(not run.ended_at for run in self._runs):
            while waiting and self._now() >= next_at:
                self._submit(waiting.pop(0))
                next_at += GAP_S
            await self._look()
            if self._client_trouble:
                raise StageError(f"the billing client failed: {self._client_trouble}\n{self._stage.log_tail()}")
            if not self._stage.alive:
                raise StageError(f"the gateway ended by itself\n{self._stage.log_tail()}")
            if self._now() > end:
                break
            self._show.progress(self._now())
            await pause(self._reactor, FRAME_S)
        self._terminal.region([])
        for run in self._runs:
            if not run.ended_at:
                self._show.done(run)

    def _submit(self, run: Run) -> None:
        assert self._client is not None
        run.submitted_at = self._now()
        run.expected = len(smpplib.gsm.make_parts(run.part.text)[0])
        self._client.submit(Text(run.key, run.part.to, run.part.text, run.part.source))

    async def _look(self) -> None:
        """Ask the node about everything under way; print what is complete."""
        going = [run for run in self._runs if run.ids and not run.ended_at]
        wanted = [(run, message_id) for run in going for message_id in run.ids]
        found = await deferToThread(lambda: [(run, i, self._stage.node.message(i)) for run, i in wanted])
        for run, message_id, message in found:
            if message is not None:
                run.messages[message_id] = message
        for run in going:
            if run.complete:
                run.ended_at = self._now()
                self._show.done(run)

    async def _end(self) -> bool:
        """Listen for receipts too many, then the tables and the verdict."""
        await pause(self._reactor, QUIET_S)
        status, metrics = await deferToThread(self._stage.node.ask, "GET", "/metrics")
        costs = {channel: Decimal(value) for channel, value in _COST.findall(metrics)} if status == 200 else {}
        segments = {
            "submitted": sum(run.expected for run in self._runs),
            "sms": sum(1 for submit in self._stage.operator.submits if submit.number),
        }
        self._show.tables(costs, segments, CURRENCY, Decimal(PRICE))
        assert self._client is not None
        strangers = Counter(self._client.receipts.keys() - self._of_id.keys())
        return self._show.verdict(sum(strangers.values()))

    # ---- what the client tells, in the reactor's thread

    def _accepted(self, key: int, message_id: str, status: int) -> None:
        run = self._runs[key - 1]
        if status or not message_id:
            run.refusals.append(status)
            run.ended_at = self._now()
            self._show.done(run)
            return
        run.ids.append(message_id)
        self._of_id[message_id] = run
        early, self._early = self._early, []
        for receipt in early:
            self._received(receipt)

    def _received(self, receipt: Receipt) -> None:
        run = self._of_id.get(receipt.message_id)
        if run is None:
            self._early.append(receipt)
        else:
            run.receipts.append(receipt)

    def _failed(self, why: str) -> None:
        self._client_trouble = why


def main() -> int:
    """Run the demo; the exit status."""
    from twisted.internet import reactor as default

    reactor: Any = default
    demo = Demo(reactor, Terminal(sys.stdout))
    statuses: list[int] = []

    def ended(status: Any) -> None:
        if isinstance(status, int):
            statuses.append(status)
        else:
            status.printTraceback()
        if reactor.running and not demo_stopping:
            reactor.stop()

    demo_stopping: list[bool] = []

    def stopping() -> Any:
        demo_stopping.append(True)
        return Deferred.fromCoroutine(demo.close())

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(demo.perform()).addBoth(ended))
    reactor.addSystemEventTrigger("before", "shutdown", stopping)
    reactor.run()
    return statuses[0] if statuses else 1


if __name__ == "__main__":
    sys.exit(main())
