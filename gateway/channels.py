"""A node's channels: made from their settings, started, and exchanged when those change."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from twisted.internet import defer
from twisted.logger import Logger

from bridge.channel import WhatsAppChannel
from bridge.dry_run import DryEvidence, DryHttp, pretending, rehearsing
from bridge.faults import Circuits
from bridge.http import HttpClient
from bridge.providers import key_of, provider_of
from config.schema import BridgeSettings, Config, SmscSettings
from gateway import dry_run
from gateway.background import Background
from gateway.delivery.deliver import Delivery
from gateway.delivery.dispatch import Dispatcher
from gateway.delivery.intake import Intake
from gateway.delivery.ports import Channel
from gateway.metrics import Metrics
from gateway.store.evidence import Evidence
from gateway.store.unmatched import Unmatched
from gateway.store.valkey import Store
from gateway.store.wirelog import WireLog
from gateway.texts import text_of
from gateway.workers.elsewhere import ElsewhereChannel, QueueElsewhere, SharedDispatcher
from gateway.workers.place import Place
from smsc_client.channel import SmscChannel
from smsc_client.dry_run import DrySmscChannel

Settings = SmscSettings | BridgeSettings
Ring = Callable[[str, str], None]
Heard = Callable[[str, Sequence[str]], Awaitable[Sequence[str] | None]]
log = Logger("node")


def settings_of(config: Config, place: Place | None) -> dict[str, Settings]:
    """A configuration's channels by name, each with as many binds as are here. place: of a worker among several."""
    channels: list[Settings] = [*config.smsc_client, *config.bridge]
    return {one.name: one if place is None else place.part_of(one) for one in channels}


class Channels:
    """Makes channels and their dispatchers, and puts them where delivery finds them."""

    def __init__(
        self, *, config: Callable[[], Config], place: Place | None, ring: Ring | None, node: str, alone: bool,
        dry: bool | str, reactor: Any, store: Store, wirelog: WireLog, delivery: Delivery, intake: Intake,
        results: Any, metrics: Metrics, background: Background, unmatched: Unmatched, answered: Heard,
    ) -> None:  # fmt: skip
        """config(): the one in use. ring(what, name): tells the other workers, where there are some. alone: no other
        node can be on the store. dry: `dry_run` of the process. results: ports.Results.
        answered(channel, ids): of which of a channel's ids any node has heard."""
        self._config, self._place, self._ring, self._node, self._alone = config, place, ring, node, alone
        self._dry, self._reactor, self._store, self._wirelog = dry, reactor, store, wirelog
        self._delivery, self._intake, self._results = delivery, intake, results
        self._metrics, self._background, self._unmatched, self._answered = metrics, background, unmatched, answered
        self._http, self._circuits = HttpClient(reactor), Circuits()
        self._evidence = Evidence(store, self._later)
        self._exchanges: dict[str, defer.DeferredLock] = {}

    def build(self) -> None:
        """All channels of the configuration; none is started."""
        for settings in settings_of(self._config(), self._place).values():
            self._add(settings)

    async def start(self) -> None:
        for name, channel in list(self._delivery.channels.items()):
            await channel.start()
            self._delivery.dispatchers[name].start()

    async def close(self) -> None:
        """After all channels have stopped."""
        await defer.maybeDeferred(self._http.close)

    async def exchange(self, name: str) -> None:
        """A channel whose settings changed: the old one hands back what it holds, the new one takes over. One exchange
        at a time for each name: files may be read faster than channels end."""
        turn = self._exchanges.setdefault(name, defer.DeferredLock())
        await turn.acquire()
        try:
            await self._exchange(name)
        finally:
            self._delivery.changing.discard(name)
            turn.release()

    async def _exchange(self, name: str) -> None:
        delivery = self._delivery
        old, settings = delivery.channels.get(name), settings_of(self._config(), self._place).get(name)
        if getattr(old, "settings", None) == settings:
            return
        if isinstance(old, SmscChannel) and isinstance(settings, SmscSettings) and old.reconfigure(settings):
            return
        if old is not None:
            delivery.dispatchers[name].stopping = True
            if old.up and settings is not None:
                delivery.changing.add(name)
            await old.stop()
        if self._intake.stopping:
            return
        settings = settings_of(self._config(), self._place).get(name)  # which may have been read meanwhile
        if settings is None:
            delivery.channels.pop(name, None)
            delivery.dispatchers.pop(name, None)
            self._intake.use(self._intake.routes)
            return
        await self._add(settings).start()
        delivery.dispatchers[name].start()

    def _add(self, settings: Settings) -> Channel:
        if self._place is not None and not self._place.has(settings):
            names = key_of(settings) if isinstance(settings, BridgeSettings) else None
            channel: Any = ElsewhereChannel(settings, self._place.board.is_up, self._results, names)
        else:
            channel = (self._make_dry if self._dry else self.make)(settings)
        self._delivery.channels[settings.name] = channel
        self._delivery.dispatchers[settings.name] = self._dispatcher(channel)
        self._intake.use(self._intake.routes)
        return channel

    def _dispatcher(self, channel: Channel) -> Dispatcher:
        words = (
            channel, self._store, self._node, self._delivery.attempted, self._later, self._reactor.seconds
        )  # fmt: skip
        if self._ring is None:
            return Dispatcher(*words)
        kind = QueueElsewhere if isinstance(channel, ElsewhereChannel) else SharedDispatcher
        return kind(*words, ring=self._ring)

    def make(self, settings: Settings) -> Channel:
        """The channel itself, which nobody knows yet."""
        mark = self._wirelog.marks_of(settings.name)
        if isinstance(settings, SmscSettings):
            operator: Any = SmscChannel(
                settings, results=self._results, mark=mark, reactor=self._reactor, metrics=self._metrics,
                random=random.random,
            )  # fmt: skip
            return self._without_share(operator)
        if settings.provider == "evolution":  # its licence asks that administrators are told
            log.info("bridge {name}: uses the Evolution API", name=settings.name)
        zap: Any = WhatsAppChannel(
            settings, http=self._http, evidence=self._evidence, results=self._results, mark=mark, decode=text_of,
            clock=self._reactor, spawn=self._background.spawn, count=self._metrics.count,
            unmatched=self._unmatched.note, circuits=self._circuits,
            answered=None if self._alone else partial(self._answered, settings.name),
        )  # fmt: skip
        return self._without_share(zap)

    def _without_share(self, channel: Any) -> Channel:
        """Of what nodes share it uses nothing, until the others, if any, are known."""
        if not self._alone:
            for rate in channel.rates():
                rate.take(0.0)
        return channel

    def _make_dry(self, settings: Settings) -> Channel:
        """One that decides and counts as the real one, and sends nothing."""
        reactor: Any = self._reactor
        results = dry_run.Rehearsed(self._results, reactor.callLater, reactor.seconds)
        if isinstance(settings, SmscSettings):
            return DrySmscChannel(settings, results=results, clock=reactor, later=reactor.callLater)
        lookups = self._dry == "lookups"
        channel: Any = WhatsAppChannel(
            rehearsing(settings), provider_of=lambda own: pretending(provider_of(own), lookups),
            http=DryHttp(self._http if lookups else None), evidence=DryEvidence(self._evidence), results=results,
            mark=lambda _: None, decode=text_of, clock=reactor, spawn=self._background.spawn,
            count=self._metrics.count, unmatched=self._unmatched.note,
        )  # fmt: skip
        channel.learn = None  # that it was delivered proves nothing here
        return channel

    def _later(self, call: Callable[[], None]) -> Any:
        return self._reactor.callLater(0, call)
