"""One real store server for all tests that need one, emptied before each of them."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor

from gateway.store.embedded import EmbeddedServer
from gateway.store.valkey import Keep, Store


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A running server in a directory of its own."""
    directory: Path = tmp_path_factory.mktemp("store")
    server = EmbeddedServer(directory, "everysec")
    server.lock()
    server.ensure()
    yield server
    shut_down(server)


def shut_down(server: EmbeddedServer) -> None:
    """Stop a server without a link to it."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(server.socket)
            client.sendall(b"SHUTDOWN NOSAVE\r\n")
        except OSError:
            pass
    server.stop()


async def connected(server: EmbeddedServer, node: str = "gw1") -> Store:
    """A link to a running server, which is not this link's to stop."""
    store = Store(f"unix://{server.socket}", reactor, embedded=None, node=node)
    await store.start()
    return store


@pytest_twisted.async_yield_fixture
async def store(server: EmbeddedServer) -> AsyncIterator[Store]:
    """A link to an empty store."""
    store = await connected(server)
    await store.command("FLUSHALL", "SYNC", keep=Keep.ALWAYS)
    yield store
    await store.stop()
