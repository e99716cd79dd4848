"""People under another name: the chat WAHA has to be given, and senders who hide their number."""

from __future__ import annotations

import itertools
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from twisted.internet.defer import Deferred

from bridge.channel import WhatsAppChannel
from bridge.provider import HttpOutcome, HttpRequest, HttpResponse, NotWritten, Unanswered
from config.schema import BridgeSettings
from gateway.messages.outcome import Accepted, NoAccount, Refused, Status
from tests.bridge.fakes import (
    PERSON,
    START,
    FakeDelivery,
    FakeHttp,
    FakeStore,
    Spawned,
    clock,
    json_answer,
    message,
)

CHECK, SEND, STATE, LIDS = "check-exists", "sendText", "/sessions/", "/lids/"
CHAT = "551187650001@c.us"  # PERSON without the ninth digit
LID = "103899771998284@lid"
UNKNOWN = Refused("unknown", rejected=False)


class Room:
    """A started channel to WAHA. Every number has an account, without the ninth digit; every send is taken."""

    def __init__(self, **lookup: Any) -> None:
        self.clock, self.http, self.store = clock(), FakeHttp(), FakeStore()
        self.spawned, self.delivery = Spawned(), FakeDelivery()
        self.ids = (f"3EB0{n:04d}" for n in itertools.count())
        working = json_answer(200, {"name": "default", "status": "WORKING"})
        self.http.answers = {CHECK: self.check, SEND: self.take, STATE: working}
        settings = BridgeSettings.model_validate(
            {
                "name": "zap",
                "provider": "waha",
                "url": "http://h",
                "api_key": "k",
                "instance": "default",
                "lookup": {"budget": "6000/m", **lookup},
            }
        )
        self.channel = WhatsAppChannel(
            settings,
            http=self.http,
            evidence=self.store,
            results=self.delivery,
            mark=lambda _: None,
            decode=lambda message: message.user_data.decode(),
            clock=self.clock,
            spawn=self.spawned,
        )
        Deferred.fromCoroutine(self.channel.start())
        self.turn()

    def turn(self) -> None:
        self.clock.pump([0.01] * 8)
        self.spawned.check()

    @staticmethod
    def check(request: HttpRequest) -> HttpOutcome:
        [phone] = parse_qs(urlsplit(request.url).query)["phone"]
        return json_answer(200, {"numberExists": True, "chatId": f"{phone[:4]}{phone[5:]}@c.us"})

    def take(self, request: HttpRequest) -> HttpOutcome:
        chat = json.loads(request.body)["chatId"]
        return json_answer(201, {"id": f"true_{chat}_{next(self.ids)}", "fromMe": True, "to": chat})

    def send(self, id: str = "m1") -> object:
        self.channel.send(message(id))
        self.turn()
        return self.delivery.results[id]

    @property
    def chats(self) -> list[str]:
        return [body["chatId"] for body in self.http.bodies(SEND)]

    def hook(self, event: str, payload: dict[str, object]) -> int:
        body = json.dumps({"event": event, "session": "default", "payload": payload}).encode()
        request = HttpRequest("POST", "/webhooks/zap", (), body)
        answer: Deferred[HttpResponse] = Deferred.fromCoroutine(self.channel.receive_webhook(request))
        self.turn()
        assert isinstance(answer.result, HttpResponse)
        return answer.result.status

    def wrote(self, sender: str) -> int:
        payload = {"id": f"false_{sender}_ABC1", "from": sender, "fromMe": False, "body": "oi", "timestamp": START - 1}
        return self.hook("message", payload)


def test_a_text_goes_to_the_chat_that_the_check_gave() -> None:
    room = Room()
    assert room.send() == Accepted("3EB00000")
    assert room.chats == [CHAT]
    assert room.send("m2") == Accepted("3EB00001")
    assert len(room.http.to(CHECK)) == 1  # remembered


@pytest.mark.parametrize("when_unknown", ["skip", "send"])
@pytest.mark.parametrize(
    "answer",
    [
        json_answer(422, {"error": "Session status is not as expected", "status": "STARTING"}),
        json_answer(200, {"numberExists": True}),
        HttpResponse(500),
        Unanswered("timeout"),
        NotWritten("refused"),
    ],
)
def test_nothing_goes_where_the_chat_is_not_known(answer: HttpOutcome, when_unknown: str) -> None:
    room = Room(when_unknown=when_unknown)
    room.http.answers[CHECK] = answer
    assert room.send() == UNKNOWN
    assert room.chats == []


def test_with_lookups_off_the_number_is_the_chat() -> None:
    room = Room(enabled=False)
    assert room.send() == Accepted("3EB00000")
    assert room.chats == [PERSON + "@c.us"] and room.http.to(CHECK) == []


def test_who_wrote_to_us_has_an_account_but_the_chat_is_still_asked_for() -> None:
    room = Room()
    assert room.wrote(CHAT) == 200
    assert room.send() == Accepted("3EB00000")
    assert room.chats == [CHAT] and len(room.http.to(CHECK)) == 1


def test_who_wrote_to_us_is_not_written_to_when_the_chat_stays_unknown() -> None:
    room = Room(when_unknown="send")
    room.wrote(CHAT)
    room.http.answers[CHECK] = HttpResponse(500)
    assert room.send() == UNKNOWN
    room.http.answers[CHECK] = json_answer(200, {"numberExists": False})
    assert room.send("m2") == UNKNOWN  # WAHA says no, the person said yes: no chat, and no verdict


def test_a_no_is_a_no() -> None:
    room = Room()
    room.http.answers[CHECK] = json_answer(200, {"numberExists": False})
    assert room.send() == NoAccount("provider")


def test_an_ack_under_a_hidden_identity_is_matched_by_its_last_part() -> None:
    room = Room()
    room.send()
    assert room.hook("message.ack", {"id": f"true_{LID}_3EB00000", "fromMe": True, "ack": 2}) == 200
    assert [(report.remote_id, report.status) for report in room.delivery.reports] == [("3EB00000", Status.DELIVERED)]


def test_a_sender_who_hides_is_asked_for_before_the_text_is_handed_in() -> None:
    room = Room()
    room.http.answers[LIDS] = json_answer(200, {"lid": LID, "pn": CHAT})
    assert room.wrote(LID) == 200
    assert [(text.msisdn, text.text, text.remote_id) for text in room.delivery.texts] == [
        ("551187650001", "oi", "ABC1")
    ]
    room.http.answers[CHECK] = json_answer(200, {"numberExists": False})
    assert room.send() == UNKNOWN  # they wrote, so they have an account


def test_a_sender_whom_nobody_knows_is_passed_over() -> None:
    room = Room()
    room.http.answers[LIDS] = json_answer(200, {"lid": LID, "pn": None})
    assert room.wrote(LID) == 200
    assert room.delivery.texts == []


@pytest.mark.parametrize("answer", [HttpResponse(500), Unanswered("timeout"), NotWritten("refused")])
def test_a_text_whose_sender_could_not_be_asked_for_must_come_again(answer: HttpOutcome) -> None:
    room = Room()
    room.http.answers[LIDS] = answer
    assert room.wrote(LID) == 503
    room.http.answers[LIDS] = json_answer(200, {"lid": LID, "pn": CHAT})
    assert room.wrote(LID) == 200
    assert len(room.delivery.texts) == 1
