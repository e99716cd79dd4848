"""WhatsApp as a channel of delivery: one sender or several, each a `bridge.sender`. The channel decides which of them
writes to whom, takes their webhooks, and hands in what became of messages, once per turn of the reactor's loop."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from bridge.aliases import Aliases
from bridge.choosing import Choice, Offer, choose
from bridge.clock import Clock, Spawn, Timer
from bridge.condition import FRESH_S
from bridge.faults import Circuits
from bridge.forms import Forms
from bridge.job import Count, Job, Results
from bridge.pace import LOOK_AGAIN_S
from bridge.parting import LastWords
from bridge.presence import (
    Evidence,
    EvidencePort,
    PresenceMemory,
    bound,
    delivered,
    wrote,
)
from bridge.provider import Http, HttpRequest, HttpResponse, Keyed, Provider
from bridge.providers import provider_of
from bridge.sender import Sender
from bridge.watch import Answered
from bridge.webhooks import Heard, Webhooks
from gateway.delivery.pacing import Rate
from gateway.messages import outcome
from gateway.messages.address import same_person
from gateway.messages.message import Message
from gateway.messages.outcome import (
    Accepted,
    AttemptResult,
    ChannelDown,
    Refused,
    Status,
    TryLater,
    Uncertain,
    Unwritten,
)

if TYPE_CHECKING:
    from config.schema import BridgeSettings

MOST_CHARS = 4096  # of a WhatsApp text
STOP_S = 4.0  # the longest wait for sends under way at the end
_ARRIVED, _FAILED = (Status.DELIVERED, Status.READ), Status.FAILED


class WhatsAppChannel:
    """Everything runs in the reactor's thread."""

    log = Logger()
    kind = "whatsapp"

    def __init__(
        self,
        settings: BridgeSettings,
        *,
        http: Http,
        evidence: EvidencePort,
        results: Results,
        mark: Callable[[str], None],
        decode: Callable[[Message], str | None],
        clock: Clock,
        spawn: Spawn,
        circuits: Circuits | None = None,
        provider_of: Callable[[BridgeSettings], Provider] = provider_of,
        count: Count = lambda *_: None,
        unmatched: Callable[[str, str], None] = lambda *_: None,
        answered: Answered | None = None,
    ) -> None:
        """decode: the text of a message, None when it is none. spawn: gateway.background.spawn. circuits: one for all
        channels. count: of gateway.metrics. unmatched(channel, shape): one more text that no template stands for.
        answered: see Watch; None where no other node has the channel."""
        self.name, self.price, self.settings = settings.name, str(settings.price), settings
        self.http, self.evidence, self.clock, self.spawn = http, evidence, clock, spawn
        self.mark, self.count, self.unmatched = mark, count, unmatched
        self.circuits, self.answered = circuits or Circuits(), answered
        self._results, self._decode = results, decode
        self.memory = PresenceMemory(
            evidence,
            clock=clock,
            spawn=spawn,
            active_for=settings.lookup.active_for,
            inactive_for=settings.lookup.inactive_for,
            channel=settings.name,
            shared=answered is not None,
        )
        self.aliases = Aliases(settings.name, evidence, settings.lookup.identities_for)
        self._forms: dict[str, Forms] = {}  # by account: what is wrong with a template is so for all its senders
        self.senders: dict[str, Sender] = {}
        for name, own in settings.apart().items():
            forms = self._forms.setdefault(own.business_account or "", Forms(settings))
            self.senders[name] = Sender(name, own, provider_of(own), forms, self)
        self.several = len(self.senders) > 1
        self._first = next(iter(self.senders.values()))
        first = self._first.provider
        withdraws = settings.delete_before_sms
        last_words = LastWords(
            first, http, self.memory, clock=clock, spawn=spawn, withdraws=withdraws, holder=self._holder
        )
        self.asks, self.withdraws, self.last_word = last_words.asks, last_words.withdraws, last_words.ask
        self.key_of = first.key_of if isinstance(first, Keyed) else None
        self._of_instance = {sender.settings.instance: sender for sender in self.senders.values()}
        self._webhooks = Webhooks(
            self.name,
            {instance: sender.provider for instance, sender in self._of_instance.items()},
            http,
            results,
            clock=clock,
            timeout=settings.timeout,
            heard=self._hear,
            aliases=self.aliases,
        )
        self._placing = 0  # messages that have no sender yet
        self._ended: list[tuple[Message, AttemptResult]] = []
        self._flushing: Timer | None = None
        self._running = self._stopping = False
        self._drained: Deferred[None] | None = None
        self.up = False
        self.quarantined = False
        self.binds = 0
        self.inflight = 0

    # ----------------------------------------------------------------------------------------------- the channel port

    def capacity(self) -> int:
        """How many messages may be handed over now; 0 while down, 1 while its only sender is on trial."""
        if not self.up or self._stopping:
            return 0
        return max(0, sum(sender.capacity() for sender in self.senders.values()) - self._placing)

    def rates(self) -> list[Rate]:
        """What its senders share with those of other nodes. See gateway.delivery.membership."""
        found = []
        for name, sender in self.senders.items():
            uses = sender.condition.up or sender.inflight > sender.written  # a trial has one to write
            found.append(Rate(f"{self.name}/{name}", uses, sender.settings.throughput, sender.take_share))
        return found

    def send(self, message: Message) -> None:
        text = self._decode(message)
        written = text or ""
        if not written.isascii():  # half a surrogate pair cannot be written as UTF-8
            written = written.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        job = Job.of(message, written)
        self.inflight += 1
        if self._stopping or not self._running:
            return self._finish(job, Unwritten("stopping"))
        if not self.up:
            return self._finish(job, ChannelDown(self._reason))
        said_by_template = text == "" and message.template and self.settings.provider == "cloud_api"
        if not said_by_template and (not text or len(text) > MOST_CHARS):
            return self._finish(job, Refused("not_text", rejected=False))
        self._place(job)
        return None

    def waits(self, message_id: str) -> bool:
        """Has it this message in hand, and not written?"""
        return any(sender.waits(message_id) for sender in self.senders.values())

    async def start(self) -> None:
        self._running, self._stopping = True, False
        for sender in self.senders.values():
            await sender.start()
        self.changed()

    async def stop(self) -> None:
        """Hand back what is not written, then wait for the answers under way: at most `timeout`, and 4 s."""
        if not self._running or self._stopping:
            return
        self._stopping, self.up = True, False
        for sender in self.senders.values():
            sender.rest()
        if self._written:
            self._drained = Deferred()
            late = self.clock.callLater(min(self.settings.timeout + 1.0, STOP_S), self._give_up)
            await self._drained
            if late.active():
                late.cancel()
        self._running = False
        for sender in self.senders.values():
            sender.stop()
        if self._flushing is not None:
            self._flushing.cancel()
        self._flush()

    # --------------------------------------------------------------------------------------------- who writes to whom

    def _place(self, job: Job) -> None:
        """Give a message to a sender; where there are several, once it is known who wrote to the person before."""
        known = self.memory.recall(job.person)
        if self.several and (known is None or not self.memory.is_fresh(job.person)):
            self._placing += 1
            self.spawn(self._place_later(job), "choosing a sender", self.log)
        else:
            self._give(job, self._choose(job, known))

    async def _place_later(self, job: Job) -> None:
        try:
            known = await self.memory.load(job.person)
        finally:
            self._placing -= 1
        self._give(job, self._choose(job, known))

    def _choose(self, job: Job, known: Evidence | None) -> Choice | None:
        if not self.several:
            return Choice(self._first.name) if self._first.able else None
        offers = [
            Offer(name, sender.settings.throughput, sender.able, sender.capacity() > 0, sender.condition.quarantined)
            for name, sender in self.senders.items()
        ]
        return choose(job.person, known.sender if known is not None else "", offers, job.tried)

    def _give(self, job: Job, choice: Choice | None) -> None:
        if self._stopping:
            return self._finish(job, Unwritten("stopping"))
        if choice is None:
            return self._finish(job, self._nobody(job))
        sender = self.senders[choice.name]
        if choice.binds and self.several:
            self.memory.learn(job.person, bound(choice.name))
        if sender.condition.pace.stopped:
            return self._finish(job, TryLater(LOOK_AGAIN_S, "busy", counted=False))
        if self.several and (seconds := sender.overfull):
            return self._finish(job, TryLater(seconds, "busy", counted=False))
        sender.take(job)
        return None

    def _nobody(self, job: Job) -> AttemptResult:
        """Why no sender takes a message."""
        used_up = next((sender for sender in self.senders.values() if sender.condition.up), None)
        if used_up is not None and not job.tried:
            return used_up.allowance.refusal(job.alone(self.name))
        return ChannelDown(self._reason)

    @property
    def _reason(self) -> str:
        return self._first.condition.reason

    def _holder(self, message: Message, known: Evidence) -> Provider | None:
        """Through which sender a text went that the channel took; None while that one is down."""
        named = (message.attempts[-1].sender, known.sender)
        holder = next((self.senders[name] for name in named if name in self.senders), self._first)
        return holder.provider if holder.condition.up else None

    # ------------------------------------------------------------------------------------------- what senders tell us

    def ended(self, sender: Sender, job: Job, result: AttemptResult) -> None:
        """A message left a sender's hands; what it could not take goes to another one, where there is one."""
        if self.several and not self._stopping and _goes_to_another(job, result):
            job.tried = (*job.tried, sender.name)
            choice = self._choose(job, self.memory.recall(job.person))
            if choice is not None:
                reason = getattr(result, "reason", "")
                self.count("pombo_sender_moves", self.name, sender.name, choice.name, reason)
                self._results.noted(job.message, self.name, "retry", f"{sender.name}: {reason}; {choice.name} takes it")
                return self._give(job, choice)
        if self.several and isinstance(result, (Accepted, Uncertain)):
            self.count("pombo_sender_sent", self.name, sender.name)
            result = msgspec.structs.replace(result, sender=sender.name)
        self._finish(job, result)
        return None

    def changed(self) -> None:
        """The state of a sender may have changed."""
        was_up = self.up
        self.up = self._running and not self._stopping and any(one.condition.up for one in self.senders.values())
        self.quarantined = not self.up and any(one.condition.quarantined for one in self.senders.values())
        if self.several and self.up != was_up:
            self.log.info("{channel} is {state}", channel=self.name, state="up" if self.up else "down")
        self.moved()

    def moved(self) -> None:
        """A send of a sender was written, or answered."""
        if self._drained is not None and not self._written:
            self._drain()
        self._flush_soon()

    def looked_up(self, message: Message, lookup: outcome.Lookup) -> None:
        self._results.looked_up(message, self.name, lookup)

    def _finish(self, job: Job, result: AttemptResult) -> None:
        """The one way out of our hands."""
        if job.over:
            return
        job.over = True
        self.inflight -= 1
        self._ended.append((job.message, result))
        self._flush_soon()

    def _flush_soon(self) -> None:
        if self._flushing is None:
            self._flushing = self.clock.callLater(0, self._flush)

    def _flush(self) -> None:
        self._flushing = None
        ended, self._ended = self._ended, []
        if ended:
            self._results.attempted(self.name, ended)
        self._results.capacity_changed(self.name)

    @property
    def _written(self) -> int:
        return sum(sender.written for sender in self.senders.values())

    def _drain(self) -> None:
        if self._drained is not None and not self._drained.called:
            self._drained.callback(None)

    def _give_up(self) -> None:
        """stop() waited long enough."""
        for sender in self.senders.values():
            sender.hand_back(Uncertain("timeout"), written=True)
        self._drain()

    # --------------------------------------------------------------------------------------- webhooks and what they say

    def receive_webhook(self, request: HttpRequest) -> Coroutine[Any, Any, HttpResponse]:
        """Read a webhook; 200 once everything in it is kept, 503 when it must come again, 401 for a bad proof."""
        return self._webhooks.take(request)

    def _hear(self, heard: Heard, now: float) -> None:
        """What senders and people show by a webhook."""
        senders = [self._of_instance[instance] for instance in heard.senders]
        for text in heard.read.inbound:
            to = senders[0].name if heard.named and self.several else ""
            self.memory.learn(same_person(text.msisdn), wrote(_moment(text.at, now), to))
        for news in heard.read.templates:
            told = [forms.template_is(news.name, news.language, news.usable, now) for forms in self._forms.values()]
            if any(told):
                says = "may be sent again" if news.usable else "may not be sent: its texts go another way"
                self.log.warn("{channel}: template {name} {says}", channel=self.name, name=news.name, says=says)
        for sender in senders:
            sender.hear(heard.read, now, named=heard.named)

    def learn(
        self,
        msisdn: str,
        status: Status,
        no_account: bool,
        seconds: float,
        err: str = "",
        at: float = 0.0,
        sender: str = "",
    ) -> None:
        """A report was matched to a message of ours, `seconds` after its send. err: the provider's code. at: when that
        happened, 0 for now; a copy that comes days later says nothing of today. sender: who wrote it, as Accepted has
        it."""
        person, at = same_person(msisdn), _moment(at, self.clock.seconds())
        if status in _ARRIVED:
            self.memory.learn(person, delivered(at))
        elif status is _FAILED:
            self.senders.get(sender, self._first).failed(person, no_account, err, at)

    def forget(self, forms: Sequence[str]) -> None:
        """A person was erased: their number, in every form that it may have here."""
        self.memory.forget(same_person(forms[0]))
        self.aliases.forget(forms)

    # --------------------------------------------------------------------------------------------------------- looking

    def sender_status(self) -> list[dict[str, Any]]:
        """Each sender for /admin/status."""
        return [
            {
                "name": name,
                "up": sender.condition.up,
                "state": sender.condition.word,
                "since": datetime.fromtimestamp(sender.condition.since, UTC).isoformat().replace("+00:00", "Z"),
                "quarantined": sender.condition.quarantined,
                "inflight": sender.inflight,
                "left_today": sender.allowance.left_today,
            }
            for name, sender in self.senders.items()
        ]


def _goes_to_another(job: Job, result: AttemptResult) -> bool:
    """Nothing was sent, and that was for this sender's sake."""
    match result:
        case ChannelDown(reason=reason):
            return reason != "timeout"
        case Refused(reason="unknown") | TryLater(reason="unknown"):
            return job.asked_in_vain
        case Refused(reason="daily_cap") | TryLater(reason="daily_cap"):
            return True
    return False


def _moment(at: float, now: float) -> float:
    """When something happened that a webhook tells of."""
    return at if 0.0 < at <= now - FRESH_S else now
