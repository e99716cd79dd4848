"""What nobody looks after any more: messages in the hands of a dead node, and of channels that no configuration has.

A dead node's wire log is on its machine, so whatever it had in hand may have been sent: it is never written to that
channel again, unless the channel says `unanswered: resend`. Several nodes may take over at the same time, and the dead
one may turn out to be alive: every change names the revision it has read, and the first one counts.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any

from twisted.logger import Logger

from gateway.delivery.deliver import TAKEN_OVER, Delivery
from gateway.messages.message import Message
from gateway.messages.outcome import AttemptResult, Uncertain, Unwritten
from gateway.store import keys, records
from gateway.store.valkey import Keep, Store, StoreAway

AT_ONCE = 256
log = Logger("takeover")


class Takeover:
    """Brings messages back on their way."""

    def __init__(
        self, *, store: Store, node: str, delivery: Delivery, was_written: Callable[[str, str], bool],
        resends: Callable[[str], bool], concerned: Callable[[], Set[str]], spawn: Callable[[Any, str], object],
    ) -> None:  # fmt: skip
        """was_written, resends, concerned: see Clockwork."""
        self._store, self._node, self._delivery, self._spawn = store, node, delivery, spawn
        self._was_written, self._resends, self._concerned = was_written, resends, concerned
        self._busy = False

    def begin(self, left: list[Any], orphans: list[Any]) -> None:
        """left: (node, channel, kind) of hands; orphans: (channel, kind) of channels for which something waits."""
        if not self._busy:
            self._busy = True
            self._spawn(self._take_all(left, orphans), "taking over")

    async def _take_all(self, left: list[Any], orphans: list[Any]) -> None:
        try:
            for node, channel, kind in left:
                await self._take_hand(node, channel, kind)
            for channel, kind in orphans:
                await self._empty_queue(channel, kind)
        except StoreAway:
            pass  # it is looked at again once the store is back
        finally:
            self._busy = False

    async def _take_hand(self, node: str, channel: str, kind: str) -> None:
        key = keys.hand(node, channel)
        found = await self._store.call("stranded", key, keep=Keep.NO)
        concerned = self._concerned()
        messages = sorted((records.unpack(record) for record in found), key=lambda message: message.id)
        written: list[Message] = []
        back: list[Message] = []
        for message in messages:
            if message.id in concerned:
                continue  # its result is on its way to the store
            if not message.attempts or message.attempts[-1].channel != channel:
                await self._store.command("SREM", key, message.id)  # another channel's by now
            elif self._may_have_gone(node, channel, kind, message.id):
                written.append(message)
            else:
                back.append(message)
        for message in written:
            self._go_on(channel, kind, key, message, Uncertain(TAKEN_OVER))
        if channel in self._delivery.facts():
            back.reverse()  # each goes to the front of its queue; with no channel left, behind others at the next one
        for message in back:
            self._go_on(channel, kind, key, message, Unwritten(TAKEN_OVER))
        if written or back:
            log.warn(
                "{channel} of {node}: {back} messages go on, {written} may have been sent and wait for word",
                channel=channel, node=node, back=len(back), written=len(written),
            )  # fmt: skip

    def _may_have_gone(self, node: str, channel: str, kind: str, message_id: str) -> bool:
        if kind == "smsc" and self._resends(channel):
            return False
        return node != self._node or self._was_written(message_id, channel)

    async def _empty_queue(self, channel: str, kind: str) -> None:
        """The channel is in no configuration any more: what waits for it goes on by the next one of its plan."""
        key, moved, left = keys.hand(self._node, channel), 0, 1
        while left:
            left, *found = await self._store.call("lease", channel, str(AT_ONCE), key, keep=Keep.NO)
            for record in found:
                self._go_on(channel, kind, key, records.unpack(record), Unwritten("channel_removed"))
            moved += len(found)
        log.warn("{channel}: no node has it any more; {n} messages that waited for it go on", channel=channel, n=moved)

    def _go_on(self, channel: str, kind: str, key: str, message: Message, result: AttemptResult) -> None:
        self._delivery.left_behind(channel, kind, key, message, result)
