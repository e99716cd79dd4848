"""A sender's limits beside its rate, kept over restarts: what was used today, and since when the sender is in use."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from twisted.logger import Logger

from bridge import limits
from bridge.clock import Clock
from bridge.limits import Gaps, Quota
from bridge.presence import EvidencePort
from gateway.messages.outcome import AttemptResult, Refused, TryLater

if TYPE_CHECKING:
    from config.schema import BridgeSettings

LONGEST_GAP_S = 10.0  # a message that has to wait longer for its person waits outside


class Allowance:
    """Sends and lookups a day, and the gap between messages to one person, of one sender."""

    log = Logger()

    def __init__(self, settings: BridgeSettings, sender: str, evidence: EvidencePort, clock: Clock) -> None:
        self._channel, self._evidence, self._clock = settings.name, evidence, clock
        # What a channel's only sender used stands under the channel's name; it is the first one when others join it.
        self._of = f":{sender}" if settings.of_several else ""
        first = bool(settings.senders) and settings.senders[0].instance == settings.instance
        self._was_of = "" if settings.of_several and first else f":{sender}"
        self._sends = Quota(settings.limits.day, settings.limits.warm_up)
        self.lookups = Quota(settings.lookup.day)
        self._gaps, self.spaced = Gaps(settings.limits.person or 0.0), bool(settings.limits.person)
        self._began = clock.seconds()

    @property
    def used_up(self) -> bool:
        """May nothing more be sent today?"""
        return self._sends.limited and self._sends.left(self._clock.seconds()) < 1

    @property
    def left_today(self) -> int | None:
        """How many more sends today; None: as many as one likes."""
        return int(self._sends.left(self._clock.seconds())) if self._sends.limited else None

    def refusal(self, alone: bool) -> AttemptResult:
        """Of a message that comes too late today: the next channel, and where there is none (alone) the next day."""
        if alone:
            return TryLater(Quota.seconds_left(self._clock.seconds()), "daily_cap", counted=False)
        return Refused("daily_cap", rejected=False)

    def use(self, count: int) -> None:
        """Sends that are being made; a negative count gives back what was not taken."""
        if self._sends.limited:
            self._sends.take(count, self._clock.seconds())
            self.keep()

    async def spend(self, window_s: float, most: int, count: int) -> tuple[int, float]:
        """Lookups, of a budget that other nodes use as well. See EvidencePort."""
        return await self._evidence.spend(f"{self._channel}:#budget{self._of}", window_s, most, count)

    def wait(self, person: str, sent_at: float = 0.0, patience: float = LONGEST_GAP_S) -> float | TryLater:
        """Seconds until the next message may go to this person; or that it has to come again then, where that is longer
        than its patience or than it may wait in hand. sent_at: when one was sent, as far as that is kept: it counts
        where it was before this process began."""
        last = sent_at if sent_at < self._began else 0.0
        most = LONGEST_GAP_S if patience > LONGEST_GAP_S else patience
        seconds = self._gaps.wait(person, self._clock.seconds(), most, last)
        return seconds if seconds <= most else TryLater(seconds, "pair_rate", counted=False)

    def close(self, person: str, seconds: float) -> None:
        """The service takes nothing for this person from this sender for so long."""
        self._gaps.close(person, self._clock.seconds() + seconds)
        self.spaced = True

    def _tallies(self, of: str) -> dict[str, Quota]:
        every = {f"{self._channel}:#sends{of}": self._sends, f"{self._channel}:#lookups{of}": self.lookups}
        return {key: quota for key, quota in every.items() if quota.limited}

    def keep(self) -> None:
        """Write down what was used, and hear what other nodes have."""
        for key, quota in self._tallies(self._of).items():
            if count := quota.tell():
                told = partial(self._told, quota, count)
                self._evidence.use(key, quota.tally.day, count, limits.KEPT_S, told)

    @staticmethod
    def _told(quota: Quota, count: int, packed: bytes) -> None:
        quota.agree(limits.unpack(packed), count)

    async def recall(self) -> None:
        """Read what was used before this process began."""
        own, before = self._tallies(self._of), self._tallies(self._was_of)
        if not own:
            return
        try:
            values = await self._evidence.read([*own, *before])
        except Exception:
            self.log.failure("what {channel} used today is not known", channel=self._channel)
            return
        if values is None:
            self.log.warn("what {channel} used today is not known: the store is away", channel=self._channel)
            return
        found = [limits.unpack(value) for value in values]
        for (key, quota), tally, was in zip(own.items(), found, found[len(own) :], strict=False):
            quota.tally = max(quota.tally, tally, was, key=lambda one: (one.day, one.used))
            if quota.tally is was:  # under the name that it had before
                self._evidence.write(key, limits.pack(was), limits.KEPT_S)
