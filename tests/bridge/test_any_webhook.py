"""Bodies as the services send them, with every part of their shape changed: nothing raises, nothing odd comes out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.provider import HttpRequest, WebhookRead
from tools.fuzz_bodies import BODIES
from tools.fuzz_targets import NOW, PROOFS, PROVIDERS, webhooks

NASTY: tuple[Any, ...] = (
    None, True, False, 0, -1, 10**30, 1e308, "", "x", "1" * 5000, "\x00\n\x1b", "😀", [], {}, [None], [[]], [{}],
    {"": None}, {"id": {"id": {"_serialized": []}}}, ["true_x_y"],
)  # fmt: skip
NAMES = tuple(BODIES)
RAW = (
    b"", b"\xff", b"[" * 200_000, b'{"a":' * 200_000, b'"\\ud800"', b'{"event":"message","payload":{"body":"\\udc00"}}',
    b"1e999", b"-" + b"9" * 5000, b"null", b"\xef\xbb\xbf{}", b"{}{}", b"\0" * 1000,
)  # fmt: skip


def variants(body: Any) -> Iterator[Any]:
    """The body with each of its parts, in turn, left out, doubled and replaced by something nasty."""
    yield from NASTY
    if isinstance(body, dict):
        for key, value in body.items():
            rest = {other: kept for other, kept in body.items() if other != key}
            yield rest
            yield {key: [value, value], **rest}
            yield from ({**body, key: changed} for changed in variants(value))
    elif isinstance(body, list):
        yield body * 3
        for at, value in enumerate(body):
            yield from ([*body[:at], changed, *body[at + 1 :]] for changed in variants(value))


@pytest.mark.parametrize("name", NAMES)
def test_every_part_of_a_body_may_be_anything(name: str) -> None:
    count = 0
    for body in BODIES[name]:
        for changed in variants(body):
            webhooks(msgspec.json.encode(changed))
            count += 1
    assert count > 200


@pytest.mark.parametrize("octets", RAW, ids=lambda octets: repr(octets[:30]))
def test_octets_that_are_no_body_say_nothing(octets: bytes) -> None:
    webhooks(octets)


@pytest.mark.parametrize(("name", "provider"), [*zip(NAMES, PROVIDERS, strict=True)])
def test_the_bodies_say_something_as_they_are(name: str, provider: Any) -> None:
    """Else the tests above would change the shape of nothing."""
    said = [provider.read_webhook(_hook(body), NOW) for body in BODIES[name]]
    assert sum(one != WebhookRead() for one in said) >= 4


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([body for bodies in BODIES.values() for body in bodies]), st.data())
def test_a_body_that_was_hit_on_its_way_is_read_or_not(body: Any, data: st.DataObject) -> None:
    octets = bytearray(msgspec.json.encode(body))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(octets) - 1))
        octets[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    webhooks(bytes(octets))


@pytest.mark.parametrize("provider", PROVIDERS, ids=NAMES)
@pytest.mark.parametrize(
    "query", ["?key=%ff%00", "?key=%ED%A0%80", "?hub.mode=subscribe&hub.verify_token=%ff", "?&=&;", "?%"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_any_query_and_any_header_may_come_with_it(provider: Any, query: str, method: str) -> None:
    secret = {"webhook_secret": "s"} if hasattr(provider, "webhook_secret") else {}
    strict = msgspec.structs.replace(provider, **secret)
    for value in ("", "Bearer", "Bearer a.b.c", "bearer \xff.\xfe.\xfd", "sha256=\xff", "Bearer e30.e30." + "=" * 40):
        for header in ("Authorization", "X-Hub-Signature-256", "x-webhook-hmac"):
            request = HttpRequest(method, f"/webhooks/zap{query}", ((header, value),), b"{}")
            assert strict.read_webhook(request, NOW) is not None


def _hook(body: object) -> HttpRequest:
    return HttpRequest("POST", "/webhooks/zap", PROOFS, msgspec.json.encode(body))
