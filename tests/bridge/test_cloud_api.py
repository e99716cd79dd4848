"""Cloud API: our requests against Meta's published document, its answers and webhooks against what they mean."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.provider import BadProof, HttpRequest, HttpResponse, Official, Provider, TemplateNews, WebhookRead
from bridge.providers import cloud_errors, provider_of
from bridge.providers.cloud_api import CloudApi
from bridge.providers.cloud_inbound import text_in
from bridge.templates import DirectText, Form, FreeText, TemplateText
from config.schema import BridgeSettings
from gateway.messages.outcome import (
    Accepted,
    AttemptResult,
    ChannelDown,
    Inbound,
    NoAccount,
    Refused,
    Report,
    Status,
    TryLater,
    Uncertain,
)
from tests.bridge.documents import document, hold
from tests.bridge.fakes import START, json_answer

PERSON, WA_ID = "5531988887777", "553188887777"

cloud = CloudApi(
    channel="zap",
    url="https://graph.facebook.com/v25.0",
    api_key="t0ken",
    phone_number_id="106540352242922",
    app_secret="secret",
    verify_token="v3rify",
)
resold = CloudApi(
    channel="zap",
    url="https://waba-v2.360dialog.io",
    api_key="t0ken",
    phone_number_id="106540352242922",
    webhook_secret="hush",
    resold=True,
)
FREE = FreeText("Olá, tudo bem?")
DIRECT = DirectText("Ana, seu boleto vence em 10/12.", 600.0)
NUMBERED = TemplateText("fatura", "pt_BR", (("", "Ana"), ("", "R$ 120,00")), 600.0)
NAMED = TemplateText("fatura", "pt_BR", (("nome", "Ana"), ("valor", "R$ 120,00")))
BARE = TemplateText("oi", "pt_BR")
CODE = TemplateText("codigo", "pt_BR", (("", "491827"),), 600.0, "authentication")


# ------------------------------------------------------------------------------------------------------------ requests


def components() -> Any:
    return document("cloud_api")["components"]


def check(value: object, schema: str) -> None:
    """Hold a value against a named schema of the document."""
    hold("cloud_api", value, {"$ref": f"#/components/schemas/{schema}"})


@pytest.mark.parametrize("form", [FREE, DIRECT, NUMBERED, NAMED, BARE, CODE])
def test_a_send_is_what_the_published_document_asks_for(form: Form) -> None:
    body: Any = cloud.form_request(PERSON, form, "m1").json()
    check(body, "BaseMessageProperties")
    if body["type"] == "template":
        check(body["template"], "TemplateObject")
        for component in body["template"].get("components", []):
            check(component, {"body": "BodyComponent", "button": "ButtonComponent"}[component["type"]])
            for parameter in component["parameters"]:
                check(parameter, "TextParameter")
    else:
        text = components()["schemas"]["TextMessage"]["allOf"][1]["properties"]["text"]
        jsonschema.validate(body["text"], text)


def test_a_text_goes_in_full_with_the_plus_and_our_own_id() -> None:
    request = cloud.form_request(PERSON, FREE, "m1")
    assert (request.method, request.url) == ("POST", "https://graph.facebook.com/v25.0/106540352242922/messages")
    assert request.header("authorization") == "Bearer t0ken"
    assert request.json() == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": f"+{PERSON}",
        "biz_opaque_callback_data": "m1",
        "type": "text",
        "text": {"body": "Olá, tudo bem?", "preview_url": False},
    }
    assert cloud.send_request(PERSON, FREE.text, "m1") == request


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (
            NUMBERED,
            {
                "name": "fatura",
                "language": {"code": "pt_BR"},
                "components": [
                    {
                        "type": "body",
                        "parameters": [{"type": "text", "text": "Ana"}, {"type": "text", "text": "R$ 120,00"}],
                    }
                ],
            },
        ),
        (
            NAMED,
            {
                "name": "fatura",
                "language": {"code": "pt_BR"},
                "components": [
                    {
                        "type": "body",
                        "parameters": [
                            {"type": "text", "parameter_name": "nome", "text": "Ana"},
                            {"type": "text", "parameter_name": "valor", "text": "R$ 120,00"},
                        ],
                    }
                ],
            },
        ),
        (BARE, {"name": "oi", "language": {"code": "pt_BR"}}),
        (
            CODE,
            {
                "name": "codigo",
                "language": {"code": "pt_BR"},
                "components": [
                    {"type": "body", "parameters": [{"type": "text", "text": "491827"}]},
                    {
                        "type": "button",
                        "sub_type": "url",
                        "index": "0",
                        "parameters": [{"type": "text", "text": "491827"}],
                    },
                ],
            },
        ),
    ],
)
def test_a_template_has_numbered_named_or_no_parameters(form: Form, expected: object) -> None:
    body: Any = cloud.form_request(PERSON, form, "m1").json()
    assert (body["type"], body["template"]) == ("template", expected)
    assert "ttl_seconds" not in body  # the service takes it with a Direct Send only


def test_a_direct_send_says_its_category_and_how_long_it_lives() -> None:
    body: Any = cloud.form_request(PERSON, DIRECT, "m1").json()
    assert (body["type"], body["category"], body["ttl_seconds"]) == ("text", "utility", 600)


def test_360dialog_gets_the_same_bodies_at_another_address() -> None:
    request = resold.form_request(PERSON, NUMBERED, "m1")
    assert request.json() == cloud.form_request(PERSON, NUMBERED, "m1").json()
    assert (request.method, request.url) == ("POST", "https://waba-v2.360dialog.io/messages")
    assert (request.header("d360-api-key"), request.header("authorization")) == ("t0ken", "")
    assert resold.state_request() is None


def test_a_configured_channel_knows_whose_service_it_speaks_to() -> None:
    values = {"name": "zap", "provider": "cloud_api", "url": resold.url, "api_key": "t0ken", "webhook_secret": "hush"}
    assert provider_of(BridgeSettings.model_validate({**values, "instance": "106540352242922"})) == resold
    assert isinstance(cloud, Official)


def test_nothing_shows_a_token_a_number_or_a_text() -> None:
    for provider in (cloud, resold):
        request = provider.form_request(PERSON, FREE, "m1")
        shown = repr(request) + str(request) + repr(provider)
        assert not any(word in shown for word in ("t0ken", "secret", "hush", PERSON, "tudo bem"))


def test_nobody_can_be_asked() -> None:
    service: Provider = cloud
    assert (service.check_numbers, service.check_request([PERSON])) == (0, None)
    assert cloud.read_check(json_answer(200, {}), [PERSON]) == {PERSON: None}


# ------------------------------------------------------------------------------------------------------------- answers


def error(code: int, details: str = "", status: int = 400) -> HttpResponse:
    return json_answer(
        status,
        {
            "error": {
                "message": f"(#{code}) Something",
                "type": "OAuthException",
                "code": code,
                "error_data": {"messaging_product": "whatsapp", "details": details},
                "fbtrace_id": "A1",
            }
        },
    )


def taken(**more: object) -> dict[str, object]:
    return {
        "messaging_product": "whatsapp",
        "contacts": [{"input": f"+{PERSON}", "wa_id": WA_ID}],
        "messages": [{"id": "wamid.HBgM", **more}],
    }


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (json_answer(200, taken()), Accepted("wamid.HBgM")),
        (json_answer(200, taken(message_status="accepted")), Accepted("wamid.HBgM")),
        (json_answer(200, taken(message_status="held_for_quality_assessment")), Accepted("wamid.HBgM", held=True)),
        (json_answer(200, taken(message_status="paused")), Accepted("wamid.HBgM", held=True)),
        (json_answer(200, {"messages": []}), Uncertain("unreadable_answer")),
        (HttpResponse(200, b"<html>"), Uncertain("unreadable_answer")),
        (HttpResponse(500, b"<html>"), ChannelDown("provider_down", "500")),
        (HttpResponse(502), ChannelDown("provider_down", "502")),
        (HttpResponse(429), TryLater(2.0, "throttled", "429", counted=False)),
        (HttpResponse(429, b"", (("Retry-After", "7"),)), TryLater(7.0, "throttled", "429", counted=False)),
        (HttpResponse(401), ChannelDown("unauthorized", "401")),
        (json_answer(403, {"meta": {"success": False}}), ChannelDown("unauthorized", "403")),
        (HttpResponse(404), ChannelDown("unknown_instance", "404")),
        (HttpResponse(400, b"rubbish"), Refused("refused", "400", rejected=False)),
        (json_answer(400, {"error": {"code": "190"}}), Refused("refused", "400", rejected=False)),
        # The code counts, not the HTTP status.
        (error(130429, status=500), TryLater(2.0, "throttled", "130429", counted=False)),
        (error(131026, status=200), NoAccount("send", "131026")),
    ],
)
def test_what_an_answer_to_a_send_means(response: HttpResponse, expected: AttemptResult) -> None:
    assert cloud.read_send(response) == expected


def refused(reason: str = "refused") -> Refused:
    return Refused(reason, rejected=False)


TEMPLATE, CONFIGURATION = refused("template"), refused("configuration")
# Every row of Meta's list that concerns sending.
MEANT: dict[AttemptResult, tuple[int, ...]] = {
    NoAccount("send"): (130403, 131021, 131026),
    refused(): (130472, 131049, 131050, 131052, 131053, 131060, 132005, 132068, 132069, 137000, 138000, 138999),
    refused("unknown_code"): (999999, 5),
    refused("window_closed"): (131047,),
    TEMPLATE: (131055, 131063, 132000, 132001, 132007, 132008, 132012, 134100, 134101, 134102),
    refused("template_paused"): (132015, 132016),
    refused("direct_send_off"): (139200,),
    CONFIGURATION: (
        *(100, 130497, 131008, 131009, 131030, 131051, 131062, 132018, 132021, 133000, 133005, 133006, 133007, 133008),
        *(133009, 133015, 133016, 134011, 135000, 2388001, 2388299, 2494100),
    ),
    TryLater(2.0, "later"): (80007,),
    TryLater(2.0, "throttled", counted=False): (130429,),
    TryLater(60.0, "throttled", counted=False): (4,),
    TryLater(1.0, "pair_rate"): (131056,),
    TryLater(2.0, "unknown_error"): (131000,),
    TryLater(2.0, "bad_request"): (1,),
    ChannelDown("overloaded"): (2, 131016, 133004),
    ChannelDown("maintenance"): (131057,),
    ChannelDown("unauthorized"): (0, 3, 10, 190, 200, 299, 131005),
    ChannelDown("logged_out"): (131045, 133010),
    ChannelDown("unknown_instance"): (33,),
    ChannelDown("blocked"): (131037, 131048),
    ChannelDown("account_blocked"): (368, 131031, 131042, 131064),
}
ROWS = [(code, meant) for meant, codes in MEANT.items() for code in codes]


@pytest.mark.parametrize(("code", "meant"), ROWS)
def test_every_error_means_the_same_at_once_and_as_a_status(code: int, meant: AttemptResult) -> None:
    expected = msgspec.structs.replace(meant, code=str(code))
    assert cloud.read_send(error(code)) == expected
    read = hook(statuses=[status("failed", code)])
    (report,) = read.reports
    assert read.failures == (expected,)
    assert (report.status, report.err, report.no_account) == (Status.FAILED, str(code), isinstance(meant, NoAccount))
    again = meant.after_s if isinstance(meant, TryLater) else 0.0 if meant == refused("window_closed") else -1.0
    assert report.again_s == again


def test_the_table_of_errors_has_no_row_that_is_not_tested() -> None:
    assert {code for codes in cloud_errors.TABLE.values() for code in codes} <= {code for code, _ in ROWS}


# What the reference of the error codes says of each: P permanent for the number, S over for this message, R retry, D
# down, C configuration. Those that are raised only outside of sending are S here: the message is over, and no more.
CLASSES = {
    "P": (130403, 131021, 131026),
    "S": (130472, 131047, 131049, 131050, 131052, 131053, 131060, 132005, 132068, 132069, 137000, 999999),
    "R": (1, 4, 80007, 130429, 131000, 131056),
    "D": (2, 131016, 131057, 133004),
    "C": (
        *(100, 130497, 131008, 131009, 131030, 131051, 131055, 131062, 131063, 132000, 132001, 132007, 132008, 132012),
        *(132018, 132021, 133000, 133005, 133006, 133007, 133008, 133009, 133015, 133016, 134011, 134100, 134101),
        *(134102, 135000, 139200, 2388299, 2494100),
    ),
    # Down, and somebody has to be told.
    "CD": (
        *(0, 3, 10, 33, 190, 200, 299, 368, 131005, 131031, 131037, 131042, 131045, 131048, 131064, 132015, 132016),
        133010,
    ),
}
RESULT_OF_CLASS: dict[str, tuple[type, ...]] = {
    "P": (NoAccount,), "S": (Refused,), "C": (Refused,), "R": (TryLater,), "D": (ChannelDown,),
    "CD": (ChannelDown, Refused),
}  # fmt: skip


@pytest.mark.parametrize(("letters", "code"), [(name, code) for name, codes in CLASSES.items() for code in codes])
def test_every_error_has_the_class_the_reference_gives_it(letters: str, code: int) -> None:
    result = cloud_errors.result_of(code, "")
    follows = "no_account" if isinstance(result, NoAccount) else getattr(result, "reason", "")
    assert cloud_errors.MEANS[follows][0] == letters
    assert isinstance(result, RESULT_OF_CLASS[letters])
    assert bool(cloud_errors.alarm(result)) is ("C" in letters or code == 999999)


def test_every_class_has_its_scope_and_one_templates_fault_closes_no_sender() -> None:
    assert set(cloud_errors.MEANS) == set(cloud_errors.TABLE) | {"unknown_code"}
    scopes = {scope for _, scope in cloud_errors.MEANS.values()}
    assert scopes == {"message", "pair", "template", "sender", "account", "provider"}
    for follows, (_, scope) in cloud_errors.MEANS.items():
        for code in cloud_errors.TABLE.get(follows, ()):
            closes = isinstance(cloud_errors.result_of(code, ""), ChannelDown)
            assert closes is (
                scope in ("sender", "account", "provider") and follows not in ("throttled", "direct_send_off")
            )


@pytest.mark.parametrize(
    ("code", "details", "expected"),
    [
        (100, "Direct Send messaging isn't enabled for this account", refused("direct_send_off")),
        (100, "Param text cannot have new-line/tab characters or more than 4 consecutive spaces", CONFIGURATION),
        (131009, "Parameter value is not valid: 'to'", NoAccount("send")),
        (131009, "(to) is not a phone number", NoAccount("send")),
        (131009, "Parameter value is not valid: text['body'], try to shorten it", CONFIGURATION),
    ],
)
def test_where_the_details_tell_more_they_are_read(code: int, details: str, expected: AttemptResult) -> None:
    assert cloud.read_send(error(code, details)) == msgspec.structs.replace(expected, code=str(code))


@pytest.mark.parametrize(
    ("code", "waits"),
    [
        (131056, [1, 4, 16, 64, 256, 256]),
        (131000, [2, 8, refused()]),
        (1, [2, CONFIGURATION]),
        (130429, [2, 2, 2]),
        (4, [60, 60]),
    ],
)
def test_later_means_longer_with_every_try(code: int, waits: list[Any]) -> None:
    result = cloud.read_send(error(code))
    assert isinstance(result, TryLater)
    for tries, wait in enumerate(waits):
        after = cloud.again(result, tries)
        if isinstance(after, TryLater):
            assert (after.after_s, after.reason, after.counted) == (wait, result.reason, result.counted)
        else:
            assert after == msgspec.structs.replace(wait, code=str(code))


def test_somebody_is_called_where_somebody_can_help() -> None:
    calls = {code for code, meant in ROWS if cloud.alarm(msgspec.structs.replace(meant, code=str(code)))}
    assert {0, 190, 100, 132000, 132015, 131042, 131045, 139200, 33, 999999} <= calls
    assert not calls & {131026, 131047, 131049, 130429, 131056, 131000, 2, 131057}
    assert "no table" in cloud.alarm(Refused("unknown_code", "999999"))
    assert "payment" in cloud.alarm(ChannelDown("account_blocked", "131042"))
    off = cloud_errors.result_of(100, "The category value requires Direct Send which isn't enabled")
    assert "Direct Send is not enabled" in cloud.alarm(off)
    assert cloud.alarm(Accepted("x")) == ""


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (json_answer(200, {"id": "1", "status": "CONNECTED"}), True),
        (json_answer(200, {"id": "1", "status": "RESTRICTED"}), True),
        (json_answer(200, {"id": "1"}), True),
        (json_answer(200, {"id": "1", "status": "BANNED"}), False),
        (json_answer(200, {"id": "1", "status": "DISCONNECTED"}), False),
        (error(190, status=401), False),
        (error(33), False),
        (error(10, status=403), True),  # may send, may not look
        (error(200, status=403), True),
        (error(2, status=503), None),
        (error(4), None),
        (HttpResponse(500), None),
        (HttpResponse(200, b"<html>"), None),
    ],
)
def test_what_is_known_of_the_senders_state(response: HttpResponse, expected: bool | None) -> None:
    assert cloud.read_state(response) is expected
    request = cloud.state_request()
    assert request is not None
    assert (request.method, request.url) == ("GET", "https://graph.facebook.com/v25.0/106540352242922?fields=status")


# ------------------------------------------------------------------------------------------------------------ webhooks


def signed(body: bytes, secret: str = "secret") -> HttpRequest:
    proof = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return HttpRequest("POST", "/webhooks/zap", (("X-Hub-Signature-256", proof),), body)


def change(field: str = "messages", sender: str = "106540352242922", **value: object) -> dict[str, Any]:
    metadata = {"display_phone_number": "5511900000000", "phone_number_id": sender}
    return {"field": field, "value": {"messaging_product": "whatsapp", "metadata": metadata, **value}}


def envelope(*changes: object) -> bytes:
    return json.dumps({"object": "whatsapp_business_account", "entry": [{"id": "W", "changes": [*changes]}]}).encode()


def hook(**value: object) -> WebhookRead:
    read = cloud.read_webhook(signed(envelope(change(**value))), START)  # type: ignore[arg-type]
    assert isinstance(read, WebhookRead)
    return read


def status(said: str, code: int | None = None, **more: object) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": "wamid.X", "status": said, "timestamp": "1751142888", "recipient_id": WA_ID,
        "biz_opaque_callback_data": "m1",
    }  # fmt: skip
    if code is not None:
        entry["errors"] = [{"code": code, "title": "T", "message": "T", "error_data": {"details": "d"}, "href": "h"}]
    return {**entry, **more}


def test_the_signature_is_metas() -> None:
    vector = "sha256=0329a06b62cd16b33eb6792be8c60b158d89a2ee3a876fce9a881ebb488c0914"
    request = HttpRequest("POST", "/webhooks/zap", (("x-hub-signature-256", vector),), b"test")
    assert cloud.read_webhook(request, START) == WebhookRead()


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("X-Hub-Signature-256", ""),),
        (("X-Hub-Signature-256", "sha256="),),
        (("X-Hub-Signature-256", "sha256=0329a06b62cd16b33eb6792be8c60b158d89a2ee3a876fce9a881ebb488c0915"),),
        (("X-Hub-Signature-256", "0329a06b62cd16b33eb6792be8c60b158d89a2ee3a876fce9a881ebb488c0914"),),
        (("X-Hub-Signature", "sha256=0329a06b62cd16b33eb6792be8c60b158d89a2ee3a876fce9a881ebb488c0914"),),
        (("X-Hub-Signature-256", "sha256=\xe9"),),
    ],
)
def test_without_metas_signature_nothing_is_believed(headers: tuple[tuple[str, str], ...]) -> None:
    assert isinstance(cloud.read_webhook(HttpRequest("POST", "/w", headers, b"test"), START), BadProof)


def test_the_octets_are_signed_not_what_they_mean() -> None:
    request = signed(envelope(change(statuses=[status("sent")])))
    spaced = msgspec.structs.replace(request, body=request.body + b" ")
    assert isinstance(cloud.read_webhook(spaced, START), BadProof)


def test_a_channel_without_a_secret_believes_nothing() -> None:
    assert isinstance(msgspec.structs.replace(cloud, app_secret="").read_webhook(signed(b"{}", ""), START), BadProof)
    bare = msgspec.structs.replace(resold, webhook_secret="")
    assert isinstance(bare.read_webhook(HttpRequest("POST", "/w?key="), START), BadProof)


@pytest.mark.parametrize(
    ("url", "headers", "good"),
    [
        ("/webhooks/zap?key=hush", (), True),
        ("/webhooks/zap", (("Authorization", "Bearer hush"),), True),
        ("/webhooks/zap?key=wrong", (), False),
        ("/webhooks/zap?key=hush", (("Authorization", "Bearer wrong"),), False),
        ("/webhooks/zap", (), False),
    ],
)
def test_360dialog_shows_a_key(url: str, headers: tuple[tuple[str, str], ...], good: bool) -> None:
    body = envelope(change(sender="another", statuses=[status("sent")]))
    read = resold.read_webhook(HttpRequest("POST", url, headers, body), START)
    assert isinstance(read, WebhookRead) is good
    assert not isinstance(read, WebhookRead) or len(read.reports) == 1


CHALLENGE = "/webhooks/zap?hub.mode=subscribe&hub.verify_token=v3rify&hub.challenge=1158201444"


@pytest.mark.parametrize(
    ("url", "answer"),
    [
        (CHALLENGE, (200, b"1158201444")),
        (CHALLENGE.replace("v3rify", "wrong"), (403, b"")),
        (CHALLENGE.replace("v3rify", "%C3%A9"), (403, b"")),
        (CHALLENGE.replace("subscribe", "unsubscribe"), (403, b"")),
        ("/webhooks/zap", (403, b"")),
    ],
)
def test_the_challenge_is_answered_to_whoever_knows_the_token(url: str, answer: tuple[int, bytes]) -> None:
    read = cloud.read_webhook(HttpRequest("GET", url), START)
    assert isinstance(read, WebhookRead) and read.answer is not None
    assert (read.answer.status, read.answer.body) == answer
    assert answer[0] != 200 or read.answer.header("content-type").startswith("text/plain")


def test_without_a_token_there_is_no_challenge() -> None:
    silent = msgspec.structs.replace(cloud, verify_token="")
    read = silent.read_webhook(HttpRequest("GET", CHALLENGE.replace("v3rify", "")), START)
    assert isinstance(read, WebhookRead) and read.answer == HttpResponse(403)


def test_everything_in_a_webhook_is_read() -> None:
    statuses = [status("sent"), status("delivered", id="wamid.Y", biz_opaque_callback_data="m2")]
    for one in statuses:
        check(one, "Statuses")
    message = {"from": WA_ID, "id": "wamid.I", "timestamp": "1740000000", "type": "text", "text": {"body": "oi"}}
    body = {
        "entry": [
            {"id": "W", "changes": [change(statuses=statuses), change(messages=[message])]},
            {"id": "W", "changes": [change(statuses=[status("read", id="wamid.Z", biz_opaque_callback_data=None)])]},
        ]
    }
    read = cloud.read_webhook(signed(json.dumps(body).encode()), START)
    assert read == WebhookRead(
        (
            Report("zap", "wamid.X", Status.SENT, at=START, message_id="m1"),
            Report("zap", "wamid.Y", Status.DELIVERED, at=START, message_id="m2"),
            Report("zap", "wamid.Z", Status.READ, at=START),
        ),
        (Inbound("zap", WA_ID, to="", remote_id="wamid.I", text="oi", at=1740000000.0),),
    )


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("sent", Status.SENT),
        ("delivered", Status.DELIVERED),
        ("read", Status.READ),
        ("played", Status.READ),
        ("failed", Status.FAILED),
        ("deleted", None),
        (7, None),
    ],
)
def test_what_a_status_means(said: str, expected: Status | None) -> None:
    reports = hook(statuses=[status(said)]).reports
    assert [report.status for report in reports] == ([] if expected is None else [expected])


def test_a_failure_without_a_cause_is_the_end_for_the_message_only() -> None:
    read = hook(statuses=[status("failed"), status("failed", errors=[{"code": "131026"}])])
    assert [(one.err, one.no_account, one.again_s) for one in read.reports] == [("", False, -1.0)] * 2
    assert read.failures == (refused(), refused())


def test_a_status_may_hide_the_number() -> None:
    hidden = status("delivered", recipient_user_id="BR.1")
    del hidden["recipient_id"]
    check(hidden, "Statuses")
    assert [one.remote_id for one in hook(statuses=[hidden]).reports] == ["wamid.X"]


def test_other_senders_of_the_account_are_passed_over() -> None:
    body = envelope(change(sender="1", statuses=[status("sent")], messages=[{"from": WA_ID, "type": "text"}]))
    assert cloud.read_webhook(signed(body), START) == WebhookRead()


@pytest.mark.parametrize("field", ["account_update", "phone_number_quality_update", "account_alerts"])
def test_news_of_the_account_are_a_reason_to_ask_for_the_senders_state(field: str) -> None:
    body = {"entry": [{"changes": [{"field": field, "value": {"event": "DISABLED_UPDATE"}}]}]}
    read = cloud.read_webhook(signed(json.dumps(body).encode()), START)
    assert isinstance(read, WebhookRead)
    assert read.unsure is (field == "account_update")
    assert not (read.reports or read.inbound or read.failures)


def test_an_error_of_the_whole_sender_comes_without_a_message() -> None:
    read = hook(errors=[{"code": 131031, "title": "locked"}, {"code": 131049}, {"title": "no code"}, 7])
    assert read.failures == (ChannelDown("account_blocked", "131031"), Refused("refused", "131049", rejected=False))
    assert not read.reports


def test_the_fate_of_templates_is_heard() -> None:
    values = [
        {"event": event, "message_template_name": "fatura", "message_template_language": "pt_BR"}
        for event in ("APPROVED", "PAUSED", "DISABLED", "FLAGGED", "REINSTATED", "DELETED", "ARCHIVED", "UNARCHIVED")
    ]
    changes = [{"field": "message_template_status_update", "value": value} for value in values]
    read = cloud.read_webhook(signed(envelope(*changes, {"field": "account_alerts", "value": {}})), START)
    usable = (True, False, False, True, False, False, True)
    assert read == WebhookRead(templates=tuple(TemplateNews("fatura", "pt_BR", ok) for ok in usable))


def test_the_language_of_a_templates_fate_is_written_in_two_ways() -> None:
    value = {"event": "PAUSED", "message_template_name": "fatura", "message_template_language": "pt-BR"}
    read = cloud.read_webhook(signed(envelope({"field": "message_template_status_update", "value": value})), START)
    assert read == WebhookRead(templates=(TemplateNews("fatura", "pt_BR", False),))


def said(kind: str, **body: Any) -> dict[str, Any]:
    return {"from": WA_ID, "id": "wamid.I", "timestamp": "1", "type": kind, kind: body}


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (said("text", body="Olá\n👍"), "Olá\n👍"),
        (said("button", payload="P-1", text="Sim"), "Sim"),
        (said("button", payload="P-1"), "P-1"),
        (said("interactive", type="button_reply", button_reply={"id": "b1", "title": "Sim"}), "Sim"),
        (said("interactive", type="list_reply", list_reply={"id": "r1", "title": "Segunda via"}), "Segunda via"),
        (said("interactive", type="nfm_reply", nfm_reply={"name": "flow", "body": "Sent"}), "Sent"),
        (said("interactive", type="other"), "[resposta]"),
        (said("reaction", message_id="wamid.O", emoji="👍"), "[reação] 👍"),
        (said("reaction", message_id="wamid.O"), ""),
        (said("image", id="1", mime_type="image/jpeg"), "[imagem]"),
        (said("image", id="1", caption="meu recibo"), "[imagem] meu recibo"),
        (said("video", id="1"), "[vídeo]"),
        (said("audio", id="1", voice=True), "[áudio]"),
        (said("document", id="1", filename="boleto.pdf"), "[documento] boleto.pdf"),
        (said("document", id="1", filename="boleto.pdf", caption="pago"), "[documento] pago"),
        (said("sticker", id="1"), "[figurinha]"),
        (said("location", latitude=1.0, longitude=2.0), "[localização]"),
        ({"type": "contacts", "contacts": [{"name": {}}]}, "[contato]"),
        (said("order", catalog_id="1"), "[pedido]"),
        ({"type": "unsupported", "errors": [{"code": 131051}]}, "[mensagem não suportada]"),
        ({"type": "something_new"}, "[mensagem não suportada]"),
        (said("system", body="changed number"), ""),
        (said("request_welcome"), ""),
        ({"text": {"body": "oi"}}, ""),
        ({"type": 7}, ""),
    ],
)
def test_what_a_person_said(message: dict[str, Any], words: str) -> None:
    assert text_in(message) == words


def test_somebody_who_hides_their_number_has_no_address_here() -> None:
    text = {"id": "wamid.I", "type": "text", "text": {"body": "oi"}, "from_user_id": "BR.1"}
    read = hook(messages=[text], contacts=[{"profile": {"name": "Ana"}, "user_id": "BR.1"}])
    assert (read.inbound, read.nameless) == ((), 0)
    assert [(one.identity, one.ask, one.text.text) for one in read.hidden] == [("BR.1", None, "oi")]
    assert hook(messages=[{**text, "from_user_id": 7}]).nameless == 1
    known = hook(messages=[text], contacts=[{"wa_id": "5511", "user_id": "BR.2"}, {"wa_id": WA_ID, "user_id": "BR.1"}])
    assert ([one.msisdn for one in known.inbound], known.nameless) == ([WA_ID], 0)
    assert known.aliases == (("BR.1", WA_ID),)


KEYS = [
    *("entry", "changes", "field", "value", "statuses", "messages", "contacts", "metadata", "errors", "status", "id"),
    *("type", "text", "body", "code", "from", "error", "error_data", "details", "biz_opaque_callback_data"),
]
NONSENSE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["failed", "text", "messages"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=25,
)


@given(NONSENSE, st.sampled_from([200, 400, 401, 429, 500]))
def test_no_nonsense_breaks_the_adapter(value: Any, code: int) -> None:
    answer = json_answer(code, value)
    cloud.read_send(answer)
    cloud.read_state(answer)
    for body in (value, {"entry": [{"changes": [{"field": "messages", "value": value}]}]}):
        assert isinstance(cloud.read_webhook(signed(json.dumps(body).encode()), START), WebhookRead)
    assert isinstance(cloud.read_webhook(signed(b"\xff{"), START), WebhookRead)
