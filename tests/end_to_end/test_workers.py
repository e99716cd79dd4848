"""One node of two processes: `pombo run --workers 2`, with real sockets and a real store."""

from __future__ import annotations

import itertools
from functools import partial

import pytest

from gateway.workers.beside import KEEP_S
from tests.end_to_end.biller import Answer, Biller
from tests.end_to_end.in_reactor import in_reactor
from tests.end_to_end.ledger import Ledger
from tests.end_to_end.stage import Stage
from tests.end_to_end.test_crash import in_flight, make_realistic
from tools.clock import pause
from tools.drill import most_in_a_second

MESSAGES = 360
PER_BATCH, BATCH_S = 6, 0.05  # 120 submits in a second
VALIDITY = "000000000010000R"  # what was handed to a socket that died with a worker is held until then
RATE, BINDS, OPERATOR_RATE = 40, 4, 50
serials = itertools.count(11973000000)


def people(count: int) -> list[str]:
    return [f"55{next(serials)}" for _ in range(count)]


def two_workers(stage: Stage) -> None:
    """An operator with a bind in each, an account that is fast and one that is not."""
    stage.gateway.workers = 2
    stage.settings["smsc_client"][0]["binds"] = 2
    billing = stage.settings["smpp_server"]["accounts"][0]
    stage.settings["smpp_server"]["accounts"].append(
        {**billing, "system_id": "shop", "throughput": f"{RATE}/s", "max_binds": BINDS}
    )


async def spread(stage: Stage, connections: int) -> bool:
    """So many, and some of them at each worker: half at each, but for a machine that lets one of them wait."""
    found = [one["connections"] for one in (await stage.status())["workers"]]
    return sum(found) == connections and min(found) > 0


async def binds(stage: Stage, count: int, system_id: str = "billing") -> list[Biller]:
    return [await stage.bind(system_id=system_id) for _ in range(count)]


@pytest.mark.slow
@in_reactor
async def test_workers_that_are_killed_in_the_middle_come_back_and_nothing_is_lost(stage: Stage) -> None:
    two_workers(stage)
    numbers = people(MESSAGES)
    make_realistic(stage, numbers)
    stage.settings["routes"][0]["fallback_after"] = "5s"  # the first worker is back long before
    await stage.start()
    ledger = Ledger(stage)
    billers = [*await binds(stage, 4), *await binds(stage, 2, "shop")]
    for biller in billers:
        ledger.watch(biller)
    assert await spread(stage, 6)
    batches = [numbers[at : at + PER_BATCH] for at in range(0, MESSAGES, PER_BATCH)]
    doubtful, pids = 0, stage.gateway.worker_pids()
    for place, batch in enumerate(batches):
        for biller, number in zip(billers, batch, strict=True):
            ledger.submit(biller, [number], validity_period=VALIDITY)
        if place in (len(batches) // 3, 2 * len(batches) // 3):
            victim = pids.pop()  # the second worker, later the first, which has HTTP and WhatsApp
            stage.gateway.kill_worker(victim)
            doubtful += await in_flight(stage)
            for number, biller in enumerate(billers):
                if biller.closed:
                    billers[number] = await stage.bind(system_id="billing" if number < 4 else "shop")
                    ledger.watch(billers[number])
        await pause(stage.reactor, BATCH_S)
    await stage.until(lambda: ledger.settled == MESSAGES, "every submit is answered or met a kill", 15)
    assert not ledger.refused
    assert doubtful > 10, "the kills came when little was on its way"
    assert len(ledger.unanswered) < MESSAGES // 4
    await ledger.all_reported(20)
    await ledger.check(doubtful)
    assert not [n for n in numbers[1::2] if ledger.seen()[n] > 1], "what the operator has is never sent again"
    assert stage.gateway.log().count("it is started again in") == 2
    assert len(stage.gateway.worker_pids()) == 2
    metrics = await stage.metrics()
    told = sum(n for name, n in metrics.items() if name.startswith("pombo_submitted_total"))
    assert told <= len(ledger.accepted) + len(ledger.unanswered)
    lost = (
        2 * (PER_BATCH / BATCH_S / 2) * 2 * KEEP_S
    )  # what two dead workers counted last, twice that for a slow machine
    assert told >= len(ledger.accepted) - lost, "a follower goes on counting where the dead one ended"
    assert await stage.stop() == 0


@in_reactor
async def test_two_workers_are_one_node(stage: Stage) -> None:
    two_workers(stage)
    stage.settings["routes"] = [{"name": "sms", "channels": ["operator"]}]
    await stage.start()
    ledger = Ledger(stage)
    billers = await binds(stage, 4)
    shop = await binds(stage, BINDS, "shop")
    for biller in (*billers, *shop):
        ledger.watch(biller)
    assert await spread(stage, 4 + BINDS)
    await stage.bind(system_id="shop", status=0x0D)  # ESME_RBINDFAIL, whichever worker it comes to
    await stage.bind(system_id="shop", password="another", status=0x0E)

    status = await stage.status()
    assert [(one["system_id"], len(one["binds"])) for one in status["accounts"]] == [("billing", 4), ("shop", BINDS)]
    assert (status["node"], status["channels"][0]["binds"]) == ("e2e", 2)

    for biller in billers:
        ledger.submit(biller, people(50))
    await ledger.all_answered()
    await ledger.all_reported(15)
    assert sorted(said.total() for said in ledger.stats.values()) == [1] * 200, "each has exactly one receipt"
    assert set(ledger.seen().values()) == {1}

    async def acknowledged() -> bool:  # the last deliver_sm_resp may be on its way yet
        return (await stage.metrics()).get('pombo_receipts_total{account="billing",state="delivered"}') == 200

    await stage.until(acknowledged, "all receipts are counted as acknowledged")
    metrics = await stage.metrics()
    assert metrics['pombo_submitted_total{account="billing"}'] == 200
    assert metrics['pombo_sent_total{channel="operator"}'] == 200
    assert metrics['pombo_binds{name="billing",side="server"}'] == 4
    assert metrics['pombo_binds{name="operator",side="client"}'] == 2
    assert metrics["pombo_ack_seconds_count"] == 200

    found = await stage.message(next(iter(ledger.accepted)))
    assert found["state"] == "delivered"
    stage.settings["smpp_server"]["accounts"][1]["max_binds"] = BINDS + 1
    stage.gateway.configure(stage.settings)
    assert await stage.ask("POST", "/admin/reload") == (200, {"changed": ["smpp_server"]})
    await stage.bind(system_id="shop")
    await stage.bind(system_id="shop", status=0x0D)
    assert await stage.stop() == 0
    assert stage.gateway.find_store() == 0, "the store has ended with them"
    assert all(biller.closed for biller in billers)


@in_reactor
async def test_the_rates_of_account_and_operator_hold_over_all_workers(stage: Stage) -> None:
    two_workers(stage)
    stage.settings["smsc_client"][0]["throughput"] = f"{OPERATOR_RATE}/s"
    stage.settings["routes"] = [{"name": "sms", "channels": ["operator"]}]
    await stage.start()
    shop = await binds(stage, BINDS, "shop")
    assert await spread(stage, BINDS)
    answers: list[Answer] = []
    began = stage.reactor.seconds()
    while stage.reactor.seconds() - began < 1.5:
        for biller in shop:
            biller.submit(next(iter(people(1))), "Ola.").addCallback(answers.append)
        await pause(stage.reactor, 0.01)
    await stage.until(lambda: all(biller.session.free == 5000 for biller in shop), "all are answered")
    lasted = stage.reactor.seconds() - began
    accepted = sum(answer.status == 0 for answer in answers)
    assert {answer.status for answer in answers} == {0, 0x58}
    assert RATE * 2 <= accepted <= RATE * (1 + lasted) + 1, "a bucket of one second, and what flows into it"
    sent = lambda: [submit.at for submit in stage.operator.submits]  # noqa: E731
    await stage.until(lambda: len(sent()) == accepted, "the operator has them all", 10)
    assert most_in_a_second(sent()) <= OPERATOR_RATE * 1.05, "but for jitter on the way"
    assert len(sent()) / (sent()[-1] - sent()[0]) > OPERATOR_RATE / 2, "more than one worker's share"
    assert await stage.stop() == 0


@in_reactor
async def test_a_channel_with_one_bind_is_one_workers_and_takes_what_all_accept(stage: Stage) -> None:
    two_workers(stage)
    stage.settings["smsc_client"][0]["binds"] = 1
    stage.settings["routes"] = [{"name": "sms", "channels": ["operator"]}]
    await stage.start()
    ledger = Ledger(stage)
    billers = await binds(stage, 4)
    for biller in billers:
        ledger.watch(biller)
    assert (await stage.channel("operator"))["binds"] == 1
    began = stage.reactor.seconds()
    for biller in billers:
        ledger.submit(biller, people(10))
    await ledger.all_answered()
    await ledger.all_reported(10)
    assert stage.reactor.seconds() - began < 5.0
    (first,) = stage.operator.sessions
    stage.settings["smsc_client"][0]["binds"] = 2
    stage.gateway.configure(stage.settings)
    assert await stage.ask("POST", "/admin/reload") == (200, {"changed": ["operator"]})

    async def two() -> bool:
        return (await stage.channel("operator"))["binds"] == 2

    await stage.until(two, "the other worker has a bind, too")
    assert first in stage.operator.sessions, "the first one was not dropped for it"
    assert await stage.stop() == 0


@in_reactor
async def test_the_workers_end_when_their_parent_is_killed(stage: Stage) -> None:
    two_workers(stage)
    await stage.start()
    pids = stage.gateway.worker_pids()
    assert len(pids) == 2
    stage.gateway.kill(workers=False)
    await stage.until(partial(_said_twice, stage, "the parent of the workers is gone"), "they notice", 5)
    await stage.until(partial(_said_twice, stage, "[node] stopped"), "they end in good order", 12)
    await stage.start()  # which the lock on the store's directory keeps from happening before
    assert await stage.stop() == 0


def _said_twice(stage: Stage, words: str) -> bool:
    return stage.gateway.log().count(words) >= 2
