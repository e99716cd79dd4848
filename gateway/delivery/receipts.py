"""Receipts and replies on their way to an ESME: kept in a stream of the account until it has acknowledged them, sent in
order over any of its receiving binds, as many at a time as their windows allow."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from twisted.logger import Logger

from gateway.delivery.ports import Esmes
from gateway.messages.message import Mo, Receipt
from gateway.messages.outcome import ANSWERED_LATE
from gateway.messages.states import STATE_NAMES
from gateway.metrics import Metrics
from gateway.store import keys, records
from gateway.store.records import FeedEvent
from gateway.store.valkey import Keep, Store

READ_AT_ONCE = 500
AT_MOST_IN_MEMORY = 2000
AT_MOST_RESTING = 1000
AT_MOST_ANSWERED = 256  # in one call of the store
CALLS_AT_ONCE = 4  # of those, while there is enough for full ones
AT_MOST_UNTOLD = 2048  # acknowledged ones the store has not been told of: they would come again after a crash
RETRY_S = (10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 600.0)
REFUSED_FOR_GOOD = frozenset({0x65, 0x66})  # ESME_RX_P_APPN, ESME_RX_R_APPN
TRIES = 5  # with an error status that says neither "later" nor "never"
LATER = frozenset({0x64, 0x08, 0x14, 0x58, 0x45, 0xFF, 0x04})
log = Logger("receipts")

Entry = tuple[bytes, Receipt | Mo]


def _place(entry: Entry) -> tuple[int, int]:
    """Where an entry stands in its stream."""
    at, _, number = entry[0].partition(b"-")
    return int(at), int(number)


class Leases(Protocol):
    """Which accounts' receipts are this node's to write, among several: gateway.delivery.membership."""

    def holds(self, account: str) -> bool: ...

    def want(self) -> None:
        """Ask soon for the accounts that have a receiver here."""

    def leave_to_others(self, account: str) -> None:
        """Its receivers here answer nothing: another node's may."""


class Pump:
    """The stream of one account."""

    def __init__(self, account: str, desk: ReceiptDesk) -> None:
        self.account, self._desk = account, desk
        self._ready: deque[Entry] = deque()
        self._back: list[Entry] = []  # to be sent again
        self._cursor = b"0"  # the last entry that came into memory
        self._more = True  # the stream may hold entries behind the cursor
        self._reading = self._missed = False  # missed: something was written while the stream was being read
        self._out = 0
        self.closed = False  # another node has written these receipts since: nothing more comes of this one
        self._heard_at = self._silent_at = 0.0  # its last answer; since when nothing has been answered at all
        self._tries: dict[bytes, int] = {}
        self._given_up: set[bytes] = set()  # unanswered in time and not finished since: the answer may come yet
        self._settled: set[bytes] = set()  # finished by such an answer while another copy was on its way
        self._resting = 0  # entries the ESME has refused for now
        self.soon = False  # pumped at the end of this turn

    def added(self, entry: bytes | None, item: Receipt | Mo) -> None:
        """An entry was written to the stream just now; None: its place is not known, read it from there."""
        if entry is None or self._more or self._desk.leases is not None or len(self._ready) >= AT_MOST_IN_MEMORY:
            self._more = self._missed = True  # with other nodes, too: they write to the stream as well
        else:
            self._cursor = entry
            self._ready.append((entry, item))
        if not self.soon:
            self._desk.wake(self)

    def pump(self) -> None:
        """Write what the binds can take."""
        leases = self._desk.leases
        if self.closed:
            return
        if leases is not None and not leases.holds(self.account):
            self._desk.passes_on(self.account)
            return
        if self._desk.behind:
            self._desk.hold(self)
            return
        if self._back:
            self._put_back()
        if self._resting >= AT_MOST_RESTING:  # it refuses everything: it need not be asked faster
            return
        esmes = self._desk.esmes
        if self._ready:
            esmes.deliver(self.account, self._leaving(self._desk.clock()))
        room = self._more and not self._reading and len(self._ready) < READ_AT_ONCE // 2
        if room and esmes.receivers(self.account) > 0:
            self._read()

    def _leaving(self, now: float) -> Iterator[tuple[Receipt | Mo, Callable[[int | None], None]]]:
        """What is ready, in order; each that is taken is on its way."""
        ready, answered = self._ready, self._answered
        while ready:
            entry, item = ready.popleft()
            self._out += 1
            yield item, partial(answered, entry, item, now)

    def _put_back(self) -> None:
        """What is sent again goes before everything younger."""
        back, self._back = self._back, []
        youngest = max(map(_place, back))
        while self._ready and _place(self._ready[0]) < youngest:
            back.append(self._ready.popleft())
        self._ready.extendleft(sorted(back, key=_place, reverse=True))

    def _read(self) -> None:
        self._reading, self._missed = True, False
        start = b"(" + self._cursor if self._cursor != b"0" else b"-"
        self._desk.store.command(
            "XRANGE", keys.receipts(self.account), start, "+", "COUNT", str(READ_AT_ONCE), keep=Keep.OVER_LINKS
        ).addCallbacks(self._have_read, self._not_read)

    def _have_read(self, rows: list[Any]) -> None:
        self._reading = False
        self._more = self._missed or len(rows) >= READ_AT_ONCE
        oldest, old = self._desk.oldest(self.account), []
        for entry, fields in rows:
            self._cursor = entry
            if int(entry.split(b"-")[0]) < oldest:
                old.append(entry)
                continue
            try:
                self._ready.append((entry, records.unpack_waiting(fields[1])))
            except Exception:
                log.failure("an entry of the receipts cannot be read and stays where it is")
        if old:
            self._desk.drop(self.account, old)
        self.pump()

    def _not_read(self, failure: Any) -> None:
        self._reading = False
        self._desk.later(1.0, self.pump)

    def _answered(self, entry: bytes, item: Receipt | Mo, at: float, status: int | None) -> None:
        if status == ANSWERED_LATE:
            self._answered_late(entry, item, at)
            return
        self._out -= 1
        if self._desk.leases is not None:
            self._listen(self._desk.leases, at, status is not None)
        if self._settled and entry in self._settled:
            self._settled.remove(entry)
        elif status == 0 or status in REFUSED_FOR_GOOD:
            self._tries.pop(entry, None)
            if self._given_up:
                self._given_up.discard(entry)
            self._desk.finished(self.account, entry, item, at, status)
        elif status is None:  # link lost or no answer: another bind, at once and before the younger ones
            self._back.append((entry, item))
            self._given_up.add(entry)
        else:
            tries = self._tries[entry] = self._tries.get(entry, 0) + 1
            if status not in LATER and tries >= TRIES:
                self._tries.pop(entry, None)
                self._given_up.discard(entry)
                log.error("account {a} refuses a receipt with 0x{s:08X}; dropped", a=self.account, s=status)
                self._desk.finished(self.account, entry, item, at, status)
            else:
                self._resting += 1
                self._desk.later(RETRY_S[min(tries, len(RETRY_S)) - 1], self._again, entry, item)
        if not self.soon and (self._ready or self._back or self._more):
            self._desk.wake(self)

    def _answered_late(self, entry: bytes, item: Receipt | Mo, at: float) -> None:
        """A slow ESME would get it again for ever: no copy would be answered in time."""
        if entry not in self._given_up or self.closed:
            return
        self._given_up.remove(entry)
        self._tries.pop(entry, None)
        self._desk.finished(self.account, entry, item, at, 0)
        for waiting in (self._back, self._ready):
            if (entry, item) in waiting:
                waiting.remove((entry, item))
                return
        self._settled.add(entry)

    def _listen(self, leases: Leases, at: float, answered: bool) -> None:
        """at: when it was sent. What nobody answers goes to another bind here first; is that in vain, too, the account
        is left to the other nodes."""
        now = self._desk.clock()
        if answered:
            self._heard_at, self._silent_at = now, 0.0
        elif self._heard_at <= at and self._desk.esmes.receiving(self.account):
            if self._silent_at and at >= self._silent_at:
                leases.leave_to_others(self.account)
            self._silent_at = self._silent_at or now

    def expire(self, oldest: int) -> None:
        """Forget what was written before `oldest`, a moment of the stream."""
        old = [one for one in self._back if _place(one)[0] < oldest]
        self._back = [one for one in self._back if _place(one)[0] >= oldest]
        while self._ready and _place(self._ready[0])[0] < oldest:
            old.append(self._ready.popleft())
        for entry, _ in old:
            self._tries.pop(entry, None)
            self._given_up.discard(entry)

    def _again(self, entry: bytes, item: Receipt | Mo) -> None:
        self._resting -= 1
        if entry in self._settled:
            self._settled.remove(entry)
        else:
            self._back.append((entry, item))
        self.pump()

    def reread(self) -> None:
        """The link to the store was lost: entries may have been written whose answers never came. Or other nodes may
        have written some."""
        self._more = self._missed = True
        self.pump()

    @property
    def at_rest(self) -> bool:
        """Is nothing of it on its way to the ESME?"""
        return not self._out


class ReceiptDesk:
    """All accounts' streams, and the acknowledgements on their way to the store."""

    esmes: Esmes
    leases: Leases | None = None  # with several nodes on one store

    def __init__(
        self, store: Store, reactor: Any, clock: Callable[[], float], metrics: Metrics, node: str,
        kept_s: Callable[[str], float], retention_s: int = 172_800, feed_entries: str = "20000",
    ) -> None:  # fmt: skip
        """kept_s(account): seconds its receipts are kept. retention_s: how long a finished message is traceable."""
        self.passes_on: Callable[[str], None] = lambda account: None  # told whose receipts another node may write
        self._told_s = str(retention_s + keys.DAY_S)
        self.store, self._reactor, self.clock, self._metrics, self._node = store, reactor, clock, metrics, node
        self.kept_s, self._feed_entries = kept_s, feed_entries
        self._pumps: dict[str, Pump] = {}
        self._woken: list[Pump] = []
        # account, entry, what it was (None: dropped), when it was sent and answered, and the command_status
        self._done: list[tuple[str, bytes, Receipt | Mo | None, float, float, int]] = []
        self._flying: list[list[Any]] = []  # of those, at the store
        self._scheduled = False
        self.behind = False  # too many are acknowledged that the store has not been told of: nothing more is written
        self._held: dict[Pump, None] = {}  # wait until that is over

    def pump_of(self, account: str) -> Pump:
        pump = self._pumps.get(account)
        if pump is None:
            pump = self._pumps[account] = Pump(account, self)
        return pump

    def added(self, account: str, entry: bytes | None, item: Receipt | Mo) -> None:
        self.pump_of(account).added(entry, item)

    def receiver_ready(self, account: str) -> None:
        """The account bound a receiver, or one of its windows has room again."""
        if self.leases is not None and not self.leases.holds(account):
            self.leases.want()
        else:
            self.wake(self.pump_of(account))

    def wake(self, pump: Pump) -> None:
        """Pump once at the end of this turn, however much happens in it: all pumps one after the other, and then each
        session is written to once."""
        if pump.soon:
            return
        pump.soon = True
        if not self._woken:
            self.esmes.at_end_of_turn(self._pump)
        self._woken.append(pump)

    def _pump(self) -> None:
        woken, self._woken = self._woken, []
        for pump in woken:
            pump.soon = False
            try:
                pump.pump()
            except Exception:  # those behind it go on
                log.failure("the receipts of {account} could not be written", account=pump.account)

    def expire(self, waiting: Mapping[str, int]) -> None:
        """What accounts without a receiver have had waiting for longer than it is kept goes.

        waiting: how much, by account; without accounts whose receipts another node writes.
        """
        unbound = [account for account, n in waiting.items() if n and not self.esmes.receiving(account)]
        if not unbound:
            return
        words: list[str] = []
        for account in unbound:
            oldest = self.oldest(account)
            words += keys.receipts(account), str(oldest)
            if account in self._pumps:
                self._pumps[account].expire(oldest)
        told = self.store.call("expire", *words, keep=Keep.NO)
        told.addCallbacks(self._expired, lambda _: None, callbackArgs=(unbound,))

    def _expired(self, gone: list[int], accounts: Sequence[str]) -> None:
        for account, n in zip(accounts, gone, strict=True):
            self._say_dropped(n, account)

    def look(self, account: str) -> None:
        """Other nodes may have written to the stream."""
        self.pump_of(account).reread()

    def begin(self, account: str) -> None:
        """The account's receipts are this node's to write from now on; until now another one has."""
        before = self._pumps.pop(account, None)
        if before is not None:
            before.closed = True

    def at_rest(self, account: str) -> bool:
        """Is nothing of the account on its way, to its binds or as acknowledged to the store?"""
        pump = self._pumps.get(account)
        on_its_way = any(one[0] == account for batch in (self._done, *self._flying) for one in batch)
        return (pump is None or pump.at_rest) and not on_its_way

    def store_back(self) -> None:
        for pump in self._pumps.values():
            pump.reread()

    def later(self, seconds: float, call: Callable[..., None], *args: Any) -> None:
        self._reactor.callLater(seconds, call, *args)

    # -- acknowledged

    def finished(self, account: str, entry: bytes, item: Receipt | Mo, sent_at: float, status: int | None) -> None:
        """The ESME has answered; the entry goes, the trace grows."""
        if isinstance(item, Receipt):
            self._metrics.count("pombo_receipts", account, STATE_NAMES[item.state])
        self._done.append((account, entry, item, sent_at, self.clock(), status or 0))
        if not self._scheduled and (not self._flying or len(self._done) >= AT_MOST_ANSWERED):
            self._schedule()

    def oldest(self, account: str) -> int:
        """What was written before is not kept any more: milliseconds since the epoch, as in the entries' names."""
        return int((self.clock() - self.kept_s(account)) * 1000)

    def drop(self, account: str, entries: Sequence[bytes]) -> None:
        self._done += [(account, entry, None, 0.0, 0.0, 0) for entry in entries]
        self._schedule()
        self._say_dropped(len(entries), account)

    def _say_dropped(self, count: int, account: str) -> None:
        if count:
            log.warn("account {a}: {n} receipts were dropped: older than receipts_kept", a=account, n=count)

    def hold(self, pump: Pump) -> None:
        """Wake it when the desk is not behind any more."""
        self._held[pump] = None

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._reactor.callLater(0, self._flush)

    def _flush(self) -> None:
        """Tell the store: in one call at a time, so that few carry many; in more while there are full ones."""
        self._scheduled = False
        done, flying = self._done, self._flying
        while done and (not flying or (len(flying) < CALLS_AT_ONCE and len(done) >= AT_MOST_ANSWERED)):
            batch = done[:AT_MOST_ANSWERED]
            del done[:AT_MOST_ANSWERED]
            self._tell(batch)
        self.behind = len(done) >= AT_MOST_UNTOLD
        if self._held and not self.behind:
            held, self._held = self._held, {}
            for pump in held:
                self.wake(pump)

    def _tell(self, batch: list[Any]) -> None:
        self._flying.append(batch)
        streams: dict[str, list[str]] = {}
        told: list[str | int] = []
        area: list[bytes] = []
        feed: list[FeedEvent] = []
        node = self._node
        for account, entry, item, sent_at, now, status in batch:
            if account not in streams:
                streams[account] = [keys.receipts(account)]
            streams[account].append(entry.decode())
            if not isinstance(item, Receipt) or item.intermediate:  # the trace tells of the final one
                continue
            detail = f"0x{status:08X}" if status else ""
            message_id, state = item.kept_as or item.message_id, STATE_NAMES[item.state]
            events = records.pack_events(((sent_at, "receipt_sent"), (now, "receipt_answered", "", detail)))
            told += (message_id, len(events))
            area.append(events)
            to = item.source
            feed.append(FeedEvent(message_id, sent_at, "receipt_sent", account, to, node, state))
            feed.append(FeedEvent(message_id, now, "receipt_answered", account, to, node, state, "", 0, "", detail))
        self.store.call(
            "answered", records.encode(list(streams.values())), records.encode(told), b"".join(area),
            keys.told(int(self.clock() // keys.DAY_S)), self._told_s, records.encode(feed) if feed else b"",
            self._feed_entries,
        ).addBoth(self._flushed, batch)  # fmt: skip

    def _flushed(self, _: Any, batch: list[Any]) -> None:
        self._flying.remove(batch)
        if not self._scheduled:
            self._flush()

    @property
    def busy(self) -> bool:
        return bool(self._done or self._flying)
