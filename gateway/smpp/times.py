"""The SMPP time format of schedule_delivery_time, validity_period and final_date (SMPP 3.4, 7.1.1)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo

_DAY = 86_400
_RELATIVE = re.compile(r"([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})[0-9]{3}R")
_ABSOLUTE = re.compile(r"([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9])([0-9]{2})([+-])")
_NONE = re.compile(r"0+[R+-]?")
_WITHOUT_ZONE = {10: "%y%m%d%H%M", 12: "%y%m%d%H%M%S", 14: "%Y%m%d%H%M%S"}


class BadTime(ValueError):
    """A time that nobody can read; `status` is the command_status to answer."""

    def __init__(self, status: int) -> None:
        super().__init__("unreadable time")
        self.status = status


def parse_absolute_or_relative(text: str, now: float, status_on_error: int, zone: tzinfo | None = None) -> float | None:
    """Read a time field; epoch seconds, or None for "not given" (empty, or all zeros as some clients send).

    `YYMMDDhhmmsstnnp` is absolute, t tenths of a second, nn quarter hours local time is ahead (+) or behind (-) UTC;
    `YYMMDDhhmmsst00R` is an amount of time from now, its months taken as 30 days and its years as 365. Fields of an
    amount may exceed 59 or 23. Read as well, because clients send them: 10, 12 and 14 digits without a zone, which
    are local time in `zone` (None: this machine's). Raises BadTime with `status_on_error`.
    """
    if not text or _NONE.fullmatch(text):
        return None
    if amount := _RELATIVE.fullmatch(text):
        years, months, days, hours, minutes, seconds = map(int, amount.groups())
        return now + (years * 365 + months * 30 + days) * _DAY + hours * 3600 + minutes * 60 + seconds
    try:
        if moment := _ABSOLUTE.fullmatch(text):
            year, month, day, hour, minute, second, tenths, quarters = map(int, moment.groups()[:8])
            if quarters > 48:
                raise BadTime(status_on_error)
            ahead = quarters * 900 if moment[9] == "+" else quarters * -900
            utc = datetime(2000 + year, month, day, hour, minute, second, tenths * 100_000, tzinfo=UTC)
            return utc.timestamp() - ahead
        if len(text) in _WITHOUT_ZONE and text.isascii() and text.isdigit():
            local = datetime.strptime(text, _WITHOUT_ZONE[len(text)])
            if local.year >= 2000:
                return local.replace(tzinfo=zone).timestamp()
    except BadTime:
        raise
    except (ValueError, OverflowError):
        pass
    raise BadTime(status_on_error)


def relative(seconds: float) -> str:
    """An amount of time as `YYMMDDhhmmss000R`, at least one second (zero would say "none"), at most 99 years."""
    left = min(max(1, round(seconds)), 99 * 365 * _DAY)
    years, left = divmod(left, 365 * _DAY)
    months, left = divmod(left, 30 * _DAY) if left >= 100 * _DAY else (0, left)
    days, left = divmod(left, _DAY)
    hours, left = divmod(left, 3600)
    minutes, left = divmod(left, 60)
    return f"{years:02d}{months:02d}{days:02d}{hours:02d}{minutes:02d}{left:02d}000R"


def absolute(at: float, ahead_s: int = 0) -> str:
    """A moment (epoch seconds) as `YYMMDDhhmmsstnnp`; ahead_s: local time minus UTC, in whole quarter hours."""
    local = datetime.fromtimestamp(at, timezone(timedelta(seconds=ahead_s)))
    sign = "-" if ahead_s < 0 else "+"
    return f"{local:%y%m%d%H%M%S}{local.microsecond // 100_000}{abs(ahead_s) // 900:02d}{sign}"
