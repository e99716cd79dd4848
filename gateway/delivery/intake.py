"""The one door: a message is given its id, its route and its first step, kept, and only then answered."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from twisted.logger import Logger

from gateway.delivery.deliver import Delivery
from gateway.delivery.directives import Directives
from gateway.delivery.dispatch import Dispatcher
from gateway.delivery.numbering import Numbering
from gateway.delivery.repeats import compared, key_of
from gateway.delivery.together import AnswerAll, Together
from gateway.messages.ids import Ids, numbered, told
from gateway.messages.message import Attempt, Attempted, Message
from gateway.messages.states import State
from gateway.metrics import Metrics
from gateway.routing.decide import Send, decide
from gateway.routing.routes import Route, Routes
from gateway.smpp.constants import CommandStatus
from gateway.store import keys, records
from gateway.store.ledger import Ledger
from gateway.store.turn import Answers, Turn
from gateway.store.valkey import Store
from gateway.store.wirelog import fingerprint

PATIENCE_S = 7.0  # how long an ESME waits for the store before its message is refused
MOST_REFUSED = 10_000
# protocol_id: type 0, shown to nobody; data for the handset or its SIM card (3GPP 23.040, 9.2.3.9)
NOT_SHOWN = frozenset({0x40, 0x7D, 0x7E, 0x7F})
OK, QUEUE_FULL = int(CommandStatus.ESME_ROK), int(CommandStatus.ESME_RMSGQFUL)
NO_DESTINATION = int(CommandStatus.ESME_RINVDSTADR)
_WAITING = Attempted.WAITING
log = Logger("intake")

Answer = Callable[[int, str], None]


class PartsDesk(Protocol):
    """gateway.delivery.joining."""

    def arrived(self, message: Message, members: Sequence[bytes]) -> None:
        """A set is complete; members as the store has them."""


class _Accepting(Turn, eq=False, kw_only=True):
    """A submit on its way through the store. `taker`: the dispatcher that has room kept for it. `key`: where its text
    is remembered, for an account that wants none twice. `gone`: it took too long, and the ESME was told no."""

    intake: Intake
    answer: Answer
    taker: Dispatcher | None = None
    gone: bool = False
    key: str = ""

    def tell(self, answers: Answers) -> None:
        self.intake._kept(self, answers)

    def overtaken(self, fresh: Message | None) -> None:
        if fresh is not None:
            self.intake._kept_elsewhere(self)

    def is_wanted(self) -> bool:
        return not self.gone

    def not_kept(self) -> bool:
        self.intake._not_kept(self)
        return True


class Intake:
    """Accepts messages. Implements the `submit` of gateway.server.ports.Intake."""

    def __init__(
        self,
        *,
        store: Store,
        ledger: Ledger,
        delivery: Delivery,
        parts: PartsDesk,
        ids: Ids,
        clock: Callable[[], float],
        metrics: Metrics,
        text_of: Callable[[Message], str | None],
        is_text: Callable[[Message], bool],
        parts_timeout_s: float,
        max_messages: int,
        revoke: Callable[[str, str, str], None],
    ) -> None:
        """text_of: the decoded text; is_text: may it be read as one at all (no binary, ports, silent types, flash)?
        revoke(id, key, hand): take back a message whose ESME was refused because the store was too slow. key: that
        remembers its text, or ""; hand: that it came into, or ""."""
        self._store, self._ledger, self._delivery, self._parts = store, ledger, delivery, parts
        self.ids, self._clock, self._metrics = ids, clock, metrics
        self._text_of, self._is_text, self._revoke = text_of, is_text, revoke
        self.parts_timeout_s, self.max_messages = parts_timeout_s, max_messages
        self.routes: tuple[Route, ...] = ()
        self._table = Routes(())
        self._plans: dict[str, tuple[tuple[str, ...], bool]] = {}
        self._writers, self._writers_from = "", -math.inf  # the key of the day, and when that began
        self.keep_writers(keys.WRITERS_DAYS)
        self.numbering = Numbering(store)
        self.dedupe: Mapping[str, float] = {}  # account -> seconds, of those that want no text twice
        self.directives: Directives | None = None  # where an account may name a template in its texts
        self.unfinished = 0  # messages in the store that are not final, as last seen
        self.stopping = False
        self._accepting: dict[str, _Accepting] = {}
        self._refused: dict[str, float] = {}  # ids that may be kept and are to be taken back, and since when

    def keep_writers(self, days: int) -> None:
        """Note for so many days who wrote to which number."""
        self._writers_live_s = (days + 1) * keys.DAY_S

    @property
    def busy(self) -> bool:
        return bool(self._accepting)

    def submit(self, message: Message, answer: Answer, priority: int | None = None) -> None:
        """Keep a message, then answer. answer(command_status, message_id) is called exactly once.

        priority: overrides the route's.
        """
        if not self._store.writable or self.unfinished + len(self._accepting) >= self.max_messages or self.stopping:
            answer(QUEUE_FULL, "")
            return
        now = self._clock()
        if not self._set_out(message, now):
            answer(NO_DESTINATION, "")
            return
        message.id = self._new_id(message) if self.numbering.forms else self.ids.next()
        if not message.id:
            answer(QUEUE_FULL, "")
            return
        if priority is not None:
            message.priority = priority
        self._ledger.commit(self._accept(message, answer, now))

    def submit_multi(self, messages: Sequence[Message], answer: AnswerAll) -> None:
        """Keep the messages of one submit_multi, in one call of the store, then answer with the id they share."""
        full = self.unfinished + len(self._accepting) + len(messages) > self.max_messages
        if not self._store.writable or full or self.stopping:
            answer("", [QUEUE_FULL] * len(messages))
            return
        now = self._clock()
        statuses = [0 if self._set_out(message, now) else NO_DESTINATION for message in messages]
        routed = [(index, message) for index, message in enumerate(messages) if not statuses[index]]
        if not routed:
            answer("", statuses)
            return
        message_id = self._new_id(routed[0][1])
        if not message_id:
            answer("", [QUEUE_FULL] * len(messages))
            return
        together = Together(answer, message_id, statuses, len(routed))
        changes = []
        for number, (index, message) in enumerate(routed, 1):
            message.id = numbered(message_id, number)
            changes.append(self._accept(message, partial(together.answer, index), now))
        self._ledger.together(changes)

    def submit_instead(self, message: Message, answer: Answer, end: Callable[[str], Turn]) -> None:
        """Keep a message in one call with the end of another one, which `end` makes when it is told the new id. It may
        repeat what that one said."""
        now = self._clock()
        if not self._store.writable or self.stopping:
            answer(QUEUE_FULL, "")
        elif not self._set_out(message, now):
            answer(NO_DESTINATION, "")
        elif not (message_id := self._new_id(message)):
            answer(QUEUE_FULL, "")
        else:
            message.id = message_id
            new = self._accept(message, answer, now, repeats=True)
            self._ledger.together([end(message.id), new])

    def _new_id(self, message: Message) -> str:
        """In the form its account wants; "" when there is none for the moment."""
        numbering = self.numbering
        return numbering.next(message.account) if message.account in numbering.forms else self.ids.next()

    def answered(self, msisdn: str, call: Callable[[], None]) -> bool:
        """Call once the youngest message to this number is answered; False: none waits for its answer."""
        last = next((one for one in reversed(self._accepting.values()) if one.message.msisdn == msisdn), None)
        if last is None:
            return False
        answer = last.answer

        def answer_and_call(command_status: int, message_id: str) -> None:
            answer(command_status, message_id)
            call()

        last.answer = answer_and_call
        return True

    def _set_out(self, message: Message, now: float) -> bool:
        """Give a message its route; False when none takes it."""
        directives, came = self.directives, None
        if directives is not None and message.part is None and message.account in directives.accounts:
            came = directives.apply(message)
        if message.part is None:
            route = self._table.find(message, now, self._text_of)
        else:
            route = self._route_of_part(message, now)
        if route is None:
            return False
        plan, sms_only = self._plans.get(route.name) or self._plan_of(route)
        if not sms_only:
            plan = self._plan(plan, message)
        if came is not None and directives is not None:
            plan = directives.without_sms(message, plan, came)
        if not plan:
            return False
        message.accepted_at = now
        message.route, message.plan, message.success = route.name, plan, route.success
        message.fallback_after, message.priority = route.fallback_after, route.priority
        return True

    def _route_of_part(self, message: Message, now: float) -> Route | None:
        """By what it says itself, for the time being where a route asks for the text."""
        texts: list[str | None] = []

        def text_of(part: Message) -> str | None:
            texts.append(self._text_of(part))
            return texts[-1]

        route = self._table.find(message, now, text_of)
        message.undecided = bool(texts) and texts[0] is not None
        return route

    def set_out_together(self, parts: Sequence[Message], text: str) -> None:
        """Give the parts of a text one route: the one that takes the text, else that of the first part."""
        first = parts[0]
        route = self._table.find(first, first.accepted_at, lambda _: text)
        if route is not None:
            plan, sms_only = self._plan_of(route)
            if plan := plan if sms_only else self._plan(plan, first):
                first.route, first.plan, first.success = route.name, plan, route.success
                first.fallback_after, first.priority = route.fallback_after, route.priority
        for part in parts:
            part.route, part.plan, part.success = first.route, first.plan, first.success
            part.fallback_after, part.priority = first.fallback_after, first.priority
            part.undecided = False

    def _plan(self, known: tuple[str, ...], message: Message) -> tuple[str, ...]:
        """The route's channels, without WhatsApp for what is no text."""
        channels = self._delivery.channels
        if message.protocol_id in NOT_SHOWN or not self._is_text(message):
            return tuple(name for name in known if channels[name].kind == "smsc")
        if message.part is not None and channels[known[0]].kind == "smsc":
            return tuple(name for name in known if channels[name].kind == "smsc")  # parts go as parts from the start
        return known

    def _plan_of(self, route: Route) -> tuple[tuple[str, ...], bool]:
        """The route's channels as far as they exist, and whether all are operators'. Kept until something changes."""
        channels = self._delivery.channels
        known = tuple(name for name in route.channels if name in channels)
        plan = self._plans[route.name] = (known, all(channels[name].kind == "smsc" for name in known))
        return plan

    def use(self, routes: tuple[Route, ...]) -> None:
        """Route by these from now on; also to be called when channels came or went."""
        self.routes, self._table = routes, Routes(routes)
        self._plans.clear()

    def _accept(self, message: Message, answer: Answer, now: float, repeats: bool = False) -> Turn:
        """The change that keeps a message and begins its journey. repeats: even if its text was kept before."""
        turn = _Accepting(message, now, intake=self, answer=answer)
        message_id = message.id
        turn.events.append((now, "accepted", "", ""))
        self._accepting[message_id] = turn
        writer = records.Writer(
            message_id, message.account, message.dest, message.dest_ton, message.dest_npi, message.source,
            message.source_ton, message.source_npi,
        )  # fmt: skip
        written = records.octets(records.written(message.msisdn, now, writer))
        if not self._writers_from <= now < self._writers_from + keys.DAY_S:
            day = int(now // keys.DAY_S)
            self._writers, self._writers_from = keys.writers(day), day * keys.DAY_S
        turn.commands.append(("WROTE", self._writers, self._writers_live_s, written))
        if message.schedule_at > now:
            message.state = State.SCHEDULED
        if message.part is not None and self._waits_for_others(turn):
            turn.due = now + self.parts_timeout_s
        elif message.schedule_at > now:
            turn.due = min(message.schedule_at, message.expires_at)
        else:
            turn.taker = self._first_step(turn)
        if self.dedupe and message.account in self.dedupe and compared(message):
            turn.key, window_s = key_of(message), max(1, int(self.dedupe[message.account]))
            if repeats:
                turn.commands.append(("SET", turn.key, message_id, "EX", window_s))
            else:
                turn.unless, turn.instead = (turn.key, window_s), partial(self._repeated, turn)
        return turn.change()

    def _waits_for_others(self, turn: _Accepting) -> bool:
        """A part of a long text: its siblings must be found again. True: it waits for them, for WhatsApp or a route."""
        message, now = turn.message, turn.now
        part = message.part
        assert part is not None
        siblings = keys.siblings(part.key)
        turn.commands.append(("HSET", siblings, part.number, message.id))
        turn.commands.append(("EXPIRE", siblings, max(1, int(message.expires_at - now))))
        if self._delivery.channels[message.plan[0]].kind != "whatsapp" and not message.undecided:
            return False
        turn.commands.append(
            (
                "PART", keys.part_set(part.key), part.total, part.number, message.id, fingerprint(message.user_data),
                now + self.parts_timeout_s, int(self.parts_timeout_s * 4) + 60,
            )
        )  # fmt: skip
        return True

    def _first_step(self, turn: Turn) -> Dispatcher | None:
        """Straight into the hands of a channel that is free, else into its queue. The dispatcher that has room kept."""
        message = turn.message
        if len(message.plan) == 1:  # nothing to weigh: the way of most SMS
            channel = message.plan[0]
        else:
            decision = decide(message, turn.now, self._delivery.facts())
            if not isinstance(decision, Send):  # expired already, or no channel: the next look ends it
                turn.due = turn.now
                return None
            channel = decision.channel
            for name, _ in decision.skipped:
                turn.step("fallback", channel, f"from {name}: channel_down")
                self._metrics.count("pombo_fallback", name, channel, "channel_down")
            turn.step("decided", channel, decision.because)
        dispatcher = self._delivery.dispatchers[channel]
        message.attempts.append(Attempt(channel, _WAITING, turn.now))
        turn.due = message.expires_at if channel == message.plan[-1] else self._delivery.wake_at(message)
        if dispatcher.reserve(message.segments):
            message.in_hand = True
            turn.into = dispatcher.hand_key
            return dispatcher
        dispatcher.expect(turn)
        turn.commands.append(("RPUSH", keys.queue(channel, message.priority), f"{message.id} 1"))
        return None

    def _kept(self, turn: _Accepting, answers: Answers) -> None:
        message, taker = turn.message, turn.taker
        if turn.gone:  # nothing may come of it
            if taker is not None:
                taker.release(message.segments)
            elif message.attempts:
                self._delivery.dispatchers[message.attempts[0].channel].refuse(message.id)
            self._revoke(message.id, turn.key, turn.into)
            return
        del self._accepting[message.id]
        self._metrics.count("pombo_submitted", message.account)
        self.unfinished += 1
        turn.answer(OK, told(message.id))
        if taker is not None:
            taker.deliver(message)
        elif message.attempts:
            self._delivery.dispatchers[message.attempts[0].channel].something_waits()
        elif answers and answers[-1]:
            self._parts.arrived(message, answers[-1])

    def _kept_elsewhere(self, turn: _Accepting) -> None:
        """It was kept, the answer was lost with the link, and another node went on with it before we asked again."""
        if turn.taker is not None:
            turn.taker.release(turn.message.segments)
            turn.taker = None
        if not turn.gone:
            del self._accepting[turn.message.id]
            self._metrics.count("pombo_submitted", turn.message.account)
            turn.answer(OK, told(turn.message.id))

    def _repeated(self, turn: _Accepting, first: str) -> None:
        """The account sent this text before: that message's id is the answer, and nothing is kept."""
        if turn.taker is not None:
            turn.taker.release(turn.message.segments)
        if turn.gone:
            return
        del self._accepting[turn.message.id]
        if self._clock() - self._refused.get(first, 0.0) < 2 * PATIENCE_S:  # nothing may come of that one
            turn.answer(QUEUE_FULL, "")
        else:
            turn.answer(OK, told(first))

    def _not_kept(self, turn: _Accepting) -> None:
        if turn.taker is not None:
            turn.taker.release(turn.message.segments)
        if turn.gone:  # over a link that was lost it may have been
            self._revoke(turn.message.id, turn.key, turn.into)
        else:
            self._refuse(turn)

    def _refuse(self, turn: _Accepting) -> None:
        turn.gone = True
        self._accepting.pop(turn.message.id, None)
        if turn.key:
            self._refused[turn.message.id] = self._clock()
            if len(self._refused) > MOST_REFUSED:
                del self._refused[next(iter(self._refused))]
        turn.answer(QUEUE_FULL, "")

    def sweep(self) -> None:
        """Called every second: nobody waits longer than PATIENCE_S for an answer."""
        if not self._accepting:
            return
        oldest = self._clock() - PATIENCE_S
        late = [turn for turn in self._accepting.values() if turn.now < oldest]
        if late:
            log.error("the store is too slow: {n} messages were refused", n=len(late))
        for turn in late:
            self._refuse(turn)
