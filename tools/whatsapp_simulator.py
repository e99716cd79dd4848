"""A WhatsApp provider for the laboratory: the HTTP interface of Evolution API 2.3 over an unofficial connection.

    pombo simulate whatsapp --listen tcp:8080:interface=127.0.0.1 --account 5511988880001 \
        --webhook http://127.0.0.1:8081/webhooks/zap

What it says and where it errs is as in Evolution: a 201 proves nothing, a 400 means three things.
"""

from __future__ import annotations

import json
import random
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger

from tools.clock import Clock, pause
from tools.http_door import HANG, RESET, Reply
from tools.people import People, digits_of, person_of, usual_identity
from tools.scripts import Ack, Scripts, WhatsAppScript
from tools.webhooks import Webhooks

STATUS = {"sent": "SERVER_ACK", "delivered": "DELIVERY_ACK", "read": "READ", "failed": "ERROR"}
VERSION = "2.3.7"
log = Logger()


class EvolutionSettings(msgspec.Struct, frozen=True):
    """How the provider behaves towards everybody; scripts say it per person. repr does not show the key."""

    key: str
    instance: str = "main"
    answer_after_s: float = 0.05  # sends
    lookup_after_s: float = 0.03
    rate: float = 0.0  # sends per second beyond which they are answered 429; 0: no limit
    share: float = 0.0  # of the people nobody listed, how many have an account (always the same ones)

    def __repr__(self) -> str:
        return f"EvolutionSettings(instance={self.instance!r})"


class Sent(msgspec.Struct):
    """One sendText that came in. repr shows neither number nor text."""

    at: float
    person: str
    text: str
    message_id: str = ""  # "" when it was not taken
    status: int = 0  # HTTP status of the answer; 0: none was given

    def __repr__(self) -> str:
        return f"Sent(message_id={self.message_id!r}, status={self.status})"


def error(status: int, name: str, message: Any) -> Reply:
    """Evolution's form of an error."""
    return Reply(status, {"status": status, "error": name, "response": {"message": message}})


class EvolutionSimulator:
    """The provider. `sends` and `lookups` keep what came, in order."""

    def __init__(
        self,
        settings: EvolutionSettings,
        clock: Clock,
        webhooks: Webhooks,
        *,
        rng: random.Random | None = None,
        watch: Callable[[str, Sent], None] = lambda what, sent: None,
    ) -> None:
        """watch: told ("send" | "sent" | "delivered" ..., the send) as things happen."""
        self.settings = settings
        self.clock = clock
        self.webhooks = webhooks
        self.scripts: Scripts[WhatsAppScript] = Scripts(WhatsAppScript())
        self.people = People(settings.share)
        self.sends: list[Sent] = []
        self.lookups: list[str] = []  # people asked about
        self.connected = True
        self._rng = rng or random.Random()
        self._watch = watch
        self._recent: deque[float] = deque()

    # ---- requests

    async def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """The answer to one request. headers: lower-case names. Source: Evolution API 2.3, its router."""
        if path == "/":
            return Reply(
                200, {"status": 200, "message": "Welcome to the Evolution API, it is working!", "version": VERSION}
            )
        if headers.get("apikey") != self.settings.key:
            return error(401, "Unauthorized", "Unauthorized")
        room, _, rest = path.strip("/").partition("/")
        action, _, instance = rest.partition("/")
        if instance != self.settings.instance:
            return error(404, "Not Found", [f'The "{instance}" instance does not exist'])
        match method, room, action:
            case "GET", "instance", "connectionState":
                state = "open" if self.connected else "close"
                return Reply(200, {"instance": {"instanceName": instance, "state": state}})
            case "POST", "chat", "whatsappNumbers":
                return await self._numbers(_json(body))
            case "POST", "message", "sendText":
                return await self._send_text(_json(body))
            case "POST", "webhook", "set":
                return self._set_webhook(_json(body))
            case "GET", "webhook", "find":
                return Reply(200, {"url": self.webhooks.url, "enabled": bool(self.webhooks.url), "events": []})
        return error(404, "Not Found", [f"Cannot {method} {path}"])

    async def _numbers(self, body: dict[str, Any]) -> Reply:
        numbers = body.get("numbers")
        if not isinstance(numbers, list) or not numbers or len(set(map(str, numbers))) != len(numbers):
            return error(400, "Bad Request", [["instance.numbers does not meet minimum length or has duplicates"]])
        await self._wait(self.settings.lookup_after_s)
        scripts = [self.scripts.of(person_of(str(number))) for number in numbers]
        self.lookups += [person_of(str(number)) for number in numbers]
        if any(script.lookup == "hang" for script in scripts):
            return HANG
        if not self.connected:
            return Reply(400, _boom(428, "Precondition Required", "Connection Closed"))
        if any(script.lookup == "error" for script in scripts):
            return Reply(400, _boom(408, "Request Time-out", "Timed Out"))
        found = []
        for number, script in zip(map(str, numbers), scripts, strict=True):
            identity = None if script.lookup == "no" else self.people.identity(number)
            jid = f"{identity or usual_identity(number)}@s.whatsapp.net"
            found.append({"jid": jid, "exists": identity is not None, "number": digits_of(number)})
        return Reply(200, found)

    async def _send_text(self, body: dict[str, Any]) -> Reply:
        number, text = body.get("number"), body.get("text")
        if not isinstance(number, str) or not number or not isinstance(text, str) or not text:
            return error(400, "Bad Request", [['instance requires property "number" and "text"']])
        sent = Sent(at=float(self.clock.seconds()), person=person_of(number), text=text)
        self.sends.append(sent)
        self._watch("send", sent)
        script = self.scripts.of(sent.person)
        refusal = self._refusal(sent, script, number)
        if refusal is not None:
            await self._wait(self.settings.answer_after_s)
            sent.status = refusal.status
            return refusal
        if script.send != "reset" or script.taken:
            sent.message_id = "3EB0" + secrets.token_hex(9).upper()
            acks = Deferred.fromCoroutine(self._acks(sent, script))
            acks.addErrback(lambda failure: log.failure("an ack failed", failure=failure))
            if script.early:
                await acks
        await self._wait(self.settings.answer_after_s)
        if script.send in ("hang", "reset"):
            return HANG if script.send == "hang" else RESET
        sent.status = 201
        return Reply(
            201,
            {
                "key": {
                    "remoteJid": f"{self.people.identity(sent.person)}@s.whatsapp.net",
                    "fromMe": True,
                    "id": sent.message_id,
                },
                "message": {"conversation": text},
                "messageType": "conversation",
                "messageTimestamp": int(self.clock.seconds()),
                "status": "PENDING",
                "instanceId": "lab",
            },
        )

    def _refusal(self, sent: Sent, script: WhatsAppScript, number: str) -> Reply | None:
        if not self.connected or script.send == "disconnected":
            return error(500, "Internal Server Error", ["Connection Closed"])
        if script.send == "http":
            return error(script.http_status, "Internal Server Error", ["Internal server error"])
        while self._recent and sent.at - self._recent[0] >= 1.0:
            self._recent.popleft()
        if script.send == "limited" or (self.settings.rate and len(self._recent) >= self.settings.rate):
            return error(429, "Too Many Requests", ["rate-overlimit"])
        self._recent.append(sent.at)
        if self.people.identity(sent.person) is None:
            jid = f"{usual_identity(number)}@s.whatsapp.net"
            return error(400, "Bad Request", [{"jid": jid, "exists": False, "number": digits_of(number)}])
        if script.send == "refuse":
            return error(400, "Bad Request", ["Error: the message could not be sent"])
        return None

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

    async def _acks(self, sent: Sent, script: WhatsAppScript) -> None:
        """Report what becomes of a message, as its script says; returns once every webhook is answered."""
        acks = list(script.acks)
        if script.shuffled:
            last_s = max((ack.after_s for ack in acks), default=0.0)
            self._rng.shuffle(acks)
            acks = [Ack(last_s, ack.state) for ack in acks]
        waits = [0.0 if script.early else ack.after_s for ack in acks]
        await gatherResults(
            [
                Deferred.fromCoroutine(self._ack(sent, ack.state, wait_s, script.copies))
                for ack, wait_s in zip(acks, waits, strict=True)
            ]
        )

    async def _ack(self, sent: Sent, state: str, wait_s: float, copies: int) -> None:
        await self._wait(wait_s)
        self._watch(state, sent)
        event = self._envelope(
            "messages.update",
            {
                "keyId": sent.message_id,
                "remoteJid": f"{self.people.identity(sent.person)}@s.whatsapp.net",
                "fromMe": True,
                "status": STATUS[state],
                "instanceId": "lab",
            },
        )
        await gatherResults([Deferred.fromCoroutine(self.webhooks.send(event)) for _ in range(copies)])

    async def says(self, number: str, text: str, message_id: str = "") -> int:
        """A person writes to us; returns the status of the webhook's answer."""
        jid = f"{self.people.identity(number) or usual_identity(number)}@s.whatsapp.net"
        return await self.webhooks.send(
            self._envelope(
                "messages.upsert",
                {
                    "key": {"remoteJid": jid, "fromMe": False, "id": message_id or secrets.token_hex(10).upper()},
                    "pushName": "Cliente",
                    "message": {"conversation": text},
                    "messageType": "conversation",
                    "messageTimestamp": int(self.clock.seconds()),
                    "instanceId": "lab",
                },
            )
        )

    async def connect(self, connected: bool) -> int:
        """The phone is linked or logged out; returns the status of the webhook's answer."""
        self.connected = connected
        state = {"state": "open", "statusReason": 200} if connected else {"state": "close", "statusReason": 401}
        return await self.webhooks.send(
            self._envelope("connection.update", {"instance": self.settings.instance, **state})
        )

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

    async def _wait(self, wait_s: float) -> None:
        await pause(self.clock, wait_s)


def _json(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _boom(status: int, name: str, message: str) -> dict[str, Any]:
    """The raw exception that a failed lookup is answered with (@hapi/boom)."""
    payload = {"statusCode": status, "error": name, "message": message}
    return {
        "data": None,
        "isBoom": True,
        "isServer": status >= 500,
        "output": {"statusCode": status, "payload": payload, "headers": {}},
    }
