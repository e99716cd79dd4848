"""What stands around a WhatsApp channel, in memory: time, background work, a network, a store, delivery."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import Logger
from twisted.python.failure import Failure

from bridge import limits
from bridge.channel import WhatsAppChannel
from bridge.provider import HttpOutcome, HttpRequest, HttpResponse
from gateway.messages.message import Message
from gateway.messages.outcome import AttemptResult, Inbound, Lookup, Report
from gateway.messages.states import State
from tests.log_watch import WATCH

START = 1_750_000_000.0
PERSON = "5511987650001"


class Spawned:
    """Runs coroutines at once; what escapes from one fails the test that looks at `check`."""

    def __init__(self) -> None:
        self.failures: list[Failure] = []

    def __call__(self, work: Coroutine[Any, Any, Any], what: str, log: Logger, /) -> object:
        return Deferred.fromCoroutine(work).addErrback(self.failures.append)

    def check(self) -> None:
        for failure in self.failures:
            failure.raiseException()


class FakeStore:
    """The evidence port over a dictionary. `slow`: reads wait until `release`."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.reads: list[list[str]] = []
        self.writes: list[tuple[str, float]] = []
        self.spent: dict[str, int] = {}  # of budgets, whose windows never end here
        self.broken = self.away = False

    async def read(self, people: Sequence[str]) -> list[bytes | None] | None:
        self.reads.append(list(people))
        if self.away:
            return None
        if self.broken:
            raise ConnectionError("the store is away")
        return [self.values.get(person) for person in people]

    def write(self, person: str, value: bytes, ttl_s: float) -> None:
        self.writes.append((person, ttl_s))
        self.values[person] = value

    def use(self, tally: str, day: int, count: int, ttl_s: float, told: Callable[[bytes], None]) -> None:
        """As gateway/store/scripts/use.lua, at once."""
        known = limits.unpack(self.values.get(tally))
        used = known.used if known.day == day else 0
        self.write(tally, limits.pack(limits.Tally(known.first_day or day, day, max(0, used + count))), ttl_s)
        told(self.values[tally])

    async def spend(self, budget: str, window_s: float, most: int, count: int) -> tuple[int, float]:
        if self.away:
            raise ConnectionError("the store is away")
        before = self.spent.get(budget, 0)
        self.spent[budget] = min(most, before + count)
        return self.spent[budget] - before, window_s if self.spent[budget] >= most else 0.0


Answer = HttpOutcome | Callable[[HttpRequest], HttpOutcome] | None


class FakeHttp:
    """A network that answers by the path: a value, a function of the request, or None: later, by `answer_next`."""

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []
        self.timeouts: list[float] = []
        self.answers: dict[str, Answer] = {}
        self.waiting: list[tuple[str, Deferred[HttpOutcome]]] = []

    async def send(self, request: HttpRequest, timeout: float) -> HttpOutcome:
        self.requests.append(request)
        self.timeouts.append(timeout)
        path = next(path for path in self.answers if path in request.url)
        answer = self.answers[path]
        if answer is None:
            later: Deferred[HttpOutcome] = Deferred()
            self.waiting.append((path, later))
            return await later
        return answer(request) if callable(answer) else answer

    def to(self, path: str) -> list[HttpRequest]:
        return [request for request in self.requests if path in request.url]

    def bodies(self, path: str) -> list[Any]:
        return [json.loads(request.body) for request in self.to(path)]

    def answer_next(self, path: str, outcome: HttpOutcome) -> None:
        index = next(index for index, (waiting, _) in enumerate(self.waiting) if waiting == path)
        self.waiting.pop(index)[1].callback(outcome)


class FakeDelivery:
    """Results, as delivery would take them. `keeps`: what `done` is called with; None: not at all."""

    def __init__(self) -> None:
        self.batches: list[list[tuple[Message, AttemptResult]]] = []
        self.reports: list[Report] = []
        self.handed_in: list[int] = []  # how many reports at a time
        self.texts: list[Inbound] = []
        self.lookups: list[tuple[str, Lookup]] = []
        self.steps: list[tuple[str, str, str]] = []
        self.changes = 0
        self.keeps: bool | None = True

    def attempted(self, channel: str, results: Sequence[tuple[Message, AttemptResult]]) -> None:
        self.batches.append(list(results))

    def reported(self, channel: str, reports: Sequence[Report], done: Callable[[bool], None]) -> None:
        self.reports += reports
        self.handed_in.append(len(reports))
        if self.keeps is not None:
            done(self.keeps)

    def inbound(self, channel: str, texts: Sequence[Inbound], done: Callable[[bool], None]) -> None:
        self.texts += texts
        if self.keeps is not None:
            done(self.keeps)

    def looked_up(self, message: Message, channel: str, lookup: Lookup) -> None:
        self.lookups.append((message.id, lookup))

    def noted(self, message: Message, channel: str, event: str, detail: str) -> None:
        self.steps.append((message.id, event, detail))

    def capacity_changed(self, channel: str) -> None:
        self.changes += 1

    @property
    def results(self) -> dict[str, AttemptResult]:
        return {message.id: result for batch in self.batches for message, result in batch}


class Stage:
    """What a test does with a channel that it has started."""

    channel: WhatsAppChannel
    clock: Clock
    spawned: Spawned
    delivery: FakeDelivery

    def turn(self, seconds: float = 0.0) -> None:
        """Let everything happen that is due now and within so many seconds."""
        steps = max(1, round(seconds / 0.02)) if seconds <= 2.0 else max(1, round(seconds / 0.25))
        self.clock.pump([0] * 6 + [seconds / steps] * steps + [0] * 6)
        self.spawned.check()

    def send(self, *messages: Message) -> None:
        for one in messages:
            self.channel.send(one)
        self.turn()

    def result(self, message_id: str = "m1") -> AttemptResult:
        return self.delivery.results[message_id]


def message(id: str = "m1", msisdn: str = PERSON, text: str = "Sua fatura vence amanha") -> Message:
    WATCH.submitted(text)
    return Message(
        id=id,
        account="billing",
        source="28940",
        source_ton=0,
        source_npi=1,
        dest=msisdn,
        dest_ton=1,
        dest_npi=1,
        msisdn=msisdn,
        service_type="",
        esm_class=0,
        protocol_id=0,
        priority_flag=0,
        registered_delivery=1,
        data_coding=0,
        alphabet="gsm7",
        user_data=text.encode(),
        in_payload=False,
        tlvs=(),
        part=None,
        segments=1,
        schedule_at=0.0,
        expires_at=START + 86_400,
        state=State.ENROUTE,
    )


def people(count: int) -> list[str]:
    return [f"55119876{index:05d}" for index in range(count)]


def clock() -> Clock:
    time = Clock()
    time.rightNow = START
    return time


def json_answer(status: int, body: object) -> HttpResponse:
    return HttpResponse(status, json.dumps(body).encode())
