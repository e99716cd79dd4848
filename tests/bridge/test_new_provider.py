"""The example of docs/new-provider.md as it stands there: its test passes, and a channel runs over it."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from bridge.channel import WhatsAppChannel
from bridge.provider import HttpRequest, HttpResponse
from bridge.providers import PROVIDERS
from config.schema import BridgeSettings
from gateway.messages.outcome import Accepted, NoAccount, Report, Status
from tests.bridge.fakes import START, FakeDelivery, FakeHttp, FakeStore, Spawned, clock, json_answer, message

PAGE = Path(__file__).resolve().parents[2] / "docs" / "new-provider.md"
NAME = "bridge.providers.correio"
ACCOUNT, NOBODY = "5531988887777", "5511977770003"


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> list[types.ModuleType]:
    """The code blocks of the page as modules: the provider, which can be imported by its name, and its test."""
    modules = []
    for name, source in zip(
        (NAME, "test_correio"), re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL), strict=True
    ):
        module = types.ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(compile(source, f"{PAGE.name}:{name}", "exec"), module.__dict__)
        modules.append(module)
    return modules


def calls(test: Any) -> Iterator[dict[str, Any]]:
    """The arguments of every row of a parametrized test."""
    [mark] = test.pytestmark
    names = (mark.args[0],) if isinstance(mark.args[0], str) else mark.args[0]
    for row in mark.args[1]:
        yield dict(zip(names, row if len(names) > 1 else (row,), strict=True))


def test_its_own_test_passes(blocks: list[types.ModuleType]) -> None:
    run = 0
    for name, test in vars(blocks[1]).items():
        if name.startswith("test_"):
            for arguments in calls(test):
                test(**arguments)
                run += 1
    assert run > 10


def test_a_channel_runs_over_it(blocks: list[types.ModuleType]) -> None:
    time, http, delivery, spawned = clock(), FakeHttp(), FakeDelivery(), Spawned()

    def number(request: HttpRequest) -> HttpResponse:
        return json_answer(200, {"known": True, "address": "c:1"} if ACCOUNT in request.url else {"known": False})

    http.answers = {
        "/numbers/": number,
        "/messages": json_answer(201, {"id": "c-1"}),
        "/account": json_answer(200, {"connected": True}),
    }
    settings = BridgeSettings.model_validate(
        {"name": "zap", "provider": "waha", "url": "http://h", "api_key": "k3y", "instance": "i", "webhook_secret": "s"}
    )
    provider = blocks[0].Correio.of(settings)
    assert "k3y" not in repr(provider)
    channel = WhatsAppChannel(
        settings, provider_of=lambda _: provider, http=http, evidence=FakeStore(), results=delivery,
        mark=lambda _: None, decode=lambda one: one.user_data.decode(), clock=time, spawn=spawned,
    )  # fmt: skip
    spawned(channel.start(), "starting", channel.log)
    time.pump([0.05] * 5)
    channel.send(message("m1", ACCOUNT))
    channel.send(message("m2", NOBODY))
    time.pump([0.05] * 20)
    assert delivery.results == {"m1": Accepted("c-1"), "m2": NoAccount("provider")}
    assert http.bodies("/messages") == [{"to": "c:1", "text": "Sua fatura vence amanha", "reference": "m1"}]
    assert _hook(channel, time, {"type": "status", "id": "c-1", "status": "arrived"}) == 200
    assert delivery.reports == [Report("zap", "c-1", Status.DELIVERED, at=time.seconds())]
    assert _hook(channel, time, {"type": "text", "id": "c-2", "from": ACCOUNT, "text": "Já paguei"}) == 200
    assert [text.text for text in delivery.texts] == ["Já paguei"]
    assert _hook(channel, time, {"type": "account", "connected": False}) == 200
    assert not channel.up and time.seconds() < START + 10
    spawned.check()


def _hook(channel: WhatsAppChannel, time: Clock, body: object) -> int:
    octets = json.dumps(body).encode()
    proof = hmac.new(b"s", octets, hashlib.sha256).hexdigest()
    answer = Deferred.fromCoroutine(
        channel.receive_webhook(HttpRequest("POST", "/webhooks/zap", (("X-Correio", proof),), octets))
    )
    time.advance(0)
    return answer.result.status  # type: ignore[attr-defined, no-any-return]


def test_every_provider_of_the_table_can_be_configured_and_none_besides() -> None:
    names = get_args(BridgeSettings.model_fields["provider"].annotation)
    assert set(PROVIDERS) == set(names)
