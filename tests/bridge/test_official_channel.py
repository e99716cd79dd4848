"""A channel over the Cloud API: what it says in which form, and what it learns about people without asking."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, capturedLogs, formatEvent

from bridge.channel import WhatsAppChannel
from bridge.presence import Evidence, pack, unpack
from bridge.provider import HttpOutcome, HttpRequest, HttpResponse, Unanswered
from config.schema import BridgeSettings
from gateway.messages.message import Attempt
from gateway.messages.outcome import (
    Accepted,
    AttemptResult,
    ChannelDown,
    NoAccount,
    Refused,
    Status,
    TryLater,
    Uncertain,
    Unwritten,
)
from tests.bridge.fakes import (
    PERSON,
    START,
    FakeDelivery,
    FakeHttp,
    FakeStore,
    Spawned,
    Stage,
    clock,
    json_answer,
    message,
    people,
)

SEND, STATE = "/1065/messages", "/1065?"
CONNECTED = json_answer(200, {"id": "1065", "status": "CONNECTED"})
DAY = 86_400.0


def settings(**over: Any) -> BridgeSettings:
    values: dict[str, Any] = {
        "name": "zap", "provider": "cloud_api", "url": "https://graph.example/v25.0", "api_key": "t0ken",
        "instance": "1065", "app_secret": "secret", "verify_token": "v3rify", "throughput": "200/s", "timeout": "3s",
        "health": {"min_acks": 0, "window": "60s", "quarantine": "5m"},
        "templates": [
            {"name": "fatura", "language": "pt_BR", "match": "Sua fatura (?P<t>.*)", "body": ["{t}"], "ttl": "10m"},
        ],
    }  # fmt: skip
    return BridgeSettings.model_validate(values | over)


def error(code: int, status: int = 400, details: str = "") -> HttpResponse:
    return json_answer(status, {"error": {"code": code, "message": "m", "error_data": {"details": details}}})


class Room(Stage):
    """A started channel; every send is taken."""

    def __init__(self, **over: Any) -> None:
        self.clock, self.http, self.store = clock(), FakeHttp(), FakeStore()
        self.spawned, self.delivery, self.marks = Spawned(), FakeDelivery(), list[str]()
        self.counted, self.shapes = list[tuple[str, ...]](), list[tuple[str, str]]()
        self.ids = (f"wamid.{n}" for n in itertools.count())
        self.http.answers = {SEND: self.take, STATE: CONNECTED}
        configured = settings(**over)
        self.channel = WhatsAppChannel(
            configured,
            http=self.http,
            evidence=self.store,
            results=self.delivery,
            mark=self.marks.append,
            decode=lambda one: one.user_data.decode(),
            clock=self.clock,
            spawn=self.spawned,
            count=lambda name, *labels: self.counted.append((name, *labels)),
            unmatched=lambda channel, shape: self.shapes.append((channel, shape)),
        )
        Deferred.fromCoroutine(self.channel.start())
        self.turn()

    def take(self, request: HttpRequest) -> HttpOutcome:
        return json_answer(200, {"messages": [{"id": next(self.ids)}]})

    def hook(self, **value: object) -> HttpResponse:
        changes = [{"field": "messages", "value": {"metadata": {"phone_number_id": "1065"}, **value}}]
        return self.post({"entry": [{"changes": changes}]})

    def post(self, content: object) -> HttpResponse:
        body = json.dumps(content).encode()
        proof = "sha256=" + hmac.new(b"secret", body, hashlib.sha256).hexdigest()
        request = HttpRequest("POST", "/webhooks/zap", (("X-Hub-Signature-256", proof),), body)
        return self.ask(request)

    def ask(self, request: HttpRequest) -> HttpResponse:
        answer = Deferred.fromCoroutine(self.channel.receive_webhook(request))
        self.turn()
        assert isinstance(answer.result, HttpResponse), answer.result
        return answer.result

    def person_writes(self, ago: float = 0.0) -> None:
        at = str(int(self.clock.seconds() - ago))
        self.hook(messages=[{"from": PERSON, "id": "i", "timestamp": at, "type": "text", "text": {"body": "oi"}}])

    def status(self, remote_id: str, said: str, code: int = 0) -> HttpResponse:
        errors = [{"code": code}] if code else []
        return self.hook(statuses=[{"id": remote_id, "status": said, "errors": errors}])

    @property
    def kinds(self) -> list[str]:
        return [body["type"] for body in self.http.bodies(SEND)]


# --------------------------------------------------------------------------------------------------------------- forms


def test_who_cannot_be_asked_is_not_asked_again_for_people_that_nobody_knows() -> None:
    room = Room(lookup={"when_unknown": "skip"})
    alone = message(text="Sua fatura vence amanha")
    alone.plan = ("zap",)
    room.send(alone)
    assert room.result() == Refused("unknown", rejected=False)


def test_a_text_goes_as_its_template_to_people_who_have_not_written() -> None:
    room = Room()
    room.send(message())
    (body,) = room.http.bodies(SEND)
    assert (body["to"], body["biz_opaque_callback_data"]) == (f"+{PERSON}", "m1")
    assert body["template"]["components"][0]["parameters"] == [{"type": "text", "text": "vence amanha"}]
    assert room.result() == Accepted("wamid.0", lives_s=600.0)
    assert room.marks == ["m1"] and room.delivery.lookups == []


def test_within_a_day_of_their_text_it_goes_as_it_is() -> None:
    room = Room()
    room.person_writes()
    room.send(message(text="qualquer coisa"))
    assert room.http.bodies(SEND)[0]["text"] == {"body": "qualquer coisa", "preview_url": False}
    assert room.result() == Accepted("wamid.0")


def test_the_window_of_a_text_that_came_late_is_counted_from_when_it_was_written() -> None:
    room = Room()
    room.person_writes(ago=DAY - 200)
    room.send(message(text="qualquer coisa"))
    assert room.result() == Refused("no_template", rejected=False)


def test_the_window_outlives_the_process_and_belongs_to_one_channel() -> None:
    room = Room()
    room.store.values[f"zap:{PERSON}"] = pack(Evidence(inbound_at=START - 3600))
    room.send(message())
    assert room.kinds == ["text"]
    other = Room(name="outro")
    other.store.values = room.store.values
    other.send(message())
    assert other.kinds == ["template"]


def test_what_has_no_form_takes_the_next_channel_at_once() -> None:
    room = Room()
    room.send(message(text="qualquer coisa"))
    assert room.result() == Refused("no_template", rejected=False)
    assert room.http.to(SEND) == [] and room.marks == []


@pytest.mark.parametrize("direct_send", [False, True])
def test_what_no_template_stands_for_is_counted_and_its_shape_kept(direct_send: bool) -> None:
    room = Room(direct_send=direct_send)
    room.send(message(text="Ola Ana, seu pedido 123 saiu"), message("m2"))
    assert room.shapes == [("zap", "Ola {nome}, seu pedido {numero} saiu")]
    assert room.counted == [("pombo_unmatched", "zap")]
    room.person_writes()
    room.send(message("m3", text="Ola Ana, seu pedido 123 saiu"))
    assert len(room.shapes) == 1, "within the window no template is needed"


def test_a_text_whose_template_is_put_aside_is_not_unmatched() -> None:
    room = Room()
    room.http.answers[SEND] = error(132015)
    room.send(message(), message("m2", people(1)[0]))
    assert room.result("m2") == Refused("no_template", rejected=False) or room.kinds == ["template", "template"]
    room.send(message("m3", people(2)[1]))
    assert room.result("m3") == Refused("no_template", rejected=False)
    assert room.shapes == [] and ("pombo_unmatched", "zap") not in room.counted


def test_direct_send_lives_as_long_as_the_route_has_patience() -> None:
    room = Room(direct_send=True)
    one = message(text="qualquer coisa")
    one.plan, one.fallback_after = ("zap", "operator"), 90.0
    one.attempts = [Attempt("zap", started_at=START - 10)]
    room.send(one)
    last = message("m2", text="qualquer coisa")
    last.plan, last.attempts, last.expires_at = ("zap",), [Attempt("zap", started_at=START)], START + 3600
    room.send(last)
    assert [body["ttl_seconds"] for body in room.http.bodies(SEND)] == [80, 3600]
    assert room.result() == Accepted("wamid.0", lives_s=80.0)


def test_direct_send_that_is_not_enabled_is_not_tried_again() -> None:
    room = Room(direct_send=True)
    room.http.answers[SEND] = error(100, details="category requires Direct Send, which isn't enabled")
    room.send(message(text="um"))
    room.send(message("m2", text="dois"))
    assert room.result() == Refused("direct_send_off", "100", rejected=False)
    assert room.result("m2") == Refused("no_template", rejected=False)
    assert len(room.http.to(SEND)) == 1 and room.channel.up


# ---------------------------------------------------------------------------------------------------- a closed window


def closed_to_texts(room: Room) -> None:
    def answer(request: HttpRequest) -> HttpOutcome:
        return error(131047) if json.loads(request.body)["type"] == "text" else room.take(request)

    room.http.answers[SEND] = answer


def test_a_window_that_turns_out_closed_costs_one_more_send() -> None:
    room = Room()
    room.person_writes()
    closed_to_texts(room)
    room.send(message())
    assert room.kinds == ["text", "template"]
    assert room.result() == Accepted("wamid.0", lives_s=600.0)
    assert (room.channel.inflight, room.marks) == (0, ["m1", "m1"])
    room.send(message("m2"))
    assert room.kinds == ["text", "template", "template"], "it is known to be closed"
    room.turn(1.0)
    room.person_writes()
    room.http.answers[SEND] = room.take
    room.send(message("m3"))
    assert room.kinds[3:] == ["text"], "they wrote again"


def test_without_another_form_it_is_the_next_channels() -> None:
    room = Room()
    room.person_writes()
    closed_to_texts(room)
    room.send(message(text="qualquer coisa"))
    assert room.result() == Refused("no_template", "131047", rejected=False)
    assert unpack(room.store.values[f"zap:{PERSON}"]).missed_at == 0, "it says nothing about the account"


def test_a_report_that_says_so_closes_it_too() -> None:
    room = Room()
    room.person_writes()
    room.channel.learn(PERSON, Status.FAILED, False, 1.0, "131047")
    room.send(message())
    assert room.kinds == ["template"]


def test_a_second_form_is_paced_as_any_send() -> None:
    room = Room(throughput="1/s")
    room.person_writes()
    closed_to_texts(room)
    room.send(message())
    assert room.kinds == ["text"]
    room.turn(1.1)
    assert room.kinds == ["text", "template"]


def test_stopping_meanwhile_hands_it_back() -> None:
    room = Room()
    room.person_writes()
    room.http.answers[SEND] = None
    room.send(message())
    stopped = Deferred.fromCoroutine(room.channel.stop())
    room.http.answer_next(SEND, error(131047))
    room.turn()
    assert room.result() == Unwritten("stopping") and stopped.called


# -------------------------------------------------------------------------------------------------------------- people


def test_who_has_no_account_is_known_for_a_day_from_a_report() -> None:
    room = Room()
    room.send(message())
    room.channel.learn(PERSON, Status.FAILED, True, 0.5, "131026")
    room.send(message("m2"))
    assert room.result("m2") == NoAccount("cache") and len(room.http.to(SEND)) == 1
    assert [found.result for _, found in room.delivery.lookups] == ["inactive"]
    room.clock.advance(DAY)
    room.send(message("m3"))
    assert len(room.http.to(SEND)) == 2


def test_a_failure_counts_although_something_was_delivered_before() -> None:
    room = Room()
    room.channel.learn(PERSON, Status.DELIVERED, False, 0.5)
    room.turn(1.0)
    room.channel.learn(PERSON, Status.FAILED, True, 0.5, "131026")
    room.send(message())
    assert room.result() == NoAccount("cache")


@pytest.mark.parametrize("how", ["delivered", "read", "writes"])
def test_a_sign_of_life_clears_it(how: str) -> None:
    room = Room()
    room.channel.learn(PERSON, Status.FAILED, True, 0.5, "131026")
    room.turn(0.4)  # within the same second as the text's own time
    if how == "writes":
        room.person_writes()
    else:
        room.channel.learn(PERSON, Status(how), False, 0.5)
    room.send(message())
    assert isinstance(room.result(), Accepted)


@pytest.mark.parametrize("code", [131047, 131049, 132000, 132015, 130472, 999999, 131056])
def test_no_other_error_says_that_there_is_no_account(code: int) -> None:
    room = Room(templates=[{"name": n, "language": "pt", "match": "(?P<t>.*)", "body": ["{t}"]} for n in ("a", "b")])
    room.http.answers[SEND] = error(code)
    room.send(message())
    room.channel.learn(PERSON, Status.FAILED, False, 0.5, str(code))
    room.http.answers[SEND] = room.take
    room.send(message("m2"))
    room.turn(6.1)  # 131056 closes this person for so long
    assert isinstance(room.result("m2"), Accepted) and room.channel.up


@pytest.mark.parametrize("how", ["at once", "by a report"])
@pytest.mark.parametrize(("code", "days"), [("131049", 1), ("131050", 29)])
def test_marketing_is_not_tried_for_whom_the_service_takes_none(code: str, days: int, how: str) -> None:
    offer = {"name": "oferta", "language": "pt_BR", "match": "Oferta.*", "category": "marketing"}
    bill = {"name": "fatura", "language": "pt_BR", "match": "(?P<t>.*)", "body": ["{t}"]}
    room = Room(templates=[offer, bill])
    if how == "at once":
        room.http.answers[SEND] = error(int(code))
        room.send(message("m1", text="Oferta do dia"))
        room.http.answers[SEND] = room.take
    else:
        room.channel.learn(PERSON, Status.FAILED, False, 0.5, code)
        room.turn()
    sends = len(room.http.to(SEND))
    room.send(message("m2", text="Oferta de novo"))
    assert room.result("m2") == Refused("no_marketing", rejected=False) and len(room.http.to(SEND)) == sends
    room.send(message("m3", text="Sua fatura vence hoje"))
    assert isinstance(room.result("m3"), Accepted), "only marketing is unwanted"
    room.clock.advance(days * 86_400.0 - 60.0)
    room.send(message("m4", text="Oferta ainda"))
    assert room.result("m4") == Refused("no_marketing", rejected=False)
    if code == "131049":
        room.clock.advance(120.0)
        room.send(message("m5", text="Oferta outra vez"))
        assert isinstance(room.result("m5"), Accepted)


# --------------------------------------------------------------------------------------------------- errors and scopes


@pytest.mark.parametrize(
    ("code", "tries", "expected"),
    [
        (131056, 0, TryLater(1.0, "pair_rate", "131056")),
        (131056, 3, TryLater(64.0, "pair_rate", "131056")),
        (131000, 1, TryLater(8.0, "unknown_error", "131000")),
        (131000, 2, Refused("refused", "131000", rejected=False)),
        (130429, 5, TryLater(2.0, "throttled", "130429", counted=False)),
    ],
)
def test_how_often_it_was_tried_decides_how_long_it_waits(code: int, tries: int, expected: AttemptResult) -> None:
    room = Room()
    room.http.answers[SEND] = error(code)
    one = message()
    one.attempts = [Attempt("zap", tries=tries)]
    room.send(one)
    assert room.result() == expected


def test_a_burst_to_one_person_waits_no_longer_than_it_takes_to_clear() -> None:
    room = Room()
    room.send(message())
    room.http.answers[SEND] = error(131056)
    one = message("m2")
    one.attempts = [Attempt("zap", tries=3)]
    room.send(one)
    assert room.result("m2") == TryLater(6.0, "pair_rate", "131056")


def test_the_throughput_of_the_service_slows_the_sender_down() -> None:
    room = Room(throughput="100/s")
    room.http.answers[SEND] = error(130429, 429)
    room.send(message())
    assert room.channel.senders["1065"].condition.pace.rate == 50.0 and room.channel.up


@pytest.mark.parametrize(
    ("code", "reason", "quarantined", "rests_s"),
    [
        (190, "unauthorized", True, 300.0),
        (131045, "logged_out", True, 300.0),
        (33, "unknown_instance", True, 300.0),
        (131048, "blocked", True, 300.0),
        (131042, "account_blocked", True, 300.0),
        (131016, "overloaded", False, 5.0),
        (131057, "maintenance", False, 60.0),
    ],
)
@pytest.mark.parametrize("told", ["answer", "status"])
def test_what_concerns_the_sender_closes_it_for_a_while(
    told: str, code: int, reason: str, quarantined: bool, rests_s: float
) -> None:
    room = Room()
    if told == "answer":
        room.http.answers[SEND] = error(code)
        room.send(message())
        assert room.result() == ChannelDown(reason, str(code))
    else:
        assert room.status("wamid.X", "failed", code).status == 200
    assert (room.channel.up, room.channel.quarantined) == (False, quarantined)
    room.send(message("m2"))
    assert isinstance(room.result("m2"), ChannelDown)
    room.http.answers[SEND] = room.take
    for _ in range(round(rests_s / 5.0) - 1):
        room.turn(5.0)
    room.turn(4.0)
    assert not room.channel.up
    room.turn(1.5)
    assert room.channel.up


def test_a_sender_that_stays_blocked_rests_longer_every_time() -> None:
    room = Room(health={"min_acks": 0, "window": "60s", "quarantine": "1m"})
    room.http.answers[SEND] = error(131048)
    rests: list[float] = []
    for index, number in enumerate(people(4)):
        began = room.clock.seconds()
        room.send(message(f"b{index}", number))
        assert not room.channel.up
        while not room.channel.up:
            room.turn(1.0)
        assert room.channel.capacity() == 1, "one message first: the state alone proves nothing"
        rests.append(room.clock.seconds() - began)
    assert [round(rest / 60) for rest in rests] == [1, 2, 4, 8]


def test_a_template_is_put_aside_without_the_sender() -> None:
    room = Room()
    room.http.answers[SEND] = error(132015)
    room.send(message())
    assert room.result() == Refused("template_paused", "132015", rejected=False) and room.channel.up
    room.send(message("m2"))
    assert room.result("m2") == Refused("no_template", rejected=False)
    value = {"event": "APPROVED", "message_template_name": "fatura", "message_template_language": "pt_BR"}
    room.post({"entry": [{"changes": [{"field": "message_template_status_update", "value": value}]}]})
    room.http.answers[SEND] = room.take
    room.send(message("m3"))
    assert isinstance(room.result("m3"), Accepted)


def test_that_a_template_is_paused_is_in_the_log_once() -> None:
    room = Room()

    def tell(event: str, name: str = "fatura") -> None:
        value = {"event": event, "message_template_name": name, "message_template_language": "pt-BR"}
        room.post({"entry": [{"changes": [{"field": "message_template_status_update", "value": value}]}]})

    with capturedLogs() as events:
        for event in ("APPROVED", "PAUSED", "PAUSED", "REINSTATED"):
            tell(event)
        tell("PAUSED", "another_one")
    said = [formatEvent(event) for event in events if event["log_level"] is LogLevel.warn]
    assert said == [
        "zap: template fatura may not be sent: its texts go another way",
        "zap: template fatura may be sent again",
    ]


def test_what_is_held_for_its_quality_says_nothing_of_the_sender() -> None:
    room = Room(health={"min_acks": 0.5, "window": "60s", "quarantine": "5m"})
    held = {"messages": [{"id": "wamid.h", "message_status": "held_for_quality_assessment"}]}
    room.http.answers[SEND] = json_answer(200, held)
    room.send(*(message(f"h{i}", number) for i, number in enumerate(people(30))))
    room.turn(1.0)
    for _ in range(70):
        room.turn(1.0)
    assert room.result("h29") == Accepted("wamid.h", held=True, lives_s=600.0)
    assert room.channel.up and not room.channel.quarantined


@pytest.mark.parametrize("how", ["at once", "as a status"])
def test_a_code_that_no_table_has_takes_the_next_channel_and_is_counted(how: str) -> None:
    room = Room()
    if how == "at once":
        room.http.answers[SEND] = error(131999)
    room.send(message())
    if how == "at once":
        assert room.result() == Refused("unknown_code", "131999", rejected=False)
    else:
        room.status("wamid.0", "failed", 131999)
        (report,) = room.delivery.reports
        assert (report.status, report.no_account, report.again_s) == (Status.FAILED, False, -1.0)
    assert room.counted == [("pombo_unknown_errors", "zap")]
    assert room.channel.up


def test_an_alarm_is_logged_once() -> None:
    room = Room()
    room.http.answers[SEND] = error(132001)
    with capturedLogs() as events:
        for index, number in enumerate(people(3)):
            room.send(message(f"m{index}", number))
    alarms = [formatEvent(event) for event in events if event["log_level"] is LogLevel.error]
    assert alarms == ["zap needs somebody to look at it: error 132001: no approved template of this name and language"]


def test_a_lost_answer_is_uncertain_and_never_written_again() -> None:
    room = Room()
    room.http.answers[SEND] = Unanswered("timeout")
    room.send(message())
    assert room.result() == Uncertain("timeout") and len(room.http.to(SEND)) == 1


# ------------------------------------------------------------------------------------------------------------ webhooks


def test_the_challenge_is_answered_by_the_channel() -> None:
    room = Room()
    url = "/webhooks/zap?hub.mode=subscribe&hub.verify_token=v3rify&hub.challenge=77"
    assert (room.ask(HttpRequest("GET", url)).status, room.ask(HttpRequest("GET", url)).body) == (200, b"77")
    assert room.ask(HttpRequest("GET", url.replace("v3rify", "x"))).status == 403


def test_an_unsigned_webhook_changes_nothing() -> None:
    room = Room()
    body = json.dumps({"entry": [{"changes": [{"field": "messages", "value": {"statuses": []}}]}]}).encode()
    assert room.ask(HttpRequest("POST", "/webhooks/zap", (), body)).status == 401
    assert room.delivery.reports == [] and room.delivery.texts == []


def test_what_could_not_be_kept_must_come_again() -> None:
    room = Room()
    room.delivery.keeps = False
    assert room.status("wamid.1", "sent").status == 503


def test_every_message_comes_back_exactly_once() -> None:
    room = Room(throughput="50/s")
    outcomes: Iterator[HttpOutcome | None] = itertools.cycle(
        [
            None,
            error(131047),
            error(131056),
            None,
            error(131016),
            Unanswered("timeout"),
            error(132000),
            HttpResponse(500),
        ]
    )

    def taken(request: HttpRequest) -> HttpOutcome:
        outcome = next(outcomes)
        return outcome if outcome is not None else room.take(request)

    room.http.answers[SEND] = taken
    given = 0
    for index in range(150):
        room.person_writes()
        for number in [PERSON, *people(2)][: min(3, room.channel.capacity())]:
            room.channel.send(message(f"m{given}", number))
            given += 1
        room.turn(0.3)
        if index % 3 == 0:
            room.status(f"wamid.{index // 3}", "sent")
    Deferred.fromCoroutine(room.channel.stop())
    room.turn(5.0)
    back = [one.id for batch in room.delivery.batches for one, _ in batch]
    assert len(back) == len(set(back)) == given > 20
    assert room.channel.inflight == 0
