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


class Slowdown:
    """The effective rate of one channel: halved when throttled, then searched between what passed and what did not.

    A throttled answer stops everything for a second and halves the rate. After that the rate climbs half-way to the
    one that was refused, every two seconds, until both are within 2 %. Then it adds 5 % of the configured rate after
    10 s, more while that works and more seldom while it does not; a refusal there leads back to the rate that worked.
    A throttled answer among fifty others is chance and changes nothing: jitter on the way, an operator's own hiccup.
    Belongs to the channel, so that a lost link forgets nothing.
    """

    def __init__(self, configured: float, began: float = 0.0) -> None:
        """configured: submits per second, the most there will ever be."""
        self.configured = configured
        self.paused_until = -math.inf
        self._chances, self._counted_at = 0.0, began
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

    def forgives(self, now: float) -> bool:
        """A submit was throttled: was that by chance? An attempt to go faster is told by the first one."""
        each_second = self.rate * FORGIVEN
        earned = max(0.0, now - max(self._counted_at, self.paused_until)) * each_second
        least, most = IN_A_ROW
        self._chances = min(max(least, min(most, 2 * each_second)), self._chances + earned)
        self._counted_at = now
        if self._chances < 1.0 or (self._found and self.rate > self._passed):
            return False
        self._chances -= 1.0
        return True

    def throttled(self, now: float) -> None:
        """A submit was refused that was written at the present rate; the rest of its burst is not told."""
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

    def update(self, now: float) -> None:
        """Go faster when the present rate has lasted; call it at `due`, or any time later."""
        if now < self.due:
            return
        if self._found:
            self._probe(now)
            return
        self._passed = max(self._passed, self.rate)
        if self._refused - self._passed <= max(CLOSE * self._refused, 0.05):
            self._found = True
            self._passed *= 1.0 - 2 * FORGIVEN  # what lasted may have been a little too fast, and was forgiven
            self._hold(now)
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
