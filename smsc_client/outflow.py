"""What leaves a channel and when: as much of what is in hand as windows and rate allow, one write per link and turn."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from twisted.logger import Logger

from config.schema import SmscSettings
from gateway.delivery.pacing import Pacer
from gateway.messages.message import Message
from gateway.messages.outcome import AttemptResult, Refused, Unwritten
from gateway.messages.states import FINAL
from gateway.smpp.errors import LocalProtocolError
from smsc_client.clock import Clock, Timer, cancel
from smsc_client.hand import Hand, Item, Parts
from smsc_client.link import Link
from smsc_client.outbound import Outbound
from smsc_client.references import References
from smsc_client.slowdown import Slowdown

AHEAD_S = 0.5  # of the rate: taken into hand early, for a store with a slow disk takes up to half of that for a lease
BATCH_S = 0.005  # of the rate: as much as a timer waits for

End = Callable[[Item, AttemptResult], None]


class Outflow:
    """The transmitting binds of a channel, under one rate."""

    def __init__(
        self,
        settings: SmscSettings,
        hand: Hand,
        links: Sequence[Link],
        *,
        mark: Callable[[str], None],
        end: End,
        woken: Callable[[], None],
        clock: Clock,
        random: Callable[[], float],
        log: Logger,
    ) -> None:
        """end(item, result): this one is not written. woken(): the rate allows something again."""
        self._hand, self._links = hand, links
        self._mark, self._end, self._woken, self._clock, self._log = mark, end, woken, clock, log
        self._references = References(random)
        self._pacer = Pacer(settings.throughput, clock.seconds())
        self._prepaid: Message | None = None
        self._written = 0  # submits
        self._timer: Timer | None = None
        self.slowdown = Slowdown(settings.throughput, self._clock.seconds())
        self.share = math.inf  # segments per second that this node may write, of several that share the rate
        self.configure(settings)

    def configure(self, settings: SmscSettings) -> None:
        """Go on with these settings; what was learned about the rate stays while the configured one does."""
        self._name = settings.name
        self._outbound = Outbound(settings, self._references)
        if self.slowdown.configured != settings.throughput:
            self.slowdown = Slowdown(settings.throughput, self._clock.seconds())
            self._set_rate()

    def take_share(self, share: float) -> None:
        """Write no more than this from now on, whatever is configured; 0: nothing."""
        if share != self.share:
            self.share = share
            self._set_rate()

    def _set_rate(self) -> None:
        if self.share > 0:
            self._pacer.set_rate(min(self.slowdown.rate, self.share))

    def capacity(self) -> int:
        """How many segments may be taken into hand: what fits the windows and the rate of the next half second."""
        now = self._clock.seconds()
        if now < self.slowdown.paused_until or self.share <= 0:
            return 0
        free = 0
        for link in self._links:
            free += link.free
        if free <= 0:
            return 0
        due = self._pacer.available(now) + max(1, int(self._pacer.rate * AHEAD_S))
        return max(0, min(free, due) - len(self._hand))

    def slow_down(self, link: Link, sequence_number: int, now: float, *, mildly: bool = False) -> None:
        """A submit was throttled, or mildly: answered by an operator that is nearly congested. Those written before the
        last slowing down say nothing new."""
        before = sequence_number <= link.slow_sequence
        if not mildly:
            self.slowdown.count_throttled(now, self._written, before=before)
        if before or (not mildly and self.slowdown.forgives(now)):
            return
        for one in self._links:
            one.slow_sequence = one.last_sequence
        if self.share < self.slowdown.rate:
            self.slowdown.rate = self.share  # it was no faster than that
        if mildly:
            self.slowdown.congested(now)
        else:
            self.slowdown.throttled(now, self._written)
        self._set_rate()

    def drain(self, now: float) -> None:
        """Write what may be written now, flush every link, and set the timer for the rest."""
        slowdown, hand = self.slowdown, self._hand
        if now >= slowdown.due:
            slowdown.update(now, self._written)
            self._set_rate()
        links = [link for link in self._links if link.free > 0] if self.share > 0 else []
        if links and now >= slowdown.paused_until and (hand.first or hand.ready):
            self._write(links, self._pacer.available(now), now)
        for link in self._links:
            if link.protocol is not None:
                link.protocol.flush()
        if links:
            self._sleep(now)

    def stop(self) -> None:
        cancel(self._timer)

    def _write(self, links: list[Link], allowed: int, now: float) -> None:
        hand, submit_sm, mark = self._hand, self._outbound.submit_sm, self._mark
        first, ready = hand.first, hand.ready
        room = [link.free for link in links]
        turn = taken = 0
        while taken < allowed and links:
            queue = first or ready
            if not queue:
                break
            item = queue[0]
            pdu: Any = None
            if type(item) is Parts:
                message, pdu = item.message, item.left[0]
            else:
                message = item  # type: ignore[assignment]
            if message.state in FINAL or message.expires_at <= now:
                queue.popleft()
                self._end(item, Unwritten("over"))
                continue
            if pdu is None:
                try:
                    built = submit_sm(message, now)
                except Exception as error:  # whatever it holds, those behind it go on
                    queue.popleft()
                    self._log.error(
                        "{channel}: no submit_sm can be made of a message: {why}",
                        channel=self._name,
                        why=type(error).__name__,
                    )
                    self._end(item, Refused(reason="invalid", rejected=True))
                    continue
                if type(built) is list:
                    queue[0] = hand.parts(message, built)
                    continue
                if message.segments > 1 and message is not self._prepaid:
                    # Counted by the operator as several: the others are paid for before it leaves.
                    self._pacer.take(taken + message.segments - 1, now)
                    self._prepaid, taken, allowed = message, 0, self._pacer.available(now)
                    continue
                pdu = built
            at = turn % len(links)
            link = links[at]
            queue.popleft()
            try:
                link.last_sequence = link.protocol.session.request(pdu, now, item)  # type: ignore[union-attr]
            except LocalProtocolError as error:
                self._log.error(
                    "{channel}: a message does not fit submit_sm: {why}", channel=self._name, why=str(error)
                )
                self._end(item, Refused(reason="invalid", rejected=True))
                continue
            mark(message.id)
            taken += 1
            turn += 1
            room[at] -= 1
            if not room[at]:
                del links[at], room[at]
        if taken:
            self._pacer.take(taken, now)
            self._written += turn

    def _sleep(self, now: float) -> None:
        """Come back when the rate allows more."""
        if now < self.slowdown.paused_until:
            at = self.slowdown.paused_until
        elif len(self._hand) or self._pacer.available(now) <= 0:
            at = self._pacer.next_at(now, max(1, int(self._pacer.rate * BATCH_S)))
        else:
            return
        if self._timer is not None:
            if self._timer.getTime() <= at:
                return
            self._timer.cancel()
        self._timer = self._clock.callLater(max(0.0, at - now), self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._woken()
