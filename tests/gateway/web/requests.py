"""HTTP without a socket: requests are written to the site, and what it writes back is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from gateway.web.listener import Listener
from gateway.web.pages import LARGEST_BODY, Pages

NONE: Mapping[str, str] = {}
_StringTransport: Any = StringTransport


class Answer(msgspec.Struct):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Browser:
    """A client of one site, which listens on `host`."""

    def __init__(self, pages: Pages, host: str = "127.0.0.1") -> None:
        self._site: Any = Listener(pages.answer, clock=Clock(), most_octets=LARGEST_BODY)
        self._host = host

    def send(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = NONE) -> Any:
        """Send a request; its answer may come later."""
        protocol: Any = self._site.buildProtocol(IPv4Address("TCP", "127.0.0.1", 40_000))
        transport = _StringTransport(
            hostAddress=IPv4Address("TCP", self._host, 8081), peerAddress=IPv4Address("TCP", "127.0.0.1", 40_000)
        )
        protocol.makeConnection(transport)
        head = f"{method} {path} HTTP/1.1\r\nHost: pombo\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        protocol.dataReceived(head.encode() + b"\r\n" + body)
        return transport

    def ask(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = NONE) -> Answer:
        """Send a request that is answered at once."""
        return read(self.send(method, path, body, headers))

    def get(self, path: str, headers: Mapping[str, str] = NONE) -> Answer:
        return self.ask("GET", path, b"", headers)

    def post(self, path: str, body: bytes = b"", headers: Mapping[str, str] = NONE) -> Answer:
        return self.ask("POST", path, body, headers)


def read(transport: Any) -> Answer:
    """The answer that was written."""
    head, _, body = transport.value().partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Answer(int(first.split()[1]), headers, body)
