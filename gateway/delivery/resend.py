"""Receipts that an ESME has had and lost: told once more, for an account and from a moment on."""

from __future__ import annotations

from collections.abc import Callable

from gateway.delivery.deliver import receipt_for
from gateway.delivery.receipts import ReceiptDesk
from gateway.messages.states import wants_receipt
from gateway.store import keys, records
from gateway.store.valkey import Keep, Store

AT_ONCE = 500  # messages looked at in one call


class Resending:
    """From what the store still has of finished messages."""

    def __init__(
        self, store: Store, desk: ReceiptDesk, clock: Callable[[], float], retention_s: Callable[[], float]
    ) -> None:
        self._store, self._desk, self._clock, self._retention_s = store, desk, clock, retention_s

    async def again(self, account: str, since: float) -> int:
        """How many receipts were queued again: one for each finished message of the account that was accepted since
        then (epoch seconds), asked for one, and had its receipt acknowledged. Others have theirs still to come."""
        queued = 0
        oldest = max(since, self._clock() - self._retention_s() - keys.DAY_S)
        for day in range(int(oldest // keys.DAY_S), int(self._clock() // keys.DAY_S) + 1):
            at = 0
            while members := await self._read("ZRANGE", keys.writers(day), str(at), str(at + AT_ONCE - 1)):
                at += len(members)
                known = [records.read_written(member) for member in members]
                ids = [writer.id for moment, writer in known if writer.account == account and moment >= since]
                if ids:
                    queued += await self._tell(account, ids)
        return queued

    async def _tell(self, account: str, ids: list[str]) -> int:
        found = await self._read("MGET", *map(keys.message, ids))
        messages = [records.unpack(record) for record in found if record]
        told = await self._told([message.id for message in messages])
        queued = 0
        for message in messages:
            if not wants_receipt(message.registered_delivery, message.state) or message.id not in told:
                continue
            item = receipt_for(message, message.final_at)
            stream, packed = keys.receipts(account), records.pack_waiting(item)
            entry = await self._store.command("XADD", stream, "*", "b", packed, keep=Keep.OVER_LINKS)
            self._desk.added(account, entry, item)
            queued += 1
        return queued

    async def _told(self, ids: list[str]) -> set[str]:
        """Those of them whose receipt was answered."""
        answered: set[str] = set()
        today = int(self._clock() // keys.DAY_S)
        for day in range(today - int(self._retention_s() // keys.DAY_S) - 2, today + 1):
            if ids:
                rows = await self._read("HMGET", keys.told(day), *ids)
                answered.update(one for one, row in zip(ids, rows, strict=True) if row)
        return answered

    async def _read(self, *command: str) -> list[bytes]:
        found: list[bytes] = await self._store.command(*command, keep=Keep.OVER_LINKS)
        return found
