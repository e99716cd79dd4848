"""A text that nobody heard of, when its time on WhatsApp is over: the provider is asked, and its copy deleted where
that is wanted, before the SMS goes. The whole way, with the real channel, adapters and simulators, on one clock."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet.task import Clock

from gateway.messages.message import Attempted
from gateway.routing.journey import LAST_WORD_S
from gateway.store.valkey import Store
from tests.gateway.delivery.house import ids_of
from tests.gateway.delivery.provider_house import PATIENCE_S, ProviderHouse, Row
from tools.scripts import Ack

DELETING, ASKING = ("evolution", "waha", "wppconnect"), ("waha", "wppconnect")
NUMBER = "5531988887777"  # of an older account, whose identity lacks the ninth digit
BY_SMS = Row("DELIVERED", "operator", ("DELIVERED",), 1, 1)
BY_ZAP = Row("DELIVERED", "zap", ("DELIVERED",), 1, 0)
FALLBACK_AND = "from zap: timeout, zap's copy"


async def sent_to(store: Store, api: str, script: str, deletes: bool = True) -> tuple[ProviderHouse, str]:
    """A message that the provider has, and whose time is nearly over."""
    house = await ProviderHouse(store, api, bridge={"delete_before_sms": deletes}).open()
    house.acts(NUMBER, script)
    [message_id] = await house.send(NUMBER)
    await house.flows(PATIENCE_S - 1.0)
    assert len(house.provider.sends) == 1 and house.operator.taken == []
    return house, message_id


async def fallbacks(house: ProviderHouse, message_id: str) -> list[str]:
    return [event.detail for event in await house.trace(message_id) if event.event == "fallback"]


@pytest.mark.parametrize("api", DELETING)
@pytest_twisted.ensureDeferred
async def test_the_copy_is_deleted_for_everyone_and_then_the_sms_goes(store: Store, api: str) -> None:
    house, message_id = await sent_to(store, api, "sent_only")
    deleted_at: list[int] = []
    house.provider._watch = lambda what, _: deleted_at.append(len(house.operator.taken)) if what == "deleted" else None
    await house.ends(message_id)
    assert house.provider.sends[0].deleted and deleted_at == [0], "before any SMS"
    assert await house.row(message_id) == BY_SMS
    assert await fallbacks(house, message_id) == [f"{FALLBACK_AND} deleted"]


@pytest.mark.parametrize("api", DELETING)
@pytest_twisted.ensureDeferred
async def test_without_the_key_the_copy_stays(store: Store, api: str) -> None:
    house, message_id = await sent_to(store, api, "sent_only", deletes=False)
    await house.ends(message_id)
    assert not house.provider.sends[0].deleted
    assert await house.row(message_id) == BY_SMS
    assert await fallbacks(house, message_id) == ["from zap: timeout"]


@pytest_twisted.ensureDeferred
async def test_a_delivery_that_comes_after_its_copy_was_deleted_does_not_stop_the_sms(store: Store) -> None:
    house, message_id = await sent_to(store, "evolution", f"delivered:{PATIENCE_S + 0.5:g}s")
    house.operator.up = True
    house.operator.window = 0  # the SMS waits in its queue
    await house.flows(4.0)
    assert house.operator.taken == [] and house.provider.sends[0].state == "delivered"
    message = await house.read(message_id)
    assert not message.final, "what was delivered is not there any more"
    assert message.attempts[0].state is Attempted.WITHDRAWN
    house.operator.window = 10
    house.hub.capacity_changed("operator")
    await house.ends(message_id)
    assert await house.row(message_id) == BY_SMS
    assert "late" in await house.story(message_id)


@pytest_twisted.ensureDeferred
async def test_a_copy_that_cannot_be_deleted_costs_the_sms_no_time(store: Store) -> None:
    house, message_id = await sent_to(store, "evolution", "sent_only+undeletable")
    await house.flows(1.2)
    assert ids_of(house.operator.taken) == [message_id]
    assert await fallbacks(house, message_id) == [f"{FALLBACK_AND} not deleted"]


@pytest_twisted.ensureDeferred
async def test_a_copy_that_was_not_deleted_and_then_arrives_needs_no_sms(store: Store) -> None:
    house, message_id = await sent_to(store, "evolution", f"delivered:{PATIENCE_S + 0.5:g}s+undeletable")
    house.operator.window = 0
    await house.ends(message_id)
    assert await house.row(message_id) == BY_ZAP


@pytest_twisted.ensureDeferred
async def test_a_deletion_that_is_never_answered_holds_the_sms_up_for_seconds_only(store: Store) -> None:
    house, message_id = await sent_to(store, "evolution", "sent_only+delete_hang")
    await house.flows(1.5)
    assert house.operator.taken == []
    await house.flows(LAST_WORD_S)
    assert ids_of(house.operator.taken) == [message_id]
    assert await fallbacks(house, message_id) == [f"{FALLBACK_AND} perhaps deleted"]


@pytest_twisted.ensureDeferred
async def test_a_crash_while_the_copy_is_being_deleted_loses_nothing(store: Store) -> None:
    house, message_id = await sent_to(store, "evolution", "sent_only+delete_hang")
    await house.flows(1.5)
    assert (await house.read(message_id)).attempts[0].state is Attempted.WITHDRAWING
    house.die()
    clock = Clock()
    clock.advance(house.clock.seconds())
    other = await ProviderHouse(store, "evolution", clock=clock, bridge={"delete_before_sms": True}).open()
    await other.flows(LAST_WORD_S + 1.0)
    assert ids_of(other.operator.taken) == [message_id]
    await other.ends(message_id)
    assert (await other.read(message_id)).decided_by == "operator"
    assert len(await fallbacks(other, message_id)) == 1


@pytest_twisted.ensureDeferred
async def test_the_copy_stays_while_the_operator_cannot_take_its_place(store: Store) -> None:
    house, message_id = await sent_to(store, "evolution", f"delivered:{PATIENCE_S + 5:g}s")
    house.operator.up = False
    await house.ends(message_id)
    assert not house.provider.sends[0].deleted
    assert await house.row(message_id) == BY_ZAP


@pytest_twisted.ensureDeferred
async def test_a_sender_that_is_down_is_not_asked(store: Store) -> None:
    house, message_id = await sent_to(store, "evolution", "sent_only")
    house.spawned(house.provider.connect(False), "logging out", house.sender.log)
    await house.ends(message_id)
    assert not house.provider.sends[0].deleted
    assert await fallbacks(house, message_id) == ["from zap: channel_down"]


@pytest.mark.parametrize("deletes", [False, True])
@pytest.mark.parametrize("api", ASKING)
@pytest_twisted.ensureDeferred
async def test_a_text_whose_webhooks_were_lost_is_asked_after_and_needs_no_sms(
    store: Store, api: str, deletes: bool
) -> None:
    house, message_id = await sent_to(store, api, "delivered+untold", deletes)
    await house.ends(message_id)
    assert await house.row(message_id) == BY_ZAP
    assert not house.provider.sends[0].deleted
    [told] = [event for event in await house.trace(message_id) if event.event == "delivered"]
    assert told.detail == "asked before the next channel had it"


@pytest_twisted.ensureDeferred
async def test_when_everybody_is_asked_after_at_once_most_go_on_without(store: Store) -> None:
    house = await ProviderHouse(store, "evolution", bridge={"delete_before_sms": True}).open()
    numbers = [f"55119888{index:05d}" for index in range(60)]
    for number in numbers:
        house.acts(number, "sent_only+delete_hang")
    ids = await house.send(*numbers)
    await house.flows(PATIENCE_S + 1.5)
    asked = sum("deleteMessage" in request.url for request in house.wire.requests)
    assert 16 <= asked < 60
    await house.ends(*ids)
    assert {(await house.row(one)).sms for one in ids} == {1}


@pytest_twisted.ensureDeferred
async def test_the_parts_of_a_long_text_follow_its_copy(store: Store) -> None:
    house = await ProviderHouse(store, "evolution", bridge={"delete_before_sms": True}).open()
    house.acts(NUMBER, "sent_only")
    ids = await house.submit(*(house.part(n, 2, msisdn=NUMBER, dest=NUMBER) for n in (1, 2)))
    await house.ends(*ids)
    assert house.provider.sends[0].deleted
    assert [(await house.row(one)).sms for one in ids] == [2, 2]
    assert {(await house.read(one)).decided_by for one in ids} == {"operator"}


@pytest.mark.parametrize(
    "script", ["delivered+hang", "delivered+reset", "delivered+hang+early", "delivered+hang+untold"]
)
@pytest_twisted.ensureDeferred
async def test_waha_takes_an_id_of_ours_so_that_a_lost_answer_costs_no_sms(store: Store, script: str) -> None:
    house = await ProviderHouse(store, "waha").open()
    house.acts(NUMBER, script)
    [message_id] = await house.send(NUMBER)
    await house.ends(message_id)
    assert await house.row(message_id) == BY_ZAP
    assert "unanswered" in next(event.detail for event in await house.trace(message_id) if event.event == "sent")


@pytest_twisted.ensureDeferred
async def test_a_crash_after_the_send_is_made_good_by_the_id_that_was_ours(store: Store) -> None:
    house = await ProviderHouse(store, "waha").open()
    house.acts(NUMBER, "delivered:10s+hang")
    [message_id] = await house.send(NUMBER)
    await house.flows(1.0)
    house.die()
    sent = house.provider.sends[0]
    clock = Clock()
    clock.advance(house.clock.seconds())
    other = ProviderHouse(store, "waha", clock=clock, was_written=lambda _: True)
    await other.open()
    status = other.provider.status_event(sent, Ack(0.0, "delivered"), 0)
    other.spawned(other.provider.webhooks.send(status), "a status", other.sender.log)
    await other.ends(message_id)
    message = await other.read(message_id)
    assert (message.decided_by, message.state.name, other.operator.taken) == ("zap", "DELIVERED", [])


@pytest_twisted.ensureDeferred
async def test_a_send_that_is_tried_again_keeps_its_id(store: Store) -> None:
    house = await ProviderHouse(store, "waha").open()
    house.acts(NUMBER, "429:1")
    [message_id] = await house.send(NUMBER)
    await house.ends(message_id)
    bodies: list[Any] = [request.json() for request in house.wire.requests if "sendText" in request.url]
    assert len(bodies) == 2 and len({body["id"] for body in bodies}) == 1
    assert await house.row(message_id) == Row("DELIVERED", "zap", ("DELIVERED",), 2, 0)
