"""WPPConnect server 2.10 (REST over WhatsApp Web in a browser), one session of it.

Sources: its Swagger document, its source, and answers recorded from it. Its webhooks come once and unsigned: the only
proof they can carry is a `key` in their URL.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from bridge.provider import Account, BadProof, Headers, Hidden, HttpRequest, HttpResponse, WebhookRead, named_in
from bridge.providers.baileys import digits_of
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

# status of `status-find`. disconnectedMobile was misspelt for years.
_CONNECTED = frozenset({"inChat"})
_LOGGED_OUT = frozenset(
    {"notLogged", "disconnectedMobile", "desconnectedMobile", "deleteToken", "qrReadError", "qrReadFail"}
)
_UNSURE = frozenset(
    {"autocloseCalled", "browserClose", "serverClose", "phoneNotConnected", "isLogged", "qrReadSuccess"}
)
_PAIRING = frozenset({"qrcode", "phoneCode"})  # events of a session that waits to be paired

# `type` of a message. The body of a file is the file: only its caption is words.
_WORDS = frozenset({"chat", "template_button_reply", "buttons_response", "list_response", "interactive_response"})
_PLACEHOLDERS = {
    "image": "[imagem]",
    "video": "[vídeo]",
    "ptv": "[vídeo]",
    "audio": "[áudio]",
    "ptt": "[áudio]",
    "document": "[documento]",
    "sticker": "[figurinha]",
    "location": "[localização]",
    "vcard": "[contato]",
    "multi_vcard": "[contato]",
    "poll_creation": "[enquete]",
    "event_creation": "[evento]",
    "order": "[pedido]",
    "product": "[produto]",
}


class Wppconnect(msgspec.Struct, frozen=True):
    """api_key: the finished token of the session. webhook_secret: `key` in the webhook's URL; "" when it has none."""

    channel: str
    url: str
    api_key: str
    session: str
    webhook_secret: str = ""
    check_numbers: int = 1
    needs_identity: bool = False  # the server resolves a number by itself

    @classmethod
    def of(cls, settings: BridgeSettings) -> Wppconnect:
        secret = settings.webhook_secret
        return cls(
            channel=settings.name,
            url=str(settings.url).rstrip("/"),
            api_key=settings.api_key.get_secret_value(),
            session=settings.instance,
            webhook_secret=secret.get_secret_value() if secret is not None else "",
        )

    def __repr__(self) -> str:
        return f"<Wppconnect {self.channel}>"

    # ------------------------------------------------------------------------------------------------------- requests

    def check_request(self, numbers: Sequence[str]) -> HttpRequest:
        return self._request("GET", f"check-number-status/{quote(numbers[0], safe='')}")

    def send_request(self, recipient: str, text: str, message_id: str) -> HttpRequest:
        """One telephone per send: of several, one bad one spoils the answer for all."""
        phone, _, server = recipient.partition("@")
        body: dict[str, object] = {"phone": phone, "isGroup": False, "message": text, "options": {"linkPreview": False}}
        if server == "lid":
            body["isLid"] = True
        return self._request("POST", "send-message", body)

    def message_request(self, recipient: str, remote_id: str) -> HttpRequest:
        return self._request("GET", f"message-by-id/{quote(_whole_id(recipient, remote_id), safe='')}")

    def withdraw_request(self, recipient: str, remote_id: str) -> HttpRequest:
        phone, _, server = recipient.partition("@")
        body = {"phone": phone, "isGroup": False, "messageId": _whole_id(recipient, remote_id)}
        if server == "lid":
            body["isLid"] = True
        return self._request("POST", "delete-message", body | {"deleteMediaInDevice": True})

    def state_request(self) -> HttpRequest:
        return self._request("GET", "check-connection-session")

    def _request(self, method: str, path: str, body: object | None = None) -> HttpRequest:
        headers: Headers = (("Authorization", f"Bearer {self.api_key}"), ("Accept", "application/json"))
        if body is not None:
            headers += (("Content-Type", "application/json"),)
        url = f"{self.url}/api/{quote(self.session, safe='')}/{path}"
        return HttpRequest(method, url, headers, b"" if body is None else msgspec.json.encode(body))

    # -------------------------------------------------------------------------------------------------------- answers

    def read_check(self, response: HttpResponse, numbers: Sequence[str]) -> Mapping[str, Account]:
        """Only a 200 says anything: 404 is a session that is down, 500 a check that failed."""
        account: Account = None
        match response.json() if response.status == 200 else None:
            case {"response": {"numberExists": True} as found}:
                account = (True, _number_of(found.get("id")))
            case {"response": {"numberExists": False}}:
                account = False
        return dict.fromkeys(numbers, account)

    def read_send(self, response: HttpResponse) -> AttemptResult:
        """The server checks the number before it sends; "O número N não existe." (400) is also what it says when that
        check broke, so it is no more than a refusal."""
        body = response.json()
        if 200 <= response.status < 300:
            return _read_taken(body)
        match body:
            case {"status": "Disconnected"} if response.status == 404:
                return ChannelDown("logged_out", "404")
        return refusal(response)

    @staticmethod
    def read_message(response: HttpResponse) -> Status | None:
        """201; 400 is a message it does not find, and whatever else was thrown."""
        match response.json() if response.status in (200, 201) else None:
            case {"response": {"data": {"ack": ack} as found}} if from_us(found.get("id"), found.get("fromMe")):
                return status_of(ack)
        return None

    @staticmethod
    def read_withdrawn(response: HttpResponse) -> bool | None:
        """401 is also what a deletion is answered that came to nothing."""
        return True if 200 <= response.status < 300 else None if response.status >= 500 else False

    def read_state(self, response: HttpResponse) -> bool | None:
        if response.status in (401, 403, 404):
            return False
        match response.json():
            case {"status": bool(connected)} if response.status == 200:
                return connected
        return None

    @staticmethod
    def read_number(response: HttpResponse) -> str | None:
        """The digits behind a hidden identity, "" when nobody knows them, None when the server cannot tell now."""
        body = response.json()
        if response.status != 200 or not isinstance(body, dict):
            return None
        return digits_of(jid_of(body.get("phoneNumber")))

    # ------------------------------------------------------------------------------------------------------- webhooks

    def senders_in(self, request: HttpRequest) -> frozenset[str]:
        return named_in(request, "session")

    def read_webhook(self, request: HttpRequest, now: float) -> WebhookRead | BadProof:
        """One event with the library's own object spread out beside it. Those of other sessions are passed over."""
        if self.webhook_secret:
            given = request.query("key")
            if not hmac.compare_digest(self.webhook_secret.encode(), given.encode("utf-8", "surrogatepass")):
                return BadProof("wrong key" if given else "no key")
        decoded = request.json()
        if not isinstance(decoded, dict) or decoded.get("session", self.session) != self.session:
            return WebhookRead()
        match decoded:
            case {"event": "onack"}:
                return WebhookRead(reports=tuple(self._report(decoded, now)))
            case {"event": "onmessage"}:
                return self._read_message(decoded, now)
            case {"event": "status-find", "status": str(status)}:
                known = True if status in _CONNECTED else False if status in _LOGGED_OUT else None
                return WebhookRead(connection=known, unsure=status in _UNSURE)
            case {"event": str(event)} if event in _PAIRING:
                return WebhookRead(connection=False)
        return WebhookRead()

    def _report(self, ack: dict[str, Any], now: float) -> Iterator[Report]:
        remote_id, status = message_key(ack.get("id")), status_of(ack.get("ack"))
        if status is not None and remote_id and from_us(ack.get("id"), ack.get("fromMe")) is not False:
            yield Report(self.channel, remote_id, status, at=now)

    def _read_message(self, message: dict[str, Any], now: float) -> WebhookRead:
        """Texts of persons to us: no groups, no channels, no status posts, nothing of our own."""
        sender, text = jid_of(message.get("from")), _words(message)
        ours = from_us(message.get("id"), message.get("fromMe")) or message.get("isGroupMsg") is True
        if ours or not text or not identity_of(sender):
            return WebhookRead()
        inbound = Inbound(
            self.channel,
            digits_of(sender),
            to="",
            remote_id=message_key(message.get("id")),
            text=text,
            at=moment(message.get("t"), now),
        )
        if inbound.msisdn:
            return WebhookRead(inbound=(inbound,))
        ask = self._request("GET", f"contact/pn-lid/{quote(sender, safe='')}")
        return WebhookRead(hidden=(Hidden(inbound, identity_of(sender), ask, self.read_number),))


def _whole_id(recipient: str, remote_id: str) -> str:
    return f"true_{recipient if '@' in recipient else f'{recipient}@c.us'}_{remote_id}"


def _read_taken(body: object) -> AttemptResult:
    """The message that was sent, in a list of one; its id is a string or an object. It may have failed all the same."""
    match body:
        case {"response": [dict(sent), *_]} | {"response": dict(sent)} if remote_id := message_key(sent.get("id")):
            if sent.get("isSendFailure") is True or status_of(sent.get("ack")) is Status.FAILED:
                return Refused("failed", rejected=False)
            return Accepted(remote_id, _number_of(sent.get("to")))
    return Uncertain("unreadable_answer")


def _number_of(written: object) -> str:
    """The identity that is a number; "" for a hidden one, which the server takes for sending only on some days."""
    identity = identity_of(written)
    return identity if identity.endswith("@c.us") else ""


def _words(message: dict[str, Any]) -> str:
    """What a person said; "[imagem] caption" and the like for what is not words; "" for what nobody said."""
    kind = message.get("type")
    if not isinstance(kind, str):
        return ""
    if kind in _WORDS:
        body = message.get("body")
        return body if isinstance(body, str) else ""
    placeholder, caption = _PLACEHOLDERS.get(kind, ""), message.get("caption")
    if not caption and kind == "document":
        caption = message.get("filename")
    return f"{placeholder} {caption}" if placeholder and isinstance(caption, str) and caption else placeholder
