"""An HTTP server in front of a coroutine, with the ways of failing that a real provider has."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.web import server
from twisted.web.resource import Resource

log = Logger()


class Reply(msgspec.Struct, frozen=True):
    """An answer. status 0: none ever comes; -1: the connection is cut."""

    status: int
    body: Any = None


HANG, RESET = Reply(0), Reply(-1)

Answer = Callable[[str, str, Mapping[str, str], bytes], Coroutine[Any, Any, Reply]]
"""(method, path with its query, headers by lower-case name, body) -> reply."""


class Door(Resource):
    """HTTP in front of a simulator: every path goes to `answer`."""

    isLeaf = True

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self._answer = answer

    def render(self, request: Any) -> int:
        gone = request.notifyFinish()
        work = Deferred.fromCoroutine(self._reply(request))
        gone.addErrback(lambda _: work.cancel())
        work.addErrback(self._failed, request)
        return server.NOT_DONE_YET

    async def _reply(self, request: Any) -> None:
        headers = {
            name.decode("latin-1").lower(): values[-1].decode("latin-1")
            for name, values in request.requestHeaders.getAllRawHeaders()
        }
        content = request.content.read() if request.content is not None else b""
        path = request.uri.decode("latin-1")
        reply = await self._answer(request.method.decode("latin-1"), path, headers, content)
        if reply.status == HANG.status:
            return
        if reply.status == RESET.status:
            if request.channel is not None:
                request.channel.forceAbortClient()
            return
        request.setResponseCode(reply.status)
        request.setHeader(b"Content-Type", b"application/json; charset=utf-8")
        request.write(json.dumps(reply.body).encode())
        request.finish()

    def _failed(self, failure: Any, request: Any) -> None:
        if not failure.check(Exception) or request.finished or request._disconnected:
            return
        log.failure("the simulator failed", failure=failure)
        request.setResponseCode(500)
        request.finish()


def site(answer: Answer) -> Any:
    """A web server factory."""
    return server.Site(Door(answer), timeout=120)
