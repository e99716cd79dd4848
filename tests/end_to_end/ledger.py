"""What a billing system was promised, and what became of it: the books that must balance after a crash."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from tests.end_to_end.biller import Answer, Biller, Receipt
from tests.end_to_end.stage import Stage

STAT = {
    "delivered": "DELIVRD", "expired": "EXPIRED", "deleted": "DELETED", "undeliverable": "UNDELIV",
    "unknown": "UNKNOWN", "rejected": "REJECTD",
}  # fmt: skip


class Ledger:
    """Promises (id -> number) and receipts, over all binds and all lives of the gateway."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.accepted: dict[str, str] = {}
        self.unanswered: list[str] = []  # numbers whose submit met a crash: they may or may not be kept
        self.refused: list[str] = []
        self._billers: list[Biller] = []

    def watch(self, biller: Biller) -> None:
        """The receipts of this bind count."""
        self._billers.append(biller)

    def submit(self, biller: Biller, numbers: Iterable[str], **fields: Any) -> None:
        for number in numbers:
            text = f"Ola, o codigo do seu protocolo e {number[-5:]}."
            biller.submit(number, text, **fields).addCallback(self._answered, number)

    def _answered(self, answer: Answer, number: str) -> None:
        if answer.status is None:
            self.unanswered.append(number)
        elif answer.status:
            self.refused.append(number)
        else:
            assert answer.message_id not in self.accepted, "an id was given twice"
            self.accepted[answer.message_id] = number

    @property
    def settled(self) -> int:
        """Submits of which the billing system knows all it will ever know."""
        return len(self.accepted) + len(self.unanswered) + len(self.refused)

    @property
    def receipts(self) -> list[Receipt]:
        return [receipt for biller in self._billers for receipt in biller.receipts]

    @property
    def owed(self) -> set[str]:
        """Accepted and no receipt yet."""
        return self.accepted.keys() - {receipt.message_id for receipt in self.receipts}

    def seen(self) -> Counter[str]:
        """How often each number was reached: the provider took a text, or the operator a submit_sm."""
        seen = Counter(sent.person for sent in self.stage.provider.sends if sent.message_id)
        seen.update(submit.dest for submit in self.stage.operator.submits if not submit.status)
        return seen

    async def all_reported(self, patience_s: float = 20.0) -> None:
        """Wait until nothing is owed; the traces of what still is, when that takes too long."""
        try:
            await self.stage.until(lambda: not self.owed, "every message has its receipt", patience_s)
        except AssertionError as late:
            seen, owed = self.seen(), sorted(self.owed)
            reached = sum(bool(seen[self.accepted[one]]) for one in owed)
            traces = [f"{m['state']}: {m['events']}" for m in await self.stage.messages(owed[:3])]
            words = [f"{len(owed)} receipts are missing, {reached} of these messages reached somebody", *traces]
            raise AssertionError("\n".join([*words, str(late)])) from None

    async def check(self, in_flight: int) -> int:
        """Every promise is kept. in_flight: what was with a provider or operator at the crash. The duplicates."""
        stats: dict[str, set[str]] = {}
        for receipt in self.receipts:
            stats.setdefault(receipt.message_id, set()).add(receipt.stat)
        assert not self.owed, f"{len(self.owed)} of {len(self.accepted)} got no receipt"
        assert all(len(said) == 1 for said in stats.values()), "two receipts of one message say different things"
        for message in await self.stage.messages(self.accepted):
            assert {STAT[message["state"]]} == stats[message["id"]], message
            finals = [e for e in message["events"] if e["event"] == "receipt_queued"]
            assert len(finals) == 1, message
        seen = self.seen()
        nowhere = [message_id for message_id, number in self.accepted.items() if not seen[number]]
        lost = [message_id for message_id in nowhere if stats[message_id] != {"EXPIRED"}]
        assert not lost, f"{len(lost)} of {len(self.accepted)} reached nobody"
        assert len(nowhere) <= in_flight, "only what was being written at the crash may be held and expire"
        assert not [number for number in self.refused if seen[number]], "a refused message was sent"
        duplicates = sum(times - 1 for times in seen.values() if times > 1)
        assert duplicates <= in_flight
        return duplicates
