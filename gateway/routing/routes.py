"""Which route a message takes: the first one whose conditions all hold."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence

import msgspec

from gateway.messages.message import Message, Priority

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class When(msgspec.Struct, frozen=True):
    """The conditions of a route; an absent one always holds."""

    account: tuple[str, ...] = ()
    to: tuple[str, ...] = ()  # prefixes of the E.164 digits
    sources: tuple[str, ...] = ()
    text: re.Pattern[str] | None = None
    data_coding: tuple[int, ...] = ()
    hours: tuple[int, int] | None = None  # minutes of the local day, from (inclusive) and until (exclusive)
    days: tuple[str, ...] = ()


class Route(msgspec.Struct, frozen=True):
    """A plan: channels in order of preference, and how long each is given."""

    name: str
    channels: tuple[str, ...]
    fallback_after: float = 0.0  # seconds
    success: str = "delivered"
    priority: Priority = Priority.NORMAL
    when: When | None = None


def parse_hours(text: str) -> tuple[int, int]:
    """ "08:00-20:00" as minutes of the day. ValueError when it is none."""
    start, end = ([int(part) for part in half.split(":")] for half in text.split("-"))
    return start[0] * 60 + start[1], end[0] * 60 + end[1]


def find_route(
    routes: Sequence[Route], message: Message, now: float, text_of: Callable[[Message], str | None]
) -> Route | None:
    """The first route that takes this message. text_of is asked once at most, and only where a route looks at it."""
    text: str | None = None
    asked = False
    for route in routes:
        when = route.when
        if when is None:
            return route
        if when.account and message.account not in when.account:
            continue
        if when.to and not message.msisdn.startswith(tuple(prefix.lstrip("+") for prefix in when.to)):
            continue
        if when.sources and message.source not in when.sources:
            continue
        if when.data_coding and message.data_coding not in when.data_coding:
            continue
        if (when.hours or when.days) and not _is_open(when, now):
            continue
        if when.text is not None:
            if not asked:
                text, asked = text_of(message), True
            if text is None or when.text.search(text) is None:
                continue
        return route
    return None


def _is_open(when: When, now: float) -> bool:
    local = time.localtime(now)
    minute = local.tm_hour * 60 + local.tm_min
    day = local.tm_wday
    if when.hours is not None:
        start, end = when.hours
        if start <= end:
            if not start <= minute < end:
                return False
        elif end <= minute < start:  # over midnight
            return False
        elif minute < end:
            day = (day - 1) % 7  # the hours after midnight belong to the evening before
    return not when.days or DAYS[day] in when.days
