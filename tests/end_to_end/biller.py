"""The billing system, by the name the tests know; its texts must not be found in a log."""

from typing import Any

from twisted.internet.defer import Deferred

from tests.log_watch import WATCH
from tools import biller
from tools.biller import DECIDED_BY, Answer, Receipt

__all__ = ["DECIDED_BY", "Answer", "Biller", "Receipt"]


class Biller(biller.Biller):
    """One bind."""

    def submit(self, to: str, text: str = "", **fields: Any) -> Deferred[Answer]:
        WATCH.submitted(text)
        return super().submit(to, text, **fields)

    def submit_parts(self, to: str, text: str, *rest: Any, **how: Any) -> list[Deferred[Answer]]:
        WATCH.submitted(text[:100])
        return super().submit_parts(to, text, *rest, **how)
