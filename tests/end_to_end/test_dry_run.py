"""A dry run: accepted, decided, priced and answered as ever, and nothing leaves the machine."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from twisted.internet import endpoints, reactor
from twisted.internet.protocol import Factory, Protocol

from tests.end_to_end.in_reactor import fixture, in_reactor
from tests.end_to_end.stage import Stage
from tests.end_to_end.test_parts import LONG

ANA, BIA = "5511988880001", "5511977770002"  # on WhatsApp, and not
TEXT = "Sua fatura vence amanha"


class Callers(Factory):
    """Whoever connects, by the number of connections."""

    noisy = False

    def __init__(self) -> None:
        self.count = 0

    def buildProtocol(self, addr: object) -> Protocol:
        self.count += 1
        return Protocol()


@fixture()
async def dry() -> AsyncIterator[Stage]:
    """A stage where nobody listens yet, for a gateway that is not to call anybody."""
    stage = Stage(reactor)
    stage.settings["dry_run"] = True
    try:
        yield stage
    finally:
        await stage.close()


async def listen(factory: Factory, port: int) -> Any:
    twisted: Any = endpoints
    return await twisted.TCP4ServerEndpoint(reactor, port, interface="127.0.0.1").listen(factory)


def steps(message: dict[str, Any]) -> list[tuple[str, str]]:
    return [(event["event"], event.get("detail", "")) for event in message["events"]]


@pytest.mark.parametrize("when_unknown", ["skip", "send"])
@in_reactor
async def test_everything_is_answered_and_nobody_is_called(dry: Stage, when_unknown: str) -> None:
    callers = Callers()
    ports = [await listen(callers, dry.operator_port), await listen(callers, dry.provider_port)]
    try:
        dry.settings["bridge"][0]["lookup"]["when_unknown"] = when_unknown
        await dry.start()
        biller = await dry.bind()
        answers = [await biller.submit(ANA, TEXT), *[await one for one in biller.submit_parts(BIA, LONG)]]
        assert {answer.status for answer in answers} == {0}
        await dry.until(lambda: len(biller.receipts) == len(answers), "every receipt comes")
        channel = "zap" if when_unknown == "send" else "operator"
        assert {(one.stat, one.channel) for one in biller.receipts} == {("DELIVRD", channel)}
        message = await dry.message(answers[0].message_id)
        assert ("sent", "dry run, nothing was sent") in steps(message)
        assert Decimal(message["price"]) == Decimal("0" if when_unknown == "send" else "0.08")
        assert (await dry.status())["dry_run"] is True
        await dry.stop()
        assert callers.count == 0
    finally:
        for port in ports:
            await port.stopListening()


@in_reactor
async def test_with_lookups_the_provider_is_asked_and_given_no_text(dry: Stage) -> None:
    dry.settings["dry_run"] = "lookups"
    dry.provider.people.add(ANA)
    await dry.open_operator()
    await dry.open_provider()
    await dry.start()
    biller = await dry.bind()
    ana, bia = await biller.submit(ANA, TEXT), await biller.submit(BIA, TEXT)
    await dry.until(lambda: len(biller.receipts) == 2, "both receipts come")
    channels = {one.message_id: one.channel for one in biller.receipts}
    assert channels == {ana.message_id: "zap", bia.message_id: "operator"}
    assert sorted(dry.provider.lookups) == sorted([ANA, BIA])
    assert dry.provider.sends == [] and dry.operator.submits == [] and dry.operator.binds == 0
    assert ("fallback", "from zap: no_account") in steps(await dry.message(bia.message_id))


@in_reactor
async def test_what_was_rehearsed_is_never_sent_in_earnest(dry: Stage) -> None:
    """A message that a dry run has not finished keeps a live node off its store; so does a changed file until then."""
    await dry.open_operator()
    await dry.open_provider()
    await dry.start()
    biller = await dry.bind()
    later = await biller.submit(BIA, TEXT, schedule_delivery_time="000000010000000R")
    assert later.status == 0
    dry.settings["dry_run"] = False
    dry.settings["smsc_client"][0]["price"] = "0.09"
    dry.settings["bridge"][0]["price"] = "0.01"
    dry.gateway.configure(dry.settings)
    assert (await dry.ask("POST", "/admin/reload"))[0] == 200
    await dry.until(lambda: re.search("dry_run: .*with the next start", dry.gateway.log()), "it says that this waits")
    now = await biller.submit(ANA, TEXT)
    await dry.until(lambda: len(biller.receipts_of(now.message_id)) == 1, "it is still a dry run")
    assert dry.operator.binds == 0 and dry.operator.submits == []
    await dry.stop()
    dry.gateway.start()
    await dry.until(lambda: not dry.gateway.alive, "it does not start")
    assert dry.gateway.status == 1
    assert "the store has 1 unfinished message of a dry run: give this node a store of its own" in dry.gateway.log()
    dry.settings["store"]["directory"] += "-live"
    await dry.start()
    assert dry.operator.binds == 1 and dry.operator.submits == []


@in_reactor
async def test_a_dry_run_swallows_nothing_that_was_accepted_in_earnest(dry: Stage) -> None:
    dry.settings["dry_run"] = False
    dry.settings["routes"][0] = {"name": "default", "channels": ["operator"]}
    await dry.start(channels_up=False)
    biller = await dry.bind()
    real = await biller.submit(BIA, TEXT)
    assert real.status == 0
    await dry.stop()
    dry.settings["dry_run"] = True
    dry.gateway.configure(dry.settings)
    dry.gateway.start()
    await dry.until(lambda: not dry.gateway.alive, "it does not start")
    assert "1 unfinished message of real work" in dry.gateway.log()
    dry.settings["dry_run"] = False
    await dry.open_operator()
    await dry.start(channels_up=False)
    await dry.until(lambda: len(dry.operator.submits) == 1, "it goes to the operator after all")
    assert (await dry.message(real.message_id))["events"]
