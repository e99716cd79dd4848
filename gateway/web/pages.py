"""The HTTP listener: health, metrics, the providers' webhooks, and the admin part for commands and a panel to come."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeAlias, TypeVar
from urllib.parse import unquote

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from bridge.provider import HttpRequest, HttpResponse
from gateway.web.guesses import WITHIN_S, Guesses

LARGEST_BODY = 4 * 1024 * 1024  # Meta's webhooks have 3 MB at most
LONGEST_LIST = 500
ALLOWED = {  # pages and the methods they take, for whoever uses another
    ("healthz",): "GET",
    ("readyz",): "GET",
    ("metrics",): "GET",
    ("webhooks",): "GET, POST",
    ("admin", "status"): "GET",
    ("admin", "unmatched"): "GET",
    ("admin", "reload"): "POST",
    ("admin", "config"): "GET",
    ("admin", "diff"): "GET",
    ("admin", "receipts", "resend"): "POST",
    ("admin", "messages"): "GET, POST",
    ("admin", "people", "export"): "POST",
    ("admin", "people", "erase"): "POST",
}
T = TypeVar("T")
Now: TypeAlias = T | Awaitable[T]  # at once, or, where several processes have to be asked, soon
log = Logger("http")


class Refusal(Exception):
    """A request that cannot be served: status and what would be right."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


class Admin(Protocol):
    """What the admin part asks of the node: gateway.web.admin."""

    def status(self) -> Now[dict[str, Any]]: ...

    async def message(self, message_id: str) -> dict[str, Any] | None: ...

    async def messages(self, number: str, limit: int) -> list[dict[str, Any]]: ...

    async def unmatched(self, limit: int) -> list[dict[str, Any]]: ...

    async def submit(self, order: Mapping[str, Any]) -> str: ...

    def reload(self) -> Now[tuple[list[str], list[str]]]: ...

    def config(self) -> tuple[str, list[str]]: ...

    def diff(self) -> tuple[list[dict[str, str]], list[str]]: ...

    async def resend(self, order: Mapping[str, Any]) -> int: ...

    async def export(self, order: Mapping[str, Any]) -> dict[str, Any]: ...

    async def erase(self, order: Mapping[str, Any]) -> dict[str, Any]: ...


class Pages:
    """What the listener serves, one method a page. twisted.web alone: a routing library took a fifth of the
    gateway's start."""

    def __init__(
        self, metrics: Callable[[], Now[bytes]], admin: Admin, *, token: str | None,
        ready: Callable[[], Now[dict[str, str]]],
        webhooks: Callable[[str], Callable[[HttpRequest], Any] | None], clock: Callable[[], float],
    ) -> None:  # fmt: skip
        """metrics(): the page. ready(): reasons why not, empty when ready. webhooks(channel): who takes its webhooks,
        None without one."""
        self._metrics, self._admin, self.token = metrics, admin, token
        self._ready, self._webhooks, self._clock = ready, webhooks, clock
        self._guesses = Guesses()

    def resource(self) -> Resource:
        """The root of the site."""
        return _Door(self)

    async def answer(self, request: Request) -> bytes:
        """The body of the answer to a request; its status and headers are set."""
        method = "GET" if request.method == b"HEAD" else request.method.decode("ascii", "replace")
        path = [unquote(part) for part in request.path.decode("latin-1").strip("/").split("/")]
        match (method, *path):
            case ("GET", "healthz"):
                return _json(request, 200, {"status": "ok"})
            case ("GET", "readyz"):
                reasons = await _had(self._ready())
                return _json(request, 503 if reasons else 200, {"ready": not reasons, "reasons": reasons})
            case ("GET", "metrics"):
                request.setHeader(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
                return await _had(self._metrics())
            case ("GET" | "POST", "webhooks", channel, *_):  # some providers append the event to the path
                return await self._webhook(request, channel)
            case (_, "admin", *_):
                self._authorize(request)
                if method == "POST":
                    ordered = "/".join(path[1:]) if tuple(path) in ALLOWED else "what there is not"
                    request.notifyFinish().addBoth(_audit, request, ordered)
        match (method, *path):
            case ("GET", "admin", "status"):
                return _json(request, 200, await _had(self._admin.status()))
            case ("GET", "admin", "unmatched"):
                limit = _limit(request)
                return _json(request, 200, {"unmatched": await self._admin.unmatched(limit)})
            case ("GET", "admin", "messages"):
                return await self._messages(request)
            case ("POST", "admin", "messages"):
                return await self._submit(request)
            case ("GET", "admin", "messages", message_id):
                found = await self._admin.message(message_id)
                if found is None:
                    raise Refusal(404, "no message has this id, or it ended before store.retention")
                return _json(request, 200, found)
            case ("POST", "admin", "reload"):
                changed, errors = await _had(self._admin.reload())
                return _json(request, 422, {"errors": errors}) if errors else _json(request, 200, {"changed": changed})
            case ("GET", "admin", "config"):
                text, secrets = self._admin.config()
                return _json(request, 200, {"yaml": text, "secrets": secrets})
            case ("GET", "admin", "diff"):
                told, errors = self._admin.diff()
                return _json(request, 422, {"errors": errors}) if errors else _json(request, 200, {"changes": told})
            case ("POST", "admin", "receipts", "resend"):
                order = _object(request, '{"account", "since"}')
                return _json(request, 200, {"queued": await self._admin.resend(order)})
            case ("POST", "admin", "people", "export"):
                return _json(request, 200, await self._admin.export(_object(request, '{"number"}')))
            case ("POST", "admin", "people", "erase"):
                return _json(request, 200, await self._admin.erase(_object(request, '{"number"}')))
        for known, allowed in ALLOWED.items():
            if known == (*path,)[: len(known)] and len(path) <= len(known) + (known[-1] == "messages"):
                request.setHeader(b"allow", allowed.encode())
                raise Refusal(405, f"here only {allowed} is served")
        raise Refusal(404, "there is no such page")

    async def _webhook(self, request: Request, channel: str) -> bytes:
        taker = self._webhooks(channel)
        if taker is None:
            raise Refusal(404, f"no WhatsApp channel is called {channel[:60]}")
        body = _body(request, LARGEST_BODY + 1)
        if len(body) > LARGEST_BODY:
            raise Refusal(413, f"a webhook has {LARGEST_BODY} octets at most")
        headers = tuple(
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, values in request.requestHeaders.getAllRawHeaders()
            for value in values
        )
        asked = HttpRequest(request.method.decode("ascii"), request.uri.decode("latin-1"), headers, body)
        answer: HttpResponse = await taker(asked)
        request.setResponseCode(answer.status)
        for name, value in answer.headers:
            request.setHeader(name.encode("latin-1"), value.encode("latin-1"))
        return answer.body

    # -- for whoever has the token

    def _authorize(self, request: Request) -> None:
        if self.token is None:
            host = getattr(request.getHost(), "host", "127.0.0.1")
            if not (host.startswith("127.") or host in ("::1", "::ffff:127.0.0.1")):
                raise Refusal(403, "without http.admin_token the admin part answers only on a loopback listener")
            return
        given, address, now = request.getHeader(b"authorization"), _peer(request), self._clock()
        if hmac.compare_digest(given or b"", b"Bearer " + self.token.encode()):
            return  # whatever others behind the same address have tried
        if given and self._guesses.too_many(address, now):
            request.setHeader(b"retry-after", str(int(WITHIN_S)).encode())
            raise Refusal(429, "too many wrong tokens from this address; wait a minute, or give the right one")
        if given:
            self._guesses.wrong(address, now)
            log.warn("admin: {peer} gave no valid token", peer=address)
        request.setHeader(b"www-authenticate", b"Bearer")
        raise Refusal(401, "send http.admin_token as Authorization: Bearer TOKEN")

    async def _messages(self, request: Request) -> bytes:
        number = _argument(request, "number")
        if not number:
            raise Refusal(422, "give ?number=, in any form")
        return _json(request, 200, {"messages": await self._admin.messages(number, _limit(request))})

    async def _submit(self, request: Request) -> bytes:
        order = _object(request, '{"account", "to", "text"}')
        return _json(request, 202, {"id": await self._admin.submit(order)})


async def _had(value: Now[T]) -> T:
    return await value if isinstance(value, Awaitable) else value


class _Door(Resource):
    """Every request, whatever its path."""

    isLeaf = True

    def __init__(self, pages: Pages) -> None:
        super().__init__()
        self._pages = pages

    def render(self, request: Request) -> int:
        gone = request.notifyFinish()
        gone.addErrback(lambda _: None)  # the client did not wait
        answered = Deferred.fromCoroutine(self._pages.answer(request))
        answered.addErrback(self._refused, request)
        answered.addCallback(self._write, request)
        answered.addErrback(lambda failure: log.failure("an answer was not written", failure=failure))
        return int(NOT_DONE_YET)

    @staticmethod
    def _refused(failure: Failure, request: Request) -> bytes:
        if isinstance(failure.value, Refusal):
            return _json(request, failure.value.status, {"error": failure.value.why})
        log.failure("a request failed", failure=failure)
        return _json(request, 500, {"error": "an error of ours; the log tells more"})

    @staticmethod
    def _write(body: bytes, request: Request) -> None:
        if request.channel is None or getattr(request, "_disconnected", False):
            return
        request.setHeader(b"content-length", str(len(body)).encode())
        if request.method != b"HEAD":
            request.write(body)
        request.finish()


def _peer(request: Request) -> str:
    """The address of whoever asks."""
    return str(getattr(request.getClientAddress(), "host", "local"))


def _audit(_: object, request: Request, what: str) -> None:
    """One line for each thing that was ordered: who, what, and what came of it."""
    log.info("admin: {peer} ordered {what}: HTTP {status}", peer=_peer(request), what=what, status=request.code)


def _body(request: Request, most: int) -> bytes:
    return request.content.read(most) if request.content is not None else b""


def _object(request: Request, right: str) -> dict[str, Any]:
    """The body of a request that has to be a JSON object."""
    try:
        value = json.loads(_body(request, LARGEST_BODY))
    except ValueError:
        raise Refusal(422, f"the body is no JSON; send {right}") from None
    if not isinstance(value, dict):
        raise Refusal(422, f"the body is no object; send {right}")
    return value


def _argument(request: Request, name: str) -> str:
    values: list[bytes] = request.args.get(name.encode(), [])
    return values[0].decode("utf-8", "replace").strip() if values else ""


def _limit(request: Request) -> int:
    limit = _argument(request, "limit") or "50"
    if not limit.isascii() or not limit.isdigit() or not 1 <= int(limit) <= LONGEST_LIST:
        raise Refusal(422, f"limit is a number from 1 to {LONGEST_LIST}")
    return int(limit)


def _json(request: Request, status: int, value: object) -> bytes:
    request.setResponseCode(status)
    request.setHeader(b"content-type", b"application/json")
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"
