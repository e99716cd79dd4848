"""Receipts that an ESME has had and lost, or never got: told once more, for an account and from a moment on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from twisted.internet.defer import FirstError, gatherResults

from gateway.delivery.receipts import ReceiptDesk
from gateway.messages.message import Message, Receipt
from gateway.messages.receipt import receipt_for
from gateway.messages.states import wants_receipt
from gateway.store import keys, records
from gateway.store.valkey import Keep, Store

AT_ONCE = 500  # messages looked at in one call
ON_ITS_WAY_S = 60.0  # a receipt that came into being since then may not be in its stream yet


class Resending:
    """From what the store still has of finished messages."""

    def __init__(
        self, store: Store, desk: ReceiptDesk, clock: Callable[[], float], retention_s: Callable[[], float]
    ) -> None:
        self._store, self._desk, self._clock, self._retention_s = store, desk, clock, retention_s
        self._busy: set[str] = set()

    async def again(self, account: str, since: float) -> int | None:
        """How many receipts were queued again: one for each finished message of the account that was accepted since
        then (epoch seconds), asked for one, and does not have it still to come. None: somebody is at it already."""
        if account in self._busy:
            return None
        self._busy.add(account)
        try:
            began, queued = self._clock(), 0
            waiting = await self._waiting(account)
            async for ids in self._written_by(account, since):
                found = await self._read("MGET", *map(keys.message, ids))
                messages = [records.unpack(record) for record in found if record]
                queued += await self._tell(account, began, [one for one in messages if one.id not in waiting])
            return queued
        finally:
            self._busy.discard(account)

    async def _written_by(self, account: str, since: float) -> AsyncIterator[list[str]]:
        """The ids of an account's messages, each once, however many are accepted meanwhile."""
        oldest = max(since, self._clock() - self._retention_s() - keys.DAY_S)
        for day in range(int(oldest // keys.DAY_S), int(self._clock() // keys.DAY_S) + 1):
            after = b"-"
            while members := await self._read(
                "ZRANGEBYLEX", keys.writers(day), after, b"+", "LIMIT", "0", str(AT_ONCE)
            ):
                after = b"(" + members[-1]
                known = [records.read_written(member) for member in members]
                if ids := [writer.id for at, writer in known if writer.account == account and at >= since]:
                    yield ids

    async def _waiting(self, account: str) -> set[str]:
        """The messages whose receipts are still to come."""
        waiting: set[str] = set()
        after = b"-"
        while rows := await self._read("XRANGE", keys.receipts(account), after, b"+", "COUNT", str(AT_ONCE)):
            after = b"(" + rows[-1][0]
            for _, fields in rows:
                item = records.unpack_waiting(fields[1])
                if isinstance(item, Receipt) and not item.intermediate:
                    waiting.add(item.kept_as or item.message_id)
        return waiting

    async def _tell(self, account: str, began: float, messages: list[Message]) -> int:
        told = await self._told([message.id for message in messages])
        items = [
            receipt_for(message, message.final_at)
            for message in messages
            if message.final
            and wants_receipt(message.registered_delivery, message.state)
            and (message.id in told or message.final_at < began - ON_ITS_WAY_S)
        ]
        stream = keys.receipts(account)
        kept = [
            self._store.command("XADD", stream, "*", "b", records.pack_waiting(item), keep=Keep.OVER_LINKS)
            for item in items
        ]
        try:
            entries = await gatherResults(kept, consumeErrors=True)
        except FirstError as first:
            first.subFailure.raiseException()
        for entry, item in zip(entries, items, strict=True):
            self._desk.added(account, entry, item)
        return len(items)

    async def _told(self, ids: list[str]) -> set[str]:
        """Those of them whose receipt was answered."""
        answered: set[str] = set()
        today = int(self._clock() // keys.DAY_S)
        for day in range(today - int(self._retention_s() // keys.DAY_S) - 2, today + 1):
            if ids:
                rows = await self._read("HMGET", keys.told(day), *ids)
                answered.update(one for one, row in zip(ids, rows, strict=True) if row)
        return answered

    async def _read(self, *command: str | bytes) -> list[Any]:
        found: list[Any] = await self._store.command(*command, keep=Keep.OVER_LINKS)
        return found
