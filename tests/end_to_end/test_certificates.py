"""Certificates of a running gateway: read again by SIGHUP and POST /admin/reload, with no bind dropped."""

from __future__ import annotations

import os
import signal
import socket
import ssl
from pathlib import Path

from twisted.internet.threads import deferToThread

from gateway.smpp.pdu import BindTransceiver, EnquireLink, encode
from tests.end_to_end.in_reactor import in_reactor
from tests.end_to_end.stage import PASSWORD, Stage
from tools.certificate import write_certificate
from tools.ports import free_port


class TlsClient:
    """A bound client over TLS; its methods wait."""

    def __init__(self, port: int) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._socket = context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=10))
        self.certificate = self._socket.getpeercert(binary_form=True)
        bind = BindTransceiver(system_id="billing", password=PASSWORD, interface_version=0x34)
        assert self._ask(encode(bind, 1)) == 0x80000009

    def still_there(self) -> bool:
        return self._ask(encode(EnquireLink(), 2)) == 0x80000015

    def _ask(self, octets: bytes) -> int:
        self._socket.sendall(octets)
        length = int.from_bytes(self._read(4), "big")
        rest = self._read(length - 4)
        assert rest[4:8] == bytes(4), "no error"
        return int.from_bytes(rest[:4], "big")

    def _read(self, count: int) -> bytes:
        got = b""
        while len(got) < count:
            more = self._socket.recv(count - len(got))
            assert more, "the link is gone"
            got += more
        return got


def listen_with_tls(stage: Stage, name: str) -> tuple[int, Path, Path]:
    """The port of one more listener, its key and its certificate, which is made out to `name`."""
    port, directory = free_port(), Path(stage.directory)
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    write_certificate(key, certificate, name)
    stage.settings["smpp_server"]["listen"].append(
        f"ssl:{port}:interface=127.0.0.1:privateKey={key}:certKey={certificate}"
    )
    return port, key, certificate


@in_reactor
async def test_certificates_change_under_open_binds_and_a_bad_one_changes_nothing(stage: Stage) -> None:
    port, key, certificate = listen_with_tls(stage, "first")
    await stage.start()
    first = await deferToThread(TlsClient, port)

    write_certificate(key, certificate, "second")
    os.kill(stage.gateway.pid, signal.SIGHUP)
    await stage.until(lambda: "reloaded: certificates" in stage.gateway.log(), "the certificates are read again")
    second = await deferToThread(TlsClient, port)
    assert second.certificate != first.certificate

    write_certificate(key, certificate, "third")
    assert await stage.ask("POST", "/admin/reload") == (200, {"changed": ["certificates"]})
    assert await stage.ask("POST", "/admin/reload") == (200, {"changed": []})
    third = await deferToThread(TlsClient, port)
    assert third.certificate not in (first.certificate, second.certificate)

    certificate.write_text("nothing of the kind")
    stage.settings["smpp_server"]["accounts"][0]["max_binds"] = 1
    stage.gateway.configure(stage.settings)
    code, body = await stage.ask("POST", "/admin/reload")
    (error,) = body["errors"]
    assert code == 422 and error.startswith(f"{stage.gateway.config_path}:")
    assert "smpp_server.listen[1]" in error and "is no certificate in PEM" in error and str(certificate) in error
    fourth = await deferToThread(TlsClient, port)
    assert fourth.certificate == third.certificate, "max_binds has not changed either"
    for client in (first, second, third, fourth):
        assert await deferToThread(client.still_there)


@in_reactor
async def test_a_client_that_speaks_no_tls_to_a_port_with_it_is_told_of(stage: Stage) -> None:
    port, _key, _certificate = listen_with_tls(stage, "smpp")
    await stage.start()

    def bind_in_the_clear() -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(encode(BindTransceiver(system_id="billing", password=PASSWORD), 1))
            return client.recv(100)

    def close_at_once() -> None:
        socket.create_connection(("127.0.0.1", port), timeout=10).close()

    await deferToThread(close_at_once)
    await deferToThread(bind_in_the_clear)
    await stage.until(lambda: "could not bind" in stage.gateway.log(), "the log tells of it", 5.0)
    told = [line for line in stage.gateway.log().splitlines() if "could not bind" in line]
    assert len(told) == 1 and told[0].endswith("could not bind: TLS: wrong version number")
