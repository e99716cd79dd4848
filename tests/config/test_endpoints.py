"""Endpoint strings: our reading agrees with Twisted's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.task import Clock

from config import endpoints

listen: Any = serverFromString
connect: Any = clientFromString

GOOD_SERVERS = [
    "tcp:2775",
    "tcp:0",
    "tcp:2775:interface=127.0.0.1",
    "tcp:port=2775:interface=0.0.0.0:backlog=100",
    "tcp:2775:127.0.0.1",
    "tcp:2775:interface=\\:\\:1",
    "tcp6:2775:interface=\\:\\:1",
    "unix:/tmp/x.sock",
    "unix:address=/tmp/x.sock:mode=660:lockfile=0",
    "haproxy:tcp:2775",
]
BAD_SERVERS = [
    "",
    "2775",
    "tcp",
    "tcp:",
    "tcp:smpp",
    "tcp:2775:port=3",
    "tcp:2775:window=3",
    "tcp:2775:a:5:d",
    "udp:2775",
    "ssl:2775:privateKey=/no/such/file",
    "unix",
]
GOOD_CLIENTS = [
    "tcp:127.0.0.1:2775",
    "tcp:host=smsc.example.com:port=2775:timeout=5",
    "tcp:smsc.example.com:2775:bindAddress=10.0.0.1",
    "tls:smsc.example.com:3550",
    "ssl:smsc.example.com:3550",
    "unix:/tmp/x.sock",
    "unix:path=/tmp/x.sock:timeout=9",
]
BAD_CLIENTS = [
    "",
    "tcp:localhost:smpp",
    "tcp:localhost:1:timeout=soon",
    "tcp",
    "udp:localhost:1",
    "tls:localhost",
    "localhost:2775",
    "tls:localhost:1:2:3:4:5:6:7:8:9",
    "tcp:localhost:1\\",
]


@pytest.mark.parametrize("text", GOOD_SERVERS)
def test_what_we_accept_for_listening_twisted_accepts(text: str) -> None:
    endpoints.server(text)
    listen(Clock(), text)


@pytest.mark.filterwarnings("ignore:Passing HostnameEndpoint")  # a Clock resolves no names
@pytest.mark.parametrize("text", GOOD_CLIENTS)
def test_what_we_accept_for_connecting_twisted_accepts(text: str) -> None:
    endpoints.client(text)
    connect(Clock(), text)


@pytest.mark.parametrize("text", BAD_SERVERS)
def test_what_we_refuse_for_listening_is_explained(text: str) -> None:
    with pytest.raises(ValueError, match=r"; (write|name) "):
        endpoints.server(text)


@pytest.mark.parametrize("text", BAD_CLIENTS)
def test_what_we_refuse_for_connecting_is_explained(text: str) -> None:
    with pytest.raises(ValueError, match=r"; write "):
        endpoints.client(text)


def test_files_of_a_tls_listener_have_to_be_there(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    with pytest.raises(ValueError, match="cannot be read"):
        endpoints.server(f"ssl:3550:privateKey={key}")
    key.write_text("")
    assert endpoints.server(f"ssl:3550:privateKey={key}")["privateKey"] == str(key)
