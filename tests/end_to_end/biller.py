"""The billing system, by the name the tests know."""

from tools.biller import DECIDED_BY, Answer, Biller, Receipt

__all__ = ["DECIDED_BY", "Answer", "Biller", "Receipt"]
