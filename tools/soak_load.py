"""The load of a soak run: submits at a fixed rate over binds that come back by themselves, kept in books."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted.internet import endpoints
from twisted.internet.defer import Deferred

from gateway.smpp.times import relative
from tools.biller import Answer, Biller
from tools.books import Books
from tools.clock import pause
from tools.soak_world import Plan

TICK_S = 0.02
BURST_S = 0.25  # of the rate, at most, in one tick: what piled up while nobody was bound goes out over a while
AGAIN_S = 0.1
FIRST = 5511970000000


class Load:
    """`books` grow while `run` does; receipts are taken until `stop`."""

    def __init__(self, reactor: Any, plan: Plan, port: int, password: str) -> None:
        self.books = Books()
        self.submitted = 0
        self.answer_s: list[float] = []  # of those that were answered OK
        self.last_taken_at = 0.0  # when a submit that was answered OK had been written, the latest such
        self._reactor, self._plan, self._port, self._password = reactor, plan, port, password
        self._billers: list[Biller] = []
        self._numbers = self._serials()
        self._stopped = False
        self._validity = relative(plan.validity_s)

    def _serials(self) -> Iterator[str]:
        number = FIRST
        while True:
            yield str(number)
            number += 1

    def bind(self) -> None:
        """Keep the binds up from now on."""
        for _ in range(self._plan.binds):
            Deferred.fromCoroutine(self._keep_bound()).addErrback(lambda failure: failure.printTraceback())

    @property
    def bound(self) -> int:
        return len(self._billers)

    async def _keep_bound(self) -> None:
        twisted: Any = endpoints  # carries no types
        while not self._stopped:
            biller = Biller(self._reactor, "billing", self._password)
            biller.on_receipt = lambda receipt: self.books.receipt(receipt.message_id, receipt.stat)
            gone: Deferred[None] = Deferred()
            biller.on_closing = lambda gone=gone: gone.callback(None)  # type: ignore[misc]
            point = twisted.TCP4ClientEndpoint(self._reactor, "127.0.0.1", self._port, timeout=5)
            try:
                await twisted.connectProtocol(point, biller)
            except Exception:
                await pause(self._reactor, AGAIN_S)
                continue
            if await biller.bound == 0:
                self._billers.append(biller)
            elif not biller.closed:
                biller.leave()
            await gone
            if biller in self._billers:
                self._billers.remove(biller)
            await pause(self._reactor, AGAIN_S)

    async def run(self) -> None:
        """Submit for the plan's duration; returns when every submit is settled or can never be."""
        began = self._reactor.seconds()
        most = max(1, int(self._plan.rate * BURST_S))
        while (passed := self._reactor.seconds() - began) < self._plan.duration_s:
            due = int(passed * self._plan.rate) - self.submitted
            for _ in range(min(due, most) if self._billers else 0):
                self._submit()
            await pause(self._reactor, TICK_S)

    def _submit(self) -> None:
        number = next(self._numbers)
        biller = self._billers[self.submitted % len(self._billers)]
        self.submitted += 1
        text = f"Ola, o codigo do seu protocolo e {number[-5:]}."
        answer = biller.submit(number, text, validity_period=self._validity)
        answer.addCallback(self._answered, number, self._reactor.seconds())

    def _answered(self, answer: Answer, number: str, at: float) -> None:
        self.books.answered(number, answer.status, answer.message_id)
        if answer.status == 0:
            self.answer_s.append(answer.after_s)
            self.last_taken_at = max(self.last_taken_at, at)

    def stop(self) -> None:
        """Unbind."""
        self._stopped = True
        for biller in self._billers:
            biller.leave()
