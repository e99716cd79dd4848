"""The listener with TLS over real sockets: binds stay while certificates change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor, ssl
from twisted.internet.endpoints import SSL4ClientEndpoint, TCP4ClientEndpoint, connectProtocol

from gateway.listening import Listeners
from gateway.smpp.pdu import BindTransceiver, EnquireLink, EnquireLinkResp, SubmitSmResp
from tests.gateway.server.house import account, server_settings, submit
from tests.gateway.server.test_factory import Client, Listener
from tools.certificate import write_certificate


class TlsListener(Listener):
    """A plain and a TLS listener whose files are in `directory`."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.key, self.certificate = directory / "key.pem", directory / "certificate.pem"
        write_certificate(self.key, self.certificate, "first")
        self.tls = f"ssl:0:interface=127.0.0.1:privateKey={self.key}:certKey={self.certificate}"
        self.clients: list[Client] = []
        self.settings = server_settings(account(), listen=("tcp:0:interface=127.0.0.1", self.tls))
        self.server.settings = self.settings

    async def start(self) -> None:
        await self.server.start(reactor)

    async def stop(self) -> None:
        for client in self.clients:
            client.transport.abortConnection()
            await client.closed
        await self.server.stop()

    async def connect(self) -> Client:
        _, port = self.server._listeners.ports
        make: Any = connectProtocol
        endpoint = SSL4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port, ssl.CertificateOptions())
        client: Client = await make(endpoint, Client())
        self.clients.append(client)
        client.send(BindTransceiver(system_id="billing", password="secret", interface_version=0x34))
        assert (await client.next()).command_status == 0
        return client

    def read_again(self) -> None:
        Listeners.use(self.server.read_certificates(self.settings))


def name_of(client: Client) -> str:
    """The common name in the certificate that the client was shown."""
    name: str = client.transport.getPeerCertificate().to_cryptography().subject.rfc4514_string()
    return name.removeprefix("CN=")


async def works(client: Client) -> None:
    client.send(submit(), EnquireLink())
    first, second = await client.next(), await client.next()
    assert {type(first), type(second)} == {SubmitSmResp, EnquireLinkResp}


@pytest_twisted.ensureDeferred
async def test_new_certificates_are_shown_to_new_connections_and_no_bind_is_dropped(tmp_path: Path) -> None:
    listener = TlsListener(tmp_path)
    await listener.start()
    before = await listener.connect()
    assert name_of(before) == "first"
    write_certificate(listener.key, listener.certificate, "second")
    stale = await listener.connect()
    assert name_of(stale) == "first", "not before it is told"
    listener.read_again()
    after = await listener.connect()
    assert name_of(after) == "second" and listener.bound.count("billing") == 3
    listener.clients.append(await listener.client())  # over the plain one beside it
    for client in listener.clients:
        await works(client)
    await listener.stop()


@pytest.mark.parametrize("wrong", ["garbage", "key of another", "gone"])
@pytest_twisted.ensureDeferred
async def test_what_cannot_be_used_changes_nothing_and_says_why(tmp_path: Path, wrong: str) -> None:
    listener = TlsListener(tmp_path)
    await listener.start()
    if wrong == "garbage":
        listener.certificate.write_text("hunter2")
    elif wrong == "gone":
        listener.certificate.unlink()
    else:
        write_certificate(listener.key, tmp_path / "elsewhere.pem", "second")
    with pytest.raises(ValueError, match=r"certificate\.pem") as says:
        listener.read_again()
    assert "hunter2" not in str(says.value)
    client = await listener.connect()
    assert name_of(client) == "first"
    await works(client)
    await listener.stop()


@pytest_twisted.ensureDeferred
async def test_files_that_are_the_same_are_no_change(tmp_path: Path) -> None:
    listener = TlsListener(tmp_path)
    await listener.start()
    assert listener.server.read_certificates(listener.settings) == []
    write_certificate(listener.key, listener.certificate, "second")
    assert len(listener.server.read_certificates(listener.settings)) == 1
    await listener.stop()


@pytest_twisted.ensureDeferred
async def test_a_listener_may_be_given_other_files(tmp_path: Path) -> None:
    listener = TlsListener(tmp_path)
    await listener.start()
    key, certificate = tmp_path / "key2.pem", tmp_path / "certificate2.pem"
    write_certificate(key, certificate, "second")
    other = f"ssl:0:privateKey={key}:certKey={certificate}:interface=127.0.0.1"
    listener.settings = server_settings(account(), listen=(other,))
    listener.read_again()
    assert name_of(await listener.connect()) == "second"
    elsewhere = server_settings(account(), listen=(other.replace("ssl:0:", "ssl:3550:"),))
    assert listener.server.read_certificates(elsewhere) == [], "another port is opened with the next start"
    await listener.stop()


@pytest_twisted.ensureDeferred
async def test_a_listener_that_cannot_speak_tls_is_an_error_and_nothing_stays_open(tmp_path: Path) -> None:
    listener = TlsListener(tmp_path)
    listener.certificate.write_text("")
    with pytest.raises(ValueError, match="TLS cannot be spoken"):
        await listener.start()
    assert not listener.server.listening and listener.server._listeners.ports == []


@pytest_twisted.ensureDeferred
async def test_a_client_that_speaks_no_tls_hurts_nobody(tmp_path: Path) -> None:
    listener = TlsListener(tmp_path)
    await listener.start()
    good = await listener.connect()
    _, port = listener.server._listeners.ports
    make: Any = connectProtocol
    plain: Client = await make(TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port), Client())
    plain.send(BindTransceiver(system_id="billing", password="secret", interface_version=0x34))
    await plain.closed
    await works(good)
    await listener.stop()
