"""What an ESME may do with a message it has submitted: ask for it, cancel it, replace it (SMPP 3.4, 4.8 to 4.10)."""

from __future__ import annotations

import time
from collections.abc import Callable

from twisted.internet import defer

from gateway.delivery.deliver import Delivery
from gateway.delivery.directives import Directives
from gateway.messages.ids import numbered
from gateway.messages.message import Attempted, Message
from gateway.messages.outcome import QueryAnswer
from gateway.messages.states import State
from gateway.routing import journey
from gateway.smpp.constants import CommandStatus
from gateway.smpp.segments import count_segments
from gateway.store import keys, records
from gateway.store.lookups import unfinished_to
from gateway.store.turn import Turn
from gateway.store.valkey import Keep, Store

OK = int(CommandStatus.ESME_ROK)
NO_MESSAGE = int(CommandStatus.ESME_RINVMSGID)
CANNOT_CANCEL = int(CommandStatus.ESME_RCANCELFAIL)
CANNOT_REPLACE = int(CommandStatus.ESME_RREPLACEFAIL)
BAD_VALIDITY = int(CommandStatus.ESME_RINVEXPIRY)
ERR_CANCELLED = 3
MOST_OF_ONE_ID = 254  # messages of one submit_multi (SMPP 3.4, 4.5.1)


class Operations:
    """query_sm, cancel_sm and replace_sm over the store."""

    def __init__(
        self, store: Store, delivery: Delivery, clock: Callable[[], float], normalize: Callable[[str], str | None]
    ) -> None:
        self._store, self._delivery, self._clock, self._normalize = store, delivery, clock, normalize
        self.directives: Directives | None = None  # where an account may name a template in its texts

    async def read(self, message_id: str) -> Message | None:
        """One message; None when there is none of that id."""
        record = await self._store.command("GET", keys.message(message_id), keep=Keep.OVER_LINKS)
        return records.unpack(record) if record else None

    async def _own(self, account: str, message_id: str, source: str) -> Message | None:
        message = await self.read(message_id)
        return message if message is not None and _is_own(message, account, source) else None

    async def _all_own(self, account: str, message_id: str, source: str) -> list[Message]:
        """The message of this id, or those of a submit_multi, in order."""
        ids = [keys.message(numbered(message_id, number)) for number in range(1, MOST_OF_ONE_ID + 1)]
        found = await self._store.command("MGET", *ids, keep=Keep.OVER_LINKS)
        messages = [records.unpack(record) for record in found if record]
        return [one for one in messages if _is_own(one, account, source)]

    async def query(self, account: str, message_id: str, source: str) -> QueryAnswer:
        message = await self._own(account, message_id, source)
        if message is None:  # the first of a submit_multi that only repeated an older message?
            message = next(iter(await self._all_own(account, message_id, source)), None)
        if message is None:
            return QueryAnswer(NO_MESSAGE, message_id)
        final_date = time.strftime("%y%m%d%H%M%S000+", time.gmtime(message.final_at)) if message.final else ""
        state = State.ENROUTE if message.state in (State.SCHEDULED, State.ACCEPTED) else message.state
        return QueryAnswer(OK, message_id, final_date, int(state), min(message.err, 255))

    async def cancel(self, account: str, message_id: str, source: str, dest: str, service_type: str) -> int:
        if message_id:
            messages = await self._all_own(account, message_id, source)
            if dest:
                to = self._normalize(dest)
                messages = [message for message in messages if message.msisdn == to]
            if not messages:
                return NO_MESSAGE
            done = [await self._cancel_one(message) for message in messages]
            return OK if any(done) else CANNOT_CANCEL
        msisdn = self._normalize(dest)
        if msisdn is None:
            return NO_MESSAGE
        cancelled = 0
        for message in await unfinished_to(self._store, account, source, msisdn, self._clock()):
            if service_type in ("", message.service_type):
                cancelled += await self._cancel_one(message)
        return OK if cancelled else CANNOT_CANCEL

    async def withdraw(self, message: Message) -> bool:
        """Cancel a message for its person's sake, whoever submitted it: True when it is DELETED now."""
        return await self._cancel_one(message)

    async def _cancel_one(self, message: Message) -> bool:
        """True when the message is DELETED now. A part that was joined takes its whole text with it."""
        if message.joined_in and not message.final and not message.attempts:
            text = await self.read(message.joined_in)
            if text is not None:
                message = text
        if not self._may_cancel(message):
            return False
        outcome: defer.Deferred[bool] = defer.Deferred()
        now = self._clock()
        channel = message.attempts[-1].channel if message.attempts else ""
        if message.in_hand:
            self._delivery.ends_in_hand(message, State.DELETED)
        journey.close(message, State.DELETED, ERR_CANCELLED, channel, now)
        turn = Turn(message, now)
        turn.step("cancelled", channel)
        turn.then(lambda _: outcome.callback(True))
        self._delivery.end(turn, lambda _: outcome.callback(False))
        return await outcome

    def _may_cancel(self, message: Message) -> bool:
        """While no channel has it yet, or while it waits for its turn or for word at a WhatsApp channel."""
        if message.final:
            return False
        if message.in_hand:
            return self._delivery.is_unwritten(message)
        attempt = message.attempt
        if attempt is None or attempt.state in (Attempted.WAITING, Attempted.RETRY, Attempted.FAILED):
            return True
        channel = self._delivery.channels.get(attempt.channel)
        return channel is not None and channel.kind == "whatsapp"

    async def replace(
        self, account: str, message_id: str, source: str, schedule_at: float | None, expires_at: float | None,
        registered_delivery: int, user_data: bytes,
    ) -> int:  # fmt: skip
        messages = await self._all_own(account, message_id, source)
        if not messages:
            return NO_MESSAGE
        done = [
            await self._replace_one(message, schedule_at, expires_at, registered_delivery, user_data)
            for message in messages
        ]
        return OK if OK in done else done[0]

    async def _replace_one(
        self, message: Message, schedule_at: float | None, expires_at: float | None, registered_delivery: int,
        user_data: bytes,
    ) -> int:  # fmt: skip
        if not is_untouched(message):
            return CANNOT_REPLACE
        if expires_at is not None and schedule_at is None and expires_at <= message.schedule_at:
            return BAD_VALIDITY
        now = self._clock()
        message.user_data, message.registered_delivery = user_data, registered_delivery
        message.in_payload, message.esm_class = False, message.esm_class & ~0x40
        message.segments = count_segments(user_data, message.data_coding, message.esm_class, message.alphabet)
        message.template = ()
        if self.directives is not None and message.account in self.directives.accounts:
            came = self.directives.apply(message)
            if came is not None:
                message.plan = self.directives.without_sms(message, message.plan, came)
        if schedule_at is not None:
            if schedule_at >= message.expires_at:  # it would end before it begins: its validity goes with it
                message.expires_at += schedule_at - (message.schedule_at or message.accepted_at)
            message.schedule_at = schedule_at
            if schedule_at > now:  # out of its queue, where its entry is stale from now on
                message.state, message.attempts = State.SCHEDULED, []
        if expires_at is not None:
            message.expires_at = expires_at
        outcome: defer.Deferred[int] = defer.Deferred()
        turn = Turn(message, now)
        turn.step("replaced")
        at_once = not message.attempts and message.schedule_at <= now
        due = now if at_once else self._delivery.wake_at(message)
        turn.due = due
        turn.then(lambda _: outcome.callback(OK))
        self._delivery.ledger.commit(turn.change(lambda _: outcome.callback(CANNOT_REPLACE)))
        return await outcome


def _is_own(message: Message, account: str, source: str) -> bool:
    """Is it the account's, from this source where one is given, and none that we made of parts?"""
    return message.account == account and not message.parts and source in ("", message.source)


def is_untouched(message: Message) -> bool:
    """Has no channel had it yet? It may still be another one then. Parts belong to their set."""
    if message.final or message.in_hand or message.joined_in or message.part is not None:
        return False
    attempt = message.attempt
    return attempt is None or (len(message.attempts) == 1 and attempt.state is Attempted.WAITING)
