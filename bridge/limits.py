"""What one sender may do beyond its rate: so many a day, fewer while it is new, and no more than one message to a
person in some seconds. Pure: told the time, in seconds since the epoch.

A sender that starts cold traffic at full speed gets banned; Meta lets one message to one person through every 6 s.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from datetime import date, datetime, timedelta

import msgspec

IN_TURN_S = 0.001  # between messages to one person that come again at the same moment: in the order they came
KEPT_S = 400 * 86_400.0  # how long a sender is not new any more


class Tally(msgspec.Struct, array_like=True, frozen=True):
    """What outlives the process. Days as ordinals of the local calendar, 0: none yet."""

    first_day: int = 0
    day: int = 0
    used: int = 0


class Quota:
    """So many a day. warm_up: of the first days, counted from the first use, in order; after them, and without it,
    `day`; None: as many as one likes."""

    def __init__(self, day: int | None, warm_up: Sequence[int] = ()) -> None:
        self._day, self._warm_up = day, tuple(warm_up)
        self.tally = Tally()
        self._untold = self._apart = 0  # uses that nobody else knows of, and those of whom no sum has come back yet
        self.limited = day is not None or bool(warm_up)

    def left(self, now: float) -> float:
        """How many more today; infinity without a limit."""
        if not self.limited:
            return math.inf
        today = _ordinal(now)
        first = self.tally.first_day or today
        most = self._day if self._day is not None else math.inf
        if today - first < len(self._warm_up):
            most = min(most, self._warm_up[max(0, today - first)])
        return max(0.0, most - (self.tally.used if self.tally.day == today else 0))

    def take(self, count: int, now: float) -> None:
        """Count a use; a negative one gives it back."""
        today = _ordinal(now)
        used = self.tally.used if self.tally.day == today else 0
        self.tally = Tally(self.tally.first_day or today, today, max(0, used + count))
        self._untold += count

    def tell(self) -> int:
        """What was used since the last time: the others are told."""
        count, self._untold = self._untold, 0
        self._apart += count
        return count

    def agree(self, shared: Tally, count: int) -> None:
        """What all have used of a day, this count of ours among it. A clock that is days off counts for itself."""
        self._apart -= count
        if shared.day == self.tally.day:
            used = max(0, shared.used + self._apart + self._untold)
            self.tally = Tally(shared.first_day, shared.day, used)

    @staticmethod
    def seconds_left(now: float) -> float:
        """Until the next day begins."""
        midnight = datetime.combine(date.fromtimestamp(now) + timedelta(days=1), datetime.min.time())
        return max(1.0, midnight.timestamp() - now)


class Gaps:
    """No more than one message to one person in so many seconds (0: as many as one likes), and none to a person that
    the service closed for a while."""

    def __init__(self, gap: float) -> None:
        self._gap = gap
        self._free_at: OrderedDict[str, float] = OrderedDict()  # the person's next moment
        self._put_off: dict[str, float] = {}  # when the last one is to come again that was put off

    def wait(self, person: str, now: float, most: float, last: float = 0.0) -> float:
        """How long the next message to this person has to wait, at most so long: then its moment is taken. Longer: it
        is not, and the message has to come again, after those that were put off before it. last: when an earlier
        process sent one."""
        if not self._gap and not self._free_at:
            return 0.0
        while self._free_at:
            first = next(iter(self._free_at))
            if self._free_at[first] > now:
                break
            del self._free_at[first]
            self._put_off.pop(first, None)
        at = max(now, self._free_at.get(person, last + self._gap))
        if at - now <= most:
            self._free(person, at + self._gap)
            return at - now
        at = self._put_off[person] = max(at, self._put_off.get(person, 0.0) + IN_TURN_S)
        return at - now

    def close(self, person: str, until: float) -> None:
        """Nothing goes to this person before that moment."""
        self._free(person, max(until, self._free_at.get(person, until)))

    def _free(self, person: str, at: float) -> None:
        self._free_at[person] = at
        self._free_at.move_to_end(person)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Tally)


def pack(tally: Tally) -> bytes:
    return _encoder.encode(tally)


def unpack(value: bytes | None) -> Tally:
    """A kept tally; empty for none, and for one that cannot be read."""
    try:
        return _decoder.decode(value) if value else Tally()
    except (msgspec.DecodeError, ValueError):
        return Tally()


def _ordinal(now: float) -> int:
    return date.fromtimestamp(now).toordinal()
