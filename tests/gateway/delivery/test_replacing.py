"""replace_if_present_flag: a message takes the place of one like it, as long as no channel has that one."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from gateway.delivery.intake import QUEUE_FULL
from gateway.messages.message import Message
from gateway.messages.states import State
from gateway.store.valkey import Store
from tests.gateway.delivery.house import SMS_ONLY, House


async def full(store: Store) -> House:
    """A house whose operator takes nothing for now."""
    house = await House(store, SMS_ONLY).start()
    house.operator.window = 0
    return house


def instead(house: House, message: Message) -> list[tuple[int, str]]:
    answers: list[tuple[int, str]] = []
    house.spawn(house.replacing.submit(message, lambda *answer: answers.append(answer)), "a test")
    return answers


async def replaced(house: House, **fields: Any) -> str:
    answers = instead(house, house.message(**{"user_data": b"new", **fields}))
    await house.settle()
    ((status, message_id),) = answers
    assert status == 0
    return message_id


async def sent(house: House) -> list[bytes]:
    """What the operator gets once it takes messages again."""
    house.operator.window = 100
    house.hub.capacity_changed("operator")
    await house.settle()
    return [message.user_data for message in house.operator.taken]


@pytest_twisted.ensureDeferred
async def test_the_old_one_ends_deleted_with_its_receipt_and_the_new_one_is_sent(store: Store) -> None:
    house = await full(store)
    old = await house.submit_one(user_data=b"old")
    new = await replaced(house)
    assert new != old
    (receipt,) = await house.receipts()
    assert (receipt.message_id, receipt.state, receipt.err) == (old, State.DELETED, 3)
    assert await house.story(old) == ["accepted", "replaced", "receipt_queued"]
    assert await sent(house) == [b"new"]


@pytest_twisted.ensureDeferred
async def test_a_scheduled_one_is_replaced_too(store: Store) -> None:
    house = await full(store)
    old = await house.submit_one(schedule_at=house.now + 600)
    await replaced(house)
    assert (await house.read(old)).state is State.DELETED


@pytest.mark.parametrize(
    "fields",
    [{"source": "POMBO"}, {"msisdn": "5521987654321"}, {"service_type": "CMT"}, {"account": "shop"}],
    ids=lambda fields: next(iter(fields)),
)
@pytest_twisted.ensureDeferred
async def test_one_that_differs_stays(store: Store, fields: dict[str, Any]) -> None:
    house = await full(store)
    await house.submit_one(user_data=b"old")
    await replaced(house, **fields)
    assert await sent(house) == [b"old", b"new"]


@pytest_twisted.ensureDeferred
async def test_one_that_a_channel_has_stays(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    old = await house.submit_one(user_data=b"old")
    await replaced(house)
    assert [message.user_data for message in house.operator.taken] == [b"old", b"new"]
    assert (await house.read(old)).state is State.ACCEPTED


@pytest_twisted.ensureDeferred
async def test_those_that_come_in_one_turn_replace_each_other_in_order(store: Store) -> None:
    house = await full(store)
    answers = house.submit_at_once(house.message(user_data=b"old"))
    for text in (b"newer", b"newest"):
        answers += instead(house, house.message(user_data=text))
    later = instead(house, house.message(user_data=b"last"))
    await house.settle()
    assert answers[0][0] == later[0][0] == 0
    assert await sent(house) == [b"last"]
    assert len(await house.receipts()) == 3
    assert house.replacing._turns == {}


@pytest_twisted.ensureDeferred
async def test_a_text_may_be_repeated_in_its_own_place(store: Store) -> None:
    house = await full(store)
    house.intake.dedupe = {"billing": 60.0}
    old = await house.submit_one(user_data=b"new")
    new = await replaced(house)
    assert new != old
    assert await house.submit_one(user_data=b"new") == new
    assert await sent(house) == [b"new"]


@pytest_twisted.ensureDeferred
async def test_a_store_that_is_away_refuses_it(store: Store) -> None:
    house = await full(store)
    await store.stop()
    answers = instead(house, house.message())
    assert answers == [(QUEUE_FULL, "")]
