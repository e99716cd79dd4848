"""The store of the model: what the scripts in gateway/store/scripts mean for one message, each call one step.

A message is its packed record; a revision of its own decides who was faster, as in the real one. Traces and the feed
are left out: nothing is decided by them.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from gateway.messages.message import Message
from gateway.messages.outcome import Report, Status
from gateway.messages.states import State
from gateway.store import records
from gateway.store.turn import NEVER

CHANNELS = ("zap", "operator")
KINDS = {"zap": "whatsapp", "operator": "smsc"}
NOWHERE = ("", "")
Command = tuple[str, str, int | str]  # LPUSH, RPUSH: channel, ordinal; REMOTE, UNPARK: channel, its id; HOLD
SAYS = {Status.SENT: 1, Status.FAILED: 2, Status.DELIVERED: 3, Status.READ: 4}


BEYOND = 1000  # revisions from here on are new in this step


class Change(NamedTuple):
    """What commit.lua gets of one change; see gateway.store.turn.Turn."""

    expected: int
    record: bytes
    due: float = 0.0
    into: tuple[str, str] = NOWHERE  # node, channel
    out_of: tuple[str, str] = NOWHERE
    commands: tuple[Command, ...] = ()
    receipt: State | None = None


class Kept(NamedTuple):
    """Everything the store holds."""

    record: bytes = b""
    due: float = NEVER
    queues: tuple[tuple[int, ...], ...] = ((), ())  # by channel: ordinals of the entries
    hands: frozenset[tuple[str, str]] = frozenset()
    named: frozenset[tuple[str, str]] = frozenset()  # u:{channel}:{remote_id}
    parked: frozenset[Report] = frozenset()
    held: bool = False  # in hold:{operator}:...
    strays: tuple[str, ...] = ()
    stream: tuple[State, ...] = ()  # receipts nobody has acknowledged
    ends: tuple[State, ...] = ()  # all receipts there ever were: for the books alone
    settled: frozenset[str] = frozenset()  # ids of the operator's that a held message was given by reports


def pack(message: Message) -> bytes:
    """As the real one, but equal for messages that differ in what no decision looks at."""
    head = records.pack(message)[: records.HEADER.size]
    return head + records.encode(msgspec.structs.replace(message, trace=[], rev=0, in_hand=False, final_at=0.0))


unpack = records.unpack


def revision(record: bytes) -> int:
    return int.from_bytes(record[:4], "big")


def with_revision(record: bytes, rev: int) -> bytes:
    return rev.to_bytes(4, "big") + record[4:]


class Memory:
    """The store's side of each call. Small methods, so that a test can plant a mistake in any of them."""

    def __init__(self, kept: Kept) -> None:
        (
            self.record, self.due, queues, hands, named, parked, self.held, strays, stream, ends, settled,
        ) = kept  # fmt: skip
        self.queues = dict(zip(CHANNELS, map(list, queues), strict=True))
        self.hands, self.named, self.parked = set(hands), set(named), set(parked)
        self.strays, self.stream, self.ends, self.settled = list(strays), list(stream), list(ends), set(settled)
        self.last = BEYOND

    def next_revision(self, rev: int) -> int:
        """What follows a revision: 1 for a new message, else one that no other change has, in the making or made."""
        if not rev:
            return 1
        self.last += 1
        return self.last

    def kept(self) -> Kept:
        return Kept(
            self.record, self.due, tuple(tuple(self.queues[name]) for name in CHANNELS), frozenset(self.hands),
            frozenset(self.named), frozenset(self.parked), self.held, tuple(self.strays), tuple(self.stream),
            tuple(self.ends), frozenset(self.settled),
        )  # fmt: skip

    # -- commit.lua

    def commit(self, change: Change) -> tuple[int, bytes | list[Report] | None]:
        """(1, parked reports) done; (2, None) this very change was done before; (0, record) somebody was faster."""
        if not self.is_current(change):
            return (2, None) if self.record == change.record else (0, self.record)
        self.record = change.record
        answers = [report for command in change.commands if (report := self._do(*command)) is not None]
        self.set_due(change.due)
        if change.into != NOWHERE:
            self.hands.add(change.into)
        self.hands.discard(change.out_of)
        if change.receipt is not None:
            self.stream.append(change.receipt)
            self.ends.append(change.receipt)
        return 1, answers

    def is_current(self, change: Change) -> bool:
        return revision(self.record) == change.expected if change.expected else not self.record

    def set_due(self, due: float) -> None:
        if due:
            self.due = NEVER if due < 0 else due

    def _do(self, name: str, channel: str, what: int | str) -> Report | None:
        match name:
            case "RPUSH":
                self.queues[channel].append(int(what))
            case "LPUSH":
                self.queues[channel].insert(0, int(what))
            case "HOLD":
                self.held = True
            case "REMOTE":
                self.named.add((channel, str(what)))
                return self.parked_as(channel, str(what))
            case "UNPARK":
                self.parked.discard(self.parked_as(channel, str(what)))
        return None

    def parked_as(self, channel: str, remote_id: str) -> Report | None:
        return next((one for one in self.parked if (one.channel, one.remote_id) == (channel, remote_id)), None)

    # -- the other scripts

    def lease(self, node: str, channel: str) -> bytes | None:
        entries, self.queues[channel] = self.queues[channel], []
        for ordinal in entries:
            rev, final, held, at, version = records.HEADER.unpack_from(self.record) if self.record else (0, 1, 0, 0, 0)
            if not final and not held and at == ordinal:
                self.record = (
                    records.HEADER.pack(self.next_revision(rev), 0, 1, at, version) + self.record[records.HEADER.size :]
                )
                self.hands.add((node, channel))
                return self.record
        return None

    def look_at_due(self, now: float, then: float) -> bytes | None:
        if self.due == NEVER or self.due > now:
            return None
        self.due = then if self.record else NEVER
        return self.record or None

    def stranded(self, node: str, channel: str) -> bytes | None:
        """What a hand holds, if it is to be looked after."""
        if (node, channel) not in self.hands:
            return None
        if self.record and not self.record[4] and self.record[5]:
            return self.record
        self.hands.discard((node, channel))
        return None

    def knows(self, report: Report) -> bool:
        """Is it by its id about this message?"""
        by_report = KINDS[report.channel] == "smsc" and report.remote_id in self.settled
        return by_report or (report.channel, report.remote_id) in self.named

    def find(self, report: Report, settles: bool) -> tuple[bytes, str] | None:
        """The message of a report, and how it was found; parks it when nobody's, or for what was held for it."""
        if self.record:
            if self.knows(report):
                return self.record, "exact"
            if report.message_id:
                return self.record, "own id"
            if settles and self.held:
                self.held = False
                if not self.record[4]:
                    self.settled.add(report.remote_id)
                    self.parked.add(report)
                    return self.record, "held"
        before = self.parked_as(report.channel, report.remote_id)
        if before is None or SAYS[report.status] >= SAYS[before.status]:
            self.parked.discard(before)
            self.parked.add(report)
        if KINDS[report.channel] == "smsc" and report.status in (Status.DELIVERED, Status.FAILED):
            self.strays.append(report.remote_id)
        return None

    def stray(self) -> Report | None:
        """The next parked report that may be of a message that was written and never answered."""
        while self.strays:
            report = self.parked_as("operator", self.strays.pop(0))
            if report is not None:
                return report
        return None

    def revoke(self) -> None:
        if revision(self.record) == 1:
            self.record, self.due = b"", NEVER

    def drop(self, node: str, channel: str) -> None:
        """What a lease brought although its ESME was told no."""
        self.record = b""
        self.hands.discard((node, channel))

    def answered(self, state: State) -> None:
        if state in self.stream:
            self.stream.remove(state)
