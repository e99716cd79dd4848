"""Which route a message takes: the first one whose conditions all hold."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from functools import lru_cache

import msgspec

from gateway.messages.message import Message, Priority
from gateway.routing.words import needed

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
    words: tuple[str, ...] = ()  # follows from `text`: an ASCII text that matches has one of them, in lower case

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "words", needed(self.text))


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


class Routes:
    """All routes, in their order. Asking costs the same however many there are: of those that name accounts or numbers
    only the ones that name the message's are looked at."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = tuple(routes)
        self._of_account: dict[str, _Fitting] = {}

    def find(self, message: Message, now: float, text_of: Callable[[Message], str | None]) -> Route | None:
        """The first route that takes this message. text_of is asked once at most, and only where a route wants it."""
        fitting = self._of_account.get(message.account)
        if fitting is None:
            fitting = self._of_account[message.account] = _fitting(self._routes, message.account)
        text: str | None = None
        lowered = ""  # the text, if it is of ASCII
        asked = False
        for route in fitting.for_number(message.msisdn) if fitting.lengths else fitting.any_number:
            when = route.when
            if when is None:
                return route
            if when.sources and message.source not in when.sources:
                continue
            if when.data_coding and message.data_coding not in when.data_coding:
                continue
            if (when.hours or when.days) and not _is_open(when, now):
                continue
            if when.text is not None:
                if not asked:
                    text, asked = text_of(message), True
                    lowered = text.lower() if text is not None and text.isascii() else ""
                if text is None:
                    continue
                if when.words and lowered and not _holds_one(lowered, when.words):
                    continue
                if when.text.search(text) is None:
                    continue
            return route
        return None


class _Fitting(msgspec.Struct, frozen=True):
    """The routes that fit one account. prefixed: by prefix, with their places; lengths: of the prefixes; in_order: the
    routes for the numbers that begin with the same of these prefixes."""

    any_number: tuple[Route, ...]
    places: tuple[int, ...]  # of any_number
    prefixed: dict[str, list[tuple[int, Route]]]
    lengths: tuple[int, ...]
    in_order: dict[str, Sequence[Route]] = msgspec.field(default_factory=dict)

    def for_number(self, msisdn: str) -> Sequence[Route]:
        prefixed, longest = self.prefixed, ""
        for length in self.lengths:
            if msisdn[:length] in prefixed:
                longest = msisdn[:length]  # says what the shorter ones are
        if not longest:
            return self.any_number
        routes = self.in_order.get(longest)
        if routes is None:
            routes = self.in_order[longest] = self._merged(longest)
        return routes

    def _merged(self, longest: str) -> Sequence[Route]:
        hits = dict(zip(self.places, self.any_number, strict=True))
        for length in self.lengths:
            hits.update(self.prefixed.get(longest[:length], ()))
        return [hits[place] for place in sorted(hits)]


def _fitting(routes: Sequence[Route], account: str) -> _Fitting:
    prefixed: dict[str, list[tuple[int, Route]]] = {}
    others: list[tuple[int, Route]] = []
    for place, route in enumerate(routes):
        when = route.when
        if when is not None and when.account and account not in when.account:
            continue
        if when is None or not when.to:
            others.append((place, route))
            continue
        for prefix in when.to:
            prefixed.setdefault(prefix.lstrip("+"), []).append((place, route))
    return _Fitting(
        tuple(route for _, route in others),
        tuple(place for place, _ in others),
        prefixed,
        tuple(sorted({len(prefix) for prefix in prefixed})),
    )


def _holds_one(text: str, words: tuple[str, ...]) -> bool:
    for word in words:  # noqa: SIM110 - a generator costs more than the words
        if word in text:
            return True
    return False


def _is_open(when: When, now: float) -> bool:
    minute, day = _local(now // 60)
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


@lru_cache(maxsize=4)
def _local(minutes: float) -> tuple[int, int]:
    """A minute since the epoch as the minute of its local day, and its day of the week."""
    local = time.localtime(minutes * 60)
    return local.tm_hour * 60 + local.tm_min, local.tm_wday
