"""A WhatsApp channel's surroundings in a dry run: its provider takes every text and none leaves.

The channel itself is the real one, so lookups, limits, templates and pace decide as they would. Lookups go to the
provider only where the configuration says so; without, only what is known already counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bridge.presence import EvidencePort
from bridge.provider import (
    Account,
    BadProof,
    Http,
    HttpOutcome,
    HttpRequest,
    HttpResponse,
    NotWritten,
    Official,
    Provider,
    WebhookRead,
)
from bridge.templates import Form
from config.schema import BridgeSettings
from gateway.messages.outcome import DRY_RUN, Accepted, AttemptResult, TryLater

PRETENDED = "PRETEND"  # the method of a request that never becomes octets


def rehearsing(settings: BridgeSettings) -> BridgeSettings:
    """Nobody acknowledges, so nobody is judged by acknowledgements."""
    return settings.model_copy(update={"health": settings.health.model_copy(update={"min_acks": 0.0})})


class DryHttp:
    """Answers pretended requests itself; what is left are lookups."""

    def __init__(self, http: Http | None) -> None:
        """http: None, and nothing leaves at all."""
        self._http = http

    async def send(self, request: HttpRequest, timeout: float) -> HttpOutcome:
        if request.method == PRETENDED:
            return HttpResponse(200, request.body)
        if self._http is None:
            return NotWritten("dry run")
        return await self._http.send(request, timeout)


class DryEvidence:
    """What was learned of people is kept; the sends that were not made use up nothing of the sender's day."""

    def __init__(self, evidence: EvidencePort) -> None:
        self._evidence = evidence

    async def read(self, people: Sequence[str]) -> Sequence[bytes | None] | None:
        return await self._evidence.read(people)

    def write(self, person: str, value: bytes, ttl_s: float) -> object:
        return None if ":#sends" in person else self._evidence.write(person, value, ttl_s)

    def use(self, tally: str, day: int, count: int, ttl_s: float, told: Callable[[bytes], None]) -> object:
        return None if ":#sends" in tally else self._evidence.use(tally, day, count, ttl_s, told)

    async def spend(self, budget: str, window_s: float, most: int, count: int) -> tuple[int, float]:
        return await self._evidence.spend(budget, window_s, most, count)


class DryProvider:
    """A service that takes everything. Webhooks are read as ever: people may write to the sender meanwhile."""

    def __init__(self, provider: Provider, lookups: bool) -> None:
        self._provider = provider
        self.check_numbers = provider.check_numbers if lookups else 0
        self.needs_identity = provider.needs_identity

    def check_request(self, numbers: Sequence[str]) -> HttpRequest | None:
        return self._provider.check_request(numbers)

    def read_check(self, response: HttpResponse, numbers: Sequence[str]) -> Mapping[str, Account]:
        return self._provider.read_check(response, numbers)

    def send_request(self, recipient: str, text: str, message_id: str) -> HttpRequest:
        return HttpRequest(PRETENDED, "", body=message_id.encode())

    def read_send(self, response: HttpResponse) -> AttemptResult:
        return Accepted(f"dry-{response.body.decode()}", note=DRY_RUN)

    def state_request(self) -> HttpRequest | None:
        return None

    def read_state(self, response: HttpResponse) -> bool | None:
        return None

    def senders_in(self, request: HttpRequest) -> frozenset[str]:
        return self._provider.senders_in(request)

    def read_webhook(self, request: HttpRequest, now: float) -> WebhookRead | BadProof:
        return self._provider.read_webhook(request, now)


class DryOfficial(DryProvider):
    """The same with rules about what may be said to whom."""

    def form_request(self, recipient: str, form: Form, message_id: str) -> HttpRequest:
        return self.send_request(recipient, "", message_id)

    def again(self, result: TryLater, tries: int) -> AttemptResult:
        return result

    def alarm(self, result: AttemptResult) -> str:
        return ""


def pretending(provider: Provider, lookups: bool) -> DryProvider:
    """The dry form of a service. lookups: may it be asked who has an account?"""
    return (DryOfficial if isinstance(provider, Official) else DryProvider)(provider, lookups)
