"""Work for one channel: straight from intake while nothing waits, else out of the store's queues, as fast as the
channel takes it. Only what a channel can write now is taken into its hands; the rest stays in the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from gateway.delivery.ports import Channel
from gateway.messages.message import Message
from gateway.messages.outcome import AttemptResult, ChannelDown, Unwritten
from gateway.store import keys, records
from gateway.store.turn import Turn
from gateway.store.valkey import Keep, Store

AT_MOST = 256
log = Logger("dispatch")


class Dispatcher:
    """Feeds one channel and knows what it holds."""

    def __init__(
        self,
        channel: Channel,
        store: Store,
        node: str,
        hand_back: Callable[[str, list[tuple[Message, AttemptResult]]], None],
        later: Callable[[Callable[[], None]], Any],
        clock: Callable[[], float],
    ) -> None:
        """hand_back: where messages go that were taken although the channel is down, or although it is too late for it.
        later: the reactor's next turn."""
        self._later, self._clock = later, clock
        self.channel, self._store, self._hand_back = channel, store, hand_back
        self.hand_key = keys.hand(node, channel.name)
        self.in_hand: dict[str, Message] = {}
        self.waiting = True  # something may wait in the store's queues; a fresh start always looks
        self._leasing = False
        self._refused: set[str] = set()  # must not come out of the lease that is under way
        self.coming = 0  # messages on their way into the queue: what is younger may not go straight past them
        self._reserved = 0  # segments promised to messages that are on their way through the store
        self._room = -1  # what `reserve` may still promise in this turn; below 0: to be asked
        self.started = self.stopping = False

    def start(self) -> None:
        """The channel runs. Before that it only looks down, and nothing may be taken out of its queues."""
        self.started = True
        self.pump()

    # -- straight from intake

    def reserve(self, segments: int) -> bool:
        """May a message skip the queue? Then room for it is kept until `deliver` or `release`."""
        if self.waiting or self.coming or self.stopping or not self.started:
            return False
        if self._room < 0:
            self._room = max(0, self.channel.capacity() - self._reserved)
            self._later(self._ask_again)
        if self._room < segments:
            return False
        self._room -= segments
        self._reserved += segments
        return True

    def _ask_again(self) -> None:
        self._room = -1

    def release(self, segments: int) -> None:
        self._reserved -= segments

    def deliver(self, message: Message) -> None:
        """The message is kept, marked as in this node's hands: now the channel has it."""
        self._reserved -= message.segments
        self.send(message)

    # -- out of the queues

    def expect(self, turn: Turn) -> None:
        """This change puts a message into the queue, of which `something_waits` tells once it is kept."""
        self.coming += 1
        turn.settled = [*turn.settled, self._came]

    def _came(self) -> None:
        self.coming -= 1

    def something_waits(self) -> None:
        self.waiting = True
        self.pump()

    def pump(self) -> None:
        """Take as much out of the queues as the channel can write now. A WhatsApp channel that is down gives all it
        has to the next channel."""
        if not (self.waiting and self.started) or self._leasing or self.stopping or not self._store.writable:
            return
        gives_back = self.channel.kind == "whatsapp" and not self.channel.up
        room = AT_MOST if gives_back else min(AT_MOST, self.channel.capacity() - self._reserved)
        if room <= 0:
            return
        self._leasing = True
        self._store.call("lease", self.channel.name, str(room), self.hand_key, keep=Keep.NO).addCallbacks(
            self._leased, self._not_leased, callbackArgs=(gives_back,)
        ).addErrback(lambda failure: log.failure("leased messages were not handed on", failure=failure))

    def _leased(self, answer: list[Any], gives_back: bool) -> None:
        self._leasing = False
        self.waiting = answer[0] > 0
        messages = [records.unpack(record) for record in answer[1:]]
        if self._refused:
            messages = self._without_refused(messages)
        if not self.stopping:
            messages = self._without_late(messages)
        if gives_back and not self.channel.up:
            for message in messages:
                self.in_hand[message.id] = message
            self._hand_back(self.channel.name, [(message, ChannelDown("channel_down")) for message in messages])
        else:
            for message in reversed(messages) if self.stopping else messages:  # back to the front: the last one first
                self.send(message)
        if self.waiting:
            self.pump()

    def _not_leased(self, _: Failure) -> None:
        self._leasing = False  # the link was lost: what the call may have taken is found again by recovery

    def _without_late(self, messages: list[Message]) -> list[Message]:
        """What has waited here until its time was nearly over goes to its next channel."""
        name, now = self.channel.name, self._clock()
        late = [message for message in messages if message.is_too_late_for(name, now)]
        if not late:
            return messages
        in_time = [message for message in messages if not message.is_too_late_for(name, now)]
        for message in late:
            self.in_hand[message.id] = message
        self._hand_back(name, [(message, ChannelDown("timeout")) for message in late])
        return in_time

    def refuse(self, message_id: str) -> None:
        """The ESME of a queued message was told no and it is being taken back; a lease under way may still bring it."""
        if self._leasing:
            self._refused.add(message_id)

    def _without_refused(self, messages: list[Message]) -> list[Message]:
        kept = []
        for message in messages:
            if message.id in self._refused:  # its entry among the due is dropped when it is looked at
                self._store.command("DEL", keys.message(message.id), keep=Keep.ALWAYS)
                self._store.command("SREM", self.hand_key, message.id, keep=Keep.ALWAYS)
            else:
                kept.append(message)
        self._refused.clear()  # later leases come after what took them back
        return kept

    # -- what the channel holds

    def send(self, message: Message) -> None:
        """Into the channel's hands; back to its queue when the channel has been told to stop."""
        self.in_hand[message.id] = message
        if self.stopping:
            self._hand_back(self.channel.name, [(message, Unwritten("stopping"))])
        else:
            self.channel.send(message)
