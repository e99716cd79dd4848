"""`dedupe`: what an account has said before is answered with the first id and sent once."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from gateway.delivery.intake import PATIENCE_S, QUEUE_FULL
from gateway.store.valkey import Store
from tests.gateway.delivery.house import SMS_ONLY, House
from tests.gateway.delivery.test_operations import asked
from tests.gateway.delivery.test_submit_multi import NUMBERS, submit, to


async def wary(store: Store, window_s: float = 60.0, **fields: Any) -> House:
    """A house whose account billing wants nothing twice."""
    house = await House(store, SMS_ONLY, **fields).start()
    house.intake.dedupe = {"billing": window_s}
    return house


@pytest_twisted.ensureDeferred
async def test_a_text_that_comes_again_is_answered_with_the_first_id_and_not_sent(store: Store) -> None:
    house = await wary(store)
    first = await house.submit_one()
    assert await house.submit_one(registered_delivery=0) == first
    assert len(house.operator.taken) == 1
    assert await store.command("KEYS", "m:*") == [f"m:{first}".encode()]
    assert house.metric("pombo_submitted_total", account="billing") == 1
    assert not house.intake.busy


@pytest_twisted.ensureDeferred
async def test_those_that_come_at_once_are_one(store: Store) -> None:
    house = await wary(store)
    ids = await house.submit(*(house.message() for _ in range(20)))
    assert len(set(ids)) == 1
    assert len(house.operator.taken) == 1
    others = await house.submit(*(house.message(user_data=b"%d" % n) for n in range(99)))
    assert len({message.id for message in house.operator.taken}) == 100, "no room is kept for those that were not sent"
    assert len(set(others)) == 99


@pytest.mark.parametrize(
    "fields",
    [
        {"user_data": b"another text"},
        {"source": "POMBO"},
        {"msisdn": "5521987654321"},
        {"data_coding": 3},
        {"account": "shop"},
    ],
    ids=lambda fields: next(iter(fields)),
)
@pytest_twisted.ensureDeferred
async def test_what_differs_is_sent(store: Store, fields: dict[str, Any]) -> None:
    house = await wary(store)
    house.intake.dedupe = {"billing": 60.0, "shop": 60.0}
    ids = await house.submit(house.message(), house.message(**fields))
    assert len(set(ids)) == len(house.operator.taken) == 2


@pytest_twisted.ensureDeferred
async def test_accounts_without_it_may_repeat_themselves(store: Store) -> None:
    house = await wary(store)
    ids = await house.submit(house.message(account="shop"), house.message(account="shop"))
    assert len(set(ids)) == 2
    assert await store.command("KEYS", "dup:*") == []


@pytest_twisted.ensureDeferred
async def test_the_window_ends_and_a_restart_does_not_end_it(store: Store) -> None:
    house = await wary(store)
    first = await house.submit_one()
    house.die()
    house = await wary(store, incarnation=2)
    assert await house.submit_one() == first
    (key,) = await store.command("KEYS", "dup:billing:*")
    assert 55 <= await store.command("TTL", key) <= 60
    await store.command("DEL", key)
    assert await house.submit_one() != first


@pytest_twisted.ensureDeferred
async def test_parts_are_not_compared(store: Store) -> None:
    house = await wary(store)
    ids = await house.submit(house.part(1, 2), house.part(1, 2))
    assert len(set(ids)) == 2


@pytest_twisted.ensureDeferred
async def test_what_the_esme_was_refused_is_no_repetition(store: Store) -> None:
    house = await wary(store)
    answers = house.submit_at_once(house.message())
    house.clock.advance(PATIENCE_S + 1)
    assert answers == [(QUEUE_FULL, "")]
    await house.settle()
    assert await store.command("KEYS", "m:*") == []
    assert await store.command("KEYS", "dup:*") == []
    await house.submit_one()
    assert len(house.operator.taken) == 1


@pytest_twisted.ensureDeferred
async def test_a_repetition_of_what_is_just_being_taken_back_is_refused_too(store: Store) -> None:
    house = await wary(store)
    first = house.submit_at_once(house.message())
    house.intake._refuse(next(iter(house.intake._accepting.values())))
    again = house.submit_at_once(house.message())
    await house.settle()
    assert first + again == [(QUEUE_FULL, "")] * 2
    assert await store.command("KEYS", "m:*") == []
    await house.submit_one()
    assert len(house.operator.taken) == 1


@pytest_twisted.ensureDeferred
async def test_a_submit_multi_that_comes_again_is_answered_with_its_id(store: Store) -> None:
    house = await wary(store)
    for _ in range(2):
        submit(house, to(house, *NUMBERS[:2]))
    await house.settle()
    answers = submit(house, to(house, *NUMBERS[:2]))
    await house.settle()
    first = house.operator.taken[0].id
    assert [(message_id, list(statuses)) for message_id, statuses in answers] == [(first, [0, 0])]
    assert len(house.operator.taken) == 2
    answers = submit(house, to(house, *NUMBERS))
    await house.settle()
    assert answers[0][0] != first
    assert [message.msisdn for message in house.operator.taken] == list(NUMBERS)
    answer = await asked(house, house.operations.query("billing", answers[0][0], "28940"))
    assert answer.command_status == 0, "although its first one was not kept"
