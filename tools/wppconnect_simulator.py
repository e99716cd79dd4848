"""WPPConnect server 2.10 for the laboratory: webhooks come once, unsigned, with a `key` in their URL at best.

Source: WPPConnect server's Swagger document and its source: device, session and message controllers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import unquote, urlencode, urlsplit

from tools.http_door import Reply
from tools.people import digits_of, usual_identity
from tools.scripts import Ack
from tools.webhooks import Retries, Webhooks
from tools.whatsapp_provider import Fault, ProviderSettings, Sent, WhatsAppProvider, broken, json_object

ACKS = {"sent": 1, "delivered": 2, "read": 3, "failed": -1}
LEAST_ACK = -7
FOUND = {"": "inChat", "logged_out": "notLogged", "banned": "disconnectedMobile"}  # status of status-find
OURS = "5511900000000@c.us"


class WppconnectSimulator(WhatsAppProvider):
    """One session of a WPPConnect server. settings.key: the token of the session."""

    RETRIES: ClassVar[Retries] = Retries(attempts=1)

    def __init__(self, settings: ProviderSettings, clock: Any, webhooks: Webhooks, **more: Any) -> None:
        super().__init__(settings, clock, webhooks, **more)
        if settings.webhook_secret and webhooks.url and "key=" not in webhooks.url:
            joint = "&" if "?" in webhooks.url else "?"
            webhooks.url += joint + urlencode({"key": settings.webhook_secret})

    # ---- requests

    async def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        match method, urlsplit(path).path.strip("/").split("/"):
            case _, ["api", session, *action]:
                known = unquote(session) == self.settings.instance
                if not known or headers.get("authorization") != f"Bearer {self.settings.key}":
                    return Reply(401, {"error": "Check that the Session and Token are correct"})
                match method, action:
                    case "GET", ["check-connection-session"]:
                        message = "Connected" if self.connected else "Disconnected"
                        return Reply(200, {"status": self.connected, "message": message})
                    case "GET", ["status-session"]:
                        return Reply(200, {"status": "CONNECTED" if self.connected else "CLOSED", "qrcode": None})
                    case "GET", ["check-number-status", phone]:
                        return await self._check(unquote(phone))
                    case "POST", ["send-message"]:
                        return await self._send_message(json_object(body))
                    case "GET", ["message-by-id", message_id]:
                        return self._find(unquote(message_id))
                    case "POST", ["delete-message"]:
                        return await self._delete(json_object(body))
        return Reply(404, {"error": f"Cannot {method}"})

    async def _check(self, phone: str) -> Reply:
        known = await self.look_up([phone])
        if isinstance(known, Fault):
            words = {"status": "error", "message": "Error on check number status", "error": {}}
            return broken(known) or (_down() if known.kind == "disconnected" else Reply(500, words))
        [identity] = known
        if identity is None:
            missing = {"id": f"{digits_of(phone)}@c.us", "isBusiness": False, "canReceiveMessage": False}
            return Reply(200, {"status": "success", "response": {**missing, "numberExists": False, "status": 404}})
        name = {"server": "c.us", "user": identity, "_serialized": f"{identity}@c.us"}
        found = {"id": name, "isBusiness": False, "canReceiveMessage": True, "numberExists": True, "status": 200}
        return Reply(200, {"status": "success", "response": found})

    async def _send_message(self, body: dict[str, Any]) -> Reply:
        phone, text = body.get("phone"), body.get("message")
        if not isinstance(phone, str) or not phone or not isinstance(text, str) or not text:
            return Reply(400, {"status": "Error", "message": "phone and message are required"})
        sent, fault = await self.take(phone, text)
        if fault is not None:
            reply = broken(fault) or self._refusal(fault, phone)
            sent.status = max(reply.status, 0)
            return reply
        sent.status = 201
        message = {
            "id": self._id(sent)["_serialized"],
            "body": text,
            "type": "chat",
            "t": int(self.clock.seconds()),
            "from": OURS,
            "to": self._chat(sent.person),
            "fromMe": True,
            "ack": 0,
        }
        return Reply(201, {"status": "success", "response": [message], "mapper": "return"})

    def _find(self, message_id: str) -> Reply:
        sent = self.of_id(message_id)
        if sent is None or self._id(sent)["_serialized"] != message_id:
            words = {"message": "Error retrieving information", "session": self.settings.instance, "log": {}}
            return Reply(400, {"status": "Error", "response": words})
        words = {"message": "Information retrieved successfully.", "contact": sent.person}
        found = {"id": self._id(sent), "fromMe": True, "ack": ACKS.get(sent.state, 0), "body": sent.text}
        return Reply(
            201, {"status": "Success", "response": {**words, "session": self.settings.instance, "data": found}}
        )

    async def _delete(self, body: dict[str, Any]) -> Reply:
        sent = await self.delete(str(body.get("messageId")))
        if isinstance(sent, Fault):
            words = {"status": "error", "response": {"message": "Error unknown on delete message"}}
            return broken(sent) or (_down() if sent.kind == "disconnected" else Reply(401, words))
        return Reply(200, {"status": "success", "response": {"message": "Message deleted"}})

    @staticmethod
    def _refusal(fault: Fault, phone: str) -> Reply:
        match fault.kind:
            case "disconnected":
                return _down()
            case "limited":
                return Reply(429, {"error": "Too many requests"})
            case "nobody" | "refused":  # the same words for a check that broke
                words = f"O número {digits_of(phone)} não existe."
                return Reply(400, {"response": None, "status": "Connected", "message": words})
        words = "Erro ao enviar a mensagem."
        return Reply(fault.status, {"status": "Error", "message": words, "error": {}})

    # ---- what the provider tells by itself

    def status_event(self, sent: Sent, ack: Ack, code: int) -> dict[str, Any]:
        number = ACKS[ack.state]
        if ack.state == "failed" and LEAST_ACK <= -code < 0:
            number = -code
        return {
            "event": "onack",
            "session": self.settings.instance,
            "id": self._id(sent),
            "ack": number,
            "t": int(self.clock.seconds()),
            "from": OURS,
            "to": self._chat(sent.person),
        }

    def text_event(self, number: str, text: str, message_id: str) -> dict[str, Any]:
        chat = self._chat(number)
        return {
            "event": "onmessage",
            "session": self.settings.instance,
            "id": f"false_{chat}_{message_id}",
            "type": "chat",
            "body": text,
            "t": int(self.clock.seconds()),
            "from": chat,
            "to": OURS,
            "fromMe": False,
            "isGroupMsg": False,
            "sender": {"id": chat, "pushname": "Cliente"},
        }

    def connection_event(self) -> dict[str, Any]:
        return {"event": "status-find", "status": FOUND[self.trouble], "session": self.settings.instance}

    def _id(self, sent: Sent) -> dict[str, Any]:
        chat, key = self._chat(sent.person), sent.message_id
        return {"fromMe": True, "remote": chat, "id": key, "_serialized": f"true_{chat}_{key}"}

    def _chat(self, number: str) -> str:
        return f"{self.people.identity(number) or usual_identity(number)}@c.us"


def _down() -> Reply:
    return Reply(404, {"response": None, "status": "Disconnected", "message": "A sessão do WhatsApp não está ativa."})
