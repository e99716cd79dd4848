"""WPPConnect: our requests against its published document, its recorded answers against what they mean."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.provider import BadProof, HttpRequest, HttpResponse, WebhookRead
from bridge.providers.wppconnect import Wppconnect
from gateway.messages.outcome import (
    Accepted,
    AttemptResult,
    ChannelDown,
    Refused,
    Status,
    TryLater,
    Uncertain,
)
from tests.bridge.documents import document
from tests.bridge.fakes import START, json_answer

ACTIVE = "5531988887777"
CHAT = "553188887777@c.us"
LID = "103899771998284@lid"
OURS = "5511900000000@c.us"
BASE = "http://127.0.0.1:21465/api/provedor"
TOKEN = "$2b$10$abc_def-g"

wpp = Wppconnect(channel="zap", url="http://127.0.0.1:21465", api_key=TOKEN, session="provedor")
guarded = Wppconnect(channel="zap", url="http://h", api_key=TOKEN, session="provedor", webhook_secret="hush+/&ã")


# ------------------------------------------------------------------------------------------------------------ requests


def operation(path: str, method: str) -> Any:
    return document("wppconnect")["paths"][path][method]


def test_a_send_is_what_the_published_document_asks_for() -> None:
    request = wpp.send_request(CHAT, "Olá", "m1")
    assert request.json() == {
        "phone": "553188887777", "isGroup": False, "message": "Olá", "options": {"linkPreview": False},
    }  # fmt: skip
    assert (request.method, request.url) == ("POST", BASE + "/send-message")
    content = operation("/api/{session}/send-message", "post")["requestBody"]["content"]
    schema = content["application/json"]["schema"]
    jsonschema.validate(request.json(), {**schema, "additionalProperties": False})


def test_what_is_asked_stands_in_the_published_document() -> None:
    [hidden] = read(inbound(**{"from": LID})).hidden
    asked = [wpp.check_request([ACTIVE]), wpp.state_request(), hidden.ask]
    assert [(request.method, request.url) for request in asked] == [
        ("GET", f"{BASE}/check-number-status/{ACTIVE}"),
        ("GET", BASE + "/check-connection-session"),
        ("GET", BASE + "/contact/pn-lid/103899771998284%40lid"),
    ]
    for path in ("check-number-status/{phone}", "check-connection-session", "contact/pn-lid/{pnLid}"):
        assert operation("/api/{session}/" + path, "get")
    assert wpp.check_numbers == 1


def test_every_request_carries_the_token_and_none_shows_it() -> None:
    requests = [wpp.send_request(ACTIVE, "texto", "m1"), wpp.check_request([ACTIVE]), wpp.state_request()]
    for request in requests:
        assert request.header("authorization") == f"Bearer {TOKEN}"
        shown = repr(request) + str(request) + repr(wpp)
        assert TOKEN not in shown and ACTIVE not in shown and "texto" not in shown


def test_a_session_of_any_name_is_one_segment_of_the_path() -> None:
    odd = Wppconnect(channel="zap", url="http://h", api_key="k", session="Loja Nº 1/a")
    assert odd.state_request().url == "http://h/api/Loja%20N%C2%BA%201%2Fa/check-connection-session"


@pytest.mark.parametrize(
    ("recipient", "expected"),
    [
        (ACTIVE, {"phone": ACTIVE}),
        (CHAT, {"phone": "553188887777"}),
        ("553188887777@s.whatsapp.net", {"phone": "553188887777"}),
        (LID, {"phone": "103899771998284", "isLid": True}),
    ],
)
def test_a_text_goes_to_one_telephone(recipient: str, expected: dict[str, object]) -> None:
    body = wpp.send_request(recipient, "oi", "m").json()
    assert isinstance(body, dict)
    assert {key: body[key] for key in body if key in ("phone", "isLid")} == expected


# ------------------------------------------------------------------------------------------------------------- answers


def profile(**over: object) -> HttpResponse:
    found = {
        "id": {"server": "c.us", "user": "553188887777", "_serialized": CHAT},
        "isBusiness": False,
        "canReceiveMessage": True,
        "numberExists": True,
        "status": 200,
    }
    return json_answer(200, {"status": "success", "response": {**found, **over}})


NOBODY = profile(id=ACTIVE, canReceiveMessage=False, numberExists=False, status=404)
DOWN = json_answer(404, {"response": None, "status": "Disconnected", "message": "A sessão do WhatsApp não está ativa."})
BROKEN = json_answer(500, {"status": "error", "message": "Error on check number status", "error": {}})


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        pytest.param(profile(), (True, CHAT), id="yes"),
        pytest.param(profile(id=CHAT), (True, CHAT), id="yes, a string"),
        pytest.param(profile(id={"server": "lid", "_serialized": LID}), (True, ""), id="yes, hidden"),
        pytest.param(profile(id=None), (True, ""), id="yes, nameless"),
        pytest.param(NOBODY, False, id="no"),
        pytest.param(profile(numberExists="false"), None, id="a word"),
        pytest.param(json_answer(200, {"status": "success"}), None, id="nothing"),
        pytest.param(json_answer(200, {"status": "success", "response": None}), None, id="null"),
        pytest.param(json_answer(200, [NOBODY.json()]), None, id="a list"),
        pytest.param(HttpResponse(200, b"<html>login</html>"), None, id="not JSON"),
        pytest.param(DOWN, None, id="session down"),
        pytest.param(HttpResponse(404, NOBODY.body), None, id="no under a 404"),
        pytest.param(BROKEN, None, id="500"),
        pytest.param(json_answer(401, {"error": "Check that the Session and Token are correct"}), None, id="401"),
        pytest.param(HttpResponse(429), None, id="429"),
    ],
)
def test_only_an_explicit_answer_to_a_check_says_anything(response: HttpResponse, expected: object) -> None:
    assert wpp.read_check(response, [ACTIVE]) == {ACTIVE: expected}


OBJECT = {"fromMe": True, "remote": CHAT, "id": "3EB0A1", "_serialized": f"true_{CHAT}_3EB0A1"}


def taken(id: object, to: object = CHAT) -> HttpResponse:
    sent = {"id": id, "body": "oi", "type": "chat", "t": 1717689097, "from": OURS, "to": to, "ack": 0, "fromMe": True}
    return json_answer(201, {"status": "success", "response": [sent], "mapper": "return"})


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        pytest.param(taken(f"true_{CHAT}_3EB0A1"), Accepted("3EB0A1", CHAT), id="a string"),
        pytest.param(taken(f"true_{CHAT}_3EB01DE65ACC6_out"), Accepted("3EB01DE65ACC6", CHAT), id="with _out"),
        pytest.param(taken(OBJECT), Accepted("3EB0A1", CHAT), id="an object"),
        pytest.param(taken({"_serialized": f"true_{CHAT}_3EB0A1"}), Accepted("3EB0A1", CHAT), id="serialized"),
        pytest.param(taken(OBJECT, to={"_serialized": CHAT}), Accepted("3EB0A1", CHAT), id="recipient an object"),
        pytest.param(taken(f"true_{LID}_3EB0A1", to=LID), Accepted("3EB0A1"), id="hidden"),
        pytest.param(taken(OBJECT, to=None), Accepted("3EB0A1"), id="no recipient"),
        pytest.param(
            json_answer(201, {"status": "success", "response": {"id": OBJECT, "to": CHAT}}),
            Accepted("3EB0A1", CHAT),
            id="not in a list",
        ),
        pytest.param(
            json_answer(201, {"response": [{"id": OBJECT, "ack": -1, "isSendFailure": True}]}),
            Refused("failed", rejected=False),
            id="201 and not sent",
        ),
        pytest.param(json_answer(201, {"response": []}), Uncertain("unreadable_answer"), id="201 empty list"),
        pytest.param(json_answer(201, {"response": [{}]}), Uncertain("unreadable_answer"), id="201 without id"),
        pytest.param(HttpResponse(201, b"<html>"), Uncertain("unreadable_answer"), id="201 not JSON"),
        pytest.param(
            json_answer(400, {"response": None, "status": "Connected", "message": f"O número {ACTIVE} não existe."}),
            Refused("refused", "400", rejected=False),
            id="400 does not exist: also said when its check broke",
        ),
        pytest.param(DOWN, ChannelDown("logged_out", "404"), id="session down"),
        pytest.param(
            json_answer(404, {"error": "Cannot POST"}), ChannelDown("unknown_instance", "404"), id="another 404"
        ),
        pytest.param(
            json_answer(401, {"error": "Check that the Session and Token are correct"}),
            ChannelDown("unauthorized", "401"),
            id="401",
        ),
        pytest.param(
            json_answer(500, {"status": "Error", "message": "Erro ao enviar a mensagem.", "error": {}}),
            ChannelDown("provider_down", "500"),
            id="500",
        ),
        pytest.param(HttpResponse(502, b"<html>"), ChannelDown("provider_down", "502"), id="502"),
        pytest.param(HttpResponse(429), TryLater(1.0, "throttled", "429", counted=False), id="429"),
        pytest.param(HttpResponse(413), Refused("refused", "413", rejected=False), id="413"),
    ],
)
def test_every_answer_to_a_send_has_its_meaning(response: HttpResponse, expected: AttemptResult) -> None:
    assert wpp.read_send(response) == expected


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (json_answer(200, {"status": True, "message": "Connected"}), True),
        (json_answer(200, {"status": False, "message": "Disconnected"}), False),
        (DOWN, False),
        (json_answer(401, {"error": "x"}), False),
        (json_answer(200, {"status": "CONNECTED"}), None),
        (json_answer(500, {"status": True}), None),
        (HttpResponse(200, b"<html>"), None),
        (json_answer(200, []), None),
    ],
)
def test_state_is_read_as_connected_not_or_unknown(response: HttpResponse, expected: bool | None) -> None:
    assert wpp.read_state(response) is expected


# ------------------------------------------------------------------------------------------------------------ webhooks


def event(name: str, session: str = "provedor", **data: object) -> dict[str, Any]:
    return {"event": name, "session": session, **data}


def ack(number: object, id: object = OBJECT, **more: object) -> dict[str, Any]:
    return event(
        "onack", **{"id": id, "ack": number, "t": 1717689097, "from": OURS, "to": CHAT, "type": "chat", **more}
    )


def inbound(body: object = "Olá, já paguei", **more: object) -> dict[str, Any]:
    message = {
        "id": f"false_{CHAT}_ABC1",
        "body": body,
        "type": "chat",
        "t": int(START) - 5,
        "from": CHAT,
        "to": OURS,
        "fromMe": False,
        "isGroupMsg": False,
        "sender": {"id": CHAT, "pushname": "Ana"},
    }
    return event("onmessage", **{**message, **more})


def hook(body: object, url: str = "/webhooks/zap") -> HttpRequest:
    return HttpRequest("POST", url, (), json.dumps(body).encode())


def read(body: object) -> WebhookRead:
    found = wpp.read_webhook(hook(body), START)
    assert isinstance(found, WebhookRead)
    return found


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        *((failure, Status.FAILED) for failure in range(-7, 0)),
        (0, None),
        (1, Status.SENT),
        (2, Status.DELIVERED),
        (3, Status.READ),
        (4, Status.READ),
        (5, None),
        (-8, None),
        ("2", None),
        (None, None),
        (True, None),
        (2.5, None),
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
        OBJECT,
        {**OBJECT, "remote": LID, "_serialized": f"true_{LID}_3EB0A1"},  # the middle changed since the send
        {"fromMe": True, "_serialized": f"true_{CHAT}_3EB0A1_out"},
        f"true_{CHAT}_3EB0A1",
        f"true_{CHAT}_3EB0A1_out",
        "3EB0A1",
    ],
)
def test_the_key_of_a_message_is_found_in_every_shape_of_its_id(id: object) -> None:
    assert [report.remote_id for report in read(ack(2, id)).reports] == ["3EB0A1"]


@pytest.mark.parametrize(
    "body",
    [
        ack(3, {**OBJECT, "fromMe": False}),
        ack(3, f"false_{CHAT}_3EB0A1"),
        ack(3, None),
        ack(3, {}),
        event("onack", session="other", id=OBJECT, ack=3),
        event("onmessage", id=OBJECT, ack=3),
        [ack(3)],
    ],
)
def test_an_ack_of_anything_else_is_none_of_ours(body: object) -> None:
    assert read(body).reports == ()


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (inbound("Olá, já paguei"), "Olá, já paguei"),
        (inbound(fromMe=None), "Olá, já paguei"),
        (inbound("Sim", type="buttons_response"), "Sim"),
        (inbound("Segunda via", type="list_response"), "Segunda via"),
        (inbound("/9j/4AAQ", type="image", mimetype="image/jpeg"), "[imagem]"),
        (inbound("/9j/4AAQ", type="image", caption="comprovante"), "[imagem] comprovante"),
        (inbound("JVBER", type="document", caption="boleto.pdf"), "[documento] boleto.pdf"),
        (inbound("T2dn", type="ptt"), "[áudio]"),
        (inbound("UklG", type="sticker"), "[figurinha]"),
        (inbound("/9j/4AAQ", type="location", lat=1, lng=2), "[localização]"),
        (inbound("BEGIN:VCARD", type="vcard"), "[contato]"),
        (inbound("", type="poll_creation"), "[enquete]"),
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
        {**inbound(), "event": "onselfmessage", "fromMe": True},
        {**inbound(), "event": "unreadmessages"},
        inbound(id=f"true_{CHAT}_ABC1", fromMe=None),
        inbound(**{"from": "120363025246125486@g.us", "isGroupMsg": True}),
        inbound(**{"from": "120363025246125486@g.us"}),
        inbound(isGroupMsg=True),
        inbound(**{"from": "status@broadcast"}),
        inbound(**{"from": "120363@newsletter"}),
        inbound(**{"from": None}),
        inbound(""),
        inbound(None),
        inbound("x", type="e2e_notification"),
        inbound("x", type="protocol"),
        inbound("x", type="ciphertext"),
        inbound("👍", type="reaction"),
        inbound("x", type=None),
        inbound(session="other"),
    ],
)
def test_what_nobody_wrote_to_us_is_dropped(body: object) -> None:
    assert (read(body).inbound, read(body).hidden) == ((), ())


@pytest.mark.parametrize(
    ("response", "msisdn"),
    [
        (
            json_answer(
                200,
                {
                    "lid": {"id": "103899771998284", "server": "lid", "_serialized": LID},
                    "phoneNumber": {"id": "553188887777", "server": "c.us", "_serialized": CHAT},
                    "contact": {"name": "Ana"},
                },
            ),
            "553188887777",
        ),
        (json_answer(200, {"lid": {"_serialized": LID}}), ""),
        (DOWN, None),
        (json_answer(500, {"status": "error"}), None),
        (json_answer(200, None), None),
        (HttpResponse(200, b"<html>"), None),
    ],
)
def test_a_hidden_number_is_asked_for(response: HttpResponse, msisdn: str | None) -> None:
    found = read(inbound(**{"from": LID}))
    [hidden] = found.hidden
    assert found.inbound == () and (hidden.text.msisdn, hidden.text.text) == ("", "Olá, já paguei")
    assert hidden.read(response) == msisdn


@pytest.mark.parametrize(
    ("body", "connection", "unsure"),
    [
        (event("status-find", status="inChat"), True, False),
        (event("status-find", status="notLogged"), False, False),
        (event("status-find", status="disconnectedMobile"), False, False),
        (event("status-find", status="desconnectedMobile"), False, False),
        (event("status-find", status="serverClose"), None, True),
        (event("status-find", status="browserClose"), None, True),
        (event("status-find", status="somethingOfTomorrow"), None, False),
        (event("status-find", status=None), None, False),
        (event("qrcode", qrcode="iVBOR", urlcode="2@x"), False, False),
        (event("status-find", session="other", status="notLogged"), None, False),
        (event("incomingcall", id="x"), None, False),
    ],
)
def test_session_states_tell_a_log_out_from_a_broken_line(body: object, connection: bool | None, unsure: bool) -> None:
    assert (read(body).connection, read(body).unsure) == (connection, unsure)


# --------------------------------------------------------------------------------------------------------------- proof


@pytest.mark.parametrize("url", ["/webhooks/zap?key=hush%2B%2F%26%C3%A3", "/webhooks/zap/x?a=1&key=hush%2B/%26%C3%A3"])
def test_a_webhook_with_the_key_in_its_url_is_believed(url: str) -> None:
    found = guarded.read_webhook(hook(ack(3), url), START)
    assert isinstance(found, WebhookRead) and len(found.reports) == 1


@pytest.mark.parametrize(
    "query", ["", "?key=", "?key=hush", "?key=%FF", "?Key=hush%2B%2F%26%C3%A3", "?key=no&key=hush%2B%2F%26%C3%A3"]
)
def test_any_other_key_is_refused(query: str) -> None:
    assert isinstance(guarded.read_webhook(hook(ack(3), "/webhooks/zap" + query), START), BadProof)


def test_without_a_secret_unsigned_webhooks_are_accepted() -> None:
    assert len(read(ack(3)).reports) == 1


# ------------------------------------------------------------------------------------------------------------ nonsense

KEYS = [
    "event", "session", "id", "_serialized", "from", "to", "fromMe", "isGroupMsg", "ack", "body", "type", "caption",
    "t", "status", "response", "message", "numberExists", "phoneNumber",
]  # fmt: skip
WORDS = ["onack", "onmessage", "status-find", "provedor", "chat", "image", CHAT, LID, f"true_{CHAT}_3EB0", "inChat"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=20,
)


@given(JSON, st.sampled_from(["onack", "onmessage", "status-find", "qrcode"]))
def test_nothing_raises_whatever_comes(value: object, name: str) -> None:
    spread = {**value, "event": name, "session": "provedor"} if isinstance(value, dict) else value
    for body in (value, spread, [value], {**ack(2), "id": value}, inbound(value), {**inbound(), "from": value}):
        assert isinstance(wpp.read_webhook(hook(body), START), WebhookRead)
    for code in (200, 201, 404, 500):
        answer = json_answer(code, value)
        wpp.read_send(answer)
        wpp.read_check(answer, [ACTIVE])
        wpp.read_state(answer)
        wpp.read_number(answer)


@given(st.binary(max_size=60))
def test_octets_that_are_not_json_say_nothing(body: bytes) -> None:
    assert wpp.read_webhook(HttpRequest("POST", "/webhooks/zap", (), b"\xff" + body), START) == WebhookRead()
