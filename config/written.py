"""Values of the configuration as people write them."""

from __future__ import annotations

from decimal import Decimal

_DURATIONS = ((86400.0, "d"), (3600.0, "h"), (60.0, "m"), (1.0, "s"))
_RATES = ((1.0, "s"), (60.0, "m"), (3600.0, "h"))


def duration(seconds: float) -> str:
    """The longest unit that makes a whole number of it: 90 is 90s, 600 is 10m."""
    if not seconds:
        return "0s"
    for size, unit in _DURATIONS:
        if seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{_short(seconds * 1000)}ms" if seconds < 1 else f"{_short(seconds)}s"


def rate(per_second: float) -> str:
    """The shortest unit that makes a whole number of it: 0.5 is 30/m."""
    for size, unit in _RATES:
        times = per_second * size
        if abs(times - round(times)) < 1e-9 and times >= 1:
            return f"{times:.0f}/{unit}"
    return f"{_short(per_second)}/s"


def _short(number: float) -> str:
    return f"{Decimal(repr(round(number, 6))).normalize():f}"
