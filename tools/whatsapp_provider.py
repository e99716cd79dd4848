"""What the simulated WhatsApp providers have in common: people, fault scripts, sends, and what becomes of them.

Each API is a class in a file of its own: it reads requests, words answers, events and their proofs, and leaves the
rest to what is here. See tools.whatsapp_simulator for the table of them.
"""

from __future__ import annotations

import json
import random
import secrets
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec
from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger

from tools.clock import Clock, pause
from tools.http_door import HANG, RESET, Reply
from tools.people import People, person_of
from tools.scripts import Ack, Scripts, WhatsAppScript
from tools.webhooks import Retries, Webhooks

NO_FAULT = WhatsAppScript()
log = Logger()


class ProviderSettings(msgspec.Struct, frozen=True):
    """How the provider behaves towards everybody; scripts say it per person. repr does not show the keys."""

    key: str
    instance: str = "main"  # instance, session or phone number id
    answer_after_s: float = 0.05  # sends
    lookup_after_s: float = 0.03
    rate: float = 0.0  # sends per second beyond which they are answered 429; 0: no limit
    share: float = 0.0  # of the people nobody listed, how many have an account (always the same ones)
    webhook_secret: str = ""  # what proves webhooks, where the API has a way of its own
    verify_token: str = ""  # cloud_api: of the challenge
    direct_send: bool = False  # cloud_api: utility texts without a template are taken
    templates: frozenset[str] = frozenset()  # cloud_api: the approved ones; empty: any name is

    def __repr__(self) -> str:
        return f"{type(self).__name__}(instance={self.instance!r})"


class Sent(msgspec.Struct):
    """One text that came in. repr shows neither number nor text.

    form: text, direct, or the name of a template. reference: what the sender wants back with every status.
    """

    at: float
    person: str
    text: str
    form: str = "text"
    reference: str = ""
    message_id: str = ""  # "" when it was not taken
    state: str = ""  # of its acks, the last one
    deleted: bool = False  # for everyone
    status: int = 0  # HTTP status of the answer; 0: none was given

    def __repr__(self) -> str:
        return f"Sent(message_id={self.message_id!r}, status={self.status})"


class Fault(msgspec.Struct, frozen=True):
    """Why a request is not answered as it should be.

    kind: hang | reset | disconnected | http | limited | nobody | refused | error; status, code: of http and refused.
    """

    kind: str
    status: int = 0
    code: int = 0


class WhatsAppProvider:
    """One sender at one provider. `sends` and `lookups` keep what came, in order.

    nobody: what becomes of a text to somebody without an account; None: the send itself is refused.
    """

    RETRIES: ClassVar[Retries] = Retries()
    nobody: ClassVar[tuple[Ack, ...] | None] = None

    def __init__(
        self,
        settings: ProviderSettings,
        clock: Clock,
        webhooks: Webhooks,
        *,
        rng: random.Random | None = None,
        watch: Callable[[str, Sent], None] = lambda what, sent: None,
    ) -> None:
        """watch: told ("send" | "sent" | "delivered" ..., the send) as things happen, and "told sent" ... when the
        webhook of it was taken."""
        self.settings = settings
        self.clock = clock
        self.webhooks = webhooks
        webhooks.retries, webhooks.prove = self.RETRIES, self.prove
        self.scripts: Scripts[WhatsAppScript] = Scripts(WhatsAppScript())
        self.people = People(settings.share)
        self.sends: list[Sent] = []
        self.lookups: list[str] = []  # people asked about
        self.trouble = ""  # of the sender: logged_out | banned
        self._rng = rng or random.Random()
        self._watch = watch
        self._recent: deque[float] = deque()
        self._tries: Counter[str] = Counter()
        self._by_id: dict[str, Sent] = {}

    # ---- what an API says in its own words

    async def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """The answer to one request. path: with its query. headers: lower-case names."""
        raise NotImplementedError

    def status_event(self, sent: Sent, ack: Ack, code: int) -> dict[str, Any]:
        """The webhook of one status. code: the script's, 0 for the usual one."""
        raise NotImplementedError

    def text_event(self, number: str, text: str, message_id: str) -> dict[str, Any]:
        """The webhook of a text that a person wrote to us."""
        raise NotImplementedError

    def connection_event(self) -> dict[str, Any]:
        """The webhook that tells how the sender is."""
        raise NotImplementedError

    def prove(self, body: bytes) -> dict[str, str]:
        """The headers that prove a webhook."""
        return {}

    def new_id(self) -> str:
        """The id of a message that is taken."""
        return "3EB0" + secrets.token_hex(9).upper()

    # ---- requests

    @property
    def connected(self) -> bool:
        return not self.trouble

    @connected.setter
    def connected(self, connected: bool) -> None:
        self.trouble = "" if connected else "logged_out"

    async def look_up(self, numbers: Sequence[str]) -> list[str | None] | Fault:
        """The digits WhatsApp knows each number by, None for those without an account."""
        await self._wait(self.settings.lookup_after_s)
        scripts = [self.scripts.of(person_of(number)) for number in numbers]
        self.lookups += [person_of(number) for number in numbers]
        if any(script.lookup == "hang" for script in scripts):
            return Fault("hang")
        if not self.connected:
            return Fault("disconnected")
        if any(script.lookup == "error" for script in scripts):
            return Fault("error")
        return [
            None if script.lookup == "no" else self.people.identity(number)
            for number, script in zip(numbers, scripts, strict=True)
        ]

    async def take(
        self, number: str, text: str, *, form: str = "text", reference: str = "", message_id: str = ""
    ) -> tuple[Sent, Fault | None]:
        """Take a text as the script of its person says; `status` of the send is for the caller to set. message_id: the
        sender's own choice."""
        sent = Sent(float(self.clock.seconds()), person_of(number), text, form, reference)
        self.sends.append(sent)
        self._watch("send", sent)
        self._tries[sent.person] += 1
        script = self.scripts.of(sent.person)
        if script.times and self._tries[sent.person] > script.times:
            script = NO_FAULT
        if script.trouble and self.connected:
            self._drop(script)
        fault = self._fault(sent, script)
        if fault is not None:
            await self._wait(self.settings.answer_after_s)
            return sent, fault
        if script.send != "reset" or script.taken:
            sent.message_id = message_id or self.new_id()
            self._by_id[sent.message_id] = sent
            acks = Deferred.fromCoroutine(self._acks(sent, self._becomes(number, script), script))
            acks.addErrback(lambda failure: log.failure("an ack failed", failure=failure))
            if script.early:
                await acks
        await self._wait(self.settings.answer_after_s)
        return sent, Fault(script.send) if script.send in ("hang", "reset") else None

    def of_id(self, message_id: str) -> Sent | None:
        """The text with this id, whose last segment counts."""
        return self._by_id.get(message_id.rpartition("_")[2])

    async def delete(self, message_id: str) -> Sent | Fault:
        """Delete a text for everyone, as the script of its person says. A telephone that was off never shows it."""
        await self._wait(self.settings.answer_after_s)
        sent = self.of_id(message_id)
        if not self.connected:
            return Fault("disconnected")
        script = self.scripts.of(sent.person) if sent is not None else NO_FAULT
        if sent is None or script.withdrawal == "error":
            return Fault("error")
        sent.deleted = True
        self._watch("deleted", sent)
        return Fault("hang") if script.withdrawal == "hang" else sent

    def _fault(self, sent: Sent, script: WhatsAppScript) -> Fault | None:
        if not self.connected or script.send == "disconnected":
            return Fault("disconnected")
        if script.send == "http":
            return Fault("http", script.http_status)
        while self._recent and sent.at - self._recent[0] >= 1.0:
            self._recent.popleft()
        if script.send == "limited" or (self.settings.rate and len(self._recent) >= self.settings.rate):
            return Fault("limited")
        self._recent.append(sent.at)
        if self.nobody is None and self.people.identity(sent.person) is None:
            return Fault("nobody")
        if script.send == "refuse":
            return Fault("refused", code=script.code)
        return None

    def _becomes(self, number: str, script: WhatsAppScript) -> tuple[Ack, ...]:
        if self.nobody is not None and not self.reaches(number):
            return self.nobody
        return script.acks

    def reaches(self, number: str) -> bool:
        """Has whoever this was sent to an account?"""
        return self.people.identity(number) is not None

    def _drop(self, script: WhatsAppScript) -> None:
        """The sender is logged out or banned, and told of it; it comes back where the script says when."""
        self._tell(self.connect(False, banned=script.trouble == "banned"))
        if script.back_after_s:
            self.clock.callLater(script.back_after_s, lambda: self._tell(self.connect(True)))

    @staticmethod
    def _tell(work: Any) -> None:
        told: Deferred[Any] = Deferred.fromCoroutine(work)
        told.addErrback(lambda failure: log.failure("a webhook failed", failure=failure))

    # ---- what the provider tells by itself

    async def _acks(self, sent: Sent, acks: Sequence[Ack], script: WhatsAppScript) -> None:
        """Report what becomes of a message, as its script says; returns once every webhook is answered."""
        acks = list(acks)
        if script.shuffled:
            last_s = max((ack.after_s for ack in acks), default=0.0)
            self._rng.shuffle(acks)
            acks = [msgspec.structs.replace(ack, after_s=last_s) for ack in acks]
        waits = [0.0 if script.early else ack.after_s for ack in acks]
        await gatherResults(
            [
                Deferred.fromCoroutine(self._ack(sent, ack, wait_s, script))
                for ack, wait_s in zip(acks, waits, strict=True)
            ]
        )

    async def _ack(self, sent: Sent, ack: Ack, wait_s: float, script: WhatsAppScript) -> None:
        await self._wait(wait_s)
        if self.trouble == "banned":  # nobody tells any more
            return
        sent.state = ack.state
        if not sent.deleted:
            self._watch(ack.state, sent)
        if not script.told:
            return
        event = self.status_event(sent, ack, ack.code or script.code)
        answers = await gatherResults([Deferred.fromCoroutine(self.webhooks.send(event)) for _ in range(script.copies)])
        if any(200 <= status < 300 for status in answers):
            self._watch(f"told {ack.state}", sent)

    async def says(self, number: str, text: str, message_id: str = "") -> int:
        """A person writes to us; returns the status of the webhook's answer."""
        return await self.webhooks.send(self.text_event(number, text, message_id or secrets.token_hex(10).upper()))

    async def connect(self, connected: bool, *, banned: bool = False) -> int:
        """The sender is linked, logged out or banned; returns the status of the webhook's answer."""
        self.trouble = "" if connected else "banned" if banned else "logged_out"
        return await self.webhooks.send(self.connection_event())

    async def _wait(self, wait_s: float) -> None:
        await pause(self.clock, wait_s)


def broken(fault: Fault) -> Reply | None:
    """The reply that is none: nothing ever comes, or the connection is cut; None for other faults."""
    return {"hang": HANG, "reset": RESET}.get(fault.kind)


def json_object(body: bytes) -> dict[str, Any]:
    """The body of a request; {} when it is no JSON object."""
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
