"""One change of one message in the making: what it tells the trace, the store and, once it is kept, the others."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from msgspec import Struct

from gateway.messages.message import Message, Receipt
from gateway.messages.states import State
from gateway.store.records import pack

LONGEST_TRACE = 120  # steps kept with a message; of a longer journey the middle is left out
NEVER = -1.0  # as `due`: nobody has to look at the message any more
Command = Sequence[Any]  # a server command, or one of batch.py's own; octets as records.octets()
Answers = Sequence[Any] | None
"""Of commands that have any, in order, and last the place of `receipt` in its stream. None: the change had been made
before a lost link, and the answers are not known any more."""

# A change may be made on top of one that is not known to be kept. Should that one lose the race, what won must not have
# the revision that it would have had. So no two changes ever have the same: each is even and of this process alone as
# far as chance allows, a lease makes the next odd one of it, and 1 is that of every new message.
LEAST_REVISION = 0x10000
_revisions = count(secrets.randbits(32), 2)


class Turn(Struct, eq=False):
    """A message as it is to be from now on, and what follows: gathered step by step, then given to the ledger.

    events        (at, event, channel, detail): steps for the trace and the feed
    ttl           seconds the record lives from now on; 0: without end
    due           when somebody has to look at the message although nothing happens; 0.0: as before; NEVER
    into, out_of  the key of a hand that the message comes into, or leaves
    stream, receipt  a packed receipt or reply, and the account's stream it is appended to
    tlvs          of the operator's report that decides, for the receipt
    commands      whatever else the store has to do
    kept          called with the answers once all of it is kept; `sequel(turn, answers)` before them, `done()` after
    lost          called when the store refused it, and nothing of it was kept
    settled       called last, whatever came of it: it is kept, or refused, or somebody else was faster
    counts        what the ledger counts then: one that lost the race is made again, or never was
    again         called with the message as it is now (None: it is gone) when somebody else was faster
    follows_from  another change of the same call, without which this one is not made
    unless        of a new message: a key and the seconds it lives. While it names another message this one is not kept,
                  and instead(id) is called with that one's; else it names this one from now on
    """

    message: Message
    now: float
    events: list[tuple[float, str, str, str]] = []
    commands: list[Command] = []
    # Set when it is sealed; the state, and what it had cost, as the feed tells them
    record: bytes = b""
    state: State = State.ACCEPTED
    cost: str = "0"
    expected: int = 0  # the revision it was read at; 0: it is new
    # Set by few
    ttl: int = 0
    due: float = 0.0
    into: str = ""
    out_of: str = ""
    stream: str = ""
    receipt: bytes = b""
    tlvs: tuple[tuple[int, bytes], ...] = ()
    item: Receipt | None = None  # what `receipt` is the packed form of
    kept: Sequence[Callable[[Answers], object]] = ()
    counts: Sequence[tuple[tuple[str, ...], float]] = ()  # (name, label ...), how many
    again: Callable[[Message | None], None] | None = None
    sequel: Callable[[Any, Answers], None] | None = None
    done: Callable[[], None] | None = None
    lost: Callable[[], None] | None = None
    settled: Sequence[Callable[[], object]] = ()
    instead: Callable[[str], None] | None = None
    unless: tuple[str, int] | None = None
    follows_from: Turn | None = None

    def step(self, event: str, channel: str = "", detail: str = "") -> None:
        """An event of the message."""
        self.events.append((self.now, event, channel, detail))

    def count(self, *key: str, n: float = 1) -> None:
        """Count under a metric's name and labels."""
        self.counts = [*self.counts, (key, n)]

    def then(self, call: Callable[[Answers], object]) -> None:
        """Call this, too, once it is kept."""
        self.kept = [*self.kept, call]

    def change(self, again: Callable[[Message | None], None] | None = None) -> Turn:
        """Seal it: the message as it is at this moment is what will be kept, under a revision of its own."""
        message = self.message
        if again is not None:
            self.again = again
        self.state, self.cost = message.state, message.cost
        self.expected = expected = message.rev
        message.rev = (next(_revisions) & 0xFFFFFFFE) | LEAST_REVISION if expected else 1
        if self.events:
            trace = message.trace
            trace += self.events
            if len(trace) > LONGEST_TRACE:
                del trace[LONGEST_TRACE // 4 : LONGEST_TRACE // 2]
        self.record = pack(message)
        return self

    def tell(self, answers: Answers) -> None:
        """It is kept."""
        if self.sequel is not None:
            self.sequel(self, answers)
        for one in self.kept:
            one(answers)
        if self.done is not None:
            self.done()

    def is_wanted(self) -> bool:
        """Is it still to be kept, should the link to the store have been lost meanwhile?"""
        return True

    def not_kept(self) -> bool:
        """The store refused it and nothing was kept. False: nobody is told, so the ledger has to say it."""
        if self.lost is not None:
            self.lost()
        return False

    def overtaken(self, fresh: Message | None) -> None:
        """It has no `again`, and the store has another record already (None: it had and it is gone): it was kept over a
        link that broke, and somebody went on from there; or somebody else was faster, which is as good."""

    def over(self) -> None:
        """Nothing more comes of it. What refers back to it goes, so that it need not wait for the garbage collector."""
        if self.settled:
            for one in self.settled:
                one()
        if self.again is not None or self.kept or self.instead is not None:
            self.again = self.instead = None
            self.kept = ()
        self.follows_from = None
