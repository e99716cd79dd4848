"""What is gathered by the day and has to be looked for: who wrote to a number, which of an account's messages are still
under way to it, and what became of a receipt."""

from __future__ import annotations

from gateway.messages.message import Message
from gateway.store import keys, records
from gateway.store.records import Event, Writer
from gateway.store.valkey import Keep, Store

AT_ONCE = 250  # records read with one command


async def writers_of(
    store: Store, msisdn: str, now: float, most: int = keys.MOST_WRITERS, keep: Keep = Keep.OVER_LINKS,
    days: int = keys.WRITERS_DAYS,
) -> list[Writer]:  # fmt: skip
    """Who wrote to a number last, the newest first. now: epoch seconds. days: for how many it is noted."""
    today, back = int(now // keys.DAY_S), days
    found = await store.call("writers", msisdn, str(today), str(back), str(most), keep=keep)
    return [records.decode_writer(one) for one in found]


async def unfinished_to(store: Store, account: str, source: str, msisdn: str, now: float) -> list[Message]:
    """The messages of an account to a number that have not ended, the newest first. source: "" for any."""
    writers = await writers_of(store, msisdn, now)
    ids = [keys.message(one.id) for one in writers if one.account == account and source in ("", one.source)]
    unfinished = []
    for start in range(0, len(ids), AT_ONCE):
        found = await store.command("MGET", *ids[start : start + AT_ONCE], keep=Keep.OVER_LINKS)
        messages = map(records.unpack, filter(None, found))
        unfinished += [one for one in messages if not one.final]
    return unfinished


async def story_of(store: Store, message_id: str, now: float, retention_s: float) -> tuple[bytes | None, list[Event]]:
    """A message's record, None when there is none, and what was written about its receipt.

    retention_s: how long finished messages are kept."""
    today, back = int(now // keys.DAY_S), int(retention_s // keys.DAY_S) + 2
    record, told = await store.call("story", message_id, str(today), str(back), keep=Keep.OVER_LINKS)
    return record, records.unpack_events(told or b"")
