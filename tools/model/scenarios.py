"""What is explored: each row allows the surroundings so much. The small ones take the suite some seconds, the others
some minutes each."""

from __future__ import annotations

from typing import Any

from tools.model.world import May

SMALL: dict[str, dict[str, Any]] = {
    "nothing happens": {"may": May(), "straight": False},
    "submitted for later": {"may": May(failures=1), "scheduled": 15.0},
    "attempts fail": {"may": May(failures=1)},
    "WhatsApp goes down": {"may": May(downs=2)},
    "the gateway dies": {"may": May(crashes=1), "straight": False},
    "the link breaks": {"may": May(cuts=1), "straight": False},
    "the store stalls": {"may": May(stalls=1, impatience=1)},
    "the store is full": {"may": May(refusals=1, wishes=1)},
    "refused, and the link breaks": {"may": May(impatience=1, cuts=1)},
    "refused, and the gateway dies": {"may": May(impatience=1, crashes=1)},
    "two nodes": {"may": May(), "nodes": 2},
}

DEEP: dict[str, dict[str, Any]] = {
    "attempts fail, twice": {"may": May(failures=2)},
    "submitted for later, reports come": {"may": May(reports=1, failures=1), "scheduled": 15.0},
    "the gateway dies and dies again": {"may": May(crashes=2)},
    "WhatsApp goes down, attempts fail": {"may": May(downs=2, failures=1), "straight": False},
    "reports come": {"may": May(reports=2)},
    "reports come, attempts fail": {"may": May(reports=1, failures=1)},
    "reports come, the gateway dies": {"may": May(reports=1, crashes=1)},
    "reports come, the link breaks": {"may": May(reports=1, cuts=1)},
    "reports come, the store stalls": {"may": May(reports=1, stalls=1)},
    "reports come, the store is full": {"may": May(reports=1, refusals=1, failures=1)},
    "reports come, the ESME cancels or replaces": {"may": May(reports=1, wishes=1), "straight": False},
    "the ESME cancels or replaces, twice": {"may": May(wishes=2, failures=1)},
    "the ESME cancels or replaces, the gateway dies": {"may": May(wishes=1, crashes=1), "straight": False},
    "attempts fail, the gateway dies": {"may": May(failures=1, crashes=1), "straight": False},
    "attempts fail, the link breaks": {"may": May(failures=1, cuts=1)},
    "the link breaks, the gateway dies": {"may": May(cuts=1, crashes=1)},
    "the link breaks twice": {"may": May(cuts=2)},
    "the gateway dies three times": {"may": May(crashes=3)},
    "two nodes, one dies": {"may": May(crashes=1), "nodes": 2},
    "two nodes, one looks dead": {"may": May(takeovers=1), "nodes": 2},
    "two nodes, reports come": {"may": May(reports=1), "nodes": 2},
    "two nodes, refused": {"may": May(impatience=1), "nodes": 2, "straight": False},
}
