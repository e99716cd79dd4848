"""Lookups: shared, batched, bounded in time and number; and errors that are never a "no"."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from bridge.limits import Quota
from bridge.lookup import AT_LEAST, CLOSED_S, PATIENCE_S, PAUSE_S, PAUSES, Finding, Lookup
from bridge.presence import Evidence, Presence, PresenceMemory, delivered, pack
from bridge.provider import HttpOutcome, HttpRequest, HttpResponse, NotWritten, Unanswered
from bridge.providers.evolution import Evolution
from tests.bridge.fakes import PERSON, START, FakeHttp, FakeStore, Spawned, clock, json_answer, people

CHECK = "whatsappNumbers"
DEADLINE_S = 2.0
JID = PERSON + "@s.whatsapp.net"


def answer(request: HttpRequest, active: bool = True) -> HttpResponse:
    numbers = json.loads(request.body)["numbers"]
    found = [{"jid": f"{n}@s.whatsapp.net", "exists": active, "number": n} for n in numbers]
    return json_answer(200, found)


class Room:
    """A lookup service and everything around it."""

    def __init__(
        self, budget: float = 100.0, enabled: bool = True, shares: FakeStore | None = None, time: Clock | None = None
    ) -> None:
        """shares: a store whose budget it spends, with other nodes."""
        self.clock, self.http, self.store, self.spawned = time or clock(), FakeHttp(), shares or FakeStore(), Spawned()
        self.http.answers[CHECK] = answer
        self.memory = PresenceMemory(
            self.store, clock=self.clock, spawn=self.spawned, active_for=30 * 86_400, inactive_for=86_400
        )
        self.lookup = Lookup(
            self.memory,
            Evolution(channel="zap", url="http://h", api_key="k", instance="main"),
            self.http,
            clock=self.clock,
            spawn=self.spawned,
            enabled=enabled,
            deadline=DEADLINE_S,
            budget=budget,
            timeout=10.0,
            day=Quota(1000),
            spend=partial(self.store.spend, "zap:#budget") if shares is not None else None,
        )

    def find(self, msisdn: str = PERSON) -> Deferred[Finding]:
        return Deferred.fromCoroutine(self.lookup.find(msisdn))

    def found(self, msisdn: str = PERSON) -> Finding:
        return self.now(self.find(msisdn))

    def now(self, finding: Deferred[Finding]) -> Finding:
        self.clock.pump([0, 0, 0])
        if not finding.called:  # its answer is told behind others
            self.clock.pump([PAUSE_S] * 2 * PAUSES)
        self.spawned.check()
        assert isinstance(finding.result, Finding)
        return finding.result

    @property
    def asked(self) -> list[list[str]]:
        return [body["numbers"] for body in self.http.bodies(CHECK)]


def test_a_new_number_is_asked_for_and_then_remembered() -> None:
    room = Room()
    assert room.found() == Finding(Presence.ACTIVE, "provider", JID)
    assert room.found() == Finding(Presence.ACTIVE, "cache", JID)
    assert room.asked == [[PERSON]] and room.http.timeouts == [10.0]


def test_a_no_is_remembered_too_and_expires() -> None:
    room = Room()
    room.http.answers[CHECK] = lambda request: answer(request, active=False)
    assert room.found() == Finding(Presence.INACTIVE, "provider")
    room.clock.advance(86_399)
    assert room.found() == Finding(Presence.INACTIVE, "cache")
    room.clock.advance(2)
    room.http.answers[CHECK] = answer
    assert room.found().presence is Presence.ACTIVE


def test_both_forms_of_a_number_are_one_question() -> None:
    room = Room()
    room.http.answers[CHECK] = None
    both = [room.find("5531988887777"), room.find("553188887777")]
    room.clock.pump([0, 0, 0])
    room.http.answer_next(CHECK, answer(room.http.requests[0]))
    assert [room.now(one).identity for one in both] == ["5531988887777@s.whatsapp.net"] * 2
    assert room.asked == [["5531988887777"]]


def test_those_who_wait_for_one_answer_get_it_in_the_order_they_came() -> None:
    room, order = Room(), []
    for place in range(4):
        room.find().addCallback(lambda _, place=place: order.append(place))
    room.clock.pump([0, 0, 0])
    room.spawned.check()
    assert order == [0, 1, 2, 3]


def test_numbers_that_are_answered_together_go_on_in_the_order_in_which_they_were_asked_about() -> None:
    room, order, numbers = Room(), [], people(9)
    room.http.answers[CHECK] = None
    for number in numbers:
        room.find(number).addCallback(lambda _, number=number: order.append(number))
        room.clock.pump([0, 0, 0.01])
    while room.http.waiting:
        room.http.answer_next(CHECK, answer(room.http.requests[-1]))
        room.clock.pump([PAUSE_S] * 6)
    room.spawned.check()
    assert order == numbers


def test_numbers_gather_while_a_call_is_under_way_and_go_fifty_at_a_time() -> None:
    room = Room()
    room.http.answers[CHECK] = None
    first = room.find(people(1)[0])
    room.clock.pump([0, 0])
    others = [room.find(number) for number in people(41)[1:]]
    room.clock.pump([0, 0])
    assert [len(numbers) for numbers in room.asked] == [1]
    more = [room.find(number) for number in people(91)[41:]]
    room.clock.pump([0, 0])
    assert [len(numbers) for numbers in room.asked] == [1, 50]  # a full call does not wait
    room.http.answers[CHECK] = answer
    room.http.answer_next(CHECK, answer(room.http.requests[0]))
    room.http.answer_next(CHECK, answer(room.http.requests[1]))
    room.clock.pump([0, 0])
    assert [len(numbers) for numbers in room.asked] == [1, 50, 40]
    assert {room.now(one).presence for one in (first, *others, *more)} == {Presence.ACTIVE}


def test_a_hanging_call_holds_up_its_own_numbers_only() -> None:
    room = Room()
    room.http.answers[CHECK] = None
    hanging = room.find()
    room.clock.pump([0, 0])
    room.http.answers[CHECK] = answer
    other = room.find(people(1)[0])
    room.clock.pump([0, 0, 0.26])
    assert room.now(other).presence is Presence.ACTIVE and not hanging.called


def test_a_late_answer_is_unknown_but_learned() -> None:
    room = Room()
    room.http.answers[CHECK] = None
    finding = room.find()
    room.clock.pump([0, 0, 1.9])
    assert not finding.called
    room.clock.advance(0.1)
    late = room.now(finding)
    assert (late.presence, late.origin) == (Presence.UNKNOWN, "provider") and late.seconds == pytest.approx(2.0)
    room.http.answer_next(CHECK, answer(room.http.requests[0]))
    assert room.found() == Finding(Presence.ACTIVE, "cache", JID)


@pytest.mark.parametrize(
    "outcome",
    [
        json_answer(400, {"isBoom": True, "output": {"statusCode": 428}}),
        json_answer(429, {}),
        HttpResponse(500),
        HttpResponse(200, b"<html>login</html>"),
        NotWritten("refused"),
        Unanswered("timeout"),
        Unanswered("connection_lost"),
    ],
)
def test_errors_are_unknown_and_teach_nothing(outcome: HttpOutcome) -> None:
    """R18."""
    room = Room()
    room.http.answers[CHECK] = outcome
    assert room.found() == Finding(Presence.UNKNOWN, "provider")
    assert room.store.writes == []
    room.http.answers[CHECK] = answer
    assert room.found().presence is Presence.ACTIVE


def test_beyond_the_budget_nobody_is_asked_about() -> None:
    room = Room(budget=10 / 60)
    found = [room.find(number) for number in people(30)]
    results = [room.now(one) for one in found]
    assert sum(len(numbers) for numbers in room.asked) == 10
    assert [r.presence for r in results].count(Presence.ACTIVE) == 10
    assert [(r.presence, r.origin) for r in results].count((Presence.UNKNOWN, "cache")) == 20
    room.clock.advance(61)
    assert room.found(people(30)[29]).presence is Presence.ACTIVE


def test_a_proof_that_came_while_we_asked_outweighs_the_no() -> None:
    room = Room()
    room.http.answers[CHECK] = None
    finding = room.find()
    room.clock.pump([0, 0])
    room.memory.learn(PERSON, delivered(START))
    room.http.answer_next(CHECK, answer(room.http.requests[0], active=False))
    assert room.now(finding).presence is Presence.ACTIVE


def test_switched_off_it_answers_from_memory_only() -> None:
    room = Room(enabled=False)
    room.store.values[PERSON] = pack(Evidence(no_at=START - 10))
    assert room.found().presence is Presence.INACTIVE
    assert room.found(people(1)[0]).presence is Presence.UNKNOWN
    assert room.asked == []


def test_questions_nobody_waits_for_are_not_asked() -> None:
    room = Room()
    room.http.answers[CHECK] = None
    for number in people(4):  # four hanging calls: no more may start
        room.find(number)
        room.clock.pump([0, 0, 0.26])
    assert len(room.asked) == 4
    finding = room.find()
    room.clock.pump([0, 0, 2.1])
    assert room.now(finding).presence is Presence.UNKNOWN
    room.http.answer_next(CHECK, HttpResponse(500))
    room.clock.pump([0, 0, 1.0])
    assert len(room.asked) == 4


@pytest.mark.parametrize("answers", [True, False], ids=["answered", "refused"])
def test_fifty_thousand_new_numbers_in_a_minute_cost_no_more_than_the_budget(answers: bool) -> None:
    """R18: whoever is not asked about, or whose question was refused, is unknown and never without an account."""
    room = Room(budget=2.0)  # 120 a minute
    if not answers:
        room.http.answers[CHECK] = json_answer(500, {"status": 500, "response": {"message": "429: rate-overlimit"}})
    findings: list[Deferred[Finding]] = []
    asked_at: list[float] = []
    for second in range(60):
        findings += [room.find(f"55119{second * 834 + n:08d}") for n in range(834)]
        room.clock.pump([0, 0, 0, 1.0])
        asked_at += [room.clock.seconds()] * (sum(map(len, room.asked)) - len(asked_at))
    room.clock.pump([1.0] * 70)
    room.spawned.check()
    assert len(findings) == 50_040
    assert len(asked_at) == 120, "all of the budget, and no more"
    seen = [finding.result.presence for finding in findings if isinstance(finding.result, Finding)]
    assert len(seen) == len(findings), "nobody waits for ever"
    assert seen.count(Presence.INACTIVE) == 0
    assert seen.count(Presence.ACTIVE) == (120 if answers else 0)
    assert room.store.values.keys() <= {f"55119{n:08d}" for n in range(60 * 834)}
    assert len(room.store.values) == (120 if answers else 0), "errors teach nothing"


class Slow:
    """A provider that takes its time, and one number a call."""

    def __init__(self, room: Room, seconds: float) -> None:
        self.calls = 0
        self._room, self._seconds = room, seconds

    async def send(self, request: HttpRequest, timeout: float) -> HttpOutcome:
        self.calls += 1
        answered: Deferred[HttpOutcome] = Deferred()
        self._room.clock.callLater(self._seconds, answered.callback, answer(request))
        return await answered


class OneByOne(Evolution, frozen=True):
    check_numbers: int = 1


def overloaded(per_second: int, urgent_every: int = 0) -> tuple[Slow, list[Finding], list[Finding]]:
    """Ten seconds of so many new numbers, at a provider that answers 4 at a time in 0.3 s: 13 per second."""
    room = Room(budget=1000.0)
    slow = Slow(room, 0.3)
    room.lookup._http = slow
    room.lookup._provider = OneByOne(channel="zap", url="http://h", api_key="k", instance="main")
    urgent: list[Finding] = []
    others: list[Finding] = []
    for index, number in enumerate(people(10 * per_second)):
        first = urgent_every > 0 and index % urgent_every == 0
        finding = Deferred.fromCoroutine(room.lookup.find(number, 0 if first else 1))
        finding.addCallback((urgent if first else others).append)
        room.clock.advance(1 / per_second)
    room.clock.pump([0.05] * 60)
    room.spawned.check()
    assert len(urgent) + len(others) == 10 * per_second
    return slow, urgent, others


def known(findings: list[Finding]) -> int:
    return sum(finding.presence is Presence.ACTIVE for finding in findings)


@pytest.mark.parametrize("per_second", [10, 20, 50, 200])
def test_beyond_what_the_provider_can_answer_what_is_asked_is_answered_in_time(per_second: int) -> None:
    slow, _, findings = overloaded(per_second)
    assert known(findings) >= 0.95 * slow.calls, "an answer that comes too late is a lookup for nothing"
    assert known(findings) >= min(0.98 * 10 * per_second, 0.9 * 10 * 4 / 0.3), "and the provider is never idle"
    assert max(finding.seconds for finding in findings) <= 2.1


def test_the_urgent_are_asked_about_before_the_others() -> None:
    slow, urgent, others = overloaded(100, urgent_every=10)
    assert known(urgent) == len(urgent) == 100
    assert known(urgent) + known(others) >= 0.95 * slow.calls


def test_what_is_left_of_the_budget_goes_to_the_urgent() -> None:
    room = Room(budget=4 / 60)
    room.http.answers[CHECK] = None
    room.find(people(1)[0])
    room.clock.pump([0, 0])  # a call of its own, under way
    others = [room.find(number) for number in people(4)[1:]]
    low = Deferred.fromCoroutine(room.lookup.find(people(5)[4], 2))
    urgent = Deferred.fromCoroutine(room.lookup.find(people(6)[5], 0))
    room.clock.pump([0, 0, 0.26])
    assert room.now(low).presence is Presence.UNKNOWN
    given_up = [one for one in others if one.called]
    assert [room.now(one).presence for one in given_up] == [Presence.UNKNOWN]
    room.http.answer_next(CHECK, answer(room.http.requests[0]))
    room.http.answer_next(CHECK, answer(room.http.requests[1]))
    assert room.now(urgent).presence is Presence.ACTIVE
    assert sum(len(numbers) for numbers in room.asked) == 4


def test_a_day_has_its_number_of_lookups_too() -> None:
    """R18."""
    room = Room(budget=100.0)
    used: list[float] = []
    room.lookup._day, room.lookup._used = Quota(70), lambda: used.append(room.lookup._day.left(room.clock.seconds()))
    findings = [room.find(number) for number in people(100)]
    for _ in range(20):
        room.clock.pump([0, 0, 0, 0.5])
    room.spawned.check()
    seen = [finding.result.presence for finding in findings if isinstance(finding.result, Finding)]
    assert (len(seen), seen.count(Presence.ACTIVE), seen.count(Presence.UNKNOWN)) == (100, 70, 30)
    assert sum(map(len, room.asked)) == 70 and used[-1] == 0


def test_nodes_ask_within_one_budget() -> None:
    """R18, for a sender that two nodes ask through."""
    store = FakeStore()
    rooms = [Room(budget=0.5, shares=store) for _ in range(2)]  # 30 a minute
    crowd = people(40)
    findings = [room.find(number) for room, number in zip(rooms * 20, crowd, strict=True)]
    for room in rooms:
        room.clock.pump([0, 0, 0, 0.3, 2.1])
        room.spawned.check()
    asked = [sum(map(len, room.asked)) for room in rooms]
    assert sum(asked) == 30
    assert asked[0] == 20, "the second one has what is left, whatever it could ask by itself"
    seen = [finding.result.presence for finding in findings if isinstance(finding.result, Finding)]
    assert (seen.count(Presence.ACTIVE), seen.count(Presence.UNKNOWN)) == (30, 10)
    store.spent.clear()
    rooms[1].clock.advance(59.0)
    assert rooms[1].found("5511955550001").presence is Presence.ACTIVE, "and then there is some for both again"
    assert rooms[1].lookup._day.left(START) == 1000 - 11, "who was not asked about is not counted"


class Running(Clock):
    """One that goes on between two readings, as a real one does."""

    def seconds(self) -> float:
        self.rightNow += 1e-6
        return self.rightNow


def test_who_was_not_asked_about_costs_none_of_the_budget() -> None:
    left = 10

    async def spend(window_s: float, most: int, count: int) -> tuple[int, float]:
        nonlocal left
        granted = min(count, left)
        left -= granted
        return granted, 0.0 if left else 5.0

    time = Running()
    time.advance(START)
    room = Room(budget=0.5, time=time)  # 30 a minute
    room.lookup._spend = spend
    crowd = people(50)
    for asked, numbers in ((10, crowd[:30]), (30, crowd[30:])):
        for number in numbers:
            room.find(number)
        room.clock.pump([0, 0, 0, 0.3, 5.0])
        room.spawned.check()
        assert sum(map(len, room.asked)) == asked
        left = 20


def test_who_is_read_up_on_while_the_budget_of_all_grants_another_is_asked_about_too() -> None:
    store, slow, quick = FakeStore(), *people(2)
    room, read, gate = Room(shares=store), store.read, Deferred[None]()

    async def slowly(persons: Sequence[str]) -> list[bytes | None] | None:
        if len(store.reads) == 0:
            store.reads.append([])
            await gate
        return await read(persons)

    store.read = slowly  # type: ignore[method-assign]
    finding = room.find(slow)
    room.clock.pump([0, 0, 0.01])
    assert room.found(quick).presence is Presence.ACTIVE and not finding.called
    gate.callback(None)
    assert room.now(finding).presence is Presence.ACTIVE


def test_what_the_nodes_have_left_of_their_budget_goes_to_the_urgent_too() -> None:
    store = FakeStore()
    room = Room(budget=0.5, shares=store, time=Running())  # 30 a minute
    store.spent["zap:#budget"] = 29
    normal, urgent = people(2)
    room.find(normal)
    Deferred.fromCoroutine(room.lookup.find(urgent, 0))
    room.clock.pump([0, 0, 0])
    room.spawned.check()
    assert room.asked == [[urgent]]


def test_while_the_store_cannot_say_what_is_left_nobody_is_asked_about() -> None:
    store = FakeStore()
    room = Room(shares=store)
    store.away = True
    assert room.found() == Finding(Presence.UNKNOWN, "provider")
    assert room.asked == [] and not room.lookup.failing
    store.away = False
    room.clock.advance(CLOSED_S)
    assert room.found().presence is Presence.ACTIVE


def test_the_answers_of_a_call_are_told_some_at_a_time() -> None:
    """What follows from each holds the thread, and who submits waits for it."""
    room = Room()
    room.http.answers[CHECK] = None
    findings = [room.find(number) for number in people(21)]
    room.clock.pump([0, 0, 0])
    assert room.asked == [people(21)]
    room.http.answer_next(CHECK, answer(room.http.requests[0]))
    told = []
    for _ in range(6):
        told.append(sum(one.called for one in findings))
        room.clock.advance(PAUSE_S)
    assert told == [4, 8, 12, 16, 20, 21]
    assert {room.now(one).presence for one in findings} == {Presence.ACTIVE}


def test_however_many_answers_come_they_are_told_within_a_tenth_of_a_second() -> None:
    room = Room(budget=1000)
    room.http.answers[CHECK] = None
    findings = [room.find(number) for number in people(200)]
    room.clock.pump([0, PATIENCE_S, PATIENCE_S])
    for request in list(room.http.requests):
        room.http.answer_next(CHECK, answer(request))
    assert sum(one.called for one in findings) < 50
    room.clock.pump([PAUSE_S] * int(0.1 / PAUSE_S))
    assert sum(one.called for one in findings) == 200


def test_an_answer_that_came_before_the_deadline_counts_though_others_are_told_before_it() -> None:
    room = Room()
    room.http.answers[CHECK] = None
    findings = [room.find(number) for number in people(21)]
    room.clock.pump([0, 0, 0])
    room.clock.advance(DEADLINE_S - PAUSE_S / 2)
    room.http.answer_next(CHECK, answer(room.http.requests[0]))
    room.clock.advance(PAUSE_S)
    assert {room.now(one).presence for one in findings} == {Presence.ACTIVE}


def test_an_answer_that_cannot_be_kept_holds_up_no_other() -> None:
    room, numbers = Room(budget=20), people(AT_LEAST + 2)

    def alias(identity: str, msisdn: str) -> None:
        if msisdn == numbers[0]:
            raise ValueError("cannot be kept")

    room.lookup._alias = alias
    found = [room.find(number) for number in numbers]
    room.clock.pump([PAUSE_S] * 6)
    told = [room.now(one).presence for one in found]
    assert told == [Presence.UNKNOWN] + [Presence.ACTIVE] * (len(numbers) - 1)
    assert room.lookup._in_calls == 0 and not room.lookup._questions
    assert room.found(people(AT_LEAST + 3)[-1]).presence is Presence.ACTIVE


def test_who_asks_while_answers_wait_to_be_told_gets_the_same_answer() -> None:
    room = Room()
    room.http.answers[CHECK] = None
    findings = [room.find(number) for number in people(21)]
    room.clock.pump([0, 0, 0])
    room.http.answer_next(CHECK, answer(room.http.requests[0]))
    again = room.find(people(21)[20])
    assert not again.called and not findings[20].called
    assert [room.now(one).presence for one in (again, findings[20])] == [Presence.ACTIVE] * 2
    assert room.asked == [people(21)]


def test_nobody_waits_beyond_the_deadline_although_others_began_later() -> None:
    room = Room()
    room.http.answers[CHECK] = None
    findings = []
    for number in people(3):
        findings.append(room.find(number))
        room.clock.pump([0, 0, 0.5])
    for after, told in ((0.4, 0), (0.1, 1), (0.4, 1), (0.1, 2), (0.5, 3)):
        room.clock.advance(after)
        assert sum(one.called for one in findings) == told
    assert {room.now(one).presence for one in findings} == {Presence.UNKNOWN}
