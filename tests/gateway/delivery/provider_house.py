"""A house whose WhatsApp channel is the real one, over a simulated provider: everything but sockets, on one clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from twisted.internet.task import Clock

from bridge.channel import WhatsAppChannel
from bridge.provider import Http, HttpRequest, HttpResponse
from config.schema import BridgeSettings
from gateway.delivery.dispatch import Dispatcher
from gateway.messages.message import Message, Receipt
from gateway.messages.outcome import Accepted, Status
from gateway.messages.states import FINAL, State
from gateway.routing.routes import Route
from gateway.store.valkey import Store
from gateway.texts import text_of
from tests.bridge.fakes import FakeStore, Spawned
from tests.bridge.simulated import Wire, settings_of, simulator_of
from tests.gateway.delivery.house import House
from tools.people import person_of
from tools.scripts import WHATSAPP_WORDS, WhatsAppScript, read_script
from tools.whatsapp_simulator import WhatsAppProvider

PATIENCE_S = 20.0  # fallback_after
AFTERWARDS_S = 8.0  # what would still come late


class Row(msgspec.Struct, frozen=True):
    """What became of one message: its receipts by stat, and how often it went over each channel."""

    state: str
    channel: str
    receipts: tuple[str, ...]
    whatsapp: int
    sms: int


class ProviderHouse(House):
    """The operator takes and delivers everything."""

    def __init__(
        self, store: Store, api: str, *, health: dict[str, Any] | None = None, bridge: dict[str, Any] | None = None,
        clock: Clock | None = None, was_written: Callable[[str], bool] = lambda _: False, **more: Any,
    ) -> None:  # fmt: skip
        """bridge: more of the channel's configuration."""
        route = Route("default", ("zap", "operator"), fallback_after=PATIENCE_S)
        super().__init__(store, route, clock=clock, was_written=was_written)
        self.hooks: list[int] = []  # answers to webhooks
        self.provider = simulator_of(api, self.clock, self._take, **more)
        self.spawned = Spawned()
        self.wire = Wire(self.provider, self.clock)
        self.open_channel(settings_of(api, health=health or {"min_acks": 0}, **(bridge or {})), self.wire)
        self.operator.script = self._operator_takes
        self.bound = self.esmes.bind(window=1000)

    def open_channel(self, settings: BridgeSettings, http: Http) -> None:
        self.sender = WhatsAppChannel(
            settings,
            http=http,
            evidence=FakeStore(),
            results=self.hub,
            mark=lambda _: None,
            decode=text_of,
            clock=self.clock,
            spawn=self.spawned,
            count=self.metrics.count,
        )
        self.delivery.channels["zap"] = self.sender
        self.delivery.dispatchers["zap"] = Dispatcher(
            self.sender, self.store, self.node, self.delivery.attempted, self.later, self.clock.seconds
        )

    @property
    def providers(self) -> Iterable[WhatsAppProvider]:
        """Every simulator behind the channel."""
        return (self.provider,)

    async def _take(self, request: HttpRequest) -> HttpResponse:
        answer = await self.sender.receive_webhook(request)
        self.hooks.append(answer.status)
        return answer

    def _operator_takes(self, message: Message) -> Accepted:
        remote_id = self.operator.new_id()
        self.clock.callLater(0.5, self.operator.report, remote_id, Status.DELIVERED, State.DELIVERED)
        return Accepted(remote_id)

    async def open(self) -> ProviderHouse:
        await self.start()
        self.spawned(self.sender.start(), "starting", self.sender.log)
        await self.passes(0.3)
        assert self.sender.up
        return self

    def acts(self, number: str, words: str, *, account: bool = True) -> None:
        """What the provider does to this person."""
        if account:
            for provider in self.providers:
                provider.people.add(number)
        for provider in self.providers if words else ():
            provider.scripts.set(person_of(number), read_script(words, WHATSAPP_WORDS, WhatsAppScript()))

    async def send(self, *numbers: str) -> list[str]:
        return await self.submit(*(self.message(msisdn=number, dest=number) for number in numbers))

    async def ends(self, *ids: str) -> None:
        """Time passes until these messages are over, and then some more."""
        for _ in range(int(3 * PATIENCE_S)):
            if all(message.state in FINAL for message in await self.read_all(ids)):
                break
            await self.flows(0.5)
        await self.flows(AFTERWARDS_S)
        self.spawned.check()

    async def flows(self, seconds: float) -> None:
        """Time passes from one thing that is due to the next, as it does."""
        end = self.clock.seconds() + seconds
        while self.clock.seconds() < end:
            calls: list[Any] = list(self.clock.getDelayedCalls())
            due = min([end, *(call.getTime() for call in calls)])
            self.clock.advance(max(due - self.clock.seconds(), 0.001))
            await self.settle()

    async def row(self, message_id: str) -> Row:
        message = await self.read(message_id)
        receipts = [one for one in self.bound.got if isinstance(one, Receipt) and one.message_id == message_id]
        person = person_of(message.msisdn)
        return Row(
            message.state.name,
            message.decided_by,
            tuple(receipt.state.name for receipt in receipts),
            sum(sent.person == person for provider in self.providers for sent in provider.sends),
            sum(taken.msisdn == message.msisdn for taken in self.operator.taken),
        )
