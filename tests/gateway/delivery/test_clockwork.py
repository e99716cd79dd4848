"""What happens by itself: due moments, what a dead process left behind, the overview."""

from __future__ import annotations

import pytest_twisted
from twisted.internet.defer import ensureDeferred

from gateway.messages.message import FORMAT, Attempted
from gateway.messages.outcome import Status, Uncertain, Unwritten
from gateway.messages.states import State
from gateway.store import keys
from gateway.store.valkey import Store
from tests.gateway.delivery.house import PATIENCE_S, SMS_ONLY, USUAL, House, ids_of


async def left_by_a_dead_node(store: Store, count: int, window: int, *routes: object) -> tuple[House, list[str]]:
    """A node that died with `window` messages in its channel's hands and the rest in the queue."""
    house = await House(store, *(routes or (SMS_ONLY,))).start()  # type: ignore[arg-type]
    house.operator.window = house.zap.window = window
    ids = await house.submit(*(house.message() for _ in range(count)))
    house.die()
    return house, ids


@pytest_twisted.ensureDeferred
async def test_what_a_dead_node_had_not_written_goes_first_and_in_order(store: Store) -> None:
    dead, ids = await left_by_a_dead_node(store, 8, 5)
    assert ids_of(dead.operator.taken) == ids[:5]
    house = await House(store, SMS_ONLY, clock=dead.clock, incarnation=2).start()
    assert ids_of(house.operator.taken) == ids
    assert await store.command("SCARD", keys.hand("gw1", "operator")) == 8


@pytest_twisted.ensureDeferred
async def test_a_whole_window_of_hundreds_keeps_its_order(store: Store) -> None:
    dead, ids = await left_by_a_dead_node(store, 700, 600)
    house = House(store, SMS_ONLY, clock=dead.clock, incarnation=2)
    house.operator.window = 1000
    await house.start()
    assert ids_of(house.operator.taken) == ids


@pytest_twisted.ensureDeferred
async def test_what_it_may_have_written_waits_for_a_report_and_is_never_written_again(store: Store) -> None:
    dead, ids = await left_by_a_dead_node(store, 4, 4)
    written = set(ids[:2])
    house = await House(store, SMS_ONLY, clock=dead.clock, incarnation=2, was_written=written.__contains__).start()
    assert ids_of(house.operator.taken) == ids[2:]
    assert [(await house.read(one)).attempts[-1].state for one in ids[:2]] == [Attempted.UNCERTAIN] * 2
    house.operator.report("77", Status.DELIVERED, source="28940", dest=(await house.read(ids[0])).msisdn)
    await house.settle()
    assert (await house.read(ids[0])).state is State.DELIVERED


@pytest_twisted.ensureDeferred
async def test_a_whatsapp_text_that_may_have_gone_out_falls_back_only_after_the_patience(store: Store) -> None:
    dead, (message_id,) = await left_by_a_dead_node(store, 1, 1, USUAL)
    house = await House(store, clock=dead.clock, incarnation=2, was_written=lambda _: True).start()
    assert house.zap.taken == house.operator.taken == []
    await house.passes(PATIENCE_S)
    assert house.zap.taken == []
    assert ids_of(house.operator.taken) == [message_id]


@pytest_twisted.ensureDeferred
async def test_a_restart_does_not_take_the_whatsapp_queue_for_that_of_a_channel_that_is_down(store: Store) -> None:
    dead, ids = await left_by_a_dead_node(store, 4, 2, USUAL)
    house = House(store, clock=dead.clock, incarnation=2)
    house.zap.up = False  # as every channel before it is started
    recovering = ensureDeferred(house.clockwork.recover())
    await house.settle()
    await recovering
    house.zap.up = True
    await house.start()
    assert ids_of(house.zap.taken) == ids
    assert house.operator.taken == []


@pytest_twisted.ensureDeferred
async def test_recovery_is_the_same_when_the_node_dies_in_it(store: Store) -> None:
    dead, ids = await left_by_a_dead_node(store, 6, 6)
    second = House(store, SMS_ONLY, clock=dead.clock, incarnation=2)
    recovering = ensureDeferred(second.clockwork.recover())
    await second.settle()
    await recovering
    second.die()
    third = await House(store, SMS_ONLY, clock=dead.clock, incarnation=3).start()
    assert sorted(ids_of(second.operator.taken) + ids_of(third.operator.taken)) == sorted(ids)


@pytest_twisted.ensureDeferred
async def test_a_living_nodes_messages_are_not_taken_from_its_hands(store: Store) -> None:
    house, _ = await left_by_a_dead_node(store, 3, 3)
    house.clockwork.start()
    other = await House(store, SMS_ONLY, node="gw2", clock=house.clock, incarnation=2).start()
    assert other.operator.taken == []
    recovering = ensureDeferred(house.clockwork.recover())
    await house.settle()
    await recovering
    assert len(house.operator.taken) == 3, "its own are in its hands, and known to be"


@pytest_twisted.ensureDeferred
async def test_a_lease_whose_answer_was_lost_goes_back_to_the_queue(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    house.operator.window = 0
    ids = await house.submit(*(house.message() for _ in range(3)))
    await store.call("lease", "operator", "3", keys.hand("gw1", "operator"))  # and nobody hears the answer
    await house.clockwork.recover_leases()
    await house.settle()
    house.operator.window = 10
    house.hub.capacity_changed("operator")
    await house.settle()
    assert ids_of(house.operator.taken) == ids


@pytest_twisted.ensureDeferred
async def test_a_result_on_its_way_is_no_lost_lease(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    (message_id,) = await house.submit(house.message())
    house.operator.answer(message_id, Uncertain("timeout"))  # written in the next turn, which does not come yet
    assert house.ledger.concerned == {message_id}
    await house.clockwork.recover_leases()
    await house.settle()
    assert house.ledger.concerned == set()
    assert len(house.operator.taken) == 1
    assert (await house.read(message_id)).attempts[-1].state is Attempted.UNCERTAIN


@pytest_twisted.ensureDeferred
async def test_giving_back_what_was_sent_meanwhile_changes_nothing(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    (message_id,) = await house.submit(house.message())
    stale = await house.read(message_id)
    house.operator.accept("smsc-1")
    await house.settle()
    house.delivery.attempted("operator", [(stale, Unwritten("the store's answer was lost"))])
    await house.settle()
    assert len(house.operator.taken) == 1
    assert (await house.read(message_id)).attempts[-1].state is Attempted.SENT


@pytest_twisted.ensureDeferred
async def test_what_came_due_while_no_node_ran_happens_with_the_next_start(store: Store) -> None:
    dead, ids = await left_by_a_dead_node(store, 300, 0)
    dead.clock.advance(2 * 86400)
    house = House(store, SMS_ONLY, clock=dead.clock, incarnation=2)
    house.operator.up = False
    await house.start()
    await house.passes(1)
    assert {message.state for message in await house.read_all(ids)} == {State.EXPIRED}
    receipts = await house.receipts()
    assert sorted(one.message_id for one in receipts) == sorted(ids)


@pytest_twisted.ensureDeferred
async def test_a_record_that_cannot_be_read_does_not_hold_the_others(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    house.operator.window = 0
    ids = await house.submit(*(house.message(expires_at=house.now + 60) for _ in range(3)))
    await store.command("SETRANGE", keys.message(ids[0]), "7", bytes((FORMAT + 1,)))
    await house.passes(60)
    assert {message.state for message in await house.read_all(ids[1:])} == {State.EXPIRED}


@pytest_twisted.ensureDeferred
async def test_a_final_message_that_is_still_due_is_forgotten(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    message_id = await house.submit_one()
    house.operator.accept("77")
    house.operator.report("77", Status.DELIVERED)
    await house.settle()
    await store.command("ZADD", keys.DUE, "1", message_id)
    await house.passes(1)
    assert await store.command("ZCARD", keys.DUE) == 0
    assert len(await house.receipts()) == 1


@pytest_twisted.ensureDeferred
async def test_the_overview_tells_what_waits_and_since_when(store: Store) -> None:
    house = await House(store).start()
    house.zap.window = 0
    began = house.now
    await house.submit(*(house.message() for _ in range(3)))
    await store.command("XADD", keys.receipts("shop"), "*", "b", "x")
    await house.passes(5)
    seen = house.clockwork.overview
    assert seen.unfinished == 3
    assert seen.depth == {"zap": (0, 3, 0), "operator": (0, 0, 0)}
    assert abs(seen.oldest_at["zap"] - began) < 0.01
    assert seen.oldest_at["operator"] == 0.0
    assert seen.pending == {"billing": 0, "shop": 1}


@pytest_twisted.ensureDeferred
async def test_nothing_is_looked_for_while_the_store_is_away(store: Store) -> None:
    house = await House(store).start()
    await store.stop()
    house.clock.advance(60)
    assert house.clockwork.overview.unfinished == 0
    house.die()


@pytest_twisted.ensureDeferred
async def test_a_message_that_was_taken_back_leaves_the_hand_with_the_next_start(store: Store) -> None:
    await store.command("SADD", keys.hand("gw1", "operator"), "revoked")  # its record went when its ESME was refused
    house = await House(store, SMS_ONLY).start()
    assert house.operator.taken == []
    assert await store.command("SCARD", keys.hand("gw1", "operator")) == 0


@pytest_twisted.ensureDeferred
async def test_a_message_that_ended_while_its_channel_had_it_leaves_the_hand_with_the_next_start(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    message_id = await house.submit_one(expires_at=house.tick() + 60)
    await house.passes(61)  # the operator has it still, and never answers
    assert (await house.read(message_id)).state is State.EXPIRED
    house.die()
    await House(store, SMS_ONLY, clock=house.clock, incarnation=2).start()
    assert await store.command("SCARD", keys.hand("gw1", "operator")) == 0
