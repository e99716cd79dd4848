from __future__ import annotations

import io
from typing import Any

import pytest

from tools import journey
from tools.terminal import Terminal

KINDS = {"zap": "whatsapp", "operator": "smsc"}


def event(second: float, name: str, channel: str = "", detail: str = "") -> dict[str, Any]:
    out = {"at": f"2026-11-21T10:00:{second:06.3f}Z", "event": name}
    return {**out, **({"channel": channel} if channel else {}), **({"detail": detail} if detail else {})}


DELIVERED = [
    event(0, "accepted"),
    event(0, "decided", "zap", "first choice"),
    event(0.05, "lookup", "zap", "active (provider)"),
    event(0.1, "sent", "zap"),
    event(0.2, "ack", "zap"),
    event(0.4, "delivered", "zap"),
    event(0.5, "read", "zap"),
    event(0.5, "receipt_queued"),
    event(0.6, "receipt_answered"),
]
FELL_BACK = [
    event(0, "accepted"),
    event(0.05, "lookup", "zap", "inactive (cache)"),
    event(0.05, "failed", "zap", "no_account (cache)"),
    event(0.05, "fallback", "operator", "from zap: no_account"),
    event(0.2, "retry", "operator", "throttled"),
    event(0.4, "retry", "operator", "throttled"),
    event(0.6, "sent", "operator"),
    event(0.9, "failed", "operator", "undeliverable 027"),
]
READ_ONLY = [event(0, "accepted"), event(0.1, "sent", "zap"), event(0.5, "read", "zap")]
MESSAGE = {
    "id": "m1", "account": "billing", "from": "28940", "to": "(11) 98888-0001", "state": "delivered", "channel": "zap",
    "segments": 2, "price": "0.16", "events": DELIVERED,
}  # fmt: skip


def plain() -> Terminal:
    return Terminal(io.TextIOWrapper(io.BytesIO(), "utf-8"), {})


@pytest.mark.parametrize(
    ("events", "steps"),
    [
        (DELIVERED, ["accepted", "lookup active", "WhatsApp sent", "delivered"]),
        (
            FELL_BACK,
            ["accepted", "lookup inactive", "fallback: no account", "retry: throttled ×2", "SMS sent",
             "failed: undeliverable 027"],
        ),
        (READ_ONLY, ["accepted", "WhatsApp sent", "read"]),
        ([], []),
    ],
)  # fmt: skip
def test_a_journey_is_told_in_its_main_steps(events: list[dict[str, Any]], steps: list[str]) -> None:
    assert journey.steps_of(events, KINDS, plain()) == steps


def test_a_long_journey_is_broken_between_steps() -> None:
    lines = journey.joined(["step number one"] * 12, plain(), first=60, hang=10).split("\n")
    assert len(lines) == 3
    assert all(line.startswith(" " * 10 + "→ ") for line in lines[1:])
    assert max(map(len, lines[1:])) < 140 and len(lines[0]) + 60 < 140


def test_a_trace_tells_why_in_words() -> None:
    told = [journey.why_of(event) for event in FELL_BACK[1:4]]
    assert told == ["inactive (cache)", "no account (cache)", "from zap: no account"]
    assert journey.why_of(event(0, "fallback", "operator", "from zap: timeout")) == "from zap: not delivered in time"
    deleted = event(0, "fallback", "operator", "from zap: timeout, zap's copy deleted")
    assert journey.why_of(deleted) == "from zap: not delivered in time, zap's copy deleted"
    assert journey.step_of(deleted, KINDS) == "fallback: not delivered in time, zap's copy deleted"


def test_a_trace_has_a_line_for_every_event() -> None:
    lines = journey.trace(MESSAGE, plain(), KINDS, "BRL")
    assert lines[0] == "m1  billing  28940 → (11) 98888-0001  delivered  2026-11-21"
    assert len(lines) == 2 + len(DELIVERED)
    assert "+0.05 s  lookup           WhatsApp (zap)        active (provider)" in lines[3]
    assert lines[-1] == "  delivered, by WhatsApp, 2 segments, R$ 0,16, 0.60 s"


def test_only_new_events_are_told_when_one_follows() -> None:
    assert len(journey.event_lines(MESSAGE, plain(), KINDS, seen=7)) == 2


def test_unknown_channels_keep_their_name_and_details_of_any_shape_are_words() -> None:
    assert journey.step_of({"event": "sent", "channel": "other"}, {}) == "other sent"
    assert journey.detail_of({"detail": {"reason": "x\x1b", "tries": 2}}) == "reason=x? tries=2"
    assert journey.detail_of({"detail": 7}) == "7"
