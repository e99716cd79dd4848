"""One webhook after the other: read, its hidden senders asked for, kept, and only then acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from bridge.aliases import Aliases
from bridge.clock import Clock
from bridge.provider import BadProof, Hidden, Http, HttpRequest, HttpResponse, Provider, WebhookRead
from gateway.messages.outcome import Inbound, Report

WEBHOOK_S = 15.0  # a store that takes longer has not kept it
Done = Callable[[bool], None]


class Keeper(Protocol):
    """gateway.delivery.ports.Results, as much of it as webhooks use."""

    def reported(self, channel: str, reports: Sequence[Report], done: Done) -> None: ...
    def inbound(self, channel: str, texts: Sequence[Inbound], done: Done) -> None: ...


class Webhooks:
    """The webhooks of one channel. heard: told what each says, whether or not it could be kept."""

    log = Logger()

    def __init__(
        self,
        channel: str,
        provider: Provider,
        http: Http,
        keeper: Keeper,
        *,
        clock: Clock,
        timeout: float,
        heard: Callable[[WebhookRead, float], None],
        aliases: Aliases,
    ) -> None:
        self._aliases = aliases
        self._channel, self._provider, self._http, self._keeper = channel, provider, http, keeper
        self._clock, self._timeout, self._heard = clock, timeout, heard

    async def take(self, request: HttpRequest) -> HttpResponse:
        """200 once everything in it is kept, 503 when it must come again, 401 for a bad proof."""
        now = self._clock.seconds()
        read = self._provider.read_webhook(request, now)
        if isinstance(read, BadProof):
            self.log.warn("webhook of {channel} refused: {reason}", channel=self._channel, reason=read.reason)
            return HttpResponse(401)
        for identity, msisdn in read.aliases:
            self._aliases.learn(identity, msisdn)
        revealed = await self._reveal(read.hidden)
        read = msgspec.structs.replace(read, inbound=(*read.inbound, *(revealed or ())))
        kept = [
            self._keep(lambda done: self._keeper.reported(self._channel, read.reports, done), bool(read.reports)),
            self._keep(lambda done: self._keeper.inbound(self._channel, read.inbound, done), bool(read.inbound)),
        ]
        if read.nameless:
            self.log.warn(
                "{n} texts on {channel} are from people who hide their number", n=read.nameless, channel=self._channel
            )
        self._heard(read, now)
        if not all([await one for one in kept]) or revealed is None:
            return HttpResponse(503)
        return read.answer or HttpResponse(200)

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
                return None
            if msisdn:
                texts.append(msgspec.structs.replace(one.text, msisdn=msisdn))
            else:
                self.log.warn("a text on {channel} is from somebody whose number is hidden", channel=self._channel)
        return texts

    def _keep(self, hand_in: Callable[[Done], None], something: bool) -> Deferred[bool]:
        """Hand something in; fires with whether it is kept, False when nobody says so in time."""
        kept: Deferred[bool] = Deferred()

        def done(well: bool) -> None:
            if not kept.called:
                kept.callback(well)
                if late.active():
                    late.cancel()

        late = self._clock.callLater(WEBHOOK_S, done, False)
        if something:
            hand_in(done)
        else:
            done(True)
        return kept
