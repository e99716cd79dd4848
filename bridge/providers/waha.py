"""WAHA 2026 (REST over several WhatsApp engines), one session of it.

Sources: its OpenAPI document 2026.7, the source of its engines, and answers recorded from it. A text to a number that
has no account is answered 201 and acknowledged once, and nothing more ever comes: so, while lookups are enabled, texts
go only to the chat a check gave.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import msgspec

from bridge.provider import Account, BadProof, Headers, Hidden, HttpRequest, HttpResponse, WebhookRead, named_in
from bridge.providers.baileys import digits_of, text_in
from bridge.providers.whatsapp_web import from_us, identity_of, jid_of, message_key, moment, refusal, status_of
from gateway.messages.outcome import (
    Accepted,
    AttemptResult,
    ChannelDown,
    Inbound,
    Refused,
    Report,
    Status,
    Uncertain,
)

if TYPE_CHECKING:
    from config.schema import BridgeSettings

_WORKING = "WORKING"
_PASSING = frozenset({"STARTING", "STOPPED"})  # a restart, or a line that broke: it may come back by itself
_ACKS = {"ERROR": -1, "PENDING": 0, "SERVER": 1, "DEVICE": 2, "READ": 3, "PLAYED": 4}
# By the first part of the media type; the longest name that fits counts.
_PLACEHOLDERS = {"image/webp": "[figurinha]", "image": "[imagem]", "video": "[vídeo]", "audio": "[áudio]"}


class Waha(msgspec.Struct, frozen=True):
    """webhook_secret: the HMAC key of the session's webhook; "" when it has none."""

    channel: str
    url: str
    api_key: str
    session: str
    webhook_secret: str = ""
    check_numbers: int = 1
    needs_identity: bool = True  # False where lookups are switched off: then a number is taken as it is

    @classmethod
    def of(cls, settings: BridgeSettings) -> Waha:
        secret = settings.webhook_secret
        return cls(
            channel=settings.name,
            url=str(settings.url).rstrip("/"),
            api_key=settings.api_key.get_secret_value(),
            session=settings.instance,
            webhook_secret=secret.get_secret_value() if secret is not None else "",
            needs_identity=settings.lookup.enabled,
        )

    def __repr__(self) -> str:
        return f"<Waha {self.channel}>"

    # ------------------------------------------------------------------------------------------------------- requests

    def check_request(self, numbers: Sequence[str]) -> HttpRequest:
        """One number per call, digits only."""
        query = urlencode({"phone": numbers[0], "session": self.session})
        return self._request("GET", f"/api/contacts/check-exists?{query}")

    def send_request(self, recipient: str, text: str, message_id: str) -> HttpRequest:
        body = {"session": self.session, "chatId": _chat_of(recipient), "text": text, "linkPreview": False}
        return self._request("POST", "/api/sendText", body | {"id": self.key_of(message_id)})

    @staticmethod
    def key_of(message_id: str) -> str:
        """In the form of the engines' own ids; the engines that run in a browser take no notice of it."""
        return f"3EB0{hashlib.sha256(message_id.encode()).hexdigest()[:18].upper()}"

    def message_request(self, recipient: str, remote_id: str) -> HttpRequest:
        return self._request("GET", f"{self._message_path(recipient, remote_id)}?downloadMedia=false")

    def withdraw_request(self, recipient: str, remote_id: str) -> HttpRequest:
        return self._request("DELETE", self._message_path(recipient, remote_id))

    def _message_path(self, recipient: str, remote_id: str) -> str:
        chat = _chat_of(recipient)
        whole = quote(f"true_{chat}_{remote_id}", safe="")
        return f"/api/{self._segment}/chats/{quote(chat, safe='')}/messages/{whole}"

    def state_request(self) -> HttpRequest:
        return self._request("GET", f"/api/sessions/{self._segment}")

    @property
    def _segment(self) -> str:
        return quote(self.session, safe="")

    def _request(self, method: str, path: str, body: object | None = None) -> HttpRequest:
        headers: Headers = (("X-Api-Key", self.api_key), ("Accept", "application/json"))
        if body is not None:
            headers += (("Content-Type", "application/json"),)
        return HttpRequest(method, self.url + path, headers, b"" if body is None else msgspec.json.encode(body))

    # -------------------------------------------------------------------------------------------------------- answers

    def read_check(self, response: HttpResponse, numbers: Sequence[str]) -> Mapping[str, Account]:
        """Only a 200 says anything: 422 is a session that is down, and a yes without its chat is no help."""
        account: Account = None
        match response.json() if response.status == 200 else None:
            case {"numberExists": True, "chatId": chat} if identity_of(chat):
                account = (True, identity_of(chat))
            case {"numberExists": False}:
                account = False
        return dict.fromkeys(numbers, account)

    def read_send(self, response: HttpResponse) -> AttemptResult:
        """201 says that WAHA took it, not that there is an account: no identity is learned from it."""
        body = response.json()
        if 200 <= response.status < 300:
            if isinstance(body, dict) and status_of(body.get("ack")) is Status.FAILED:
                return Refused("failed", rejected=False)
            remote_id = _sent_id(body)
            return Accepted(remote_id) if remote_id else Uncertain("unreadable_answer")
        if response.status == 422 and isinstance(body, dict) and _about_session(body):
            if body.get("status") == "STARTING":
                return ChannelDown("provider_down", "starting")  # it will be up within seconds
            return ChannelDown("logged_out", "422")
        return refusal(response)

    @staticmethod
    def read_message(response: HttpResponse) -> Status | None:
        match response.json() if response.status == 200 else None:
            case {"fromMe": True, "ack": ack}:
                return status_of(ack)
        return None

    @staticmethod
    def read_withdrawn(response: HttpResponse) -> bool | None:
        return True if 200 <= response.status < 300 else None if response.status >= 500 else False

    def read_state(self, response: HttpResponse) -> bool | None:
        if response.status in (401, 403, 404):
            return False
        match response.json():
            case {"status": str(status)} if response.status == 200:
                return status == _WORKING
        return None

    @staticmethod
    def read_number(response: HttpResponse) -> str | None:
        """The digits behind a hidden identity, "" when WAHA has never seen them, None when it cannot tell now."""
        match response.json():
            case {"lid": _, "pn": number} if response.status == 200:
                return digits_of(number)
        return "" if response.status == 404 else None

    # ------------------------------------------------------------------------------------------------------- webhooks

    def senders_in(self, request: HttpRequest) -> frozenset[str]:
        return named_in(request, "session")

    def read_webhook(self, request: HttpRequest, now: float) -> WebhookRead | BadProof:
        """One envelope, or a list of them. Those of other sessions (a global webhook) are passed over."""
        if self.webhook_secret:
            proof = hmac.new(self.webhook_secret.encode(), request.body, hashlib.sha512).hexdigest()
            given = request.header("x-webhook-hmac").strip().lower()
            if not hmac.compare_digest(proof.encode(), given.encode()):
                return BadProof("wrong signature" if given else "no signature")
        decoded = request.json()
        reports: list[Report] = []
        inbound: list[Inbound] = []
        hidden: list[Hidden] = []
        aliases: list[tuple[str, str]] = []
        connection: bool | None = None
        unsure = False
        for envelope in decoded if isinstance(decoded, list) else [decoded]:
            if not isinstance(envelope, dict) or envelope.get("session", self.session) != self.session:
                continue
            match envelope:
                case {"event": "message.ack", "payload": dict(payload)}:
                    reports += self._report(payload, now)
                case {"event": "message", "payload": dict(payload)}:
                    sender = identity_of(payload.get("from"))
                    for text in self._inbound(payload, now):
                        if text.msisdn:
                            inbound.append(text)
                            aliases.append((sender, text.msisdn))
                        else:
                            hidden.append(Hidden(text, sender, self._number_request(payload), self.read_number))
                case {"event": "session.status", "payload": {"status": str(status)}}:
                    unsure = status in _PASSING
                    connection = None if unsure else status == _WORKING
        return WebhookRead(
            tuple(reports), tuple(inbound), connection, unsure, hidden=tuple(hidden), aliases=tuple(aliases)
        )

    def _report(self, payload: dict[str, Any], now: float) -> Iterator[Report]:
        remote_id = message_key(payload.get("id"))
        named = payload.get("ackName")
        status = status_of(payload.get("ack", _ACKS.get(named) if isinstance(named, str) else None))
        if status is not None and remote_id and from_us(payload.get("id"), payload.get("fromMe")) is not False:
            yield Report(self.channel, remote_id, status, at=now)

    def _inbound(self, payload: dict[str, Any], now: float) -> Iterator[Inbound]:
        """A text, with msisdn "" where only a hidden identity is known."""
        sender = jid_of(payload.get("from"))
        if from_us(payload.get("id"), payload.get("fromMe")) or not identity_of(sender):
            return
        text = _words(payload)
        if text:
            yield Inbound(
                self.channel,
                digits_of(sender) or _number_beside(payload.get("_data")),
                to="",
                remote_id=message_key(payload.get("id")),
                text=text,
                at=moment(payload.get("timestamp"), now),
            )

    def _number_request(self, payload: dict[str, Any]) -> HttpRequest:
        lid = quote(jid_of(payload.get("from")), safe="")
        return self._request("GET", f"/api/{self._segment}/lids/{lid}")


def _chat_of(recipient: str) -> str:
    return identity_of(recipient) or f"{recipient.partition('@')[0]}@c.us"


def _about_session(error: dict[str, Any]) -> bool:
    """422 is also what a method is answered that the engine has not built."""
    return "expected" in error or "session" in f"{error.get('error')} {error.get('message')}".lower()


def _sent_id(body: object) -> str:
    """The id of a message that was taken: the engines put it in different places."""
    if not isinstance(body, dict):
        return ""
    return next(filter(None, map(message_key, (body.get("id"), body.get("key"), body.get("_data")))), "")


def _number_beside(data: object) -> str:
    """The number of a sender with a hidden identity, from what the engine (NOWEB, GOWS) told beside it; else ""."""
    beside: list[object] = []
    match data:
        case {"key": dict(key)}:
            beside = [key.get("remoteJidAlt"), key.get("senderPn")]
        case {"Info": dict(info)}:
            beside = [info.get("SenderAlt")]
    return next(filter(None, map(digits_of, beside)), "")


def _words(payload: dict[str, Any]) -> str:
    """What a person said; "[imagem] caption" and the like for what is not words; "" for what nobody said."""
    written = payload.get("body")
    body = written if isinstance(written, str) else ""
    if payload.get("hasMedia") is True:
        media = payload.get("media")
        kind, name = (media.get("mimetype"), media.get("filename")) if isinstance(media, dict) else (None, None)
        placeholder = _placeholder(kind)
        if not body and placeholder == "[documento]" and isinstance(name, str):
            body = name
        return f"{placeholder} {body}".rstrip()
    if payload.get("location"):
        return "[localização]"
    if payload.get("vCards"):
        return "[contato]"
    match payload.get("_data"):
        case {"message": message} | {"Message": message} if not body:
            return text_in(message)
    return body


def _placeholder(mimetype: object) -> str:
    if not isinstance(mimetype, str):
        return "[mensagem]"
    kind = mimetype.partition(";")[0].strip().lower()
    return _PLACEHOLDERS.get(kind) or _PLACEHOLDERS.get(kind.partition("/")[0]) or "[documento]"
