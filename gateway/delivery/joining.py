"""Parts of a long text: kept and answered one by one, joined for WhatsApp, released as they came for SMS.

The joined text is a message of its own with an id that no ESME ever sees; its `parts` are the ESME's messages. They
change together in one call, so that a crash finds either parts that wait or a text that speaks for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import and_
from typing import Any

import msgspec
from twisted.internet import defer
from twisted.logger import Logger

from gateway.delivery.deliver import Again, Delivery
from gateway.delivery.directives import Directives
from gateway.messages.message import Attempt, Attempted, Message
from gateway.messages.outcome import Report
from gateway.messages.states import INTERMEDIATE, State
from gateway.routing import journey
from gateway.routing.decide import Send, Stop, Wait, decide
from gateway.store import keys, records
from gateway.store.turn import NEVER, Turn
from gateway.store.valkey import Keep, Store
from gateway.store.wirelog import fingerprint

DONE_S = 600  # how long a joined set is remembered, for parts that come once more
COPY_LOOK_S = 2.0  # how often a repeated part looks whether its first copy has ended
AFTER_THE_TEXT_S = 5.0  # parts end with their text; should that ever fail they end by themselves so much later
log = Logger("parts")


class Joining:
    """Sets of parts. Implements delivery.intake.PartsDesk and delivery.deliver.Joined."""

    def __init__(
        self, store: Store, delivery: Delivery, clock: Callable[[], float],
        join: Callable[[Sequence[Message]], str], spawn: Callable[[Any, str], object],
    ) -> None:  # fmt: skip
        """join: the text of parts in order. spawn: runs a coroutine that nobody awaits."""
        self._store, self._delivery, self._clock = store, delivery, clock
        self._join, self._spawn = join, spawn
        self.directives: Directives | None = None  # where an account may name a template in its texts
        self.set_out: Callable[[Sequence[Message], str], None] = lambda parts, text: None  # of intake
        self._joining: set[str] = set()  # sets whose text is on its way into the store

    def arrived(self, message: Message, members: Sequence[bytes]) -> None:
        assert message.part is not None
        self._spawn(self._join_set(keys.part_set(message.part.key), members), "joining parts")

    async def _read(self, ids: Sequence[str]) -> list[Message]:
        if not ids:
            return []
        found = await self._store.command("MGET", *[keys.message(i) for i in ids], keep=Keep.ALWAYS)
        return [records.unpack(record) for record in found if record]

    async def _join_set(self, key: str, members: Sequence[bytes]) -> bool:
        """Make one text of a complete set, once: who completes it again meanwhile is a repeated part, and a text's id
        follows from its first part, so that no other node can make a second one. False: the set is not complete."""
        if key in self._joining:
            return True
        self._joining.add(key)
        on_its_way = False
        try:
            on_its_way = await self._make_text(key, members)
        finally:
            if not on_its_way:
                self._joining.discard(key)
        return on_its_way

    async def _make_text(self, key: str, members: Sequence[bytes]) -> bool:
        messages = [m for m in await self._read(_ids_of(members)) if not m.final and not m.joined_in and not m.attempts]
        slots: dict[int, Message] = {}
        for message in messages:
            assert message.part is not None
            slots.setdefault(message.part.number, message)
        if not slots or len(slots) < next(iter(slots.values())).part.total:  # type: ignore[union-attr]
            return False  # one of them ended meanwhile: the others are released when they are due
        ordered = [slots[number] for number in sorted(slots)]
        now = self._clock()
        first = ordered[0]
        in_order = sorted(messages, key=lambda m: (m.part.number, m.id))  # type: ignore[union-attr]
        joined = self._join(ordered)
        if first.undecided:
            self.set_out(in_order, joined)
        asking = tuple(m.id for m in in_order if m.registered_delivery & INTERMEDIATE)
        all_ask = reduce(and_, (m.registered_delivery for m in messages))
        text = msgspec.structs.replace(
            first,
            id=f"{first.id}j",
            rev=0,
            part=None,
            parts=tuple(m.id for m in in_order),
            user_data=joined.encode("utf-16-be"),
            data_coding=8,
            esm_class=0,
            in_payload=True,
            tlvs=(),
            registered_delivery=all_ask | INTERMEDIATE if asking else all_ask,
            asking=asking,
            segments=len(ordered),
            accepted_at=min(m.accepted_at for m in messages),
            expires_at=min(m.expires_at for m in messages),
            priority=min(m.priority for m in messages),
            attempts=[],
            trace=[],
        )
        if self.directives is not None and text.account in self.directives.accounts:
            self.directives.apply_joined(text, text.user_data.decode("utf-16-be", "surrogatepass"), messages)
        turn = Turn(text, now)
        turn.step("joined", "", f"{len(ordered)} parts")
        done = f"{key}:done"
        turn.commands += (("COPY", key, done, "REPLACE"), ("DEL", key), ("EXPIRE", done, DONE_S))
        turn.then(lambda _: self._joining.discard(key))
        decision = decide(text, now, self._delivery.facts())
        if isinstance(decision, Stop):
            return False
        if (
            isinstance(decision, Send) and self._delivery.channels[decision.channel].kind == "smsc"
        ):  # they go as they came
            self._go_on(messages, decision, [], now, [("DEL", key)])
            self._joining.discard(key)
            return True
        if isinstance(decision, Send):
            for name, why in decision.skipped:
                turn.step("fallback", decision.channel, f"from {name}: {why}")
            self._delivery.enqueue(turn, decision)
        elif isinstance(decision, Wait):  # scheduled for later
            turn.due = decision.until
        changes = [turn.change(lambda _: self._joining.discard(key))]
        for message in messages:
            message.joined_in = text.id
            part = Turn(message, now)
            part.due = message.expires_at + AFTER_THE_TEXT_S
            changes.append(part.change())
        self._delivery.ledger.together(changes)
        return True

    def _go_on(
        self, messages: Sequence[Message], send: Send, before: Sequence[Attempt], now: float, commands: list[Any]
    ) -> None:
        """Every part by itself from here, in order, all in one call."""
        changes = []
        for message in messages:
            message.attempts = [msgspec.structs.replace(attempt) for attempt in before]
            turn = Turn(message, now)
            turn.commands += commands
            commands = []
            self._delivery.enqueue(turn, send)
            changes.append(turn.change(self._again))
        self._delivery.ledger.together(changes)

    def _again(self, fresh: Message | None) -> None:
        """A part changed while it was being released: it ended (cancelled, expired), or its own moment will come."""

    # -- delivery.deliver.Joined

    def release(self, turn: Turn, send: Send, again: Again) -> None:
        self._spawn(self._release(turn, send, again or self._again), "releasing parts")

    async def _release(self, turn: Turn, send: Send, again: Again) -> None:
        text = turn.message
        parts = [m for m in await self._read(text.parts) if not m.final and m.joined_in == text.id and not m.attempts]
        before = [msgspec.structs.replace(attempt) for attempt in text.attempts]
        text.released = True
        journey.close(text, State.UNKNOWN, 0, "", turn.now)
        turn.ttl = self._delivery.retention_s
        turn.due = NEVER
        changes = [turn.change(again)]
        for part in parts:
            part.attempts = [msgspec.structs.replace(attempt) for attempt in before]
            part.trace += text.trace
            part.registered_delivery &= text.registered_delivery | ~INTERMEDIATE
            one = Turn(part, turn.now, follows_from=turn)
            self._delivery.enqueue(one, send)
            changes.append(one.change(self._again))
        self._delivery.ledger.together(changes)

    def finish(self, turn: Turn, again: Again) -> None:
        self._spawn(self._finish(turn, again or self._again), "ending parts")

    async def _finish(self, turn: Turn, again: Again) -> None:
        text = turn.message
        changes = [turn.change(again)]
        for part in await self._read(text.parts):
            if part.final or part.joined_in != text.id or (part.attempts and not text.released):
                continue
            part.attempts = [msgspec.structs.replace(attempt) for attempt in text.attempts]
            part.trace += text.trace
            journey.close(part, text.state, text.err, text.decided_by, turn.now)
            one = Turn(part, turn.now, follows_from=turn)
            self._delivery.close(one)
            changes.append(one.change(self._again))
        self._delivery.ledger.together(changes)

    def reported_one(self, part: Message, channel: str) -> None:
        """Some operators report only the first or the last part: the others take its state over after a while."""
        self._spawn(self._siblings_follow(part, channel), "parts that follow their sibling")

    async def _siblings_follow(self, part: Message, channel: str) -> None:
        assert part.part is not None
        rows = await self._store.command("HGETALL", keys.siblings(part.part.key), keep=Keep.ALWAYS)
        known = {int(number): one.decode() for number, one in zip(rows[::2], rows[1::2], strict=True)}
        if known.get(part.part.number) != part.id:
            return  # the reference was used again since
        now = self._clock()
        for sibling in await self._read([one for one in known.values() if one != part.id]):
            attempt = sibling.attempt
            if sibling.final or sibling.follows >= 0 or attempt is None or attempt.channel != channel:
                continue
            if attempt.state in (Attempted.FAILED, Attempted.UNCERTAIN):
                continue
            if abs(sibling.accepted_at - part.accepted_at) > journey.FOLLOW_S:
                continue
            sibling.follows, sibling.follows_err = int(part.state), part.err
            turn = Turn(sibling, now)
            if attempt.state is Attempted.SENT:  # else its time begins when the operator has taken it
                turn.due = min(now + journey.FOLLOW_S, sibling.expires_at)
            self._delivery.ledger.commit(turn.change(self._again))

    # -- moments and late reports

    def is_waiting(self, message: Message) -> bool:
        """Does this part still wait for the others?"""
        if message.part is None or message.joined_in or message.attempts or message.final or message.copy_of:
            return False
        first = self._delivery.channels.get(message.plan[0])
        return message.undecided or (first is not None and first.kind == "whatsapp")

    def overdue(self, message: Message) -> None:
        """The time for the others is over: complete after all, or released as plain SMS parts."""
        self._spawn(self._overdue(message), "releasing an incomplete set")

    async def _overdue(self, message: Message) -> None:
        assert message.part is not None
        key = keys.part_set(message.part.key)
        members = await self._store.command("HGETALL", key, keep=Keep.ALWAYS)
        ids = _ids_of(members)
        now = self._clock()
        if message.id in ids and len(members) // 2 >= message.part.total and await self._join_set(key, members):
            return
        together = message.id in ids
        messages = [m for m in await self._read(ids if together else [message.id]) if self.is_waiting(m)]
        live = [m for m in messages if now < m.expires_at]
        if await self._repeats(key, live, now, together):
            return
        for part in live:
            log.debug("a part waited in vain for its set; message_id={id}", id=part.id)
        live.sort(key=lambda m: (m.part.number, m.id))  # type: ignore[union-attr]
        if live and live[0].undecided:
            self.set_out(live, self._join(live))
        plan = live[0].plan if live else message.plan
        by_sms = tuple(n for n in plan if (c := self._delivery.channels.get(n)) and c.kind == "smsc")
        for part in live:
            part.plan = by_sms or part.plan
        later = [m for m in live if m.schedule_at > now]
        for part in later:
            turn = Turn(part, now)
            turn.due = part.schedule_at
            self._delivery.ledger.commit(turn.change(self._again))
        rest = [m for m in live if m.schedule_at <= now]
        self._go_on(rest, Send((by_sms or plan)[0], "parts are missing"), [], now, [("DEL", key)] if together else [])
        for part in messages:
            if now >= part.expires_at:
                self._delivery.moment(part)

    async def _repeats(self, key: str, live: Sequence[Message], now: float, together: bool) -> bool:
        """Is this incomplete set nothing but parts of the set before, sent once more? Then each ends as its first copy
        does. (At once it could not be told from the next text of a client that always uses one reference.)"""
        before = await self._store.command("HGETALL", f"{key}:done", keep=Keep.ALWAYS)
        done = {int(n): value.decode().split() for n, value in zip(before[::2], before[1::2], strict=True)}
        for part in live:
            slot = done.get(part.part.number) if part.part is not None else None
            if slot is None or slot[0] != fingerprint(part.user_data):
                return False
        for i, part in enumerate(live):
            assert part.part is not None
            part.copy_of = done[part.part.number][1]
            turn = Turn(part, now)
            turn.step("joined", "", "sent once more")
            turn.due = now
            turn.commands += [("DEL", key)] if together and i == 0 else []
            self._delivery.ledger.commit(turn.change(self._again))
        return bool(live)

    def copy(self, part: Message) -> None:
        """A repeated part is due: has its first copy ended?"""
        self._spawn(self._copy(part), "a repeated part")

    async def _copy(self, part: Message) -> None:
        found = await self._read([part.copy_of])
        now = self._clock()
        turn = Turn(part, now)
        if found and not found[0].final and now < part.expires_at:
            turn.due = now + COPY_LOOK_S
        elif found and found[0].final:
            first = found[0]
            part.joined_in, part.plan = first.id, first.plan
            journey.close(part, first.state, first.err, first.decided_by, now)
            self._delivery.close(turn)
        else:
            self._delivery.follow(turn, self._delivery.facts(), self._again)
            return
        self._delivery.ledger.commit(turn.change(self._again))

    def report_parts(self, text: Message, news: Report, kept: Callable[[], None]) -> None:
        """A report about a text whose parts have gone on by themselves."""
        self._spawn(self._report_parts(text, news, kept), "a report for released parts")

    async def _report_parts(self, text: Message, news: Report, kept: Callable[[], None]) -> None:
        waiting: list[defer.Deferred[None]] = []
        for part in await self._read(text.parts):
            one: defer.Deferred[None] = defer.Deferred()
            waiting.append(one)
            self._delivery.report(part, news, lambda d=one: d.callback(None))  # type: ignore[misc]
        for one in waiting:
            await one
        kept()


def _ids_of(members: Sequence[bytes]) -> list[str]:
    """Ids in the order of their parts. members: number, "digest id [id ...]", number, ..."""
    rows = sorted(zip(members[::2], members[1::2], strict=True), key=lambda row: int(row[0]))
    return [one for _, value in rows for one in value.decode().split()[1:]]
