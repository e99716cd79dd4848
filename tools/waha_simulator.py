"""WAHA 2026 for the laboratory: who has no account is answered 201 and acknowledged once, and nothing more ever comes.

Source: WAHA's OpenAPI document 2026.7; its webhooks: HMAC-SHA512 over the raw body, 15 attempts, 2 s apart.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from tools.http_door import Reply
from tools.people import digits_of, usual_identity
from tools.scripts import Ack
from tools.webhooks import Retries
from tools.whatsapp_provider import Fault, Sent, WhatsAppProvider, broken, json_object

ACKS = {"sent": (1, "SERVER"), "delivered": (2, "DEVICE"), "read": (3, "READ"), "failed": (-1, "ERROR")}
STATES = {"": "WORKING", "logged_out": "SCAN_QR_CODE", "banned": "FAILED"}
OURS = "5511900000000@c.us"
ENVIRONMENT = {
    "version": "2026.7.1",
    "engine": "GOWS",
    "tier": "CORE",
    "browser": "",
    "platform": "linux/x86",
    "worker": {"id": "lab"},
}


def error(status: int, message: str) -> Reply:
    """The form of an error that is the server's own."""
    return Reply(status, {"message": message, "statusCode": status})


class WahaSimulator(WhatsAppProvider):
    """One session of a WAHA server."""

    RETRIES: ClassVar[Retries] = Retries(attempts=15, first_gap_s=2.0, last_gap_s=2.0, given_up=frozenset())
    nobody: ClassVar[tuple[Ack, ...] | None] = (Ack(0.15, "sent"),)

    def prove(self, body: bytes) -> dict[str, str]:
        stamped = {
            "X-Webhook-Request-Id": secrets.token_hex(13),
            "X-Webhook-Timestamp": str(int(self.clock.seconds() * 1000)),
        }
        if self.settings.webhook_secret:
            signature = hmac.new(self.settings.webhook_secret.encode(), body, hashlib.sha512).hexdigest()
            stamped |= {"X-Webhook-Hmac": signature, "X-Webhook-Hmac-Algorithm": "sha512"}
        return stamped

    # ---- requests

    async def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        if headers.get("x-api-key") != self.settings.key:
            return error(401, "Unauthorized")
        parts = urlsplit(path)
        match method, parts.path.strip("/").split("/"):
            case "GET", ["api", "sessions", session]:
                if unquote(session) != self.settings.instance:
                    return self._no_session(unquote(session))
                return Reply(200, {"name": self.settings.instance, "status": STATES[self.trouble]})
            case "GET", ["api", "contacts", "check-exists"]:
                asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
                if asked.get("session") != self.settings.instance:
                    return self._no_session(asked.get("session", ""))
                return await self._check(asked.get("phone", ""))
            case "POST", ["api", "sendText"]:
                return await self._send_text(json_object(body))
            case "GET", ["api", session, "new-message-id"] if unquote(session) == self.settings.instance:
                return Reply(200, {"id": self.new_id()})
            case "GET" | "DELETE", ["api", session, "chats", _, "messages", id] if (
                unquote(session) == self.settings.instance
            ):
                return await (self._find(unquote(id)) if method == "GET" else self._delete(unquote(id)))
            case "GET", ["api", session, "lids", lid] if unquote(session) == self.settings.instance:
                return Reply(200, {"lid": unquote(lid), "pn": None})
        return error(404, f"Cannot {method} {parts.path}")

    async def _check(self, phone: str) -> Reply:
        known = await self.look_up([phone])
        if isinstance(known, Fault):
            down = self._down() if known.kind == "disconnected" else error(500, "Internal Server Error")
            return broken(known) or down
        [identity] = known
        return Reply(
            200, {"numberExists": False} if identity is None else {"numberExists": True, "chatId": f"{identity}@c.us"}
        )

    async def _send_text(self, body: dict[str, Any]) -> Reply:
        chat, text, session = body.get("chatId"), body.get("text"), body.get("session")
        if session != self.settings.instance:
            return self._no_session(str(session))
        if not isinstance(chat, str) or "@" not in chat or not isinstance(text, str) or not text:
            return Reply(400, {"message": ["text must be a string"], "error": "Bad Request", "statusCode": 400})
        chosen = body.get("id")
        sent, fault = await self.take(chat, text, message_id=chosen if isinstance(chosen, str) else "")
        if fault is not None:
            reply = broken(fault) or self._refusal(fault)
            sent.status = max(reply.status, 0)
            return reply
        sent.status = 201
        return Reply(201, self._message(f"true_{chat}_{sent.message_id}", OURS, chat, text))

    async def _find(self, message_id: str) -> Reply:
        sent, chat = self.of_id(message_id), message_id.split("_")[1]
        if sent is None:
            return error(404, "Message not found")
        number, name = ACKS.get(sent.state, (0, "PENDING"))
        return Reply(200, self._message(message_id, OURS, chat, sent.text) | {"ack": number, "ackName": name})

    async def _delete(self, message_id: str) -> Reply:
        sent = await self.delete(message_id)
        if isinstance(sent, Fault):
            down = self._down() if sent.kind == "disconnected" else error(404, "Message not found")
            return broken(sent) or down
        return Reply(200, None)

    def reaches(self, number: str) -> bool:
        """Only the very identity: another form of the number is taken, and lost."""
        return self.people.identity(number) == digits_of(number)

    def _refusal(self, fault: Fault) -> Reply:
        match fault.kind:
            case "disconnected":
                return self._down()
            case "limited":
                return error(429, "Too Many Requests")
            case "refused":
                words = "The message cannot be sent"
                return Reply(400, {"message": [words], "error": "Bad Request", "statusCode": 400})
        return error(fault.status, "Internal Server Error")

    def _down(self) -> Reply:
        return Reply(
            422,
            {
                "error": "Session status is not as expected. Try again later or restart the session",
                "session": self.settings.instance,
                "status": STATES[self.trouble or "logged_out"],
                "expected": ["WORKING"],
            },
        )

    @staticmethod
    def _no_session(name: str) -> Reply:
        return error(404, f'Session "{name}" does not exist')

    # ---- what the provider tells by itself

    def status_event(self, sent: Sent, ack: Ack, code: int) -> dict[str, Any]:
        number, name = ACKS[ack.state]
        chat = self._chat(sent.person)
        return self._envelope(
            "message.ack",
            {
                "id": f"true_{chat}_{sent.message_id}",
                "from": OURS,
                "to": chat,
                "participant": None,
                "fromMe": True,
                "ack": number,
                "ackName": name,
            },
        )

    def text_event(self, number: str, text: str, message_id: str) -> dict[str, Any]:
        chat = self._chat(number)
        return self._envelope("message", self._message(f"false_{chat}_{message_id}", chat, OURS, text))

    def connection_event(self) -> dict[str, Any]:
        state = STATES[self.trouble]
        return self._envelope("session.status", {"name": self.settings.instance, "status": state, "statuses": []})

    def _message(self, message_id: str, sender: str, to: str, text: str) -> dict[str, Any]:
        ours = sender == OURS
        return {
            "id": message_id,
            "timestamp": int(self.clock.seconds()),
            "from": sender,
            "fromMe": ours,
            "source": "api" if ours else "app",
            "to": to,
            "participant": None,
            "body": text,
            "hasMedia": False,
            "mediaUrl": None,
            "ack": 0 if ours else 1,
            "ackName": "PENDING" if ours else "SERVER",
        }

    def _chat(self, number: str) -> str:
        return f"{self.people.identity(number) or usual_identity(number)}@c.us"

    def _envelope(self, event: str, payload: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": f"evt_{secrets.token_hex(13)}",
            "timestamp": int(self.clock.seconds() * 1000),
            "event": event,
            "session": self.settings.instance,
            "engine": "GOWS",
            "me": {"id": OURS, "pushName": "Laboratory"},
            "payload": payload,
            "environment": ENVIRONMENT,
            "metadata": {},
        }
