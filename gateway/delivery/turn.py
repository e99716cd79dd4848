"""One change of one message in the making: what it will tell the trace, the store and, once kept, the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gateway.messages.message import Message
from gateway.store.ledger import Change, Command

Kept = Callable[[Sequence[Any] | None], None]


class Turn:
    """Gathers a change. Give it to the ledger with `change`; what is in `kept` is called when it is kept."""

    __slots__ = ("commands", "due_is_right", "events", "kept", "message", "now", "ttl")

    def __init__(self, message: Message, now: float) -> None:
        self.message, self.now = message, now
        self.events: list[tuple[float, str, str, str]] = []
        self.commands: list[Command] = []
        self.kept: list[Kept] = []
        self.ttl = 0
        self.due_is_right = False  # the message's next moment is the one the store has already

    def step(self, event: str, channel: str = "", detail: str = "") -> None:
        """An event of the message, for its trace and the feed."""
        self.events.append((self.now, event, channel, detail))

    def change(self, again: Callable[[Message | None], None] | None = None) -> Change:
        kept = self.kept
        done: Kept | None
        if not kept:
            done = None
        elif len(kept) == 1:
            done = kept[0]
        else:

            def done(answers: Sequence[Any] | None) -> None:
                for one in kept:
                    one(answers)

        return Change(self.message, self.events, self.commands, ttl=self.ttl, done=done, again=again)
