"""One change of one message in the making: what it will tell the trace, the store and, once kept, the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gateway.messages.message import Message
from gateway.store.ledger import Change, Command

Kept = Callable[[Sequence[Any] | None], None]


class Turn(Change):
    """A change that is gathered step by step and given to the ledger by `change`; what is in `kept` is called when it
    is kept."""

    __slots__ = ("due_is_right", "kept", "now")

    def __init__(self, message: Message, now: float) -> None:
        self.message, self.now = message, now
        self.events: list[tuple[float, str, str, str]] = []
        self.commands: list[Command] = []
        self.kept: list[Kept] = []
        self.ttl = 0
        self.due_is_right = False  # the message's next moment is the one the store has already
        self.again = self.failed = self.unless = self.instead = None

    def step(self, event: str, channel: str = "", detail: str = "") -> None:
        """An event of the message, for its trace and the feed."""
        self.events.append((self.now, event, channel, detail))

    def change(self, again: Callable[[Message | None], None] | None = None) -> Change:
        """This turn as a change: nothing is added to it from now on."""
        self.again = again
        self.trace_ids = self.message.parts or (self.message.id,)
        self.seal()
        return self

    def tell(self, answers: Sequence[Any] | None) -> None:
        for one in self.kept:
            one(answers)

    def over(self) -> None:
        super().over()
        self.kept = []
