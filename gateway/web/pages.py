"""The HTTP listener: health, metrics, the providers' webhooks, and the admin part for commands and a panel to come."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from klein import Klein
from twisted.logger import Logger
from twisted.web.http import Request

from bridge.provider import HttpRequest, HttpResponse
from gateway.metrics import Metrics

LARGEST_BODY = 4 * 1024 * 1024  # Meta's webhooks have 3 MB at most
LONGEST_LIST = 500
log = Logger("http")


class Refusal(Exception):
    """A request that cannot be served: status and what would be right."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


class Admin(Protocol):
    """What the admin part asks of the node: gateway.web.admin."""

    def status(self) -> dict[str, Any]: ...

    async def message(self, message_id: str) -> dict[str, Any] | None: ...

    async def messages(self, number: str, limit: int) -> list[dict[str, Any]]: ...

    async def submit(self, order: Mapping[str, Any]) -> str: ...

    def reload(self) -> tuple[list[str], list[str]]: ...


class Pages:
    """The routes of the listener."""

    app = Klein()

    def __init__(
        self, metrics: Metrics, admin: Admin, *, token: str | None, ready: Callable[[], dict[str, str]],
        webhooks: Callable[[str], Callable[[HttpRequest], Any] | None],
    ) -> None:  # fmt: skip
        """ready(): reasons why not, empty when ready. webhooks(channel): who takes its webhooks, None without one."""
        self._metrics, self._admin, self.token = metrics, admin, token
        self._ready, self._webhooks = ready, webhooks

    # -- for everybody

    @app.route("/healthz")
    def healthz(self, request: Request) -> bytes:
        return _json(request, 200, {"status": "ok"})

    @app.route("/readyz")
    def readyz(self, request: Request) -> bytes:
        reasons = self._ready()
        return _json(request, 503 if reasons else 200, {"ready": not reasons, "reasons": reasons})

    @app.route("/metrics")
    def metrics(self, request: Request) -> bytes:
        request.setHeader(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
        return self._metrics.page()

    @app.route("/webhooks/<channel>", methods=["GET", "POST"])
    @app.route("/webhooks/<channel>/<path:event>", methods=["GET", "POST"])
    async def webhook(self, request: Request, channel: str, event: str = "") -> bytes:
        taker = self._webhooks(channel)
        if taker is None:
            return _json(request, 404, {"error": f"no WhatsApp channel is called {channel[:60]}"})
        body = _body(request, LARGEST_BODY + 1)
        if len(body) > LARGEST_BODY:
            return _json(request, 413, {"error": f"a webhook has {LARGEST_BODY} octets at most"})
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
        given = request.getHeader(b"authorization") or b""
        if not hmac.compare_digest(given, b"Bearer " + self.token.encode()):
            request.setHeader(b"www-authenticate", b"Bearer")
            raise Refusal(401, "send http.admin_token as Authorization: Bearer TOKEN")

    @app.handle_errors(Refusal)
    def refused(self, request: Request, failure: Any) -> bytes:
        return _json(request, failure.value.status, {"error": failure.value.why})

    @app.route("/admin/status")
    def status(self, request: Request) -> bytes:
        self._authorize(request)
        return _json(request, 200, self._admin.status())

    @app.route("/admin/messages/<message_id>", methods=["GET"])
    async def message(self, request: Request, message_id: str) -> bytes:
        self._authorize(request)
        found = await self._admin.message(message_id)
        if found is None:
            return _json(request, 404, {"error": "no message has this id, or it ended before store.retention"})
        return _json(request, 200, found)

    @app.route("/admin/messages", methods=["GET"])
    async def messages(self, request: Request) -> bytes:
        self._authorize(request)
        number = _argument(request, "number")
        if not number:
            raise Refusal(422, "give ?number=, in any form")
        limit = _argument(request, "limit") or "50"
        if not limit.isascii() or not limit.isdigit() or not 1 <= int(limit) <= LONGEST_LIST:
            raise Refusal(422, f"limit is a number from 1 to {LONGEST_LIST}")
        return _json(request, 200, {"messages": await self._admin.messages(number, int(limit))})

    @app.route("/admin/messages", methods=["POST"])
    async def submit(self, request: Request) -> bytes:
        self._authorize(request)
        try:
            order = json.loads(_body(request, LARGEST_BODY))
        except ValueError:
            raise Refusal(422, 'the body is no JSON; send {"account", "to", "text"}') from None
        if not isinstance(order, dict):
            raise Refusal(422, 'the body is no object; send {"account", "to", "text"}')
        return _json(request, 202, {"id": await self._admin.submit(order)})

    @app.route("/admin/reload", methods=["POST"])
    def reload(self, request: Request) -> bytes:
        self._authorize(request)
        changed, errors = self._admin.reload()
        return _json(request, 422, {"errors": errors}) if errors else _json(request, 200, {"changed": changed})


def _body(request: Request, most: int) -> bytes:
    return request.content.read(most) if request.content is not None else b""


def _argument(request: Request, name: str) -> str:
    values: list[bytes] = request.args.get(name.encode(), [])
    return values[0].decode("utf-8", "replace").strip() if values else ""


def _json(request: Request, status: int, value: object) -> bytes:
    request.setResponseCode(status)
    request.setHeader(b"content-type", b"application/json")
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"
