"""What became of a message, as a person reads it: one line per event (`trace`), or the whole way in one (`demo`).

Takes messages and events as the HTTP listener gives them (`GET /admin/messages/{id}`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from tools.terminal import Terminal, harmless, pad, width_of
from tools.units import age, epoch, money

FINAL = frozenset({"delivered", "expired", "deleted", "undeliverable", "unknown", "rejected"})
STYLES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("accepted", "joined", "decided", "ack", "receipt_queued", "receipt_sent"), ("dim",)),
    **dict.fromkeys(("delivered", "read", "receipt_answered"), ("green",)),
    **dict.fromkeys(("retry", "late", "replaced"), ("yellow",)),
    **dict.fromkeys(("failed", "expired", "cancelled"), ("red",)),
    "lookup": ("cyan",),
    "sent": ("blue",),
    "fallback": ("yellow", "bold"),
}
STATE_STYLES = {"delivered": ("green", "bold"), "accepted": ("cyan",), "enroute": ("cyan",), "scheduled": ("cyan",)}
QUIET = frozenset({"decided", "ack", "receipt_queued", "receipt_sent", "receipt_answered", "read"})
KINDS = {"whatsapp": "WhatsApp", "smsc": "SMS"}
REASONS = {
    "no_account": "no account",
    "timeout": "not delivered in time",
    "provider_down": "provider down",
    "channel_down": "channel down",
    "unknown": "account unknown",
    "failed": "failed after it was sent",
    "undeliverable": "undeliverable",
}
_FROM = re.compile(r"from \S+: ")
_WORD = re.compile(r"^[^ ,]+")


def detail_of(event: Mapping[str, Any]) -> str:
    """The detail of an event as words, whatever shape it has."""
    detail = event.get("detail")
    if detail is None or detail == "":
        return ""
    if isinstance(detail, Mapping):
        return harmless(" ".join(f"{name}={value}" for name, value in detail.items()))
    return harmless(str(detail))


def why_of(event: Mapping[str, Any]) -> str:
    """The detail of an event, the reason of a decision as words: `from zap: no_account` is `from zap: no account`."""
    detail = detail_of(event)
    if event["event"] not in ("fallback", "decided", "failed"):
        return detail
    before = found[0] if (found := _FROM.match(detail)) else ""
    return before + _said(detail[len(before) :])


def _said(reason: str) -> str:
    """Its first word, which metrics have as a label, as a person says it: `timeout, zap's copy deleted`."""
    return _WORD.sub(lambda found: REASONS.get(found[0], found[0]), reason, count=1)


def channel_word(channel: str, kinds: Mapping[str, str]) -> str:
    """ "WhatsApp" or "SMS" where the channel's kind is known, else its name."""
    return KINDS.get(kinds.get(channel, ""), channel)


def step_of(event: Mapping[str, Any], kinds: Mapping[str, str]) -> str | None:
    """An event as a step of the journey ("WhatsApp sent", "fallback: no account"); None for the quiet ones."""
    name, detail = str(event["event"]), detail_of(event)
    if name in QUIET:
        return None
    word = channel_word(str(event.get("channel") or ""), kinds)
    match name:
        case "sent":
            return f"{word} sent".strip()
        case "lookup":
            return f"lookup {detail.split()[0]}" if detail else "lookup"
        case "fallback" | "failed" | "retry":
            reason = _FROM.sub("", detail, count=1)
            return f"{name}: {_said(reason)}" if reason else name
    return name


def steps_of(events: Sequence[Mapping[str, Any]], kinds: Mapping[str, str], terminal: Terminal) -> list[str]:
    """The painted steps of a journey. Repeated steps (retries) are counted, a `read` without `delivered` is told, and
    a failure that led to a fallback is left to the fallback, which gives the reason."""
    out: list[tuple[str, str, int]] = []
    heard = {str(event["event"]) for event in events}
    for event in events:
        name = str(event["event"])
        step = "read" if name == "read" and "delivered" not in heard else step_of(event, kinds)
        if step is None:
            continue
        if name == "fallback" and out and out[-1][0] == "failed":
            out.pop()
        if out and out[-1][1] == step:
            out[-1] = (name, step, out[-1][2] + 1)
        else:
            out.append((name, step, 1))
    return [terminal.paint(step + (f" ×{n}" if n > 1 else ""), *STYLES.get(name, ())) for name, step, n in out]


def joined(steps: Sequence[str], terminal: Terminal, first: int, hang: int) -> str:
    """Steps with arrows between them, broken between steps at the terminal's width.

    first: columns already used on the first line; hang: indent of the following ones.
    """
    arrow = terminal.paint(terminal.arrow, "dim")
    lines, used = [""], first
    for place, step in enumerate(steps):
        piece = step if place == 0 else f" {arrow} {step}"
        if place and used + width_of(piece) > terminal.width - 1:
            lines.append(" " * hang + f"{arrow} {step}")
            used = width_of(lines[-1])
        else:
            lines[-1] += piece
            used += width_of(piece)
    return "\n".join(lines)


def event_lines(message: Mapping[str, Any], terminal: Terminal, kinds: Mapping[str, str], seen: int = 0) -> list[str]:
    """One aligned line per event, the first `seen` left out: time, since acceptance, event, channel, detail."""
    events = message["events"]
    began = epoch(events[0]["at"]) if events else 0.0
    lines = []
    for event in events[seen:]:
        at = epoch(event["at"])
        name, channel = str(event["event"]), str(event.get("channel") or "")
        clock = datetime.fromtimestamp(at).strftime("%H:%M:%S.%f")[:-3]
        where = channel_word(channel, kinds)
        where = where if where == channel or not channel else f"{where} ({channel})"
        lines.append(
            f"  {terminal.paint(clock, 'dim')}  {pad('+' + age(at - began), 9, right=True)}  "
            f"{terminal.paint(pad(name, 17), *STYLES.get(name, ()))}{pad(where, 22)}{why_of(event)}".rstrip()
        )
    return lines


def heading(message: Mapping[str, Any], terminal: Terminal) -> str:
    """The first line of a trace: id, account, addresses, state, the day it was accepted."""
    state = str(message["state"])
    events = message["events"]
    day = datetime.fromtimestamp(epoch(events[0]["at"])).strftime("  %Y-%m-%d") if events else ""
    sender = f"{harmless(str(message['from']))} " if message.get("from") else ""
    return (
        f"{terminal.paint(str(message['id']), 'bold')}  {message['account']}  "
        f"{sender}{terminal.arrow} {harmless(str(message['to'])) or '(erased)'}  "
        f"{terminal.paint(state, *STATE_STYLES.get(state, ('red', 'bold')))}{terminal.paint(day, 'dim')}"
    )


def closing(message: Mapping[str, Any], terminal: Terminal, kinds: Mapping[str, str], currency: str) -> str:
    """The last line of a trace: final state, by which channel, segments, price, how long it took."""
    state, channel = str(message["state"]), str(message.get("channel") or "")
    parts = [terminal.paint(state, *STATE_STYLES.get(state, ("red", "bold")))]
    if channel:
        parts.append(f"by {channel_word(channel, kinds)}")
    segments = int(message.get("segments") or 0)
    if segments:
        parts.append(f"{segments} segment{'s' if segments != 1 else ''}")
    if message.get("price") is not None:
        parts.append(money(Decimal(str(message["price"])), currency))
    events = message["events"]
    if len(events) > 1:
        parts.append(age(epoch(events[-1]["at"]) - epoch(events[0]["at"])))
    return "  " + ", ".join(parts)


def trace(message: Mapping[str, Any], terminal: Terminal, kinds: Mapping[str, str], currency: str) -> list[str]:
    """A whole message: heading, events, closing."""
    events = event_lines(message, terminal, kinds)
    return [heading(message, terminal), *events, closing(message, terminal, kinds, currency)]
