"""Channels in memory: they take messages, and what comes of each is the test's word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from gateway.delivery.pacing import Rate
from gateway.delivery.ports import Results
from gateway.messages.message import Message
from gateway.messages.outcome import Accepted, AttemptResult, Report, Status, Unwritten
from gateway.messages.states import FINAL, State

Script = Callable[[Message], AttemptResult | None]
"""What comes of a message, told in the next turn; None: the test calls `answer` itself."""


class MemoryChannel:
    """Implements gateway.delivery.ports.Channel. `taken`: every message that ever came, as it was then."""

    def __init__(
        self, name: str, kind: str, results: Results, later: Callable[[Callable[[], None]], Any], price: str = "0.00"
    ) -> None:
        self.name, self.kind, self.price = name, kind, price
        self.up, self.binds, self.inflight, self.window = True, 1, 0, 100
        self.throughput, self.share = 0.0, 0.0  # segments per second of all nodes, and of this one
        self.script: Script = lambda _: None
        self.taken: list[Message] = []
        self.holding: dict[str, Message] = {}
        self.learned: list[tuple[str, Status, bool]] = []
        self._results, self._later = results, later
        self._next_id = 0

    def capacity(self) -> int:
        return max(0, self.window - len(self.holding)) if self.up else 0

    def rates(self) -> list[Rate]:
        return [Rate(self.name, self.up, self.throughput, self.take_share)] if self.throughput else []

    def take_share(self, share: float) -> None:
        self.share = share

    def send(self, message: Message) -> None:
        self.taken.append(msgspec.structs.replace(message))
        self.holding[message.id] = message
        self.inflight = len(self.holding)
        result = self.script(message)
        if result is not None:
            self._later(lambda: self.answer(message.id, result))

    def answer(self, message_id: str, result: AttemptResult) -> None:
        """The result of an attempt. A message that ended meanwhile is handed back unwritten, as real channels do."""
        message = self.holding.pop(message_id)
        self.inflight = len(self.holding)
        if message.state in FINAL:
            result = Unwritten("the message has ended")
        self._results.attempted(self.name, [(message, result)])

    def accept(self, *remote_ids: str) -> None:
        """Everything in hand was taken, oldest first; ids are numbered unless given."""
        ids = list(remote_ids)
        for message_id in list(self.holding):
            self.answer(message_id, Accepted(ids.pop(0) if ids else self.new_id()))

    def new_id(self) -> str:
        self._next_id += 1
        return f"{self.name}-{self._next_id}"

    def report(self, remote_id: str, status: Status, state: State = State.UNKNOWN, **fields: Any) -> list[bool]:
        """A report about a message that this channel took. Its list gets what `done` is called with."""
        told: list[bool] = []
        self._results.reported(self.name, [Report(self.name, remote_id, status, state, **fields)], told.append)
        return told

    def learn(self, msisdn: str, status: Status, no_account: bool, *_: Any) -> None:
        self.learned.append((msisdn, status, no_account))

    def source_of(self, message: Message) -> str:
        return message.source

    async def start(self) -> None:
        self.up = True

    async def stop(self) -> None:
        self.up = False
