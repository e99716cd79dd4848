"""One sender of a channel: its limits, its health and its watch; lookup, pace, mark, one HTTP call, result.

A message in hand is *waiting* (being looked up, or ready and waiting for its moment) or *written* (its request is under
way). Waiting ones go back when the sender goes down; written ones never do: their answer, or its absence, decides.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Protocol

from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from bridge.aliases import Aliases
from bridge.allowance import Allowance
from bridge.clock import Clock, Spawn, Timer
from bridge.condition import Condition
from bridge.faults import Circuits
from bridge.forms import Forms
from bridge.job import Count, Job
from bridge.lookup import Finding, Lookup
from bridge.phrasing import Phrasing
from bridge.presence import (
    INACTIVE,
    UNKNOWN,
    Change,
    Evidence,
    EvidencePort,
    PresenceMemory,
    absent,
    closed,
    failed,
    missed,
    sent,
    unwanted,
    window_open,
)
from bridge.provider import Http, HttpResponse, NotWritten, Official, Provider, Unanswered, WebhookRead
from bridge.templates import NO_MARKETING_S, PAIR_RATE, PAIR_S, WINDOW_CLOSED, FreeText, TemplateText
from bridge.watch import Answered
from gateway.messages import outcome
from gateway.messages.message import Message
from gateway.messages.outcome import (
    Accepted,
    AttemptResult,
    ChannelDown,
    NoAccount,
    Refused,
    TryLater,
    Uncertain,
    Unwritten,
)

if TYPE_CHECKING:
    from config.schema import BridgeSettings

MOST_IN_HAND = 256
MOST_CALLS = 128  # sends under way at once
UNKNOWN_S, MOST_UNKNOWN_S = 15.0, 600.0  # on the last channel: until an account is asked after again
OVERFULL = 2  # times what may wait: of people whose sender this is, when other senders have room


class Around(Protocol):
    """What a sender needs of its channel. several: has it others?"""

    several: bool
    memory: PresenceMemory
    aliases: Aliases
    circuits: Circuits
    http: Http
    evidence: EvidencePort
    clock: Clock
    spawn: Spawn
    count: Count
    mark: Callable[[str], None]
    unmatched: Callable[[str, str], None]
    answered: Answered | None

    def ended(self, sender: Sender, job: Job, result: AttemptResult) -> None:
        """A message left the sender's hands."""

    def changed(self) -> None:
        """Its state may have."""

    def moved(self) -> None:
        """A send was written, or answered."""

    def looked_up(self, message: Message, lookup: outcome.Lookup) -> None: ...


class Sender:
    """settings: the channel's, with what is this sender's own in place."""

    log = Logger()

    def __init__(self, name: str, settings: BridgeSettings, provider: Provider, forms: Forms, around: Around) -> None:
        self.name, self.settings, self.provider = name, settings, provider
        self._channel, self._around, self._clock = settings.name, around, around.clock
        self._log = self.log  # which makes a new one whenever it is looked up
        official = provider if isinstance(provider, Official) else None
        self._phrasing = (
            Phrasing(official, forms, settings.name, around.count, around.unmatched) if official is not None else None
        )
        lookup = settings.lookup
        self.allowance = Allowance(settings, name, around.evidence, self._clock)
        self._lookup = Lookup(
            around.memory,
            provider,
            around.http,
            clock=self._clock,
            spawn=around.spawn,
            enabled=lookup.enabled,
            deadline=lookup.deadline,
            budget=lookup.budget,
            timeout=settings.timeout,
            day=self.allowance.lookups,
            used=self.allowance.keep,
            spend=self.allowance.spend if around.answered is not None else None,
            alias=around.aliases.learn,
        )
        # Where nobody may ask, "unknown" is everybody: then the send itself is the question.
        self._send_unknown = lookup.when_unknown == "send" or (provider.check_numbers > 0 and not lookup.enabled)
        called = f"{settings.name}, sender {name}," if settings.of_several else settings.name
        self.condition = Condition(
            called,
            settings,
            provider,
            http=around.http,
            clock=self._clock,
            spawn=around.spawn,
            circuits=around.circuits,
            count=around.count,
            settled=self._settled,
            moved=around.moved,
            watched=self._look_over,
            answered=around.answered,
        )
        # Waiting for longer than about two seconds is done in the queue, where priorities count.
        self._most_waiting = int(min(MOST_IN_HAND, max(32.0, 2 * settings.throughput)))
        self._jobs: dict[int, Job] = {}
        self._ready: list[tuple[int, int, Job]] = []  # a heap: the urgent first, and each as it came
        self._turn = 0
        self._pumping: Timer | None = None
        self.written = 0

    # --------------------------------------------------------------------------------------------- towards its channel

    @property
    def inflight(self) -> int:
        return len(self._jobs)

    @property
    def able(self) -> bool:
        """May it take a message now?"""
        return self.condition.up and not self.allowance.used_up

    def capacity(self) -> int:
        """How many messages may be handed over now; 0 while down, 1 while on trial."""
        if not self.condition.up or self.condition.pace.stopped:
            return 0
        if self.condition.on_trial:
            return 1
        waiting = self.inflight - self.written
        room = self.condition.health.room(self.inflight, self._clock.seconds())
        return int(max(0, min(self._most_waiting - waiting, MOST_IN_HAND - self.inflight, room)))

    @property
    def overfull(self) -> float:
        """Above 0: more wait for it than it can send soon; come again after so many seconds."""
        waiting = self.inflight - self.written
        return waiting / self.condition.pace.rate if waiting >= OVERFULL * self._most_waiting else 0.0

    def take(self, job: Job) -> None:
        job.recipient, job.form, job.written, job.asked_in_vain = job.message.msisdn, None, False, False
        self._jobs[id(job)] = job
        self.condition.trial_taken()
        self._around.spawn(self._prepare(job), "looking up a recipient", self._log)

    def take_share(self, share: float) -> None:
        """Of its rate, this node's part from now on. 0: what is not written goes back, another node may send it."""
        had, pace = not self.condition.pace.stopped, self.condition.pace
        pace.take_share(share)
        if had and pace.stopped:
            self.hand_back(Unwritten("another node has the rate"))
        elif not had and not pace.stopped:
            self._around.moved()

    def waits(self, message_id: str) -> bool:
        """Has it this message in hand, and not written? One that has ended meanwhile will not be."""
        return any(job.message.id == message_id and not job.written for job in self._jobs.values())

    async def start(self) -> None:
        await self.allowance.recall()
        self.condition.start()

    def rest(self) -> None:
        """Nothing new, and what is not written goes back; the answers under way are still waited for."""
        self.condition.rest()
        self.hand_back(Unwritten("stopping"))

    def stop(self) -> None:
        self.condition.stop()
        if self._pumping is not None and self._pumping.active():
            self._pumping.cancel()

    def hand_back(self, result: AttemptResult, *, written: bool = False) -> None:
        self._ready.clear()
        for job in [job for job in self._jobs.values() if written or not job.written]:
            self._end(job, result)

    def hear(self, read: WebhookRead, now: float, *, named: bool) -> None:
        """A webhook came. named: it speaks of this sender and no other."""
        self.condition.hear(read, now, named=named)
        self._pump()

    def _settled(self) -> None:
        """Its state may have changed: hand back what waits when it is down."""
        self._lookup.calls_allowed = not self.condition.resting
        if self.condition.resting and self.inflight > self.written:
            self.hand_back(ChannelDown(self.condition.reason))
        self._around.changed()

    # ---------------------------------------------------------------------------------------------------- one attempt

    def _holds(self, job: Job) -> bool:
        return id(job) in self._jobs

    async def _prepare(self, job: Job) -> None:
        """Find the recipient's identity, or why there is no point in sending; then wait for the moment."""
        if self.allowance.used_up:
            return self._end(job, self.allowance.refusal(job.alone(self._channel)))
        try:
            finding = await self._lookup.find(job.message.msisdn, job.message.priority)
        except CancelledError:  # the gateway ends
            raise
        except Exception:
            self.log.failure("presence on {channel} is unknown", channel=self._channel)
            finding = Finding(UNKNOWN, "cache")
        if not self._holds(job):
            return None
        if finding.presence is not UNKNOWN or self._lookup.asks:
            self._around.looked_up(job.message, outcome.Lookup(finding.presence.value, finding.origin, finding.seconds))
        job.recipient = finding.identity or job.message.msisdn
        asked = finding.presence is UNKNOWN and finding.origin == "provider"
        if asked and self._lookup.failing:
            job.asked_in_vain = True
            self.condition.doubted()
        if finding.presence is INACTIVE:
            return self._end(job, NoAccount(finding.origin))
        lost = finding.presence is UNKNOWN and not self._send_unknown
        if lost or (self.provider.needs_identity and not finding.identity):
            return self._end(job, self._unknown(job))
        now = self._clock.seconds()
        if self._phrasing is not None:
            known = self._known(job)
            job.form = self._phrasing.form_of(job, now, window_open=window_open(known, now, self._thread))
            if job.form is None:
                return self._end(job, Refused("no_template", rejected=False))
            marketing = isinstance(job.form, TemplateText) and job.form.category == "marketing"
            if marketing and known.no_marketing_until > now:
                return self._end(job, Refused("no_marketing", rejected=False))
        wait: float | TryLater = 0.0
        if self.allowance.spaced:
            patience = job.message.patience_left(self._channel, now)
            wait = self.allowance.wait(job.person, self._sent_at(job), patience)
        if isinstance(wait, TryLater):
            return self._end(job, wait)
        if wait > 0:
            self._clock.callLater(wait, self._make_ready, job)
        else:
            self._make_ready(job)
        return None

    def _unknown(self, job: Job) -> AttemptResult:
        """Nobody has told whether the person has an account: the next channel, and where none follows they are asked
        again."""
        if not (self._lookup.asks and job.alone(self._channel)):
            return Refused("unknown", rejected=False)
        tries = job.message.attempts[-1].tries if job.message.attempts else 0
        return TryLater(min(UNKNOWN_S * 2.0 ** min(tries, 16), MOST_UNKNOWN_S), "unknown")

    def _sent_at(self, job: Job) -> float:
        """When this sender last sent to the person; 0: never, as far as anybody knows."""
        known = self._known(job)
        return known.sent_at if known.sender in ("", self.name) else 0.0

    def _known(self, job: Job) -> Evidence:
        return self._around.memory.recall(job.person) or Evidence()

    def _make_ready(self, job: Job) -> None:
        if self._holds(job):
            self._turn += 1
            heappush(self._ready, (job.message.priority, self._turn, job))
            self._pump()

    def _look_over(self) -> None:
        """Time has passed: what is not written before its time is over goes back, be it looked up or held back."""
        now, unwritten = self._clock.seconds(), [job for job in self._jobs.values() if not job.written]
        late = [job for job in unwritten if job.message.is_too_late_for(self._channel, now)]
        if late:
            self._ready = [one for one in self._ready if one[2] not in late]
            heapify(self._ready)
            for job in late:
                self._end(job, ChannelDown("timeout"))
        self._pump()

    def _pump(self) -> None:
        """Write what is ready, as fast as rate, concurrency and health allow."""
        if not self._ready:
            return None
        now = self._clock.seconds()
        while self._ready and self.written < MOST_CALLS:
            job = self._ready[0][2]
            if not self.condition.on_trial and self.condition.health.room(self.written, now) < 1:
                return  # an answer, or the verdict, pumps again
            if (wait := self.condition.pace.wait(now)) > 0:
                return self._pump_at(wait)
            heappop(self._ready)
            if job.message.final:  # it ended while it waited here
                self._end(job, Unwritten("over"))
            elif self.allowance.used_up:
                self._end(job, self.allowance.refusal(job.alone(self._channel)))
            elif (patience := job.message.patience_left(self._channel, now)) == 0.0:
                self._end(job, ChannelDown("timeout"))
            else:
                self.condition.pace.take(now)
                self.allowance.use(1)
                job.written = True
                self.written += 1
                self._around.moved()
                self._around.spawn(self._write(job, patience), "a WhatsApp send", self._log)
        return None

    def _pump_at(self, delay: float) -> None:
        if self._pumping is None or not self._pumping.active():
            self._pumping = self._clock.callLater(max(delay, 0.0005), self._pump)

    async def _write(self, job: Job, patience: float) -> None:
        """One request. patience: seconds after which it is the next channel's turn, answered or not."""
        result: AttemptResult = Refused("error", rejected=False)
        try:
            if self._phrasing is not None and job.form is not None:
                request = self._phrasing.request(job, job.form)
            else:
                request = self.provider.send_request(job.recipient, job.text, job.message.id)
            self._around.mark(job.message.id)
            result = Uncertain("error")
            timeout = self.settings.timeout
            answer = await self._around.http.send(request, timeout if timeout < patience else patience)
            match answer:
                case HttpResponse():
                    result = self.provider.read_send(answer)
                case NotWritten():
                    result = ChannelDown("provider_down", answer.reason)
                case Unanswered(reason=reason):
                    result = Uncertain(reason)
        except Exception:
            self.log.failure("a send on {channel} broke", channel=self._channel)
        self.written -= 1
        if not isinstance(result, (Accepted, Uncertain)):
            self.allowance.use(-1)
        if self._phrasing is not None and job.form is not None:
            result = self._phrasing.read(job, job.form, result, self._known(job), self._clock.seconds())
        if not self._goes_again(job, result):
            self._teach(job, result)
            self.condition.ended(result)
            self._end(job, result)
        self._pump()
        self._around.moved()

    def _goes_again(self, job: Job, result: AttemptResult) -> bool:
        """The window was closed after all: once more, in another form."""
        if self._phrasing is None or not isinstance(job.form, FreeText):
            return False
        if not isinstance(result, Refused) or result.reason != "window_closed":
            return False
        now = self._clock.seconds()
        self._learn(job, closed(now, self._thread))
        job.form, job.written = self._phrasing.form_of(job, now, window_open=False), False
        if job.form is None:
            self._end(job, Refused("no_template", result.code, rejected=False))
        elif not self.condition.running:
            self._end(job, Unwritten("stopping"))
        elif self.condition.resting:
            self._end(job, ChannelDown(self.condition.reason))
        else:
            self._turn += 1
            heappush(self._ready, (job.message.priority, -self._turn, job))  # before those that came meanwhile
        return True

    def _end(self, job: Job, result: AttemptResult) -> None:
        """The one way out of our hands."""
        if self._jobs.pop(id(job), None) is None:
            return
        if not job.written:
            self.condition.trial_missed()
        self._around.ended(self, job, result)

    # ---------------------------------------------------------------------------------------------- what people show

    def failed(self, person: str, no_account: bool, err: str, at: float) -> None:
        """A report said that a message of this sender's failed."""
        official, learn = self._phrasing is not None, self._around.memory.learn
        if official and err in NO_MARKETING_S:
            learn(person, unwanted(err, at))
        if official and err == PAIR_RATE and self._clock.seconds() - at < PAIR_S:
            self.allowance.close(person, PAIR_S)
        if no_account:
            learn(person, self._absence(at))
        elif official and err == WINDOW_CLOSED:
            learn(person, closed(at, self._thread))
        else:
            learn(person, failed(at))

    def _learn(self, job: Job, change: Change) -> None:
        self._around.memory.learn(job.person, change)

    @property
    def _thread(self) -> str:
        """Under which name its conversations are kept; "" where the channel has one sender."""
        return self.name if self._around.several else ""

    def _absence(self, at: float) -> Change:
        """A send, or the report of one, said that there is no account."""
        return missed(at) if self._phrasing is not None else absent(at)

    def _teach(self, job: Job, result: AttemptResult) -> None:
        """What a result says of the person, and of this sender and this person."""
        match result:
            case Accepted(held=False, identity=identity):
                self._around.aliases.learn(identity or job.recipient, job.message.msisdn)
                self._learn(job, sent(identity, self._clock.seconds()))
            case Refused(code=code) if self._phrasing is not None and code in NO_MARKETING_S:
                self._learn(job, unwanted(code, self._clock.seconds()))
            case NoAccount():
                self._learn(job, self._absence(self._clock.seconds()))
            case TryLater(reason="pair_rate", after_s=after_s):
                self.allowance.close(job.person, after_s)
