"""SIGTERM in the middle of the work: answered what was read, unbound on both sides, kept or handed back, ended well."""

from __future__ import annotations

import itertools
import os
import signal
import socket
from pathlib import Path

import pytest

from gateway import notify
from gateway.smpp.constants import CommandStatus
from tests.end_to_end.in_reactor import in_reactor
from tests.end_to_end.ledger import Ledger
from tests.end_to_end.stage import Stage
from tests.end_to_end.test_crash import make_realistic
from tools.clock import pause
from tools.gateway_process import store_pid
from tools.scripts import OperatorScript

LIMIT_S = 10.0
serials = itertools.count(11974000000)


def people(count: int) -> list[str]:
    return [f"55{next(serials)}" for _ in range(count)]


async def stops_in_time(stage: Stage) -> None:
    """SIGTERM is answered with an exit status of 0, soon."""
    stage.gateway.terminate()
    await stage.until(lambda: not stage.gateway.alive, "the gateway stops", LIMIT_S)
    assert stage.gateway.status == 0


@pytest.mark.slow
@in_reactor
async def test_rolling_restarts_under_load_lose_and_double_nothing(stage: Stage) -> None:
    numbers = people(600)
    make_realistic(stage, numbers)
    stage.settings["smsc_client"][0]["throughput"] = "100/s"  # something waits at every stop
    stage.settings["routes"][0]["fallback_after"] = "60s"
    await stage.start()
    ledger = Ledger(stage)
    biller = await stage.bind()
    ledger.watch(biller)
    stops = 0
    for place in range(0, len(numbers), 10):
        if place in (200, 400):
            stage.gateway.terminate()
            stops += 1
            while not biller.closed:  # a billing system does not know of the stop and goes on
                ledger.submit(biller, people(1))
                await pause(stage.reactor, 0.01)
            await stage.until(lambda: not stage.gateway.alive, "the gateway stops", LIMIT_S)
            assert stage.gateway.status == 0
            assert stage.operator.binds == 0, "the operator was left without an unbind"
            assert not store_pid(stage.gateway.store_directory), "the store goes with its gateway"
            await stage.start(channels_up=False)
            biller = await stage.bind()
            ledger.watch(biller)
        ledger.submit(biller, numbers[place : place + 10])
        await pause(stage.reactor, 0.02)
    await ledger.all_answered()
    await ledger.all_reported(40)
    assert await ledger.check(0) == 0, "a clean stop doubles nothing"
    seen = ledger.seen()
    assert not [number for number in ledger.unanswered if seen[number]], "sent, and its ESME does not know"
    assert set(ledger.refusals) <= {CommandStatus.ESME_RMSGQFUL, CommandStatus.ESME_RINVBNDSTS}
    assert not stage.gateway.log().count("may have been sent"), "nothing was left in the air"
    assert stops == 2


@in_reactor
async def test_a_stop_waits_for_no_answer_that_never_comes(stage: Stage) -> None:
    stage.settings["routes"] = [{"name": "sms", "channels": ["operator"]}]
    stage.operator.scripts.set("*", OperatorScript(answered=False, receipt=False))
    await stage.start()
    ledger = Ledger(stage)
    biller = await stage.bind()
    biller.acknowledges = False
    ledger.submit(biller, people(5))
    await stage.until(lambda: len(stage.operator.submits) == 5, "the operator has them")
    await stops_in_time(stage)
    await stage.start()
    await stage.stays(lambda: len(stage.operator.submits) == 5, "what was not answered was sent again", 1.0)
    for submit in list(stage.operator.submits):
        stage.operator.report(submit, "DELIVRD", "000")
    biller = await stage.bind("receiver")
    ledger.watch(biller)
    await ledger.all_reported()
    assert {receipt.stat for receipt in biller.receipts} == {"DELIVRD"}


@pytest.mark.parametrize("workers", [1, 2])
@in_reactor
async def test_whoever_asks_for_a_stop_again_and_again_gets_one(stage: Stage, workers: int) -> None:
    stage.settings["routes"] = [{"name": "sms", "channels": ["operator"]}]
    stage.operator.scripts.set("*", OperatorScript(answered=False))
    stage.gateway.workers = workers
    await stage.start()
    biller = await stage.bind()
    biller.submit(*people(1), text="Ola")
    await stage.until(lambda: stage.operator.submits, "the operator has it")
    for _ in range(4):
        for pid in (stage.gateway.pid, *stage.gateway.worker_pids()):
            os.kill(pid, signal.SIGTERM)
        await pause(stage.reactor, 0.3)
    await stops_in_time(stage)
    assert "Traceback" not in stage.gateway.log()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@in_reactor
async def test_a_stop_waits_for_no_store_that_hangs_and_keeps_what_was_accepted(stage: Stage, workers: int) -> None:
    stage.gateway.workers = workers
    await stage.start()
    ledger = Ledger(stage)
    biller = await stage.bind()
    ledger.watch(biller)
    ledger.submit(biller, people(20))
    await ledger.all_answered()
    pid = stage.gateway.freeze_store()
    try:
        ledger.submit(biller, people(20))
        await pause(stage.reactor, 0.2)
        await stops_in_time(stage)
    finally:
        os.kill(pid, signal.SIGCONT)
    await stage.until(lambda: biller.closed, "the link is lost")
    await stage.start(channels_up=False)
    ledger.watch(await stage.bind())
    await ledger.all_reported()
    assert await ledger.check(20) == 0


@pytest.mark.parametrize("workers", [1, 2])
@in_reactor
async def test_systemd_hears_when_the_node_is_ready_and_when_it_ends(
    stage: Stage, workers: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stage.gateway.workers = workers
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.setblocking(False)
        systemd.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        await stage.start()
        await stops_in_time(stage)
        heard = [systemd.recv(100).decode() for _ in range(2 if workers > 1 else 3)]
        with pytest.raises(BlockingIOError):
            systemd.recv(100)
    assert heard[-2:] == [notify.READY, notify.STOPPING]
    assert heard[:-2] == ([] if workers > 1 else [notify.WAITS_FOR_STORE])
