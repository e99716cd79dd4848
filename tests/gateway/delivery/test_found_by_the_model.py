"""What tools/model found: stories of a few steps that ended wrongly, played to the real store."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_twisted

from gateway.messages.outcome import Accepted, Status, Uncertain
from gateway.messages.states import State
from gateway.store import keys
from gateway.store.embedded import EmbeddedServer
from gateway.store.valkey import Store
from tests.gateway.conftest import connected
from tests.gateway.delivery.house import PATIENCE_S, SMS_ONLY, House
from tests.gateway.samples import DAY_S, NUMBER


@pytest_twisted.async_yield_fixture
async def witness(server: EmbeddedServer) -> AsyncIterator[Store]:
    """A second link to the same store."""
    other = await connected(server, "witness")
    yield other
    await other.stop()


@pytest_twisted.ensureDeferred
async def test_a_report_on_top_of_a_change_that_lost_its_race_does_not_slip_in(store: Store) -> None:
    """The operator takes a text, and reports it, in the moment its validity ends, while the store has news that came
    in between: the change that ends the message is made again, and what was built on it has to be, too."""
    house = await House(store).start()
    message_id = await house.submit_one()
    house.zap.answer(message_id, Uncertain("timeout"))
    await house.settle()
    await house.passes(PATIENCE_S)
    house.zap.report("z", Status.DELIVERED, message_id=message_id)  # late, for the operator has it in hand
    await house.settle()
    house.clockwork.stop()
    house.clock.advance(DAY_S)
    house.operator.answer(message_id, Accepted("o"))
    house.operator.report("o", Status.DELIVERED, dest=NUMBER, source="28940")
    await house.settle()
    assert (await house.read(message_id)).state is State.EXPIRED
    assert [receipt.state for receipt in await house.receipts()] == [State.EXPIRED]


async def sent_with_a_word_that_was_faster(house: House, kind: str) -> str:
    """The channel's answer is on its way into the store, where the report that overtook it is parked."""
    message_id = await house.submit_one()
    channel = house.zap if kind == "zap" else house.operator
    told = channel.report("early", Status.DELIVERED, dest=NUMBER, source="28940")
    await house.settle()
    assert told == [True], "nobody will say it again"
    channel.answer(message_id, Accepted("early"))
    house.clock.advance(0)  # the change is at the store
    return message_id


async def kept_unheard(house: House, witness: Store, message_id: str) -> None:
    """The store has made the change, and its answer never comes."""
    link = house.store._link
    assert link is not None
    link.transport.stopReading()
    day, name = int(house.now // keys.DAY_S), house.zap.name if house.zap.taken else house.operator.name
    while not await witness.command("HGET", keys.remote_ids(name, day), "early"):
        pass
    link.transport.abortConnection()


@pytest_twisted.ensureDeferred
async def test_word_that_overtook_the_answer_survives_a_link_that_breaks(store: Store, witness: Store) -> None:
    house = await House(store).start()
    message_id = await sent_with_a_word_that_was_faster(house, "zap")
    await kept_unheard(house, witness, message_id)
    await house.settle()
    assert (await house.read(message_id)).state is State.DELIVERED
    assert await store.command("EXISTS", keys.parked("zap", "early")) == 0


@pytest_twisted.ensureDeferred
async def test_word_that_overtook_the_answer_survives_a_process_that_dies(
    server: EmbeddedServer, store: Store, witness: Store
) -> None:
    mortal = await connected(server)
    dead = await House(mortal, SMS_ONLY).start()
    message_id = await sent_with_a_word_that_was_faster(dead, "operator")
    await kept_unheard(dead, witness, message_id)
    dead.die()
    mortal._pending.clear()
    await mortal.stop()
    house = await House(store, SMS_ONLY, clock=dead.clock, incarnation=2, was_written=lambda _: True).start()
    assert (await house.read(message_id)).state is State.DELIVERED
    assert len(await house.receipts()) == 1
