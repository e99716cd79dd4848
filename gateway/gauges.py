"""Gauges of accounts and of channels, for whoever reads `/metrics`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from gateway.delivery.ports import Channel, senders_of
from gateway.messages.message import Priority
from gateway.metrics import Gauge


def of_accounts(
    accounts: Iterable[str], binds: Mapping[str, Collection[object]], pending: Mapping[str, int]
) -> Iterator[Gauge]:
    """binds: those that are bound, by account. pending: receipts and replies, by account."""
    for account in accounts:
        yield "pombo_binds", ("server", account), float(len(binds.get(account, ())))
        yield "pombo_receipts_pending", (account,), float(pending.get(account, 0))


def of_channels(
    channels: Iterable[Channel], depth: Mapping[str, tuple[int, int, int]], oldest_at: Mapping[str, float], now: float
) -> Iterator[Gauge]:
    """depth: messages that wait, by channel and priority. oldest_at: when the first of them was accepted."""
    for channel in channels:
        name = channel.name
        yield "pombo_binds", ("client", name), float(channel.binds)
        yield "pombo_channel_up", (name,), float(bool(channel.up))
        yield "pombo_inflight", (name,), float(channel.inflight)
        for sender in senders_of(channel):
            yield "pombo_sender_up", (name, sender["name"]), float(sender["up"])
        if channel.kind == "whatsapp":
            yield "pombo_channel_quarantined", (name,), float(bool(getattr(channel, "quarantined", False)))
        at = oldest_at.get(name, 0.0)
        yield "pombo_queue_oldest_seconds", (name,), max(0.0, now - at) if at else 0.0
        for priority, waiting in zip(Priority, depth.get(name, (0, 0, 0)), strict=True):
            yield "pombo_queue_depth", (name, priority.name.lower()), float(waiting)
