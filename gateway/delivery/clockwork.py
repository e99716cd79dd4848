"""What happens without anybody asking: moments that come due, work that a dead process left behind, the overview."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from typing import Any

from twisted.internet import task
from twisted.logger import Logger

from gateway.delivery.deliver import Delivery
from gateway.delivery.dispatch import Dispatcher
from gateway.delivery.intake import Intake
from gateway.delivery.joining import Joining
from gateway.messages.message import Message
from gateway.messages.outcome import AttemptResult, Uncertain, Unwritten
from gateway.store import keys, records
from gateway.store.valkey import Keep, Store

LOOK_S = 0.2  # how often due messages are looked for
SWEEP_S = 10.0  # how often receipts that are not kept any more are looked for
AT_ONCE = 256
TAKEN_FOR_S = 30.0  # another node may take a due message after this
log = Logger("clockwork")


class Overview:
    """What waited where when it was last looked: for gauges, `status` and the bound on unfinished messages."""

    def __init__(self) -> None:
        self.unfinished = 0
        self.depth: dict[str, tuple[int, int, int]] = {}  # channel -> messages waiting by priority
        self.oldest_at: dict[str, float] = {}  # channel -> when the oldest waiting message was accepted
        self.pending: dict[str, int] = {}  # account -> receipts and replies


class Clockwork:
    """The loops of a node."""

    def __init__(
        self, *, store: Store, delivery: Delivery, joining: Joining, intake: Intake, reactor: Any,
        was_written: Callable[[str, str], bool], resends: Callable[[str], bool], accounts: Callable[[], Sequence[str]],
        concerned: Callable[[], Set[str]], sweep_receipts: Callable[[Sequence[str]], None], looks: bool = True,
    ) -> None:  # fmt: skip
        """was_written(id, channel): may the dead process have sent it by that channel? resends(channel): is such a
        message sent again?
        concerned(): ids of the messages whose change is on its way to the store. sweep_receipts(accounts): drop those
        that are not kept any more. looks: does this process look for what is due?"""
        self._concerned = concerned
        self._store, self._delivery, self._joining, self._intake = store, delivery, joining, intake
        self._reactor, self._was_written, self._resends, self._accounts = reactor, was_written, resends, accounts
        self.overview = Overview()
        self._looking = False
        self._loops = {self._loop(self._survey): 1.0, self._loop(intake.sweep): 1.0}
        if looks:
            sweep = self._loop(lambda: sweep_receipts(accounts()))
            self._loops = {self._loop(self._look): LOOK_S, **self._loops, sweep: SWEEP_S}

    def _loop(self, work: Callable[[], object]) -> task.LoopingCall:
        def guarded() -> None:
            try:
                work()
            except Exception:
                log.failure("a loop stumbled and goes on")

        loop = task.LoopingCall(guarded)
        loop.clock = self._reactor
        return loop

    def start(self) -> None:
        for loop, seconds in self._loops.items():
            loop.start(seconds, now=True)

    def stop(self) -> None:
        for loop in self._loops:
            if loop.running:
                loop.stop()

    # -- due

    def _look(self) -> None:
        if self._looking or not self._store.writable:
            return
        self._looking = True
        now = self._reactor.seconds()
        self._store.call("due", f"{now:.3f}", str(AT_ONCE), f"{now + TAKEN_FOR_S:.3f}", keep=Keep.NO).addCallbacks(
            self._due, self._not_looked
        ).addErrback(lambda failure: log.failure("due messages were not handled", failure=failure))

    def _not_looked(self, _: Any) -> None:
        self._looking = False

    def _due(self, found: list[bytes]) -> None:
        self._looking = False
        again = []
        for record in found:
            try:
                message = records.unpack(record)
            except Exception:  # of a newer version, or damaged: it must not hold the others
                log.failure("a record that is due cannot be read and is left alone")
                continue
            if message.in_hand and self._reactor.seconds() < message.expires_at:
                again.append(message.id)
            elif message.final:
                self._store.command("ZREM", keys.DUE, message.id).addErrback(lambda _: None)
            elif message.copy_of:
                self._joining.copy(message)
            elif self._joining.is_waiting(message):
                self._joining.overdue(message)
            else:
                self._delivery.moment(message)
        if again:  # in a channel's hands: looked at again soon, its result comes first
            score = f"{self._reactor.seconds() + 1.0:.3f}"
            args = [word for message_id in again for word in (score, message_id)]
            self._store.command("ZADD", keys.DUE, "XX", *args).addErrback(lambda _: None)
        if len(found) == AT_ONCE:
            self._look()

    # -- left behind

    async def recover(self) -> None:
        """At the start: messages that were in a channel's hands when a process died."""
        for dispatcher in list(self._delivery.dispatchers.values()):
            await self._recover_channel(dispatcher)

    async def _recover_channel(self, dispatcher: Dispatcher) -> None:
        name = dispatcher.channel.name
        written: list[tuple[Message, AttemptResult]] = []
        back: list[Message] = []
        for message in await self._in_nobodys_hand(dispatcher):
            if self._was_written(message.id, name) and not (dispatcher.channel.kind == "smsc" and self._resends(name)):
                written.append((message, Uncertain("the gateway died before the answer")))
            else:
                back.append(message)
        self._delivery.attempted(name, written)
        self._give_back(dispatcher, back, "the gateway died before it was written")
        if written or back:
            log.warn(
                "{channel}: {unwritten} messages go back to the queue, {written} may have been sent and wait for word",
                channel=name, unwritten=len(back), written=len(written),
            )  # fmt: skip

    async def recover_leases(self) -> None:
        """The link to the store was lost: what a lease took there may never have come here. Nobody has written such
        messages. A result on its way to the store looks the same there, but the ledgers know of it."""
        for dispatcher in list(self._delivery.dispatchers.values()):
            lost = await self._in_nobodys_hand(dispatcher)
            self._give_back(dispatcher, lost, "the store's answer was lost")
            if lost:
                log.warn("{channel}: {n} messages go back to the queue", channel=dispatcher.channel.name, n=len(lost))

    async def _in_nobodys_hand(self, dispatcher: Dispatcher) -> list[Message]:
        """Messages that the store counts among this node's, and its channel has not got."""
        ids = [one.decode() for one in await self._store.command("SMEMBERS", dispatcher.hand_key, keep=Keep.OVER_LINKS)]
        ids = [one for one in ids if one not in dispatcher.in_hand]
        stranded: list[Message] = []
        for start in range(0, len(ids), AT_ONCE):
            some = ids[start : start + AT_ONCE]
            found = await self._store.command("MGET", *map(keys.message, some), keep=Keep.OVER_LINKS)
            # Calls are answered in order: a change sent before this question shows in its answer, a later one is here.
            concerned = self._concerned()
            gone = []  # taken back after their ESME was refused, or ended while the channel had them
            for message_id, record in zip(some, found, strict=True):
                if message_id in dispatcher.in_hand or message_id in concerned:
                    continue
                message = records.unpack(record) if record else None
                if message is None or message.final or not message.in_hand:
                    gone.append(message_id)
                elif message.attempts and message.attempts[-1].channel == dispatcher.channel.name:
                    stranded.append(message)
            if gone:
                await self._store.command("SREM", dispatcher.hand_key, *gone, keep=Keep.OVER_LINKS)
        return stranded

    def _give_back(self, dispatcher: Dispatcher, messages: list[Message], why: str) -> None:
        """To the front of the queue: the youngest first, so that the oldest ends up before the others."""
        messages.sort(key=lambda message: message.id, reverse=True)
        self._delivery.attempted(dispatcher.channel.name, [(message, Unwritten(why)) for message in messages])

    # -- overview

    def _survey(self) -> None:
        if not self._store.writable:
            return
        channels, accounts = list(self._delivery.dispatchers), list(self._accounts())
        self._store.call("overview", str(len(channels)), *channels, *accounts, keep=Keep.NO).addCallbacks(
            self._surveyed, lambda _: None, callbackArgs=(channels, accounts)
        ).addErrback(lambda failure: log.failure("the overview could not be read", failure=failure))

    def _surveyed(self, answer: list[Any], channels: list[str], accounts: list[str]) -> None:
        seen = self.overview
        seen.unfinished = self._intake.unfinished = answer[0]
        for name, row in zip(channels, answer[1 : 1 + len(channels)], strict=True):
            seen.depth[name] = (row[0], row[2], row[4])
            firsts = [records.unpack(record).accepted_at for record in row[1::2] if record]
            seen.oldest_at[name] = min(firsts, default=0.0)
            dispatcher = self._delivery.dispatchers.get(name)
            if dispatcher is not None and any(seen.depth[name]):
                dispatcher.something_waits()
        seen.pending = dict(zip(accounts, answer[1 + len(channels) :], strict=True))
