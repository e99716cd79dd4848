"""Changes of messages, gathered into batches: while one is at the store the next one gathers, so an idle store takes
one message at once and a busy one takes many in a call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from twisted.logger import Logger
from twisted.python.failure import Failure

from gateway.messages.message import Message
from gateway.messages.states import State
from gateway.store import records
from gateway.store.records import FeedEvent
from gateway.store.valkey import WANTED, Keep, Store

AT_MOST = 128  # changes in one call: longer scripts would keep others waiting
IN_FLIGHT = 4
LONGEST_TRACE = 120  # steps kept with a message; of a longer journey the middle is left out
Command = Sequence[Any]  # a server command; octets as records.octets()
log = Logger("ledger")
_encode = msgspec.msgpack.Encoder().encode
STATE_NAMES = {state: state.name.lower() for state in State}


class Change:
    """One message as it is to be from now on, and what follows from that.

    done(answers): it is kept; `answers` are those of XADD, PART, GETDEL and LPOP commands in order, None when the
    change had been made before a lost link and the answers are not known any more.
    again(message): somebody else was faster; the message as it is now (None: it is gone), for another try.
    trace_ids: the messages the events are told of in the feed; the parts of a joined text, else the message itself.
    failed(): the store refused it and nothing was kept (only with Keep.OVER_LINKS).
    unless: of a new message, a key and the seconds it lives. While it names another message this one is not kept, and
    instead(id) is called with that one's; else it names this one from now on.
    """

    __slots__ = (
        "again", "commands", "done", "events", "expected", "failed", "instead", "message", "record", "trace_ids",
        "ttl", "unless",
    )  # fmt: skip

    def __init__(
        self,
        message: Message,
        events: Sequence[tuple[float, str, str, str]],
        commands: Sequence[Command] = (),
        *,
        ttl: int = 0,
        done: Callable[[Sequence[Any] | None], None] | None = None,
        again: Callable[[Message | None], None] | None = None,
        failed: Callable[[], None] | None = None,
        trace_ids: Sequence[str] | None = None,
        unless: tuple[str, int] | None = None,
        instead: Callable[[str], None] | None = None,
    ) -> None:
        """Takes the message as it is at this moment; its revision is raised."""
        self.message, self.events, self.commands, self.ttl = message, events, commands, ttl
        self.done, self.again, self.failed = done, again, failed
        self.unless, self.instead = unless, instead
        self.trace_ids = (message.parts or (message.id,)) if trace_ids is None else trace_ids
        self.seal()

    def seal(self) -> None:
        """The message as it is at this moment is what will be kept."""
        message = self.message
        self.expected = message.rev
        message.rev += 1
        if self.events:
            message.trace += self.events
            if len(message.trace) > LONGEST_TRACE:
                del message.trace[LONGEST_TRACE // 4 : LONGEST_TRACE // 2]
        self.record = records.pack(message)

    def tell(self, answers: Sequence[Any] | None) -> None:
        """It is kept."""
        if self.done is not None:
            self.done(answers)

    def over(self) -> None:
        """Nothing more comes of it. What refers back to it goes, so that it need not wait for the garbage collector."""
        self.done = self.again = self.failed = self.instead = None


class Ledger:
    """Writes changes. Several changes given to one `together` are kept or lost as one."""

    def __init__(
        self, store: Store, node: str, feed_length: int, later: Callable[[Callable[[], None]], Any], keep: Keep,
        in_flight: int = IN_FLIGHT,
    ) -> None:  # fmt: skip
        """later(f): run f in the next turn of the reactor. feed_length: events the feed keeps, roughly.

        in_flight: calls that may be at the store at a time."""
        self._in_flight = in_flight
        self._store, self._node, self._feed_length, self._later, self._keep = store, node, feed_length, later, keep
        self._waiting: list[Change | list[Change]] = []
        self._flights = 0
        self._scheduled = False
        self._mean_events = 16.0  # in one entry of the feed
        self.idle: Callable[[], None] = lambda: None

    @property
    def busy(self) -> bool:
        return bool(self._waiting or self._flights)

    def commit(self, change: Change) -> None:
        """Queue one change."""
        self._waiting.append(change)
        if not self._scheduled:
            self._scheduled = True
            self._later(self._flush)

    def together(self, changes: list[Change]) -> None:
        """Queue changes that go in one call."""
        self._waiting.append(changes)
        if not self._scheduled:
            self._scheduled = True
            self._later(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        while self._waiting and self._flights < self._in_flight:
            batch: list[Change] = []
            taken = 0
            for one in self._waiting:
                if isinstance(one, Change):
                    batch.append(one)
                elif batch and len(batch) + len(one) > AT_MOST:
                    break
                else:
                    batch += one
                taken += 1
                if len(batch) >= AT_MOST:
                    break
            del self._waiting[:taken]
            self._send(batch)

    def _send(self, batch: list[Change]) -> None:
        self._flights += 1
        items: list[tuple[Any, ...]] = []
        area: list[bytes] = []
        count = 0
        for change in batch:
            feed = self._feed(change) if change.events else b""
            n = len(change.events) * len(change.trace_ids)
            count += n
            area += (change.record, feed)
            commands: list[Any] = []
            for command in change.commands:
                commands.append(len(command))
                commands += command
            item: tuple[Any, ...] = (
                change.message.id, change.expected, change.ttl, len(change.record), len(feed), n, commands,
            )  # fmt: skip
            items.append(item if change.unless is None else item + change.unless)
        if count:
            self._mean_events += (count - self._mean_events) * 0.05
        entries = max(16, int(self._feed_length / max(1.0, self._mean_events)))
        self._store.call("commit", _encode(items), b"".join(area), str(entries), WANTED, keep=self._keep).addCallbacks(
            self._answered, self._failed, callbackArgs=(batch,), errbackArgs=(batch,)
        ).addErrback(lambda failure: log.failure("a batch was kept but its sequel failed", failure=failure))

    def _feed(self, change: Change) -> bytes:
        """The events as maps, one behind the other."""
        message, node = change.message, self._node
        state = STATE_NAMES[message.state]
        price = message.cost if message.cost != "0" else ""
        account, to, segments = message.account, message.dest, message.segments
        return b"".join(
            [
                _encode(FeedEvent(one, at, event, account, to, node, state, channel, segments, price, detail))
                for one in change.trace_ids
                for at, event, channel, detail in change.events
            ]
        )

    def _answered(self, answers: list[Any], batch: list[Change]) -> None:
        self._flights -= 1
        for change, answer in zip(batch, answers, strict=True):
            try:
                if answer == 1:
                    change.tell(())
                elif answer == 2:
                    change.tell(None)
                elif answer[0] == 1:
                    change.tell(answer[1:])
                elif answer[0] == 3:
                    if change.instead is not None:
                        change.instead(answer[1].decode())
                elif change.again is not None:
                    change.again(records.unpack(answer[1]) if answer[1] else None)
            except Exception:
                log.failure("the sequel of a change failed; message_id={message_id}", message_id=change.message.id)
            change.over()
        self._go_on()

    def _failed(self, failure: Failure, batch: list[Change]) -> None:
        self._flights -= 1
        for change in batch:
            if change.failed is not None:
                change.failed()
        if all(change.failed is None for change in batch):
            log.error("the store did not keep a batch: {why}", why=failure.getErrorMessage()[:120])
        self._go_on()

    def _go_on(self) -> None:
        if self._waiting:
            if not self._scheduled:
                self._flush()
        elif not self._flights:
            self.idle()
