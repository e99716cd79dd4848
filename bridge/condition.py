"""How one sender is: up, slow, resting or on trial, and since when. What its sends, its reports, its webhooks and its
state tell comes together here, and so does what happens to those it shares a token, an account or a provider with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.logger import Logger

from bridge.clock import Clock, Spawn
from bridge.faults import ACCOUNT, PROVIDER, TOKEN, Circuits, strike
from bridge.health import OPEN, RESTING, TRIAL, Health
from bridge.job import Count
from bridge.pace import Pace
from bridge.provider import Http, Official, Provider, WebhookRead
from bridge.watch import Answered, Watch
from gateway.messages.outcome import Accepted, AttemptResult, ChannelDown, Refused, Status, TryLater, Uncertain

if TYPE_CHECKING:
    from config.schema import BridgeSettings

FRESH_S = 60.0  # the time a report carries is in whole seconds and of another clock; younger ones came just now

DOUBT_S = 5.0  # between two looks at a sender whose lookups fail


class Condition:
    """settled: called whenever `up` may have changed, and moved when it has not, but something was answered; watched:
    time has passed, or the provider told its state."""

    log = Logger()

    def __init__(
        self,
        label: str,
        settings: BridgeSettings,
        provider: Provider,
        *,
        http: Http,
        clock: Clock,
        spawn: Spawn,
        circuits: Circuits,
        count: Count,
        settled: Callable[[], None],
        moved: Callable[[], None],
        watched: Callable[[], None],
        answered: Answered | None = None,
    ) -> None:
        self._label, self._channel, self._clock, self._count = label, settings.name, clock, count
        self._settled, self._moved, self._watched = settled, moved, watched
        self._official = provider if isinstance(provider, Official) else None
        self._alarms: set[str] = set()
        health = settings.health
        self._quarantine = health.quarantine
        self.health = Health(
            min_acks=float(health.min_acks), window=health.window, quarantine=health.quarantine,
            hears_all=answered is None,
        )  # fmt: skip
        self.pace = Pace(settings.throughput, clock.seconds())
        self._watch = Watch(
            self.health,
            provider,
            http,
            clock=clock,
            spawn=spawn,
            window=health.window,
            timeout=settings.timeout,
            changed=self._looked,
            answered=answered,
        )
        self._circuits, self._leave = circuits, lambda: None
        self._keys = {TOKEN: settings.api_key.get_secret_value(), PROVIDER: f"{settings.provider} {settings.url}"}
        if settings.business_account:
            self._keys[ACCOUNT] = settings.business_account
        self.running = False
        self.up = self.quarantined = False
        self._doubted_at, self._told, self._strange = 0.0, "", 0
        self._unreached = ""  # how the provider could not be reached last: refused, unknown_host, tls ...
        self.since = clock.seconds()  # it is as it is

    @property
    def resting(self) -> bool:
        return self.health.state is RESTING

    @property
    def on_trial(self) -> bool:
        return self.health.state is TRIAL

    @property
    def reason(self) -> str:
        """Why a message is turned away now."""
        return self.health.reason

    @property
    def word(self) -> str:
        """For people: up, on trial, or what put it down."""
        if self.health.state is OPEN:
            return "up" if self.running else "stopped"
        return "on trial" if self.on_trial else self.health.cause

    def start(self) -> None:
        self.running = True
        self._leave = self._circuits.join(self, self._keys)
        self.changed()
        self._watch.start()

    def rest(self) -> None:
        """Nothing new is taken any more."""
        self.running = self.up = False

    def stop(self) -> None:
        self._leave()
        self._watch.stop()

    # ----------------------------------------------------------------------------------------------- what it is told

    def trial_taken(self) -> None:
        """The message in hand is the one of the trial."""
        if self.on_trial:
            self.health.trial_taken(self._clock.seconds())
            self.changed()

    def trial_missed(self) -> None:
        """It was never written."""
        if self.on_trial:
            self.health.trial_missed()
            self.changed()

    def doubted(self) -> None:
        """A question had no answer: perhaps the sender is down, and its state tells so before a send does."""
        now = self._clock.seconds()
        if self.health.state is OPEN and now - self._doubted_at >= DOUBT_S:
            self._doubted_at = now
            self._watch.probe()

    def ended(self, result: AttemptResult) -> None:
        """A send was answered, or never will be."""
        now, counts = self._clock.seconds(), True
        match result:
            case Accepted(held=False, remote_id=remote_id):
                self.health.sent(remote_id, now)
                self.pace.passed(now)
            case Uncertain():
                self.health.sent("", now)
            case _:  # a held one, too: whatever becomes of it says nothing of the sender
                counts = False
        self._judge(result, now)
        if not counts:
            self.health.trial_missed()
        self.changed()

    def hear(self, read: WebhookRead, now: float, *, named: bool) -> None:
        """A webhook came. named: it speaks of this sender and no other."""
        for report in read.reports:
            if named or self.health.knows(report.remote_id):
                self.health.answered(report.remote_id, now)
        if named:
            if read.failures:
                failed = (report for report in read.reports if report.status is Status.FAILED)
                for report, failure in zip(failed, read.failures, strict=False):
                    if now - report.at < FRESH_S:  # a copy of an old one says nothing of how the sender is now
                        self._judge(failure, now)
            if read.connection is False:
                self.health.logged_out(now)
            elif read.connection is True:
                self.health.connected(now)
        self.changed()
        if read.unsure:
            self._watch.probe()

    def _judge(self, result: AttemptResult, now: float) -> None:
        """What a send that failed says of the sender, at once or as a report tells."""
        match result:
            case TryLater(reason="throttled", code=code):
                self._count("pombo_throttled", self._channel)
                if self.pace.throttled(now):
                    self._strike(ChannelDown("throttled", code), now)
            case Refused(reason="unknown_code"):
                self._count("pombo_unknown_errors", self._channel)
            case ChannelDown():
                self._strike(result, now)
        alarm = self._official.alarm(result) if self._official is not None else ""
        if alarm and alarm not in self._alarms:  # once: they come with every message
            self._alarms.add(alarm)
            self.log.error("{sender} needs somebody to look at it: {alarm}", sender=self._label, alarm=alarm)

    def _strike(self, down: ChannelDown, now: float) -> None:
        self._circuits.strike(self, self._keys, down, now)

    def _looked(self) -> None:
        if self._watch.strange != self._strange:
            self._strange = self._watch.strange
            if self._strange:
                says = "was asked for its state and got HTTP {status}, no answer of such a provider: is its url right?"
                self.log.error("{sender} " + says, sender=self._label, status=self._strange)
        self._unreached = self._watch.unreached or self._unreached
        self.pace.recover(self._clock.seconds())
        self.changed()
        self._watched()

    # -------------------------------------------------------------------------------------------------- what follows

    def suffer(self, down: ChannelDown, now: float) -> None:
        """A fault of this sender, or of what it shares with another."""
        self._unreached = "" if down.code.isdigit() else down.code
        strike(self.health, down, now, self._quarantine)

    def refresh(self) -> None:
        """Show what health says."""
        was_up = self.up
        self.quarantined = self.health.quarantined
        self.up = self.running and self.health.up
        if self.up != was_up:
            self.since = self._clock.seconds()
        if self.running and (state := self._state) != self._told:
            self._told = state
            self.log.info("{sender} is {state}", sender=self._label, state=state)

    @property
    def _state(self) -> str:
        """For the log: as `word`, and how the provider could not be reached."""
        if self.health.up or self.on_trial:
            return self.word
        how = f" ({self._unreached})" if self.word == "unreachable" and self._unreached else ""
        return f"down: {self.word}{how}"

    def settle(self) -> None:
        """Let what follows from it follow."""
        self._settled()

    def changed(self) -> None:
        """Something was answered, or happened."""
        if self.up and self.running and self.health.state is OPEN:  # as before, and as it mostly is
            self._moved()
            return
        self.refresh()
        self.settle()
