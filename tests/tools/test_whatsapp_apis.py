"""The other three simulated APIs (and 360dialog): their words, their proofs, and what is peculiar to each."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from tools.http_door import Reply
from tools.scripts import WHATSAPP_WORDS, WhatsAppScript, read_script
from tools.webhooks import Webhooks
from tools.whatsapp_simulator import SIMULATORS, Dialog360Simulator, ProviderSettings

WITH_NINE, OLDER, NOBODY = "5511988880001", "5531988880002", "5511977770003"
OLDER_CHAT = "553188880002@c.us"
KEYS = {
    "evolution": {"apikey": "k"},
    "waha": {"x-api-key": "k"},
    "wppconnect": {"authorization": "Bearer k"},
    "cloud_api": {"authorization": "Bearer k"},
    "360dialog": {"d360-api-key": "k"},
}
CLASSES = {**SIMULATORS, "360dialog": Dialog360Simulator}


class Lab:
    """A provider with two accounts on a clock; `hooks` are the webhooks as (url, headers, body)."""

    def __init__(self, api: str, words: str = "", **settings: Any) -> None:
        self.clock, self.api = Clock(), api
        self.hooks: list[tuple[str, dict[str, str], bytes]] = []
        self.statuses = [200]
        webhooks = Webhooks(self._post, self.clock, url="http://gateway/webhooks/zap", chance=lambda: 0.5)
        self.provider = CLASSES[api](ProviderSettings(key="k", **settings), self.clock, webhooks)
        self.provider.people.add(WITH_NINE)
        self.provider.people.add(OLDER)
        if words:
            self.provider.scripts.set("*", read_script(words, WHATSAPP_WORDS, WhatsAppScript()))

    def _post(self, url: str, headers: dict[str, str], body: bytes) -> Deferred[int]:
        self.hooks.append((url, headers, body))
        return succeed(self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0])

    def run(self, work: Any, wait_s: float = 2.0) -> Any:
        found: list[Any] = []
        Deferred.fromCoroutine(work).addCallback(found.append)
        self.clock.pump([0.05] * int(wait_s / 0.05))
        return found[0] if found else None

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Reply:
        octets = b"" if body is None else json.dumps(body).encode()
        reply: Reply = self.run(
            self.provider.answer(method, path, KEYS[self.api] if headers is None else headers, octets)
        )
        return reply

    def send(self, number: str = WITH_NINE, headers: dict[str, str] | None = None) -> Reply:
        path, body = {
            "evolution": ("/message/sendText/main", {"number": number, "text": "oi"}),
            "waha": ("/api/sendText", {"session": "main", "chatId": f"{number}@c.us", "text": "oi"}),
            "wppconnect": ("/api/main/send-message", {"phone": number, "message": "oi"}),
        }.get(self.api, (self.path, template(number)))
        return self.ask("POST", path, body, headers)

    @property
    def path(self) -> str:
        return "/messages" if self.api == "360dialog" else "/v25.0/main/messages"

    @property
    def events(self) -> list[Any]:
        return [json.loads(body) for _, _, body in self.hooks]


def template(number: str, **more: Any) -> dict[str, Any]:
    values = {"name": "fatura", "language": {"code": "pt_BR"}}
    return {"messaging_product": "whatsapp", "to": f"+{number}", "type": "template", "template": values, **more}


def text(number: str, **more: Any) -> dict[str, Any]:
    return {"messaging_product": "whatsapp", "to": f"+{number}", "type": "text", "text": {"body": "oi"}, **more}


# -- what all have in common


@pytest.mark.parametrize("api", CLASSES)
def test_a_wrong_key_is_401_and_sends_nothing(api: str) -> None:
    lab = Lab(api)
    assert lab.send(headers={}).status == 401
    assert lab.send(headers=dict.fromkeys(KEYS[api], "wrong")).status == 401
    assert not lab.provider.sends


@pytest.mark.parametrize("api", CLASSES)
@pytest.mark.parametrize(
    ("words", "status"), [("http:503", 503), ("429", 429), ("hang", 0), ("reset", -1), ("lost", -1)]
)
def test_sends_fail_as_the_script_says(api: str, words: str, status: int) -> None:
    assert Lab(api, words).send().status == status


@pytest.mark.parametrize("api", CLASSES)
def test_a_fault_may_pass(api: str) -> None:
    lab = Lab(api, "http:503+times:2")
    assert [lab.send().status // 100 for _ in range(3)] == [5, 5, 2]


@pytest.mark.parametrize("api", CLASSES)
@pytest.mark.parametrize("trouble", ["logged_out", "banned"])
def test_a_send_may_cost_the_sender_its_session(api: str, trouble: str) -> None:
    lab = Lab(api, f"{trouble}:30s+times:1")
    assert lab.send().status >= 400 and lab.provider.trouble == trouble
    assert lab.send(OLDER).status >= 400, "it is gone for everybody"
    assert lab.events, "it is told"
    lab.clock.advance(40.0)
    assert lab.send().status < 300


@pytest.mark.parametrize("api", CLASSES)
def test_a_banned_sender_tells_no_more_of_what_it_sent(api: str) -> None:
    lab = Lab(api, "delivered:10s")
    lab.send()
    lab.run(lab.provider.connect(False, banned=True))
    before = len(lab.hooks)
    lab.clock.advance(30.0)
    assert len(lab.hooks) == before


@pytest.mark.parametrize(
    ("api", "attempts"), [("evolution", 10), ("waha", 15), ("wppconnect", 1), ("cloud_api", 60), ("360dialog", 60)]
)
def test_webhooks_that_are_not_taken_come_again_as_often_as_with_the_real_one(api: str, attempts: int) -> None:
    lab = Lab(api, "delivered:1s", webhook_secret="s")
    lab.statuses = [503]
    lab.provider._tell(lab.provider.says(WITH_NINE, "oi"))
    for _ in range(5000):
        lab.clock.advance(200.0)
    assert len(lab.hooks) == attempts


@pytest.mark.parametrize(("api", "again"), [("evolution", False), ("waha", True), ("cloud_api", True)])
def test_a_refusal_ends_the_attempts_with_some(api: str, again: bool) -> None:
    lab = Lab(api, webhook_secret="s")
    lab.statuses = [401]
    lab.provider._tell(lab.provider.says(WITH_NINE, "oi"))
    lab.clock.pump([1.0] * 20)
    assert (len(lab.hooks) > 1) is again


# -- WAHA


def test_waha_is_asked_for_one_number_and_names_its_chat() -> None:
    lab = Lab("waha")
    path = "/api/contacts/check-exists?phone={}&session=main"
    assert lab.ask("GET", path.format(OLDER)).body == {"numberExists": True, "chatId": OLDER_CHAT}
    assert lab.ask("GET", path.format(NOBODY)).body == {"numberExists": False}
    assert lab.ask("GET", path.format(OLDER).replace("main", "other")).status == 404
    lab.provider.trouble = "logged_out"
    assert lab.ask("GET", path.format(OLDER)).body["expected"] == ["WORKING"]
    assert lab.provider.lookups == [OLDER, NOBODY, OLDER]


@pytest.mark.parametrize("number", [NOBODY, OLDER])  # no account; and the wrong form of a number that has one
def test_waha_takes_a_text_to_nobody_and_acknowledges_it_once(number: str) -> None:
    lab = Lab("waha")
    assert lab.send(number).status == 201
    assert [event["payload"]["ackName"] for event in lab.events] == ["SERVER"]


def test_waha_tells_acks_with_the_serialized_id() -> None:
    lab = Lab("waha", "read")
    reply = lab.ask("POST", "/api/sendText", {"session": "main", "chatId": OLDER_CHAT, "text": "oi"})
    payloads = [event["payload"] for event in lab.events]
    assert [payload["ack"] for payload in payloads] == [1, 2, 3]
    assert {payload["id"] for payload in payloads} == {reply.body["id"]}
    assert reply.body["id"].startswith(f"true_{OLDER_CHAT}_3EB0")


def test_wahas_signature_covers_the_raw_body() -> None:
    lab = Lab("waha", webhook_secret="my-secret-key")
    lab.send()
    for _, headers, body in lab.hooks:
        assert headers["X-Webhook-Hmac"] == hmac.new(b"my-secret-key", body, hashlib.sha512).hexdigest()
        assert headers["X-Webhook-Hmac-Algorithm"] == "sha512"


def test_wahas_signature_is_the_documented_one() -> None:
    prove = Lab("waha", webhook_secret="my-secret-key").provider.prove
    proof = prove(b'{"event":"message","session":"default","engine":"WEBJS"}')["X-Webhook-Hmac"]
    assert proof.startswith("208f8a55dde9e05519e898b10b89bf0d0b3b0fdf11fdbf09b6b90476301b98d8")


@pytest.mark.parametrize(("trouble", "status"), [("", "WORKING"), ("logged_out", "SCAN_QR_CODE"), ("banned", "FAILED")])
def test_waha_tells_its_state(trouble: str, status: str) -> None:
    lab = Lab("waha")
    lab.provider.trouble = trouble
    assert lab.ask("GET", "/api/sessions/main").body["status"] == status
    assert lab.provider.connection_event()["payload"]["status"] == status
    assert lab.ask("GET", "/api/sessions/other").status == 404


# -- WPPConnect


def test_wppconnect_is_asked_for_one_number() -> None:
    lab = Lab("wppconnect")
    found = lab.ask("GET", f"/api/main/check-number-status/{OLDER}").body["response"]
    assert (found["numberExists"], found["id"]["_serialized"]) == (True, OLDER_CHAT)
    missing = lab.ask("GET", f"/api/main/check-number-status/{NOBODY}").body["response"]
    assert (missing["numberExists"], missing["status"]) == (False, 404)
    lab.provider.trouble = "logged_out"
    down = lab.ask("GET", f"/api/main/check-number-status/{OLDER}")
    assert (down.status, down.body["status"]) == (404, "Disconnected")
    assert lab.ask("GET", "/api/main/check-connection-session").body == {"status": False, "message": "Disconnected"}


def test_wppconnect_says_the_same_of_nobody_and_of_a_check_that_broke() -> None:
    assert "não existe" in Lab("wppconnect").send(NOBODY).body["message"]
    assert Lab("wppconnect", "refuses").send().status == Lab("wppconnect").send(NOBODY).status == 400


@pytest.mark.parametrize(("words", "acks"), [("fails", [1, -1]), ("fails_with:2", [1, -2]), ("fails_with:9", [1, -1])])
def test_wppconnect_tells_failures_below_zero(words: str, acks: list[int]) -> None:
    lab = Lab("wppconnect", words)
    reply = lab.send(OLDER)
    assert [event["ack"] for event in lab.events] == acks
    assert reply.body["response"][0]["id"] == lab.events[0]["id"]["_serialized"]


@pytest.mark.parametrize("url", ["http://gateway/webhooks/zap", "http://gateway/webhooks/zap?a=b"])
def test_wppconnect_has_nothing_but_a_key_in_its_url(url: str) -> None:
    clock = Clock()
    webhooks = Webhooks(lambda *_: succeed(200), clock, url=url)
    SIMULATORS["wppconnect"](ProviderSettings(key="k", webhook_secret="s3 cret"), clock, webhooks)
    assert webhooks.url == f"{url}{'&' if '?' in url else '?'}key=s3+cret"


# -- Cloud API and 360dialog


def code(reply: Reply) -> int:
    return int(reply.body["error"]["code"])


@pytest.mark.parametrize("api", ["cloud_api", "360dialog"])
def test_metas_answer_proves_no_account_and_a_failed_status_tells(api: str) -> None:
    lab = Lab(api)
    reply = lab.send(NOBODY)
    assert reply.status == 200 and reply.body["contacts"][0]["input"] == f"+{NOBODY}"
    [status] = lab.events[0]["entry"][0]["changes"][0]["value"]["statuses"]
    assert (status["id"], status["status"]) == (reply.body["messages"][0]["id"], "failed")
    assert status["errors"][0]["code"] == 131026


def test_meta_gives_our_own_id_back() -> None:
    lab = Lab("cloud_api")
    lab.ask("POST", lab.path, template(WITH_NINE, biz_opaque_callback_data="m-1"))
    values = [event["entry"][0]["changes"][0]["value"] for event in lab.events]
    assert [value["statuses"][0]["biz_opaque_callback_data"] for value in values] == ["m-1", "m-1"]
    assert {value["metadata"]["phone_number_id"] for value in values} == {"main"}


def test_meta_takes_free_text_within_a_day_of_a_persons_own() -> None:
    lab = Lab("cloud_api")
    assert code(lab.ask("POST", lab.path, text(WITH_NINE))) == 131047
    lab.run(lab.provider.says(WITH_NINE, "Olá"))
    assert lab.ask("POST", lab.path, text(WITH_NINE)).status == 200
    assert code(lab.ask("POST", lab.path, text(OLDER))) == 131047
    lab.clock.advance(24 * 3600)
    assert code(lab.ask("POST", lab.path, text(WITH_NINE))) == 131047


@pytest.mark.parametrize(("enabled", "status"), [(True, 200), (False, 400)])
def test_meta_takes_direct_send_where_it_is_enabled(enabled: bool, status: int) -> None:
    lab = Lab("cloud_api", direct_send=enabled)
    reply = lab.ask("POST", lab.path, text(WITH_NINE, category="utility", ttl_seconds=600))
    assert reply.status == status
    assert enabled or (code(reply) == 100 and "Direct Send" in reply.body["error"]["error_data"]["details"])


def test_meta_knows_its_templates_and_reads_numbers_with_a_plus() -> None:
    lab = Lab("cloud_api", templates=frozenset({"boleto"}))
    assert code(lab.send()) == 132001
    lab = Lab("cloud_api")
    assert code(lab.ask("POST", lab.path, {**template(WITH_NINE), "to": WITH_NINE})) == 131009
    assert code(lab.ask("POST", lab.path, {"messaging_product": "whatsapp"})) == 100
    assert code(lab.ask("POST", "/v25.0/other/messages", template(WITH_NINE))) == 33


@pytest.mark.parametrize(
    ("words", "codes"), [("fails", [131049]), ("fails_with:131053", [131053]), ("fails_at_once:131000", [131000])]
)
def test_meta_tells_why_a_message_failed(words: str, codes: list[int]) -> None:
    lab = Lab("cloud_api", words)
    lab.send()
    statuses = [event["entry"][0]["changes"][0]["value"]["statuses"][0] for event in lab.events]
    assert [status["errors"][0]["code"] for status in statuses if status["status"] == "failed"] == codes


@pytest.mark.parametrize(("words", "expected"), [("refuses", 131049), ("refuses:131056", 131056), ("429", 130429)])
def test_meta_refuses_with_a_number(words: str, expected: int) -> None:
    assert code(Lab("cloud_api", words).send()) == expected


@pytest.mark.parametrize(
    ("trouble", "state"), [("", "CONNECTED"), ("logged_out", "DISCONNECTED"), ("banned", "BANNED")]
)
def test_meta_tells_the_state_of_its_number(trouble: str, state: str) -> None:
    lab = Lab("cloud_api")
    lab.provider.trouble = trouble
    assert lab.ask("GET", "/v25.0/main?fields=status").body["status"] == state


def test_metas_signature_covers_the_raw_body() -> None:
    lab = Lab("cloud_api", webhook_secret="secret")
    lab.send()
    for _, headers, body in lab.hooks:
        expected = hmac.new(b"secret", body, hashlib.sha256).hexdigest()
        assert headers["X-Hub-Signature-256"] == f"sha256={expected}"
    assert lab.provider.prove(b"test")["X-Hub-Signature-256"] == (
        "sha256=0329a06b62cd16b33eb6792be8c60b158d89a2ee3a876fce9a881ebb488c0914"
    )


def test_360dialog_shows_the_key_of_its_webhook() -> None:
    lab = Lab("360dialog", webhook_secret="hush")
    lab.send()
    assert {headers["Authorization"] for _, headers, _ in lab.hooks} == {"Bearer hush"}


@pytest.mark.parametrize(
    ("answer", "well"), [(lambda c: (200, c), True), (lambda c: (200, b"0" + c), False), (lambda c: (403, c), False)]
)
def test_meta_asks_the_webhook_for_its_challenge(answer: Any, well: bool) -> None:
    lab = Lab("cloud_api", verify_token="v3rify")
    asked: list[str] = []

    def fetch(url: str) -> Deferred[tuple[int, bytes]]:
        asked.append(url)
        return succeed(answer(url.rpartition("=")[2].encode()))

    assert lab.run(lab.provider.subscribe(fetch)) is well  # type: ignore[attr-defined]
    assert asked[0].startswith("http://gateway/webhooks/zap?hub.mode=subscribe&hub.verify_token=v3rify&hub.challenge=")
