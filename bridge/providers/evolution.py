"""Evolution API 2.3 (REST over Baileys, or over the Cloud API of an instance of kind WHATSAPP-BUSINESS).

Sources: its OpenAPI document v2, the source of 2.3.6/2.3.7, and answers recorded from it. The body of a webhook
contains the API key of the instance: nothing of it is ever logged.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import msgspec

from bridge.provider import (
    Account,
    BadProof,
    Headers,
    Hidden,
    HttpRequest,
    HttpResponse,
    WebhookRead,
    last_segment,
    named_in,
)
from bridge.providers import cloud_errors
from bridge.providers.baileys import sender_of, text_in
from bridge.providers.whatsapp_web import moment, refusal, says
from gateway.messages.outcome import (
    Accepted,
    AttemptResult,
    ChannelDown,
    Inbound,
    NoAccount,
    Refused,
    Report,
    Status,
    Uncertain,
)

if TYPE_CHECKING:
    from config.schema import BridgeSettings

MOST_NUMBERS = 50  # of one check; no maximum is documented

# status of messages.update. PENDING says nothing; DELETED is what 2.3.6 reports for an update without a status.
_STATUSES = {
    "SERVER_ACK": Status.SENT,
    "DELIVERY_ACK": Status.DELIVERED,
    "READ": Status.READ,
    "PLAYED": Status.READ,
    "ERROR": Status.FAILED,
}
_EMPTY: Mapping[str, Any] = {}
_NUMBERED = ("ERROR", "PENDING", "SERVER_ACK", "DELIVERY_ACK", "READ", "PLAYED")  # Baileys' own 0 to 5
_LOGGED_OUT = frozenset({401, 402, 403, 406})  # statusReason after which Evolution does not reconnect by itself
_JID = re.compile(r"[0-9]{5,20}(?::[0-9]+)?@(?:s\.whatsapp\.net|c\.us|lid)", re.ASCII)


class Evolution(msgspec.Struct, frozen=True):
    """One instance of an Evolution server.

    webhook_secret: the `jwt_key` of its webhook, or the bearer token among its headers; "" when it has neither.
    """

    channel: str
    url: str
    api_key: str
    instance: str
    webhook_secret: str = ""
    check_numbers: int = MOST_NUMBERS
    needs_identity: bool = False  # the server resolves a number by itself

    @classmethod
    def of(cls, settings: BridgeSettings) -> Evolution:
        secret = settings.webhook_secret
        return cls(
            channel=settings.name,
            url=str(settings.url).rstrip("/"),
            api_key=settings.api_key.get_secret_value(),
            instance=settings.instance,
            webhook_secret=secret.get_secret_value() if secret is not None else "",
        )

    def __repr__(self) -> str:
        return f"<Evolution {self.channel}>"

    # ------------------------------------------------------------------------------------------------------- requests

    def check_request(self, numbers: Sequence[str]) -> HttpRequest:
        return self._request("POST", "chat/whatsappNumbers", {"numbers": list(numbers)})

    def send_request(self, recipient: str, text: str, message_id: str) -> HttpRequest:
        number = recipient.replace("@c.us", "@s.whatsapp.net")  # another library's word for the same
        return self._request("POST", "message/sendText", {"number": number, "text": text, "linkPreview": False})

    def withdraw_request(self, recipient: str, remote_id: str) -> HttpRequest:
        jid = recipient.replace("@c.us", "@s.whatsapp.net")
        key = {"id": remote_id, "remoteJid": jid if "@" in jid else f"{jid}@s.whatsapp.net", "fromMe": True}
        return self._request("DELETE", "chat/deleteMessageForEveryone", key)

    @staticmethod
    def read_withdrawn(response: HttpResponse) -> bool | None:
        """201 holds the message that deletes ours; whatever was thrown is a 400."""
        return True if 200 <= response.status < 300 else None if response.status >= 500 else False

    def state_request(self) -> HttpRequest:
        return self._request("GET", "instance/connectionState", None)

    def _request(self, method: str, path: str, body: object | None) -> HttpRequest:
        headers: Headers = (("apikey", self.api_key), ("Accept", "application/json"))
        if body is not None:
            headers += (("Content-Type", "application/json"),)
        url = f"{self.url}/{path}/{_quoted(self.instance)}"
        return HttpRequest(method, url, headers, b"" if body is None else msgspec.json.encode(body))

    # -------------------------------------------------------------------------------------------------------- answers

    def read_check(self, response: HttpResponse, numbers: Sequence[str]) -> Mapping[str, Account]:
        """Only a 200 says anything: every failure, a closed connection too, is a 400 with whatever was thrown."""
        answers: dict[str, Account] = dict.fromkeys(numbers)
        decoded = response.json() if response.status == 200 else None
        for entry in decoded if isinstance(decoded, list) else ():
            match entry:
                case {"number": str(number), "exists": bool(exists)} if _digits(number) in answers:
                    jid, lid = _identity(entry.get("jid")), _identity(entry.get("lid"))
                    yes = (True, jid, lid) if lid else (True, jid)
                    answers[_digits(number)] = yes if exists else False
        return answers

    def read_send(self, response: HttpResponse) -> AttemptResult:
        """201 with a key was taken. The only 400 that means "no account" holds `exists: false`."""
        status, body = response.status, response.json()
        code = str(status)
        if 200 <= status < 300:
            return self._read_taken(body)
        match _said(body):
            case [{"exists": False}, *_] if status == 400:
                return NoAccount("send", code)
        if says(body, "connection closed"):
            return ChannelDown("logged_out", code)
        return refusal(response)

    @staticmethod
    def _read_taken(body: object) -> AttemptResult:
        match body:
            case {"key": {"id": str()}, "status": "ERROR"}:
                return Refused("failed", rejected=False)
            case {"key": {"id": str(remote_id)} as key} if remote_id:
                return Accepted(last_segment(remote_id), _identity(key.get("remoteJid")))
            case {"error": {"code": int(code), **error}}:  # WHATSAPP-BUSINESS: Meta's refusal under a 201
                details = error.get("message")
                return cloud_errors.result_of(code, details if isinstance(details, str) else "")
            case {"error": _}:
                return Refused("refused", rejected=False)
        return Uncertain("unreadable_answer")

    def read_state(self, response: HttpResponse) -> bool | None:
        if response.status in (401, 403, 404):
            return False
        match response.json():
            case {"instance": {"state": str(state)}} if response.status == 200:
                return state == "open"
        return None

    # ------------------------------------------------------------------------------------------------------- webhooks

    def senders_in(self, request: HttpRequest) -> frozenset[str]:
        return named_in(request, "instance")

    def read_webhook(self, request: HttpRequest, now: float) -> WebhookRead | BadProof:
        """One envelope, or a list of them. Those of other instances (a global webhook) are passed over."""
        if self.webhook_secret and (wrong := _wrong_token(request.header("authorization"), self.webhook_secret, now)):
            return BadProof(wrong)
        decoded = request.json()
        reports: list[Report] = []
        inbound: list[Inbound] = []
        hidden: list[Hidden] = []
        aliases: list[tuple[str, str]] = []
        connection: bool | None = None
        unsure = False
        for envelope in decoded if isinstance(decoded, list) else [decoded]:
            if not isinstance(envelope, dict) or envelope.get("instance", self.instance) != self.instance:
                continue
            event = _event(envelope, request)
            for data in _each(envelope.get("data")):
                if event == "messages.update":
                    reports += self._report(data, now)
                elif event == "messages.upsert":
                    lid = _lid_of(data)
                    for text in self._inbound(data, now):
                        if text.msisdn:
                            inbound.append(text)
                            aliases += [(lid, text.msisdn)] if lid else []
                        elif lid:
                            hidden.append(Hidden(text, lid))
                elif event == "connection.update":
                    state, reason = data.get("state"), data.get("statusReason")
                    if state == "open":
                        connection, unsure = True, False
                    elif state in ("close", "refused"):
                        lost = isinstance(reason, int) and reason in _LOGGED_OUT
                        connection, unsure = (False, False) if lost else (None, True)
        return WebhookRead(
            tuple(reports), tuple(inbound), connection, unsure, hidden=tuple(hidden), aliases=tuple(aliases)
        )

    def _report(self, data: dict[str, Any], now: float) -> tuple[Report, ...]:
        key, update = _within(data, "key"), _within(data, "update")
        remote_id = data.get("keyId") or key.get("id")
        said = data["status"] if "status" in data else update.get("status")
        if isinstance(said, int) and 0 <= said < len(_NUMBERED):
            said = _NUMBERED[said]
        status = _STATUSES.get(said) if isinstance(said, str) else None
        ours = data["fromMe"] if "fromMe" in data else key.get("fromMe")
        if status is not None and isinstance(remote_id, str) and remote_id and ours in (None, True, "true"):
            return (Report(self.channel, last_segment(remote_id), status, at=now),)
        return ()

    def _inbound(self, data: dict[str, Any], now: float) -> Iterator[Inbound]:
        """A text, with msisdn "" where only a hidden identity is known, or none at all."""
        key = data.get("key")
        if not isinstance(key, dict) or key.get("fromMe") in (True, "true"):
            return
        msisdn, text = sender_of(data, key), text_in(data.get("message"))
        if text:
            remote_id = key.get("id")
            yield Inbound(
                self.channel,
                msisdn,
                to="",
                remote_id=last_segment(remote_id) if isinstance(remote_id, str) else "",
                text=text,
                at=moment(data.get("messageTimestamp"), now),
            )


def _within(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object under this name; empty where there is none."""
    if name not in data:
        return _EMPTY
    found = data[name]
    return found if isinstance(found, dict) else _EMPTY


@lru_cache(maxsize=256)
def _quoted(instance: str) -> str:
    """As it stands in a URL."""
    return quote(instance, safe="")


def _digits(number: str) -> str:
    return "".join(filter(str.isdigit, number.partition("@")[0]))


def _identity(jid: object) -> str:
    return jid if isinstance(jid, str) and _JID.fullmatch(jid) else ""


def _lid_of(data: dict[str, Any]) -> str:
    """The hidden identity of whoever wrote, "" when there is none."""
    key = data.get("key")
    if not isinstance(key, dict) or not _identity(key.get("remoteJid")):  # a group's message names its writer, too
        return ""
    jids = (key.get("remoteJid"), key.get("remoteJidAlt"), key.get("senderLid"))
    return next((jid for jid in map(_identity, jids) if jid.endswith("@lid")), "")


def _said(body: object) -> list[Any]:
    """`response.message` of an error, as a list."""
    match body:
        case {"response": {"message": list(said)}}:
            return said
        case {"response": {"message": said}} | {"message": said}:
            return [said]
    return []


def _event(envelope: dict[str, Any], request: HttpRequest) -> str:
    """`messages.update`, also when it is written MESSAGES_UPDATE or only stands in the URL (`byEvents`)."""
    named = envelope.get("event")
    name = named if isinstance(named, str) and named else urlsplit(request.url).path.rpartition("/")[2]
    return name.lower().replace("_", ".").replace("-", ".")


def _each(data: object) -> list[dict[str, Any]]:
    """The entries of `data`: one object, a list of them, or a list under `messages`."""
    if isinstance(data, dict):
        if "messages" not in data or not isinstance(data["messages"], list):
            return [data]
        data = data["messages"]
    return [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else []


def _wrong_token(authorization: str, secret: str, now: float) -> str:
    """What is wrong with `Bearer` and an HS256 JWT (RFC 7519) made with `secret`, or the secret itself where the server
    is given the whole header; "" when nothing is."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode("utf-8", "replace"), secret.encode()):
        return ""
    parts = token.strip().split(".")
    if scheme.lower() != "bearer" or len(parts) != 3 or not token.isascii():
        return "no token"
    signed = f"{parts[0]}.{parts[1]}".encode()
    expected = base64.urlsafe_b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).rstrip(b"=")
    if not hmac.compare_digest(expected, parts[2].rstrip("=").encode()):
        return "wrong signature"
    header, claims = _part(parts[0]), _part(parts[1])
    if header.get("alg") != "HS256":
        return "wrong algorithm"
    expires_at = claims.get("exp")
    if isinstance(expires_at, bool) or not isinstance(expires_at, (int, float)) or expires_at <= now:
        return "expired"
    return ""


def _part(encoded: str) -> dict[str, Any]:
    try:
        decoded = msgspec.json.decode(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (ValueError, msgspec.DecodeError, RecursionError):
        return {}
    return decoded if isinstance(decoded, dict) else {}
