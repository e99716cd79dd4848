"""The simulated provider, asked as the gateway asks it: on a clock of the test, and a few times over a socket."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
import pytest_twisted
import requests
from twisted.internet import endpoints, reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread

from tools.http_door import Reply, site
from tools.scripts import WHATSAPP_WORDS, WhatsAppScript, read_script
from tools.webhooks import Webhooks, http_post
from tools.whatsapp_simulator import EvolutionSettings, EvolutionSimulator

WITH_NINE, OLDER, NOBODY = "5511988880001", "5531988880002", "5511977770003"
KEY = {"apikey": "k"}
TICK_S = 1 / 64


class Lab:
    """A provider with two accounts, on a clock; `events` are the webhooks as (seconds, body)."""

    def __init__(self, words: str = "", **settings: Any) -> None:
        self.clock = Clock()
        self.events: list[tuple[float, dict[str, Any]]] = []
        webhooks = Webhooks(self._post, self.clock, url="http://gateway/webhooks/zap")
        self.provider = EvolutionSimulator(
            EvolutionSettings(key="k", answer_after_s=0.1, lookup_after_s=0.1, **settings), self.clock, webhooks,
            rng=random.Random(3),
        )  # fmt: skip
        self.provider.people.add(WITH_NINE)
        self.provider.people.add(OLDER)
        if words:
            self.provider.scripts.set("*", read_script(words, WHATSAPP_WORDS, WhatsAppScript()))

    def _post(self, url: str, headers: dict[str, str], body: bytes) -> Deferred[int]:
        self.events.append((self.clock.seconds(), json.loads(body)))
        return succeed(200)

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, wait_s: float = 5.0
    ) -> Reply:
        replies: list[Reply] = []
        octets = b"" if body is None else json.dumps(body).encode()
        asked = self.provider.answer(method, path, KEY if headers is None else headers, octets)
        Deferred.fromCoroutine(asked).addCallback(replies.append)
        self.clock.pump([TICK_S] * int(wait_s / TICK_S))
        return replies[0]

    def numbers(self, *numbers: str) -> Reply:
        return self.ask("POST", "/chat/whatsappNumbers/main", {"numbers": list(numbers)})

    def send(self, number: str, text: str = "oi") -> Reply:
        return self.ask("POST", "/message/sendText/main", {"number": number, "text": text})

    def acks(self) -> list[tuple[float, str]]:
        return [(at, event["data"]["status"]) for at, event in self.events]


def test_a_wrong_key_is_401_and_an_unknown_instance_404() -> None:
    lab = Lab()
    assert lab.ask("GET", "/instance/connectionState/main", headers={}).status == 401
    assert lab.ask("GET", "/instance/connectionState/other").status == 404
    assert lab.ask("GET", "/instance/nothing/main").status == 404


def test_the_connection_state_is_told() -> None:
    lab = Lab()
    assert lab.ask("GET", "/instance/connectionState/main").body == {
        "instance": {"instanceName": "main", "state": "open"}
    }
    lab.provider.connected = False
    assert lab.ask("GET", "/instance/connectionState/main").body["instance"]["state"] == "close"


def test_a_lookup_echoes_the_number_and_names_the_identity() -> None:
    assert Lab().numbers("+55 11 98888-0001", "5531988880002", NOBODY).body == [
        {"jid": "5511988880001@s.whatsapp.net", "exists": True, "number": "5511988880001"},
        {"jid": "553188880002@s.whatsapp.net", "exists": True, "number": "5531988880002"},
        {"jid": "5511977770003@s.whatsapp.net", "exists": False, "number": "5511977770003"},
    ]


def test_a_lookup_that_fails_is_400_with_the_raw_exception() -> None:
    assert Lab("lookup_error").numbers(WITH_NINE).body["isBoom"] is True
    lab = Lab()
    lab.provider.connected = False
    reply = lab.numbers(WITH_NINE)
    assert (reply.status, reply.body["output"]["statusCode"]) == (400, 428)


def test_a_lookup_may_deny_an_account_that_is_there() -> None:
    assert Lab("lookup_no").numbers(WITH_NINE).body[0]["exists"] is False


@pytest.mark.parametrize("numbers", [[], [WITH_NINE, WITH_NINE]])
def test_a_lookup_of_nothing_or_of_duplicates_is_refused(numbers: list[str]) -> None:
    assert Lab().numbers(*numbers).status == 400


def test_a_send_is_201_with_the_identity_and_an_id_and_its_acks_follow() -> None:
    lab = Lab()
    reply = lab.send(OLDER, "Olá")
    assert reply.status == 201 and reply.body["status"] == "PENDING"
    key = reply.body["key"]
    assert key["remoteJid"] == "553188880002@s.whatsapp.net" and key["fromMe"] is True
    assert [state for _, state in lab.acks()] == ["SERVER_ACK", "DELIVERY_ACK"]
    assert [at for at, _ in lab.acks()] == pytest.approx([0.15, 0.4], abs=2 * TICK_S)
    event = lab.events[0][1]
    assert (event["event"], event["apikey"], event["data"]["keyId"]) == ("messages.update", "k", key["id"])
    assert [(sent.person, sent.text) for sent in lab.provider.sends] == [(OLDER, "Olá")]


def test_a_send_to_nobody_is_the_400_that_means_no_account() -> None:
    lab = Lab()
    reply = lab.send(NOBODY)
    assert reply.status == 400
    assert reply.body["response"]["message"] == [{"jid": f"{NOBODY}@s.whatsapp.net", "exists": False, "number": NOBODY}]
    assert not lab.events


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("refuses", 400),
        ("http:503", 503),
        ("disconnected", 500),
        ("429", 429),
        ("hang", 0),
        ("reset", -1),
        ("lost", -1),
    ],
)
def test_sends_fail_in_every_way(words: str, status: int) -> None:
    assert Lab(words).send(WITH_NINE).status == status


@pytest.mark.parametrize(
    ("words", "acks"),
    [
        ("read:300ms", ["SERVER_ACK", "DELIVERY_ACK", "READ"]),
        ("read_only", ["SERVER_ACK", "READ"]),
        ("sent_only", ["SERVER_ACK"]),
        ("never", []),
        ("fails", ["SERVER_ACK", "ERROR"]),
        ("hang", ["SERVER_ACK", "DELIVERY_ACK"]),
        ("reset", ["SERVER_ACK", "DELIVERY_ACK"]),
        ("lost", []),
        ("refuses", []),
        ("delivered+twice", ["SERVER_ACK", "SERVER_ACK", "DELIVERY_ACK", "DELIVERY_ACK"]),
    ],
)
def test_acks_follow_the_script(words: str, acks: list[str]) -> None:
    lab = Lab(words)
    lab.send(WITH_NINE)
    assert [state for _, state in lab.acks()] == acks


def test_early_webhooks_leave_before_the_send_is_answered() -> None:
    lab = Lab("delivered+early")
    assert lab.send(WITH_NINE).status == 201
    assert lab.acks() == [(0.0, "SERVER_ACK"), (0.0, "DELIVERY_ACK")]


def test_shuffled_webhooks_come_together_in_any_order() -> None:
    orders = set()
    for seed in range(20):
        lab = Lab("read+shuffle")
        lab.provider._rng.seed(seed)
        lab.send(WITH_NINE)
        orders.add(tuple(state for _, state in lab.acks()))
        assert [at for at, _ in lab.acks()] == pytest.approx([0.4] * 3, abs=2 * TICK_S)
    assert len(orders) > 3


def test_beyond_the_rate_sends_are_429() -> None:
    lab = Lab(rate=2)
    statuses = [
        lab.ask("POST", "/message/sendText/main", {"number": WITH_NINE, "text": "oi"}, wait_s=0.2).status
        for _ in range(3)
    ]
    assert statuses == [201, 201, 429]


def test_the_webhook_can_be_set_with_headers_and_a_jwt_key() -> None:
    lab = Lab()
    webhook = {"enabled": True, "url": "http://elsewhere/", "headers": {"X-Token": "t", "jwt_key": "j"}}
    assert lab.ask("POST", "/webhook/set/main", {"webhook": webhook}).status == 201
    hooks = lab.provider.webhooks
    assert (hooks.url, hooks.headers, hooks.jwt_key) == ("http://elsewhere/", {"X-Token": "t"}, "j")


def test_a_person_and_the_connection_are_told_by_webhook() -> None:
    lab = Lab()
    Deferred.fromCoroutine(lab.provider.says(OLDER, "Já paguei"))
    Deferred.fromCoroutine(lab.provider.connect(False))
    inbound, closed = (event for _, event in lab.events)
    assert inbound["data"]["key"]["remoteJid"] == "553188880002@s.whatsapp.net"
    assert (inbound["event"], inbound["data"]["message"]) == ("messages.upsert", {"conversation": "Já paguei"})
    assert (closed["event"], closed["data"]["state"]) == ("connection.update", "close")


def test_nothing_private_shows_in_repr() -> None:
    lab = Lab()
    lab.send(WITH_NINE, "segredo")
    assert WITH_NINE not in repr(lab.provider.sends) and "segredo" not in repr(lab.provider.sends)
    assert "hidden" not in repr(EvolutionSettings(key="hidden"))


@pytest_twisted.ensureDeferred
async def test_over_http_it_answers_hangs_and_cuts_the_connection() -> None:
    told: list[dict[str, Any]] = []

    async def gateway(method: str, path: str, headers: Any, body: bytes) -> Reply:
        told.append(json.loads(body))
        return Reply(200, {})

    def listen(factory: Any) -> Deferred[Any]:
        endpoint = endpoints.TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        result: Deferred[Any] = endpoint.listen(factory)
        return result

    receiver = await listen(site(gateway))
    webhooks = Webhooks(http_post(reactor), reactor, url=f"http://127.0.0.1:{receiver.getHost().port}/webhooks/zap")  # type: ignore[arg-type]
    provider = EvolutionSimulator(EvolutionSettings(key="k"), reactor, webhooks)  # type: ignore[arg-type]
    provider.people.add(WITH_NINE)
    port = await listen(site(provider.answer))
    url = f"http://127.0.0.1:{port.getHost().port}"

    def post(number: str, timeout_s: float = 5.0) -> requests.Response:
        body = {"number": number, "text": "Olá 😀"}
        return requests.post(f"{url}/message/sendText/main", json=body, headers=KEY, timeout=timeout_s)

    try:
        provider.scripts.set("*", read_script("delivered:20ms+early", WHATSAPP_WORDS, WhatsAppScript()))
        assert (await deferToThread(post, WITH_NINE)).status_code == 201
        assert {event["data"]["status"] for event in told} == {"SERVER_ACK", "DELIVERY_ACK"}  # they race over HTTP
        assert (await deferToThread(post, NOBODY)).json()["response"]["message"][0]["exists"] is False
        provider.scripts.set("*", read_script("never+reset", WHATSAPP_WORDS, WhatsAppScript()))
        with pytest.raises(requests.ConnectionError):
            await deferToThread(post, WITH_NINE)
        provider.scripts.set("*", read_script("never+hang", WHATSAPP_WORDS, WhatsAppScript()))
        with pytest.raises(requests.Timeout):
            await deferToThread(post, WITH_NINE, 0.3)
    finally:
        await port.stopListening()
        await receiver.stopListening()
