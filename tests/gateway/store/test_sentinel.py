"""A store that fails over: real servers, real sentinels, and a master that dies, freezes or is demoted."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import protocol, reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import deferLater

from config import store_url
from config.schema import StoreSettings
from gateway.store.sentinel import NoMaster, find_master
from gateway.store.valkey import Keep, Store
from tools import feed
from tools.ports import free_port
from tools.store_group import NAME, StoreGroup

PASSWORD = "pa55word-of-this-test"


def turn() -> Deferred[None]:
    return deferLater(reactor, 0.02, lambda: None)


async def until(question: Callable[[], Any], what: str, patience_s: float = 20.0) -> None:
    for _ in range(int(patience_s / 0.02)):
        if question():
            return
        await turn()
    raise AssertionError(f"not within {patience_s:g} s: {what}")


@pytest.fixture
def group(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[StoreGroup]:
    settings = getattr(request, "param", {})
    with tempfile.TemporaryDirectory(prefix="pombo-group-") as directory:
        group = StoreGroup(Path(directory), fsync="everysec", **settings)
        try:
            group.start()
            yield group
        finally:
            group.stop()


async def linked(group: StoreGroup, replicas: int = 0, before: str = "") -> Store:
    url = group.url.replace("127.0.0.1", before + "127.0.0.1", 1) if before else group.url
    store = Store(url, reactor, embedded=None, node="gw1", replicas=replicas)
    await store.start()
    return store


@pytest.mark.parametrize("group", [{"password": PASSWORD}], indirect=True)
@pytest_twisted.ensureDeferred
async def test_a_killed_master_is_left_for_the_new_one_and_what_was_kept_goes_on(group: StoreGroup) -> None:
    store = await linked(group, before=f"127.0.0.1:{free_port()},")  # the first sentinel does not answer
    assert await store.command("SET", "a", "1", keep=Keep.ALWAYS)
    assert feed.connect(StoreSettings(url=group.url)).get("a") == b"1", "so does `pombo events`"
    first = group.master()
    assert first is not None
    backs: list[int] = []
    store.on_back = lambda: backs.append(1)
    first.until(lambda: group.servers[1].ask("GET", "a") == b"1", "replicates")
    first.kill()
    await until(lambda: not store.writable, "the link is lost")
    held = store.call("keep", "b", "60", "2", keep=Keep.ALWAYS)
    await until(lambda: store.writable and backs, "the store is back")
    assert await held == 1
    assert await store.command("GET", "a", keep=Keep.ALWAYS) == b"1"
    assert group.servers[1].ask("GET", "b") == b"2"
    await store.stop()


@pytest_twisted.ensureDeferred
async def test_a_frozen_master_that_closes_no_connection_is_left_too(group: StoreGroup) -> None:
    store = await linked(group)
    assert await store.command("SET", "a", "1", keep=Keep.ALWAYS)
    frozen = group.servers[0]
    frozen.freeze()
    written = store.command("SET", "b", "2", keep=Keep.ALWAYS)
    assert await written
    assert group.servers[1].ask("GET", "b") == b"2"
    frozen.thaw()
    assert await store.command("SET", "c", "3", keep=Keep.ALWAYS)
    assert group.servers[1].ask("GET", "c") == b"3", "the old master is not asked again"
    await store.stop()


@pytest_twisted.ensureDeferred
async def test_with_replicas_what_the_old_master_took_while_it_was_being_replaced_is_written_again(
    group: StoreGroup,
) -> None:
    store = await linked(group, replicas=1)
    await until(lambda: group.sentinels[0].ask("SENTINEL", "failover", NAME), "the sentinel agrees to it")
    await until(lambda: group.master() is group.servers[1], "the replica is master")
    for number in range(20):
        assert await store.command("INCR", f"k{number}", keep=Keep.ALWAYS)
        await turn()
    assert [group.servers[1].ask("EXISTS", f"k{number}") for number in range(20)] == [1] * 20
    await store.stop()


@pytest_twisted.ensureDeferred
async def test_with_replicas_nothing_counts_as_kept_before_they_have_it(group: StoreGroup) -> None:
    store = await linked(group, replicas=1)
    assert await store.command("INCR", "n", keep=Keep.ALWAYS) == 1
    assert group.servers[1].ask("GET", "n") == b"1", "it was there before the answer"
    group.sentinels[0].freeze()  # no failover in this test
    group.servers[1].freeze()
    waiting = store.command("INCR", "n", keep=Keep.ALWAYS)
    read = await store.command("GET", "n", keep=Keep.ALWAYS)
    assert read == b"2"
    await until(lambda: not store.writable, "a replica that is away stops the writing")
    assert "fewer than 1 replicas" in store.why_not_writable
    assert not waiting.called
    group.servers[1].thaw()
    assert await waiting == 2
    await until(lambda: store.writable, "it goes on")
    group.sentinels[0].thaw()
    await store.stop()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"*-1\r\n", "does not know this group"),
        (b"-ERR unknown command 'SENTINEL'\r\n", "is no sentinel"),
        (b"-NOAUTH Authentication required.\r\n", "wants a password"),
        (b"+hello\r\n", "unreadable"),
        (b"*2\r\n$1\r\na\r\n$1\r\nb\r\n", "unreadable"),
        (b"x" * 5000, "unreadable"),
        (b"", "closes the connection"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_a_sentinel_cannot_tell_is_said_without_data(said: bytes, why: str) -> None:
    class Says(protocol.Protocol):
        def dataReceived(self, data: bytes) -> None:
            self.transport.write(said)  # type: ignore[union-attr]
            if not said:
                self.transport.loseConnection()  # type: ignore[union-attr]

    factory = protocol.Factory.forProtocol(Says)
    listening: Any = reactor.listenTCP(0, factory, interface="127.0.0.1")  # type: ignore[attr-defined]
    port, nobody = listening.getHost().port, free_port()
    url = store_url.parse(f"sentinel://127.0.0.1:{nobody},127.0.0.1:{port}/grp")
    with pytest.raises(NoMaster, match=why) as trouble:
        await find_master(url, reactor)
    assert f"127.0.0.1:{nobody} cannot be reached" in str(trouble.value)
    await listening.stopListening()


@pytest_twisted.ensureDeferred
async def test_until_a_sentinel_answers_the_store_says_whom_it_asked() -> None:
    port = free_port()
    store = Store(f"sentinel://:{PASSWORD}@127.0.0.1:{port}/grp", reactor, embedded=None, node="gw1")
    started = store.start()
    starting = ensureDeferred(started)
    await until(lambda: "no sentinel names a master of grp" in store.why_not_writable, "it says so")
    assert PASSWORD not in store.why_not_writable
    starting.addErrback(lambda _: None)
    starting.cancel()
