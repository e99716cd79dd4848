"""Asking the provider who has an account: one question per person, many people per call, never past the deadline.

When more is asked than the provider can answer, the newest and most urgent questions are asked first: what is asked is
then answered in time, while first come, first served would answer all of it too late.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterator
from operator import attrgetter

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from bridge.clock import Clock, Spawn, Timer
from bridge.limits import Quota
from bridge.presence import ACTIVE, INACTIVE, UNKNOWN, Budget, Evidence, Presence, PresenceMemory, absent, found
from bridge.provider import Account, Http, HttpResponse, Provider
from gateway.messages.address import same_person

CLOSED_S = 1.0  # for how long nobody is asked about when the store cannot say what is left
MOST_CALLS = 4  # at once; a second one starts only while the first is slow or 50 are waiting
# What follows from an answer holds the thread, and later what the store and the operator answer does: whoever submits
# meanwhile would wait for what fifty of a call bring at once. So they are told some at a time, fifty in some 25 ms.
PAUSE_S, PAUSES = 0.002, 12
AT_LEAST = 4  # at a time
PATIENCE_S = 0.25  # how long a question waits for the call before it to be answered
NORMAL = 1  # gateway.messages.message.Priority; smaller is more urgent


class Finding(msgspec.Struct, frozen=True):
    """What is known about a number at the moment of a send. origin: cache | provider. seconds: what it took."""

    presence: Presence
    origin: str
    identity: str = ""
    seconds: float = 0.0


class _Question(msgspec.Struct):
    """A person being asked about. `waiters` have not passed their deadline yet."""

    msisdn: str
    asked_at: float
    waiters: list[Deferred[Presence]]
    priority: int = NORMAL
    in_call: bool = False


class Lookup:
    """The lookups of one channel. Late answers are still learned; failures teach nothing."""

    log = Logger()

    def __init__(
        self,
        memory: PresenceMemory,
        provider: Provider,
        http: Http,
        *,
        clock: Clock,
        spawn: Spawn,
        enabled: bool,
        deadline: float,
        budget: float,
        timeout: float,
        day: Quota | None = None,
        used: Callable[[], None] = lambda: None,
        spend: Callable[[float, int, int], Awaitable[tuple[int, float]]] | None = None,
        alias: Callable[[str, str], None] = lambda *_: None,
    ) -> None:
        """deadline, timeout: seconds, of a message's wait and of a call. budget: numbers per second. day: numbers a
        day; used: called when it has changed. spend: where other nodes ask within the same budget; see EvidencePort.
        alias: told of hidden identities, and of whose they are."""
        self._day, self._used, self._spend, self._alias = day or Quota(None), used, spend, alias
        self._memory, self._provider, self._http = memory, provider, http
        self._clock, self._spawn = clock, spawn
        self._deadline, self._timeout = deadline, timeout
        self._budget = Budget(budget)
        self.asks = enabled and provider.check_numbers > 0
        self._needs_identity = provider.needs_identity
        self._questions: OrderedDict[str, _Question] = OrderedDict()
        self._waits: deque[tuple[float, _Question, Deferred[Presence]]] = deque()  # until when; the first ends first
        self._answers: deque[tuple[_Question, Account]] = deque()  # that came and are not told yet
        self._calls = 0
        self._in_calls = 0  # questions that are asked right now
        self._call_s = 0.0  # what a call took lately
        self._turn: Timer | None = None
        self.calls_allowed = True  # False while the provider is known to be down
        self.failing = False  # the last call told nothing of anybody

    async def find(self, msisdn: str, priority: int = NORMAL) -> Finding:
        """Active, inactive or unknown, within the deadline. priority: 0 is the most urgent."""
        began, person = self._clock.seconds(), same_person(msisdn)
        evidence = await self._memory.load(person)
        presence = self._memory.presence(evidence)
        # Who wrote to us has an account, but nobody told yet under which identity.
        enough = presence is not UNKNOWN and (
            presence is not ACTIVE or bool(evidence.identity) or not self._needs_identity
        )
        if enough or not self.asks or not self.calls_allowed:
            return Finding(presence, "cache", evidence.identity)
        question = self._questions.get(person)
        if question is None:
            now = self._clock.seconds()  # later than when it began: what is known was read meanwhile
            if not self._has_room(priority, now):
                return Finding(UNKNOWN, "cache", evidence.identity)
            question = self._questions[person] = _Question(msisdn, began, [], priority)
        question.priority = min(question.priority, priority)
        answer: Deferred[Presence] = Deferred()
        question.waiters.append(answer)
        if not self._waits:
            self._clock.callLater(self._deadline, self._look_for_late)
        self._waits.append((began + self._deadline, question, answer))
        self._wake(0.0)
        presence = await answer
        seconds = self._clock.seconds() - began
        return Finding(presence, "provider", (self._memory.recall(person) or Evidence()).identity, seconds)

    def _has_room(self, priority: int, now: float) -> bool:
        """Is there budget for one more? A less urgent question gives its place up."""
        if len(self._questions) - self._in_calls < min(self._budget.left(now), self._day.left(now)):
            return True
        waiting = self._waiting(now)
        if not waiting or waiting[-1].priority <= priority:
            return False
        self._answer(max(waiting, key=lambda one: (one.priority, -one.asked_at)), None)
        return True

    def _waiting(self, now: float) -> list[_Question]:
        """What has not been asked yet, in the order in which it should be: last what cannot be answered in time."""

        def order(question: _Question) -> tuple[bool, int, float]:
            hopeless = question.asked_at + self._deadline - now < self._call_s
            return hopeless, question.priority, -question.asked_at

        return sorted((one for one in self._questions.values() if not one.in_call), key=order)

    def _look_for_late(self) -> None:
        """One timer for all that wait: each waits as long as the others, and most are answered before it fires."""
        now = self._clock.seconds()
        while self._waits:
            until, question, answer = self._waits[0]
            if not answer.called and until > now:
                self._clock.callLater(until - now, self._look_for_late)
                return
            if not answer.called:
                self._tell(len(self._answers))  # it may be among them
            self._waits.popleft()
            if not answer.called:
                self._too_late(question, answer)

    def _too_late(self, question: _Question, answer: Deferred[Presence]) -> None:
        question.waiters.remove(answer)
        if not question.waiters and not question.in_call:
            self._questions.pop(same_person(question.msisdn), None)  # nobody waits: not worth its budget
        answer.callback(UNKNOWN)

    def _wake(self, delay: float) -> None:
        """Look after the questions at the latest in so many seconds."""
        if self._turn is not None and self._turn.active():
            if self._turn.getTime() <= self._clock.seconds() + delay:
                return
            self._turn.cancel()
        self._turn = self._clock.callLater(delay, self._start_calls)

    def _start_calls(self) -> None:
        now, most = self._clock.seconds(), self._provider.check_numbers
        while self._calls < MOST_CALLS:
            waiting = self._waiting(now)
            if not waiting:
                return
            if self._calls and len(waiting) < most:
                patience = min(question.asked_at for question in waiting) + PATIENCE_S - now
                if patience > 0:
                    return self._wake(patience)
            batch = waiting[: int(min(most, max(0, self._budget.left(now)), self._day.left(now)))]
            batch.sort(key=attrgetter("asked_at"))  # answered together, they go on in the order in which they came
            if not batch:  # the budget went to others since they were let in
                for question in waiting:
                    self._answer(question, None)
                return
            self._budget.take(len(batch), now)
            if self._day.limited:
                self._day.take(len(batch), now)
                self._used()
            for question in batch:
                question.in_call = True
            self._in_calls += len(batch)
            self._calls += 1
            self._spawn(self._call(batch, now), "a lookup", self.log)

    async def _call(self, batch: list[_Question], began: float) -> None:
        """began: when their budget was taken."""
        if self._spend is not None:
            batch = await self._granted(batch, began, self._spend)
        numbers = [question.msisdn for question in batch]
        answers: dict[str, Account] = {}
        try:
            request = self._provider.check_request(numbers) if numbers else None
            if request is not None:
                outcome = await self._http.send(request, self._timeout)
                if isinstance(outcome, HttpResponse):
                    answers = dict(self._provider.read_check(outcome, numbers))
        except Exception:
            self.log.failure("a lookup broke")
        self._calls -= 1
        if numbers:
            self._call_s += (self._clock.seconds() - began - self._call_s) / 4
            self.failing = all(answers.get(number) is None for number in numbers)
        more = bool(self._answers)
        self._answers += [(question, answers.get(question.msisdn)) for question in batch]
        if not more:
            self._tell_some()
        self._start_calls()

    async def _granted(
        self, batch: list[_Question], taken_at: float, spend: Callable[[float, int, int], Awaitable[tuple[int, float]]]
    ) -> list[_Question]:
        """Those of them for whom all nodes together have budget left; nobody is asked about the others."""
        try:
            granted, closed_s = await spend(self._budget.window, self._budget.most, len(batch))
        except Exception:
            granted, closed_s = 0, CLOSED_S
        now = self._clock.seconds()
        refused = sorted(batch, key=attrgetter("priority"))[granted:]  # the least urgent
        self._budget.close(now + closed_s)
        if refused:
            self._budget.give_back(len(refused), taken_at)
            if self._day.limited:
                self._day.take(-len(refused), now)
                self._used()
        for question in refused:
            self._answer(question, None)
        return [question for question in batch if question.in_call]

    def _tell_some(self) -> None:
        """Some of the answers that came, the others after a pause."""
        self._tell(max(AT_LEAST, len(self._answers) // PAUSES))
        if self._answers:
            self._clock.callLater(PAUSE_S, self._tell_some)

    def _tell(self, most: int) -> None:
        for _ in range(min(most, len(self._answers))):
            question, account = self._answers.popleft()
            try:
                self._answer(question, account)
            except Exception:  # those behind it go on
                self.log.failure("what a lookup told could not be kept")
                self._answer(question, None)

    def _answer(self, question: _Question, account: Account) -> None:
        person, now = same_person(question.msisdn), self._clock.seconds()
        presence = UNKNOWN
        match account:
            case (True, str(identity), *beside):
                for hidden in (identity, *beside):
                    self._alias(hidden, question.msisdn)
                self._memory.learn(person, found(identity, now))
                presence = ACTIVE
            case False:
                self._memory.learn(person, absent(now))
                # Somebody may have proved the contrary while we asked.
                known = self._memory.recall(person)
                presence = self._memory.presence(known) if known is not None else INACTIVE
        self._questions.pop(person, None)
        if question.in_call:
            question.in_call = False
            self._in_calls -= 1
        for waiter in self._live(question):
            waiter.callback(presence)

    @staticmethod
    def _live(question: _Question) -> Iterator[Deferred[Presence]]:
        while question.waiters:
            yield question.waiters.pop(0)
