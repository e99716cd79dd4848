"""Two gateway processes on one store: one of them is killed, and everything accepted by either ends once."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import requests
from twisted.internet.threads import deferToThread

from bridge.health import ENOUGH, FAIR_S
from tests.end_to_end.in_reactor import in_reactor
from tests.end_to_end.ledger import Ledger
from tests.end_to_end.node import GatewayProcess
from tests.end_to_end.stage import TOKEN, Stage
from tests.end_to_end.test_crash import in_flight, make_realistic
from tools.clock import pause
from tools.drill import most_in_a_second
from tools.node import Node
from tools.ports import free_port
from tools.store_group import StoreGroup

MESSAGES = 480
PER_BATCH, BATCH_S = 4, 0.05  # to each node: 160 submits in a second
RATE = 60  # of the operator, for both together: less than what comes
VALIDITY = "000000000030000R"  # what may have been sent by the dead node is held until then
WITHIN_S = 30.0  # the dead node's work goes on
serials = itertools.count(11974000000)


class Second:
    """A second node beside a stage's own."""

    def __init__(self, stage: Stage) -> None:
        self.process = GatewayProcess(stage.directory, "second")
        self.smpp_port, self.http_port = free_port(), free_port()
        self.node = Node(f"http://127.0.0.1:{self.http_port}", TOKEN)
        settings: dict[str, Any] = copy.deepcopy(stage.settings)
        settings["node"] = "e2e-second"
        settings["smpp_server"]["listen"] = [f"tcp:{self.smpp_port}:interface=127.0.0.1"]
        settings["http"]["listen"] = [f"tcp:{self.http_port}:interface=127.0.0.1"]
        self.process.configure(settings)


@pytest.fixture
def store_url(stage: Stage) -> Iterator[str]:
    group = StoreGroup(stage.directory / "own-store", replicas=0, sentinels=0)
    try:
        group.start()
        yield group.url
    finally:
        group.stop()


@pytest.mark.slow
@in_reactor
async def test_a_killed_node_is_taken_over_by_the_other_and_nothing_is_lost(stage: Stage, store_url: str) -> None:
    numbers = [f"55{next(serials)}" for _ in range(MESSAGES)]
    make_realistic(stage, numbers)
    stage.settings["store"]["url"] = store_url
    stage.settings["smsc_client"][0]["throughput"] = f"{RATE}/s"
    second = Second(stage)
    second.process.start()
    await stage.start()
    await stage.until(lambda: deferToThread(_is_up, second.node), "the second node is up", 20)
    ledger = Ledger(stage)
    first_biller = await stage.bind()
    first_port, stage.smpp_port = stage.smpp_port, second.smpp_port
    second_biller = await stage.bind()
    ledger.watch(first_biller)
    ledger.watch(second_biller)
    batches = [numbers[at : at + 2 * PER_BATCH] for at in range(0, MESSAGES, 2 * PER_BATCH)]
    doubtful, killed_at = 0, 0.0
    try:
        for place, batch in enumerate(batches):
            if place == len(batches) // 2:
                stage.gateway.kill()
                killed_at = stage.reactor.seconds()
                doubtful = await in_flight(stage)
                # what a load balancer in front of both does
                stage.node, stage.provider.webhooks.url = second.node, f"{second.node.url}/webhooks/zap"
                await stage.until(partial(getattr, first_biller, "closed"), "the link is lost")
                first_biller = await stage.bind()
                ledger.watch(first_biller)
            ledger.submit(first_biller, batch[::2], validity_period=VALIDITY)
            ledger.submit(second_biller, batch[1::2], validity_period=VALIDITY)
            await pause(stage.reactor, BATCH_S)
        await stage.until(lambda: ledger.settled == MESSAGES, "every submit is answered or met the kill", 15)
        assert not ledger.refused
        assert len(ledger.unanswered) <= doubtful + 2 * PER_BATCH
        await stage.until(lambda: "may have been sent" in second.process.log(), "the dead node's hands", WITHIN_S)
        assert stage.reactor.seconds() - killed_at < WITHIN_S
        await ledger.all_reported(45)
        await ledger.check(doubtful)
        assert not [n for n in numbers[1::2] if ledger.seen()[n] > 1], "what the operator has is never sent again"
        assert most_in_a_second([submit.at for submit in stage.operator.submits]) <= RATE * 1.05, (
            "but for jitter on the way"
        )
        second.process.terminate()
        await stage.until(lambda: not second.process.alive, "the second node stops", 15)
    finally:
        stage.smpp_port = first_port
        await deferToThread(second.process.clean_up)


@pytest.mark.slow
@in_reactor
async def test_a_node_whose_webhooks_come_to_the_other_keeps_its_sender(stage: Stage, store_url: str) -> None:
    numbers = [f"55{next(serials)}" for _ in range(3 * ENOUGH)]
    for number in numbers:
        stage.provider.people.add(number)
    stage.settings["store"]["url"] = store_url
    stage.settings["routes"][0]["fallback_after"] = "60s"
    second = Second(stage)
    second.process.start()
    await stage.start()
    await stage.until(lambda: deferToThread(_is_up, second.node), "the second node is up", 20)
    ledger = Ledger(stage)
    first_port, stage.smpp_port = stage.smpp_port, second.smpp_port
    try:
        biller = await stage.bind()
        ledger.watch(biller)
        for number in numbers[: 2 * ENOUGH]:  # the first node takes some of them
            ledger.submit(biller, [number])
            await pause(stage.reactor, BATCH_S)
        await ledger.all_answered()
        await ledger.all_reported()
        await pause(stage.reactor, FAIR_S + 2.0)  # as long as a send may be silent, and a look or two
        ledger.submit(biller, numbers[2 * ENOUGH :])
        await ledger.all_answered()
        await ledger.all_reported()
        assert {receipt.channel for receipt in biller.receipts} == {"zap"}
        assert not stage.operator.submits
    finally:
        stage.smpp_port = first_port
        await deferToThread(second.process.clean_up)


def _is_up(node: Node) -> bool:
    try:
        ready = requests.get(f"{node.url}/readyz", timeout=5).ok  # its listeners are open; channels may be up before
        return ready and all(channel["up"] for channel in node.status()["channels"])
    except Exception:
        return False
