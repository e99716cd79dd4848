"""A channel, an operator in memory and somebody who writes down what comes out, on one clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from prometheus_client import CollectorRegistry
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock

from config.schema import SmscSettings
from gateway.messages.message import Attempt, Message
from gateway.messages.outcome import AttemptResult, Inbound, Report
from gateway.metrics import Metrics
from smsc_client.channel import SmscChannel
from tests.fakes.smsc import FakeSmsc, Script


def settings(**over: Any) -> SmscSettings:
    given = {
        "name": "operator",
        "connect": "tcp:127.0.0.1:2776",
        "system_id": "pombo",
        "password": "secret12",
        "source": "28940",
        **over,
    }
    return SmscSettings.model_validate(given)


def message(number: int = 1, msisdn: str | None = None, **over: Any) -> Message:
    """A short text; `number` makes its id and, unless given, its destination."""
    fields: dict[str, Any] = {
        "id": f"m{number}",
        "account": "billing",
        "source": "POMBO",
        "source_ton": 5,
        "source_npi": 0,
        "dest": "11987654321",
        "dest_ton": 0,
        "dest_npi": 0,
        "msisdn": msisdn or f"5511{900000000 + number}",
        "service_type": "",
        "esm_class": 0,
        "protocol_id": 0,
        "priority_flag": 0,
        "registered_delivery": 0,
        "data_coding": 0,
        "alphabet": "gsm7",
        "user_data": b"ola %d" % number,
        "in_payload": False,
        "tlvs": (),
        "part": None,
        "segments": 1,
        "schedule_at": 0.0,
        "expires_at": 1e9,
        "attempts": [Attempt(channel="operator")],
    }
    return Message(**{**fields, **over})


class Stage:
    """`queue` is what waits outside the channel, and is handed over as capacity allows."""

    def __init__(self, script: Script | None = None, *, latency: float = 0.0, start: bool = True, **over: Any) -> None:
        self.clock = Clock()
        self.clock.rightNow = 1000.0
        self.smsc = FakeSmsc(self.clock, script, latency)
        self.queue: deque[Message] = deque()
        self.results: list[tuple[Message, AttemptResult]] = []
        self.late: list[tuple[Message, AttemptResult]] = []
        self.batches: list[int] = []
        self.reports: list[Report] = []
        self.texts: list[Inbound] = []
        self.dones: list[Callable[[bool], None]] = []
        self.marked: list[str] = []
        self.requeue = False  # Unwritten goes back into the queue
        self.metrics = Metrics(CollectorRegistry())
        self.channel = SmscChannel(
            settings(**over),
            results=self,
            mark=self.marked.append,
            reactor=self.clock,
            metrics=self.metrics,
            random=lambda: 0.5,
            endpoint=self.smsc.endpoint,
        )
        if start:
            self.start()

    def start(self) -> None:
        ensureDeferred(self.channel.start())
        self.run(0.1 if self.smsc.endpoint._latency else 0)

    def stop(self) -> Deferred[None]:
        return ensureDeferred(self.channel.stop())

    def run(self, seconds: float, step: float = 0.001) -> None:
        """Let time pass in small steps."""
        until = self.clock.seconds() + seconds
        self.clock.advance(0)
        while self.clock.seconds() < until - 1e-9:
            self.clock.advance(min(step, until - self.clock.seconds()))

    def send(self, *messages: Message) -> None:
        for one in messages:
            self.channel.send(one)
        self.clock.advance(0)

    def feed(self) -> None:
        while self.queue and self.channel.capacity() > 0:
            self.channel.send(self.queue.popleft())

    # delivery's Results

    def attempted(self, channel: str, results: Sequence[tuple[Message, AttemptResult]]) -> None:
        self.batches.append(len(results))
        self.results += results
        if self.requeue:
            for one, result in results:
                if type(result).__name__ == "Unwritten":
                    self.queue.appendleft(one)

    def answered_late(self, channel: str, message: Message, result: AttemptResult) -> None:
        self.late.append((message, result))

    def reported(self, channel: str, reports: Sequence[Report], done: Callable[[bool], None]) -> None:
        self.reports += reports
        self.dones.append(done)

    def inbound(self, channel: str, texts: Sequence[Inbound], done: Callable[[bool], None]) -> None:
        self.texts += texts
        self.dones.append(done)

    def capacity_changed(self, channel: str) -> None:
        self.feed()

    # what tests ask

    @property
    def outcomes(self) -> list[AttemptResult]:
        return [result for _, result in self.results]

    def texts_to(self, msisdn: str) -> list[bytes]:
        return [pdu.short_message for _, pdu in self.smsc.submits if pdu.destination_addr == msisdn]
