"""Who is bound right now, and which of an account's sessions carries a receipt or a text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from heapq import heapify, heapreplace
from typing import Protocol as Shape

from twisted.logger import Logger

from gateway.messages.message import Mo, Receipt
from gateway.messages.outcome import ANSWERED_LATE
from gateway.server.ports import Call, Clock
from gateway.smpp.constants import CommandStatus

Item = Receipt | Mo
Done = Callable[[int | None], None]

MAX_AVOIDED = 10_000
FEW = 8  # sessions: where no more have only deliver_sm to write, these leave at once
RIDE_S = 0.05  # where more have, a deliver_sm waits so long for something else that its session has to write
_NOT_BOUND = int(CommandStatus.ESME_RINVBNDSTS)
MOST_SHOWN = 20  # binds in one line of the log

log = Logger()


class Link(Shape):
    """A bound session as this registry sees it. Implemented by the protocol."""

    account: str
    bind_type: str  # transmitter | receiver | transceiver
    peer: str  # address:port
    since: float

    @property
    def room(self) -> int:
        """How many deliver_sm may be written now; 0 for a transmitter and for a peer that does not read."""

    def deliver(self, item: Item, done: Done, now: float) -> None:
        """Write a deliver_sm; its end is told to `Bound.answered` or `Bound.unanswered`."""

    def flush(self) -> None:
        """Write what the session has to say."""

    def end(self) -> None:
        """Finish politely, then unbind and close."""


class Bound:
    """Every bound session of this node, by account. Satisfies `delivery.ports.Esmes`."""

    def __init__(self, clock: Clock) -> None:
        """`on_receiver` is told an account's name whenever it can be delivered to again, `on_count` an account's name
        and its sessions whenever these are others than before, `on_acks` after a flush when the submits were read that
        it answered."""
        self.on_receiver: Callable[[str], None] = lambda account: None
        self.on_count: Callable[[str, int], None] = lambda account, sessions: None
        self.on_acks: Callable[[list[float]], None] = lambda read_at: None
        self.acks: list[float] = []  # when the submits were read whose answers the next flush writes
        self.starved: set[str] = set()  # accounts whose receivers had no room left when there was something for them
        self._clock = clock
        self._links: dict[str, list[Link]] = {}
        self._receivers: dict[str, list[Link]] = {}
        self._turns: dict[str, int] = {}  # round robin among equals
        self._avoided: dict[Item, Link] = {}  # what a link has left unanswered
        self._dirty: dict[Link, None] = {}  # have something to write at the end of this turn
        self._loaded: dict[Link, None] = {}  # have deliver_sm to write, which may ride along with something else
        self._ride_ends: Call | None = None
        self._calls: list[Callable[[], None]] = []
        self._ending = False  # the end of this turn is on its way

    # Sessions come and go

    def add(self, link: Link) -> None:
        """A session was bound and its bind response is in its output."""
        self._links.setdefault(link.account, []).append(link)
        self.on_count(link.account, self.count(link.account))
        if link.bind_type != "transmitter":
            self._receivers.setdefault(link.account, []).append(link)
            self.freed(link.account)

    def remove(self, link: Link) -> None:
        """A session is over; nothing happens when it was not here."""
        before = self.count(link.account)
        for links in (self._links, self._receivers):
            of_account = links.get(link.account, [])
            if link in of_account:
                of_account.remove(link)
                if not of_account:
                    del links[link.account]
        if (sessions := self.count(link.account)) != before:
            self.on_count(link.account, sessions)
        if link.account not in self._receivers:
            self.starved.discard(link.account)
        self._dirty.pop(link, None)
        self._loaded.pop(link, None)
        self._avoided = {item: avoided for item, avoided in self._avoided.items() if avoided is not link}

    def freed(self, account: str) -> None:
        """A window opened, or a receiver came: the account can be delivered to again."""
        self.starved.discard(account)
        try:
            self.on_receiver(account)
        except Exception:
            log.failure("delivery failed to use a free window of {account}", account=account)

    def count(self, account: str) -> int:
        """How many sessions the account has bound."""
        return len(self._links.get(account, ()))

    def receiving(self, account: str) -> bool:
        """Whether a session is bound that may get deliver_sm, even if its window is full."""
        return account in self._receivers

    def links(self, account: str | None = None) -> list[Link]:
        """The sessions of one account, or all."""
        if account is not None:
            return list(self._links.get(account, ()))
        return [link for links in self._links.values() for link in links]

    def status(self) -> dict[str, list[dict[str, str]]]:
        """system_id -> its binds, oldest first, as the status page shows them; accounts without a bind are missing."""
        return {
            account: [{"type": link.bind_type, "peer": link.peer, "since": _utc(link.since)} for link in links]
            for account, links in self._links.items()
        }

    def holders(self, account: str) -> str:
        """The account's binds for people to read, oldest first; of many only the first."""
        links = self._links.get(account, [])
        shown = ", ".join(f"{link.peer} since {_utc(link.since)}" for link in links[:MOST_SHOWN])
        more = len(links) - MOST_SHOWN
        return f"{shown} and {more} more" if more > 0 else shown or "none"

    # Delivering

    def receivers(self, account: str) -> int:
        """How many deliver_sm may be written to the account now, over all its receiving sessions."""
        links = self._receivers.get(account, ())
        room = sum(link.room for link in links)
        if links and not room:
            self.starved.add(account)
        return room

    def deliver(self, account: str, items: Iterator[tuple[Item, Done]]) -> int:
        """Write one deliver_sm after the other, each to the receiving session with the most room, while any has some.
        How many were written; no more are taken from `items`.

        A session that left an item unanswered gets it again only when no other session has room.
        """
        links = self._receivers.get(account)
        if not links:
            return 0
        if len(links) > 1:
            turn = self._turns[account] = (self._turns.get(account, 0) + 1) % len(links)  # equals take turns
            links = links[turn:] + links[:turn]
        heap = [(-link.room, at) for at, link in enumerate(links)]  # whoever has the most room comes first
        heapify(heap)
        now, written, dirty, loaded = self._clock.seconds(), 0, self._dirty, self._loaded
        while heap[0][0] < 0 and (pair := next(items, None)) is not None:
            item, done = pair
            if self._avoided and links[heap[0][1]] is self._avoided.get(item):
                heap.sort()  # then the second comes next; the two may change places, for the first is replaced below
                if len(heap) > 1 and heap[1][0] < 0:
                    heap[0], heap[1] = heap[1], heap[0]
            room, at = heap[0]
            link = links[at]
            link.deliver(item, done, now)
            (dirty if room == -1 else loaded)[link] = None  # a full window waits for nothing
            heapreplace(heap, (room + 1, at))
            written += 1
        if heap[0][0] >= 0:
            self.starved.add(account)
        if written and not self._ending:
            self._end_soon()
        return written

    def answered(self, link: Link, item: Item, done: Done, command_status: int) -> None:
        """The ESME has answered a deliver_sm."""
        if command_status == _NOT_BOUND:
            self._avoid(link, item)  # says that it cannot receive; another one may
        elif self._avoided and not command_status:
            self._avoided.pop(item, None)
        try:
            done(command_status)
        except Exception:
            _not_taken()

    def unanswered(self, link: Link, item: Item, done: Done) -> None:
        """A deliver_sm got no answer in time, or its link is gone."""
        if link in self._receivers.get(link.account, ()):
            self._avoid(link, item)
        _tell(done, None)

    def answered_late(self, item: Item, done: Done) -> None:
        """A deliver_sm that was unanswered is acknowledged after all, while it may be on its way once more."""
        self._avoided.pop(item, None)
        _tell(done, ANSWERED_LATE)

    def _avoid(self, link: Link, item: Item) -> None:
        self._avoided.pop(item, None)
        if len(self._avoided) >= MAX_AVOIDED:
            del self._avoided[next(iter(self._avoided))]
        self._avoided[item] = link

    # Writing

    def mark(self, link: Link) -> None:
        """This session has something to write: at the end of the turn, or at the next `flush`."""
        self._dirty[link] = None
        if not self._ending:
            self._end_soon()

    def at_end_of_turn(self, call: Callable[[], None]) -> None:
        """Call once at the end of this turn, before the sessions are written to."""
        self._calls.append(call)
        if not self._ending:
            self._end_soon()

    def _end_soon(self) -> None:
        self._ending = True
        self._clock.callLater(0, self._end_of_turn)

    def flush(self) -> None:
        """Write what all sessions have to say, what rides included, one write per connection."""
        self._unload()
        self._write()

    def _unload(self) -> None:
        self._dirty.update(self._loaded)
        self._loaded.clear()

    def _write(self) -> None:
        while self._dirty:
            dirty, self._dirty = self._dirty, {}
            for link in dirty:
                link.flush()
            if loaded := self._loaded:
                for link in dirty:
                    loaded.pop(link, None)
        if self.acks:
            acks, self.acks = self.acks, []
            self.on_acks(acks)

    def _end_of_turn(self) -> None:
        calls, self._calls = self._calls, []
        for call in calls:
            try:
                call()
            except Exception:
                log.failure("delivery failed at the end of a turn")
        self._ending = False
        if self._calls:
            self._end_soon()
        if self._loaded:
            self._board()
        self._write()

    def _board(self) -> None:
        """What has only deliver_sm to write: now, or, where many sessions have, with the answer to their next submit.

        A session that is one of many reads and writes one PDU at a time; together they take half as many calls of the
        kernel, at either end."""
        if len(self._loaded) <= FEW:
            self._unload()
        elif self._ride_ends is None:
            self._ride_ends = self._clock.callLater(RIDE_S, self._ride_over)

    def _ride_over(self) -> None:
        self._ride_ends = None
        self.flush()


def _tell(done: Done, command_status: int | None) -> None:
    try:
        done(command_status)
    except Exception:
        _not_taken()


def _not_taken() -> None:
    log.failure("delivery failed to take the answer of an ESME")


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
