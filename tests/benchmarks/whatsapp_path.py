"""The WhatsApp path of one gateway in this process: billing systems, and a provider of octets that takes every text and
tells "sent" and "delivered" of it, each by a webhook of its own. In steps that are always the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry
from twisted.internet.defer import ensureDeferred
from twisted.internet.testing import StringTransport

from bridge.channel import WhatsAppChannel
from bridge.http import HttpClient
from config.schema import BridgeSettings
from gateway.delivery.dispatch import Dispatcher
from gateway.metrics import Metrics
from gateway.smpp import pdu
from gateway.store.evidence import Evidence
from gateway.texts import text_of
from gateway.web.listener import Listener
from gateway.web.pages import LARGEST_BODY, Pages
from tests.benchmarks.direct_store import DirectStore
from tests.benchmarks.hot_path import SESSIONS, HotPath
from tests.gateway.delivery.house import ZAP_ONLY

CONNECTIONS = 16  # the provider's, for webhooks
SETTINGS = {
    "name": "zap", "provider": "evolution", "url": "http://127.0.0.1:8080", "api_key": "k3y", "instance": "main",
    "throughput": "100000/s", "health": {"min_acks": 0}, "lookup": {"enabled": False},
}  # fmt: skip
_StringTransport: Any = StringTransport


class Timer:
    """Of a request that is answered in time."""

    def __init__(self) -> None:
        self._active = True

    def active(self) -> bool:
        return self._active

    def cancel(self) -> None:
        self._active = False


class Network:
    """The reactor of the HTTP client: nothing is late, and whoever connects has a peer at once. A clock of the tests
    sorts all its timers whenever there is one more, which would be most of what is counted."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self.seconds = seconds
        self.lines: list[Line] = []

    def callLater(self, delay: float, call: Callable[..., object], *args: object) -> Timer:
        return Timer()

    def connectTCP(self, host: str, port: int, factory: Any, timeout: float = 30, bindAddress: Any = None) -> None:
        self.lines.append(Line(factory.buildProtocol(None)))


class Line:
    """The other end of a connection over which HTTP is spoken."""

    def __init__(self, protocol: Any) -> None:
        self.protocol, self.transport = protocol, _StringTransport()
        protocol.makeConnection(self.transport)

    def got(self) -> bytes:
        octets: bytes = self.transport.value()
        self.transport.clear()
        return octets


class WhatsAppPath(HotPath):
    """`cycle` takes messages all the way, over a channel that asks nobody for accounts."""

    stages: tuple[str, ...] = ("submit", "answer", "sent", "delivered", "acknowledgement")
    route = ZAP_ONLY
    settings: dict[str, Any] = SETTINGS

    def __init__(self, store: DirectStore, sessions: int = SESSIONS, accounts: int = 1) -> None:
        super().__init__(store, sessions, accounts)
        self._remote = 0
        self._ids: list[str] = []

    def _open_operator(self) -> None:
        self._open_whatsapp()

    def _open_whatsapp(self) -> None:
        house, clock = self.house, self.clock
        self.network = Network(clock.seconds)
        channel: Any = WhatsAppChannel(
            BridgeSettings.model_validate(self.settings), http=HttpClient(self.network),
            evidence=Evidence(self.store, house.later), results=house.hub, mark=lambda _: None, decode=text_of,
            clock=clock, spawn=house.background.spawn, count=house.metrics.count,
        )  # fmt: skip
        house.delivery.channels["zap"] = channel
        dispatcher = Dispatcher(channel, self.store, house.node, house.delivery.attempted, house.later, clock.seconds)
        house.delivery.dispatchers["zap"] = dispatcher
        ensureDeferred(channel.start())
        dispatcher.start()
        self.run()
        for line in self.network.lines:
            assert b"connectionState" in line.got()
            self._do(line.protocol.dataReceived, response(200, {"instance": {"state": "open"}}))
        admin: Any = None
        pages = Pages(
            Metrics(CollectorRegistry()), admin, token=None, ready=dict, webhooks=lambda _: channel.receive_webhook,
            clock=clock.seconds,
        )  # fmt: skip
        listener = Listener(pages.answer, clock=self.network, most_octets=LARGEST_BODY)
        self._tellers = [Line(listener.buildProtocol(None)) for _ in range(CONNECTIONS)]

    def cycle(self, each: int) -> int:
        """So many messages from every session; how many receipts were acknowledged."""
        self._stage = "submit"
        for esme in self.esmes:
            self._read(esme, self._submits(each))
        self.run()
        for esme in self.esmes:
            assert {one.command_status for one in esme.got() if isinstance(one, pdu.SubmitSmResp)} == {0}
        self._answer()
        self._tell("sent", "SERVER_ACK")
        self._tell("delivered", "DELIVERY_ACK")
        return self.acknowledge()

    def _answer(self) -> None:
        """The provider takes what came, until nothing more comes."""
        self._stage, self._ids = "answer", []
        while asked := [line for line in self.network.lines if line.got()]:
            for line in asked:
                self._remote += 1
                self._ids.append(f"3EB0{self._remote:018X}")
                key = {"remoteJid": "5511987654321@s.whatsapp.net", "fromMe": True, "id": self._ids[-1]}
                self._do(line.protocol.dataReceived, response(201, {"key": key, "status": "PENDING"}))
            self.run()

    def _tell(self, stage: str, status: str) -> None:
        self._stage = stage
        for first in range(0, len(self._ids), CONNECTIONS):
            told = list(zip(self._tellers, self._ids[first : first + CONNECTIONS], strict=False))
            for line, remote_id in told:
                data = {"keyId": remote_id, "fromMe": True, "status": status, "instanceId": "x"}
                self._do(
                    line.protocol.dataReceived, _webhook({"event": "messages.update", "instance": "main", "data": data})
                )
            self.run()
            assert all(line.got().startswith(b"HTTP/1.1 200 ") for line, _ in told)

    def acknowledge(self) -> int:
        """The billing systems take their receipts."""
        self._stage = "acknowledgement"
        told = 0
        for esme in self.esmes:
            receipts = [one for one in esme.got() if isinstance(one, pdu.DeliverSm)]
            told += len(receipts)
            self._read(esme, [pdu.DeliverSmResp(sequence_number=one.sequence_number) for one in receipts])
        self.run()
        return told


def response(status: int, content: object) -> bytes:
    body = json.dumps(content).encode()
    return b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        status,
        len(body),
        body,
    )


def _webhook(content: object) -> bytes:
    body = json.dumps(content).encode()
    head = (
        f"POST /webhooks/zap HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    )
    return head.encode() + b"\r\n" + body
