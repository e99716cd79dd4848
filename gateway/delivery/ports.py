"""What delivery needs from the rooms around it, by shape. Adapters satisfy these without importing them.

Threading: none; everything runs in the reactor's thread. Batches move in lists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from gateway.messages.message import Message, Mo, Receipt
from gateway.messages.outcome import AttemptResult, Inbound, LastWord, Lookup, Report


class Results(Protocol):
    """Where channels hand in what happened. Implemented by delivery; given to every channel as its `results`."""

    def attempted(self, channel: str, results: Sequence[tuple[Message, AttemptResult]]) -> None:
        """Attempts ended. Every message given to `Channel.send` comes back here exactly once.

        Unwritten ones come last first: each goes to the front of the queue, which restores their order."""

    def answered_late(self, channel: str, message: Message, result: AttemptResult) -> None:
        """What became of an attempt that had ended as Uncertain."""

    def reported(self, channel: str, reports: Sequence[Report], done: Callable[[bool], None]) -> None:
        """Reports arrived. `done(True)` is called once they are kept: only then may they be acknowledged;
        `done(False)` when they could not be kept and must come again (HTTP 503, ESME_RMSGQFUL)."""

    def inbound(self, channel: str, texts: Sequence[Inbound], done: Callable[[bool], None]) -> None:
        """People wrote to us; `done` as above."""

    def looked_up(self, message: Message, channel: str, lookup: Lookup) -> None:
        """A lookup before a send ended (or was answered from memory); becomes an event of the message."""

    def noted(self, message: Message, channel: str, event: str, detail: str) -> None:
        """A step that the channel took by itself before the attempt ended; becomes an event of the message."""

    def capacity_changed(self, channel: str) -> None:
        """The channel's `capacity()` may have grown: bound, answered, rate refilled, quarantine over."""


class Channel(Protocol):
    """A way to a handset: an operator's SMSC (kind "smsc") or a WhatsApp sender (kind "whatsapp")."""

    name: str
    kind: str
    price: str  # decimal, per segment (smsc) or per delivered message (whatsapp)
    up: bool  # smsc: a transmitting bind exists; whatsapp: reachable, logged in and not in quarantine
    binds: int
    inflight: int  # messages in the channel's hands

    def capacity(self) -> int:
        """How many segments may be handed over now: free window and rate. 0 while down."""

    def send(self, message: Message) -> None:
        """Take a message into the channel's hands. Calls `mark(message.id)` right before its octets are written."""

    async def start(self) -> None: ...

    async def stop(self) -> None:
        """Finish politely: take nothing new, wait for what is unanswered up to response_timeout, unbind, close.
        Every message still in hand is handed back through `Results.attempted` as Unwritten or Uncertain."""


def senders_of(channel: Channel) -> list[dict[str, Any]]:
    """The senders of a WhatsApp channel, as it tells of them; of others there are none."""
    told: Callable[[], list[dict[str, Any]]] = getattr(channel, "sender_status", list)
    return told()


class AskedLast(Protocol):
    """What a channel has beside that whose last word counts before the next channel has its turn."""

    asks: bool  # can it say whether a text arrived that nobody heard of?
    withdraws: bool  # does it delete its copy of such a text?

    def last_word(self, message: Message, said: Callable[[LastWord], None]) -> None:
        """What it knows of this text, whose time on it is over. `said` is called once, before journey.LAST_WORD_S."""


Mark = Callable[[str], None]
"""mark(message_id): remembered outside the process, just before its octets are handed to a socket. After a crash only
marked messages count as possibly sent; the others are simply sent again."""


class Esmes(Protocol):
    """The bound sessions towards billing systems. Implemented by gateway.server."""

    def receivers(self, account: str) -> int:
        """How many deliver_sm may be written to this account's receiving binds now (free windows, summed)."""

    def receiving(self, account: str) -> bool:
        """Is a session bound that may get deliver_sm, even if its window is full?"""

    def deliver(self, account: str, items: Iterator[tuple[Receipt | Mo, Callable[[int | None], None]]]) -> int:
        """Write deliver_sm to receiving binds of the account: items in order, each with its `done`, as long as there is
        a bind with a free window. How many; no more are taken from the iterator.

        `done` gets the command_status of the answer, or None when there was none (link lost or response_timeout), and
        after None perhaps ANSWERED_LATE (of gateway.messages.outcome)."""

    def at_end_of_turn(self, call: Callable[[], None]) -> None:
        """Call once at the end of this turn, before the binds are written to."""
