"""People who show a hidden identity: whoever told it together with a number once has named them for good."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent

from bridge.aliases import Aliases
from bridge.channel import WhatsAppChannel
from bridge.provider import HttpOutcome, HttpRequest, HttpResponse, Unanswered
from tests.bridge.fakes import PERSON, FakeDelivery, FakeHttp, FakeStore, Spawned, clock, json_answer, message
from tests.bridge.simulated import SECRET, settings_of

LID, USER = "103899771998284@lid", "BR.1A2B3C"
HIDDEN = {"evolution": LID, "waha": LID, "wppconnect": LID, "cloud_api": USER}
APIS = tuple(HIDDEN)
KEPT_S = 3600.0
PERSON_JID = f"{PERSON}@s.whatsapp.net"


class Room:
    """A started channel. Nobody can be asked for a number but where `answers` says so."""

    def __init__(self, api: str, store: FakeStore | None = None) -> None:
        self.api, self.clock, self.store, self.spawned = api, clock(), store or FakeStore(), Spawned()
        self.http, self.delivery = FakeHttp(), FakeDelivery()
        self.http.answers = {"": json_answer(404, {})}
        settings = settings_of(api, webhook_secret=None)
        self.channel = WhatsAppChannel(
            settings, http=self.http, evidence=self.store, results=self.delivery,
            mark=lambda _: None, decode=lambda one: one.user_data.decode(), clock=self.clock, spawn=self.spawned,
        )  # fmt: skip
        self.spawned(self.channel.start(), "starting", self.channel.log)
        self.turn()

    def answers(self, path: str, answer: HttpOutcome) -> None:
        self.http.answers = {path: answer, **self.http.answers}

    def turn(self) -> None:
        self.clock.pump([0.01] * 40)
        self.spawned.check()

    def hook(self, body: Any) -> int:
        octets = json.dumps(body).encode()
        proof = hmac.new(SECRET.encode(), octets, hashlib.sha256).hexdigest()
        headers = (("X-Hub-Signature-256", f"sha256={proof}"),)
        answer: Deferred[HttpResponse] = Deferred.fromCoroutine(
            self.channel.receive_webhook(HttpRequest("POST", "/webhooks/zap", headers, octets))
        )
        self.turn()
        assert isinstance(answer.result, HttpResponse)
        return answer.result.status

    def wrote(self, number: str = "", id: str = "ABC1") -> int:
        """A text from the hidden person; number: what the provider tells beside, where it does."""
        return self.hook(written(self.api, number, id))

    @property
    def senders(self) -> list[str]:
        return [text.msisdn for text in self.delivery.texts]


def written(api: str, number: str, id: str) -> Any:
    beside = f"{number}@s.whatsapp.net" if number else None
    match api:
        case "evolution":
            key = {"remoteJid": LID, "fromMe": False, "id": id, **({"remoteJidAlt": beside} if beside else {})}
            data = {"key": key, "message": {"conversation": "oi"}, "messageTimestamp": 1}
            return {"event": "messages.upsert", "instance": "main", "data": data}
        case "waha":
            payload = {"id": f"false_{LID}_{id}", "from": LID, "fromMe": False, "body": "oi"}
            payload |= {"_data": {"key": {"remoteJidAlt": beside}}} if beside else {}
            return {"event": "message", "session": "main", "payload": payload}
        case "wppconnect":
            return {"event": "onmessage", "session": "main", "id": f"false_{LID}_{id}", "from": LID, "type": "chat",
                    "body": "oi"}  # fmt: skip
    text = {"id": id, "type": "text", "text": {"body": "oi"}, "from_user_id": USER}
    contact = {"user_id": USER, **({"wa_id": number} if number else {})}
    return {"entry": [{"changes": [{"field": "messages", "value": {"messages": [text], "contacts": [contact]}}]}]}


@pytest.mark.parametrize("api", APIS)
def test_whom_nobody_has_named_is_passed_over(api: str) -> None:
    room = Room(api)
    room.answers("contact/pn-lid", json_answer(200, {}))
    assert room.wrote() == 200 and room.senders == []


@pytest.mark.parametrize("api", ["evolution", "waha", "cloud_api"])
def test_who_was_named_once_is_known_from_then_on_over_a_restart(api: str) -> None:
    room = Room(api)
    assert room.wrote(PERSON) == 200 and room.senders == [PERSON]
    asked = len(room.http.requests)
    assert room.wrote(id="ABC2") == 200 and room.senders == [PERSON, PERSON]
    assert len(room.http.requests) == asked
    later = Room(api, room.store)
    assert later.wrote(id="ABC3") == 200 and later.senders == [PERSON]


@pytest.mark.parametrize(
    ("api", "path", "answer"),
    [
        ("waha", "/lids/", {"lid": LID, "pn": f"{PERSON}@c.us"}),
        ("wppconnect", "contact/pn-lid", {"phoneNumber": {"_serialized": f"{PERSON}@c.us"}}),
    ],
)
def test_who_was_asked_for_once_is_not_asked_for_again(api: str, path: str, answer: object) -> None:
    room = Room(api)
    room.answers(path, json_answer(200, answer))
    assert room.wrote() == 200 and room.senders == [PERSON]
    room.answers(path, Unanswered("timeout"))
    assert room.wrote(id="ABC2") == 200 and room.senders == [PERSON, PERSON]


def test_a_lookup_names_people_who_will_hide() -> None:
    room = Room("evolution")
    found = [{"jid": PERSON_JID, "exists": True, "number": PERSON, "lid": LID}]
    room.answers("whatsappNumbers", json_answer(200, found))
    room.answers("connectionState", json_answer(200, {"instance": {"state": "open"}}))
    room.answers("sendText", json_answer(201, {"key": {"id": "3EB0", "remoteJid": PERSON_JID}}))
    room.clock.pump([1.0] * 20)
    room.channel.send(message())
    room.turn()
    [body] = room.http.bodies("sendText")
    assert body["number"] == PERSON_JID, "it is written to as ever"
    assert room.wrote() == 200 and room.senders == [PERSON]


def test_a_send_names_people_who_will_hide() -> None:
    room = Room("evolution")
    room.answers("whatsappNumbers", json_answer(200, [{"jid": PERSON_JID, "exists": True, "number": PERSON}]))
    room.answers("connectionState", json_answer(200, {"instance": {"state": "open"}}))
    room.answers("sendText", json_answer(201, {"key": {"id": "3EB0", "remoteJid": LID}}))
    room.clock.pump([1.0] * 20)
    room.channel.send(message())
    room.turn()
    assert room.wrote() == 200 and room.senders == [PERSON]


def test_a_status_of_the_official_service_names_people_too() -> None:
    room = Room("cloud_api")
    status = {"id": "wamid.X", "status": "delivered", "recipient_id": PERSON, "recipient_user_id": USER}
    room.hook({"entry": [{"changes": [{"field": "messages", "value": {"statuses": [status]}}]}]})
    assert room.wrote() == 200 and room.senders == [PERSON]


def test_one_channel_does_not_know_what_another_was_told() -> None:
    store = FakeStore()
    Aliases("zap", store, KEPT_S).learn(LID, PERSON)
    answers = [
        Deferred.fromCoroutine(Aliases(channel, store, KEPT_S).msisdn_of(LID)).result for channel in ("zap", "other")
    ]
    assert answers == [PERSON, ""]


def test_what_is_known_is_written_once_and_a_number_not_at_all() -> None:
    store = FakeStore()
    aliases = Aliases("zap", store, KEPT_S)
    for identity in (LID, LID, PERSON_JID, PERSON, "", USER):
        aliases.learn(identity, PERSON)
    aliases.learn(LID, "5511987650002")  # a number may change hands
    assert store.writes == [(key, KEPT_S) for key in (f"zap:@{LID}", f"zap:@{USER}", f"zap:@{LID}")]


def test_whoever_was_erased_is_known_by_no_identity() -> None:
    store = FakeStore()
    aliases = Aliases("zap", store, KEPT_S)
    aliases.learn(LID, PERSON)
    aliases.forget((PERSON,))
    store.broken = True
    assert Deferred.fromCoroutine(aliases.msisdn_of(LID)).result is None, "it has to ask the store again"


@pytest.mark.parametrize(("api", "path"), [("waha", "/lids/"), ("wppconnect", "contact/pn-lid")])
def test_a_text_whose_sender_the_provider_cannot_name_now_is_in_the_log(api: str, path: str) -> None:
    room = Room(api)
    room.answers(path, HttpResponse(502))
    with capturedLogs() as events:
        assert room.wrote() == 503 and room.senders == []
    said = "webhook of zap holds a text whose sender nobody can name now: it has to come again"
    assert [formatEvent(event) for event in events] == [said]


@pytest.mark.parametrize("api", ["evolution", "cloud_api"])
def test_while_the_store_is_away_the_text_must_come_again(api: str) -> None:
    room = Room(api)
    Aliases("zap", room.store, KEPT_S).learn(HIDDEN[api], PERSON)
    room.store.broken = True
    assert room.wrote() == 503
    room.store.broken = False
    assert room.wrote() == 200 and room.senders == [PERSON]
