"""The HTTP listener: health, metrics, the providers' webhooks, and the admin part for commands and a panel to come."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeAlias, TypeVar
from urllib.parse import unquote

from twisted.logger import Logger

from bridge.provider import Headers, HttpRequest, HttpResponse
from gateway.web.guesses import Guesses
from gateway.web.listener import Asked

LARGEST_BODY = 24 * 1024 * 1024  # WhatsApp takes pictures and videos of 16 MB, and WPPConnect writes them as base64
LONGEST_LIST = 1000
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
_FURTHER = {"messages": (0, 1), "webhooks": range(1, 99)}  # how much path may stand behind some of them
T = TypeVar("T")
Now: TypeAlias = T | Awaitable[T]  # at once, or, where several processes have to be asked, soon
log = Logger("http")


class Refusal(Exception):
    """A request that cannot be served: status, what would be right, and headers that say it to programs."""

    def __init__(self, status: int, why: str, headers: Headers = ()) -> None:
        super().__init__(why)
        self.status, self.why, self.headers = status, why, headers


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
    """What the listener serves, one method a page. Without a routing library: one took a fifth of the gateway's
    start."""

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

    async def answer(self, asked: Asked) -> HttpResponse:
        """The answer to any request; never raises."""
        method = "GET" if asked.request.method == "HEAD" else asked.request.method
        path = asked.request.url.partition("?")[0].strip("/").split("/")
        if "%" in asked.request.url:
            path = [unquote(part) for part in path]
        ordered = ""
        try:
            match (method, *path):
                case ("GET" | "POST", "webhooks", channel, *_):  # some providers append the event to the path
                    taken: HttpResponse = await self._taker_of(channel)(asked.request)
                    return taken
                case (_, "admin", *_):
                    self._authorize(asked)
                    if method == "POST":
                        ordered = "/".join(path[1:]) if tuple(path) in ALLOWED else "what there is not"
            answer = await self._page(asked.request, method, path)
        except Refusal as refusal:
            answer = _json(refusal.status, {"error": refusal.why}, refusal.headers)
        except Exception:
            log.failure("a request failed")
            answer = _json(500, {"error": "an error of ours; the log tells more"})
        if ordered:  # who, what, and what came of it
            log.info("admin: {peer} ordered {what}: HTTP {status}", peer=asked.peer, what=ordered, status=answer.status)
        return answer

    async def _page(self, request: HttpRequest, method: str, path: list[str]) -> HttpResponse:
        """Of whoever may see it."""
        match (method, *path):
            case ("GET", "healthz"):
                return _json(200, {"status": "ok"})
            case ("GET", "readyz"):
                reasons = await _had(self._ready())
                return _json(503 if reasons else 200, {"ready": not reasons, "reasons": reasons})
            case ("GET", "metrics"):
                kind = ("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                return HttpResponse(200, await _had(self._metrics()), (kind,))
            case ("GET", "admin", "status"):
                status = await _had(self._admin.status())
                return _json(200, {**status, "not_ready": await _had(self._ready())})
            case ("GET", "admin", "unmatched"):
                limit = _limit(request)
                return _json(200, {"unmatched": await self._admin.unmatched(limit)})
            case ("GET", "admin", "messages"):
                return await self._messages(request)
            case ("POST", "admin", "messages"):
                return await self._submit(request)
            case ("GET", "admin", "messages", message_id):
                found = await self._admin.message(message_id)
                if found is None:
                    raise Refusal(404, "no message has this id, or it ended before store.retention")
                return _json(200, found)
            case ("POST", "admin", "reload"):
                changed, errors = await _had(self._admin.reload())
                return _json(422, {"errors": errors}) if errors else _json(200, {"changed": changed})
            case ("GET", "admin", "config"):
                text, secrets = self._admin.config()
                return _json(200, {"yaml": text, "secrets": secrets})
            case ("GET", "admin", "diff"):
                told, errors = self._admin.diff()
                return _json(422, {"errors": errors}) if errors else _json(200, {"changes": told})
            case ("POST", "admin", "receipts", "resend"):
                order = _object(request, '{"account", "since"}')
                return _json(200, {"queued": await self._admin.resend(order)})
            case ("POST", "admin", "people", "export"):
                return _json(200, await self._admin.export(_object(request, '{"number"}')))
            case ("POST", "admin", "people", "erase"):
                return _json(200, await self._admin.erase(_object(request, '{"number"}')))
        for known, allowed in ALLOWED.items():
            if known == (*path,)[: len(known)] and len(path) - len(known) in _FURTHER.get(known[-1], (0,)):
                raise Refusal(405, f"here only {allowed} is served", (("Allow", allowed),))
        raise Refusal(404, "there is no such page")

    def _taker_of(self, channel: str) -> Callable[[HttpRequest], Any]:
        """Who takes its webhooks."""
        taker = self._webhooks(channel)
        if taker is None:
            raise Refusal(404, f"no WhatsApp channel is called {channel[:60]}")
        return taker

    # -- for whoever has the token

    def _authorize(self, asked: Asked) -> None:
        if self.token is None:
            if not (asked.host.startswith("127.") or asked.host in ("::1", "::ffff:127.0.0.1", "local")):
                raise Refusal(403, "without http.admin_token the admin part answers only on a loopback listener")
            return
        given, address, now = asked.request.header("authorization"), asked.peer, self._clock()
        scheme, _, token = given.partition(" ")  # RFC 9110, 11.1: the scheme in any case
        right = hmac.compare_digest(token.strip(" \t").encode("latin-1"), self.token.encode())
        if right and scheme.lower() == "bearer":
            return  # whatever others behind the same address have tried
        if given and not self._guesses.too_many(address, now):
            self._guesses.wrong(address, now)
            log.warn("admin: {peer} gave no valid token", peer=address)
        wanted = (("WWW-Authenticate", "Bearer"),)
        raise Refusal(401, "send http.admin_token as Authorization: Bearer TOKEN", wanted)

    async def _messages(self, request: HttpRequest) -> HttpResponse:
        number = request.query("number").strip()
        if not number:
            raise Refusal(422, "give ?number=, in any form")
        return _json(200, {"messages": await self._admin.messages(number, _limit(request))})

    async def _submit(self, request: HttpRequest) -> HttpResponse:
        order = _object(request, '{"account", "to", "text"}')
        return _json(202, {"id": await self._admin.submit(order)})


async def _had(value: Now[T]) -> T:
    return await value if isinstance(value, Awaitable) else value


def _object(request: HttpRequest, right: str) -> dict[str, Any]:
    """The body of a request that has to be a JSON object."""
    try:
        value = json.loads(request.body)
    except (ValueError, RecursionError):
        raise Refusal(422, f"the body is no JSON; send {right}") from None
    if not isinstance(value, dict):
        raise Refusal(422, f"the body is no object; send {right}")
    return value


def _limit(request: HttpRequest) -> int:
    limit = request.query("limit").strip() or "50"
    if not limit.isascii() or not limit.isdigit() or not 1 <= int(limit) <= LONGEST_LIST:
        raise Refusal(422, f"limit is a number from 1 to {LONGEST_LIST}")
    return int(limit)


def _json(status: int, value: object, headers: Headers = ()) -> HttpResponse:
    body = json.dumps(value, ensure_ascii=False).encode() + b"\n"
    return HttpResponse(status, body, (("Content-Type", "application/json"), *headers))
