"""One node over a real store: everything of delivery, with channels and billing systems in memory. Time moves only
when the test says so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from prometheus_client import CollectorRegistry
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock, deferLater
from twisted.logger import Logger

from gateway.background import Background
from gateway.delivery.clockwork import Clockwork
from gateway.delivery.deliver import Delivery
from gateway.delivery.dispatch import Dispatcher
from gateway.delivery.inbound import Replies
from gateway.delivery.intake import Intake
from gateway.delivery.joining import Joining
from gateway.delivery.membership import Membership
from gateway.delivery.operations import Operations
from gateway.delivery.receipts import ReceiptDesk
from gateway.delivery.replacing import Replacing
from gateway.delivery.reports import Reports
from gateway.delivery.takeover import Takeover
from gateway.messages.address import parse_destination
from gateway.messages.ids import Ids
from gateway.messages.message import Message
from gateway.messages.outcome import Inbound
from gateway.metrics import Metrics
from gateway.routing.routes import Route
from gateway.smpp import charset
from gateway.store import keys, records
from gateway.store.ledger import Ledger
from gateway.store.lookups import story_of
from gateway.store.records import Event
from gateway.store.valkey import Keep, Store
from gateway.texts import is_text, join_parts, reply_of, text_of
from gateway.wiring import Hub
from smsc_client.remote_ids import id_forms
from tests.fakes.channels import MemoryChannel
from tests.fakes.esmes import MemoryEsmes
from tests.gateway import samples
from tests.gateway.samples import DAY_S
from tests.log_watch import WATCH

PATIENCE_S = 600.0  # fallback_after of the usual route
PARTS_S = 60.0
RETENTION_S = 172_800
USUAL = Route("default", ("zap", "operator"), fallback_after=PATIENCE_S)
SMS_ONLY = Route("sms", ("operator",))
ZAP_ONLY = Route("zap", ("zap",))
log = Logger("house")


def time_now() -> Clock:
    """A clock that stands at the present: entries of streams carry the store's own time."""
    clock = Clock()
    clock.advance(float(int(time.time())))
    return clock


class House:
    def __init__(
        self,
        store: Store,
        *routes: Route,
        node: str = "gw1",
        clock: Clock | None = None,
        incarnation: int = 1,
        was_written: Callable[[str], bool] = lambda _: False,
        receipts_kept: float = 7 * DAY_S,
        max_messages: int = 100_000,
        shared: bool | None = None,
        channels: Sequence[str] = ("zap", "operator"),
    ) -> None:
        """shared: whether there are other nodes on the store; None: there is no membership at all."""
        self.store, self.clock, self.node = store, clock or time_now(), node
        self.metrics = Metrics(CollectorRegistry())
        self.background = Background()
        self._ticks = 0
        self.resending: set[str] = set()
        now = self.tick
        self.ledger = Ledger(store, node, 100_000, self.later, Keep.ALWAYS)
        self.accepted = Ledger(store, node, 100_000, self.later, Keep.OVER_LINKS)
        self.desk = ReceiptDesk(store, self.clock, now, self.metrics, node, lambda _: receipts_kept)
        self.esmes = MemoryEsmes(self.later)
        self.desk.esmes, self.esmes.on_receiver = self.esmes, self.desk.receiver_ready
        self.delivery = Delivery(
            ledger=self.ledger, clock=now, metrics=self.metrics, receipts=self.desk, retention_s=RETENTION_S
        )
        ids = Ids(now(), incarnation)
        self.joining = Joining(store, self.delivery, now, join_parts, self.spawn)
        self.delivery.joined = self.joining
        self.reports = Reports(
            store, self.delivery, self.metrics, id_forms, self.later, self.normalize, self.clock.callLater
        )
        self.reports.report_parts = self.joining.report_parts
        self.reports.shared = bool(shared)
        self.operations = Operations(store, self.delivery, now, self.normalize)
        self.intake = Intake(
            store=store,
            ledger=self.accepted,
            delivery=self.delivery,
            parts=self.joining,
            ids=ids,
            clock=now,
            metrics=self.metrics,
            text_of=text_of,
            is_text=is_text,
            parts_timeout_s=PARTS_S,
            max_messages=max_messages,
            revoke=self.revoke,
        )
        self.joining.set_out = self.intake.set_out_together
        self.intake.use(routes or (USUAL,))
        self.replacing = Replacing(store, self.intake, self.delivery, now, self.clock.callLater)
        self.owners: dict[str, str] = {}
        self.alphabets = "gsm7", "gsm7"  # what data_coding 0 means to operators, and to accounts
        self.replies = Replies(
            store, self.desk, now, lambda n: self.normalize(n) or n, charset.choose,
            lambda text, account: reply_of(text, *self.alphabets), lambda: self.owners, self.spawn,
        )  # fmt: skip
        self.hub: Any = Hub()
        self.hub.attempted, self.hub.answered_late = self.delivery.attempted, self.delivery.answered_late
        self.hub.looked_up, self.hub.noted = self.delivery.looked_up, self.delivery.noted
        self.hub.capacity_changed = self.delivery.capacity_changed
        self.hub.reported, self.hub.inbound = self.reports.reported, self.replies.inbound
        if "zap" in channels:
            self.zap = self.add_channel("zap", "whatsapp", "0.03")
        if "operator" in channels:
            self.operator = self.add_channel("operator", "smsc", "0.08")
        self.clockwork = Clockwork(
            store=store,
            delivery=self.delivery,
            joining=self.joining,
            intake=self.intake,
            reactor=self.clock,
            was_written=lambda message_id, channel: was_written(message_id),
            resends=lambda _: False,
            accounts=lambda: ["billing", "shop"],
            concerned=lambda: self.ledger.concerned | self.accepted.concerned,
            surveyed=lambda: self.desk.expire(self.clockwork.overview.pending),
        )
        self.ousted = 0
        self.membership: Membership | None = None
        if shared is not None:
            self.membership = self._membership(incarnation, was_written, alone=not shared)
            self.desk.leases = self.membership if shared else None

    def _membership(self, incarnation: int, was_written: Callable[[str], bool], alone: bool) -> Membership:
        def ousted() -> None:
            self.ousted += 1

        takeover = Takeover(
            store=self.store,
            node=self.node,
            delivery=self.delivery,
            was_written=lambda message_id, channel: was_written(message_id),
            resends=lambda channel: channel in self.resending,
            concerned=lambda: self.ledger.concerned | self.accepted.concerned,
            spawn=self.spawn,
        )
        return Membership(
            store=self.store,
            node=self.node,
            instance=incarnation,
            reactor=self.clock,
            delivery=self.delivery,
            desk=self.desk,
            takeover=takeover,
            accounts=lambda: ["billing", "shop"],
            alone=alone,
            ousted=ousted,
            time=lambda: f"{self.clock.seconds():.3f}",
            count=self.metrics.count,
        )

    def add_channel(self, name: str, kind: str, price: str) -> MemoryChannel:
        channel = MemoryChannel(name, kind, self.hub, self.later, price)
        self.delivery.channels[name] = channel
        self.delivery.dispatchers[name] = Dispatcher(
            channel, self.store, self.node, self.delivery.attempted, self.later, self.clock.seconds
        )
        return channel

    @staticmethod
    def normalize(number: str) -> str | None:
        return parse_destination(number, "BR")

    def revoke(self, *words: str) -> None:
        self.store.call("revoke", *words)

    def later(self, call: Callable[[], None]) -> None:
        self.clock.callLater(0, call)

    def spawn(self, work: Any, what: str) -> object:
        return self.background.spawn(work, what, log)

    # -- time

    def tick(self) -> float:
        """The clock's time, a microsecond later with every look: no two moments are the same."""
        self._ticks += 1
        return float(self.clock.seconds()) + self._ticks * 1e-6

    async def start(self) -> House:
        """Recover what an earlier node of this name left, then run."""
        if self.membership is not None:
            joining = ensureDeferred(self.membership.join())
            await self.settle()
            await joining
        recovering = ensureDeferred(self.clockwork.recover())
        await self.settle()
        await recovering
        recovering = ensureDeferred(self.reports.recover())
        await self.settle()
        await recovering
        for dispatcher in self.delivery.dispatchers.values():
            dispatcher.start()
        self.clockwork.start()
        if self.membership is not None:
            self.membership.start()
        await self.settle()
        return self

    def die(self) -> None:
        """What a killed process does: nothing, from now on."""
        self.clockwork.stop()
        self.esmes.binds.clear()
        if self.membership is not None:
            self.membership.stop()

    unanswered = 0  # work that waits for the test

    @property
    def quiet(self) -> bool:
        now, calls = self.clock.seconds(), cast("list[Any]", self.clock.getDelayedCalls())
        return not (
            self.store._pending
            or self.ledger.busy
            or self.accepted.busy
            or self.intake.busy
            or self.desk.busy
            or len(self.background.running) > self.unanswered
            or any(call.getTime() <= now for call in calls)
        )

    @property
    def beat(self) -> float:
        """Seconds that pass while everything settles, once in every round of it."""
        return 0.0

    async def settle(self) -> None:
        """Let everything happen that can happen without time passing."""
        quiet = 0
        while quiet < 2:
            self.clock.advance(self.beat)
            await self.store.command("PING", keep=Keep.ALWAYS)  # answered after everything that was asked before
            await deferLater(reactor, 0, lambda: None)
            quiet = quiet + 1 if self.quiet else 0

    async def passes(self, seconds: float) -> None:
        """So much time goes by; then what has come due happens."""
        self.clock.advance(seconds)
        await self.settle()
        self.clock.advance(0.2)
        await self.settle()

    @property
    def now(self) -> float:
        return float(self.clock.seconds())

    # -- what an ESME does

    def message(self, **fields: Any) -> Message:
        return samples.message(**{"expires_at": self.now + DAY_S, **fields})

    def part(self, number: int, total: int, **fields: Any) -> Message:
        return samples.part(number, total, **{"expires_at": self.now + DAY_S, **fields})

    def submit_at_once(self, *messages: Message) -> list[tuple[int, str]]:
        """Submit in one turn; the list fills with (command_status, message_id) as answers come."""
        answers: list[tuple[int, str]] = []
        for message in messages:
            WATCH.submitted(message.user_data.decode("latin-1"))
            self.intake.submit(message, lambda status, message_id: answers.append((status, message_id)))
        return answers

    async def submit(self, *messages: Message) -> list[str]:
        """Submit, and wait until all are accepted; their ids."""
        answers = self.submit_at_once(*messages)
        await self.settle()
        assert [status for status, _ in answers] == [0] * len(messages)
        return [message_id for _, message_id in answers]

    async def submit_one(self, **fields: Any) -> str:
        (message_id,) = await self.submit(self.message(**fields))
        return message_id

    # -- what can be seen

    async def read(self, message_id: str) -> Message:
        return records.unpack(await self.store.command("GET", keys.message(message_id)))

    async def read_all(self, ids: Iterable[str]) -> list[Message]:
        return [await self.read(message_id) for message_id in ids]

    async def trace(self, message_id: str) -> list[Event]:
        message = await self.read(message_id)
        events = [Event(*step) for step in message.trace]
        if message.joined_in and not message.final:
            events += [Event(*step) for step in (await self.read(message.joined_in)).trace]
        return events + (await story_of(self.store, message_id, self.tick(), RETENTION_S))[1]

    async def story(self, message_id: str) -> list[str]:
        """The names of its events, in order."""
        return [event.event for event in await self.trace(message_id)]

    async def receipts(self, account: str = "billing") -> list[Any]:
        """What waits in the account's stream."""
        rows = await self.store.command("XRANGE", keys.receipts(account), "-", "+")
        return [records.unpack_waiting(fields[1]) for _, fields in rows]

    def metric(self, name: str, **labels: str) -> float:
        self.metrics.page()  # counts are gathered, and handed over when somebody looks
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    async def inbound(self, channel: str, *texts: Inbound) -> list[bool]:
        told: list[bool] = []
        self.hub.inbound(channel, texts, told.append)
        await self.settle()
        return told


def ids_of(messages: Sequence[Message]) -> list[str]:
    return [message.id for message in messages]
