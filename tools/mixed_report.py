"""What became of everybody in the long mixed run, and which promises were not kept. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from tools.mixed_cast import Fate, twice_is_allowed
from tools.terminal import table

HEAD = ("fault", "people", "by WhatsApp", "by SMS", "other ends", "sends", "SMS", "both")
FINAL = {"delivered": "DELIVRD", "undeliverable": "UNDELIV", "rejected": "REJECTD", "expired": "EXPIRED"}


class Outcome(msgspec.Struct):
    """One message: what it meets, and what became of it."""

    number: str
    fate: Fate
    message_id: str = ""
    stats: list[str] = []  # of its receipts
    state: str = ""
    channel: str = ""
    finals: int = 0  # receipts that the gateway made
    whatsapp: int = 0  # texts the provider took
    read: int = 0  # of these, how many reached the telephone
    sms: int = 0  # submits the operator took
    story: str = ""  # its events, with the seconds since it was accepted

    @property
    def in_the_dark(self) -> bool:
        """The gateway never had the answer of a send, or heard of its delivery when the next channel had it."""
        return " unanswered: " in self.story or " late " in f"{self.story} "


def story_of(events: Sequence[dict[str, Any]]) -> str:
    """Events as the admin part tells them, in one line."""
    moments = [datetime.fromisoformat(one["at"]) for one in events]
    return ", ".join(
        " ".join(
            filter(
                None, (f"{(at - moments[0]).total_seconds():.1f}s", one["event"], one.get("channel"), one.get("detail"))
            )
        )
        for at, one in zip(moments, events, strict=True)
    )


def report(outcomes: Sequence[Outcome]) -> list[str]:
    """A line for each fault, the commonest first, and one for all."""
    rows: defaultdict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        rows[outcome.fate.fault].append(outcome)
    lines = [_line(fault, rows[fault]) for fault in sorted(rows, key=lambda fault: -len(rows[fault]))]
    return table(HEAD, [*lines, _line("all", outcomes)], frozenset(range(1, 8)))


def _line(name: str, outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    by = Counter(o.channel if o.state == "delivered" else "other" for o in outcomes)
    figures = (
        len(outcomes), by["zap"], by["operator"], by["other"], sum(o.whatsapp for o in outcomes),
        sum(o.sms for o in outcomes), sum(o.read > 0 and o.sms > 0 for o in outcomes),
    )  # fmt: skip
    return (name, *map(str, figures))


def broken_promises(outcomes: Sequence[Outcome], api: str, *, stood_still: bool = False) -> dict[str, list[Outcome]]:
    """What was promised -> the messages for which it was not kept.

    stood_still: answers came late for a reason of their own, so that anybody may have been left in the dark.
    """

    def twice(outcome: Outcome) -> bool:
        return twice_is_allowed(outcome.fate.fault, api) or (stood_still and outcome.in_the_dark)

    promises: dict[str, Callable[[Outcome], object]] = {
        "were not accepted": lambda o: not o.message_id,
        "are in no final state": lambda o: o.message_id and o.state not in FINAL,
        "have not exactly one receipt": lambda o: o.message_id and (len(o.stats) != 1 or o.finals != 1),
        "have a receipt that says something else": lambda o: set(o.stats) - {FINAL.get(o.state, "")},
        "are delivered and reached nobody": lambda o: o.state == "delivered" and not o.read and not o.sms,
        "are undelivered and reached somebody by WhatsApp": lambda o: (
            o.state in FINAL and o.state != "delivered" and o.read and not twice(o)
        ),
        "were served twice": lambda o: (o.read > 1 or o.sms > 1 or (o.read and o.sms)) and not twice(o),
        "were served more than twice": lambda o: o.read + o.sms > 2,
    }
    broken = {promise: [o for o in outcomes if is_broken(o)] for promise, is_broken in promises.items()}
    return {promise: found for promise, found in broken.items() if found}
