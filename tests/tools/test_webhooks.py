from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from tools.webhooks import Webhooks, jwt_hs256


class Receiver:
    """Answers posts with the given statuses in turn, the last one for ever; 0 stands for no answer."""

    def __init__(self, clock: Clock, statuses: Sequence[int]) -> None:
        self.clock = clock
        self.statuses = list(statuses)
        self.posts: list[tuple[float, dict[str, str], bytes]] = []

    def __call__(self, url: str, headers: dict[str, str], body: bytes) -> Deferred[int]:
        self.posts.append((self.clock.seconds(), headers, body))
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return succeed(status) if status else fail(ConnectionError())


def posted(statuses: Sequence[int], **settings: str) -> tuple[Receiver, list[int]]:
    clock = Clock()
    receiver = Receiver(clock, statuses)
    webhooks = Webhooks(receiver, clock, url="http://gateway/webhooks/zap", chance=lambda: 0.5, **settings)  # type: ignore[arg-type]
    results: list[int] = []
    Deferred.fromCoroutine(webhooks.send({"event": "messages.update"})).addCallback(results.append)
    clock.pump([1.0] * 3000)
    return receiver, results


def test_a_webhook_that_is_taken_goes_once() -> None:
    receiver, results = posted([200])
    assert (len(receiver.posts), results) == (1, [200])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_some_refusals_end_the_attempts(status: int) -> None:
    receiver, results = posted([status])
    assert (len(receiver.posts), results) == (1, [status])


@pytest.mark.parametrize("status", [503, 500, 0])
def test_others_are_tried_ten_times_with_growing_gaps(status: int) -> None:
    receiver, results = posted([status])
    gaps = [round(later[0] - earlier[0]) for earlier, later in zip(receiver.posts, receiver.posts[1:], strict=False)]
    assert gaps == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    assert results == [status]


def test_a_later_attempt_may_be_taken() -> None:
    receiver, results = posted([503, 0, 200])
    assert (len(receiver.posts), results) == (3, [200])


def test_a_jwt_signs_each_call_when_a_key_is_set() -> None:
    receiver, _ = posted([200], jwt_key="shared")
    _, headers, body = receiver.posts[0]
    assert json.loads(body) == {"event": "messages.update"}
    head, claims, signature = headers["Authorization"].removeprefix("Bearer ").split(".")
    expected = hmac.new(b"shared", f"{head}.{claims}".encode(), hashlib.sha256).digest()
    assert base64.urlsafe_b64decode(signature + "=") == expected
    assert json.loads(base64.urlsafe_b64decode(claims + "==")) == {
        "iat": 0,
        "exp": 600,
        "app": "evolution",
        "action": "webhook",
    }


def test_the_jwt_is_the_one_everybody_knows() -> None:
    # RFC 7519's usual example, header order alg, typ
    token = jwt_hs256({"sub": "1234567890", "name": "John Doe", "iat": 1516239022}, "your-256-bit-secret")
    assert token.endswith(".SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c")


def test_without_a_url_nothing_is_posted() -> None:
    clock = Clock()
    receiver = Receiver(clock, [200])
    results: list[int] = []
    Deferred.fromCoroutine(Webhooks(receiver, clock).send({})).addCallback(results.append)
    assert (receiver.posts, results) == ([], [0])
