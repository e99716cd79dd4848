"""The messages of one submit_multi: kept in one step, told apart by their numbers, one id for all."""

from __future__ import annotations

from collections.abc import Sequence

import pytest_twisted

from gateway.messages.message import Message
from gateway.messages.outcome import Status
from gateway.messages.states import State
from gateway.routing.routes import Route, When
from gateway.smpp.constants import CommandStatus
from gateway.store.lookups import writers_of
from gateway.store.valkey import Store
from tests.gateway.delivery.house import SMS_ONLY, House
from tests.gateway.delivery.test_operations import asked, cancel, replace

OK, QUEUE_FULL, NO_DESTINATION = 0, CommandStatus.ESME_RMSGQFUL, CommandStatus.ESME_RINVDSTADR
NUMBERS = ("5511987654321", "5521987654321", "5531987654321")
Answers = list[tuple[str, Sequence[int]]]


def to(house: House, *numbers: str, **fields: object) -> list[Message]:
    return [house.message(msisdn=number, dest=f"+{number}", **fields) for number in numbers]


def submit(house: House, messages: Sequence[Message]) -> Answers:
    answers: Answers = []
    house.intake.submit_multi(messages, lambda message_id, statuses: answers.append((message_id, statuses)))
    return answers


async def submitted(house: House, *numbers: str) -> str:
    answers = submit(house, to(house, *numbers))
    await house.settle()
    ((message_id, _),) = answers
    return message_id


@pytest_twisted.ensureDeferred
async def test_all_are_kept_in_one_call_before_the_answer(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    answers = submit(house, to(house, *NUMBERS))
    house.clock.advance(0)
    assert answers == []
    await house.settle()
    ((message_id, statuses),) = answers
    assert list(statuses) == [OK, OK, OK]
    kept = await house.read_all([message_id, f"{message_id}.2", f"{message_id}.3"])
    assert [one.msisdn for one in kept] == list(NUMBERS)
    assert [one.msisdn for one in house.operator.taken] == list(NUMBERS)
    assert house.metric("pombo_submitted_total", account="billing") == 3


@pytest_twisted.ensureDeferred
async def test_receipts_have_the_one_id_and_their_own_numbers(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    bind = house.esmes.bind()
    message_id = await submitted(house, *NUMBERS)
    house.operator.accept("1", "2", "3")
    await house.settle()
    for remote_id in ("3", "1", "2"):
        house.operator.report(remote_id, Status.DELIVERED)
        await house.settle()
    assert bind.ids == [message_id] * 3
    assert [item.source for item in bind.got] == [f"+{NUMBERS[n]}" for n in (2, 0, 1)]
    for one in (message_id, f"{message_id}.2", f"{message_id}.3"):
        assert (await house.story(one))[-3:] == ["receipt_queued", "receipt_sent", "receipt_answered"]


@pytest_twisted.ensureDeferred
async def test_a_destination_without_a_route_is_told_and_the_others_go(store: Store) -> None:
    house = await House(store, Route("rio", ("operator",), when=When(to=("5521", "5531")))).start()
    answers = submit(house, to(house, *NUMBERS))
    await house.settle()
    ((message_id, statuses),) = answers
    assert list(statuses) == [NO_DESTINATION, OK, OK]
    assert (await house.read(message_id)).msisdn == NUMBERS[1]
    assert submit(house, to(house, NUMBERS[0])) == [("", [NO_DESTINATION])]


@pytest_twisted.ensureDeferred
async def test_a_store_that_takes_nothing_refuses_all(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    await store.command("CONFIG", "SET", "min-replicas-to-write", "1")
    try:
        answers = submit(house, to(house, *NUMBERS))
        await house.settle()
        assert answers == [("", [QUEUE_FULL] * 3)]
        assert submit(house, to(house, *NUMBERS)) == [("", [QUEUE_FULL] * 3)]
    finally:
        await store.command("CONFIG", "SET", "min-replicas-to-write", "0")
    await store.command("SET", "alive", "1")
    assert await store.command("KEYS", "m:*") == []
    assert house.operator.taken == []


@pytest_twisted.ensureDeferred
async def test_no_more_are_taken_than_there_is_room_for(store: Store) -> None:
    house = await House(store, SMS_ONLY, max_messages=2).start()
    assert submit(house, to(house, *NUMBERS)) == [("", [QUEUE_FULL] * 3)]
    assert await submitted(house, *NUMBERS[:2])


@pytest_twisted.ensureDeferred
async def test_a_query_answers_for_the_first(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    message_id = await submitted(house, *NUMBERS)
    house.operator.accept("1", "2", "3")
    await house.settle()
    house.operator.report("1", Status.DELIVERED)
    await house.settle()
    answer = await asked(house, house.operations.query("billing", message_id, "28940"))
    assert (answer.message_id, answer.message_state) == (message_id, State.DELIVERED)


@pytest_twisted.ensureDeferred
async def test_one_destination_is_cancelled_or_all_that_are_left(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    house.operator.window = 0
    message_id = await submitted(house, *NUMBERS)
    assert await cancel(house, message_id, dest=NUMBERS[1]) == OK
    assert await cancel(house, message_id, dest=NUMBERS[1]) == CommandStatus.ESME_RCANCELFAIL
    assert await cancel(house, message_id, dest="5541987654321") == CommandStatus.ESME_RINVMSGID
    assert [item.source for item in await house.receipts()] == [f"+{NUMBERS[1]}"]
    assert await cancel(house, message_id) == OK
    assert {item.message_id for item in await house.receipts()} == {message_id}
    assert len(await house.receipts()) == 3
    assert await cancel(house, message_id) == CommandStatus.ESME_RCANCELFAIL


@pytest_twisted.ensureDeferred
async def test_replace_sm_changes_the_text_for_all(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    house.operator.window = 0
    message_id = await submitted(house, *NUMBERS)
    assert await replace(house, message_id) == OK
    kept = await house.read_all([message_id, f"{message_id}.2", f"{message_id}.3"])
    assert [one.user_data for one in kept] == [b"another text"] * 3


@pytest_twisted.ensureDeferred
async def test_each_is_found_by_its_number(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    message_id = await submitted(house, *NUMBERS)
    for number, one in zip(NUMBERS, (message_id, f"{message_id}.2", f"{message_id}.3"), strict=True):
        (writer,) = await writers_of(store, number, house.tick())
        assert writer.id == one


@pytest_twisted.ensureDeferred
async def test_parts_are_joined_per_destination(store: Store) -> None:
    house = await House(store).start()
    for number in (1, 2):
        submit(house, [house.part(number, 2, msisdn=one, dest=one) for one in NUMBERS[:2]])
        await house.settle()
    assert [(text.msisdn, len(text.parts)) for text in house.zap.taken] == [(NUMBERS[0], 2), (NUMBERS[1], 2)]
    house.zap.accept("a", "b")
    await house.settle()
    for remote_id in ("a", "b"):
        house.zap.report(remote_id, Status.DELIVERED)
        await house.settle()
    receipts = await house.receipts()
    assert sorted(item.source for item in receipts) == sorted([*NUMBERS[:2]] * 2)
    assert len({item.message_id for item in receipts}) == 2
