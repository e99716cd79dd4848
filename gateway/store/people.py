"""What the store holds of one person, looked for by the forms of their number."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from gateway.messages.message import Message
from gateway.store import keys, records
from gateway.store.records import Writer
from gateway.store.valkey import Keep, Store

AT_ONCE = 200  # records, entries of a stream
KEYS_AT_ONCE = 1000  # of a walk over all of them
LAST_DIGITS = 8  # of a number, whichever way it is written
ERASED_S = 600  # how long other processes may take to hear of it


class Written(msgspec.Struct, frozen=True):
    """Somebody wrote to the person: where that is noted, when (epoch seconds), and who it was."""

    key: str
    member: bytes
    at: float
    writer: Writer


class Known(msgspec.Struct, frozen=True):
    """What a channel keeps of the person. identity: the hidden one that is theirs; "": it is evidence, packed."""

    key: str
    channel: str
    identity: str
    value: bytes


async def written_to(store: Store, forms: Iterable[str], now: float, days: int) -> list[Written]:
    """Every note of a message to the person, the oldest first."""
    found: list[Written] = []
    for day in range(int(now // keys.DAY_S) - days, int(now // keys.DAY_S) + 1):
        key = keys.writers(day)
        for form in forms:
            members = await _ask(store, "ZRANGEBYLEX", key, f"[{form}:", f"({form};")
            found += [Written(key, member, *records.read_written(member)) for member in members]
    return sorted(found, key=lambda one: one.at)


async def forget_writer(store: Store, one: Written) -> None:
    """Whose number it was is gone; that the account's message was there stays."""
    blank = msgspec.structs.replace(one.writer, dest="", dest_ton=0, dest_npi=0)
    await _ask(store, "ZADD", one.key, "0", records.written("", one.at, blank))
    await _ask(store, "ZREM", one.key, one.member)


async def messages(store: Store, ids: Iterable[str]) -> list[Message]:
    """Those of them that are still there, and the joined texts that speak for parts among them."""
    found: dict[str, Message] = {}
    wanted = list(dict.fromkeys(ids))
    while wanted:
        rows: list[bytes | None] = []
        for start in range(0, len(wanted), AT_ONCE):
            rows += await _ask(store, "MGET", *map(keys.message, wanted[start : start + AT_ONCE]))
        found |= {one.id: one for one in (records.unpack(row) for row in rows if row)}
        joined = {one.joined_in for one in found.values() if one.joined_in}
        wanted = sorted(joined - found.keys() - set(wanted))
    return list(found.values())


async def known_of(store: Store, forms: Sequence[str]) -> list[Known]:
    """What any channel keeps of the person, those that are configured no more included."""
    found: dict[str, Known] = {}  # a walk may come by a key twice
    cursor = b"0"
    while True:
        cursor, *rest = await store.call("people", cursor, str(KEYS_AT_ONCE), *forms, keep=Keep.OVER_LINKS)
        for key, value in zip(rest[::2], rest[1::2], strict=True):
            name = key.decode("utf-8", "replace").removeprefix("p:")
            channel, mark, identity = name.partition(":@")
            known = Known(key.decode(), channel if mark else name.rpartition(":")[0], identity, value)
            found[known.key] = known
        if cursor == b"0":
            return list(found.values())


async def forget(store: Store, known: Sequence[Known], forms: Iterable[str]) -> None:
    """Evidence, identities, and who wrote to the person as the first builds noted it."""
    names = [*(one.key for one in known), *(f"t:{form}" for form in forms)]
    for start in range(0, len(names), AT_ONCE):
        await _ask(store, "DEL", *names[start : start + AT_ONCE])


async def entries_naming(store: Store, stream: str, forms: Iterable[str]) -> AsyncIterator[tuple[bytes, bytes]]:
    """(entry, octets) of a stream that hold the last digits of the number, whatever stands between them. Entries that
    are appended meanwhile are not walked over twice."""
    pattern = "%W?%W?".join(min(forms, key=len)[-LAST_DIGITS:])
    end = (await _ask(store, "XREVRANGE", stream, "+", "-", "COUNT", "1") or [(b"", [])])[0][0]
    after = b"-"
    while end and after != b"(" + end:
        last, *rest = await store.call("naming", stream, after, str(AT_ONCE), pattern, keep=Keep.OVER_LINKS)
        for entry, octets in zip(rest[::2], rest[1::2], strict=True):
            if _place(entry) <= _place(end):
                yield entry, octets
        if not last or _place(last) >= _place(end):
            return
        after = b"(" + last


async def rewrite(store: Store, stream: str, entry: bytes, octets: bytes) -> None:
    """Put other octets in the place of an entry."""
    await store.call("rewrite", stream, entry, octets, keep=Keep.OVER_LINKS)


async def tell_of_erasure(store: Store, person: str, now: float) -> None:
    """So that other processes on this store forget the person, too; see erasures()."""
    await _ask(store, "ZREMRANGEBYSCORE", keys.ERASURES, "-inf", f"({now - ERASED_S:.3f}")
    await _ask(store, "ZADD", keys.ERASURES, f"{now:.3f}", person)
    await _ask(store, "EXPIRE", keys.ERASURES, str(ERASED_S))


async def erasures(store: Store) -> set[tuple[str, bytes]]:
    """(person, moment) of the last minutes."""
    row = await store.command("ZRANGE", keys.ERASURES, "0", "-1", "WITHSCORES", keep=Keep.NO)
    return {(person.decode(), moment) for person, moment in list(pairwise(row))[::2]}


def _place(entry: bytes) -> tuple[int, int]:
    moment, _, number = entry.partition(b"-")
    return int(moment), int(number)


async def _ask(store: Store, *command: str | bytes) -> Any:
    return await store.command(*command, keep=Keep.OVER_LINKS)
