"""Webhooks: read, their hidden senders asked for, kept, and only then acknowledged. The reports of all that come in one
turn of the reactor's loop are handed in together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec
from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger

from bridge.aliases import Aliases
from bridge.clock import Clock
from bridge.provider import BadProof, Hidden, Http, HttpRequest, HttpResponse, Provider, WebhookRead
from gateway.messages.outcome import Inbound, Report

_WELL, _NOTHING = HttpResponse(200), WebhookRead()
_COMPRESSED = HttpResponse(415, headers=(("Accept-Encoding", "identity"),))
WARN_EVERY_S = 60.0
WEBHOOK_S = 15.0  # a store that takes longer has not kept it
Done = Callable[[bool], None]


class Keeper(Protocol):
    """gateway.delivery.ports.Results, as much of it as webhooks use."""

    def reported(self, channel: str, reports: Sequence[Report], done: Done) -> None: ...
    def inbound(self, channel: str, texts: Sequence[Inbound], done: Done) -> None: ...


class Heard(msgspec.Struct, frozen=True):
    """What a webhook says, and of which senders (by instance). named: the body names them; else it may be any."""

    senders: tuple[str, ...]
    read: WebhookRead
    named: bool = True


def read_all(request: HttpRequest, now: float, providers: Mapping[str, Provider]) -> list[Heard] | BadProof:
    """Read a webhook as the senders it names, each by its own proof; one that names none of ours is read as the first
    whose proof it bears. providers: by instance."""
    if len(providers) == 1:
        [(instance, only)] = providers.items()
        read = only.read_webhook(request, now)
        return read if isinstance(read, BadProof) else [Heard((instance,), read)]
    named: frozenset[str] = frozenset().union(*(one.senders_in(request) for one in providers.values()))
    ours = {instance: one for instance, one in providers.items() if instance in named}
    reads = [(instance, one.read_webhook(request, now)) for instance, one in (ours or providers).items()]
    proven = [(instance, read) for instance, read in reads if not isinstance(read, BadProof)]
    if not proven:
        return next(read for _, read in reads if isinstance(read, BadProof))
    if ours:
        return [Heard((instance,), read) for instance, read in proven]
    welcome = (read for _, read in proven if read.answer is None or read.answer.status == 200)
    return [Heard(tuple(providers), next(welcome, proven[0][1]), named=False)]


class Webhooks:
    """The webhooks of one channel. heard: told what each says, whether or not it could be kept."""

    log = Logger()

    def __init__(
        self,
        channel: str,
        providers: Mapping[str, Provider],
        http: Http,
        keeper: Keeper,
        *,
        clock: Clock,
        timeout: float,
        heard: Callable[[Heard, float], None],
        aliases: Aliases,
    ) -> None:
        self._aliases = aliases
        self._channel, self._providers, self._http, self._keeper = channel, providers, http, keeper
        self._clock, self._timeout, self._heard = clock, timeout, heard
        self._reports: list[Report] = []  # of this turn
        self._waiters: list[Deferred[bool]] = []
        self._told: dict[str, tuple[float, int]] = {}  # why webhooks came to nothing: when it was said, how often since

    async def take(self, request: HttpRequest) -> HttpResponse:
        """200 once everything in it is kept, 503 when it must come again, 401 for a bad proof."""
        now = self._clock.seconds()
        found = read_all(request, now, self._providers)
        if isinstance(found, BadProof):
            self._warn(f"refused: {found.reason}", now)
            return HttpResponse(401)
        first = found[0].read
        if not first.reports and request.body and first == _NOTHING and request.json() is None:
            self._warn("is no JSON: nothing of it was read", now)
            if request.header("content-encoding"):  # by something in between, which may send it as it was
                return _COMPRESSED
        if len(found) == 1:
            return await self._take(found[0], now)
        answers = await gatherResults([Deferred.fromCoroutine(self._take(heard, now)) for heard in found])
        return max(answers, key=lambda answer: answer.status)

    def _warn(self, why: str, now: float) -> None:
        """Say why webhooks come to nothing, once a minute: whoever is outside may send as many as they like."""
        told_at, unsaid = self._told.get(why, (-WARN_EVERY_S, 0))
        if now - told_at < WARN_EVERY_S:
            self._told[why] = told_at, unsaid + 1
            return
        self._told[why] = now, 0
        more = f" ({unsaid} more since the last line)" if unsaid else ""
        self.log.warn("webhook of {channel} {why}{more}", channel=self._channel, why=why, more=more)

    async def _take(self, heard: Heard, now: float) -> HttpResponse:
        read = heard.read
        for identity, msisdn in read.aliases:
            self._aliases.learn(identity, msisdn)
        revealed = await self._reveal(read.hidden) if read.hidden else []
        if revealed:
            read = msgspec.structs.replace(read, inbound=(*read.inbound, *revealed))
            heard = msgspec.structs.replace(heard, read=read)
        kept: list[Deferred[bool]] = []
        if read.reports:
            kept.append(self._with_others(read.reports))
        if read.inbound:
            kept.append(self._keep(lambda done: self._keeper.inbound(self._channel, read.inbound, done)))
        if read.nameless:
            self.log.warn(
                "{n} texts on {channel} are from people who hide their number", n=read.nameless, channel=self._channel
            )
        self._heard(heard, now)
        well = revealed is not None
        for one in kept:
            well = await one and well
        return (read.answer or _WELL) if well else HttpResponse(503)

    async def _reveal(self, hidden: Sequence[Hidden]) -> list[Inbound] | None:
        """The texts whose senders we or the provider know; None when it could not tell now."""
        texts: list[Inbound] = []
        for one in hidden:
            msisdn = await self._aliases.msisdn_of(one.identity)
            if not msisdn and one.ask is not None:
                answer = await self._http.send(one.ask, self._timeout)
                msisdn = one.read(answer) if isinstance(answer, HttpResponse) else None
                self._aliases.learn(one.identity, msisdn or "")
            if msisdn is None:
                self._warn("holds a text whose sender nobody can name now: it has to come again", self._clock.seconds())
                return None
            if msisdn:
                texts.append(msgspec.structs.replace(one.text, msisdn=msisdn))
            else:
                self.log.warn("a text on {channel} is from somebody whose number is hidden", channel=self._channel)
        return texts

    def _with_others(self, reports: Sequence[Report]) -> Deferred[bool]:
        """Hand reports in at the end of this turn; fires with whether all of the turn are kept."""
        if not self._reports:
            self._clock.callLater(0, self._hand_in)
        self._reports += reports
        waiter: Deferred[bool] = Deferred()
        self._waiters.append(waiter)
        return waiter

    def _hand_in(self) -> None:
        reports, self._reports = self._reports, []
        waiters, self._waiters = self._waiters, []

        def tell(well: bool) -> None:
            for waiter in waiters:
                waiter.callback(well)

        self._keep(lambda done: self._keeper.reported(self._channel, reports, done)).addCallback(tell)

    def _keep(self, hand_in: Callable[[Done], None]) -> Deferred[bool]:
        """Hand something in; fires with whether it is kept, False when nobody says so in time."""
        kept: Deferred[bool] = Deferred()

        def done(well: bool) -> None:
            if not kept.called:
                kept.callback(well)
                if late.active():
                    late.cancel()

        late = self._clock.callLater(WEBHOOK_S, done, False)
        hand_in(done)
        return kept
