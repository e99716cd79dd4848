"""From an accepted message to its final state: every result, report and moment changes the message (journey.py), asks
what to do now (decide.py), and writes both down in one change. Nothing is done before it is written."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from msgspec.structs import replace
from twisted.logger import Logger

from gateway.delivery import charging
from gateway.delivery.dispatch import Dispatcher
from gateway.delivery.known_by import KnownBy
from gateway.delivery.parting import Parting
from gateway.delivery.ports import Channel
from gateway.messages.ids import told
from gateway.messages.message import Attempt, Attempted, Message, Receipt
from gateway.messages.outcome import Accepted, AttemptResult, Lookup, Report, Status, Uncertain, Unwritten
from gateway.messages.receipt import receipt_for
from gateway.messages.states import FINAL, INTERMEDIATE, STATE_NAMES, State, wants_receipt
from gateway.metrics import Metrics
from gateway.routing import journey
from gateway.routing.decide import AskFirst, ChannelFacts, Send, Stop, Wait, decide
from gateway.store import keys, records
from gateway.store.ledger import Ledger
from gateway.store.turn import NEVER, Answers, Turn

TAKEN_OVER = "the node died before the answer"  # why an attempt is uncertain
OF_A_CHANNEL = frozenset({"lookup", "sent", "retry", "failed"})  # steps that stay true when the message has ended
Reporter = Callable[[Message, Report, Callable[[], None]], None]
Again = Callable[[Message | None], None] | None  # when somebody else was faster; see store.ledger.Change
# Members by names of their own: before 3.12 an interpreter takes thirty times as long to find one in its class.
_WAITING, _SENT, _UNCERTAIN = Attempted.WAITING, Attempted.SENT, Attempted.UNCERTAIN
_ENROUTE, _DELIVERED = State.ENROUTE, State.DELIVERED
log = Logger("delivery")


class ReceiptDesk(Protocol):
    """Where receipts go once they are kept: gateway.delivery.receipts."""

    def added(self, account: str, entry: bytes | None, item: Receipt) -> None: ...


class Joined(Protocol):
    """What becomes of the parts that a joined text speaks for: gateway.delivery.joining."""

    def release(self, turn: Turn, send: Send, again: Again) -> None:
        """The text goes on as SMS: every part by itself from here."""

    def finish(self, turn: Turn, again: Again) -> None:
        """The text has ended, and every part with it."""

    def report_parts(self, text: Message, news: Report, kept: Callable[[], None]) -> None:
        """A report about a text whose parts have gone on by themselves."""

    def reported_one(self, part: Message, channel: str) -> None:
        """An operator has reported this part's end; it may be the only one it reports."""


class _Resolving(Turn, eq=False, kw_only=True):
    """The result of an attempt on its way through the store. `ordinal`: which attempt of the message it was. `late`:
    it was given up as uncertain."""

    delivery: Delivery
    result: AttemptResult
    facts: Mapping[str, ChannelFacts]
    ordinal: int
    late: bool

    def overtaken(self, fresh: Message | None) -> None:
        self.delivery._resolve_again(self, fresh)


class _Reporting(Turn, eq=False, kw_only=True):
    """What a report has changed, on its way through the store."""

    delivery: Delivery
    news: Report

    def overtaken(self, fresh: Message | None) -> None:
        self.delivery._apply_again(self, fresh)


class Delivery:
    """The journeys of all messages of this node. Implements ports.Results but for what people write to us."""

    joined: Joined

    def __init__(
        self, *, ledger: Ledger, clock: Callable[[], float], metrics: Metrics, receipts: ReceiptDesk, retention_s: int
    ) -> None:
        self.ledger, self.clock, self.metrics, self._receipts = ledger, clock, metrics, receipts
        ledger.count = metrics.count
        self.retention_s = retention_s
        self._parting = Parting(self)
        self.channels: dict[str, Channel] = {}
        self.known_by = KnownBy(self.channels)
        self.dispatchers: dict[str, Dispatcher] = {}
        self._noted: dict[str, list[tuple[float, str, str, str]]] = {}  # steps of messages in a channel's hands
        self.elsewhere: Mapping[str, ChannelFacts] = {}  # channels that only other nodes have
        self.changing: set[str] = set()  # channels that were up and start anew: what is meant for them waits

    def facts(self) -> Mapping[str, ChannelFacts]:
        here = {
            name: ChannelFacts(
                one.kind, one.up or name in self.changing, getattr(one, "asks", False), getattr(one, "withdraws", False)
            )
            for name, one in self.channels.items()
        }
        return {**self.elsewhere, **here} if self.elsewhere else here

    # -- results of attempts

    def attempted(self, channel: str, results: Sequence[tuple[Message, AttemptResult]]) -> None:
        """Attempts ended; see ports.Results."""
        now, facts = self.clock(), self.facts()
        dispatcher, strangers = self.dispatchers.get(channel), self.known_by.strangers
        sent = 0
        for message, result in results:
            if dispatcher is not None:
                dispatcher.in_hand.pop(message.id, None)
            sent += type(result) is Accepted
            if message.state in FINAL:  # it was ended in the channel's hands, which may come to nothing yet
                message.state = _ENROUTE
            self._resolve(message, result, now, facts)
            if strangers and type(result) is not Accepted:
                self.known_by.answered(channel, message.msisdn)
        if sent:
            self.metrics.sent(channel, sent)
        if dispatcher is not None:
            dispatcher.pump()

    def answered_late(self, channel: str, message: Message, result: AttemptResult) -> None:
        """See ports.Results."""
        attempt = message.attempts[-1]
        if not message.final and attempt.channel == channel and _is_unanswered(attempt, result):
            self._resolve(message, result, self.clock(), self.facts(), late=True)
        elif isinstance(result, Accepted) and result.remote_id and not message.in_hand:  # only for its reports
            turn = Turn(message, self.clock())
            turn.step("sent", channel, result.note)
            self.known_by.its_id(turn, channel, result.remote_id, by_sms=True)
            self._note_after_end(turn, message)

    def _resolve(
        self, message: Message, result: AttemptResult, now: float, facts: Mapping[str, ChannelFacts], late: bool = False
    ) -> None:
        channel = message.attempts[-1].channel
        last = message.plan[-1:] == (channel,)
        ordinal = len(message.attempts)
        turn = _Resolving(message, now, delivery=self, result=result, facts=facts, ordinal=ordinal, late=late)
        if self._noted:
            turn.events += self._noted.pop(message.id, ())
        if late:
            turn.commands.append(("LREM", self.known_by.hold_key(message, channel), "0", message.id))
            turn.counts = [(("pombo_sent", channel), 1)] if type(result) is Accepted else ()
        for event, of, detail in journey.resolve(message, result, now, alone=last):
            turn.events.append((now, event, of, detail))
        dispatcher = self.dispatchers.get(channel)
        if dispatcher is not None:
            turn.out_of = dispatcher.hand_key
        if type(result) is Accepted:
            taken = self.channels.get(channel)
            by_sms = taken is not None and taken.kind == "smsc"
            if taken is not None and by_sms:
                charging.taken(turn, taken)
            if result.remote_id:
                self.known_by.its_id(turn, channel, result.remote_id, by_sms)
            elif by_sms:  # its receipt can be known by the addresses alone
                self.known_by.its_addresses(turn, channel)
            if by_sms and message.success == "sent":
                journey.close(message, _DELIVERED, 0, channel, now)
            elif message.registered_delivery & INTERMEDIATE:
                self._tell_on_its_way(turn, channel)
            # most SMS: nothing follows but the end of its validity
            if last and message.follows < 0 and now < message.expires_at and message.state is _ENROUTE:
                self.ledger.commit(turn.change())
                return
        elif isinstance(result, Uncertain):
            self._may_have_arrived(turn, channel, self._kind(channel))
        elif isinstance(result, Unwritten):
            self._into_queue(turn, "LPUSH", channel)
        self.follow(turn, facts, turn.overtaken)

    def _may_have_arrived(self, turn: Turn, channel: str, kind: str) -> None:
        """A send that was not answered."""
        turn.count("pombo_unanswered", channel)
        self.known_by.its_key(turn, channel)
        if kind == "smsc":
            self.known_by.its_addresses(turn, channel)

    def _into_queue(self, turn: Turn, push: str, channel: str) -> None:
        """push: RPUSH, or LPUSH for what comes back unwritten, and goes before all others."""
        message, dispatcher = turn.message, self.dispatchers.get(channel)
        entry = f"{message.id} {len(message.attempts)}"
        turn.commands.append((push, keys.queue(channel, message.priority), entry))
        if dispatcher is not None:
            dispatcher.expect(turn)
            turn.then(lambda _: dispatcher.something_waits())

    def _resolve_again(self, turn: _Resolving, fresh: Message | None) -> None:
        """Somebody changed or ended the message meanwhile (expired, cancelled), or a report that was faster than the
        answer moved it to the next channel; what the channel did stays true."""
        result = turn.result
        resolved = fresh is not None and isinstance(result, Unwritten) and not fresh.in_hand
        if resolved and fresh.attempts and fresh.attempts[-1].reason == TAKEN_OVER:  # type: ignore[union-attr]
            resolved = False  # this node was taken for dead, and knows better
        if fresh is None or fresh.final or len(fresh.attempts) != turn.ordinal:
            resolved = True
        elif turn.late:
            resolved = not _is_unanswered(fresh.attempts[-1], result)
        if fresh is None or resolved:
            self._note_after_end(turn, fresh)
        else:
            self._resolve(fresh, result, turn.now, turn.facts, turn.late)

    def left_behind(self, channel: str, kind: str, hand_key: str, message: Message, result: AttemptResult) -> None:
        """A message in the hands of a dead node, or of a channel that is no more: Uncertain or Unwritten. Nothing
        happens when somebody else was faster; a hand that is not empty is looked at again."""
        turn, facts = Turn(message, self.clock()), self.facts()
        turn.out_of = hand_key
        for event, of, detail in journey.resolve(message, result, turn.now, alone=message.plan[-1:] == (channel,)):
            turn.events.append((turn.now, event, of, detail))
        if isinstance(result, Uncertain):
            self._may_have_arrived(turn, channel, kind)
        elif channel in facts:
            self._into_queue(turn, "LPUSH", channel)
        self.follow(turn, facts, None)

    def _tell_on_its_way(self, turn: Turn, channel: str) -> None:
        """The one intermediate notification of a message, or of each part of a text that asked."""
        message = turn.message
        message.registered_delivery &= ~INTERMEDIATE
        stream = keys.receipts(message.account)
        news = []
        for one in message.asking or message.parts or (message.id,):
            final = receipt_for(message, turn.now)
            kept_as = one if told(one) != one else ""
            news.append(replace(final, message_id=told(one), kept_as=kept_as, channel=channel, intermediate=True))
            turn.commands.append(("XADD", stream, "*", "b", records.octets(records.pack_waiting(news[-1]))))

        def kept(answers: Answers) -> None:
            for place, item in enumerate(news, -len(news)):  # its XADDs are the last commands
                self._receipts.added(message.account, answers[place] if answers else None, item)

        turn.then(kept)

    def _note_after_end(self, turn: Turn, fresh: Message | None) -> None:
        """The message ended while a channel had it: the trace tells what the channel did, nothing else changes."""
        self.known_by.settled(turn.message.msisdn)
        if fresh is None:
            return
        late = Turn(fresh, turn.now)
        late.events = [e for e in turn.events if e[1] in OF_A_CHANNEL]
        late.ttl = self.retention_s if fresh.final else 0
        late.out_of = turn.out_of
        late.commands = [command for command in turn.commands if command[0] == "REMOTE"]
        late.sequel = self.known_by.id_kept if late.commands else None
        self.ledger.commit(late.change(lambda newer: self._note_after_end(turn, newer)))

    # -- what follows from a change

    def follow(
        self, turn: Turn, facts: Mapping[str, ChannelFacts], again: Callable[[Message | None], None] | None
    ) -> None:
        """Decide, and write the message, its steps and the decision in one change."""
        message = turn.message
        decision = decide(message, turn.now, facts) if message.state not in FINAL else None
        if isinstance(decision, Stop):
            journey.close(message, decision.state, decision.err, decision.channel, turn.now)
            if decision.state is State.EXPIRED:
                turn.step("expired", decision.channel, decision.because)
        if message.final:
            self.end(turn, again)
        elif isinstance(decision, AskFirst):
            self._parting.ask(turn, decision, again)
        elif isinstance(decision, Send):
            self._note_fallback(turn, decision)
            if message.parts and self._kind(decision.channel) == "smsc":
                self.joined.release(turn, decision, again)
            elif not self._hand_over(turn, decision, again):
                self.enqueue(turn, decision)
                self.ledger.commit(turn.change(again))
        else:
            turn.due = min(decision.until if isinstance(decision, Wait) else math.inf, message.expires_at)
            if message.follows >= 0 and message.attempts[-1].state is _SENT:
                turn.due = min(turn.due, turn.now + journey.FOLLOW_S)
            self.ledger.commit(turn.change(again))

    def _hand_over(self, turn: Turn, send: Send, again: Again) -> bool:
        """A message that another channel did not take: straight into the hands of an operator's channel that has room
        and nothing waiting, as from intake. False: it has to wait in the queue."""
        message, dispatcher = turn.message, self.dispatchers.get(send.channel)
        if dispatcher is None or not message.attempts or send.again or self._kind(send.channel) != "smsc":
            return False
        segments = message.segments
        if not dispatcher.reserve(segments):
            return False
        self._begin(turn, send)
        message.in_hand, turn.into, turn.due = True, dispatcher.hand_key, self.wake_at(message)
        turn.lost = partial(dispatcher.release, segments)
        turn.then(lambda _: dispatcher.deliver(message))

        def overtaken(fresh: Message | None) -> None:
            dispatcher.release(segments)
            if again is not None:
                again(fresh)

        self.ledger.commit(turn.change(overtaken))
        return True

    def _begin(self, turn: Turn, send: Send) -> None:
        """An attempt on another channel begins."""
        journey.begin(turn.message, send.channel, turn.now)
        if len(turn.message.plan) > 1:
            turn.step("decided", send.channel, send.because)

    def enqueue(self, turn: Turn, send: Send) -> None:
        """The channel's turn (or another try of it): into its queue."""
        message, attempt = turn.message, turn.message.attempt
        if attempt is not None and send.again and attempt.channel == send.channel:
            attempt.state = _WAITING
        else:
            self._begin(turn, send)
        turn.due = self.wake_at(message)
        self._into_queue(turn, "RPUSH", send.channel)

    def wake_at(self, message: Message) -> float:
        """When somebody should look at a message although nothing happened."""
        attempt = message.attempt
        if attempt is None:
            return min(message.schedule_at or math.inf, message.expires_at)
        if attempt.channel != message.plan[-1]:
            return min(attempt.started_at + message.fallback_after, message.expires_at)
        return message.expires_at

    def _note_fallback(self, turn: Turn, send: Send) -> None:
        """Trace and count a move from one channel to the next, channels that were passed over included."""
        last = turn.message.attempt
        if send.again and last is not None and last.channel == send.channel:
            return
        origin, reason = (last.channel, send.because) if last is not None else ("", "")
        remark = journey.remark(last) if last is not None else ""
        for target, why in (*send.skipped, (send.channel, "")):
            if origin:
                turn.step("fallback", target, f"from {origin}: {reason}" + (f", {remark}" if remark else ""))
                turn.count("pombo_fallback", origin, target, reason)
            origin, reason, remark = target, why, ""

    # -- the end

    def end(self, turn: Turn, again: Callable[[Message | None], None] | None = None) -> None:
        """Write a message that has become final; the parts of a joined text end with it."""
        if turn.message.parts:
            turn.due = NEVER
            turn.ttl = self.retention_s
            self.joined.finish(turn, again)
        else:
            self.close(turn)
            self.ledger.commit(turn.change(again))

    def close(self, turn: Turn) -> None:
        """Everything a single message's end brings: its receipt, its cost, its figures."""
        message, now = turn.message, turn.now
        turn.ttl, turn.due = self.retention_s, NEVER
        if message.state is _DELIVERED:
            charging.delivered(turn, self.channels)
        if wants_receipt(message.registered_delivery, message.state):
            turn.events.append((now, "receipt_queued", "", ""))
            turn.item = receipt_for(message, now)
            if turn.tlvs:
                turn.item = replace(turn.item, tlvs=turn.tlvs)
            turn.stream, turn.receipt = keys.receipts(message.account), records.pack_waiting(turn.item)
        if turn.sequel is not None:  # it was sent with this very change
            turn.then(partial(turn.sequel, turn))
        turn.sequel = self._ended

    def _ended(self, turn: Turn, answers: Answers) -> None:
        """A message's end is kept."""
        message, metrics = turn.message, self.metrics
        metrics.count("pombo_final", message.decided_by, STATE_NAMES[message.state])
        if message.state is _DELIVERED:
            metrics.observe("pombo_delivery_seconds", max(0.0, turn.now - message.accepted_at), message.decided_by)
        if turn.item is not None:
            self._receipts.added(message.account, answers[-1] if answers else None, turn.item)

    def _kind(self, channel: str) -> str:
        known = self.channels.get(channel)
        return known.kind if known is not None else ""

    # -- reports and moments

    def report(self, message: Message, news: Report, kept: Callable[[], None]) -> None:
        """A report that was matched to this message. `kept` is called once nothing of it can be lost any more."""
        self.reports_of(news.channel)(message, news, kept)

    def reports_of(self, channel: str) -> Reporter:
        """What takes the reports of this channel: `report`, with all that they have in common looked up."""
        learn, now = getattr(self.channels.get(channel), "learn", None), self.clock()
        if learn is None:
            return partial(self._apply, now)
        return partial(self._learn_and_apply, now, learn)

    def _learn_and_apply(
        self, now: float, learn: Callable[..., None], message: Message, news: Report, kept: Callable[[], None]
    ) -> None:
        if message.msisdn:  # of a person who was erased nothing is learned from old messages
            self._teach(learn, message, news, now)
        self._apply(now, message, news, kept)

    def _apply(self, now: float, message: Message, news: Report, kept: Callable[[], None]) -> None:
        was_final = message.state in FINAL
        turn = _Reporting(message, now, done=kept, delivery=self, news=news)
        if news.tlvs:
            turn.tlvs = news.tlvs
        if news.parked:
            turn.commands.append(("DEL", keys.parked(news.channel, news.remote_id)))
        for event, channel, detail in journey.report(message, news, now, self._taken):
            turn.events.append((now, event, channel, detail))
            if event == "late":
                turn.count("pombo_late_acks", channel)
        if not turn.events:
            kept()
            return
        if was_final:  # only the trace grows
            turn.ttl = self.retention_s
            self.ledger.commit(turn.change())
            return
        if message.part is not None and self._kind(news.channel) == "smsc":
            turn.then(lambda _: self.joined.reported_one(message, news.channel) if message.final else None)
        if message.state in FINAL:
            if message.decided_by != message.attempts[-1].channel:
                self.ends_in_hand(message, message.state)
            self.end(turn, turn.overtaken if message.parts else None)
        else:
            self.follow(turn, self.facts(), turn.overtaken)

    def _apply_again(self, turn: _Reporting, fresh: Message | None) -> None:
        kept = turn.done
        assert kept is not None
        if fresh is None:
            kept()
        elif fresh.released:
            self.joined.report_parts(fresh, turn.news, kept)
        else:
            self._apply(self.clock(), fresh, turn.news, kept)

    def _teach(self, learn: Callable[..., None], message: Message, news: Report, now: float) -> None:
        """What a report says about the number and about the sender's health. That a text failed which this channel has
        delivered says nothing of either."""
        if news.status is Status.FAILED and message.state == State.DELIVERED and message.decided_by == news.channel:
            return
        attempt = next((a for a in message.attempts if a.channel == news.channel), None)
        seconds = max(0.0, now - attempt.started_at) if attempt else 0.0
        learn(
            message.msisdn, news.status, news.no_account, seconds, news.err, news.at, attempt.sender if attempt else ""
        )

    def _taken(self, message: Message) -> bool:
        """Has an operator got the message, or may its channel write it any moment? Of another copy by WhatsApp nothing
        is waited for once the text has arrived."""
        if self._kind(message.attempts[-1].channel) == "whatsapp":
            return False
        return message.in_hand or message.attempts[-1].state in (_SENT, _UNCERTAIN)

    def ends_in_hand(self, message: Message, state: State) -> None:
        """A message ends while a channel may have it in hand: channels look at this right before they write."""
        dispatcher = self.dispatchers.get(message.attempts[-1].channel)
        held = dispatcher.in_hand.get(message.id) if dispatcher is not None else None
        if held is not None:
            held.state = state

    def is_unwritten(self, message: Message) -> bool:
        """Has a channel of this process it in hand that has not written it, and will not once it has ended?"""
        waits = getattr(self.channels.get(message.attempts[-1].channel), "waits", None)
        return waits is not None and waits(message.id)

    def moment(self, message: Message) -> None:
        """A message's next step is due."""
        if message.final:
            return
        now, facts = self.clock(), self.facts()
        expired = now >= message.expires_at
        if message.in_hand and not expired:
            return  # a channel may write it any moment: its result comes first, and this comes again

        def again(fresh: Message | None) -> None:
            if fresh is not None:
                self.moment(fresh)

        if expired and message.in_hand and message.attempts:
            self.ends_in_hand(message, State.EXPIRED)
        turn = Turn(message, now)
        if message.follows >= 0 and message.attempts[-1].state is _SENT:
            turn.step(*journey.follow(message, now))
        self.follow(turn, facts, again)

    def looked_up(self, message: Message, channel: str, lookup: Lookup) -> None:
        """A lookup is a step of the message; it is written with what follows from it."""
        self.metrics.lookup(channel, lookup.result, lookup.origin, lookup.seconds)
        self.noted(message, channel, "lookup", f"{lookup.result} ({lookup.origin})")

    def noted(self, message: Message, channel: str, event: str, detail: str) -> None:
        """Written with what follows from it."""
        self._noted.setdefault(message.id, []).append((self.clock(), event, channel, detail))

    def capacity_changed(self, channel: str) -> None:
        dispatcher = self.dispatchers.get(channel)
        if dispatcher is not None:
            dispatcher.pump()


def _is_unanswered(attempt: Attempt, result: AttemptResult) -> bool:
    """Does a late answer tell what became of this attempt? A report may have told before that it was taken."""
    taken = attempt.state is _SENT and not attempt.remote_id
    return attempt.state is _UNCERTAIN or (taken and isinstance(result, Accepted))
