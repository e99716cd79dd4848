"""The configuration as the values that the rooms of the gateway take."""

from __future__ import annotations

import re
from math import ceil
from typing import Any

from config.schema import Config
from gateway.messages.message import Priority
from gateway.routing.replies import ReplyRule
from gateway.routing.routes import Route, When
from gateway.server.dialect import dialect_of
from gateway.store import keys


def remote_id_days_of(config: Config) -> int:
    """For how many days a report has to find its message."""
    longest = ceil(config.smpp_server.default_validity / keys.DAY_S) + keys.REMOTE_ID_DAYS_AFTER_EXPIRY
    return max(keys.LEAST_REMOTE_ID_DAYS, longest)


def writers_days_of(config: Config) -> int:
    """For how many days it is noted who wrote to a number: whatever is traceable has to be found by it."""
    return ceil(max(config.store.writers, config.store.retention) / keys.DAY_S)


def dedupe_of(config: Config) -> dict[str, float]:
    """The accounts that want no text twice, and for how many seconds."""
    return {account.system_id: account.dedupe for account in config.smpp_server.accounts if account.dedupe}


def short_ids_of(config: Config) -> dict[str, str]:
    """The accounts whose clients cannot keep our ids, and the form they want: hex or decimal."""
    spoken = {account.system_id: dialect_of(account) for account in config.smpp_server.accounts}
    return {name: dialect.ids for name, dialect in spoken.items() if dialect is not None and dialect.ids}


def routes_of(config: Config) -> tuple[Route, ...]:
    """The configuration's routes as values of gateway.routing."""

    def when_of(when: Any) -> When | None:
        if when is None:
            return None
        return When(
            account=when.account, to=when.to, sources=when.from_,
            text=re.compile(when.text) if when.text is not None else None, data_coding=when.data_coding,
            hours=when.hours, days=when.days,
        )  # fmt: skip

    return tuple(
        Route(
            name=route.name, channels=route.channels, fallback_after=route.fallback_after or 0.0,
            success=route.success, priority=Priority[route.priority.upper()], when=when_of(route.when),
        )
        for route in config.routes
    )  # fmt: skip


def replies_of(config: Config) -> tuple[ReplyRule, ...]:
    """The configuration's table of replies as values of gateway.routing."""
    addresses = {
        one.system_id: one.default_source or next(iter(one.sources), "") for one in config.smpp_server.accounts
    }
    return tuple(
        ReplyRule(one.account, one.to, one.channel, one.always, addresses.get(one.account, ""))
        for one in config.replies
    )
