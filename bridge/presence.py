"""Has this person an active WhatsApp account? What was learned, from whom and when; and what follows from it.

Three values on purpose: an error, a timeout or a spent budget is UNKNOWN, never "no account".
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Protocol

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from bridge.clock import Clock, Spawn
from bridge.templates import EARLY_S, NO_MARKETING_S, WINDOW_S

RECORD_VERSION = 1
REMEMBERED = 20_000  # people in memory; the others are read from the store again
SHARED_S = 2.0  # how long what is in memory counts where other nodes learn, too


class Presence(Enum):
    """`value` is the `result` label of pombo_lookup_total."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    UNKNOWN = "unknown"


# Members by names of their own: before 3.12 an interpreter takes thirty times as long to find one in its class.
ACTIVE, INACTIVE, UNKNOWN = Presence


class Thread(msgspec.Struct, array_like=True, frozen=True):
    """What passed between a person and one sender."""

    inbound_at: float = 0.0
    closed_at: float = 0.0


class Evidence(msgspec.Struct, array_like=True, frozen=True):
    """What is known of one person. Moments in seconds since the epoch, 0: never.

    identity: the form of the number that worked or that a lookup gave, "" when none is known.
    """

    version: int = RECORD_VERSION
    identity: str = ""
    yes_at: float = 0.0  # a lookup said that there is an account
    no_at: float = 0.0  # a lookup, a send or a failure said that there is none
    sent_at: float = 0.0  # the provider took a message: proves nothing
    delivered_at: float = 0.0  # delivered or read
    failed_at: float = 0.0  # failed, not for want of an account
    inbound_at: float = 0.0  # the person wrote to us; opens the 24 h window of the official service
    closed_at: float = 0.0  # the official service said that the window is closed
    missed_at: float = 0.0  # a send failed for want of an account, at a service that cannot be asked
    no_marketing_until: float = 0.0  # the official service takes none for this person
    sender: str = ""  # which of the channel's senders writes to this person; "" when none has yet
    threads: dict[str, Thread] = {}  # by sender, of those the person wrote to


Change = Callable[[Evidence], Evidence]


def presence_of(evidence: Evidence, now: float, active_for: float, inactive_for: float) -> Presence:
    """What follows from the evidence.

    Delivered, read or written to us within `active_for`: active, whatever a lookup says. Otherwise the younger of
    "yes" (for `active_for`) and "no" (for `inactive_for`) counts. A failure without a cause makes an older "yes"
    worth asking again. Where nobody can be asked the youngest word counts, whatever it says.
    """
    proven_at = max(evidence.yes_at, evidence.delivered_at, evidence.inbound_at)
    if evidence.missed_at > proven_at and _within(evidence.missed_at, now, inactive_for):
        return INACTIVE
    if _within(max(evidence.delivered_at, evidence.inbound_at), now, active_for):
        return ACTIVE
    if evidence.yes_at > max(evidence.no_at, evidence.failed_at) and _within(evidence.yes_at, now, active_for):
        return ACTIVE
    if evidence.no_at > proven_at and _within(evidence.no_at, now, inactive_for):
        return INACTIVE
    return UNKNOWN


def _within(at: float, now: float, seconds: float) -> bool:
    return at > 0.0 and now - at < seconds


def found(identity: str, now: float) -> Change:
    """A lookup said yes."""
    return lambda known: msgspec.structs.replace(known, yes_at=now, identity=identity or known.identity)


def absent(at: float) -> Change:
    """A lookup, a send or a failed report said no: the identity is not to be trusted any more either, unless something
    younger than that word has proved it."""

    def change(known: Evidence) -> Evidence:
        proven = max(known.yes_at, known.delivered_at) > at
        return msgspec.structs.replace(known, no_at=max(known.no_at, at), identity=known.identity if proven else "")

    return change


def missed(at: float) -> Change:
    """A send failed for want of an account, and nobody can be asked."""
    return lambda known: msgspec.structs.replace(known, missed_at=max(known.missed_at, at))


def sent(identity: str, now: float) -> Change:
    return lambda known: msgspec.structs.replace(known, sent_at=now, identity=identity or known.identity)


def delivered(at: float) -> Change:
    return lambda known: msgspec.structs.replace(known, delivered_at=max(known.delivered_at, at))


def failed(at: float) -> Change:
    return lambda known: msgspec.structs.replace(known, failed_at=max(known.failed_at, at))


def wrote(at: float, sender: str = "") -> Change:
    """The person wrote to this sender at that moment; webhooks come again and late. Who was written to last is who
    writes to the person from now on."""

    def change(known: Evidence) -> Evidence:
        latest = at >= known.inbound_at
        known = msgspec.structs.replace(known, inbound_at=max(known.inbound_at, at))
        if not sender:
            return known
        thread = known.threads.get(sender, Thread())
        threads = {name: one for name, one in known.threads.items() if _within(one.inbound_at, at, WINDOW_S)}
        threads[sender] = msgspec.structs.replace(thread, inbound_at=max(thread.inbound_at, at))
        return msgspec.structs.replace(known, sender=sender if latest else known.sender, threads=threads)

    return change


def bound(sender: str) -> Change:
    """From now on this sender writes to the person."""
    return lambda known: msgspec.structs.replace(known, sender=sender)


def unwanted(code: str, at: float) -> Change:
    """The official service refused marketing for this person, with this code."""
    until = at + NO_MARKETING_S[code]
    return lambda known: msgspec.structs.replace(known, no_marketing_until=max(known.no_marketing_until, until))


def closed(at: float, sender: str = "") -> Change:
    """The official service refused a free text: until the person writes again, to this sender or ("") to any."""

    def change(known: Evidence) -> Evidence:
        names = [sender] if sender else list(known.threads)
        threads = {name: known.threads.get(name, Thread()) for name in names}
        shut = {name: msgspec.structs.replace(one, closed_at=max(one.closed_at, at)) for name, one in threads.items()}
        closed_at = known.closed_at if sender else max(known.closed_at, at)
        return msgspec.structs.replace(known, closed_at=closed_at, threads={**known.threads, **shut})

    return change


def window_open(evidence: Evidence, now: float, sender: str = "") -> bool:
    """May this sender write any text to this person? Within 24 h of the last one written to it, less a few minutes."""
    one: Evidence | Thread = evidence.threads.get(sender, Thread()) if evidence.threads else evidence
    return one.inbound_at > one.closed_at and _within(one.inbound_at, now, WINDOW_S - EARLY_S)


class EvidencePort(Protocol):
    """Where evidence outlives the process. People are `same_person()` keys behind the name of a channel."""

    async def read(self, people: Sequence[str]) -> Sequence[bytes | None] | None:
        """None while nothing can be read."""

    def write(self, person: str, value: bytes, ttl_s: float) -> object: ...

    def use(self, tally: str, day: int, count: int, ttl_s: float, told: Callable[[bytes], None]) -> object:
        """Add uses of a day (bridge.limits.Tally) to those of all nodes; told: what they come to, packed."""

    async def spend(self, budget: str, window_s: float, most: int, count: int) -> tuple[int, float]:
        """So much of `count` as all nodes have left of `most` in any window; and for how many seconds nothing is left
        then. Raises where the store cannot say."""
        ...


class PresenceMemory:
    """The evidence of many people about one channel: the last REMEMBERED in memory, all of them in the store.

    Reads of one loop turn go to the store together. A store that cannot be read means "nothing known" for now, and
    nothing is written over what it may hold.
    """

    log = Logger()

    def __init__(
        self,
        port: EvidencePort,
        *,
        clock: Clock,
        spawn: Spawn,
        active_for: float,
        inactive_for: float,
        channel: str = "",
        remembered: int = REMEMBERED,
        shared: bool = False,
    ) -> None:
        """channel: whose evidence it is: what one channel knows of a person another cannot use. shared: other nodes
        have the channel, too."""
        self._shared = shared
        self._read_at: dict[str, float] = {}  # where it is shared: when the store was last asked of a person
        self._prefix = f"{channel}:" if channel else ""
        self._port, self._clock, self._spawn = port, clock, spawn
        self.active_for, self.inactive_for = active_for, inactive_for
        self._remembered = remembered
        self._known: OrderedDict[str, Evidence] = OrderedDict()
        self._wanted: dict[str, list[Deferred[Evidence]]] = {}
        self._changes: dict[str, list[Change]] = {}
        self._next: list[str] = []  # of _wanted, what is not being read yet

    def presence(self, evidence: Evidence) -> Presence:
        return presence_of(evidence, self._clock.seconds(), self.active_for, self.inactive_for)

    def recall(self, person: str) -> Evidence | None:
        """From memory only; None: ask `load`."""
        known = self._known.get(person)
        if known is not None:
            self._known.move_to_end(person)
        return known

    def is_fresh(self, person: str) -> bool:
        """Is what is in memory as young as what other nodes may have learned?"""
        return not self._shared or self._clock.seconds() - self._read_at.get(person, 0.0) < SHARED_S

    async def load(self, person: str) -> Evidence:
        """From memory or the store; empty when nobody knows, or when the store is out of reach."""
        known = self.recall(person)
        if known is not None and (not self._shared or self.is_fresh(person)):
            return known
        waiter: Deferred[Evidence] = Deferred()
        self._want(person, waiter)
        return await waiter

    def learn(self, person: str, change: Change) -> None:
        """Add to what is known of a person, reading it first where that is needed."""
        known = self.recall(person)
        if known is not None and (not self._shared or self.is_fresh(person)):
            self._keep(person, known, change(known))
            return
        self._changes.setdefault(person, []).append(change)
        self._want(person, None)

    def forget(self, person: str) -> None:
        """Nothing is known of this person any more, as far as this memory goes."""
        self._known.pop(person, None)
        self._read_at.pop(person, None)

    def _want(self, person: str, waiter: Deferred[Evidence] | None) -> None:
        waiters = self._wanted.get(person)
        if waiters is None:
            waiters = self._wanted[person] = []
            if not self._next:
                self._clock.callLater(0, self._read)
            self._next.append(person)
        if waiter is not None:
            waiters.append(waiter)

    def _read(self) -> None:
        people, self._next = self._next, []
        self._spawn(self._read_people(people), "reading evidence", self.log)

    async def _read_people(self, people: list[str]) -> None:
        values: Sequence[bytes | None] | None
        try:
            values = await self._port.read([self._prefix + person for person in people])
        except CancelledError:  # the gateway ends
            raise
        except Exception:
            self.log.failure("evidence could not be read")
            values = None
        for index, person in enumerate(people):
            changes = self._changes.pop(person, [])
            known = self._known.get(person) if self._shared else None
            evidence = known or Evidence()
            if values is not None:
                before = evidence = unpack(values[index])
                if self._shared:
                    self._read_at[person] = self._clock.seconds()
                    if known is not None:  # which is not written for itself
                        evidence = msgspec.structs.replace(evidence, sent_at=max(evidence.sent_at, known.sent_at))
                for change in changes:
                    evidence = change(evidence)
                self._keep(person, before, evidence)
            for waiter in self._wanted.pop(person, []):
                waiter.callback(evidence)

    def _keep(self, person: str, before: Evidence, after: Evidence) -> None:
        self._known[person] = after
        self._known.move_to_end(person)
        if len(self._known) > self._remembered:
            gone, _ = self._known.popitem(last=False)
            self._read_at.pop(gone, None)
        # That the provider took one more message is not worth a write of its own.
        if after.sent_at != before.sent_at:
            before = msgspec.structs.replace(before, sent_at=after.sent_at)
        if after != before:
            keep_s = max(self.active_for, self.inactive_for, WINDOW_S)
            self._port.write(self._prefix + person, pack(after), keep_s)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Evidence)


def pack(evidence: Evidence) -> bytes:
    return _encoder.encode(evidence)


def unpack(value: bytes | None) -> Evidence:
    """A stored record; empty for none, for one that cannot be read and for one of a later version."""
    if not value:
        return Evidence()
    try:
        evidence = _decoder.decode(value)
    except (msgspec.DecodeError, ValueError):
        return Evidence()
    return evidence if evidence.version == RECORD_VERSION else Evidence()


class Budget:
    """How many numbers may still be asked: never more than a minute's worth in any minute.

    rate: numbers per second; below one a minute the window is as long as one number takes.
    """

    def __init__(self, rate: float) -> None:
        self.window = max(60.0, 1.0 / rate) if rate > 0 else math.inf
        self.most = int(rate * self.window + 1e-6)
        self._spent: OrderedDict[float, int] = OrderedDict()
        self._total = 0
        self._closed_until = 0.0

    def left(self, now: float) -> int:
        if now < self._closed_until:
            return 0
        while self._spent:
            at = next(iter(self._spent))
            if now - at < self.window:
                break
            self._total -= self._spent.pop(at)
        return self.most - self._total

    def close(self, until: float) -> None:
        """Others have used it up."""
        self._closed_until = until

    def give_back(self, count: int, at: float) -> None:
        """Of what was taken at that moment so much was not used."""
        if at in self._spent:
            self._spent[at] -= count
            self._total -= count

    def take(self, count: int, now: float) -> None:
        self._spent[now] = self._spent.get(now, 0) + count
        self._total += count
