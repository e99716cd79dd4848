"""What is away comes back: operator, WhatsApp provider and store, each gone for a while under traffic."""

from __future__ import annotations

import itertools
import os
import signal
from pathlib import Path

import pytest

from gateway.smpp.constants import CommandStatus
from tests.end_to_end.biller import Answer
from tests.end_to_end.in_reactor import in_reactor
from tests.end_to_end.ledger import Ledger
from tests.end_to_end.stage import Stage
from tools.clock import pause
from tools.scripts import WHATSAPP_WORDS, WhatsAppScript, read_script

serials = itertools.count(11972000000)
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


def people(count: int) -> list[str]:
    return [f"55{next(serials)}" for _ in range(count)]


async def gather(answers: list[object]) -> list[Answer]:
    return [await answer for answer in answers]  # type: ignore[misc]


@in_reactor
async def test_messages_wait_for_an_operator_that_cannot_be_reached_and_go_in_order(stage: Stage) -> None:
    stage.settings["routes"] = [{"name": "sms", "channels": ["operator"]}]
    await stage._ports.pop("operator").stopListening()
    await stage.start(channels_up=False)
    biller = await stage.bind()
    (to,) = people(1)
    texts = [f"Mensagem numero {n:02d}" for n in range(30)]
    answers = await gather([biller.submit(to, text) for text in texts])
    assert {answer.status for answer in answers} == {0}
    await stage.until(lambda: stage.gateway.alive, "it lives")
    assert (await stage.channel("operator"))["up"] is False
    await stage.open_operator()
    await stage.until(lambda: len(biller.receipts) == 30, "they go and are reported", 15)
    assert [submit.text for submit in stage.operator.submits] == texts
    assert {receipt.stat for receipt in biller.receipts} == {"DELIVRD"}


@in_reactor
async def test_without_the_whatsapp_server_sms_goes_at_once(stage: Stage) -> None:
    await stage._ports.pop("provider").stopListening()
    await stage.start(channels_up=False)
    await stage.until(lambda: stage.operator.binds == 1, "the operator is bound")
    numbers = people(20)
    for one in numbers:
        stage.provider.people.add(one)
    ledger = Ledger(stage)
    biller = await stage.bind()
    ledger.watch(biller)
    began = stage.reactor.seconds()
    ledger.submit(biller, numbers)
    await stage.until(lambda: len(stage.operator.submits) == 20, "all went by SMS", 3)
    assert stage.operator.submits[-1].at - began < 2.0
    await stage.until(lambda: len(biller.receipts) == 20, "all are reported")
    assert {receipt.channel for receipt in biller.receipts} == {"operator"}
    assert not stage.provider.sends
    assert await ledger.check(0) == 0


@in_reactor
async def test_a_store_that_dies_is_started_again_and_nothing_is_lost(stage: Stage) -> None:
    await stage.start()
    ledger = Ledger(stage)
    biller = await stage.bind()
    ledger.watch(biller)
    ledger.submit(biller, people(50))
    await stage.until(lambda: ledger.settled == 50, "the first are accepted")
    stage.gateway.kill_store()
    numbers = people(1)

    async def takes_again() -> bool:
        return (await biller.submit(numbers[0], "De novo?")).status == 0

    await stage.until(takes_again, "submits are taken again", 15)
    assert (await stage.ask("GET", "/readyz"))[0] == 200
    ledger.submit(biller, people(50))
    await stage.until(lambda: ledger.settled == 100, "the second are accepted")
    await ledger.all_reported(20)
    assert len(ledger.accepted) == 100
    assert await ledger.check(0) == 0
    assert not biller.closed


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "with a queue"])
@pytest.mark.slow
@in_reactor
async def test_what_is_refused_while_the_store_is_frozen_is_never_delivered(stage: Stage, busy: bool) -> None:
    if busy:  # what is refused would be the first to go
        stage.settings["smsc_client"][0]["throughput"] = "20/s"
        stage.settings["routes"] = [
            {"name": "first", "when": {"text": "Congelado"}, "channels": ["operator"], "priority": "high"},
            {"name": "sms", "channels": ["operator"]},
        ]
    await stage.start()
    ledger = Ledger(stage)
    biller = await stage.bind()
    ledger.watch(biller)
    before = people(100 if busy else 10)
    ledger.submit(biller, before)
    await stage.until(lambda: ledger.settled == len(before), "they are accepted")
    pid = stage.gateway.freeze_store()
    doubtful = people(20)
    answers = []
    for to in doubtful:  # one by one: more calls than may be on their way at once
        answers.append(biller.submit(to, "Congelado."))
        await pause(stage.reactor, 0.02)
    late = people(20)
    await stage.until(lambda: _status(stage, 503), "readyz says no", 10)
    answers += [biller.submit(to, "Congelado ainda.") for to in late]
    got = await gather(list(answers))
    assert {answer.status for answer in got} == {CommandStatus.ESME_RMSGQFUL}
    assert max(answer.after_s for answer in got) < 10.0
    assert max(answer.after_s for answer in got[20:]) < 1.0
    assert not biller.closed
    os.kill(pid, signal.SIGCONT)
    await stage.until(lambda: _status(stage, 200), "readyz says yes", 15)
    after = people(10)
    ledger.submit(biller, after)
    await stage.until(lambda: ledger.settled == len(before) + 10, "submits are taken again")
    assert not ledger.refused
    await ledger.all_reported(20)
    await pause(stage.reactor, 1.0)
    assert await ledger.check(0) == 0
    seen = ledger.seen()
    assert not [to for to in doubtful + late if seen[to]], "a refused message was delivered"
    assert {receipt.message_id for receipt in biller.receipts} == set(ledger.accepted)


async def _status(stage: Stage, wanted: int) -> bool:
    return (await stage.ask("GET", "/readyz"))[0] == wanted


@pytest.mark.skipif(FAKETIME is None, reason="needs libfaketime (Debian: faketime)")
@in_reactor
async def test_a_clock_that_is_set_back_stops_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = stage.directory / "clock"
    clock.write_text("+0")
    for name, value in {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DISABLE_SHM": "1",
    }.items():
        monkeypatch.setenv(name, value)
    stage.settings["routes"][0]["fallback_after"] = "2s"
    await stage.start()
    biller = await stage.bind()
    silent, delivered, stranger = people(3)
    for one in (silent, delivered):
        stage.provider.people.add(one)
    stage.provider.scripts.set(silent, read_script("never", WHATSAPP_WORDS, WhatsAppScript()))
    for written in ("+0", "-3600"):
        clock.write_text(written)
        answers = await gather([biller.submit(one, f"Agora {written}") for one in (silent, delivered, stranger)])
        assert {answer.status for answer in answers} == {0}
        await stage.until(lambda: len(biller.receipts) == 3, "SMS, WhatsApp, and the fallback after it", 8)
        assert sorted(receipt.channel for receipt in biller.receipts) == ["operator", "operator", "zap"]
        biller.receipts.clear()
    assert not biller.closed
