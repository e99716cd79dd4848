"""What billing systems were promised and what became of it: the books that must balance after a crash.

Plain values, kept outside of the gateway: what it answered, what its receipts say, whom the texts reached.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import msgspec

STAT = {
    "delivered": "DELIVRD", "expired": "EXPIRED", "deleted": "DELETED", "undeliverable": "UNDELIV",
    "unknown": "UNKNOWN", "rejected": "REJECTD",
}  # fmt: skip


class End(msgspec.Struct, frozen=True):
    """What the store says of a message: its state, and how many receipts it has issued for it."""

    state: str
    receipts_issued: int


class Audit(msgspec.Struct, frozen=True):
    """Where the books do not balance: message ids, and numbers where a text is in question. All empty but `held` and
    `reached_twice`, which a crash may leave behind for what was being written at that moment."""

    receipts_missing: list[str]
    final_twice: list[str]  # two receipts of one message say different things, or the store issued more than one
    misreported: list[str]  # the receipt says one thing, the store another
    unknown: list[str]  # accepted, and the store has no such message
    lost: list[str]  # reached nobody, and its receipt does not say EXPIRED
    held: list[str]  # reached nobody and expired: it was on its way to a peer that died
    reached_twice: list[str]  # numbers
    refused_and_sent: list[str]  # numbers

    @property
    def balanced(self) -> bool:
        """Is every promise kept? (`held` and `reached_twice` are for the caller to explain.)"""
        return not (
            self.receipts_missing or self.final_twice or self.misreported or self.unknown or self.lost
            or self.refused_and_sent
        )  # fmt: skip


class Books:
    """Promises (id -> number) and receipts, over all binds and all lives of the gateway. One message per number."""

    def __init__(self) -> None:
        self.accepted: dict[str, str] = {}
        self.unanswered: list[str] = []  # numbers whose submit met a crash: they may or may not be kept
        self.refused: list[str] = []
        self.refusals: Counter[int] = Counter()  # by command_status
        self.stats: dict[str, Counter[str]] = {}  # message id -> what its receipts said, and how often
        self.owed: set[str] = set()  # accepted and no receipt yet

    def answered(self, number: str, status: int | None, message_id: str) -> None:
        """A submit was answered; status None: the link was lost before that."""
        if status is None:
            self.unanswered.append(number)
        elif status:
            self.refused.append(number)
            self.refusals[status] += 1
        else:
            assert message_id not in self.accepted, "an id was given twice"
            self.accepted[message_id] = number
            if message_id not in self.stats:
                self.owed.add(message_id)

    def receipt(self, message_id: str, stat: str) -> None:
        """A receipt came; it may come before its message_id is known here, and more than once."""
        self.stats.setdefault(message_id, Counter())[stat] += 1
        self.owed.discard(message_id)

    @property
    def settled(self) -> int:
        """Submits of which the billing system knows all it will ever know."""
        return len(self.accepted) + len(self.unanswered) + len(self.refused)

    @property
    def receipts_twice(self) -> int:
        """Receipts beyond the first of a message: each was in flight at a crash, or should not be."""
        return sum(said.total() - 1 for said in self.stats.values())

    def audit(self, ends: Mapping[str, End], reached: Mapping[str, int]) -> Audit:
        """Compare. ends: by message id, of everything accepted; reached: how often a text came to a number."""
        stats = {message_id: set(self.stats.get(message_id, ())) for message_id in self.accepted}
        nowhere = [message_id for message_id, number in self.accepted.items() if not reached.get(number)]
        return Audit(
            receipts_missing=sorted(self.owed),
            final_twice=[
                one
                for one, said in stats.items()
                if len(said) > 1 or (one in ends and STAT.get(ends[one].state) and ends[one].receipts_issued > 1)
            ],
            misreported=[
                one for one, said in stats.items() if said and one in ends and STAT.get(ends[one].state) not in said
            ],
            unknown=[one for one in self.accepted if one not in ends],
            lost=[one for one in nowhere if stats[one] != {"EXPIRED"}],
            held=[one for one in nowhere if stats[one] == {"EXPIRED"}],
            reached_twice=[number for number, times in reached.items() if times > 1],
            refused_and_sent=[number for number in self.refused if reached.get(number)],
        )
