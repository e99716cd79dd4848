"""A store whose disk or memory is full, or that stalls: new messages are refused, what was accepted is kept, and work
goes on by itself when there is room again (R2)."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import valkey

from gateway.smpp.constants import CommandStatus
from gateway.store.embedded import socket_path
from tests.end_to_end.biller import Answer
from tests.end_to_end.in_reactor import in_reactor
from tests.end_to_end.ledger import Ledger
from tests.end_to_end.stage import Stage
from tools.clock import pause

DISK = 12 * 1024 * 1024
ROOM = 256 * 1024  # what the full disk still has
LONG = "60s"  # fallback_after: however slow this machine is, nothing goes by SMS only because of that
NO_S, BACK_S = 10.0, 15.0  # how soon readyz says no, and yes again
serials = itertools.count(11976000000)


def people(count: int) -> list[str]:
    return [f"55{next(serials)}" for _ in range(count)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with little room."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(place)], capture_output=True
    )
    if not mounted or mounted.returncode:
        pytest.skip("may not mount a small file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


async def is_ready(stage: Stage) -> bool:
    return (await stage.ask("GET", "/readyz"))[0] == 200


async def refuses(stage: Stage, ledger: Ledger, number: str) -> bool:
    """Is a message refused now, and soon? Those that still find room are accepted, and count."""
    biller = stage.billers[-1]
    before = len(ledger.refused)
    ledger.submit(biller, [number])
    await ledger.all_answered()
    return len(ledger.refused) > before


async def through_trouble(stage: Stage, ledger: Ledger, begin: object, end: object, why: str) -> None:
    """Traffic before, while and after the store takes nothing more. why: what is said of it."""
    assert callable(begin) and callable(end)
    biller = stage.billers[-1]
    ledger.submit(biller, people(50))
    await ledger.all_answered()
    begin()
    for _ in range(200):
        if await refuses(stage, ledger, people(1)[0]):
            break
        ledger.submit(biller, people(20))
        await ledger.all_answered()
    else:
        raise AssertionError("the store never refused")

    async def says_no() -> bool:
        return not await is_ready(stage)

    await stage.until(says_no, "readyz says no", NO_S)

    async def says_why() -> bool:
        return why in str(await stage.ask("GET", "/readyz")) and why in str((await stage.status())["not_ready"])

    await stage.until(says_why, "readyz and status say why", NO_S)
    refused = people(20)
    got: list[Answer] = []
    for number in refused:
        biller.submit(number, "Sem espaco").addCallback(got.append)
    await stage.until(lambda: len(got) == 20, "refusals come soon", NO_S)
    assert {answer.status for answer in got} == {CommandStatus.ESME_RMSGQFUL}
    assert not biller.closed, "the bind stays"
    end()
    await stage.until(lambda: is_ready(stage), "readyz says yes", BACK_S)
    assert ledger.unanswered == []
    kept = len(ledger.accepted)
    ledger.submit(biller, people(50))
    await ledger.all_answered()
    assert len(ledger.accepted) == kept + 50
    await ledger.all_reported(40)
    assert await ledger.check(0) == 0
    seen = ledger.seen()
    assert not [number for number in refused if seen[number]], "a refused message was delivered"
    assert not biller.closed


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@in_reactor
async def test_a_full_disk_refuses_new_messages_and_keeps_the_others(
    stage: Stage, small_disk: Path, workers: int
) -> None:
    stage.gateway.workers = workers
    stage.gateway.store_directory = small_disk / "store"
    stage.settings["store"]["directory"] = str(stage.gateway.store_directory)
    stage.settings["routes"][0]["fallback_after"] = LONG
    await stage.start()
    ledger = Ledger(stage)
    ledger.watch(await stage.bind())
    ballast = small_disk / "ballast"

    def fill() -> None:
        free = shutil.disk_usage(small_disk).free
        ballast.write_bytes(bytes(max(0, free - ROOM)))

    try:
        await through_trouble(stage, ledger, fill, ballast.unlink, "no room on the disk of store.directory")
        said = [line for line in stage.gateway.log().splitlines() if "[store]" in line or "embedded store:" in line]
        assert len(said) <= 8 * workers, "\n".join(said)
    finally:
        if stage.gateway.alive:
            await stage.stop()


@pytest.mark.slow
@in_reactor
async def test_a_store_out_of_memory_refuses_new_messages_and_keeps_the_others(stage: Stage) -> None:
    stage.settings["routes"][0]["fallback_after"] = LONG
    await stage.start()
    ledger = Ledger(stage)
    ledger.watch(await stage.bind())
    link = valkey.Valkey(unix_socket_path=socket_path(stage.gateway.store_directory))
    try:
        await through_trouble(
            stage, ledger, lambda: link.config_set("maxmemory", 1), lambda: link.config_set("maxmemory", 0),
            "out of memory",
        )  # fmt: skip
    finally:
        link.close()


@pytest.mark.slow
@in_reactor
async def test_a_store_that_stalls_for_seconds_delays_answers_and_loses_nothing(stage: Stage) -> None:
    stage.settings["routes"][0]["fallback_after"] = LONG
    await stage.start()
    ledger = Ledger(stage)
    biller = await stage.bind()
    ledger.watch(biller)
    for _ in range(3):
        ledger.submit(biller, people(40))
        pid = stage.gateway.freeze_store()
        try:
            ledger.submit(biller, people(40))
            await pause(stage.reactor, 1.5)
        finally:
            os.kill(pid, signal.SIGCONT)
        await ledger.all_answered()
    assert not ledger.refused and not ledger.unanswered, "a stall of a second and a half is no outage"
    await ledger.all_reported(40)
    assert await ledger.check(0) == 0
    assert not biller.closed
