"""What messages cost, and what WhatsApp has saved: noted in the message, counted once the change is kept.

Prices are decimals in the configured currency, as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache

from gateway.delivery.ports import Channel
from gateway.store.turn import Turn


def taken(turn: Turn, channel: Channel) -> None:
    """An operator charges every segment it took."""
    cost = _price_of(channel.price, turn.message.segments)
    if cost:
        _book(turn, channel.name, cost)


def delivered(turn: Turn, channels: Mapping[str, Channel]) -> None:
    """WhatsApp charges what was delivered, and the SMS that was not needed is saved."""
    message = turn.message
    channel = channels.get(message.decided_by)
    if channel is None or channel.kind != "whatsapp" or message.copy_of:
        return
    first = message.part is None or not message.joined_in or message.part.number == 1  # one text, one price
    cost = _price_of(channel.price, 1 if first else 0)
    if cost:
        _book(turn, channel.name, cost)
    spared = next((c for name in message.plan if (c := channels.get(name)) and c.kind == "smsc"), None)
    if spared is not None and not any(a.channel == spared.name and a.remote_id for a in message.attempts):
        saved = _price_of(spared.price, message.segments) - cost
        if saved > 0:
            turn.count("pombo_saved", n=float(saved))


def _book(turn: Turn, channel: str, cost: Decimal) -> None:
    before = turn.message.cost
    turn.message.cost = str(cost if before == "0" else Decimal(before) + cost)
    turn.count("pombo_cost", channel, n=float(cost))


@lru_cache(maxsize=4096)
def _price_of(price: str, times: int) -> Decimal:
    return Decimal(price) * times
