"""Once over real sockets: the endpoint string, the socket options, the reactor's own timers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from prometheus_client import CollectorRegistry
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from gateway.messages.outcome import Accepted
from gateway.metrics import Metrics
from smsc_client.channel import SmscChannel
from tests.fakes.smsc import FakeSmsc, SmscProtocol
from tests.smsc_client.stage import message, settings
from tools.certificate import write_certificate


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


@pytest.mark.parametrize("how", ["tcp", "tls"])
@pytest_twisted.ensureDeferred
async def test_messages_go_out_and_the_channel_stops(how: str, tmp_path: Path) -> None:
    smsc = FakeSmsc(reactor)  # type: ignore[arg-type]
    factory = Factory.forProtocol(lambda: SmscProtocol(smsc))
    listener, words = "tcp:0:interface=127.0.0.1", ""
    if how == "tls":
        key, roots = tmp_path / "key.pem", tmp_path / "roots"
        roots.mkdir()
        write_certificate(key, roots / "certificate.pem")
        listener = f"ssl:0:interface=127.0.0.1:privateKey={key}:certKey={roots / 'certificate.pem'}"
        words = f":trustRoots={roots}"
    port = await serverFromString(reactor, listener).listen(factory)
    inbox = Inbox(50)
    channel = SmscChannel(
        settings(connect=f"{how}:127.0.0.1:{port.getHost().port}{words}", throughput=10_000.0),
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


@pytest_twisted.ensureDeferred
async def test_a_certificate_that_nobody_vouches_for_is_named_in_the_log(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    write_certificate(key, certificate)
    smsc = FakeSmsc(reactor)  # type: ignore[arg-type]
    listener = serverFromString(reactor, f"ssl:0:interface=127.0.0.1:privateKey={key}:certKey={certificate}")
    port = await listener.listen(Factory.forProtocol(lambda: SmscProtocol(smsc)))
    channel = SmscChannel(
        settings(connect=f"tls:127.0.0.1:{port.getHost().port}"),
        results=Inbox(1),
        mark=lambda message_id: None,
        reactor=reactor,
        metrics=Metrics(CollectorRegistry()),
        random=lambda: 0.5,
    )
    told: Deferred[str] = Deferred()

    def listen(event: LogEvent) -> None:
        if "link lost" in (line := formatEvent(event)) and not told.called:
            told.callback(line)

    globalLogPublisher.addObserver(listen)
    try:
        await channel.start()
        assert "TLS: certificate verify failed" in await told
    finally:
        globalLogPublisher.removeObserver(listen)
        await channel.stop()
        await port.stopListening()
