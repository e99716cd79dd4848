"""The books of a test: filled from its billing systems, held against its gateway, its provider and its operator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from tests.end_to_end.biller import Answer, Biller, Receipt
from tests.end_to_end.stage import Stage
from tools.books import Books, End


class Ledger(Books):
    """Promises and receipts on one stage."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = stage
        self.submitted = 0
        self._billers: list[Biller] = []

    def watch(self, biller: Biller) -> None:
        """The receipts of this bind count."""
        self._billers.append(biller)
        for receipt in biller.receipts:
            self._came(receipt)
        biller.on_receipt = self._came

    def _came(self, receipt: Receipt) -> None:
        self.receipt(receipt.message_id, receipt.stat)

    def submit(self, biller: Biller, numbers: Iterable[str], **fields: Any) -> None:
        for number in numbers:
            self.submitted += 1
            text = f"Ola, o codigo do seu protocolo e {number[-5:]}."
            biller.submit(number, text, **fields).addCallback(self._told, number)

    def _told(self, answer: Answer, number: str) -> None:
        self.answered(number, answer.status, answer.message_id)

    @property
    def receipts(self) -> list[Receipt]:
        return [receipt for biller in self._billers for receipt in biller.receipts]

    def seen(self) -> Counter[str]:
        """How often each number was reached: the provider took a text, or the operator a submit_sm."""
        seen = Counter(sent.person for sent in self.stage.provider.sends if sent.message_id)
        seen.update(submit.dest for submit in self.stage.operator.submits if not submit.status)
        return seen

    async def all_answered(self) -> None:
        """Wait until every submit is answered, or never will be."""
        await self.stage.until(lambda: self.settled == self.submitted, "every submit is settled", 15.0)

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
        found = await self.stage.messages(self.accepted)
        ends = {
            message["id"]: End(message["state"], sum(e["event"] == "receipt_queued" for e in message["events"]))
            for message in found
        }
        seen = self.seen()
        audit = self.audit(ends, seen)
        assert audit.balanced, audit
        assert all(end.receipts_issued == 1 for end in ends.values()), "a receipt was never issued, or more than once"
        held = [f"{m['state']}: {m['events']}" for m in found if m["id"] in audit.held]
        assert len(held) <= in_flight, "\n".join([f"{len(held)} were held, {in_flight} in flight", *held])
        duplicates = sum(seen[number] - 1 for number in audit.reached_twice)
        doubled = [f"{m['state']}: {m['events']}" for m in found if self.accepted[m["id"]] in audit.reached_twice]
        assert duplicates <= in_flight, "\n".join([f"{duplicates} of {in_flight} came twice", *doubled[:3]])
        return duplicates
