"""The link to the store: what is kept over a lost link, what is refused, and how the link mends itself."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import txredisapi
from twisted.internet import endpoints, protocol, reactor
from twisted.internet.defer import Deferred, DeferredList, ensureDeferred
from twisted.internet.task import deferLater

from gateway.store import valkey
from gateway.store.connection import GONE_S
from gateway.store.embedded import EmbeddedServer
from gateway.store.ledger import Ledger
from gateway.store.turn import Answers, Turn
from gateway.store.valkey import Keep, Store, StoreAway
from tests.gateway.conftest import connected
from tests.gateway.samples import accepted
from tests.gateway.server.house import logged
from tests.gateway.store.test_ledger import sealed
from tools.ports import free_port
from tools.store_group import Server

Seconds: Any = reactor


class Ahead:
    """The real reactor, with a clock that the test may put forward."""

    def __init__(self) -> None:
        self.by = 0.0

    def seconds(self) -> float:
        return float(Seconds.seconds()) + self.by

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)


@pytest_twisted.async_yield_fixture
async def mortal(tmp_path: Path) -> AsyncIterator[Store]:
    """A store with a server of its own that the test may kill."""
    store = Store("embedded", reactor, embedded=EmbeddedServer(tmp_path, "always"), node="gw1")
    await store.start()
    yield store
    await store.stop()


async def pid_of(store: Store) -> int:
    return int((await store.command("INFO", "server")).split(b"process_id:")[1].split()[0])


async def refuse_writes(store: Store, refuse: bool = True) -> None:
    await store.command("CONFIG", "SET", "min-replicas-to-write", str(int(refuse)))


def turn() -> Deferred[None]:
    return deferLater(reactor, 0.01, lambda: None)


def outcome(deferred: Deferred[Any]) -> Deferred[Any]:
    """The answer, or the exception as a value."""
    return deferred.addErrback(lambda failure: failure.value)


@pytest_twisted.ensureDeferred
async def test_calls_under_load_are_all_answered_after_the_server_was_killed(mortal: Store) -> None:
    pid = await pid_of(mortal)
    ledger = Ledger(mortal, "gw1", 1000, lambda call: Seconds.callLater(0, call), Keep.ALWAYS)
    kept: list[str] = []
    half: Deferred[None] = Deferred()
    all_of_them: Deferred[None] = Deferred()

    def done(message_id: str) -> None:
        kept.append(message_id)
        if len(kept) == 1000:
            half.callback(None)
        if len(kept) == 3000:
            all_of_them.callback(None)

    for number in range(3000):
        message = accepted(f"m{number:04}")
        ledger.commit(sealed(message, kept=[lambda _, one=message.id: done(one)]))
    await half
    os.kill(pid, signal.SIGKILL)
    await all_of_them
    assert sorted(kept) == [f"m{number:04}" for number in range(3000)]
    records = await mortal.command("MGET", *(f"m:{one}" for one in kept))
    assert {record[:4] for record in records} == {b"\0\0\0\1"}, "each was written once"
    assert mortal.writable


@pytest_twisted.ensureDeferred
async def test_a_call_that_need_not_be_kept_fails_with_the_link(mortal: Store) -> None:
    pid = await pid_of(mortal)
    os.kill(pid, signal.SIGSTOP)
    loose, kept = mortal.command("GET", "a"), mortal.command("GET", "a", keep=Keep.OVER_LINKS)
    os.kill(pid, signal.SIGKILL)
    assert isinstance(await outcome(loose), StoreAway)
    assert not mortal.writable
    assert isinstance(await outcome(mortal.command("GET", "a")), StoreAway), "at once, while there is no link"
    assert await kept is None


@pytest_twisted.ensureDeferred
async def test_who_asks_again_at_the_very_moment_the_link_is_lost_is_answered_by_the_next_link(mortal: Store) -> None:
    pid = await pid_of(mortal)
    os.kill(pid, signal.SIGSTOP)
    again = mortal.command("GET", "a").addErrback(lambda _: mortal.command("SET", "a", "1", keep=Keep.ALWAYS))
    os.kill(pid, signal.SIGKILL)
    assert await outcome(again) == b"OK"


@pytest_twisted.ensureDeferred
async def test_a_store_that_comes_back_is_told_to_who_wants_to_know(mortal: Store) -> None:
    back: Deferred[None] = Deferred()
    mortal.on_back = lambda: back.callback(None)
    os.kill(await pid_of(mortal), signal.SIGKILL)
    await back
    assert mortal.writable
    assert mortal.why_not_writable == ""


@pytest_twisted.ensureDeferred
async def test_refused_writes_fail_what_is_kept_over_links_and_keep_what_is_kept_always(mortal: Store) -> None:
    await refuse_writes(mortal)
    failed = await outcome(mortal.call("keep", "k", "60", "v", keep=Keep.OVER_LINKS))
    assert isinstance(failed, StoreAway)
    assert str(failed) == "has too few replicas"
    assert mortal.why_not_writable == "has too few replicas"
    assert mortal.readable
    patient = mortal.call("keep", "k", "60", "v", keep=Keep.ALWAYS)
    await mortal.command("PING")
    assert not patient.called
    await refuse_writes(mortal, False)
    assert await patient == 1
    assert mortal.writable


class Refusable(Turn, eq=False, kw_only=True):
    """A change that wants to hear when the store refuses it."""

    told: list[str]

    def tell(self, answers: Answers) -> None:
        self.told.append("kept")

    def not_kept(self) -> bool:
        self.told.append(self.message.id)
        return True


@pytest_twisted.ensureDeferred
async def test_a_refused_batch_tells_every_change_that_nothing_was_kept(mortal: Store) -> None:
    await refuse_writes(mortal)
    ledger = Ledger(mortal, "gw1", 1000, lambda call: Seconds.callLater(0, call), Keep.OVER_LINKS)
    told: list[str] = []
    over: Deferred[None] = Deferred()
    ledger.idle = lambda: over.callback(None)
    for number in range(3):
        change = Refusable(accepted(f"m{number}"), 1.0, told=told)
        ledger.commit(change.change())
    await over
    assert told == ["m0", "m1", "m2"]
    await refuse_writes(mortal, False)
    assert await mortal.command("KEYS", "m:*") == []


@pytest_twisted.ensureDeferred
async def test_our_own_mistake_is_an_error_and_not_repeated(mortal: Store) -> None:
    assert isinstance(await outcome(mortal.command("NONSENSE", keep=Keep.ALWAYS)), txredisapi.ResponseError)
    assert isinstance(await outcome(mortal.call("commit", "no msgpack", keep=Keep.ALWAYS)), txredisapi.ResponseError)
    assert mortal.writable


@pytest_twisted.ensureDeferred
async def test_scripts_that_the_server_forgot_are_loaded_again(mortal: Store) -> None:
    await mortal.command("SCRIPT", "FLUSH")
    assert await mortal.call("keep", "k", "60", "v", keep=Keep.ALWAYS) == 1


@pytest_twisted.ensureDeferred
async def test_a_server_that_does_not_answer_counts_as_not_writable(tmp_path: Path) -> None:
    ahead = Ahead()
    store = Store("embedded", ahead, embedded=EmbeddedServer(tmp_path, "everysec"), node="gw1")
    await store.start()
    pid = await pid_of(store)
    os.kill(pid, signal.SIGSTOP)
    slow = store.command("SET", "a", "1")
    ahead.by = 2.9
    assert store.writable and store.readable
    ahead.by = 4.0
    assert store.why_not_writable.startswith("no answer for 4 s")
    assert not store.readable
    os.kill(pid, signal.SIGCONT)
    assert await slow == b"OK"
    assert store.writable
    await store.stop()


@pytest_twisted.ensureDeferred
async def test_a_server_that_is_not_ready_is_asked_again_without_leaving_links_behind(
    server: EmbeddedServer, store: Store
) -> None:
    async def figure(name: bytes) -> int:
        return int((await store.command("INFO")).split(name + b":")[1].split()[0])

    await store.command("CONFIG", "SET", "requirepass", "x")  # refuses SCRIPT LOAD, as one that reads its files does
    before = await figure(b"total_connections_received")
    starting = ensureDeferred(connected(server, "gw2"))
    while await figure(b"total_connections_received") < before + 4:
        await turn()
    assert await figure(b"connected_clients") <= 3
    await store.command("CONFIG", "SET", "requirepass", "")
    second = await starting
    assert await second.command("PING") == b"PONG"
    await second.stop()


@pytest_twisted.ensureDeferred
async def test_what_nobody_waits_for_any_more_does_not_go_again_over_the_next_link(mortal: Store) -> None:
    pid = await pid_of(mortal)
    os.kill(pid, signal.SIGSTOP)
    keep = ("keep", "p:1", "60", "one"), ("keep", "p:2", "60", "two")
    calls = [mortal.call(*words, keep=Keep.OVER_LINKS, wanted=lambda one=one: one) for one, words in enumerate(keep)]
    os.kill(pid, signal.SIGKILL)
    answers = [await outcome(call) for call in calls]
    assert type(answers[0]) is StoreAway and not isinstance(answers[1], Exception)
    assert await mortal.command("MGET", "p:1", "p:2") == [None, b"two"]


@pytest_twisted.ensureDeferred
async def test_before_the_first_link_nothing_is_writable_and_says_so(tmp_path: Path) -> None:
    store = Store(f"unix://{tmp_path}/nobody.sock", reactor, embedded=None, node="gw1")
    assert store.why_not_writable == "not connected yet"
    assert isinstance(await outcome(store.command("GET", "a")), StoreAway)


@pytest_twisted.ensureDeferred
async def test_a_stop_ends_what_is_still_kept(tmp_path: Path) -> None:
    store = Store(f"unix://{tmp_path}/nobody.sock", reactor, embedded=None, node="gw1")
    waiting = [store.command("GET", "a", keep=Keep.ALWAYS), store.command("GET", "b", keep=Keep.OVER_LINKS)]
    ended = DeferredList([outcome(one) for one in waiting])
    await store.stop()
    assert [type(value) for _, value in await ended] == [StoreAway, StoreAway]


@pytest_twisted.ensureDeferred
async def test_a_beat_a_second_finds_out_that_writes_are_refused(mortal: Store) -> None:
    await refuse_writes(mortal)
    assert mortal.writable
    while mortal.writable:
        await turn()
    assert mortal.why_not_writable == "has too few replicas"
    assert await mortal.command("GET", "a") is None
    assert not mortal.writable, "that it can be read says nothing"
    await refuse_writes(mortal, False)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Server]:
    """A server of somebody else's that asks for a password and has a user of its own for us."""
    server = Server(tmp_path, "guarded", "p@ss")
    socket = ("--unixsocket", str(tmp_path / "v.sock"))
    user = ("--user", "pombo", "on", ">s/cret", "~*", "&*", "+@all")
    try:
        server.start("--port", str(server.port), "--requirepass", "p@ss", "--save", "", *socket, *user)
        yield server
    finally:
        server.kill()


@pytest.mark.parametrize(
    ("url", "database"),
    [
        ("redis://:p%40ss@127.0.0.1:{port}", 0),
        ("redis://:p%40ss@127.0.0.1:{port}/3", 3),
        ("redis://pombo:s%2Fcret@127.0.0.1:{port}/2", 2),
        ("unix://:p%40ss@{directory}/v.sock?db=1", 1),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_server_of_ones_own_is_used_with_its_password_user_and_database(
    guarded: Server, tmp_path: Path, url: str, database: int
) -> None:
    place = url.format(port=guarded.port, directory=tmp_path)
    store = Store(place, reactor, embedded=None, node="gw1")
    await store.start()
    await store.command("SET", "here", "1")
    await store.stop()
    keys = guarded.ask("INFO", "keyspace")
    assert list(keys) == [f"db{database}"]


class Deaf(protocol.Protocol):
    """Takes calls and never answers."""


class Shut(protocol.Protocol):
    """Takes connections and closes them."""

    def connectionMade(self) -> None:
        self.transport.loseConnection()  # type: ignore[union-attr]


@pytest_twisted.async_yield_fixture
async def others() -> AsyncIterator[dict[str, int]]:
    """Ports where there is no store: nobody, somebody deaf, somebody shut."""
    listen: Any = endpoints.TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    ports = {one.__name__.lower(): await listen.listen(protocol.Factory.forProtocol(one)) for one in (Deaf, Shut)}
    yield {"nobody": free_port(), **{name: port.getHost().port for name, port in ports.items()}}
    for port in ports.values():
        await port.stopListening()


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the kernel has no such option")
@pytest_twisted.ensureDeferred
async def test_the_kernel_gives_a_machine_up_that_acknowledges_nothing(guarded: Server) -> None:
    store = Store(f"redis://:p%40ss@127.0.0.1:{guarded.port}", reactor, embedded=None, node="gw1")
    await store.start()
    assert store._link is not None
    patience = store._link.transport.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    await store.stop()
    assert patience == GONE_S * 1000


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis://127.0.0.1:{guarded}", "wants a password: give it in store.url"),
        ("redis://:wrong@127.0.0.1:{guarded}", "refuses the password of store.url"),
        ("redis://:p%40ss@127.0.0.1:{guarded}/9999", "has no database of the number in store.url"),
        ("redis://127.0.0.1:{nobody}", "takes no connections"),
        ("redis://:wrong@127.0.0.1:{shut}", "closes the connection"),
        ("redis://127.0.0.1:{deaf}", "does not answer"),
        ("redis://:wrong@127.0.0.1:{deaf}", "does not answer"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_store_that_cannot_be_used_is_named_with_the_reason_at_once_and_once(
    guarded: Server, others: dict[str, int], monkeypatch: pytest.MonkeyPatch, url: str, why: str
) -> None:
    monkeypatch.setattr(valkey, "CONNECT_S", 0.3)  # what is waited for somebody who says nothing
    ports = {"guarded": guarded.port, **others}
    place = url.format(**ports).rpartition("@")[2].removeprefix("redis://").partition("/")[0]
    store = Store(url.format(**ports), reactor, embedded=None, node="gw1")
    with logged() as lines:
        started = ensureDeferred(store.start())
        for _ in range(300):
            if store._tries > 2:
                break
            await turn()
        started.addErrback(lambda _: None)
        started.cancel()
    assert store.why_not_writable == f"{place} {why}"
    assert lines == [f"the store cannot be used: {place} {why}"]


@pytest_twisted.ensureDeferred
async def test_a_server_that_ends_with_the_first_write_has_no_link_and_is_asked_ever_more_seldom(
    mortal: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one does whose disk is full, with `fsync: always`."""
    links: list[str] = []
    monkeypatch.setattr(mortal, "_alive", lambda: ("DEBUG", "SEGFAULT") if links.append("") is None else ())
    assert mortal._embedded is not None
    with logged() as lines:
        os.kill(await pid_of(mortal), signal.SIGKILL)
        while len(links) < 4:
            await turn()
        assert not mortal.writable
        monkeypatch.undo()
        assert await mortal.command("SET", "a", "1", keep=Keep.ALWAYS) == b"OK"
    assert [line for line in lines if "embedded" not in line] == ["store link lost; reconnecting"]
    assert mortal._tries >= 4
