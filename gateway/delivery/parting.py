"""Between two channels: the first one's last word on a text whose time is over, before the next one has its turn.

It is written down first that the channel is asked, with the moment at which the next one's turn comes whatever happens:
a slow channel, or a crash in between, costs that long and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from gateway.messages.message import Message
from gateway.messages.outcome import LastWord
from gateway.routing import journey
from gateway.routing.decide import ASKED, AskFirst
from gateway.store.ledger import Ledger
from gateway.store.turn import Turn

Again = Callable[[Message | None], None] | None


class Deliverer(Protocol):
    """gateway.delivery.deliver.Delivery, as much of it as is needed here."""

    ledger: Ledger
    clock: Callable[[], float]
    channels: Any

    def facts(self) -> Any: ...
    def follow(self, turn: Turn, facts: Any, again: Again) -> None: ...


class Parting:
    """Asks channels for their last words."""

    def __init__(self, delivery: Deliverer) -> None:
        self._delivery = delivery

    def ask(self, turn: Turn, decision: AskFirst, again: Again) -> None:
        """Write down that the channel is asked, then ask it."""
        message = turn.message
        journey.ask(message, decision.withdraws, turn.now)
        turn.due = min(message.attempts[-1].due_at, message.expires_at)
        turn.then(lambda _: self._asked(message))
        self._delivery.ledger.commit(turn.change(again))

    def _asked(self, message: Message) -> None:
        ordinal = len(message.attempts)
        last_word = getattr(self._delivery.channels.get(message.attempts[-1].channel), "last_word", None)
        if last_word is not None:
            last_word(message, lambda word: self._said(message, ordinal, word))
        else:  # it was removed since
            self._said(message, ordinal, LastWord())

    def _said(self, message: Message | None, ordinal: int, word: LastWord) -> None:
        """The channel has spoken. Its word comes to nothing when the message ended or went on meanwhile."""
        if message is None or message.final or len(message.attempts) != ordinal:
            return
        if message.attempts[-1].state not in ASKED:
            return
        turn = Turn(message, self._delivery.clock())
        for event, channel, detail in journey.last_word(message, word, turn.now):
            turn.step(event, channel, detail)
        self._delivery.follow(turn, self._delivery.facts(), lambda fresh: self._said(fresh, ordinal, word))
