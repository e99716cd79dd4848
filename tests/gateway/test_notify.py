"""What systemd hears of a node, on a real socket."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from gateway.notify import READY, tell


@pytest.fixture
def systemd() -> socket.socket:
    ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    ear.settimeout(5.0)
    return ear


@pytest.mark.parametrize("named", ["file", "abstract"])
def test_it_hears_that_the_node_is_ready(systemd: socket.socket, tmp_path: Path, named: str) -> None:
    address = str(tmp_path / "notify") if named == "file" else f"@pombo-{tmp_path}"
    with systemd:
        systemd.bind(address.replace("@", "\0"))
        tell(READY, {"NOTIFY_SOCKET": address})
        assert systemd.recv(100) == b"READY=1\nSTATUS=ready"


@pytest.mark.parametrize("named", [None, "", "vsock:2:1234", "/nowhere/notify"])
def test_where_nobody_listens_nothing_happens(named: str | None) -> None:
    tell(READY, {} if named is None else {"NOTIFY_SOCKET": named})
