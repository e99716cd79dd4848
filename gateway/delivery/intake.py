"""The one door: a message is given its id, its route and its first step, kept, and only then answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from twisted.logger import Logger

from gateway.delivery.deliver import Delivery
from gateway.delivery.dispatch import Dispatcher
from gateway.delivery.repeats import compared, key_of
from gateway.delivery.together import AnswerAll, Together
from gateway.delivery.turn import Turn
from gateway.messages.ids import Ids, numbered, told
from gateway.messages.message import Attempt, Message
from gateway.messages.states import State
from gateway.metrics import Metrics
from gateway.routing.decide import Send, decide
from gateway.routing.routes import Route, find_route
from gateway.smpp.constants import CommandStatus
from gateway.store import keys, records
from gateway.store.ledger import Change, Ledger
from gateway.store.valkey import Store
from gateway.store.wirelog import fingerprint

PATIENCE_S = 7.0  # how long an ESME waits for the store before its message is refused
MOST_REFUSED = 10_000
SILENT_SMS = 0x40  # protocol_id: a type 0 message, not shown to anybody (3GPP 23.040, 9.2.3.9)
OK, QUEUE_FULL = int(CommandStatus.ESME_ROK), int(CommandStatus.ESME_RMSGQFUL)
NO_DESTINATION = int(CommandStatus.ESME_RINVDSTADR)
log = Logger("intake")

Answer = Callable[[int, str], None]


class PartsDesk(Protocol):
    """gateway.delivery.joining."""

    def arrived(self, message: Message, members: Sequence[bytes]) -> None:
        """A set is complete; members as the store has them."""


class _Accepting:
    """A submit on its way through the store. `taker`: the dispatcher that has room kept for it. `unless`: where its
    text is remembered, for an account that wants none twice."""

    __slots__ = ("answer", "at", "intake", "message", "over", "taker", "unless")

    def __init__(self, intake: Intake, message: Message, answer: Answer, at: float) -> None:
        self.intake, self.message, self.answer, self.at, self.over = intake, message, answer, at, False
        self.taker: Dispatcher | None = None
        self.unless = ""

    def kept(self, answers: Sequence[Any] | None) -> None:
        self.intake._kept(self, self.taker, answers)

    def not_kept(self) -> None:
        self.intake._not_kept(self, self.taker)

    def instead(self, first: str) -> None:
        self.intake._repeated(self, first)


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
        revoke: Callable[[str], None],
    ) -> None:
        """text_of: the decoded text; is_text: may it be read as one at all (no binary, ports, silent types)?
        revoke(id): take back a message whose ESME was refused because the store was too slow; behind a space there may
        be the key that remembers its text."""
        self._store, self._ledger, self._delivery, self._parts = store, ledger, delivery, parts
        self.ids, self._clock, self._metrics = ids, clock, metrics
        self._text_of, self._is_text, self._revoke = text_of, is_text, revoke
        self.parts_timeout_s, self.max_messages = parts_timeout_s, max_messages
        self.routes: tuple[Route, ...] = ()
        self._plans: dict[str, tuple[tuple[str, ...], bool]] = {}
        self.dedupe: Mapping[str, float] = {}  # account -> seconds, of those that want no text twice
        self.unfinished = 0  # messages in the store that are not final, as last seen
        self.stopping = False
        self._accepting: dict[str, _Accepting] = {}
        self._refused: dict[str, float] = {}  # ids that may be kept and are to be taken back, and since when

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
        message.id = self.ids.next()
        if priority is not None:
            message.priority = priority
        self._ledger.commit(self._accept(message, _Accepting(self, message, answer, now)))

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
        message_id = self.ids.next()
        together = Together(answer, message_id, statuses, len(routed))
        changes = []
        for number, (index, message) in enumerate(routed, 1):
            message.id = numbered(message_id, number)
            one = _Accepting(self, message, partial(together.answer, index), now)
            changes.append(self._accept(message, one))
        self._ledger.together(changes)

    def submit_instead(self, message: Message, answer: Answer, end: Callable[[str], Change]) -> None:
        """Keep a message in one call with the end of another one, which `end` makes when it is told the new id. It may
        repeat what that one said."""
        now = self._clock()
        if not self._store.writable or self.stopping:
            answer(QUEUE_FULL, "")
        elif not self._set_out(message, now):
            answer(NO_DESTINATION, "")
        else:
            message.id = self.ids.next()
            new = self._accept(message, _Accepting(self, message, answer, now), repeats=True)
            self._ledger.together([end(message.id), new])

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
        route = find_route(self.routes, message, now, self._text_of)
        plan = self._plan(route, message) if route is not None else ()
        if route is None or not plan:
            return False
        message.accepted_at = now
        message.route, message.plan, message.success = route.name, plan, route.success
        message.fallback_after, message.priority = route.fallback_after, route.priority
        return True

    def _plan(self, route: Route, message: Message) -> tuple[str, ...]:
        """The route's channels, without WhatsApp for what is no text."""
        channels = self._delivery.channels
        known, sms_only = self._plans.get(route.name) or self._plan_of(route)
        if sms_only:
            return known
        if message.protocol_id == SILENT_SMS or not self._is_text(message):
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
        self.routes = routes
        self._plans.clear()

    def _accept(self, message: Message, accepting: _Accepting, repeats: bool = False) -> Change:
        """The change that keeps a message and begins its journey. repeats: even if its text was kept before."""
        turn = Turn(message, accepting.at)
        turn.step("accepted")
        message_id, now = message.id, accepting.at
        self._accepting[message_id] = accepting
        writer = records.Writer(
            message_id, message.account, message.dest, message.dest_ton, message.dest_npi, message.source,
            message.source_ton, message.source_npi,
        )  # fmt: skip
        turn.commands.append(
            (
                "WROTE", keys.writers(message.msisdn), keys.LAST_WRITERS, keys.LAST_WRITERS_S,
                records.octets(records.encode(writer)),
            )
        )  # fmt: skip
        if message.part is not None:
            siblings = keys.siblings(message.part.key)
            turn.commands.append(("HSET", siblings, message.part.number, message_id))
            turn.commands.append(("EXPIRE", siblings, max(1, int(message.expires_at - now))))
        if message.schedule_at > now:
            message.state = State.SCHEDULED
        if message.part is not None and self._delivery.channels[message.plan[0]].kind == "whatsapp":
            turn.commands.append(("ZADD", keys.DUE, f"{now + self.parts_timeout_s:.3f}", message_id))
            turn.commands.append(self._part(message, now + self.parts_timeout_s))
        elif message.schedule_at > now:
            due = min(message.schedule_at, message.expires_at)
            turn.commands.append(("ZADD", keys.DUE, f"{due:.3f}", message_id))
        else:
            accepting.taker = self._first_step(turn)
        turn.kept.append(accepting.kept)
        turn.failed = accepting.not_kept
        if self.dedupe and message.account in self.dedupe and compared(message):
            key, window_s = key_of(message), max(1, int(self.dedupe[message.account]))
            accepting.unless = key
            if repeats:
                turn.commands.append(("SET", key, message_id, "EX", window_s))
            else:
                turn.unless, turn.instead = (key, window_s), accepting.instead
        return turn.change()

    def _part(self, message: Message, due: float) -> tuple[Any, ...]:
        part = message.part
        assert part is not None
        return (
            "PART", keys.part_set(part.key), part.total, part.number, message.id, fingerprint(message.user_data),
            f"{due:.3f}", int(self.parts_timeout_s * 4) + 60,
        )  # fmt: skip

    def _first_step(self, turn: Turn) -> Dispatcher | None:
        """Straight into the hands of a channel that is free, else into its queue. The dispatcher that has room kept."""
        message = turn.message
        if len(message.plan) == 1:  # nothing to weigh: the way of most SMS
            channel = message.plan[0]
        else:
            decision = decide(message, turn.now, self._delivery.facts())
            if not isinstance(decision, Send):  # expired already, or no channel: the next look ends it
                turn.commands.append(("ZADD", keys.DUE, f"{turn.now:.3f}", message.id))
                return None
            channel = decision.channel
            for name, _ in decision.skipped:
                turn.step("fallback", channel, f"from {name}: channel_down")
                self._metrics.count("pombo_fallback", name, channel, "channel_down")
            turn.step("decided", channel, decision.because)
        dispatcher = self._delivery.dispatchers[channel]
        message.attempts = [Attempt(channel=channel, started_at=turn.now)]
        turn.commands.append(("ZADD", keys.DUE, f"{self._delivery.wake_at(message):.3f}", message.id))
        if dispatcher.reserve(message.segments):
            message.in_hand = True
            turn.commands.append(("SADD", dispatcher.hand_key, message.id))
            return dispatcher
        turn.commands.append(("RPUSH", keys.queue(channel, message.priority), f"{message.id} 1"))
        return None

    def _kept(self, accepting: _Accepting, taker: Dispatcher | None, answers: Sequence[Any] | None) -> None:
        message = accepting.message
        if accepting.over:  # it took too long and the ESME was told no: nothing may come of it
            if taker is not None:
                taker.release(message.segments)
            elif message.attempts:
                self._delivery.dispatchers[message.attempts[0].channel].refuse(message.id)
            self._revoke(f"{message.id} {accepting.unless}" if accepting.unless else message.id)
            return
        del self._accepting[message.id]
        self._metrics.count("pombo_submitted", message.account)
        self.unfinished += 1
        accepting.answer(OK, told(message.id))
        if taker is not None:
            taker.deliver(message)
        elif message.attempts:
            self._delivery.dispatchers[message.attempts[0].channel].something_waits()
        elif answers and answers[-1]:
            self._parts.arrived(message, answers[-1])

    def _repeated(self, accepting: _Accepting, first: str) -> None:
        """The account sent this text before: that message's id is the answer, and nothing is kept."""
        if accepting.taker is not None:
            accepting.taker.release(accepting.message.segments)
        if accepting.over:
            return
        del self._accepting[accepting.message.id]
        if self._clock() - self._refused.get(first, 0.0) < 2 * PATIENCE_S:  # nothing may come of that one
            accepting.answer(QUEUE_FULL, "")
        else:
            accepting.answer(OK, told(first))

    def _not_kept(self, accepting: _Accepting, taker: Dispatcher | None) -> None:
        if taker is not None:
            taker.release(accepting.message.segments)
        if not accepting.over:
            self._refuse(accepting)

    def _refuse(self, accepting: _Accepting) -> None:
        accepting.over = True
        self._accepting.pop(accepting.message.id, None)
        if accepting.unless:
            self._refused[accepting.message.id] = self._clock()
            if len(self._refused) > MOST_REFUSED:
                del self._refused[next(iter(self._refused))]
        accepting.answer(QUEUE_FULL, "")

    def sweep(self) -> None:
        """Called every second: nobody waits longer than PATIENCE_S for an answer."""
        if not self._accepting:
            return
        oldest = self._clock() - PATIENCE_S
        late = [accepting for accepting in self._accepting.values() if accepting.at < oldest]
        if late:
            log.error("the store is too slow: {n} messages were refused", n=len(late))
        for accepting in late:
            self._refuse(accepting)
