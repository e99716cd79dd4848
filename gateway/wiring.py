"""The only place that builds and connects objects, starts them in order and stops them in order."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet import defer, protocol
from twisted.logger import Logger

from bridge.provider import HttpRequest, HttpResponse
from config.compare import NEXT_START, changes
from config.effects import guessable, without_effect, without_fallback
from config.export import exported
from config.load import ConfigErrors, load_as_written
from config.running import after_reload
from config.schema import AccountSettings, Config
from gateway import descriptors, dry_run, gauges, notify, signals
from gateway.background import Background
from gateway.channels import Channels, settings_of
from gateway.configured import (
    dedupe_of,
    remote_id_days_of,
    replies_of,
    routes_of,
    short_ids_of,
    writers_days_of,
)
from gateway.delivery.clockwork import Clockwork
from gateway.delivery.deliver import Delivery
from gateway.delivery.directives import Directives
from gateway.delivery.erasing import People
from gateway.delivery.inbound import Replies
from gateway.delivery.intake import Intake
from gateway.delivery.joining import Joining
from gateway.delivery.membership import Membership
from gateway.delivery.operations import Operations
from gateway.delivery.receipts import ReceiptDesk
from gateway.delivery.replacing import Replacing
from gateway.delivery.reports import Reports
from gateway.delivery.resend import Resending
from gateway.delivery.takeover import Takeover
from gateway.listening import Listeners
from gateway.messages.address import parse_destination
from gateway.messages.ids import Ids
from gateway.messages.outcome import Inbound
from gateway.metrics import Gauge, Metrics
from gateway.polling import without_context
from gateway.server.bound import Bound
from gateway.server.factory import MAX_CONNECTIONS, SmppServer, threads_of
from gateway.server.outbind import Outbind, connector
from gateway.smpp import charset
from gateway.steady import steady
from gateway.store import formats, keys
from gateway.store.embedded import EmbeddedServer, embedded_of
from gateway.store.ledger import Ledger
from gateway.store.room import Room
from gateway.store.unmatched import Unmatched
from gateway.store.valkey import Keep, Store, StoreAway
from gateway.store.wirelog import WireLog
from gateway.texts import is_text, join_parts, reply_of, retext_of, segments_of, text_of
from gateway.web.admin import NodeAdmin
from gateway.web.listener import Listener
from gateway.web.pages import LARGEST_BODY, Pages
from gateway.web.people import PeopleDesk
from gateway.workers.beside import READY, RELOADED, AdminOfAll, Beside
from gateway.workers.elsewhere import QUEUE, RECEIPTS, ElsewhereChannel, SharedDispatcher
from gateway.workers.place import Place
from smsc_client.remote_ids import id_forms

DRAIN_S = 2.0
log = Logger("node")


def make_service(
    config: Config, written: Mapping[str, Any], path: str | os.PathLike[str], reactor: Any,
    embedded: EmbeddedServer | None = None, place: Place | None = None,
) -> Node:  # fmt: skip
    """The whole gateway as one service. written: the configuration as its file has it; path: read again on reload.
    embedded: the server of its store, where one was started beforehand. place: of a worker among several."""
    protocol.Factory.noisy = False  # else Twisted tells of every connection to a provider
    steady(reactor, place.board.latest if place is not None else 0.0)  # workers share rates, and so a clock
    without_context(reactor)
    return Node(config, written, path, reactor, embedded, place)


class Hub:
    """ports.Results in one object: what channels hand in, each to whom it concerns."""

    attempted: Callable[..., None]
    answered_late: Callable[..., None]
    reported: Callable[..., None]
    inbound: Callable[..., None]
    looked_up: Callable[..., None]
    noted: Callable[..., None]
    capacity_changed: Callable[[str], None]


class Node(Service):
    """One gateway process."""

    def __init__(
        self, config: Config, written: Mapping[str, Any], path: str | os.PathLike[str], reactor: Any,
        embedded: EmbeddedServer | None = None, place: Place | None = None,
    ) -> None:  # fmt: skip
        self._config, self._written, self._path, self._reactor = config, written, path, reactor
        self._place = place  # None: this process is the whole node
        self._first = place is None or place.first
        self._node = config.node if place is None else place.node(config.node)
        self._embedded = None if place is not None else embedded or embedded_of(config.store)
        self._dry_run = config.dry_run  # of this process: another word in the file waits for the next start
        self.failed = self._ready = False
        self.of_all = False  # why it failed is so for every process of the node: the store, or the name, is another's
        self._starting: defer.Deferred[None] | None = None  # until the start is over, which has the channels to itself
        self.setName("pombo")

    # -- building

    def _build(self) -> None:
        config, reactor = self._config, self._reactor
        clock = reactor.seconds
        later = self._later
        self.metrics = Metrics()
        self.background = Background(lambda: self.metrics.count("pombo_background_failures"))
        self._beside = self._beside_others()
        store_url = (self._place.store_url if self._place is not None else "") or config.store.url
        self.store = Store(store_url, reactor, embedded=self._embedded, node=self._node, replicas=config.store.replicas)
        self.hub = Hub()
        outcomes = Ledger(self.store, self._node, config.store.events, later, Keep.ALWAYS)
        # A message is accepted once and changed twice or more: what was accepted must not pile up behind new ones.
        accepted = Ledger(self.store, self._node, config.store.events, later, Keep.OVER_LINKS, outcomes)
        self._ledgers = (outcomes, accepted)
        self.receipts = ReceiptDesk(
            self.store, reactor, clock, self.metrics, self._node, self._receipts_kept, int(config.store.retention)
        )
        self.delivery = Delivery(
            ledger=outcomes, clock=clock, metrics=self.metrics, receipts=self.receipts,
            retention_s=int(config.store.retention),
        )  # fmt: skip
        self.delivery.known_by.remote_id_days = remote_id_days_of(config)
        self.joining = Joining(self.store, self.delivery, clock, join_parts, self._spawn)
        self.delivery.joined = self.joining
        self.reports = Reports(
            self.store, self.delivery, self.metrics, id_forms, later, self._normalize, reactor.callLater
        )
        self.reports.report_parts = self.joining.report_parts
        self.reports.shared = self._embedded is None
        self.operations = Operations(self.store, self.delivery, clock, self._normalize)
        self.intake = Intake(
            store=self.store, ledger=accepted, delivery=self.delivery, parts=self.joining, clock=clock,
            ids=Ids(clock(), 0),  # until the store has given an incarnation; nothing is accepted before
            metrics=self.metrics, text_of=text_of, is_text=is_text, parts_timeout_s=config.smpp_server.parts_timeout,
            max_messages=config.store.max_messages, revoke=self._revoke,
        )  # fmt: skip
        self.joining.set_out = self.intake.set_out_together
        self.intake.dedupe = dedupe_of(config)
        self.directives = Directives(
            text_of=text_of, choose=charset.choose, retext=retext_of, count=segments_of, is_whatsapp=self._is_whatsapp
        )
        self._direct(config)
        replacing = Replacing(self.store, self.intake, self.delivery, clock, reactor.callLater)
        self.replies = Replies(
            self.store, self.receipts, clock, lambda number: self._normalize(number) or number, self._encode,
            self._relay, self._owners, self._spawn,
        )  # fmt: skip
        self.replies.rules = replies_of(config)
        self.replies.writers_days = writers_days_of(config)
        self.intake.keep_writers(writers_days_of(config))
        self.people = People(
            self.store, self.delivery, clock=clock, accounts=lambda: list(self._accounts()), normalize=self._normalize,
            withdraw=self.operations.withdraw, days=lambda: writers_days_of(self._config),
            call_later=reactor.callLater, spawn=self._spawn, own_disk=config.store.url == "embedded",
        )  # fmt: skip
        hub = self.hub
        hub.attempted, hub.answered_late = self.delivery.attempted, self.delivery.answered_late
        hub.looked_up, hub.noted = self.delivery.looked_up, self.delivery.noted
        hub.capacity_changed = self.delivery.capacity_changed
        hub.reported, hub.inbound = self.reports.reported, self.replies.inbound
        self.bound = Bound(reactor)
        self.bound.on_receiver = self.receipts.receiver_ready
        self.receipts.esmes = self.bound
        beside = self._beside
        if beside is not None:
            self.bound.on_count = beside.limits.bound
            self.receipts.passes_on = lambda account: beside.bell.ring(RECEIPTS, account)
        self.server = SmppServer(
            reactor, config.smpp_server, config.country, bound=self.bound,
            intake=Door(self.intake, self.operations, replacing), metrics=self.metrics,
            spawn=lambda work: self._spawn(work, "an ESME's request"), in_thread=threads_of(reactor),
            limits=beside.limits if beside is not None else None,
            listeners=Listeners(beside.smpp_listeners()) if beside is not None else None,
        )  # fmt: skip
        self.server.most_connections = min(MAX_CONNECTIONS, descriptors.raise_limit() - descriptors.OF_OUR_OWN)
        self._outbind = Outbind(self.server, reactor, self._waiting_for_a_bind, random.random, connector(reactor))
        self._unmatched = Unmatched(self.store, reactor.callLater)
        self.intake.use(routes_of(config))
        self._own_admin: Any = self._admin()
        self._pages = Pages(
            self.metrics.page if beside is None else beside.page,
            self._own_admin if beside is None else AdminOfAll(self._own_admin, beside, config.node),
            token=_secret(config.http.admin_token), ready=self.why_not_ready if beside is None else beside.ready,
            webhooks=self._webhook_taker, clock=clock,
        )  # fmt: skip
        self._http_listeners = Listeners(beside.http_listeners() if beside is not None else None)
        self.clockwork: Clockwork | None = None
        self.membership: Membership | None = None
        self._wirelog: WireLog | None = None
        self.channels: Channels | None = None
        self.metrics.gauges(self._gauges)
        self.store.took = lambda seconds: self.metrics.observe("pombo_store_seconds", seconds)
        self._room = Room(self.store, reactor, config.store.directory if config.store.url == "embedded" else "")

    def _beside_others(self) -> Beside | None:
        """What connects this worker with the others, where it is one of several."""
        if self._place is None:
            return None
        return Beside(
            self._place, self._reactor, metrics=self.metrics, connections=lambda: self.server.connections,
            pid=os.getpid(), heard=self._heard, channels=self._channels_up,
        )  # fmt: skip

    def _channels_up(self) -> Mapping[str, bool | None]:
        """Whether each channel is up, None for one that only other workers have; nothing before they are known."""
        if not self._ready:
            return {}
        facts, channels = self.delivery.facts(), self.delivery.channels.items()
        return {name: None if isinstance(one, ElsewhereChannel) else bool(facts[name].up) for name, one in channels}

    def _heard(self, what: str, name: str) -> None:
        """Another worker has put something into a channel's queue, or among an account's receipts."""
        if what == QUEUE:
            dispatcher = self.delivery.dispatchers.get(name)
            if isinstance(dispatcher, SharedDispatcher):
                dispatcher.heard()
        elif self.membership is not None and self.membership.holds(name):
            self.receipts.look(name)

    def _is_whatsapp(self, name: str) -> bool:
        channel = self.delivery.channels.get(name)
        return channel is not None and channel.kind == "whatsapp"

    def _direct(self, config: Config) -> None:
        """Who may name a template in a text; nobody, and nothing is looked at."""
        accounts = frozenset(a.system_id for a in config.smpp_server.accounts if a.template_directive)
        self.directives.accounts = accounts
        self.directives.texts = {t.name: t.text for b in config.bridge for t in b.templates if t.text}
        for desk in (self.intake, self.joining, self.operations):
            desk.directives = self.directives if accounts else None

    def _later(self, call: Callable[[], None]) -> Any:
        return self._reactor.callLater(0, call)

    def _admin(self) -> NodeAdmin:
        self._overview_box = _OverviewBox()
        return NodeAdmin(
            node=self._node, store=self.store, intake=self.intake, operations=self.operations,
            overview=self._overview_box, channels=self.delivery.channels, accounts=self._accounts,  # type: ignore[arg-type]
            binds=self.bound.status, country=lambda: self._config.country,
            default_validity=lambda: self._config.smpp_server.default_validity,
            retention_s=lambda: self._config.store.retention, clock=self._reactor.seconds, reload=self.reload,
            dry_run=bool(self._dry_run),
            config=lambda: exported(self._written), diff=self.diff, shapes=self._unmatched,
            people=PeopleDesk(self.people, self._normalize, text_of), writers_days=writers_days_of(self._config),
            resending=Resending(
                self.store, self.receipts, self._reactor.seconds, lambda: self._config.store.retention
            ),
        )  # fmt: skip

    def _spawn(self, work: Any, what: str, logger: Logger = log) -> object:
        return self.background.spawn(work, what, logger)

    def _accounts(self) -> Mapping[str, AccountSettings]:
        return {account.system_id: account for account in self._config.smpp_server.accounts}

    def _receipts_kept(self, account: str) -> float:
        known = self._accounts().get(account)
        return known.receipts_kept if known is not None else 7 * 86400.0

    def _owners(self) -> Mapping[str, str]:
        """Our source addresses and the only account that uses each."""
        owners: dict[str, set[str]] = {}
        for account in self._config.smpp_server.accounts:
            for source in {*account.sources, account.default_source}:
                if source:
                    owners.setdefault(source, set()).add(account.system_id)
        return {source: min(names) for source, names in owners.items() if len(names) == 1}

    def _normalize(self, number: str) -> str | None:
        return parse_destination(number, self._config.country)

    def _encode(self, text: str) -> tuple[int, bytes]:
        """A reply, so that whichever account gets it reads what was written."""
        return charset.choose_common(text, {account.default_alphabet for account in self._config.smpp_server.accounts})

    def _relay(self, text: Inbound, account: str) -> tuple[int, int, bytes]:
        """An operator's text, so that the account reads what was written."""
        operators = {one.name: one.default_alphabet for one in self._config.smsc_client}
        known = self._accounts().get(account)
        alphabet = known.default_alphabet if known is not None else "gsm7"
        return reply_of(text, operators.get(text.channel, alphabet), alphabet)

    def _revoke(self, *words: str) -> None:
        self.store.call("revoke", *words).addErrback(lambda _: None)

    # -- channels

    def _make_channels(self, wirelog: WireLog) -> Channels:
        return Channels(
            config=lambda: self._config, place=self._place, ring=self._beside.bell.ring if self._beside else None,
            node=self._node, alone=self._embedded is not None, dry=self._dry_run, reactor=self._reactor,
            store=self.store, wirelog=wirelog, delivery=self.delivery, intake=self.intake, results=self.hub,
            metrics=self.metrics, background=self.background, unmatched=self._unmatched, answered=self.reports.answered,
        )  # fmt: skip

    def _webhook_taker(self, name: str) -> Callable[[HttpRequest], Any] | None:
        """Who takes the webhooks of a channel. One still to be made, or another node's, wants them again: after a 404 a
        provider tells nobody any more."""
        channel = self.delivery.channels.get(name)
        if channel is None:
            elsewhere = self.delivery.elsewhere.get(name)
            known = elsewhere is not None and elsewhere.kind == "whatsapp"
            return _not_yet if known or any(one.name == name for one in self._config.bridge) else None
        return getattr(channel, "receive_webhook", None)

    # -- starting and stopping

    def startService(self) -> Any:
        super().startService()
        started = defer.ensureDeferred(self._start())
        started.addErrback(self._could_not_start)
        return started

    def _could_not_start(self, failure: Any) -> None:
        self.failed, self.of_all = True, bool(failure.check(formats.NewerStore, dry_run.OtherStore))
        log.critical("the gateway cannot start: {why}", why=failure.getErrorMessage())
        told = ("StoreUnavailable", "NewerStore", "OtherStore", "CannotListenError")
        if not failure.check(OSError) and type(failure.value).__name__ not in told:
            log.failure("the gateway cannot start", failure=failure)
        self._reactor.callLater(0, self._reactor.stop)

    async def _start(self) -> None:
        begun: defer.Deferred[None] = defer.Deferred()
        self._starting = begun
        self._build()
        config = self._config
        for sentence in (*without_effect(config), *without_fallback(config), *guessable(config)):
            log.warn("{sentence}", sentence=sentence)
        if self._beside is not None:
            self._beside.open(
                ready=self.why_not_ready, status=self._own_admin.status, reload=self.reload,
                gave_up=self.store.server_gave_up,
            )  # fmt: skip
        if hasattr(signal, "SIGHUP") and self._reactor is _global_reactor():
            signal.signal(signal.SIGHUP, lambda *_: self._reactor.callFromThread(self._reload_by_signal))
            signals.release_hangup()
        if self._first:
            await self._listen_http()
        directory = Path(config.store.directory)
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._tell_systemd(notify.WAITS_FOR_STORE)
        await self.store.start()
        await formats.agree(self.store)
        await dry_run.claim(self.store, bool(self._dry_run))
        if self._dry_run:
            log.warn("dry run: everything is accepted and nothing is sent")
        incarnation = await self.store.command("INCR", keys.INCARNATIONS, keep=Keep.ALWAYS)
        self._furnish(int(incarnation))
        assert self.channels is not None and self.membership is not None and self.clockwork is not None
        await self.membership.join()
        self._overview_box.overview = self.clockwork.overview
        await self.clockwork.recover()
        await self.reports.recover()
        self.store.on_back = self._store_back
        await self.channels.start()
        self.clockwork.start()
        self._room.start()
        self.membership.start()
        self.people.start(self._reactor)
        await self.server.start(self._reactor)
        if self._first:
            log.info("listening for SMPP on {addresses}", addresses=", ".join(config.smpp_server.listen))
            self._outbind.start()
        _quieten_gc()
        self._ready, self._starting = True, None
        begun.callback(None)
        if self._beside is not None:
            self._beside.tell_parent(READY)
        self._tell_systemd(notify.READY)
        log.info("ready: node {node}", node=self._node)

    def _tell_systemd(self, words: str) -> None:
        if self._place is None:  # the parent of workers tells for all of them
            notify.tell(words)

    def _furnish(self, incarnation: int) -> None:
        """What a node is beside its listeners: channels, and who looks after what is due, once the store has said which
        process of this name it is."""
        config = self._config
        self.intake.ids = Ids(self._reactor.seconds(), incarnation)
        self.intake.numbering.use(short_ids_of(config))
        self._wirelog = WireLog(Path(config.store.directory) / f"wire-{self._node}")
        self.channels = self._make_channels(self._wirelog)
        self.channels.build()
        concerned = lambda: set[str]().union(*(ledger.concerned for ledger in self._ledgers))  # noqa: E731
        self.clockwork = Clockwork(
            store=self.store, delivery=self.delivery, joining=self.joining, intake=self.intake, reactor=self._reactor,
            was_written=self._wirelog.was_written, resends=self._resends,
            accounts=lambda: list(self._accounts()),
            concerned=concerned, surveyed=lambda: self.receipts.expire(self._waiting_for_a_bind()), looks=self._first,
        )  # fmt: skip
        takeover = Takeover(
            store=self.store, node=self._node, delivery=self.delivery, was_written=self._wirelog.was_written,
            resends=self._resends, concerned=concerned, spawn=self._spawn,
        )  # fmt: skip
        self.membership = Membership(
            store=self.store, node=self._node, instance=incarnation, reactor=self._reactor,
            delivery=self.delivery, desk=self.receipts, takeover=takeover, accounts=lambda: list(self._accounts()),
            alone=self._embedded is not None, ousted=self._ousted, count=self.metrics.count,
        )  # fmt: skip
        if self._embedded is None:
            self.receipts.leases = self.membership

    def _resends(self, channel: str) -> bool:
        """Does `unanswered: resend` hold for this operator?"""
        return any(one.name == channel and one.unanswered == "resend" for one in self._config.smsc_client)

    def _ousted(self) -> None:
        self.failed = self.of_all = True
        self._reactor.callLater(0, self._reactor.stop)

    def _waiting_for_a_bind(self) -> Mapping[str, int]:
        """Receipts and replies by account, without those that another node writes."""
        pending: Mapping[str, int] = self._overview_box.pending
        elsewhere = self.membership.held_elsewhere if self.membership is not None else frozenset()
        return {name: n for name, n in pending.items() if name not in elsewhere} if elsewhere else pending

    async def _listen_http(self) -> None:
        listener = Listener(self._pages.answer, clock=self._reactor, most_octets=LARGEST_BODY)
        await self._http_listeners.open(self._reactor, self._config.http.listen, listener)
        log.info("listening for HTTP on {addresses}", addresses=", ".join(self._config.http.listen))

    def _store_back(self) -> None:
        """The link to the store is new: nothing that was on its way may be forgotten."""
        self.receipts.store_back()
        for dispatcher in self.delivery.dispatchers.values():
            dispatcher.something_waits()
        if self.clockwork is not None and self.running:
            self._spawn(self.clockwork.recover_leases(), "recovery after the store was away")

    def stopService(self) -> Any:
        super().stopService()
        log.info("stopping")
        self._tell_systemd(notify.STOPPING)
        return defer.ensureDeferred(self._stop())

    async def _stop(self) -> None:
        """Binds end on both sides, within 4 s; what was accepted is kept or handed back; then the store closes. All in
        all less than 10 s, whatever hangs."""
        if not hasattr(self, "intake"):
            return
        self.intake.stopping = True
        self._outbind.stop()
        for dispatcher in self.delivery.dispatchers.values():
            dispatcher.stopping = True
        stops = [defer.ensureDeferred(self.server.stop())]
        stops += [defer.ensureDeferred(channel.stop()) for channel in self.delivery.channels.values()]
        await defer.DeferredList(stops, consumeErrors=True)
        await self.background.drain(DRAIN_S, self._reactor)
        self.background.cancel()
        await self._settled()
        if self.clockwork is not None:
            self.clockwork.stop()
            self.people.stop()
            self._room.stop()
        if self.membership is not None:
            with contextlib.suppress(StoreAway):
                await self.membership.leave()
        await self._http_listeners.close()
        if self._beside is not None:
            await self._beside.close()
        if self.channels is not None:
            await self.channels.close()
        await self.store.stop()
        if self._wirelog is not None:
            self._wirelog.close()
        log.info("stopped")

    async def _settled(self) -> None:
        """Wait until all changes are kept and all reports have found their messages, but not for ever: what is not kept
        is found again by recovery."""
        deadline = self._reactor.seconds() + DRAIN_S
        while (
            any(ledger.busy for ledger in self._ledgers) or self.receipts.busy or self.store.busy
        ) and self.store.writable:
            if self._reactor.seconds() > deadline:
                return
            pause: defer.Deferred[None] = defer.Deferred()
            self._reactor.callLater(0.02, pause.callback, None)
            await pause

    # -- reload

    def _reload_by_signal(self) -> None:
        self.reload()

    def diff(self) -> tuple[list[dict[str, str]], list[str]]:
        """(What a reload would change, errors of the file)."""
        try:
            read = load_as_written(self._path, os.environ)
        except ConfigErrors as wrong:
            return [], list(wrong.errors)
        found = changes((self._config, self._written), read)
        return [{"place": one.place, "what": one.what, "effect": one.effect} for one in found], []

    def reload(self) -> tuple[list[str], list[str]]:
        """Read the file again and apply it: (what changed, errors). A bad file changes nothing."""
        try:
            new, written = load_as_written(self._path, os.environ)
        except ConfigErrors as wrong:
            log.error("the configuration was not reloaded, {n} problems: {what}",
                      n=len(wrong.errors), what="; ".join(wrong.errors))  # fmt: skip
            return [], list(wrong.errors)
        try:
            certificates = self._http_listeners.read_again(new.http.listen)
            certificates += self.server.read_certificates(new.smpp_server)
        except ValueError as wrong_file:
            log.error("the configuration was not reloaded: {why}", why=str(wrong_file))
            return [], [f"{self._path}: {wrong_file}"]
        old, changed = self._config, list[str]()
        for one in changes((old, self._written), (new, written)):
            if one.effect == NEXT_START:
                log.warn("{change}", change=str(one))
        new, self._written = after_reload((old, self._written), (new, written))
        self._config = new
        if certificates:
            Listeners.use(certificates)
            changed.append("certificates")
        if old.smpp_server != new.smpp_server or old.country != new.country:
            self.server.reload(new.smpp_server, new.country)
            self.intake.parts_timeout_s = new.smpp_server.parts_timeout
            self.intake.dedupe = dedupe_of(new)
            self.delivery.known_by.remote_id_days = remote_id_days_of(new)
            self.intake.numbering.use(short_ids_of(new))
            changed.append("smpp_server")
        self._direct(new)
        before, after = settings_of(old, self._place), settings_of(new, self._place)
        for name in [*before, *(n for n in after if n not in before)]:
            if before.get(name) != after.get(name):
                changed.append(name)
                self._spawn(self._exchange(name), f"reload of channel {name}")
        if old.routes != new.routes:
            changed.append("routes")
        if old.replies != new.replies:
            changed.append("replies")
        self.replies.rules = replies_of(new)
        self.intake.use(routes_of(new))
        log.info("configuration reloaded: {changed}", changed=", ".join(changed) or "nothing changed")
        if self._beside is not None:
            self._beside.tell_parent(RELOADED)
        return changed, []

    async def _exchange(self, name: str) -> None:
        """Of a channel whose settings changed. There is none before the start is over."""
        if self._starting is not None:
            await self._starting
        if self.channels is not None:
            await self.channels.exchange(name)

    # -- looking

    def why_not_ready(self) -> dict[str, str]:
        reasons = {}
        if not hasattr(self, "store") or self.store.why_not_writable:
            reasons["store"] = self.store.why_not_writable
        if not self.server.listening:
            reasons["smpp"] = "the SMPP listener is not up"
        return reasons

    def _gauges(self) -> Sequence[Gauge]:
        seen, now = self._overview_box, self._reactor.seconds()
        found = [
            *self._room.gauges(),
            ("pombo_store_writable", (), float(self.store.writable)),
            ("pombo_unfinished", (), float(self.intake.unfinished)),
            ("pombo_unfinished_limit", (), float(self.intake.max_messages)),
            *gauges.of_accounts(self._accounts(), self.bound.status(), seen.pending),
            *gauges.of_channels(self.delivery.channels.values(), seen.depth, seen.oldest_at, now),
        ]
        if self.membership is not None:
            found.append(("pombo_clock_off_seconds", (), abs(self.membership.ahead_s)))
        return found


class _OverviewBox:
    """The overview, before and after there is one."""

    overview: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.overview, name) if self.overview is not None else {}


def _quieten_gc() -> None:
    """What is here now stays; of what comes, nearly everything goes by reference counts. Looking for cycles as often
    as the interpreter's defaults do costs a third of the time of a message."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 50)


class Door:
    """gateway.server.ports.Intake: submit and what may be done with a message afterwards."""

    def __init__(self, intake: Intake, operations: Operations, replacing: Replacing) -> None:
        self.submit, self.submit_multi, self.submit_instead = intake.submit, intake.submit_multi, replacing.submit
        self.query, self.cancel, self.replace = operations.query, operations.cancel, operations.replace


async def _not_yet(_: HttpRequest) -> HttpResponse:
    return HttpResponse(503)


def _secret(value: Any) -> str | None:
    return value.get_secret_value() if value is not None else None


def _global_reactor() -> Any:
    from twisted.internet import reactor

    return reactor
