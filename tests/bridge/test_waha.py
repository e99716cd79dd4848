"""WAHA: our requests against its published document, its recorded answers against what they mean."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.provider import BadProof, HttpRequest, HttpResponse, WebhookRead
from bridge.providers.waha import Waha
from config.schema import BridgeSettings
from gateway.messages.outcome import (
    Accepted,
    AttemptResult,
    ChannelDown,
    Refused,
    Status,
    TryLater,
    Uncertain,
)
from tests.bridge.documents import document, hold
from tests.bridge.fakes import START, json_answer

ACTIVE = "5531988887777"
CHAT = "553188887777@c.us"
LID = "103899771998284@lid"
OURS = "5511900000000@c.us"

waha = Waha(channel="zap", url="http://127.0.0.1:3000", api_key="k3y", session="default")
signed = Waha(channel="zap", url="http://127.0.0.1:3000", api_key="k3y", session="default", webhook_secret="hush")


# ------------------------------------------------------------------------------------------------------------ requests


def test_a_send_is_what_the_published_document_asks_for() -> None:
    request = waha.send_request(CHAT, "Olá", "m1")
    assert request.json() == {
        "session": "default", "chatId": CHAT, "text": "Olá", "linkPreview": False, "id": waha.key_of("m1"),
    }  # fmt: skip
    assert (request.method, request.url) == ("POST", "http://127.0.0.1:3000/api/sendText")
    operation = document("waha")["paths"]["/api/sendText"]["post"]
    hold("waha", request.json(), operation["requestBody"]["content"]["application/json"]["schema"])


def test_a_text_has_an_id_of_ours_in_the_form_of_the_engines() -> None:
    assert re.fullmatch("3EB0[0-9A-F]{18}", waha.key_of("m1"))
    assert waha.key_of("m1") == waha.key_of("m1") != waha.key_of("m2")


def test_a_check_is_what_the_published_document_asks_for() -> None:
    request = waha.check_request([ACTIVE])
    asked = urlsplit(request.url)
    assert (request.method, asked.path) == ("GET", "/api/contacts/check-exists")
    assert dict(parse_qsl(asked.query)) == {"phone": ACTIVE, "session": "default"}
    parameters = document("waha")["paths"][asked.path]["get"]["parameters"]
    assert {p["name"] for p in parameters if p["required"]} == {"phone", "session"}
    assert waha.check_numbers == 1


def test_the_state_and_a_hidden_number_are_asked_for_where_the_document_says() -> None:
    [hidden] = read(inbound(**{"from": LID})).hidden
    paths = [urlsplit(request.url).path for request in (waha.state_request(), hidden.ask)]
    assert paths == ["/api/sessions/default", "/api/default/lids/103899771998284%40lid"]
    known = document("waha")["paths"]
    assert "get" in known["/api/sessions/{session}"] and "get" in known["/api/{session}/lids/{lid}"]


def test_every_request_carries_the_key_and_none_shows_it() -> None:
    requests = [waha.send_request(ACTIVE, "texto", "m1"), waha.check_request([ACTIVE]), waha.state_request()]
    for request in requests:
        assert request.header("x-api-key") == "k3y"
        shown = repr(request) + str(request) + repr(waha)
        assert "k3y" not in shown and ACTIVE not in shown and "texto" not in shown


def test_a_session_of_any_name_is_one_segment_of_the_path() -> None:
    odd = Waha(channel="zap", url="http://h", api_key="k", session="Loja Nº 1/a")
    assert odd.state_request().url == "http://h/api/sessions/Loja%20N%C2%BA%201%2Fa"
    assert dict(parse_qsl(urlsplit(odd.check_request(["5"]).url).query))["session"] == "Loja Nº 1/a"


@pytest.mark.parametrize(
    ("recipient", "chat"),
    [
        (CHAT, CHAT),
        ("553188887777@s.whatsapp.net", CHAT),  # another library's word for the same
        (LID, LID),
        (ACTIVE, ACTIVE + "@c.us"),  # lookups are off
    ],
)
def test_a_text_goes_to_a_chat(recipient: str, chat: str) -> None:
    body = waha.send_request(recipient, "oi", "m").json()
    assert isinstance(body, dict) and body["chatId"] == chat


@pytest.mark.parametrize("enabled", [True, False])
def test_a_number_as_such_is_written_to_only_where_lookups_are_off(enabled: bool) -> None:
    values = {"name": "zap", "provider": "waha", "url": "http://h", "api_key": "k", "instance": "default"}
    settings = BridgeSettings.model_validate({**values, "lookup": {"enabled": enabled}})
    assert Waha.of(settings).needs_identity is enabled


# ------------------------------------------------------------------------------------------------------------- answers

DOWN = {
    "error": "Session status is not as expected. Try again later or restart the session",
    "session": "default",
    "status": "SCAN_QR_CODE",
    "expected": ["WORKING"],
}
UNBUILT = {
    "message": "The method is not implemented by the engine.",
    "error": "Unprocessable Entity",
    "statusCode": 422,
}


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        pytest.param(json_answer(200, {"numberExists": True, "chatId": CHAT}), (True, CHAT), id="yes"),
        pytest.param(json_answer(200, {"numberExists": True, "chatId": LID}), (True, LID), id="yes, hidden"),
        pytest.param(json_answer(200, {"numberExists": False}), False, id="no"),
        pytest.param(json_answer(200, {"numberExists": False, "chatId": None}), False, id="no with null"),
        pytest.param(json_answer(200, {"numberExists": True}), None, id="yes without a chat"),
        pytest.param(json_answer(200, {"numberExists": True, "chatId": None}), None, id="yes with null"),
        pytest.param(json_answer(200, {"numberExists": True, "chatId": "1@g.us"}), None, id="yes, a group"),
        pytest.param(json_answer(200, {"numberExists": "false"}), None, id="a word"),
        pytest.param(json_answer(200, {}), None, id="empty"),
        pytest.param(json_answer(200, [False]), None, id="a list"),
        pytest.param(HttpResponse(200, b"<html>login</html>"), None, id="not JSON"),
        pytest.param(json_answer(422, DOWN), None, id="session down"),
        pytest.param(json_answer(422, {"numberExists": False}), None, id="no under a 422"),
        pytest.param(json_answer(404, {"message": 'Session "default" does not exist'}), None, id="404"),
        pytest.param(json_answer(401, {"message": "Unauthorized", "statusCode": 401}), None, id="401"),
        pytest.param(json_answer(429, {"message": "Too Many Requests"}), None, id="429"),
        pytest.param(json_answer(500, {"statusCode": 500, "message": "x"}), None, id="500"),
    ],
)
def test_only_an_explicit_answer_to_a_check_says_anything(response: HttpResponse, expected: object) -> None:
    assert waha.read_check(response, [ACTIVE]) == {ACTIVE: expected}


def taken(id: object, **more: object) -> HttpResponse:
    return json_answer(201, {"id": id, "timestamp": 1717689097, "from": OURS, "fromMe": True, "to": CHAT, **more})


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        pytest.param(taken(f"true_{CHAT}_3EB0A1"), Accepted("3EB0A1"), id="a string"),
        pytest.param(taken(f"true_{LID}_3EB0A1"), Accepted("3EB0A1"), id="a string, hidden"),
        pytest.param(taken("3EB0A1"), Accepted("3EB0A1"), id="the key alone"),
        pytest.param(
            taken({"fromMe": True, "remote": CHAT, "id": "3EB0A1", "_serialized": f"true_{CHAT}_3EB0A1"}),
            Accepted("3EB0A1"),
            id="an object",
        ),
        pytest.param(taken({"_serialized": f"true_{CHAT}_3EB0A1"}), Accepted("3EB0A1"), id="an object, serialized"),
        pytest.param(taken(f"true_{CHAT}_3EB0A1_out"), Accepted("3EB0A1"), id="engine WPP"),
        pytest.param(taken(None, _data={"id": {"id": "3EB0A1"}}), Uncertain("unreadable_answer"), id="null"),
        pytest.param(
            json_answer(201, {"key": {"remoteJid": "x@s.whatsapp.net", "fromMe": True, "id": "3EB0A1"}}),
            Accepted("3EB0A1"),
            id="engine NOWEB, raw",
        ),
        pytest.param(json_answer(201, {"_data": {"id": "3EB0A1"}}), Accepted("3EB0A1"), id="engine's own"),
        pytest.param(json_answer(201, {"id": "3EB0A1", "ack": -1}), Refused("failed", rejected=False), id="not sent"),
        pytest.param(json_answer(200, {"id": f"true_{CHAT}_3EB0A1"}), Accepted("3EB0A1"), id="200"),
        pytest.param(json_answer(201, {}), Uncertain("unreadable_answer"), id="201 empty"),
        pytest.param(json_answer(201, []), Uncertain("unreadable_answer"), id="201 a list"),
        pytest.param(HttpResponse(201, b"<html>"), Uncertain("unreadable_answer"), id="201 not JSON"),
        pytest.param(json_answer(422, DOWN), ChannelDown("logged_out", "422"), id="session down"),
        pytest.param(
            json_answer(422, {**DOWN, "status": "STARTING"}),
            ChannelDown("provider_down", "starting"),
            id="session starting",
        ),
        pytest.param(
            json_answer(422, {"message": "Session status is not as expected", "statusCode": 422}),
            ChannelDown("logged_out", "422"),
            id="session down, older words",
        ),
        pytest.param(json_answer(422, UNBUILT), Refused("refused", "422", rejected=False), id="422 of the engine"),
        pytest.param(HttpResponse(422), Refused("refused", "422", rejected=False), id="422 empty"),
        pytest.param(
            json_answer(401, {"message": "Unauthorized", "statusCode": 401}),
            ChannelDown("unauthorized", "401"),
            id="401",
        ),
        pytest.param(
            json_answer(404, {"message": 'Session "default" does not exist', "statusCode": 404}),
            ChannelDown("unknown_instance", "404"),
            id="404",
        ),
        pytest.param(
            json_answer(400, {"statusCode": 400, "message": ["text should not be empty"]}),
            Refused("refused", "400", rejected=False),
            id="400",
        ),
        pytest.param(
            json_answer(500, {"statusCode": 500, "exception": {"message": "server returned error 463"}}),
            ChannelDown("provider_down", "500"),
            id="500",
        ),
        pytest.param(
            json_answer(500, {"statusCode": 500, "exception": {"message": "rate-overlimit", "name": "Error"}}),
            TryLater(1.0, "throttled", "500", counted=False),
            id="429 in a 500",
        ),
        pytest.param(HttpResponse(502, b"<html>"), ChannelDown("provider_down", "502"), id="502"),
        pytest.param(HttpResponse(429), TryLater(1.0, "throttled", "429", counted=False), id="429"),
        pytest.param(
            HttpResponse(429, b"", (("Retry-After", "7"),)),
            TryLater(7.0, "throttled", "429", counted=False),
            id="429 with time",
        ),
    ],
)
def test_every_answer_to_a_send_has_its_meaning(response: HttpResponse, expected: AttemptResult) -> None:
    assert waha.read_send(response) == expected


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (json_answer(200, {"name": "default", "status": "WORKING"}), True),
        (json_answer(200, {"name": "default", "status": "STARTING"}), False),
        (json_answer(200, {"name": "default", "status": "SCAN_QR_CODE"}), False),
        (json_answer(200, {"name": "default", "status": "FAILED"}), False),
        (json_answer(404, {"message": "Session not found"}), False),
        (json_answer(401, {"message": "Unauthorized"}), False),
        (json_answer(500, {"status": "WORKING"}), None),
        (json_answer(200, []), None),
        (HttpResponse(200, b"<html>"), None),
    ],
)
def test_state_is_read_as_connected_not_or_unknown(response: HttpResponse, expected: bool | None) -> None:
    assert waha.read_state(response) is expected


# ------------------------------------------------------------------------------------------------------------ webhooks


def envelope(event: str, payload: object, session: str = "default") -> dict[str, Any]:
    return {
        "id": "evt_01aaaaaaaaaaaaaaaaaaaaaaaa",
        "timestamp": int(START * 1000),
        "event": event,
        "session": session,
        "metadata": {},
        "me": {"id": OURS, "pushName": "Provedor"},
        "payload": payload,
        "engine": "GOWS",
        "environment": {"version": "2026.7.1", "engine": "GOWS", "tier": "CORE", "browser": "", "platform": "l",
                        "worker": {"id": None}},
    }  # fmt: skip


def ack(number: object, id: object = f"true_{CHAT}_3EB0A1", **more: object) -> dict[str, Any]:
    payload = {"id": id, "from": OURS, "to": CHAT, "participant": "", "fromMe": True, "ack": number, "ackName": "X"}
    return envelope("message.ack", {**payload, **more})


def inbound(body: object = "Olá, já paguei", **more: object) -> dict[str, Any]:
    payload = {
        "id": f"false_{CHAT}_ABC1",
        "timestamp": int(START) - 5,
        "from": CHAT,
        "fromMe": False,
        "source": "app",
        "to": OURS,
        "participant": "",
        "body": body,
        "hasMedia": False,
        "mediaUrl": "",
        "ack": 2,
        "ackName": "DEVICE",
        "vCards": [],
    }
    return envelope("message", {**payload, **more})


def status(state: str) -> dict[str, Any]:
    return envelope("session.status", {"name": "default", "status": state, "statuses": []})


def hook(body: object, headers: tuple[tuple[str, str], ...] = ()) -> HttpRequest:
    return HttpRequest("POST", "/webhooks/zap", headers, json.dumps(body).encode())


def read(body: object) -> WebhookRead:
    found = waha.read_webhook(hook(body), START)
    assert isinstance(found, WebhookRead)
    return found


@pytest.mark.parametrize(
    ("body", "schema"),
    [(ack(2), "WAMessageAckBody"), (inbound(), "WAMessage"), (status("WORKING"), "WASessionStatusBody")],
)
def test_the_webhooks_read_here_are_those_of_the_published_document(body: dict[str, Any], schema: str) -> None:
    assert body["event"] in document("waha")["webhooks"]
    hold("waha", body["payload"], {"$ref": f"#/components/schemas/{schema}"})


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (-1, Status.FAILED),
        (0, None),
        (1, Status.SENT),
        (2, Status.DELIVERED),
        (3, Status.READ),
        (4, Status.READ),
        (99, None),
        (-99, None),
        ("2", None),
        (None, None),
        (True, None),
        ({}, None),
    ],
)
def test_an_ack_is_reported_under_the_key_of_its_message(number: object, expected: Status | None) -> None:
    reports = read(ack(number)).reports
    assert [(report.channel, report.remote_id, report.status, report.at, report.no_account) for report in reports] == (
        [] if expected is None else [("zap", "3EB0A1", expected, START, False)]
    )


@pytest.mark.parametrize(
    "id",
    [
        f"true_{CHAT}_3EB0A1",
        f"true_{LID}_3EB0A1",  # the middle changed since the send
        f"true_{CHAT}_3EB0A1_out",
        "3EB0A1",
        {"fromMe": True, "remote": LID, "id": "3EB0A1", "_serialized": f"true_{LID}_3EB0A1"},
        {"_serialized": f"true_{LID}_3EB0A1"},
    ],
)
def test_the_key_of_a_message_is_found_in_every_shape_of_its_id(id: object) -> None:
    assert [report.remote_id for report in read(ack(2, id)).reports] == ["3EB0A1"]


def test_an_ack_may_be_told_by_its_name_only() -> None:
    body = ack(None, ackName="DEVICE")
    del body["payload"]["ack"]
    assert [report.status for report in read(body).reports] == [Status.DELIVERED]


@pytest.mark.parametrize(
    "body",
    [
        ack(3, fromMe=False),
        ack(3, f"false_{CHAT}_3EB0A1", fromMe=None),
        ack(3, None),
        ack(3, 7),
        ack(3, ""),
        envelope("message.ack.group", ack(3)["payload"]),
        envelope("message.ack", ack(3)["payload"], session="other"),
        envelope("message.ack", [ack(3)["payload"]]),
        envelope("message.ack", None),
    ],
)
def test_an_ack_of_anything_else_is_none_of_ours(body: object) -> None:
    assert read(body).reports == ()


def test_several_envelopes_in_one_body_are_all_read() -> None:
    assert len(read([ack(2), "x", None, inbound(), ack(3, "b")]).reports) == 2


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (inbound("Olá, já paguei"), "Olá, já paguei"),
        (inbound("", hasMedia=True, media={"mimetype": "image/jpeg", "url": "http://h/1"}), "[imagem]"),
        (inbound("comprovante", hasMedia=True, media={"mimetype": "image/png"}), "[imagem] comprovante"),
        (inbound(None, hasMedia=True, media={"mimetype": "image/webp"}), "[figurinha]"),
        (inbound("", hasMedia=True, media={"mimetype": "audio/ogg; codecs=opus"}), "[áudio]"),
        (inbound("", hasMedia=True, media={"mimetype": "video/mp4"}), "[vídeo]"),
        (inbound("boleto", hasMedia=True, media={"mimetype": "application/pdf"}), "[documento] boleto"),
        (inbound("", hasMedia=True, media=None), "[mensagem]"),
        (inbound("/9j/4AAQ", location={"latitude": "1", "longitude": "2"}), "[localização]"),
        (inbound("BEGIN:VCARD", vCards=["BEGIN:VCARD"]), "[contato]"),
        (inbound(None, _data={"message": {"buttonsResponseMessage": {"selectedDisplayText": "Sim"}}}), "Sim"),
        (inbound(None, _data={"Message": {"pollCreationMessage": {"name": "x"}}}), "[enquete]"),
    ],
)
def test_what_a_person_wrote_becomes_text(body: object, text: str) -> None:
    [found] = read(body).inbound
    assert (found.text, found.msisdn, found.remote_id, found.to) == (text, "553188887777", "ABC1", "")
    assert found.at == START - 5


@pytest.mark.parametrize(
    "body",
    [
        inbound(fromMe=True),
        inbound(id=f"true_{CHAT}_ABC1", fromMe=None),
        inbound(**{"from": "120363025246125486@g.us", "participant": CHAT}),
        inbound(**{"from": "status@broadcast", "participant": CHAT}),
        inbound(**{"from": "120363@newsletter"}),
        inbound(**{"from": None}),
        inbound(""),
        inbound(None),
        inbound(None, _data={"message": {"protocolMessage": {"type": 0}}}),
        envelope("message.any", inbound()["payload"]),
        envelope("message.reaction", {**inbound()["payload"], "reaction": {"text": "👍"}}),
        envelope("message", inbound()["payload"], session="other"),
        envelope("message", "x"),
    ],
)
def test_what_nobody_wrote_to_us_is_dropped(body: object) -> None:
    assert (read(body).inbound, read(body).hidden) == ((), ())


@pytest.mark.parametrize(
    "data",
    [
        {"key": {"remoteJid": LID, "remoteJidAlt": "553188887777@s.whatsapp.net"}},  # NOWEB
        {"key": {"remoteJid": LID, "senderPn": "553188887777@s.whatsapp.net"}},
        {"Info": {"Chat": LID, "Sender": LID, "SenderAlt": "553188887777:4@s.whatsapp.net"}},  # GOWS
    ],
)
def test_a_hidden_number_is_taken_from_beside_it(data: object) -> None:
    found = read(inbound(**{"from": LID, "_data": data}))
    assert [text.msisdn for text in found.inbound] == ["553188887777"] and not found.hidden


@pytest.mark.parametrize(
    ("response", "msisdn"),
    [
        (json_answer(200, {"lid": LID, "pn": CHAT}), "553188887777"),
        (json_answer(200, {"lid": LID, "pn": None}), ""),
        (json_answer(404, {"message": "Cannot GET"}), ""),
        (json_answer(422, DOWN), None),
        (json_answer(500, {}), None),
        (json_answer(200, []), None),
        (HttpResponse(200, b"<html>"), None),
    ],
)
def test_a_hidden_number_that_is_nowhere_is_asked_for(response: HttpResponse, msisdn: str | None) -> None:
    found = read(inbound(id=f"false_{LID}_ABC1", **{"from": LID}))
    [hidden] = found.hidden
    assert found.inbound == () and (hidden.text.msisdn, hidden.text.text) == ("", "Olá, já paguei")
    assert hidden.read(response) == msisdn


@pytest.mark.parametrize(
    ("state", "connection", "unsure"),
    [
        ("WORKING", True, False),
        ("SCAN_QR_CODE", False, False),
        ("FAILED", False, False),
        ("PASSKEY_REQUIRED", False, False),
        ("STARTING", None, True),
        ("STOPPED", None, True),
    ],
)
def test_session_states_tell_a_log_out_from_a_restart(state: str, connection: bool | None, unsure: bool) -> None:
    found = read(status(state))
    assert (found.connection, found.unsure) == (connection, unsure)


# --------------------------------------------------------------------------------------------------------------- proof


def sign(body: bytes, key: str = "hush") -> str:
    return hmac.new(key.encode(), body, hashlib.sha512).hexdigest()


def test_the_signature_is_the_one_of_the_manual() -> None:
    manual = Waha(channel="zap", url="http://h", api_key="k", session="default", webhook_secret="my-secret-key")
    proof = (
        "208f8a55dde9e05519e898b10b89bf0d0b3b0fdf11fdbf09b6b90476301b98d8"
        "097c462b2b17a6ce93b6b47a136cf2e78a33a63f6752c2c1631777076153fa89"
    )
    body = b'{"event":"message","session":"default","engine":"WEBJS"}'
    request = HttpRequest("POST", "/webhooks/zap", (("X-Webhook-Hmac", proof),), body)
    assert isinstance(manual.read_webhook(request, START), WebhookRead)


def test_a_signature_of_the_octets_is_believed() -> None:
    body = json.dumps(ack(3), ensure_ascii=False, indent=1).encode()
    for proof in (sign(body), sign(body).upper()):
        request = HttpRequest("POST", "/webhooks/zap", (("x-webhook-hmac", proof),), body)
        found = signed.read_webhook(request, START)
        assert isinstance(found, WebhookRead) and len(found.reports) == 1


@pytest.mark.parametrize(
    "proof",
    [
        None,
        "",
        "x",
        "ã" * 128,
        sign(json.dumps(ack(3)).encode(), key="other"),
        sign(json.dumps(ack(3)).encode())[:-1],
        "sha512=" + sign(json.dumps(ack(3)).encode()),
        sign(b"another body"),
        hmac.new(b"hush", json.dumps(ack(3)).encode(), hashlib.sha256).hexdigest(),
    ],
)
def test_any_other_signature_is_refused(proof: str | None) -> None:
    headers = () if proof is None else (("X-Webhook-Hmac", proof), ("X-Webhook-Hmac-Algorithm", "sha512"))
    assert isinstance(signed.read_webhook(hook(ack(3), headers), START), BadProof)


def test_without_a_secret_unsigned_webhooks_are_accepted() -> None:
    assert len(read(ack(3)).reports) == 1


# ------------------------------------------------------------------------------------------------------------ nonsense

KEYS = [
    "event", "session", "payload", "id", "_serialized", "from", "fromMe", "ack", "ackName", "body", "hasMedia", "media",
    "mimetype", "location", "vCards", "_data", "key", "Info", "message", "timestamp", "status", "error", "expected",
    "numberExists", "chatId", "lid", "pn",
]  # fmt: skip
WORDS = ["message.ack", "message", "session.status", "default", CHAT, LID, f"true_{CHAT}_3EB0", "WORKING"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=20,
)


@given(JSON, st.sampled_from(["message.ack", "message", "session.status"]))
def test_nothing_raises_whatever_comes(value: object, event: str) -> None:
    for body in (value, envelope(event, value), [value]):
        assert isinstance(waha.read_webhook(hook(body), START), WebhookRead)
    for code in (200, 201, 404, 422, 500):
        answer = json_answer(code, value)
        waha.read_send(answer)
        waha.read_check(answer, [ACTIVE])
        waha.read_state(answer)
        waha.read_number(answer)


@given(st.binary(max_size=60))
def test_octets_that_are_not_json_say_nothing(body: bytes) -> None:
    assert waha.read_webhook(HttpRequest("POST", "/webhooks/zap", (), b"\xff" + body), START) == WebhookRead()
