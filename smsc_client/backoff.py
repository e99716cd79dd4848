"""How long a link waits before it tries again: the longer the less there is to hope for, and never in step with others.

Pure: chance comes as an argument.
"""

from __future__ import annotations

from collections.abc import Callable

from config.schema import ReconnectSettings
from gateway.smpp.constants import CommandStatus as Status

JITTER = 0.2
REFUSED_S, REFUSED_MOST_S = 30.0, 300.0  # our credentials are refused; too many tries lock an account
BUSY_S, BUSY_MOST_S = 5.0, 60.0  # the operator cannot take us just now
STALE_S = 60.0  # our old session counts as bound until its inactivity time is over

LOCKED_OUT = frozenset(
    map(int, (Status.ESME_RBINDFAIL, Status.ESME_RINVPASWD, Status.ESME_RINVSYSID, Status.ESME_RINVSYSTYP))
)


class Backoff:
    """Doubling waits, give or take 20 %; those after refused binds have their own measure.

    With `reconnect: {initial: 1s, max: 60s}`: 1 s to 60 s after a lost link or where nobody listens, 30 s to 5 min
    after wrong credentials, 60 s where we count as bound already, 5 s to 60 s after any other refusal. A shorter `max`
    shortens these in proportion.
    """

    def __init__(self, settings: ReconnectSettings, random: Callable[[], float]) -> None:
        """random: uniform in [0, 1)."""
        self._settings, self._random = settings, random
        self._scale = min(1.0, settings.max / STALE_S)
        self.reset()

    def reset(self) -> None:
        """The link was bound for a while: all begins anew."""
        self._next_s, self._refused_s, self._busy_s = self._settings.initial, REFUSED_S, BUSY_S

    def delay(self, refused: int = 0) -> float:
        """Seconds until the next try. refused: the command_status that refused the bind, 0 when none did."""
        wait, most = self._next_s, self._settings.max
        self._next_s = min(self._next_s * 2, most)
        if refused in LOCKED_OUT:
            wait, most = max(wait, self._refused_s * self._scale), max(most, REFUSED_MOST_S * self._scale)
            self._refused_s = min(self._refused_s * 2, REFUSED_MOST_S)
        elif refused == Status.ESME_RALYBND:
            return max(wait, STALE_S * self._scale) * (1 + JITTER * self._random())  # not before the old one can end
        elif refused:
            wait = max(wait, self._busy_s * self._scale)
            self._busy_s = min(self._busy_s * 2, BUSY_MOST_S)
        return min(wait * (1 - JITTER + 2 * JITTER * self._random()), most)
