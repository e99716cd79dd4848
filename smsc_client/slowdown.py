"""How fast an operator lets us go, found out from its ESME_RTHROTTLED and ESME_RMSGQFUL, and from congestion_state.

Pure: `now` is any clock in seconds that never goes back.
"""

from __future__ import annotations

import math

PAUSE_S = 1.0  # nothing is submitted for so long after a throttled answer
STEP_S = 2.0  # a rate that lasted so long counts as allowed
SETTLED_S = 4.0  # a rate that lasted so long and is refused then was only a little too high
PROBE_S, PROBE_MOST_S = 10.0, 60.0  # how long between attempts to go faster than what is known to be allowed
PROBE_STEP = 0.05  # of the configured rate; doubled while it succeeds
EASE = 0.9  # of the rate is left when the operator says that it is nearly congested
CLOSE = 0.02  # the search ends when the known bounds are so near to each other
FLOOR = 1.0  # submits per second
FORGIVEN = 0.02  # of the submits may be throttled by chance
IN_A_ROW = (1.0, 3.0)  # of them at once: what two seconds earn, within these bounds
# Where a much slower rate is throttled nearly as often, the rate is not what the operator minds.
SLOWER = 0.6  # of the rate that was throttled first
MOST_BY_CHANCE = 0.2  # of the submits; above that the operator has a limit
TELLING, AT_LEAST = 20, 2  # so many submits, and so many of them throttled, say something
LUCK = 3  # so many more at the faster rate say nothing
BY_CHANCE_S = 60.0  # for so long twice as many are forgiven
BY_CHANCE_IN_A_ROW = 12.0
# ... unless it turns out otherwise: so many throttled, and such a share of the submits.
LIMITED_AFTER, LIMITED_SHARE, LIMITED_S = 10, 0.25, 300.0


class Slowdown:
    """The effective rate of one channel: halved when throttled, then searched between what passed and what did not.

    A throttled answer stops everything for a second and halves the rate. After that the rate climbs half-way to the
    one that was refused, every two seconds, until both are within 2 %. Then it adds 5 % of the configured rate after
    10 s, more while that works and more seldom while it does not; a refusal there leads back to the rate that worked.
    A throttled answer among fifty others is chance and changes nothing: jitter on the way, an operator's own hiccup.
    An operator in trouble has more of them, at any rate: where a much slower one is throttled about as often, the rate
    comes back, and twice that share is forgiven for a minute.
    Belongs to the channel, so that a lost link forgets nothing.
    """

    def __init__(self, configured: float, began: float = 0.0) -> None:
        """configured: submits per second, the most there will ever be."""
        self.configured = configured
        self.paused_until = -math.inf
        self._chances, self._counted_at = 0.0, began
        self._forgiven, self._forgiven_until = FORGIVEN, -math.inf  # the share of the submits
        self._limited_until = -math.inf  # it has a limit: being slower helps
        self._written = 0  # submits, when the rate changed last
        self._forget()

    def _forget(self) -> None:
        """Full speed: nothing is known of a limit below the configured rate."""
        self.rate = self.configured
        self.due = math.inf  # when `update` has to be called next
        self._since = math.inf  # when the present rate began, while a limit is known
        self._passed = 0.0  # the highest rate that lasted
        self._refused = math.inf  # the lowest rate that did not
        self._found = False  # both are near enough to each other
        self._probe_s, self._step = PROBE_S, PROBE_STEP * self.configured
        self._begin()

    def _begin(self) -> None:
        """What comes at the present rate is the measure of what comes at slower ones."""
        self._fast, self._slow = _Share(self.rate), _Share(self.rate * SLOWER)
        self._is_slow = False  # it was throttled since

    def count_throttled(self, now: float, written: int, *, before: bool) -> None:
        """A submit was. written: all submits until now. before: this one was, before the rate went down."""
        fast = self._fast
        if not self._is_slow or (before and not self._slow.submits):
            fast.throttled += 1
            limited_from = max(LIMITED_AFTER, LIMITED_SHARE * (fast.submits + written - self._written))
            if now < self._forgiven_until and fast.throttled >= limited_from:
                self._forgiven_until, self._limited_until, self._chances = -math.inf, now + LIMITED_S, 0.0
        elif self.rate <= self._slow.rate:
            self._slow.throttled += 1

    def _count_submits(self, written: int) -> None:
        """written: all submits until now, before the rate changes."""
        share = self._slow if self._is_slow else self._fast
        if self.rate <= share.rate:
            share.submits += written - self._written
        self._written = written

    def forgives(self, now: float) -> bool:
        """A submit was throttled: was that by chance? An attempt to go faster is told by the first one."""
        by_chance = now < self._forgiven_until
        each_second = self.rate * (self._forgiven if by_chance else FORGIVEN)
        earned = max(0.0, now - max(self._counted_at, self.paused_until)) * each_second
        least, most = IN_A_ROW
        most = BY_CHANCE_IN_A_ROW if by_chance else max(least, min(most, 2 * each_second))
        self._chances = min(most, self._chances + earned)
        self._counted_at = now
        if self._chances < 1.0 or (self._found and self.rate > self._passed):
            return False
        self._chances -= 1.0
        return True

    def throttled(self, now: float, written: int = 0) -> None:
        """A submit was refused that was written at the present rate; the rest of its burst is not told. written: all
        submits until now."""
        self._count_submits(written)
        may_be_chance = self._is_slow and (now >= self._limited_until or self._fast.rate < self.configured)
        if may_be_chance and self._slow.is_like(self._fast):
            self._go_back(now)
        else:
            self._is_slow = True
            self._slow_down(now)

    def _go_back(self, now: float) -> None:
        """Being slower did not help."""
        fast = self._fast.rate
        self._forgiven, self._chances = 2 * max(self._fast.share, self._slow.share), BY_CHANCE_IN_A_ROW
        self._forgiven_until = now + BY_CHANCE_S
        self._forget()
        if fast < self.configured:
            self._found, self._passed = True, fast
            self._hold(now)
            self._begin()

    def _slow_down(self, now: float) -> None:
        self.paused_until = now + PAUSE_S
        self._refused, self._step = self.rate, PROBE_STEP * self.configured
        if self.rate > self._passed > 0:  # back to what is known to work
            if self._found:
                self._probe_s = min(PROBE_MOST_S, self._probe_s * 2)
                self._hold(self.paused_until)
            else:
                self._go(max(FLOOR, self._passed), self.paused_until, STEP_S)
        elif self._found and now - self._since >= SETTLED_S:
            self._passed = self.rate * 0.97
            self._hold(self.paused_until)
        else:
            self._found, self._passed, self._probe_s = False, 0.0, PROBE_S
            self._go(max(FLOOR, self.rate / 2), self.paused_until, STEP_S)

    def congested(self, now: float) -> None:
        """The operator is nearly congested: a tenth slower, and after a while an attempt to go faster again."""
        if self._since <= now < self._since + STEP_S:  # not heeded yet
            return
        self._found, self._refused, self._passed = True, self.rate, max(FLOOR, self.rate * EASE)
        self._probe_s, self._step = PROBE_S, PROBE_STEP * self.configured
        self._hold(now)

    def update(self, now: float, written: int = 0) -> None:
        """Go faster when the present rate has lasted; call it at `due`, or any time later. written: see `throttled`."""
        if now < self.due:
            return
        self._count_submits(written)
        if self._found:
            self._probe(now)
            return
        self._passed = max(self._passed, self.rate)
        if self._refused - self._passed <= max(CLOSE * self._refused, 0.05):
            self._found = True
            self._passed *= 1.0 - 2 * FORGIVEN  # what lasted may have been a little too fast, and was forgiven
            self._hold(now)
            self._begin()
        else:
            self._go(max(FLOOR, (self._passed + self._refused) / 2), now, STEP_S)

    def _go(self, rate: float, now: float, for_s: float) -> None:
        self.rate, self._since, self.due = rate, now, now + for_s

    def _hold(self, now: float) -> None:
        """The limit is known well enough: stay there for a while."""
        self._go(max(FLOOR, self._passed), now, self._probe_s)

    def _probe(self, now: float) -> None:
        if self.rate > self._passed:  # the last step lasted
            self._passed, self._refused, self._probe_s = self.rate, math.inf, PROBE_S
            self._step *= 2
        if self._passed >= self.configured:
            self._forget()
        else:
            self._go(min(self.configured, self.rate + self._step), now, PROBE_S)


class _Share:
    """How many of the submits at a rate, or below it, were throttled."""

    def __init__(self, rate: float) -> None:
        self.rate, self.submits, self.throttled = rate, 0, 0

    @property
    def share(self) -> float:
        return self.throttled / max(1, self.submits)

    def is_like(self, faster: _Share) -> bool:
        """Was about as much throttled as at the faster rate, and not much at either?"""
        if self.submits < TELLING or not AT_LEAST <= self.throttled <= MOST_BY_CHANCE * self.submits:
            return False
        return faster.throttled <= 2 * self.share * faster.submits + LUCK
