"""A provider's adapter and its simulator, joined through memory on one clock."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from bridge.channel import WhatsAppChannel
from bridge.provider import HttpOutcome, HttpRequest, HttpResponse, Unanswered
from bridge.providers import provider_of
from bridge.providers.cloud_api import CloudApi
from config.schema import BridgeSettings
from tests.bridge.fakes import FakeDelivery, FakeStore, Spawned, clock, message
from tools.http_door import Reply
from tools.scripts import WHATSAPP_WORDS, WhatsAppScript, read_script
from tools.webhooks import Webhooks
from tools.whatsapp_simulator import SIMULATORS, Dialog360Simulator, ProviderSettings, WhatsAppProvider

KEY, SECRET, VERIFY = "pr0v1der-k3y", "w3bh00k-s3cret", "v3rify"
TEMPLATE = {"name": "fatura", "language": "pt_BR", "match": "Sua fatura (?P<t>.*)", "body": ["{t}"]}
TEXT = "Sua fatura vence amanha"

# By the name of an API: where it is, and what the configuration must hold for it. 360dialog has its own simulator.
OURS: dict[str, dict[str, Any]] = {
    "evolution": {"provider": "evolution", "url": "http://evolution:8080", "webhook_secret": SECRET},
    "waha": {"provider": "waha", "url": "http://waha:3000", "webhook_secret": SECRET},
    "wppconnect": {"provider": "wppconnect", "url": "http://wppconnect:21465", "webhook_secret": SECRET},
    "cloud_api": {
        "provider": "cloud_api", "url": "https://graph.facebook.com/v25.0", "app_secret": SECRET,
        "verify_token": VERIFY, "templates": [TEMPLATE],
    },
    "360dialog": {
        "provider": "cloud_api", "url": "https://waba-v2.360dialog.io", "webhook_secret": SECRET,
        "templates": [TEMPLATE],
    },
}  # fmt: skip
THEIRS: dict[str, type[WhatsAppProvider]] = {**SIMULATORS, "360dialog": Dialog360Simulator}
WITHOUT_LOOKUP = ("cloud_api", "360dialog")


def settings_of(api: str, **over: Any) -> BridgeSettings:
    """The configuration of a channel `zap` over this API."""
    values = {"name": "zap", "api_key": KEY, "throughput": "200/s", "timeout": "3s"}
    if "senders" not in over:
        values["instance"] = "main"
    return BridgeSettings.model_validate({**values, "lookup": {"budget": "6000/m"}, **OURS[api], **over})


def simulator_of(
    api: str,
    clock: Clock,
    take: Callable[[HttpRequest], Awaitable[HttpResponse]],
    *,
    script: str = "",
    **over: Any,
) -> WhatsAppProvider:
    """The other side. take: where its webhooks arrive. script: what it does to everybody."""

    async def post(url: str, headers: dict[str, str], body: bytes) -> int:
        parts = urlsplit(url)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        return (await take(HttpRequest("POST", path, tuple(headers.items()), body))).status

    def send(url: str, headers: dict[str, str], body: bytes) -> Deferred[int]:
        return Deferred.fromCoroutine(post(url, headers, body))

    settings = ProviderSettings(key=KEY, webhook_secret=SECRET, verify_token=VERIFY, **over)
    webhooks = Webhooks(send, clock, url="http://gateway/webhooks/zap", first_gap_s=0.5)
    simulator = THEIRS[api](settings, clock, webhooks, rng=random.Random(3))
    if script:
        simulator.scripts.set("*", read_script(script, WHATSAPP_WORDS, WhatsAppScript()))
    return simulator


def response_of(reply: Reply) -> HttpResponse:
    return HttpResponse(reply.status, msgspec.json.encode(reply.body))


class Wires:
    """bridge.provider.Http to several simulators, each under a host of its own."""

    def __init__(self, wires: Mapping[str, Wire]) -> None:
        self._wires = wires

    async def send(self, request: HttpRequest, timeout: float) -> HttpOutcome:
        return await self._wires[urlsplit(request.url).netloc].send(request, timeout)


class Wire:
    """bridge.provider.Http straight into a simulator. `requests` keeps what went over it."""

    def __init__(self, simulator: WhatsAppProvider, clock: Clock) -> None:
        self.simulator, self.clock = simulator, clock
        self.requests: list[HttpRequest] = []

    async def send(self, request: HttpRequest, timeout: float) -> HttpOutcome:
        self.requests.append(request)
        parts = urlsplit(request.url)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        headers = {name.lower(): value for name, value in request.headers}
        answering = Deferred.fromCoroutine(self.simulator.answer(request.method, path, headers, request.body))
        silence: Deferred[None] = Deferred()
        late = self.clock.callLater(timeout, silence.callback, None)
        # The simulator finishes its work although nobody waits for the answer any more.
        outcome: Deferred[HttpOutcome] = Deferred()

        def answered(reply: Reply) -> None:
            if outcome.called or reply.status == 0:
                return
            outcome.callback(Unanswered("connection_lost") if reply.status == -1 else response_of(reply))

        def failed(failure: Any) -> None:
            if failure.check(CancelledError) is None and not outcome.called:
                outcome.errback(failure)

        answering.addCallbacks(answered, failed)
        silence.addCallback(lambda _: outcome.called or outcome.callback(Unanswered("timeout")))
        result = await outcome
        if late.active():
            late.cancel()
        return result


def adapter_of(api: str) -> Any:
    """The adapter of an API, as the configuration makes it."""
    adapter = provider_of(settings_of(api))
    assert not isinstance(adapter, CloudApi) or adapter.resold is (api == "360dialog")
    return adapter


class Simulated:
    """A started channel over a provider's simulator. `hooks`: the webhooks that came, each with its answer."""

    def __init__(self, api: str, *, script: str = "", over: dict[str, Any] | None = None, **simulator: Any) -> None:
        self.clock, self.delivery, self.spawned = clock(), FakeDelivery(), Spawned()
        self.hooks: list[tuple[HttpRequest, HttpResponse]] = []
        self.provider = simulator_of(api, self.clock, self._take, script=script, **simulator)
        self.wire = Wire(self.provider, self.clock)
        settings = settings_of(api, **{"health": {"min_acks": 0}, **(over or {})})
        self.channel = WhatsAppChannel(
            settings,
            http=self.wire,
            evidence=FakeStore(),
            results=self.delivery,
            mark=lambda _: None,
            decode=lambda message: message.user_data.decode(),
            clock=self.clock,
            spawn=self.spawned,
        )
        self.spawned(self.channel.start(), "starting", self.channel.log)
        self.flows(0.2)

    async def _take(self, request: HttpRequest) -> HttpResponse:
        answer = await self.channel.receive_webhook(request)
        self.hooks.append((request, answer))
        return answer

    def flows(self, seconds: float = 5.0) -> None:
        """Time passes."""
        self.clock.pump([0.05] * int(seconds / 0.05))
        self.spawned.check()

    def does(self, work: Any) -> None:
        """Something happens on the provider's side."""
        self.spawned(work, "the provider", self.channel.log)
        self.flows(1.0)

    def send(self, number: str, id: str = "m1") -> None:
        self.channel.send(message(id, number, TEXT))
        self.flows()
