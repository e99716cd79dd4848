"""kill -9 in the middle of the work: nothing accepted is lost, nothing ends twice, and what is doubled is counted."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial

import pytest

from tests.end_to_end.in_reactor import in_reactor
from tests.end_to_end.ledger import Ledger
from tests.end_to_end.stage import Stage
from tools.clock import pause
from tools.scripts import Ack, OperatorScript, WhatsAppScript

MESSAGES = 400
PER_BATCH, BATCH_S = 8, 0.02  # 400 submits in a second
VALIDITY = "000000000020000R"  # what was handed to a socket that died with the gateway is held until then
LEFT_S = 0.2  # until they have read what was in their sockets
WITHIN_S = 0.15  # an answer so young at the crash may not have been written down
serials = itertools.count(11970000000)


def people(count: int) -> list[str]:
    return [f"55{next(serials)}" for _ in range(count)]


def slow_answer_s(number: str) -> float:
    """50 to 300 ms, by the last digit."""
    return 0.05 + 0.25 * int(number[-1]) / 9


def make_realistic(stage: Stage, numbers: Sequence[str]) -> None:
    """Every other number has WhatsApp; answers, acks and receipts take 50 to 300 ms."""
    for number in numbers[::2]:
        stage.provider.people.add(number)
    for digit in "0123456789":
        wait_s = slow_answer_s(digit)
        stage.operator.scripts.set(f"*{digit}", OperatorScript(answer_after_s=wait_s, receipt_after_s=0.35 - wait_s))
        stage.provider.scripts.set(
            f"*{digit}", WhatsAppScript(acks=(Ack(0.05, "sent"), Ack(0.05 + wait_s, "delivered")))
        )


async def in_flight(stage: Stage) -> int:
    """What a provider or operator had at a kill just now, and the gateway may not have written down; what it left in
    their sockets is read first."""
    killed_at = stage.reactor.seconds()
    await pause(stage.reactor, LEFT_S)
    since = killed_at - WITHIN_S
    with_provider = [sent for sent in stage.provider.sends if not sent.status or sent.at > since - 0.05]
    with_operator = [s for s in stage.operator.submits if s.at > since - slow_answer_s(s.dest)]
    return len(with_provider) + len(with_operator)


@pytest.mark.parametrize("victim", ["gateway", "store", "both"])
@pytest.mark.slow
@in_reactor
async def test_a_kill_in_the_middle_loses_nothing(stage: Stage, victim: str) -> None:
    numbers = people(MESSAGES)
    make_realistic(stage, numbers)
    # Long enough for what the provider says again; after a store's death alone nobody has to wait for a fallback.
    stage.settings["routes"][0]["fallback_after"] = "60s" if victim == "store" else "10s"
    await stage.start()
    ledger = Ledger(stage)
    biller = await stage.bind()
    ledger.watch(biller)
    batches = [numbers[at : at + PER_BATCH] for at in range(0, MESSAGES, PER_BATCH)]
    doubtful = 0
    for place, batch in enumerate(batches):
        if place == len(batches) // 2:
            busy = lambda: len(stage.operator.submits) > 20 and len(stage.provider.sends) > 20  # noqa: E731
            await stage.until(busy, "both channels are busy")
            if victim == "both":
                stage.gateway.find_store()
            if victim in ("gateway", "both"):
                stage.gateway.kill()
            if victim in ("store", "both"):
                stage.gateway.kill_store()
            doubtful = await in_flight(stage)
            if victim != "store":
                await stage.until(partial(getattr, biller, "closed"), "the link is lost")
                await stage.start(channels_up=False)
                biller = await stage.bind()
                ledger.watch(biller)
        ledger.submit(biller, batch, validity_period=VALIDITY)
        await pause(stage.reactor, BATCH_S)
    await stage.until(lambda: ledger.settled == MESSAGES, "every submit is answered or met the crash", 15)
    assert not ledger.refused if victim == "gateway" else len(ledger.refused) < MESSAGES // 4
    assert not ledger.unanswered if victim == "store" else len(ledger.unanswered) < MESSAGES // 4
    assert doubtful > 10, "the kill came when little was on its way"
    await ledger.all_reported(40)
    duplicates = await ledger.check(doubtful)
    if victim == "store":
        assert duplicates == 0  # the gateway remembers what it sent
    assert not [n for n in numbers[1::2] if ledger.seen()[n] > 1], "what the operator has is never sent again"
    await stage.stop()


@in_reactor
async def test_a_submit_that_was_never_answered_is_held_over_a_crash_and_settled_by_a_stray_receipt(
    stage: Stage,
) -> None:
    stage.settings["routes"] = [{"name": "sms", "channels": ["operator"]}]
    stage.operator.scripts.set("*", OperatorScript(answered=False, receipt=False))
    numbers = people(5)
    await stage.start()
    ledger = Ledger(stage)
    ledger.submit(await stage.bind("transmitter"), numbers)
    await stage.until(lambda: len(stage.operator.submits) == 5, "the operator has them")
    stage.gateway.kill()
    await stage.start()
    biller = await stage.bind("receiver")
    ledger.watch(biller)
    await stage.until(lambda: "may have been sent" in stage.gateway.log(), "the held messages are found")
    await stage.stays(lambda: len(stage.operator.submits) == 5, "a held message was sent again", 1.5)
    assert not biller.receipts
    for submit in list(stage.operator.submits)[:4]:
        stage.operator.report(submit, "DELIVRD", "000")
    await stage.until(lambda: len(biller.receipts) == 4, "the receipts settle the messages")
    assert {ledger.accepted[receipt.message_id] for receipt in biller.receipts} == set(numbers[:4])
    assert {receipt.stat for receipt in biller.receipts} == {"DELIVRD"}
    assert len(stage.operator.submits) == 5
    (fifth,) = await stage.messages(ledger.owed)
    assert fifth["state"] in ("accepted", "enroute")


@pytest.mark.slow
@in_reactor
async def test_a_held_message_expires_with_its_validity_and_is_never_sent_again(stage: Stage) -> None:
    stage.settings["routes"] = [{"name": "sms", "channels": ["operator"]}]
    stage.operator.scripts.set("*", OperatorScript(answered=False, receipt=False))
    await stage.start()
    ledger = Ledger(stage)
    biller = await stage.bind()
    ledger.submit(biller, people(3), validity_period="000000000005000R")
    await stage.until(lambda: len(stage.operator.submits) == 3, "the operator has them")
    stage.gateway.kill()
    await stage.start()
    biller = await stage.bind()
    ledger.watch(biller)
    await stage.until(lambda: len(biller.receipts) == 3, "they expire", 12)
    assert {receipt.message_id for receipt in biller.receipts} == set(ledger.accepted)
    assert {receipt.stat for receipt in biller.receipts} == {"EXPIRED"}
    assert len(stage.operator.submits) == 3


@in_reactor
async def test_receipts_wait_over_a_crash_while_nobody_is_bound_and_come_in_order(stage: Stage) -> None:
    numbers = people(60)
    make_realistic(stage, numbers)
    await stage.start()
    ledger = Ledger(stage)
    ledger.submit(await stage.bind("transmitter"), numbers)

    async def all_wait() -> bool:
        return bool((await stage.status())["accounts"][0]["receipts_pending"] == 60)

    await stage.until(all_wait, "all receipts wait")
    stage.gateway.kill()
    await stage.start(channels_up=False)
    await stage.until(all_wait, "all receipts still wait")
    biller = await stage.bind("receiver")
    ledger.watch(biller)
    await stage.until(lambda: len(biller.receipts) == 60, "the receipts come")
    came = [receipt.message_id for receipt in biller.receipts]
    assert set(came) == set(ledger.accepted)
    queued_at = [
        next(event["at"] for event in message["events"] if event["event"] == "receipt_queued")
        for message in await stage.messages(came)
    ]
    assert queued_at == sorted(queued_at)


@in_reactor
async def test_a_receipt_that_was_on_its_way_at_the_crash_comes_again_and_says_the_same(stage: Stage) -> None:
    numbers = people(20)
    make_realistic(stage, numbers)
    await stage.start()
    ledger = Ledger(stage)
    biller = await stage.bind()
    biller.acknowledges = False
    ledger.watch(biller)
    ledger.submit(biller, numbers)
    await stage.until(lambda: len(biller.receipts) == 20, "the receipts come")
    stage.gateway.kill()
    await stage.start(channels_up=False)
    again = await stage.bind("receiver")
    ledger.watch(again)
    await stage.until(lambda: len(again.receipts) == 20, "the receipts come again")
    assert sorted((r.message_id, r.stat) for r in again.receipts) == sorted(
        (r.message_id, r.stat) for r in biller.receipts
    )
    await ledger.check(0)
