"""The one door: kept first, answered then; refused at once where nothing can be kept."""

from __future__ import annotations

import re
from typing import Any

import pytest
import pytest_twisted

from gateway.delivery.intake import PATIENCE_S
from gateway.messages.message import Attempted, Priority
from gateway.messages.outcome import Accepted
from gateway.messages.states import State
from gateway.routing.routes import Route, When
from gateway.smpp.constants import CommandStatus
from gateway.store import keys
from gateway.store.lookups import writers_of
from gateway.store.valkey import Store
from tests.gateway.delivery.house import SMS_ONLY, USUAL, ZAP_ONLY, House, ids_of
from tests.gateway.samples import NUMBER

QUEUE_FULL, NO_DESTINATION = CommandStatus.ESME_RMSGQFUL, CommandStatus.ESME_RINVDSTADR


@pytest_twisted.ensureDeferred
async def test_the_answer_comes_only_after_the_message_is_kept(store: Store) -> None:
    house = await House(store).start()
    answers = house.submit_at_once(house.message())
    assert answers == []
    house.clock.advance(0)  # the batch leaves for the store
    assert answers == []
    await house.settle()
    ((status, message_id),) = answers
    assert status == 0
    kept = await house.read(message_id)
    assert (kept.id, kept.msisdn, kept.account) == (message_id, NUMBER, "billing")
    assert house.metric("pombo_submitted_total", account="billing") == 1


@pytest_twisted.ensureDeferred
async def test_ids_are_unique_printable_and_ascend(store: Store) -> None:
    house = await House(store).start()
    ids = await house.submit(*(house.message() for _ in range(300)))
    assert len(set(ids)) == 300
    assert ids == sorted(ids)
    assert all(one.isascii() and one.isalnum() and len(one) <= 64 for one in ids)


@pytest_twisted.ensureDeferred
async def test_a_free_channel_gets_the_message_at_once_and_a_full_one_leaves_it_in_the_queue(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    house.operator.window = 2
    first, second, third = await house.submit(*(house.message() for _ in range(3)))
    assert [message.id for message in house.operator.taken] == [first, second]
    kept = await house.read(third)
    assert not kept.in_hand
    assert await store.command("LRANGE", keys.queue("operator", Priority.NORMAL), "0", "-1") == [f"{third} 1".encode()]
    house.operator.accept()
    await house.settle()
    assert [message.id for message in house.operator.taken] == [first, second, third]


@pytest_twisted.ensureDeferred
async def test_a_younger_message_never_overtakes_the_queue(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    house.operator.window = 1
    house.operator.script = lambda message: Accepted(f"r{message.id}")
    ids = []
    for _ in range(5):
        ids += await house.submit(house.message(), house.message())
    assert [message.id for message in house.operator.taken] == ids


@pytest_twisted.ensureDeferred
async def test_a_younger_message_never_overtakes_one_on_its_way_into_the_queue(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    house.operator.window = 0
    house.submit_at_once(house.message())
    house.clock.advance(0)  # on its way into the queue; the next turn begins
    house.operator.window = 100
    house.submit_at_once(house.message())
    await house.settle()
    assert (taken := ids_of(house.operator.taken)) == sorted(taken) and len(taken) == 2
    house.operator.window = 4
    house.submit_at_once(house.message(segments=3), house.message())  # there is room for two
    await house.settle()
    assert (taken := ids_of(house.operator.taken)) == sorted(taken)
    house.operator.window = 100
    house.operator.accept()
    await house.settle()
    assert (taken := ids_of(house.operator.taken)) == sorted(taken) and len(taken) == 4
    dispatcher = house.delivery.dispatchers["operator"]
    await house.submit_one()
    assert dispatcher.coming == 0 and not dispatcher.waiting, "straight again"


@pytest_twisted.ensureDeferred
async def test_a_number_that_no_route_takes_is_refused(store: Store) -> None:
    house = await House(store, Route("abroad", ("operator",), when=When(to=("49",)))).start()
    answers = house.submit_at_once(house.message())
    assert answers == [(NO_DESTINATION, "")]
    await house.settle()
    assert await store.command("KEYS", "m:*") == []


@pytest_twisted.ensureDeferred
async def test_a_route_whose_channels_are_all_gone_takes_nothing(store: Store) -> None:
    house = await House(store, Route("lost", ("removed",))).start()
    assert house.submit_at_once(house.message()) == [(NO_DESTINATION, "")]


BINARY: list[dict[str, Any]] = [
    {"data_coding": 4, "user_data": b"\0\1\2"},
    {"data_coding": 2, "user_data": b"\0\1\2"},
    {"data_coding": 0xF5, "user_data": b"\0\1\2"},
    {"esm_class": 0x40, "user_data": bytes((6, 5, 4, 0x0B, 0x84, 0x23, 0xF0)) + b"port"},
    {"protocol_id": 0x40},
    {"protocol_id": 0x7F},
    {"data_coding": 0xF0},
    {"data_coding": 0x10},
    {"data_coding": 0x18, "user_data": "flash".encode("utf-16-be")},
    {"data_coding": 0xF2},
    {"tlvs": ((0x020B, b"\x0b\x84"),)},
    {"esm_class": 0x08},
]
KINDS = [
    "8-bit", "8-bit unspecified", "class 1 data", "ports", "silent", "SIM download", "flash",
    "flash of the general group", "flash in UCS-2", "for the SIM", "WAP push by TLV", "an acknowledgement of an MO",
]  # fmt: skip
TEXTS: list[dict[str, Any]] = [
    {"data_coding": 1},
    {"data_coding": 3, "user_data": b"ol\xe1"},
    {"data_coding": 8, "user_data": "olá 👍".encode("utf-16-be")},
    {"data_coding": 0xF1},
    {"data_coding": 0x11},
    {"data_coding": 0x1B, "user_data": "olá".encode("utf-16-be")},
    {"esm_class": 0x40, "user_data": bytes((3, 0x25, 1, 3)) + b"ol\x0f"},
    {"esm_class": 0x40, "user_data": bytes((3, 0x24, 1, 1)) + b"\x1b\x73"},
]


@pytest.mark.parametrize("fields", BINARY, ids=KINDS)
@pytest_twisted.ensureDeferred
async def test_what_is_no_text_goes_by_sms_and_never_to_whatsapp(store: Store, fields: dict[str, Any]) -> None:
    house = await House(store).start()
    message_id = await house.submit_one(**fields)
    assert house.zap.taken == []
    assert [message.id for message in house.operator.taken] == [message_id]
    assert (await house.read(message_id)).plan == ("operator",)


@pytest.mark.parametrize("fields", TEXTS)
@pytest_twisted.ensureDeferred
async def test_a_text_of_any_coding_goes_by_whatsapp(store: Store, fields: dict[str, Any]) -> None:
    house = await House(store).start()
    message_id = await house.submit_one(**fields)
    assert [message.id for message in house.zap.taken] == [message_id] and house.operator.taken == []


@pytest_twisted.ensureDeferred
async def test_a_flash_message_is_routed_by_its_text_all_the_same(store: Store) -> None:
    codes = Route("codes", ("operator",), when=When(text=re.compile("codigo")))
    house = await House(store, codes, USUAL).start()
    message_id = await house.submit_one(data_coding=0xF0, user_data=b"Seu codigo: 123")
    assert (await house.read(message_id)).route == "codes"


@pytest_twisted.ensureDeferred
async def test_what_is_no_text_has_no_way_on_a_route_of_whatsapp_alone(store: Store) -> None:
    house = await House(store, ZAP_ONLY).start()
    assert house.submit_at_once(house.message(**BINARY[0])) == [(NO_DESTINATION, "")]


@pytest_twisted.ensureDeferred
async def test_a_store_that_is_away_refuses_at_once(store: Store) -> None:
    house = await House(store).start()
    await store.stop()
    assert house.submit_at_once(house.message()) == [(QUEUE_FULL, "")]


@pytest_twisted.ensureDeferred
async def test_a_store_that_refuses_writes_refuses_the_message_and_keeps_nothing(store: Store) -> None:
    house = await House(store).start()
    await store.command("CONFIG", "SET", "min-replicas-to-write", "1")
    try:
        answers = house.submit_at_once(house.message(), house.message())
        await house.settle()
        assert answers == [(QUEUE_FULL, ""), (QUEUE_FULL, "")]
        assert house.submit_at_once(house.message()) == [(QUEUE_FULL, "")], "known by now, not even tried"
    finally:
        await store.command("CONFIG", "SET", "min-replicas-to-write", "0")
    await store.command("SET", "alive", "1")  # the beat of every second
    assert await store.command("KEYS", "m:*") == []
    assert len(await house.submit(house.message())) == 1, "and is taken again without help"
    assert len(house.zap.taken) == 1


@pytest_twisted.ensureDeferred
async def test_nobody_waits_longer_than_the_patience_and_what_was_refused_never_happens(store: Store) -> None:
    house = await House(store).start()
    answers = house.submit_at_once(house.message())
    house.clock.advance(PATIENCE_S + 1.1)  # the batch leaves, and its answer does not come in time
    assert answers == [(QUEUE_FULL, "")]
    await house.settle()
    assert answers == [(QUEUE_FULL, "")], "never a second answer"
    assert await store.command("KEYS", "m:*") == []
    await house.passes(1000)
    assert house.zap.taken == house.operator.taken == []
    assert len(await house.submit(house.message())) == 1


@pytest_twisted.ensureDeferred
async def test_a_full_house_refuses(store: Store) -> None:
    house = await House(store, SMS_ONLY, max_messages=2).start()
    answers = house.submit_at_once(*(house.message() for _ in range(3)))
    await house.settle()
    assert sorted(status for status, _ in answers) == [0, 0, QUEUE_FULL]
    assert house.submit_at_once(house.message()) == [(QUEUE_FULL, "")]


@pytest_twisted.ensureDeferred
async def test_a_node_that_stops_takes_nothing_new(store: Store) -> None:
    house = await House(store).start()
    house.intake.stopping = True
    assert house.submit_at_once(house.message()) == [(QUEUE_FULL, "")]


@pytest_twisted.ensureDeferred
async def test_the_plan_is_the_routes_at_acceptance(store: Store) -> None:
    otp = Route("otp", ("operator",), success="sent", priority=Priority.HIGH, when=When(account=("shop",)))
    house = await House(store, otp, USUAL).start()
    house.operator.window = 0
    shop, billing = await house.submit(house.message(account="shop"), house.message())
    first, second = await house.read(shop), await house.read(billing)
    assert (first.route, first.plan, first.success, first.priority) == ("otp", ("operator",), "sent", Priority.HIGH)
    assert (second.route, second.plan, second.fallback_after) == ("default", ("zap", "operator"), 600.0)
    house.intake.use(())
    assert (await house.read(shop)).plan == ("operator",)


@pytest_twisted.ensureDeferred
async def test_a_message_for_later_waits_for_its_moment(store: Store) -> None:
    house = await House(store).start()
    message_id = await house.submit_one(schedule_at=house.now + 3600)
    assert (await house.read(message_id)).state is State.SCHEDULED
    await house.passes(3590)
    assert house.zap.taken == []
    await house.passes(10)
    assert [message.id for message in house.zap.taken] == [message_id]


@pytest_twisted.ensureDeferred
async def test_a_whatsapp_channel_that_is_down_is_passed_over_from_the_start(store: Store) -> None:
    house = await House(store).start()
    house.zap.up = False
    message_id = await house.submit_one()
    assert [message.id for message in house.operator.taken] == [message_id]
    assert "fallback" in await house.story(message_id)
    labels = {"from_channel": "zap", "to_channel": "operator", "reason": "channel_down"}
    assert house.metric("pombo_fallback_total", **labels) == 1


@pytest_twisted.ensureDeferred
async def test_the_last_writer_of_a_number_is_remembered_first(store: Store) -> None:
    house = await House(store).start()
    first = await house.submit_one(dest="011 98765-4321")
    second = await house.submit_one(account="shop", source="SHOP")
    writers = await writers_of(store, NUMBER, house.tick())
    assert [one.id for one in writers] == [second, first]
    assert [one.dest for one in writers] == ["+55 11 98765-4321", "011 98765-4321"]


@pytest_twisted.ensureDeferred
async def test_of_the_writers_of_a_number_no_more_are_looked_at_than_asked_for(store: Store) -> None:
    house = await House(store).start()
    ids = await house.submit(*(house.message() for _ in range(60)))
    assert [one.id for one in await writers_of(store, NUMBER, house.tick(), 50)] == ids[:9:-1]
    assert [one.id for one in await writers_of(store, NUMBER, house.tick())] == ids[::-1]


@pytest_twisted.ensureDeferred
async def test_an_accepted_message_begins_its_trace_and_its_first_attempt(store: Store) -> None:
    house = await House(store).start()
    message_id = await house.submit_one()
    assert await house.story(message_id) == ["accepted", "decided"]
    (attempt,) = (await house.read(message_id)).attempts
    assert (attempt.channel, attempt.state) == ("zap", Attempted.WAITING)
