"""One person, by their number: everything that is held of them, and how it is erased.

Messages that have ended are written anew without number, text and words; counts, states, prices and times stay. While a
message is under way nothing is erased, for it needs its number. What an account has not acknowledged yet stays, too: it
goes with the acknowledgement.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from twisted.internet import defer, task
from twisted.logger import Logger

from gateway.delivery.deliver import Delivery
from gateway.messages.address import ninth_digit_forms, same_person
from gateway.messages.message import Attempt, Message, Mo, Part, Receipt
from gateway.store import keys, people, records
from gateway.store.people import Known, Written
from gateway.store.turn import Command, Turn
from gateway.store.valkey import Keep, Store, StoreAway

LISTEN_S = 5.0  # how often a process asks whom others have erased
AGAIN_S = 3 * LISTEN_S  # after it: what a process wrote of the person before it had heard goes, too
DIGITS_THAT_NAME = 8  # last digits of a number in an id
log = Logger("erasing")


class Waits(msgspec.Struct, frozen=True):
    """A receipt, or a text of the person's, that an account has not acknowledged yet."""

    account: str
    item: Receipt | Mo


class Person(msgspec.Struct, frozen=True):
    """What is held of one person."""

    msisdn: str
    forms: tuple[str, ...]
    written: list[Written]
    messages: list[Message]
    known: list[Known]
    waiting: list[Waits]
    events: list[dict[str, Any]]


class Erased(msgspec.Struct, frozen=True):
    """How many of each went; and what waits for accounts, which stays until they have it."""

    messages: int
    evidence: int
    identities: int
    events: int
    waiting: list[Waits]


class UnderWay(msgspec.Struct, frozen=True):
    """Nothing was erased: so many messages have not ended, the last of them by `until` (epoch seconds)."""

    messages: int
    until: float


class _Blanking(Turn, eq=False, kw_only=True):
    """A message written anew without its person."""

    told: defer.Deferred[None]

    def not_kept(self) -> bool:
        self.told.errback(StoreAway("it did not keep a change"))
        return True


class People:
    """Finds and erases."""

    def __init__(
        self, store: Store, delivery: Delivery, *, clock: Callable[[], float], accounts: Callable[[], Sequence[str]],
        normalize: Callable[[str], str | None], withdraw: Callable[[Message], Any], days: Callable[[], int],
        call_later: Callable[[float, Callable[[], object]], Any], spawn: Callable[[Any, str], object],
        own_disk: bool = False,
    ) -> None:  # fmt: skip
        """withdraw(message): cancel it, as far as it may be. days: for so many it is noted who wrote to a number.
        own_disk: the store's files are ours to have written anew."""
        self._store, self._delivery, self._clock = store, delivery, clock
        self._accounts, self._normalize, self._withdraw, self._days = accounts, normalize, withdraw, days
        self._call_later, self._spawn, self._own_disk = call_later, spawn, own_disk
        self._heard: set[tuple[str, bytes]] = set()
        self._loop = task.LoopingCall(self._listen)

    def start(self, reactor: Any) -> None:
        """Listen to what other processes on this store erase."""
        self._loop.clock = reactor
        self._loop.start(LISTEN_S, now=False)

    def stop(self) -> None:
        if self._loop.running:
            self._loop.stop()

    # -- finding

    async def find(self, msisdn: str) -> Person:
        """msisdn: as parse_destination reads it. StoreAway while the store is."""
        forms = ninth_digit_forms(msisdn)
        written, messages = await self._messages(forms)
        events = [event for _, _, of_them in await self._events(forms) for event in of_them]
        return Person(
            msisdn, forms, written, messages, await people.known_of(self._store, forms), await self._waiting(forms),
            sorted(events, key=lambda event: float(event["at"])),
        )  # fmt: skip

    async def _messages(self, forms: Sequence[str]) -> tuple[list[Written], list[Message]]:
        written = await people.written_to(self._store, forms, self._clock(), self._days())
        return written, await people.messages(self._store, (one.writer.id for one in written))

    async def _waiting(self, forms: Sequence[str]) -> list[Waits]:
        found: list[Waits] = []
        for account in self._accounts():
            async for _, octets in people.entries_naming(self._store, keys.receipts(account), forms):
                item = records.unpack_waiting(octets)
                if self._is_one_of(item.source, forms):
                    found.append(Waits(account, item))
        return found

    async def _events(self, forms: Sequence[str]) -> list[tuple[bytes, list[dict[str, Any]], list[dict[str, Any]]]]:
        """Of the feed: (entry, all its events, those of the person)."""
        found = []
        async for entry, octets in people.entries_naming(self._store, keys.FEED, forms):
            events: list[dict[str, Any]] = msgspec.msgpack.decode(octets)
            theirs = [event for event in events if self._is_one_of(str(event.get("to", "")), forms)]
            if theirs:
                found.append((entry, events, theirs))
        return found

    def _is_one_of(self, number: str, forms: Sequence[str]) -> bool:
        return number in forms or (self._normalize(number) if number else None) in forms

    # -- erasing

    async def erase(self, msisdn: str, cancel: bool = False) -> Erased | UnderWay:
        """cancel: what is under way is cancelled first, as far as it may be."""
        forms = ninth_digit_forms(msisdn)
        written, messages = await self._messages(forms)
        if cancel and (open_ones := _under_way(messages)):
            for one in open_ones:
                await self._withdraw(one)
            written, messages = await self._messages(forms)
        if open_ones := _under_way(messages):
            return UnderWay(len(open_ones), max(one.expires_at for one in open_ones))
        await people.tell_of_erasure(self._store, same_person(msisdn), self._clock())
        self._forget(forms)
        sets = {keys.siblings(message.part.key) for message in messages if message.part is not None}
        for start in range(0, len(messages), people.AT_ONCE):
            await gathered([self._blank(one, forms) for one in messages[start : start + people.AT_ONCE]])
        await self._forget_sets(sets, messages)
        for note in written:
            await people.forget_writer(self._store, note)
        known = await people.known_of(self._store, forms)
        await people.forget(self._store, known, forms)
        events = 0
        for entry, batch, theirs in await self._events(forms):
            for event in theirs:
                event["to"] = ""
                event.pop("detail", None)
            octets = msgspec.msgpack.encode([{**event, "again": True} for event in batch])
            await people.rewrite(self._store, keys.FEED, entry, octets)
            events += len(theirs)
        self._sweep_later(forms)
        hidden = sum(bool(one.identity) for one in known)
        told = sum(not one.parts for one in messages)
        return Erased(told, len(known) - hidden, hidden, events, await self._waiting(forms))

    def _forget(self, forms: Sequence[str]) -> None:
        """What the channels of this process have in memory."""
        for channel in self._delivery.channels.values():
            forget = getattr(channel, "forget", None)
            if forget is not None:
                forget(forms)

    def _blank(self, message: Message, forms: Sequence[str]) -> defer.Deferred[None]:
        """Write a message anew without the person; again on the fresh record where somebody was faster."""
        done: defer.Deferred[None] = defer.Deferred()

        def write(fresh: Message | None) -> None:
            if fresh is None:
                done.callback(None)
                return
            turn = _Blanking(fresh, self._clock(), told=done)
            turn.then(lambda _: done.callback(None))
            turn.ttl = max(1, int(fresh.final_at + self._delivery.retention_s - turn.now))
            turn.commands = self._forgotten_by_channels(fresh, forms)
            without_person(fresh, forms)
            self._delivery.ledger.commit(turn.change(write))

        write(message)
        return done

    def _forgotten_by_channels(self, message: Message, forms: Sequence[str]) -> list[Command]:
        """Of a message: its places in lists by number, and the channels' ids of it that hold the number."""
        commands: list[Command] = []
        today = int(self._clock() // keys.DAY_S)
        for attempt in message.attempts:
            commands.append(("LREM", self._delivery.known_by.hold_key(message, attempt.channel), "0", message.id))
            named = [one for one in attempt.remote_id.split(",") if names(one, forms)]
            days = range(today - self._delivery.known_by.remote_id_days, today + 1) if named else ()
            commands += [("HDEL", keys.remote_ids(attempt.channel, day), *named) for day in days]
        return commands

    async def _forget_sets(self, sets: Iterable[str], messages: Sequence[Message]) -> None:
        """Which ids the parts of a text have: noted under their number. A set of the same name that has begun since
        stays."""
        gone = {message.id.encode() for message in messages}
        for key in sets:
            row = await self._store.command("HVALS", key, keep=Keep.OVER_LINKS)
            if gone.issuperset(row):
                await self._store.command("DEL", key, keep=Keep.OVER_LINKS)

    def _sweep_later(self, forms: Sequence[str]) -> None:
        self._call_later(AGAIN_S, lambda: self._spawn(self._sweep(forms), "erasing"))

    async def _sweep(self, forms: Sequence[str]) -> None:
        """Once every process has heard of it. Then an embedded store's file, which still holds what was erased, is
        written anew."""
        known = await people.known_of(self._store, forms)
        now = self._clock()
        if not (await people.written_to(self._store, forms, now, 1)):  # else somebody writes to the person again
            await people.forget(self._store, known, forms)
        await self._store.command("ZREM", keys.ERASURES, forms[0], keep=Keep.OVER_LINKS)
        if self._own_disk:
            self._write_anew()

    def _write_anew(self) -> None:
        asked = self._store.command("BGREWRITEAOF")
        asked.addErrback(lambda _: self._call_later(AGAIN_S, self._write_anew))  # one is being written: after it

    # -- other processes

    def _listen(self) -> Any:
        heard = defer.ensureDeferred(self._hear())
        heard.addErrback(lambda failure: failure.trap(StoreAway) and None)
        heard.addErrback(lambda failure: log.failure("whom others have erased could not be read", failure=failure))
        return heard

    async def _hear(self) -> None:
        told = await people.erasures(self._store)
        for person, _ in told - self._heard:
            self._forget(ninth_digit_forms(person))
        self._heard = told


async def gathered(work: Sequence[defer.Deferred[None]]) -> None:
    """Wait for all of it; the first failure as it was."""
    try:
        await defer.gatherResults(work, consumeErrors=True)
    except defer.FirstError as first:
        first.subFailure.raiseException()


def names(channel_id: str, forms: Sequence[str]) -> bool:
    """Does a channel's id of a message hold the number? Those of some services do, Meta's in base64."""
    words = [form[-DIGITS_THAT_NAME:] for form in forms]
    if channel_id.startswith("wamid."):
        return any(word.encode() in _decoded(channel_id.removeprefix("wamid.")) for word in words)
    return any(word in channel_id for word in words)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return b""


def _under_way(messages: Sequence[Message]) -> list[Message]:
    """For a joined text its parts stand, while they are under way."""
    open_ones = [one for one in messages if not one.final]
    return [one for one in open_ones if not one.parts] or open_ones


def without_person(message: Message, forms: Sequence[str]) -> None:
    """What says whose the message was, and what was said, goes; what it came to stays."""
    message.dest = message.msisdn = ""
    message.dest_ton = message.dest_npi = 0
    message.user_data, message.tlvs, message.template = b"", (), ()
    if message.part is not None:
        message.part = Part("", message.part.total, message.part.number)
    message.attempts = [_without(attempt, forms) for attempt in message.attempts]
    message.trace = [(at, event, channel, "") for at, event, channel, _ in message.trace]


def _without(attempt: Attempt, forms: Sequence[str]) -> Attempt:
    kept = ",".join(one for one in attempt.remote_id.split(",") if not names(one, forms))
    heard = tuple(one for one in attempt.heard if not names(one, forms))
    return msgspec.structs.replace(attempt, remote_id=kept, heard=heard, reason="", code="")
