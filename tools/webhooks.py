"""Webhooks as the WhatsApp providers send them: proven in each API's way, repeated until they are taken.

Source of the usual way: Evolution API 2.3, webhook controller: 10 attempts, 5 s growing twofold to 300 s, 20 % either
way; 400, 401, 403, 404 and 422 end the attempts. `jwt_key` among the webhook's headers makes each call carry an HS256
JWT of 10 min.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
from collections import Counter
from collections.abc import Callable
from io import BytesIO
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web import client
from twisted.web.http_headers import Headers

from tools.clock import Clock, pause

JWT_LIFE_S = 600

Post = Callable[[str, dict[str, str], bytes], "Deferred[int]"]
"""(url, headers, body) -> HTTP status; the Deferred fails when there was no answer."""


class Retries(msgspec.Struct, frozen=True):
    """How often a webhook is sent, with gaps that grow twofold; given_up: the answers that end the attempts."""

    attempts: int = 10
    first_gap_s: float = 5.0
    last_gap_s: float = 300.0
    given_up: frozenset[int] = frozenset({400, 401, 403, 404, 422})


def bearer_jwt(key: str, now: float) -> dict[str, str]:
    """The header of a call of Evolution's that is signed with `jwt_key`."""
    claims = {"iat": int(now), "exp": int(now) + JWT_LIFE_S, "app": "evolution", "action": "webhook"}
    return {"Authorization": "Bearer " + jwt_hs256(claims, key)}


def jwt_hs256(claims: dict[str, Any], key: str) -> str:
    """A JSON Web Token (RFC 7519) signed with HMAC-SHA256."""
    parts = ({"alg": "HS256", "typ": "JWT"}, claims)
    head, body = (_base64url(json.dumps(part, separators=(",", ":")).encode()) for part in parts)
    signature = hmac.new(key.encode(), f"{head}.{body}".encode(), hashlib.sha256).digest()
    return f"{head}.{body}.{_base64url(signature)}"


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


class Drained(Protocol):
    """Reads an answer's body to its end, so that the connection can be used again."""

    def __init__(self) -> None:
        self.done: Deferred[None] = Deferred()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.done.callback(None)


class Webhooks:
    """Posts events to one URL. `answers` counts the statuses that came back (0: no answer)."""

    def __init__(
        self,
        post: Post,
        clock: Clock,
        *,
        url: str = "",
        jwt_key: str = "",
        headers: dict[str, str] | None = None,
        first_gap_s: float | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """first_gap_s: instead of what `retries` says, for those who cannot wait."""
        self.url = url
        self.headers = dict(headers or {})
        self.jwt_key = jwt_key
        self.answers: Counter[int] = Counter()
        self.retries = Retries()
        self.prove: Callable[[bytes], dict[str, str]] = self._jwt
        self._post = post
        self._clock = clock
        self._first_gap_s = first_gap_s
        self._chance = chance

    async def send(self, event: dict[str, Any]) -> int:
        """Post an event until it is taken, refused for good, or given up; returns the last status, 0 without a URL."""
        retries, body = self.retries, json.dumps(event).encode()
        status, gap_s = 0, retries.first_gap_s if self._first_gap_s is None else self._first_gap_s
        for attempt in range(retries.attempts):
            if not self.url:
                return 0
            if attempt:
                await pause(self._clock, gap_s * (0.8 + 0.4 * self._chance()))
                gap_s = min(gap_s * 2, retries.last_gap_s)
            try:
                status = await self._post(self.url, self._headers(body), body)
            except Exception:  # refused, reset, timed out: all the same to the sender
                status = 0
            self.answers[status] += 1
            if 200 <= status < 300 or status in retries.given_up:
                break
        return status

    def _headers(self, body: bytes) -> dict[str, str]:
        return {"Content-Type": "application/json", **self.headers, **self.prove(body)}

    def _jwt(self, body: bytes) -> dict[str, str]:
        return bearer_jwt(self.jwt_key, self._clock.seconds()) if self.jwt_key else {}


class _Collected(Drained):
    """Keeps the body of an answer."""

    def __init__(self) -> None:
        super().__init__()
        self.octets = b""

    def dataReceived(self, data: bytes) -> None:
        self.octets += data


def http_get(reactor: Any, timeout_s: float = 10.0) -> Callable[[str], Deferred[tuple[int, bytes]]]:
    """A GET, as (HTTP status, body)."""
    web: Any = client  # carries no types
    agent = web.Agent(reactor, connectTimeout=timeout_s)

    async def get(url: str) -> tuple[int, bytes]:
        response = await agent.request(b"GET", url.encode()).addTimeout(timeout_s, reactor)
        collected = _Collected()
        response.deliverBody(collected)
        await collected.done
        return int(response.code), collected.octets

    return lambda url: Deferred.fromCoroutine(get(url))


def http_post(reactor: Any, timeout_s: float = 30.0) -> Post:
    """The real `Post`, over one pool of connections."""
    web: Any = client  # carries no types
    agent = web.Agent(reactor, connectTimeout=timeout_s, pool=web.HTTPConnectionPool(reactor))

    async def post(url: str, headers: dict[str, str], body: bytes) -> int:
        wanted = Headers({name: [value] for name, value in headers.items()})
        answer = agent.request(b"POST", url.encode(), wanted, web.FileBodyProducer(BytesIO(body)))
        response = await answer.addTimeout(timeout_s, reactor)
        drained = Drained()
        response.deliverBody(drained)
        await drained.done
        return int(response.code)

    return lambda url, headers, body: Deferred.fromCoroutine(post(url, headers, body))
