"""submit_sm with replace_if_present_flag: a message takes the place of one like it that no channel has yet (SMPP 3.4,
5.2.18)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import defer
from twisted.logger import Logger

from gateway.delivery.deliver import Delivery
from gateway.delivery.intake import QUEUE_FULL, Answer, Intake
from gateway.delivery.operations import ERR_CANCELLED, is_untouched
from gateway.messages.message import Message
from gateway.messages.states import State
from gateway.routing import journey
from gateway.store import keys, records
from gateway.store.lookups import writers_of
from gateway.store.turn import Turn
from gateway.store.valkey import Keep, Store, StoreAway

LOOKED_AT = 500  # of the last messages to a number: this is asked with every submit that may replace one
LOOK_S = 2.5  # how long a message may take to find the one it replaces; then it is refused
log = Logger("replacing")


class Replacing:
    """One after the other for each number, so that each finds the one before it."""

    def __init__(
        self, store: Store, intake: Intake, delivery: Delivery, clock: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], Any],
    ) -> None:  # fmt: skip
        """call_later(seconds, f): run f then."""
        self._store, self._intake, self._delivery, self._clock = store, intake, delivery, clock
        self._call_later = call_later
        self._turns: dict[str, defer.DeferredLock] = {}  # msisdn -> who may look

    async def submit(self, message: Message, answer: Answer) -> None:
        """As Intake.submit, in the place of a message like this one where there is one."""
        once = _Once(answer)
        patience = self._call_later(LOOK_S, once.refuse)
        number = message.msisdn
        turn = self._turns.setdefault(number, defer.DeferredLock())
        await turn.acquire()
        try:
            old = await self._look(message)
            if patience.active():
                patience.cancel()
                await self._submit(message, once, old)
        except StoreAway:
            once.refuse()
        except Exception:
            log.failure("a message that replaces another was not kept")
            once.refuse()
        finally:
            turn.release()
            if not turn.locked and not turn.waiting:
                self._turns.pop(number, None)

    async def _look(self, message: Message) -> Message | None:
        """What it replaces; those that were submitted right before it are waited for."""
        before: defer.Deferred[None] = defer.Deferred()
        if self._intake.answered(message.msisdn, lambda: before.callback(None)):
            await before
        return await self._find(message) if message.part is None else None

    async def _submit(self, message: Message, once: _Once, old: Message | None) -> None:
        """Returns when it is answered."""
        if old is None:
            self._intake.submit(message, once)
        else:
            self._intake.submit_instead(message, once, lambda new_id: self._end(old, new_id))
        await once.told

    async def _find(self, new: Message) -> Message | None:
        """The youngest message of the same account, source, destination and service_type that no channel has."""
        writers = await writers_of(self._store, new.msisdn, self._clock(), LOOKED_AT, Keep.NO)
        ids = [one.id for one in writers if (one.account, one.source) == (new.account, new.source)]
        if not ids:
            return None
        found = await self._store.command("MGET", *map(keys.message, ids), keep=Keep.NO)
        messages = (records.unpack(record) for record in found if record)
        return next((one for one in messages if one.service_type == new.service_type and is_untouched(one)), None)

    def _end(self, old: Message, new_id: str) -> Turn:
        """The old one is deleted, with the receipt it asked for. Should a channel be faster, it goes on and both are
        sent."""
        now = self._clock()
        journey.close(old, State.DELETED, ERR_CANCELLED, "", now)
        turn = Turn(old, now)
        turn.step("replaced", "", f"by {new_id}")
        self._delivery.close(turn)
        return turn.change()


class _Once:
    """An answer that can be given once; what comes after it is dropped."""

    def __init__(self, answer: Answer) -> None:
        self._answer, self.over = answer, False
        self.told: defer.Deferred[None] = defer.Deferred()

    def __call__(self, command_status: int, message_id: str) -> None:
        if not self.over:
            self.over = True
            self._answer(command_status, message_id)
            self.told.callback(None)

    def refuse(self) -> None:
        self(QUEUE_FULL, "")
