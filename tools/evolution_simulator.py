"""Evolution API 2.3 over an unofficial connection, for the laboratory: a 201 proves nothing, a 400 means three things.

Source: Evolution API 2.3, its router and its webhook controller: 10 attempts, 5 s growing twofold to 300 s.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from tools.http_door import Reply
from tools.people import digits_of, usual_identity
from tools.scripts import Ack
from tools.webhooks import Webhooks, bearer_jwt
from tools.whatsapp_provider import Fault, ProviderSettings, Sent, WhatsAppProvider, broken, json_object

STATUS = {"sent": "SERVER_ACK", "delivered": "DELIVERY_ACK", "read": "READ", "failed": "ERROR"}
REASONS = {"": 200, "logged_out": 401, "banned": 403}  # statusReason
VERSION = "2.3.7"


class EvolutionSettings(ProviderSettings, frozen=True):
    """webhook_secret: the `jwt_key` among the webhook's headers; `webhook/set` may give another."""

    def __repr__(self) -> str:
        return f"EvolutionSettings(instance={self.instance!r})"


def error(status: int, name: str, message: Any) -> Reply:
    """Evolution's form of an error."""
    return Reply(status, {"status": status, "error": name, "response": {"message": message}})


class EvolutionSimulator(WhatsAppProvider):
    """The instance of an Evolution server."""

    def __init__(self, settings: ProviderSettings, clock: Any, webhooks: Webhooks, **more: Any) -> None:
        super().__init__(settings, clock, webhooks, **more)
        webhooks.jwt_key = webhooks.jwt_key or settings.webhook_secret

    def prove(self, body: bytes) -> dict[str, str]:
        """An HS256 JWT of ten minutes, which does not cover the body."""
        return bearer_jwt(self.webhooks.jwt_key, self.clock.seconds()) if self.webhooks.jwt_key else {}

    # ---- requests

    async def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        path = urlsplit(path).path
        if path == "/":
            return Reply(
                200, {"status": 200, "message": "Welcome to the Evolution API, it is working!", "version": VERSION}
            )
        if headers.get("apikey") != self.settings.key:
            return error(401, "Unauthorized", "Unauthorized")
        room, _, rest = path.strip("/").partition("/")
        action, _, segment = rest.partition("/")
        instance = unquote(segment)
        if instance != self.settings.instance:
            return error(404, "Not Found", [f'The "{instance}" instance does not exist'])
        match method, room, action:
            case "GET", "instance", "connectionState":
                state = "open" if self.connected else "close"
                return Reply(200, {"instance": {"instanceName": instance, "state": state}})
            case "POST", "chat", "whatsappNumbers":
                return await self._numbers(json_object(body))
            case "POST", "message", "sendText":
                return await self._send_text(json_object(body))
            case "DELETE", "chat", "deleteMessageForEveryone":
                return await self._delete(json_object(body))
            case "POST", "webhook", "set":
                return self._set_webhook(json_object(body))
            case "GET", "webhook", "find":
                return Reply(200, {"url": self.webhooks.url, "enabled": bool(self.webhooks.url), "events": []})
        return error(404, "Not Found", [f"Cannot {method} {path}"])

    async def _numbers(self, body: dict[str, Any]) -> Reply:
        numbers = body.get("numbers")
        if not isinstance(numbers, list) or not numbers or len(set(map(str, numbers))) != len(numbers):
            return error(400, "Bad Request", [["instance.numbers does not meet minimum length or has duplicates"]])
        asked = list(map(str, numbers))
        known = await self.look_up(asked)
        if isinstance(known, Fault):
            if known.kind == "disconnected":
                return Reply(400, _boom(428, "Precondition Required", "Connection Closed"))
            return broken(known) or Reply(400, _boom(408, "Request Time-out", "Timed Out"))
        return Reply(
            200,
            [
                {
                    "jid": f"{identity or usual_identity(number)}@s.whatsapp.net",
                    "exists": identity is not None,
                    "number": digits_of(number),
                }
                for number, identity in zip(asked, known, strict=True)
            ],
        )

    async def _send_text(self, body: dict[str, Any]) -> Reply:
        number, text = body.get("number"), body.get("text")
        if not isinstance(number, str) or not number or not isinstance(text, str) or not text:
            return error(400, "Bad Request", [['instance requires property "number" and "text"']])
        sent, fault = await self.take(number, text)
        if fault is not None:
            reply = broken(fault) or self._refusal(fault, number)
            sent.status = max(reply.status, 0)
            return reply
        sent.status = 201
        return Reply(
            201,
            {
                "key": {"remoteJid": self._jid(sent.person), "fromMe": True, "id": sent.message_id},
                "message": {"conversation": text},
                "messageType": "conversation",
                "messageTimestamp": int(self.clock.seconds()),
                "status": "PENDING",
                "instanceId": "lab",
            },
        )

    async def _delete(self, body: dict[str, Any]) -> Reply:
        known, jid = self.of_id(str(body.get("id"))), body.get("remoteJid")
        here = known is not None and jid == self._jid(known.person) and body.get("fromMe") is True
        sent = await self.delete(known.message_id) if known is not None and here else Fault("error")
        if isinstance(sent, Fault):
            if sent.kind == "disconnected":
                return error(500, "Internal Server Error", ["Connection Closed"])
            return broken(sent) or error(400, "Bad Request", ["Error while deleting message for everyone"])
        key = {"remoteJid": jid, "fromMe": True, "id": sent.message_id}
        return Reply(
            201,
            {
                "key": {**key, "id": self.new_id()},
                "message": {"protocolMessage": {"key": key, "type": "REVOKE"}},
                "messageTimestamp": str(int(self.clock.seconds())),
                "status": "PENDING",
            },
        )

    def _refusal(self, fault: Fault, number: str) -> Reply:
        match fault:
            case Fault(kind="disconnected"):
                return error(500, "Internal Server Error", ["Connection Closed"])
            case Fault(kind="limited"):
                return error(429, "Too Many Requests", ["rate-overlimit"])
            case Fault(kind="nobody"):
                jid = f"{usual_identity(number)}@s.whatsapp.net"
                return error(400, "Bad Request", [{"jid": jid, "exists": False, "number": digits_of(number)}])
            case Fault(kind="refused", code=code) if code:  # an instance over the Cloud API: Meta's error under a 201
                return Reply(201, {"error": {"message": f"(#{code})", "type": "OAuthException", "code": code}})
            case Fault(kind="refused"):
                return error(400, "Bad Request", ["Error: the message could not be sent"])
        return error(fault.status, "Internal Server Error", ["Internal server error"])

    def _set_webhook(self, body: dict[str, Any]) -> Reply:
        webhook = body.get("webhook")
        if not isinstance(webhook, dict) or not isinstance(webhook.get("url"), str):
            return error(400, "Bad Request", [['instance requires property "webhook.url"']])
        headers = {str(name): str(value) for name, value in (webhook.get("headers") or {}).items()}
        self.webhooks.jwt_key = headers.pop("jwt_key", "")
        self.webhooks.headers = headers
        self.webhooks.url = webhook["url"] if webhook.get("enabled", True) else ""
        return Reply(
            201, {"id": "lab", "url": self.webhooks.url, "enabled": bool(self.webhooks.url), "webhookByEvents": False}
        )

    # ---- what the provider tells by itself

    def status_event(self, sent: Sent, ack: Ack, code: int) -> dict[str, Any]:
        return self._envelope(
            "messages.update",
            {
                "keyId": sent.message_id,
                "remoteJid": self._jid(sent.person),
                "fromMe": True,
                "status": STATUS[ack.state],
                "instanceId": "lab",
            },
        )

    def text_event(self, number: str, text: str, message_id: str) -> dict[str, Any]:
        return self._envelope(
            "messages.upsert",
            {
                "key": {"remoteJid": self._jid(number), "fromMe": False, "id": message_id},
                "pushName": "Cliente",
                "message": {"conversation": text},
                "messageType": "conversation",
                "messageTimestamp": int(self.clock.seconds()),
                "instanceId": "lab",
            },
        )

    def connection_event(self) -> dict[str, Any]:
        state = "open" if self.connected else "close"
        return self._envelope(
            "connection.update",
            {"instance": self.settings.instance, "state": state, "statusReason": REASONS[self.trouble]},
        )

    def _jid(self, number: str) -> str:
        return f"{self.people.identity(number) or usual_identity(number)}@s.whatsapp.net"

    def _envelope(self, event: str, data: dict[str, Any]) -> dict[str, Any]:
        local = datetime.fromtimestamp(float(self.clock.seconds()), UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        return {
            "event": event,
            "instance": self.settings.instance,
            "data": data,
            "destination": self.webhooks.url,
            "date_time": local,
            "sender": "5511900000000@s.whatsapp.net",
            "server_url": "",
            "apikey": self.settings.key,
        }


def _boom(status: int, name: str, message: str) -> dict[str, Any]:
    """The raw exception that a failed lookup is answered with (@hapi/boom)."""
    payload = {"statusCode": status, "error": name, "message": message}
    return {
        "data": None,
        "isBoom": True,
        "isServer": status >= 500,
        "output": {"statusCode": status, "payload": payload, "headers": {}},
    }
