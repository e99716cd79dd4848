"""A house whose WhatsApp channel is the real one, with a provider behind it whose HTTP is in memory."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import Deferred, ensureDeferred

from bridge.channel import WhatsAppChannel
from bridge.lookup import PAUSE_S, Lookup
from bridge.provider import HttpOutcome, HttpRequest, HttpResponse
from config.schema import BridgeSettings
from gateway.delivery.dispatch import Dispatcher
from gateway.messages.message import Message
from gateway.messages.outcome import Accepted, Status
from gateway.routing.routes import Route
from gateway.store.evidence import Evidence
from gateway.store.valkey import Store
from gateway.texts import text_of
from tests.bridge.fakes import FakeHttp, json_answer
from tests.gateway.delivery.house import House

EVOLUTION: dict[str, Any] = {
    "name": "zap", "provider": "evolution", "url": "http://127.0.0.1:8080", "api_key": "k3y", "instance": "main",
    "throughput": "20000/s", "timeout": "3s", "lookup": {"budget": "60000/m", "when_unknown": "skip"},
}  # fmt: skip
CLOUD_API: dict[str, Any] = {
    "name": "zap", "provider": "cloud_api", "url": "https://graph.example/v25.0", "api_key": "t0ken",
    "instance": "1065", "app_secret": "secret", "throughput": "20000/s", "timeout": "3s", "health": {"min_acks": 0},
    "templates": [{"name": "fatura", "language": "pt_BR", "match": "Sua fatura (?P<t>.*)", "body": ["{t}"]}],
}  # fmt: skip
EVOLUTION_SAYS = {
    Status.SENT: "SERVER_ACK",
    Status.DELIVERED: "DELIVERY_ACK",
    Status.READ: "READ",
    Status.FAILED: "ERROR",
}


class ZapHouse(House):
    """`sent`: the numbers (or identities) of all sends, in order; `late`: sends that are answered by `answer_sends`."""

    def __init__(self, store: Store, *routes: Route, provider: dict[str, Any] = EVOLUTION, **more: Any) -> None:
        self.settings = BridgeSettings.model_validate(provider)
        self.http, self.sent, self.late = FakeHttp(), list[str](), False
        self.identity: Callable[[str], str | None] = lambda number: f"{number}@s.whatsapp.net"
        self._ids = itertools.count()
        self._unanswered: list[tuple[Deferred[HttpOutcome], HttpOutcome]] = []
        self.http.answers = {
            "whatsappNumbers": self.accounts,
            "sendText": self._take,
            "connectionState": json_answer(200, {"instance": {"instanceName": "main", "state": "open"}}),
            "/1065/messages": self._take,
            "/1065?": json_answer(200, {"id": "1065", "status": "CONNECTED"}),
        }
        super().__init__(store, *routes, **more)

    def add_channel(self, name: str, kind: str, price: str) -> Any:
        if kind != "whatsapp":
            operator = super().add_channel(name, kind, price)
            operator.script = lambda _: Accepted(operator.new_id())
            return operator
        channel = WhatsAppChannel(
            self.settings, http=self, evidence=Evidence(self.store, self.later),
            results=self.hub, mark=lambda _: None, decode=text_of, clock=self.clock, spawn=self.background.spawn,
        )  # fmt: skip
        self.delivery.channels[name] = channel
        self.delivery.dispatchers[name] = Dispatcher(
            channel, self.store, self.node, self.delivery.attempted, self.later, self.clock.seconds
        )
        return channel

    async def start(self) -> ZapHouse:
        await super().start()
        await self.zap.start()
        await self.settle()
        return self

    @property
    def beat(self) -> float:
        """What a lookup told is passed on some at a time, with pauses between."""
        soon = self.clock.seconds() + PAUSE_S
        calls = cast("list[Any]", self.clock.getDelayedCalls())
        told = Lookup._tell_some.__qualname__
        pause = any(call.getTime() <= soon and getattr(call.func, "__qualname__", "") == told for call in calls)
        return PAUSE_S if pause else 0.0

    # -- the provider

    async def send(self, request: HttpRequest, timeout: float) -> HttpOutcome:
        outcome = await self.http.send(request, timeout)
        if not self.late or ("essage" not in request.url and "sendText" not in request.url):
            return outcome
        waiting: Deferred[HttpOutcome] = Deferred()
        self._unanswered.append((waiting, outcome))
        self.unanswered = len(self._unanswered)
        return await waiting

    def accounts(self, request: HttpRequest) -> HttpOutcome:
        numbers = json.loads(request.body)["numbers"]
        found = [(number, self.identity(number)) for number in numbers]
        return json_answer(200, [{"jid": jid or "", "exists": jid is not None, "number": n} for n, jid in found])

    def _take(self, request: HttpRequest) -> HttpOutcome:
        body = json.loads(request.body)
        remote_id = f"W{next(self._ids)}"
        self.sent.append(body.get("number") or body["to"])
        if "number" in body:
            return json_answer(201, {"key": {"id": remote_id}, "status": "PENDING"})
        return json_answer(200, {"messages": [{"id": remote_id}]})

    def answer_sends(self) -> None:
        waiting, self._unanswered, self.unanswered = self._unanswered, [], 0
        for one, outcome in waiting:
            one.callback(outcome)

    def webhook(self, remote_id: str, status: Status, code: int = 0) -> Deferred[HttpResponse]:
        """One status of a message as the provider tells it."""
        if self.settings.provider == "cloud_api":
            return self.webhook_of({"id": remote_id, "status": status.value, "errors": [{"code": code}] * bool(code)})
        data = {"keyId": remote_id, "fromMe": True, "status": EVOLUTION_SAYS[status]}
        return self._post({"event": "messages.update", "instance": "main", "data": data}, b"")

    def webhook_of(self, status: object) -> Deferred[HttpResponse]:
        """A status in the words of the Cloud API."""
        return self._post({"entry": [{"changes": [{"field": "messages", "value": {"statuses": [status]}}]}]}, b"secret")

    def _post(self, content: object, secret: bytes) -> Deferred[HttpResponse]:
        body = json.dumps(content).encode()
        proof = f"sha256={hmac.new(secret, body, hashlib.sha256).hexdigest()}"
        headers = (("X-Hub-Signature-256", proof),) if secret else ()
        return ensureDeferred(self.zap.receive_webhook(HttpRequest("POST", "/webhooks/zap", headers, body)))

    async def ends(self, message_id: str) -> Message:
        """A message that has to be final by now."""
        message = await self.read(message_id)
        assert message.final, message.state
        return message
