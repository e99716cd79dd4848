"""A WhatsApp sender as a channel of delivery: lookup, pace, mark, one HTTP call, result.

A message in hand is *waiting* (being looked up, or ready and waiting for its moment) or *written* (its request is under
way). Waiting ones go back when the sender goes down; written ones never do: their answer, or its absence, decides.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from bridge.aliases import Aliases
from bridge.allowance import Allowance
from bridge.clock import Clock, Spawn, Timer
from bridge.forms import Forms
from bridge.health import Health, State
from bridge.lookup import Lookup
from bridge.parting import LastWords
from bridge.presence import (
    Change,
    Evidence,
    EvidencePort,
    Presence,
    PresenceMemory,
    absent,
    closed,
    delivered,
    failed,
    missed,
    sent,
    unwanted,
    window_open,
    wrote,
)
from bridge.provider import (
    Http,
    HttpRequest,
    HttpResponse,
    Keyed,
    NotWritten,
    Official,
    Provider,
    Unanswered,
    WebhookRead,
)
from bridge.shapes import shape_of
from bridge.templates import NO_MARKETING_S, WINDOW_CLOSED, Form, FreeText, TemplateText
from bridge.watch import Watch
from bridge.webhooks import Webhooks
from gateway.delivery.pacing import Pacer
from gateway.messages import outcome
from gateway.messages.address import same_person
from gateway.messages.message import Message
from gateway.messages.outcome import (
    Accepted,
    AttemptResult,
    ChannelDown,
    Inbound,
    NoAccount,
    Refused,
    Report,
    Status,
    TryLater,
    Uncertain,
    Unwritten,
)

if TYPE_CHECKING:
    from config.schema import BridgeSettings

MOST_CHARS = 4096  # of a WhatsApp text
MOST_IN_HAND = 256
MOST_CALLS = 128  # sends under way at once
STOP_S = 4.0  # the longest wait for them at the end
LEAST_RATE = 0.05  # of the configured rate, however often the provider asks us to slow down
FRESH_S = 60.0  # the time a text carries is in whole seconds and of another clock; younger ones came just now
# First and longest pauses of a sender that the service refuses for the moment, in seconds.
PAIR_S, BURST_S = 6.0, 60.0  # one message to a person in so long; others of a burst got through this short ago
OVERLOADED_S, MAINTENANCE_S, LONGEST_BLOCK_S = (5.0, 30.0), (60.0, 120.0), 3600.0


Count = Callable[..., None]


class Results(Protocol):
    """gateway.delivery.ports.Results, as much of it as a WhatsApp channel uses."""

    def attempted(self, channel: str, results: Sequence[tuple[Message, AttemptResult]]) -> None: ...
    def reported(self, channel: str, reports: Sequence[Report], done: Callable[[bool], None]) -> None: ...
    def inbound(self, channel: str, texts: Sequence[Inbound], done: Callable[[bool], None]) -> None: ...
    def looked_up(self, message: Message, channel: str, lookup: outcome.Lookup) -> None: ...
    def capacity_changed(self, channel: str) -> None: ...


class _Job(msgspec.Struct, eq=False):
    """A message in hand."""

    message: Message
    text: str
    recipient: str
    form: Form | None = None  # official services only
    written: bool = False
    over: bool = False

    def alone(self, channel: str) -> bool:
        """Is there no other channel after this one?"""
        return self.message.plan[-1:] == (channel,)


class WhatsAppChannel:
    """One sender. Everything runs in the reactor's thread; results leave once per turn of its loop."""

    log = Logger()
    kind = "whatsapp"

    def __init__(
        self,
        settings: BridgeSettings,
        *,
        provider: Provider,
        http: Http,
        evidence: EvidencePort,
        results: Results,
        mark: Callable[[str], None],
        decode: Callable[[Message], str | None],
        clock: Clock,
        spawn: Spawn,
        country: str = "BR",
        count: Count = lambda *_: None,
        unmatched: Callable[[str, str], None] = lambda *_: None,
    ) -> None:
        """decode: the text of a message, None when it is none. spawn: gateway.background.spawn. count: of
        gateway.metrics. unmatched(channel, shape): one more text that no template stands for."""
        self._count, self._unmatched = count, unmatched
        self.name, self.price = settings.name, str(settings.price)
        self.settings, self.country = settings, country
        self._provider, self._http, self._results = provider, http, results
        self._official = provider if isinstance(provider, Official) else None
        self._forms = Forms(settings)
        self._alarms: set[str] = set()
        self._mark, self._decode, self._clock, self._spawn = mark, decode, clock, spawn
        now, lookup, health = clock.seconds(), settings.lookup, settings.health
        self._allowance = Allowance(settings, evidence, clock)
        self._aliases = Aliases(settings.name, evidence, lookup.identities_for)
        self.memory = PresenceMemory(
            evidence,
            clock=clock,
            spawn=spawn,
            active_for=lookup.active_for,
            inactive_for=lookup.inactive_for,
            channel=settings.name,
        )
        self._lookup = Lookup(
            self.memory,
            provider,
            http,
            clock=clock,
            spawn=spawn,
            enabled=lookup.enabled,
            deadline=lookup.deadline,
            budget=lookup.budget,
            timeout=settings.timeout,
            day=self._allowance.lookups,
            used=self._allowance.keep,
            alias=self._aliases.learn,
        )
        withdraws = settings.delete_before_sms
        last_words = LastWords(provider, http, self.memory, clock=clock, spawn=spawn, withdraws=withdraws)
        self.asks, self.withdraws, self.last_word = last_words.asks, last_words.withdraws, last_words.ask
        self.key_of = provider.key_of if isinstance(provider, Keyed) else None
        # Where nobody may ask, "unknown" is everybody: then the send itself is the question.
        self._send_unknown = lookup.when_unknown == "send" or (provider.check_numbers > 0 and not lookup.enabled)
        self._health = Health(min_acks=float(health.min_acks), window=health.window, quarantine=health.quarantine)
        self._watch = Watch(
            self._health,
            provider,
            http,
            clock=clock,
            spawn=spawn,
            window=health.window,
            timeout=settings.timeout,
            changed=self._watched,
        )
        self._webhooks = Webhooks(
            self.name,
            provider,
            http,
            results,
            clock=clock,
            timeout=settings.timeout,
            heard=self._hear,
            aliases=self._aliases,
        )
        self._pacer = Pacer(settings.throughput, now)
        # Waiting for longer than about two seconds is done in the queue, where priorities count.
        self._most_waiting = int(min(MOST_IN_HAND, max(32.0, 2 * settings.throughput)))
        self._jobs: dict[int, _Job] = {}
        self._ready: deque[_Job] = deque()
        self._written = 0
        self._ended: list[tuple[Message, AttemptResult]] = []
        self._flushing: Timer | None = None
        self._pumping: Timer | None = None
        self._throttled_at = 0.0
        self._running = self._stopping = False
        self._drained: Deferred[None] | None = None
        self.up = False
        self.quarantined = False
        self.binds = 0
        self.inflight = 0

    # ----------------------------------------------------------------------------------------------- the channel port

    def capacity(self) -> int:
        """How many messages may be handed over now; 0 while down, 1 while on trial."""
        if not self.up or self._stopping:
            return 0
        if self._health.state is State.TRIAL:
            return 1
        waiting = self.inflight - self._written
        room = self._health.room(self.inflight, self._clock.seconds())
        return int(max(0, min(self._most_waiting - waiting, MOST_IN_HAND - self.inflight, room)))

    def send(self, message: Message) -> None:
        job = _Job(message, "", message.msisdn)
        self._jobs[id(job)] = job
        self.inflight += 1
        if self._stopping or not self._running:
            return self._end(job, Unwritten("stopping"))
        if not self.up:
            return self._end(job, ChannelDown(self._health.reason))
        text = self._decode(message)
        if text == "" and message.template and self._official is not None:
            pass  # the template says it all
        elif text is None or not text or len(text) > MOST_CHARS:
            return self._end(job, Refused("not_text", rejected=False))
        # Half a surrogate pair cannot be written as UTF-8.
        job.text = (text or "").encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        if self._health.state is State.TRIAL:
            self._health.trial_taken(self._clock.seconds())
            self._state_changed()
        self._go(self._prepare(job), "looking up a recipient")

    async def start(self) -> None:
        await self._allowance.recall()
        self._running, self._stopping = True, False
        self._state_changed()
        self._watch.start()

    async def stop(self) -> None:
        """Hand back what is not written, then wait for the answers under way: at most `timeout`, and 4 s."""
        if not self._running or self._stopping:
            return
        self._stopping, self.up = True, False
        self._hand_back(Unwritten("stopping"))
        if self._written:
            self._drained = Deferred()
            late = self._clock.callLater(min(self.settings.timeout + 1.0, STOP_S), self._give_up)
            await self._drained
            if late.active():
                late.cancel()
        self._running = False
        self._watch.stop()
        if self._pumping is not None and self._pumping.active():
            self._pumping.cancel()
        if self._flushing is not None:
            self._flushing.cancel()
        self._flush()

    # ------------------------------------------------------------------------------------------------------- webhooks

    async def receive_webhook(self, request: HttpRequest) -> HttpResponse:
        """Read a webhook; 200 once everything in it is kept, 503 when it must come again, 401 for a bad proof."""
        return await self._webhooks.take(request)

    def _hear(self, read: WebhookRead, now: float) -> None:
        """What the sender's health and the people's presence learn from a webhook."""
        for report in read.reports:
            self._health.answered(report.remote_id, now)
        for text in read.inbound:
            self.memory.learn(same_person(text.msisdn), wrote(self._moment(text.at, now)))
        failed = (report for report in read.reports if report.status is Status.FAILED)
        for report, failure in zip(failed, read.failures, strict=False):
            if now - report.at < FRESH_S:  # a copy of an old one says nothing of how the sender is now
                self._judge(failure, now)
        for news in read.templates:
            self._forms.template_is(news.name, news.language, news.usable, now)
        if read.connection is False:
            self._health.logged_out(now)
        elif read.connection is True:
            self._health.connected(now)
        self._state_changed()
        self._pump()
        if read.unsure:
            self._watch.probe()

    def learn(
        self, msisdn: str, status: Status, no_account: bool, seconds: float, err: str = "", at: float = 0.0
    ) -> None:
        """A report was matched to a message of ours, `seconds` after its send. err: the provider's code. at: when that
        happened, 0 for now; a copy that comes days later says nothing of today."""
        person, at = same_person(msisdn), self._moment(at, self._clock.seconds())
        if status in (Status.DELIVERED, Status.READ):
            self.memory.learn(person, delivered(at))
        elif status is Status.FAILED:
            if self._official is not None and err in NO_MARKETING_S:
                self.memory.learn(person, unwanted(err, at))
            window = self._official is not None and err == WINDOW_CLOSED
            self.memory.learn(person, self._absent(at) if no_account else closed(at) if window else failed(at))

    def forget(self, forms: Sequence[str]) -> None:
        """A person was erased: their number, in every form that it may have here."""
        self.memory.forget(same_person(forms[0]))
        self._aliases.forget(forms)

    @staticmethod
    def _moment(at: float, now: float) -> float:
        """When something happened that a webhook tells of."""
        return at if 0.0 < at <= now - FRESH_S else now

    def _absent(self, at: float) -> Change:
        return missed(at) if self._official is not None else absent(at)

    # ---------------------------------------------------------------------------------------------------- one attempt

    async def _prepare(self, job: _Job) -> None:
        """Find the recipient's identity, or why there is no point in sending; then wait for the moment."""
        if self._allowance.used_up:
            return self._end(job, self._allowance.refusal(job.alone(self.name)))
        try:
            finding = await self._lookup.find(job.message.msisdn, job.message.priority)
        except Exception:
            self.log.failure("presence on {channel} is unknown", channel=self.name)
            finding = None
        if job.over:
            return
        presence = Presence.UNKNOWN
        if finding is not None:
            presence = finding.presence
            if presence is not Presence.UNKNOWN or self._lookup.asks:
                lookup = outcome.Lookup(presence.value, finding.origin, finding.seconds)
                self._results.looked_up(job.message, self.name, lookup)
            job.recipient = finding.identity or job.message.msisdn
        if presence is Presence.INACTIVE:
            return self._end(job, NoAccount(finding.origin if finding is not None else "cache"))
        if presence is Presence.UNKNOWN and not self._send_unknown:
            return self._end(job, Refused("unknown", rejected=False))
        if self._provider.needs_identity and (finding is None or not finding.identity):
            return self._end(job, Refused("unknown", rejected=False))
        if self._official is not None:
            known = self.memory.recall(same_person(job.message.msisdn)) or Evidence()
            job.form = self._form_of(job, window_open(known, self._clock.seconds()))
            if job.form is None:
                return self._end(job, Refused("no_template", rejected=False))
            marketing = isinstance(job.form, TemplateText) and job.form.category == "marketing"
            if marketing and known.no_marketing_until > self._clock.seconds():
                return self._end(job, Refused("no_marketing", rejected=False))
        wait = self._allowance.wait(same_person(job.message.msisdn))
        if isinstance(wait, TryLater):
            return self._end(job, wait)
        if wait > 0:
            self._clock.callLater(wait, self._make_ready, job)
        else:
            self._make_ready(job)
        return None

    def _make_ready(self, job: _Job) -> None:
        if not job.over:
            self._ready.append(job)
            self._pump()

    def _form_of(self, job: _Job, window_open: bool) -> Form | None:
        """In which form a text may go; a Direct Send dies when the next channel's time has come."""
        message, now = job.message, self._clock.seconds()
        if message.template:
            return self._forms.named(message.template[0], message.template[1:], now)
        dies_at = message.expires_at
        if message.attempts and message.plan[-1:] != (self.name,):
            dies_at = min(dies_at, message.attempts[-1].started_at + message.fallback_after)
        form = self._forms.form_of(job.text, window_open=window_open, ttl=dies_at - now, now=now)
        if not isinstance(form, (FreeText, TemplateText)) and self._forms.unmatched(job.text):
            self._count("pombo_unmatched", self.name)
            self._unmatched(self.name, shape_of(job.text))
        return form

    def _pump(self) -> None:
        """Write what is ready, as fast as rate, concurrency and health allow."""
        now = self._clock.seconds()
        while self._ready and self._written < MOST_CALLS:
            job = self._ready[0]
            if job.over:
                self._ready.popleft()
                continue
            trial = self._health.state is State.TRIAL
            if not trial and self._health.room(self._written, now) < 1:
                return  # an answer, or the verdict, pumps again
            if not self._pacer.available(now):
                return self._pump_at(self._pacer.next_at(now) - now)
            self._ready.popleft()
            if job.message.final:  # it ended while it waited here
                self._end(job, Unwritten("over"))
                continue
            if self._allowance.used_up:
                self._end(job, self._allowance.refusal(job.alone(self.name)))
                continue
            if job.message.is_too_late_for(self.name, now):
                self._end(job, ChannelDown("timeout"))
                continue
            self._pacer.take(1, now)
            self._allowance.use(1)
            job.written = True
            self._written += 1
            self._flush_soon()
            self._go(self._write(job), "a WhatsApp send")
        return None

    def _pump_at(self, delay: float) -> None:
        if self._pumping is None or not self._pumping.active():
            self._pumping = self._clock.callLater(max(delay, 0.0005), self._pump)

    async def _write(self, job: _Job) -> None:
        result: AttemptResult = Refused("error", rejected=False)
        try:
            if self._official is not None and job.form is not None:
                request = self._official.form_request(job.recipient, job.form, job.message.id)
            else:
                request = self._provider.send_request(job.recipient, job.text, job.message.id)
            self._mark(job.message.id)
            result = Uncertain("error")
            answer = await self._http.send(request, self.settings.timeout)
            match answer:
                case HttpResponse():
                    result = self._provider.read_send(answer)
                case NotWritten():
                    result = ChannelDown("provider_down", answer.reason)
                case Unanswered(reason=reason):
                    result = Uncertain(reason)
        except Exception:
            self.log.failure("a send on {channel} broke", channel=self.name)
        self._written -= 1
        if not isinstance(result, (Accepted, Uncertain)):
            self._allowance.use(-1)
        counts: AttemptResult | None = result
        if self._official is not None and job.form is not None:
            counts = self._as_it_counts(self._official, job, job.form, result)
        if counts is not None:
            self._teach(job, counts)
            self._end(job, counts)
        self._pump()
        if self._drained is not None and not self._written:
            self._drain()

    def _as_it_counts(self, official: Official, job: _Job, form: Form, result: AttemptResult) -> AttemptResult | None:
        """What a result means for this message; None: it goes again, in another form."""
        now, attempts = self._clock.seconds(), job.message.attempts
        self._forms.told(form, result, now)
        match result:
            case TryLater():
                later = official.again(result, attempts[-1].tries if attempts else 0)
                known = self.memory.recall(same_person(job.message.msisdn)) or Evidence()
                burst = now - known.sent_at < BURST_S
                if burst and isinstance(later, TryLater) and later.reason == "pair_rate":
                    return msgspec.structs.replace(later, after_s=min(later.after_s, PAIR_S))
                return later
            case Accepted():
                return msgspec.structs.replace(result, lives_s=getattr(form, "ttl", 0.0))
            case Refused(code=code) if code in NO_MARKETING_S:
                self.memory.learn(same_person(job.message.msisdn), unwanted(code, now))
            case Refused(reason="window_closed", code=code) if isinstance(form, FreeText):
                self.memory.learn(same_person(job.message.msisdn), closed(now))
                job.form = self._form_of(job, window_open=False)
                if job.form is None:
                    return Refused("no_template", code, rejected=False)
                job.written = False
                if self._stopping:
                    return Unwritten("stopping")
                if self._health.state is State.RESTING:
                    return ChannelDown(self._health.reason)
                self._ready.appendleft(job)
                return None
        return result

    def _teach(self, job: _Job, result: AttemptResult) -> None:
        """What the sender's health, its rate and the person's presence learn from a result."""
        now, person, health = self._clock.seconds(), same_person(job.message.msisdn), self._health
        match result:
            case Accepted(held=True):  # whatever becomes of it says nothing of the sender
                pass
            case Accepted(remote_id=remote_id, identity=identity):
                health.sent(remote_id, now)
                self._aliases.learn(identity or job.recipient, job.message.msisdn)
                self.memory.learn(person, sent(identity, now))
            case Uncertain():
                health.sent("", now)
            case NoAccount():
                self.memory.learn(person, self._absent(now))
        self._judge(result, now)
        if not isinstance(result, (Accepted, Uncertain)) or (isinstance(result, Accepted) and result.held):
            health.trial_missed()
        self._state_changed()

    def _judge(self, result: AttemptResult, now: float) -> None:
        """What the sender itself learns from a send that failed, at once or as a report tells."""
        health = self._health
        match result:
            case TryLater(reason="throttled"):
                self._count("pombo_throttled", self.name)
                self._slow_down(now)
            case Refused(reason="unknown_code"):
                self._count("pombo_unknown_errors", self.name)
            case ChannelDown(reason="logged_out" | "unauthorized" | "unknown_instance"):
                health.logged_out(now)
            case ChannelDown(reason="blocked"):
                pause = self.settings.health.quarantine
                health.refused("blocked", now, pause=pause, longest=max(pause, LONGEST_BLOCK_S))
            case ChannelDown(reason="overloaded"):
                health.refused("overloaded", now, pause=OVERLOADED_S[0], longest=OVERLOADED_S[1])
            case ChannelDown(reason="maintenance"):
                health.refused("maintenance", now, pause=MAINTENANCE_S[0], longest=MAINTENANCE_S[1])
            case ChannelDown(code=code) if code.isdigit():
                health.erred(now)
            case ChannelDown():
                health.unreachable(now)
        alarm = self._official.alarm(result) if self._official is not None else ""
        if alarm and alarm not in self._alarms:  # once: they come with every message
            self._alarms.add(alarm)
            self.log.error("{channel} needs somebody to look at it: {alarm}", channel=self.name, alarm=alarm)

    def _end(self, job: _Job, result: AttemptResult) -> None:
        """The one way out of our hands."""
        if job.over:
            return
        job.over = True
        del self._jobs[id(job)]
        self.inflight -= 1
        if not job.written and self._health.state is State.TRIAL:
            self._health.trial_missed()
            self._state_changed()
        self._ended.append((job.message, result))
        self._flush_soon()

    # ----------------------------------------------------------------------------------------------- state and timing

    def _state_changed(self) -> None:
        """Show what health says, and hand back what waits when the sender went down."""
        was_up = self.up
        self.quarantined = self._health.quarantined
        self.up = self._running and not self._stopping and self._health.up
        self._lookup.calls_allowed = self._health.state is not State.RESTING
        if self._health.state is State.RESTING and self.inflight > self._written:
            self._hand_back(ChannelDown(self._health.reason))
        if self.up != was_up:
            self.log.info(
                "{channel} is {state} {cause}",
                channel=self.name,
                state="up" if self.up else "down",
                cause=self._health.cause or self._health.state.value,
            )
        self._flush_soon()

    def _hand_back(self, result: AttemptResult) -> None:
        for job in [job for job in self._jobs.values() if not job.written]:
            self._end(job, result)
        self._ready.clear()

    def _slow_down(self, now: float) -> None:
        """Half the rate, at most once a second; a tenth of what is configured comes back every second."""
        if now - self._throttled_at >= 1.0:
            self._throttled_at = now
            self._pacer.set_rate(max(self._pacer.rate / 2, self.settings.throughput * LEAST_RATE))

    def _watched(self) -> None:
        """Time has passed, or the provider told the sender's state."""
        now, configured = self._clock.seconds(), self.settings.throughput
        if self._pacer.rate < configured and now - self._throttled_at >= 1.0:
            self._throttled_at = now
            self._pacer.set_rate(min(configured, self._pacer.rate + configured / 10))
        self._state_changed()
        self._pump()

    def _flush_soon(self) -> None:
        if self._flushing is None:
            self._flushing = self._clock.callLater(0, self._flush)

    def _flush(self) -> None:
        self._flushing = None
        ended, self._ended = self._ended, []
        if ended:
            self._results.attempted(self.name, ended)
        self._results.capacity_changed(self.name)

    def _drain(self) -> None:
        if self._drained is not None and not self._drained.called:
            self._drained.callback(None)

    def _give_up(self) -> None:
        """stop() waited long enough."""
        for job in list(self._jobs.values()):
            self._end(job, Uncertain("timeout"))
        self._drain()

    def _go(self, work: Coroutine[Any, Any, Any], what: str) -> None:
        self._spawn(work, what, self.log)
