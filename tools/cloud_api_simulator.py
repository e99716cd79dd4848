"""Meta's Cloud API for the laboratory: nobody can be asked, and who has no account is told by a failed status.

Free text goes only within 24 hours of a person's own; a number that is not written with its plus is not understood.
Source: Cloud API, `/messages`, webhooks and error codes, v25.0: webhooks are signed with HMAC-SHA256 over the raw body
and come again, at growing gaps, for up to seven days, whatever the answer was.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit

from twisted.internet.defer import Deferred

from tools.http_door import Reply
from tools.people import digits_of, person_of, usual_identity
from tools.scripts import Ack
from tools.webhooks import Retries
from tools.whatsapp_provider import Fault, Sent, WhatsAppProvider, broken, json_object

WINDOW_S = 24 * 3600.0
USUAL_FAILURE, USUAL_REFUSAL, NO_ACCOUNT = 131049, 131049, 131026
WINDOW_CLOSED, NO_TEMPLATE, THROTTLED, BAD_PARAMETER, BAD_TOKEN, NO_SUCH_ID = 131047, 132001, 130429, 100, 190, 33
SENDER_GONE = {"logged_out": 133010, "banned": 131031}
STATES = {"": "CONNECTED", "logged_out": "DISCONNECTED", "banned": "BANNED"}
NO_DIRECT_SEND = "The category value utility requires Direct Send, which isn't enabled for this account"

Fetch = Callable[[str], "Deferred[tuple[int, bytes]]"]
"""url -> (HTTP status, body) of a GET."""


def error(code: int, details: str = "", status: int = 400) -> Reply:
    """Meta's form of an error."""
    words = {"messaging_product": "whatsapp", "details": details}
    body = {"message": f"(#{code}) error", "type": "OAuthException", "code": code, "error_data": words}
    return Reply(status, {"error": {**body, "fbtrace_id": secrets.token_hex(6)}})


class CloudApiSimulator(WhatsAppProvider):
    """One phone number. settings.key: the token; webhook_secret: the app's secret, or the key of a reseller's URL."""

    RETRIES: ClassVar[Retries] = Retries(attempts=60, first_gap_s=5.0, last_gap_s=3 * 3600.0, given_up=frozenset())
    nobody: ClassVar[tuple[Ack, ...] | None] = (Ack(0.3, "failed", NO_ACCOUNT),)
    resold = False  # True: as 360dialog passes it on, with its key in another header and no phone number id in paths

    _wrote: dict[str, float]

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._wrote = {}  # person -> when they wrote last

    def prove(self, body: bytes) -> dict[str, str]:
        secret = self.settings.webhook_secret
        if self.resold:
            return {"Authorization": f"Bearer {secret}"}
        return {"X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}

    def new_id(self) -> str:
        return "wamid." + base64.b64encode(secrets.token_bytes(27)).decode()

    async def subscribe(self, fetch: Fetch) -> bool:
        """Ask the webhook for its challenge, as Meta does when it is set up; True when it answered as it should."""
        challenge = str(secrets.randbelow(10**9))
        asked = {"hub.mode": "subscribe", "hub.verify_token": self.settings.verify_token, "hub.challenge": challenge}
        try:
            status, body = await fetch(f"{self.webhooks.url}?{urlencode(asked)}")
        except Exception:  # refused, reset, timed out
            return False
        return status == 200 and body == challenge.encode()

    # ---- requests

    async def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        key = headers.get("d360-api-key") if self.resold else headers.get("authorization", "").removeprefix("Bearer ")
        if key != self.settings.key:
            return error(BAD_TOKEN, "The access token is not valid", 401)
        segments = urlsplit(path).path.strip("/").split("/")
        if segments[0][:1] == "v" and "." in segments[0]:
            del segments[0]
        if not self.resold:
            if segments[:1] != [self.settings.instance]:
                return error(NO_SUCH_ID, "Unsupported request: object does not exist")
            del segments[0]
        match method, segments:
            case "GET", []:
                return Reply(200, {"status": STATES[self.trouble], "id": self.settings.instance})
            case "POST", ["messages"]:
                return await self._send(json_object(body))
        return error(BAD_PARAMETER, "Unsupported request", 404)

    async def _send(self, body: dict[str, Any]) -> Reply:
        match body:
            case {"messaging_product": "whatsapp", "to": str(to), "type": "text", "text": {"body": str(text)}} if text:
                form = "direct" if body.get("category") == "utility" else "text"
            case {
                "messaging_product": "whatsapp",
                "to": str(to),
                "type": "template",
                "template": {"name": str(form), "language": {"code": str()}} as template,
            }:
                text = _words(template)
            case _:
                return error(BAD_PARAMETER, "Invalid parameter")
        if to[:1] != "+" or not to[1:].isdigit():
            return error(131009, "Parameter value is not valid: param to")
        if refusal := self._form_refusal(to, form):
            return refusal
        sent, fault = await self.take(to, text, form=form, reference=str(body.get("biz_opaque_callback_data", "")))
        if fault is not None:
            reply = broken(fault) or self._refusal(fault)
            sent.status = max(reply.status, 0)
            return reply
        sent.status = 200
        return Reply(
            200,
            {
                "messaging_product": "whatsapp",
                "contacts": [{"input": to, "wa_id": self._wa_id(sent.person)}],
                "messages": [{"id": sent.message_id}],
            },
        )

    def _form_refusal(self, to: str, form: str) -> Reply | None:
        """Is this form of a text allowed? Refused texts are not among `sends`."""
        if form == "direct":
            return None if self.settings.direct_send else error(BAD_PARAMETER, NO_DIRECT_SEND)
        if form == "text":
            wrote_at = self._wrote.get(person_of(to))
            closed = wrote_at is None or self.clock.seconds() - wrote_at >= WINDOW_S
            return error(WINDOW_CLOSED, "More than 24 hours have passed") if closed else None
        known = self.settings.templates
        return error(NO_TEMPLATE, "Template name does not exist", 404) if known and form not in known else None

    def _refusal(self, fault: Fault) -> Reply:
        match fault.kind:
            case "disconnected":
                return error(SENDER_GONE[self.trouble or "logged_out"], "The sender cannot be used")
            case "limited":
                return error(THROTTLED, "Rate limit hit", 429)
            case "refused":
                return error(fault.code or USUAL_REFUSAL, "Scripted")
        return Reply(fault.status, "Service Unavailable")

    # ---- what the provider tells by itself

    def status_event(self, sent: Sent, ack: Ack, code: int) -> dict[str, Any]:
        status: dict[str, Any] = {
            "id": sent.message_id,
            "status": ack.state,
            "timestamp": str(int(self.clock.seconds())),
            "recipient_id": self._wa_id(sent.person),
        }
        if sent.reference:
            status["biz_opaque_callback_data"] = sent.reference
        if ack.state == "failed":
            words = {"title": "failed", "message": "failed", "error_data": {"details": "Scripted"}}
            status["errors"] = [{"code": code or USUAL_FAILURE, **words}]
        return self._envelope("messages", {"statuses": [status]})

    def text_event(self, number: str, text: str, message_id: str) -> dict[str, Any]:
        self._wrote[person_of(number)] = float(self.clock.seconds())
        wa_id = self._wa_id(number)
        message = {
            "from": wa_id,
            "id": f"wamid.{message_id}",
            "timestamp": str(int(self.clock.seconds())),
            "type": "text",
            "text": {"body": text},
        }
        contacts = [{"profile": {"name": "Cliente"}, "wa_id": wa_id}]
        return self._envelope("messages", {"contacts": contacts, "messages": [message]})

    def connection_event(self) -> dict[str, Any]:
        event = "DISABLED_UPDATE" if self.trouble else "ACCOUNT_RESTORED"
        return self._envelope("account_update", {"event": event})

    def _wa_id(self, number: str) -> str:
        return self.people.identity(number) or usual_identity(digits_of(number))

    def _envelope(self, field: str, value: dict[str, Any]) -> dict[str, Any]:
        if field == "messages":
            metadata = {"display_phone_number": "5511900000000", "phone_number_id": self.settings.instance}
            value = {"messaging_product": "whatsapp", "metadata": metadata, **value}
        entry = {"id": "WABA", "changes": [{"field": field, "value": value}]}
        return {"object": "whatsapp_business_account", "entry": [entry]}


class Dialog360Simulator(CloudApiSimulator):
    """The same as 360dialog passes it on."""

    resold = True


def _words(template: Mapping[str, Any]) -> str:
    """The name and the parameters of a template, for whoever watches."""
    parameters = [
        str(parameter.get("text"))
        for component in template.get("components", [])
        for parameter in component.get("parameters", [])
    ]
    return " · ".join([str(template["name"]), *parameters])
