"""Intermediate notifications (registered_delivery 0x10): one per message, when a channel has taken it."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from gateway.messages.message import Receipt
from gateway.messages.outcome import Accepted, Refused, Status, TryLater
from gateway.messages.states import State
from gateway.store.valkey import Store
from tests.gateway.delivery.house import PATIENCE_S, SMS_ONLY, House


async def told(house: House) -> list[tuple[str, bool, State, str]]:
    """What waits: id, intermediate, state, channel."""
    return [(one.message_id, one.intermediate, one.state, one.channel) for one in await house.receipts()]


@pytest.mark.parametrize(("asked", "intermediate", "final"), [(0x11, 1, 1), (0x10, 1, 0), (0x01, 0, 1), (0x12, 1, 0)])
@pytest_twisted.ensureDeferred
async def test_who_asks_is_told_when_a_channel_has_it(store: Store, asked: int, intermediate: int, final: int) -> None:
    house = await House(store, SMS_ONLY).start()
    message_id = await house.submit_one(registered_delivery=asked)
    assert await told(house) == []
    house.operator.accept("77")
    await house.settle()
    first = [(message_id, True, State.ENROUTE, "operator")] * intermediate
    assert await told(house) == first
    house.operator.report("77", Status.DELIVERED)
    await house.settle()
    assert await told(house) == first + [(message_id, False, State.DELIVERED, "operator")] * final


@pytest_twisted.ensureDeferred
async def test_both_reach_the_esme_in_order_and_the_trace_tells_of_the_final_one(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    bind = house.esmes.bind()
    house.operator.script = lambda message: Accepted(f"r{message.id}")
    ids = await house.submit(*(house.message(registered_delivery=0x11) for _ in range(5)))
    await house.settle()
    for message_id in ids:
        house.operator.report(f"r{message_id}", Status.DELIVERED)
    await house.settle()
    got = [item for item in bind.got if isinstance(item, Receipt)]
    assert [(item.message_id, item.intermediate) for item in got] == [
        *((message_id, True) for message_id in ids),
        *((message_id, False) for message_id in ids),
    ]
    assert await house.receipts() == []
    assert (await house.story(ids[0]))[-3:] == ["receipt_queued", "receipt_sent", "receipt_answered"]
    assert house.metric("pombo_receipts_total", account="billing", state="enroute") == 5


@pytest_twisted.ensureDeferred
async def test_the_second_channel_says_nothing_more(store: Store) -> None:
    house = await House(store).start()
    message_id = await house.submit_one(registered_delivery=0x11)
    house.zap.accept("1")
    await house.settle()
    await house.passes(PATIENCE_S)
    house.operator.accept("2")
    await house.settle()
    assert await told(house) == [(message_id, True, State.ENROUTE, "zap")]


@pytest.mark.parametrize("result", [Refused("no"), TryLater(1.0, "busy")], ids=["refused", "later"])
@pytest_twisted.ensureDeferred
async def test_a_channel_that_did_not_take_it_tells_nothing(store: Store, result: Any) -> None:
    house = await House(store, SMS_ONLY).start()
    message_id = await house.submit_one(registered_delivery=0x10)
    house.operator.answer(message_id, result)
    await house.settle()
    assert await told(house) == []


@pytest_twisted.ensureDeferred
async def test_the_parts_of_a_joined_text_are_told_once_each_even_if_they_go_on_by_sms(store: Store) -> None:
    house = await House(store).start()
    ids = await house.submit(*(house.part(number, 3, registered_delivery=0x10) for number in (1, 2, 3)))
    house.zap.accept("1")
    await house.settle()
    expected = [(message_id, True, State.ENROUTE, "zap") for message_id in ids]
    assert await told(house) == expected
    await house.passes(PATIENCE_S)
    assert len(house.operator.taken) == 3
    house.operator.accept()
    await house.settle()
    assert await told(house) == expected


@pytest_twisted.ensureDeferred
async def test_only_the_parts_that_asked_are_told(store: Store) -> None:
    """Kannel asks for its first part alone."""
    house = await House(store).start()
    ids = await house.submit(
        *(house.part(number, 3, registered_delivery=asked) for number, asked in ((1, 0x11), (2, 0x00), (3, 0x00)))
    )
    house.zap.accept("1")
    await house.settle()
    assert await told(house) == [(ids[0], True, State.ENROUTE, "zap")]
    house.zap.report("1", Status.DELIVERED)
    await house.settle()
    assert (await told(house))[1:] == [(ids[0], False, State.DELIVERED, "zap")]


@pytest_twisted.ensureDeferred
async def test_a_part_that_asked_is_told_by_the_channel_that_takes_it_in_the_end(store: Store) -> None:
    house = await House(store).start()
    ids = await house.submit(
        *(house.part(number, 3, registered_delivery=asked) for number, asked in ((1, 0x11), (2, 0x00), (3, 0x00)))
    )
    house.zap.answer(house.zap.taken[0].id, Refused("no"))
    await house.settle()
    assert await told(house) == []
    assert len(house.operator.taken) == 3
    house.operator.accept()
    await house.settle()
    assert await told(house) == [(ids[0], True, State.ENROUTE, "operator")]
