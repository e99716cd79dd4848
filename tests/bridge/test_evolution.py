"""Evolution API: our requests against its published document, its recorded answers against what they mean."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.provider import BadProof, HttpRequest, HttpResponse, WebhookRead
from bridge.providers.evolution import Evolution
from gateway.messages.outcome import (
    Accepted,
    AttemptResult,
    ChannelDown,
    NoAccount,
    Refused,
    Status,
    TryLater,
    Uncertain,
)
from tests.bridge.documents import document
from tests.bridge.fakes import START, json_answer

ACTIVE, OTHER = "5531988887777", "5511999990000"
JID = "553188887777@s.whatsapp.net"

evolution = Evolution(channel="zap", url="http://127.0.0.1:8080", api_key="k3y", instance="main")
signed = Evolution(channel="zap", url="http://127.0.0.1:8080", api_key="k3y", instance="main", webhook_secret="hush")


# ------------------------------------------------------------------------------------------------------------ requests


def body_schema(path: str) -> Any:
    operation = document("evolution")["paths"][path]["post"]
    return operation["requestBody"]["content"]["application/json"]["schema"]


def test_a_send_is_what_the_published_document_asks_for() -> None:
    request = evolution.send_request(JID, "Olá", "m1")
    jsonschema.validate(request.json(), body_schema("/message/sendText/{instance}"))
    assert request.json() == {"number": JID, "text": "Olá", "linkPreview": False}
    assert (request.method, request.url) == ("POST", "http://127.0.0.1:8080/message/sendText/main")


def test_a_check_is_what_the_published_document_asks_for() -> None:
    request = evolution.check_request([ACTIVE, OTHER])
    jsonschema.validate(request.json(), body_schema("/chat/whatsappNumbers/{instance}"))
    assert request.json() == {"numbers": [ACTIVE, OTHER]}
    assert (request.method, request.url) == ("POST", "http://127.0.0.1:8080/chat/whatsappNumbers/main")


def test_every_request_carries_the_key_and_none_shows_it() -> None:
    requests = [evolution.send_request(ACTIVE, "texto", "m1"), evolution.check_request([ACTIVE])]
    for request in [*requests, evolution.state_request()]:
        assert request.header("ApiKey") == "k3y"
        shown = repr(request) + str(request) + repr(evolution)
        assert "k3y" not in shown and ACTIVE not in shown and "texto" not in shown


def test_an_instance_of_any_name_is_one_segment_of_the_path() -> None:
    odd = Evolution(channel="zap", url="http://h", api_key="k", instance="Loja Nº 1/a")
    assert odd.state_request().url == "http://h/instance/connectionState/Loja%20N%C2%BA%201%2Fa"


def test_an_identity_in_another_librarys_words_is_translated() -> None:
    assert evolution.send_request("553188887777@c.us", "oi", "m") == evolution.send_request(JID, "oi", "m")


# ------------------------------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        pytest.param(
            json_answer(
                200,
                [  # in another order than asked, with keys nobody documents
                    {"jid": "5511999990000@s.whatsapp.net", "exists": False, "number": OTHER},
                    {"jid": JID, "exists": True, "number": ACTIVE, "name": "Ana", "lid": "123@lid"},
                ],
            ),
            {ACTIVE: (True, JID), OTHER: False},
            id="both answered",
        ),
        pytest.param(
            json_answer(200, [{"jid": JID, "exists": True, "number": ACTIVE}]),
            {ACTIVE: (True, JID), OTHER: None},
            id="one left out",
        ),
        pytest.param(
            json_answer(200, [{"jid": "?", "exists": True, "number": "+" + ACTIVE}]),
            {ACTIVE: (True, ""), OTHER: None},
            id="an identity that is none",
        ),
        pytest.param(
            json_answer(200, [{"jid": JID, "exists": "no", "number": ACTIVE}, 7, None]),
            {ACTIVE: None, OTHER: None},
            id="nonsense inside",
        ),
        pytest.param(
            json_answer(
                400, {"isBoom": True, "output": {"statusCode": 428, "payload": {"message": "Connection Closed"}}}
            ),
            {ACTIVE: None, OTHER: None},
            id="raw exception",
        ),
        pytest.param(
            json_answer(
                400,
                {
                    "status": 400,
                    "error": "Bad Request",
                    "response": {"message": ["Method not available on WhatsApp Business API"]},
                },
            ),
            {ACTIVE: None, OTHER: None},
            id="business instance",
        ),
        pytest.param(
            json_answer(400, [{"jid": JID, "exists": False, "number": ACTIVE}]),
            {ACTIVE: None, OTHER: None},
            id="exists false under a 400",
        ),
        pytest.param(json_answer(429, {"message": "Too Many Requests"}), {ACTIVE: None, OTHER: None}, id="429"),
        pytest.param(HttpResponse(200, b"<html>login</html>"), {ACTIVE: None, OTHER: None}, id="not JSON"),
        pytest.param(json_answer(200, {"message": "success"}), {ACTIVE: None, OTHER: None}, id="an object"),
        pytest.param(json_answer(401, {"status": 401, "error": "Unauthorized"}), {ACTIVE: None, OTHER: None}, id="401"),
        pytest.param(HttpResponse(502), {ACTIVE: None, OTHER: None}, id="502"),
    ],
)
def test_only_an_explicit_answer_to_a_check_says_anything(response: HttpResponse, expected: dict[str, Any]) -> None:
    assert evolution.read_check(response, [ACTIVE, OTHER]) == expected


def error(status: int, name: str, said: object) -> HttpResponse:
    return json_answer(status, {"status": status, "error": name, "response": {"message": said}})


TAKEN = {
    "key": {"remoteJid": JID, "fromMe": True, "id": "3EB0A1"},
    "message": {"conversation": "oi"},
    "messageType": "conversation",
    "messageTimestamp": "1717689097",
    "status": "PENDING",
    "instanceId": "b5",
}


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        pytest.param(json_answer(201, TAKEN), Accepted("3EB0A1", JID), id="201"),
        pytest.param(json_answer(200, {**TAKEN, "messageTimestamp": 1717689097}), Accepted("3EB0A1", JID), id="200"),
        pytest.param(json_answer(201, {"key": {"id": "3EB0A1"}}), Accepted("3EB0A1"), id="201 without identity"),
        pytest.param(json_answer(201, {**TAKEN, "status": "ERROR"}), Refused("failed", rejected=False), id="not sent"),
        pytest.param(json_answer(201, {"key": {"id": f"true_{JID}_3EB0A1"}}), Accepted("3EB0A1"), id="long id"),
        pytest.param(
            error(400, "Bad Request", [{"jid": JID, "exists": False, "number": ACTIVE}]),
            NoAccount("send", "400"),
            id="400 exists false",
        ),
        pytest.param(
            error(400, "Bad Request", [{"jid": JID, "exists": True, "number": ACTIVE}]),
            Refused("refused", "400", rejected=False),
            id="400 exists true",
        ),
        pytest.param(
            error(400, "Bad Request", ["Error: send failed (7)"]),
            Refused("refused", "400", rejected=False),
            id="400 with words",
        ),
        pytest.param(
            error(400, "Bad Request", [['instance requires property "text"']]),
            Refused("refused", "400", rejected=False),
            id="400 schema",
        ),
        pytest.param(HttpResponse(400, b""), Refused("refused", "400", rejected=False), id="400 empty"),
        pytest.param(
            error(400, "Bad Request", ["Error: Connection Closed"]), ChannelDown("logged_out", "400"), id="400 closed"
        ),
        pytest.param(
            error(500, "Internal Server Error", ["Connection Closed"]),
            ChannelDown("logged_out", "500"),
            id="500 closed",
        ),
        pytest.param(
            json_answer(500, {"isBoom": True, "output": {"payload": {"message": "Connection Closed"}}}),
            ChannelDown("logged_out", "500"),
            id="500 raw closed",
        ),
        pytest.param(
            error(500, "Internal Server Error", ["Internal server error"]),
            ChannelDown("provider_down", "500"),
            id="500",
        ),
        pytest.param(HttpResponse(502, b"<html>"), ChannelDown("provider_down", "502"), id="502"),
        pytest.param(HttpResponse(503), ChannelDown("provider_down", "503"), id="503"),
        pytest.param(error(401, "Unauthorized", "Unauthorized"), ChannelDown("unauthorized", "401"), id="401"),
        pytest.param(
            error(404, "Not Found", ['The "main" instance does not exist']),
            ChannelDown("unknown_instance", "404"),
            id="404",
        ),
        pytest.param(
            json_answer(429, {"message": "Too Many Requests"}),
            TryLater(1.0, "throttled", "429", counted=False),
            id="429",
        ),
        pytest.param(
            HttpResponse(429, b"", (("Retry-After", "7"),)),
            TryLater(7.0, "throttled", "429", counted=False),
            id="429 with time",
        ),
        pytest.param(
            HttpResponse(429, b"", (("Retry-After", "soon"),)),
            TryLater(1.0, "throttled", "429", counted=False),
            id="429 with words",
        ),
        pytest.param(
            error(500, "Internal Server Error", ["Error: rate-overlimit"]),
            TryLater(1.0, "throttled", "500", counted=False),
            id="429 in a 500",
        ),
        pytest.param(
            error(400, "Bad Request", ["Error: rate-overlimit"]),
            TryLater(1.0, "throttled", "400", counted=False),
            id="429 in a 400",
        ),
        pytest.param(HttpResponse(413), Refused("refused", "413", rejected=False), id="413"),
        pytest.param(HttpResponse(201, b"<html>"), Uncertain("unreadable_answer"), id="201 not JSON"),
        pytest.param(json_answer(201, {"key": {}}), Uncertain("unreadable_answer"), id="201 without id"),
        pytest.param(
            json_answer(201, {"error": {"code": 131026, "message": "x"}}),
            NoAccount("send", "131026"),
            id="Meta: undeliverable",
        ),
        pytest.param(
            json_answer(201, {"error": {"code": 130429}}),
            TryLater(2.0, "throttled", "130429", counted=False),
            id="Meta: rate",
        ),
        pytest.param(
            json_answer(201, {"error": {"code": 132001}}),
            Refused("template", "132001", rejected=False),
            id="Meta: template",
        ),
        pytest.param(
            json_answer(201, {"error": {"code": 131009, "message": "Parameter value is not valid: 'to'"}}),
            NoAccount("send", "131009"),
            id="Meta: a number that is none",
        ),
        pytest.param(
            json_answer(201, {"error": {"code": 131031, "message": None}}),
            ChannelDown("account_blocked", "131031"),
            id="Meta: account locked",
        ),
        pytest.param(
            json_answer(201, {"error": {"code": 999999}}),
            Refused("unknown_code", "999999", rejected=False),
            id="Meta: in no table",
        ),
        pytest.param(json_answer(201, {"error": "x"}), Refused("refused", rejected=False), id="Meta: no code"),
    ],
)
def test_every_answer_to_a_send_has_its_meaning(response: HttpResponse, expected: AttemptResult) -> None:
    assert evolution.read_send(response) == expected


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (json_answer(200, {"instance": {"instanceName": "main", "state": "open"}}), True),
        (json_answer(200, {"instance": {"instanceName": "main", "state": "connecting"}}), False),
        (json_answer(200, {"instance": {"instanceName": "main", "state": "close"}}), False),
        (error(404, "Not Found", ["x"]), False),
        (error(401, "Unauthorized", "x"), False),
        (HttpResponse(500), None),
        (HttpResponse(200, b"<html>"), None),
        (json_answer(200, []), None),
    ],
)
def test_state_is_read_as_connected_not_or_unknown(response: HttpResponse, expected: bool | None) -> None:
    assert evolution.read_state(response) is expected


# ------------------------------------------------------------------------------------------------------------ webhooks


def hook(body: object, url: str = "/webhooks/zap", headers: tuple[tuple[str, str], ...] = ()) -> HttpRequest:
    return HttpRequest("POST", url, headers, json.dumps(body).encode())


def envelope(event: str, data: object, instance: str = "main") -> dict[str, Any]:
    return {
        "event": event,
        "instance": instance,
        "data": data,
        "date_time": "2026-01-01T10:00:00.000Z",
        "sender": "5511900000000@s.whatsapp.net",
        "server_url": "http://h",
        "apikey": "k3y",
    }


def update(status: object, id: str = "3EB0A1", **more: object) -> dict[str, Any]:
    return envelope("messages.update", {"keyId": id, "remoteJid": JID, "fromMe": True, "status": status, **more})


def upsert(message: object, **key: object) -> dict[str, Any]:
    return envelope(
        "messages.upsert",
        {
            "key": {"remoteJid": JID, "fromMe": False, "id": "ABC1", **key},
            "pushName": "Ana",
            "message": message,
            "messageType": "conversation",
            "messageTimestamp": int(START) - 5,
        },
    )


def read(body: object, **more: Any) -> WebhookRead:
    found = evolution.read_webhook(hook(body, **more), START)
    assert isinstance(found, WebhookRead)
    return found


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("SERVER_ACK", Status.SENT),
        ("DELIVERY_ACK", Status.DELIVERED),
        ("READ", Status.READ),
        ("PLAYED", Status.READ),
        ("ERROR", Status.FAILED),
        (0, Status.FAILED),
        (3, Status.DELIVERED),
        ("PENDING", None),
        ("DELETED", None),
        ("NEWS", None),
        (None, None),
        ({}, None),
        (-1, None),
        (99, None),
    ],
)
def test_a_status_is_reported_under_its_key_id(status: object, expected: Status | None) -> None:
    reports = read(update(status, messageId="cm1")).reports
    assert [(report.channel, report.remote_id, report.status, report.at, report.no_account) for report in reports] == (
        [] if expected is None else [("zap", "3EB0A1", expected, START, False)]
    )


def test_a_status_of_somebody_elses_message_is_none_of_ours() -> None:
    assert read(update("READ", fromMe=False)).reports == ()


def test_several_updates_in_one_body_are_all_read() -> None:
    data = [update("SERVER_ACK")["data"], update("READ", "3EB0A2")["data"]]
    assert [r.remote_id for r in read(envelope("messages.update", data)).reports] == ["3EB0A1", "3EB0A2"]
    assert len(read([update("READ"), "x", None, update("READ", "b")]).reports) == 2
    older = {"key": {"id": "3EB0A1", "fromMe": True, "remoteJid": JID}, "update": {"status": 3}}
    assert [r.status for r in read(envelope("MESSAGES_UPDATE", older)).reports] == [Status.DELIVERED]


@pytest.mark.parametrize("url", ["/webhooks/zap/messages-update", "/webhooks/zap/messages-update?x=1"])
def test_with_by_events_the_url_may_name_the_event(url: str) -> None:
    body = update("READ")
    del body["event"]
    assert len(read(body, url=url).reports) == 1


def test_events_of_another_instance_are_passed_over() -> None:
    assert read(envelope("messages.update", update("READ")["data"], instance="other")) == WebhookRead()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"conversation": "Olá, já paguei"}, "Olá, já paguei"),
        ({"extendedTextMessage": {"text": "veja https://x"}, "messageContextInfo": {"a": 1}}, "veja https://x"),
        ({"buttonsResponseMessage": {"selectedButtonId": "1", "selectedDisplayText": "Sim"}}, "Sim"),
        ({"templateButtonReplyMessage": {"selectedId": "1", "selectedDisplayText": "Não"}}, "Não"),
        ({"listResponseMessage": {"title": "Segunda via", "singleSelectReply": {"selectedRowId": "2"}}}, "Segunda via"),
        ({"interactiveResponseMessage": {"body": {"text": "Pagar"}}}, "Pagar"),
        ({"ephemeralMessage": {"message": {"extendedTextMessage": {"text": "some"}}}}, "some"),
        ({"viewOnceMessageV2": {"message": {"imageMessage": {"url": "x"}}}}, "[imagem]"),
        ({"associatedChildMessage": {"message": {"imageMessage": {"url": "x"}}}}, "[imagem]"),
        ({"imageMessage": {"caption": "comprovante"}}, "[imagem] comprovante"),
        ({"documentWithCaptionMessage": {"message": {"documentMessage": {"caption": "boleto"}}}}, "[documento] boleto"),
        ({"audioMessage": {"seconds": 3}}, "[áudio]"),
        ({"stickerMessage": {}}, "[figurinha]"),
        ({"locationMessage": {"degreesLatitude": -23.5}}, "[localização]"),
        ({"somethingOfTomorrow": {"a": 1}}, "[mensagem]"),
    ],
)
def test_what_a_person_wrote_becomes_text(content: object, text: str) -> None:
    [inbound] = read(upsert(content)).inbound
    assert (inbound.text, inbound.msisdn, inbound.remote_id, inbound.to) == (text, "553188887777", "ABC1", "")
    assert inbound.at == START - 5


@pytest.mark.parametrize(
    "body",
    [
        upsert({"conversation": "x"}, fromMe=True),
        upsert({"conversation": "x"}, remoteJid="120363025246125486@g.us", participant=JID),
        upsert({"conversation": "x"}, remoteJid="120363025246125486@g.us", participant=JID, senderLid="99@lid"),
        upsert({"conversation": "x"}, remoteJid="status@broadcast", participant=JID),
        upsert({"conversation": "x"}, remoteJid="99@lid"),
        upsert({"conversation": "x"}, remoteJid="120363@newsletter"),
        upsert({"reactionMessage": {"text": "👍"}}),
        upsert({"protocolMessage": {"type": 0}}),
        upsert({"albumMessage": {"expectedImageCount": 2}}),
        upsert({"pinInChatMessage": {"type": 1}}),
        upsert({"conversation": ""}),
        upsert({}),
        upsert(None),
        upsert("x"),
        envelope("send.message", {"key": {"remoteJid": JID, "fromMe": True, "id": "3EB0"}}),
    ],
)
def test_what_nobody_wrote_to_us_is_dropped(body: object) -> None:
    assert read(body).inbound == ()
    if "@g.us" in json.dumps(body):
        assert read(body).hidden == ()


@pytest.mark.parametrize("where", ["remoteJidAlt", "senderPn"])
def test_a_hidden_number_is_taken_from_beside_it(where: str) -> None:
    [inbound] = read(
        upsert({"conversation": "x"}, remoteJid="99@lid", **{where: "553188887777:4@s.whatsapp.net"})
    ).inbound
    assert inbound.msisdn == "553188887777"


@pytest.mark.parametrize("written", [str(int(START) - 9), int(START) - 9])
def test_a_timestamp_may_be_a_number_or_a_string(written: object) -> None:
    body = upsert({"conversation": "x"})
    body["data"]["messageTimestamp"] = written
    assert read(body).inbound[0].at == START - 9


@pytest.mark.parametrize("written", [None, "soon", START + 99, {"low": 1}, -4, [], "9" * 40])
def test_a_timestamp_that_cannot_be_is_replaced_by_our_own(written: object) -> None:
    body = upsert({"conversation": "x"})
    body["data"]["messageTimestamp"] = written
    assert read(body).inbound[0].at == START


@pytest.mark.parametrize(
    ("state", "reason", "connection", "unsure"),
    [
        ("open", 200, True, False),
        ("close", 401, False, False),
        ("close", 403, False, False),
        ("close", 515, None, True),
        ("close", 428, None, True),
        ("close", None, None, True),
        ("close", [401], None, True),
        ("connecting", 200, None, False),
    ],
)
def test_connection_updates_tell_a_log_out_from_a_broken_line(
    state: str, reason: object, connection: bool | None, unsure: bool
) -> None:
    found = read(envelope("connection.update", {"instance": "main", "state": state, "statusReason": reason}))
    assert (found.connection, found.unsure) == (connection, unsure)


# --------------------------------------------------------------------------------------------------------------- proof


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def token(claims: object, key: str = "hush", header: object = None) -> str:
    head = encoded(header or {"alg": "HS256", "typ": "JWT"}) + "." + encoded(claims)
    proof = hmac.new(key.encode(), head.encode(), hashlib.sha256).digest()
    return head + "." + base64.urlsafe_b64encode(proof).rstrip(b"=").decode()


GOOD = {"app": "evolution", "action": "webhook", "iat": int(START), "exp": int(START) + 600}


def test_a_token_made_with_the_key_is_believed() -> None:
    request = hook(update("READ"), headers=(("authorization", "Bearer " + token(GOOD)),))
    found = signed.read_webhook(request, START)
    assert isinstance(found, WebhookRead) and len(found.reports) == 1


@pytest.mark.parametrize("header", ["Bearer hush", "bearer  hush "])
def test_the_secret_itself_is_believed_where_the_server_sends_it_as_its_header(header: str) -> None:
    found = signed.read_webhook(hook(update("READ"), headers=(("Authorization", header),)), START)
    assert isinstance(found, WebhookRead) and len(found.reports) == 1


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "hush",
        "Basic hush",
        "Bearer hus",
        "Bearer hush.hush",
        "Bearer \udc80",
        "Bearer x",
        "Bearer a.b.c",
        "Bearer ã.b.c",
        "Basic " + token(GOOD),
        "Bearer " + token(GOOD, key="other"),
        "Bearer " + token({**GOOD, "exp": START - 1}),
        "Bearer " + token({**GOOD, "exp": None}),
        "Bearer " + token({**GOOD, "exp": True}),
        "Bearer " + token([1]),
        "Bearer " + token({"app": "evolution"}),
        "Bearer " + token(GOOD, header={"alg": "none"}),
        "Bearer " + token(GOOD, header={"alg": "HS512"}),
        "Bearer " + token(GOOD)[:-2],
        "Bearer " + token(GOOD).rpartition(".")[0] + ".",
    ],
)
def test_any_other_token_is_refused(header: str | None) -> None:
    headers = () if header is None else (("Authorization", header),)
    assert isinstance(signed.read_webhook(hook(update("READ"), headers=headers), START), BadProof)


def test_without_a_secret_unsigned_webhooks_are_accepted() -> None:
    assert len(read(update("READ")).reports) == 1


# ------------------------------------------------------------------------------------------------------------ nonsense

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(["messages.update", "messages.upsert", "connection.update", "READ", "main", JID, "close"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "event",
                    "data",
                    "key",
                    "id",
                    "keyId",
                    "status",
                    "instance",
                    "message",
                    "remoteJid",
                    "update",
                    "messages",
                    "state",
                    "statusReason",
                    "conversation",
                    "ephemeralMessage",
                    "imageMessage",
                    "messageTimestamp",
                    "response",
                    "error",
                    "code",
                    "exists",
                    "number",
                    "jid",
                    "fromMe",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(JSON, st.sampled_from(["messages.update", "messages.upsert", "connection.update"]))
def test_nothing_raises_whatever_comes(value: object, event: str) -> None:
    for body in (value, envelope(event, value), [value]):
        assert isinstance(evolution.read_webhook(hook(body), START), WebhookRead)
    for status in (200, 201, 400, 500):
        answer = json_answer(status, value)
        evolution.read_send(answer)
        evolution.read_check(answer, [ACTIVE])
        evolution.read_state(answer)


@given(st.binary(max_size=60))
def test_octets_that_are_not_json_say_nothing(body: bytes) -> None:
    found = evolution.read_webhook(HttpRequest("POST", "/webhooks/zap", (), b"\xff" + body), START)
    assert found == WebhookRead()


def test_statuses_mean_the_same_in_any_order_and_number() -> None:
    """R24: what is read from a status depends on nothing but the status."""
    rnd, told = random.Random(24), ("SERVER_ACK", "DELIVERY_ACK", "READ")
    ranks = {Status.SENT: 1, Status.DELIVERED: 2, Status.READ: 3}
    bodies = [update(s, f"3EB0{n:04d}") for n in range(2_000) for s in told[: n % 3 + 1]]
    shuffled = bodies + rnd.sample(bodies, len(bodies) // 2)
    rnd.shuffle(shuffled)

    def highest(run: list[dict[str, Any]]) -> dict[str, int]:
        states: dict[str, int] = {}
        for index in range(0, len(run), 7):
            for report in read(run[index : index + 7]).reports:
                states[report.remote_id] = max(states.get(report.remote_id, 0), ranks[report.status])
        return states

    assert highest(shuffled) == highest(bodies)
