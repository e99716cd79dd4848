"""Channels that other workers have: what is for them goes into their queues in the store, and the others are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from config.schema import BridgeSettings, SmscSettings
from gateway.delivery.dispatch import Dispatcher
from gateway.delivery.ports import Results
from gateway.messages.message import Message
from gateway.messages.outcome import Unwritten


class ElsewhereChannel:
    """Implements gateway.delivery.ports.Channel as far as a decision needs it. Nothing is ever sent by it."""

    learn = None
    binds = inflight = 0

    def __init__(
        self, settings: SmscSettings | BridgeSettings, is_up: Callable[[str], bool], results: Results,
        key_of: Callable[[str], str] | None = None,
    ) -> None:  # fmt: skip
        """is_up(name): whether a worker that has the channel has it up. key_of: see bridge.providers.key_of; a message
        may have to be taken over from the worker that has the channel."""
        self.key_of = key_of
        self.settings, self.name, self.price = settings, settings.name, str(settings.price)
        self.kind = "smsc" if isinstance(settings, SmscSettings) else "whatsapp"
        self._source = settings.source if isinstance(settings, SmscSettings) else None
        self._is_up, self._results = is_up, results

    @property
    def up(self) -> bool:
        return self._is_up(self.name)

    def source_of(self, message: Message) -> str:
        """The source address the operator sees."""
        return message.source if self._source is None else self._source

    def capacity(self) -> int:
        return 0

    def send(self, message: Message) -> None:
        self._results.attempted(self.name, [(message, Unwritten("another worker has the channel"))])

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class SharedDispatcher(Dispatcher):
    """One whose queue other workers empty as well: they are told when something waits there."""

    def __init__(self, *args: Any, ring: Callable[[str, str], None]) -> None:
        super().__init__(*args)
        self._ring = ring

    def something_waits(self) -> None:
        self._ring(QUEUE, self.channel.name)
        super().something_waits()

    def heard(self) -> None:
        """Another worker has put something into the queue."""
        super().something_waits()


class QueueElsewhere(SharedDispatcher):
    """The queue of a channel that only others have: never emptied from here."""

    def start(self) -> None: ...


QUEUE, RECEIPTS = "q", "r"  # what is told: something waits in a channel's queue, or among an account's receipts
