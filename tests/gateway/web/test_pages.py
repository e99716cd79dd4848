"""The HTTP listener: who may see what, and what a wrong request is told."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from twisted.internet.defer import Deferred
from twisted.logger import formatEvent, globalLogPublisher

from bridge.provider import HttpRequest, HttpResponse
from gateway.metrics import Metrics
from gateway.web.guesses import MOST, WITHIN_S
from gateway.web.pages import LARGEST_BODY, Pages, Refusal
from tests.gateway.web.requests import Browser, read

TOKEN = "a-token"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
ADMIN = [
    ("GET", "/admin/status"),
    ("GET", "/admin/messages/m1"),
    ("GET", "/admin/messages?number=11987654321"),
    ("POST", "/admin/messages"),
    ("POST", "/admin/reload"),
    ("GET", "/admin/unmatched"),
    ("GET", "/admin/config"),
    ("POST", "/admin/receipts/resend"),
    ("GET", "/admin/diff"),
    ("POST", "/admin/people/export"),
    ("POST", "/admin/people/erase"),
]


Logged = Callable[[], list[str]]


@pytest.fixture
def logged() -> Iterator[Logged]:
    """What the listener says, as text."""
    events: list[Any] = []
    observer = events.append
    globalLogPublisher.addObserver(observer)
    yield lambda: [formatEvent(one) for one in events if one.get("log_namespace") == "http"]
    globalLogPublisher.removeObserver(observer)


class Desk:
    """An admin part with one message in it."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.errors: list[str] = []

    def status(self) -> dict[str, Any]:
        return {"node": "gw1", "accounts": [], "channels": []}

    async def message(self, message_id: str) -> dict[str, Any] | None:
        return {"id": "m1", "to": "São"} if message_id == "m1" else None

    async def messages(self, number: str, limit: int) -> list[dict[str, Any]]:
        self.asked.append((number, limit))
        return [{"id": "m1"}]

    async def unmatched(self, limit: int) -> list[dict[str, Any]]:
        self.asked.append(limit)
        return [{"shape": "Ola {nome}"}]

    async def submit(self, order: Mapping[str, Any]) -> str:
        if "to" not in order:
            raise Refusal(422, "to: a text is needed")
        self.asked.append(dict(order))
        return "m2"

    def diff(self) -> tuple[list[dict[str, str]], list[str]]:
        return [] if self.errors else [{"place": "log", "what": "level", "effect": "at once"}], self.errors

    def config(self) -> tuple[str, list[str]]:
        return "node: gw1\n", ["A_SECRET"]

    async def resend(self, order: Mapping[str, Any]) -> int:
        self.asked.append(dict(order))
        return 3

    async def export(self, order: Mapping[str, Any]) -> dict[str, Any]:
        self.asked.append(dict(order))
        return {"number": "5511987654321"}

    async def erase(self, order: Mapping[str, Any]) -> dict[str, Any]:
        self.asked.append(dict(order))
        return {"messages": 1}

    def reload(self) -> tuple[list[str], list[str]]:
        return ([], self.errors) if self.errors else (["routes"], [])


class Stage:
    def __init__(self, token: str | None = TOKEN, host: str = "127.0.0.1") -> None:
        self.desk = Desk()
        self.metrics = Metrics(CollectorRegistry())
        self.reasons: dict[str, str] = {}
        self.now = 1000.0
        self.webhooks: list[HttpRequest] = []
        self.answer: Deferred[HttpResponse] = Deferred()
        self.pages = Pages(
            self.metrics.page,
            self.desk,
            token=token,
            ready=lambda: self.reasons,
            webhooks=self.taker,
            clock=lambda: self.now,
        )
        self.browser = Browser(self.pages, host)

    def taker(self, channel: str) -> Any:
        if channel != "zap":
            return None

        def take(request: HttpRequest) -> Deferred[HttpResponse]:
            self.webhooks.append(request)
            return self.answer

        return take


# -- for everybody


def test_a_process_that_serves_is_healthy() -> None:
    answer = Stage().browser.get("/healthz")
    assert (answer.status, answer.json) == (200, {"status": "ok"})


def test_readiness_says_why_not() -> None:
    stage = Stage()
    assert stage.browser.get("/readyz").status == 200
    stage.reasons = {"store": "cannot write to disk"}
    answer = stage.browser.get("/readyz")
    assert (answer.status, answer.json["reasons"]) == (503, {"store": "cannot write to disk"})
    status = stage.browser.get("/admin/status", headers=BEARER)
    assert (status.status, status.json["not_ready"]) == (200, {"store": "cannot write to disk"})


def test_metrics_are_prometheus_text() -> None:
    stage = Stage()
    stage.metrics.sent("zap", 3)
    answer = stage.browser.get("/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b'pombo_sent_total{channel="zap"} 3.0' in answer.body


def test_what_several_processes_have_to_say_is_waited_for() -> None:
    stage = Stage()
    page: Deferred[bytes] = Deferred()
    reasons: Deferred[dict[str, str]] = Deferred()
    stage.pages._metrics, stage.pages._ready = lambda: page, lambda: reasons
    asked, ready = stage.browser.send("GET", "/metrics"), stage.browser.send("GET", "/readyz")
    assert not asked.value() and not ready.value()
    page.callback(b"pombo_sent_total 3.0")
    reasons.callback({"worker 2": "it does not answer"})
    assert (read(asked).status, read(asked).body) == (200, b"pombo_sent_total 3.0")
    assert (read(ready).status, read(ready).json["reasons"]) == (503, {"worker 2": "it does not answer"})


def test_health_readiness_and_metrics_need_no_token() -> None:
    browser = Stage(host="10.0.0.5").browser
    assert [browser.get(path).status for path in ("/healthz", "/readyz", "/metrics")] == [200, 200, 200]


def test_a_page_that_does_not_exist_is_404() -> None:
    assert Stage().browser.get("/nothing").status == 404


# -- who may


@pytest.mark.parametrize(("method", "path"), ADMIN)
@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}, {"Authorization": f"Basic {TOKEN}"}],
    ids=["missing", "wrong", "without Bearer", "another scheme"],
)
def test_without_the_token_the_admin_part_is_closed(method: str, path: str, headers: dict[str, str]) -> None:
    stage = Stage()
    answer = stage.browser.ask(method, path, b"{}", headers)
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert TOKEN not in answer.body.decode()
    assert stage.desk.asked == []


@pytest.mark.parametrize("given", [f"bearer {TOKEN}", f"BEARER  {TOKEN} "])
def test_the_scheme_of_the_token_is_read_in_any_case(given: str) -> None:
    assert Stage().browser.get("/admin/status", headers={"Authorization": given}).status == 200


@pytest.mark.parametrize(("method", "path"), ADMIN)
def test_without_a_configured_token_only_a_loopback_listener_answers(method: str, path: str) -> None:
    for host in ("10.0.0.5", "0.0.0.0", "::"):
        assert Stage(token=None, host=host).browser.ask(method, path, b"{}", headers=BEARER).status == 403
    assert Stage(token=None).browser.ask(method, path, b'{"to": "1"}').status in (200, 202)


WRONG = {"Authorization": "Bearer wrong"}


def test_an_address_that_guesses_is_refused_each_time_and_told_to_the_log_ten_times_a_minute(logged: Logged) -> None:
    stage = Stage()
    assert [stage.browser.get("/admin/status", headers=WRONG).status for _ in range(MOST + 5)] == [401] * (MOST + 5)
    assert logged() == ["admin: 127.0.0.1 gave no valid token"] * MOST
    assert stage.browser.get("/healthz").status == 200
    stage.now += WITHIN_S
    assert stage.browser.get("/admin/status", headers=WRONG).status == 401
    assert logged() == ["admin: 127.0.0.1 gave no valid token"] * (MOST + 1)


def test_who_guesses_behind_a_proxy_locks_nobody_out() -> None:
    stage = Stage()
    answers = []
    for _ in range(2 * MOST):
        answers.append(stage.browser.get("/admin/status", headers=WRONG).status)
        assert stage.browser.get("/admin/status", headers=BEARER).status == 200
    assert answers == [401] * (2 * MOST)


def test_who_gives_no_token_has_not_guessed(logged: Logged) -> None:
    stage = Stage()
    none = [{}, {"Authorization": ""}] * (2 * MOST)
    assert {stage.browser.get("/admin/status", headers=headers).status for headers in none} == {401}
    assert stage.browser.get("/admin/status", headers=WRONG).status == 401
    assert logged() == ["admin: 127.0.0.1 gave no valid token"]


def test_guesses_are_told_and_orders_are_written_down(logged: Logged) -> None:
    stage = Stage()
    stage.browser.get("/admin/status", headers={"Authorization": "Bearer s3cret-guess"})
    stage.browser.post("/admin/reload", headers=BEARER)
    stage.browser.post("/admin/messages", b'{"to": "5511987654321"}', BEARER)
    stage.browser.post("/admin/messages/5511987654321%0Aforged", headers=BEARER)
    stage.browser.get("/admin/status", headers=BEARER)
    assert logged() == [
        "admin: 127.0.0.1 gave no valid token",
        "admin: 127.0.0.1 ordered reload: HTTP 200",
        "admin: 127.0.0.1 ordered messages: HTTP 202",
        "admin: 127.0.0.1 ordered what there is not: HTTP 405",
    ]


def test_orders_about_a_person_are_written_down_without_the_number(logged: Logged) -> None:
    stage = Stage()
    for what in ("export", "erase"):
        stage.browser.post(f"/admin/people/{what}", b'{"number": "5511987654321"}', BEARER)
        stage.browser.post(f"/admin/people/{what}/5511987654321", b"{}", BEARER)
        assert stage.browser.get(f"/admin/people/{what}", headers=BEARER).status == 405
    assert logged() == [
        "admin: 127.0.0.1 ordered people/export: HTTP 200",
        "admin: 127.0.0.1 ordered what there is not: HTTP 404",
        "admin: 127.0.0.1 ordered people/erase: HTTP 200",
        "admin: 127.0.0.1 ordered what there is not: HTTP 404",
    ]
    assert stage.desk.asked == [{"number": "5511987654321"}] * 2


def test_with_the_token_any_listener_answers() -> None:
    assert Stage(host="10.0.0.5").browser.get("/admin/status", headers=BEARER).json["node"] == "gw1"


# -- messages


def test_one_message_is_shown_and_an_unknown_one_is_404() -> None:
    browser = Stage().browser
    answer = browser.get("/admin/messages/m1", headers=BEARER)
    assert (answer.status, answer.json, answer.headers["content-type"]) == (
        200, {"id": "m1", "to": "São"}, "application/json",
    )  # fmt: skip
    assert browser.get("/admin/messages/m9", headers=BEARER).status == 404


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("number=11987654321", ("11987654321", 50)),
        ("number=%2B55%2011%2098765-4321&limit=7", ("+55 11 98765-4321", 7)),
        ("number=1&limit=1000", ("1", 1000)),
    ],
)
def test_messages_of_a_number_are_listed(query: str, asked: tuple[str, int]) -> None:
    stage = Stage()
    answer = stage.browser.get(f"/admin/messages?{query}", headers=BEARER)
    assert (answer.status, answer.json) == (200, {"messages": [{"id": "m1"}]})
    assert stage.desk.asked == [asked]


@pytest.mark.parametrize(
    "query",
    ["", "limit=5", "number=", "number=1&limit=0", "number=1&limit=1001", "number=1&limit=x", "number=1&limit=-1"],
)
def test_a_list_that_cannot_be_made_says_what_would_be_right(query: str) -> None:
    answer = Stage().browser.get(f"/admin/messages?{query}", headers=BEARER)
    assert answer.status == 422
    assert "number" in answer.json["error"] or "limit" in answer.json["error"]


def test_a_submitted_message_is_accepted_with_its_id() -> None:
    stage = Stage()
    order = {"account": "billing", "to": "11987654321", "text": "olá"}
    answer = stage.browser.post("/admin/messages", json.dumps(order).encode(), headers=BEARER)
    assert (answer.status, answer.json) == (202, {"id": "m2"})
    assert stage.desk.asked == [order]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"\xff\xfe", b"{}", b"[" * 100_000])
def test_a_submit_that_cannot_be_read_is_422(body: bytes) -> None:
    stage = Stage()
    assert stage.browser.post("/admin/messages", body, headers=BEARER).status == 422
    assert stage.desk.asked == []


def test_a_reload_tells_what_changed_or_every_error() -> None:
    stage = Stage()
    answer = stage.browser.post("/admin/reload", headers=BEARER)
    assert (answer.status, answer.json) == (200, {"changed": ["routes"]})
    stage.desk.errors = ["pombo.yaml:3: store: wrong"]
    answer = stage.browser.post("/admin/reload", headers=BEARER)
    assert (answer.status, answer.json) == (422, {"errors": ["pombo.yaml:3: store: wrong"]})
    assert stage.browser.get("/admin/reload", headers=BEARER).status == 405


# -- webhooks


def test_a_webhook_is_answered_when_its_channel_has_done_with_it() -> None:
    stage = Stage()
    transport = stage.browser.send("POST", "/webhooks/zap?key=1", b'{"a": 1}', {"X-Hub-Signature": "s"})
    assert transport.value() == b""
    (request,) = stage.webhooks
    assert (request.method, request.body) == ("POST", b'{"a": 1}')
    assert ("X-Hub-Signature", "s") in [(name.title(), value) for name, value in request.headers]
    stage.answer.callback(HttpResponse(503, b"later", (("Retry-After", "5"),)))
    answer = read(transport)
    assert (answer.status, answer.headers["retry-after"], answer.body) == (503, "5", b"later")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_webhook_may_name_its_event_in_the_path(method: str) -> None:
    stage = Stage()
    stage.answer.callback(HttpResponse(200))
    assert stage.browser.ask(method, "/webhooks/zap/messages-update").status == 200
    assert len(stage.webhooks) == 1


def test_a_webhook_may_hold_the_largest_video_that_whatsapp_takes() -> None:
    stage, video = Stage(), 16_000_000
    stage.answer.callback(HttpResponse(200))
    assert stage.browser.post("/webhooks/zap", b64encode(bytes(video))).status == 200
    assert [b64decode(request.body) for request in stage.webhooks] == [bytes(video)]


def test_a_webhook_of_no_channel_is_404_and_one_too_large_413() -> None:
    stage = Stage()
    assert stage.browser.post("/webhooks/operator").status == 404
    assert stage.browser.post("/webhooks/zap", b"x" * (LARGEST_BODY + 1)).status == 413
    assert stage.webhooks == []


@pytest.mark.parametrize("path", ["/webhooks/zap", "/webhooks/zap/messages-update"])
def test_other_methods_at_a_webhook_are_told_which_are_served(path: str) -> None:
    for method in ("OPTIONS", "PUT", "DELETE"):
        answer = Stage().browser.ask(method, path)
        assert (answer.status, answer.headers["allow"]) == (405, "GET, POST")
    assert Stage().browser.post("/webhooks").status == 404


def test_webhooks_need_no_token_but_their_own_proof() -> None:
    stage = Stage(host="10.0.0.5")
    stage.answer.callback(HttpResponse(401))
    assert stage.browser.post("/webhooks/zap", b"{}").status == 401


def test_shapes_without_a_template_are_shown_to_whoever_has_the_token() -> None:
    stage = Stage()
    assert stage.browser.get("/admin/unmatched?limit=3", headers=BEARER).json == {
        "unmatched": [{"shape": "Ola {nome}"}]
    }
    assert stage.desk.asked == [3]
    assert stage.browser.get("/admin/unmatched?limit=0", headers=BEARER).status == 422
    assert stage.browser.post("/admin/unmatched", headers=BEARER).status == 405


def test_what_a_reload_would_change_is_told_or_why_nothing_would() -> None:
    stage = Stage()
    answer = stage.browser.get("/admin/diff", headers=BEARER)
    assert (answer.status, answer.json["changes"][0]["place"]) == (200, "log")
    stage.desk.errors = ["pombo.yaml:1: file: is empty"]
    answer = stage.browser.get("/admin/diff", headers=BEARER)
    assert (answer.status, answer.json) == (422, {"errors": ["pombo.yaml:1: file: is empty"]})


def test_the_configuration_is_shown_and_receipts_are_sent_again() -> None:
    stage = Stage()
    assert stage.browser.get("/admin/config", headers=BEARER).json == {"yaml": "node: gw1\n", "secrets": ["A_SECRET"]}
    order = b'{"account": "billing", "since": 5}'
    answer = stage.browser.ask("POST", "/admin/receipts/resend", order, BEARER)
    assert (answer.status, answer.json) == (200, {"queued": 3})
    assert stage.desk.asked == [{"account": "billing", "since": 5}]
    assert stage.browser.ask("POST", "/admin/receipts/resend", b"[]", BEARER).status == 422
