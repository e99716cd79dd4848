"""Once over real sockets: the endpoint string, the socket options, the reactor's own timers."""

from __future__ import annotations

from typing import Any

import pytest_twisted
from prometheus_client import CollectorRegistry
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory

from gateway.messages.outcome import Accepted
from gateway.metrics import Metrics
from smsc_client.channel import SmscChannel
from tests.fakes.smsc import FakeSmsc, SmscProtocol
from tests.smsc_client.stage import message, settings


class Inbox:
    """Fires `done` when so many results are in."""

    def __init__(self, count: int) -> None:
        self.count, self.results = count, []
        self.up: Deferred[None] = Deferred()
        self.done: Deferred[None] = Deferred()

    def attempted(self, channel: str, results: Any) -> None:
        self.results += results
        if len(self.results) == self.count:
            self.done.callback(None)

    def capacity_changed(self, channel: str) -> None:
        if not self.up.called:
            self.up.callback(None)


@pytest_twisted.ensureDeferred
async def test_messages_go_out_over_tcp_and_the_channel_stops() -> None:
    smsc = FakeSmsc(reactor)  # type: ignore[arg-type]
    factory = Factory.forProtocol(lambda: SmscProtocol(smsc))
    port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)
    inbox = Inbox(50)
    channel = SmscChannel(
        settings(connect=f"tcp:127.0.0.1:{port.getHost().port}", throughput=10_000.0),
        results=inbox,
        mark=lambda message_id: None,
        reactor=reactor,
        metrics=Metrics(CollectorRegistry()),
        random=lambda: 0.5,
    )
    try:
        await channel.start()
        await inbox.up
        for number in range(50):
            channel.send(message(number, expires_at=1e11))
        await inbox.done
        assert {type(result) for _, result in inbox.results} == {Accepted}
    finally:
        await channel.stop()
        await port.stopListening()
    assert not channel.up
