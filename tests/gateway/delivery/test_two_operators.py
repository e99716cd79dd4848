"""A route over two operators: what goes on to the second, why, and what never does."""

from __future__ import annotations

import pytest
import pytest_twisted

from gateway.messages.outcome import Accepted, Refused, Status, TryLater, Uncertain
from gateway.messages.states import State
from gateway.routing.routes import Route
from gateway.store.valkey import Store
from tests.fakes.channels import MemoryChannel
from tests.gateway.delivery.house import House, ids_of
from tests.gateway.samples import DAY_S, NUMBER

FALLBACK_S = 120.0
ROUTE = Route("two", ("operator", "backup"), fallback_after=FALLBACK_S)


async def two(store: Store) -> tuple[House, MemoryChannel]:
    house = House(store)
    backup = house.add_channel("backup", "smsc", "0.10")
    house.intake.use((ROUTE,))
    return await house.start(), backup


def fallbacks(house: House, reason: str) -> float:
    return house.metric("pombo_fallback_total", from_channel="operator", to_channel="backup", reason=reason)


async def delivered_by_backup(house: House, backup: MemoryChannel) -> None:
    backup.accept()
    for number in range(1, len(backup.taken) + 1):
        backup.report(f"backup-{number}", Status.DELIVERED)
    await house.settle()
    receipts = await house.receipts()
    assert [(one.state, one.channel) for one in receipts] == [(State.DELIVERED, "backup")] * len(backup.taken)


@pytest_twisted.ensureDeferred
async def test_a_refusal_that_means_the_next_channel_goes_there_at_once_with_its_reason(store: Store) -> None:
    house, backup = await two(store)
    message_id = await house.submit_one()
    house.operator.answer(message_id, Refused("refused", "1025"))
    await house.settle()
    assert ids_of(backup.taken) == [message_id]
    assert fallbacks(house, "refused") == 1
    steps = [(event.event, event.channel, event.detail) for event in await house.trace(message_id)]
    assert ("failed", "operator", "refused 1025") in steps
    assert ("fallback", "backup", "from operator: refused") in steps
    await delivered_by_backup(house, backup)


@pytest_twisted.ensureDeferred
async def test_a_permanent_refusal_ends_the_message_and_the_second_operator_never_sees_it(store: Store) -> None:
    house, backup = await two(store)
    message_id = await house.submit_one()
    house.operator.answer(message_id, Refused("refused", "11", ends=True))
    await house.settle()
    await house.passes(FALLBACK_S)
    assert backup.taken == []
    (receipt,) = await house.receipts()
    assert (receipt.state, receipt.err, receipt.channel) == (State.REJECTED, 11, "operator")


@pytest_twisted.ensureDeferred
async def test_the_last_channels_refusal_is_rejected_whatever_it_means(store: Store) -> None:
    house, backup = await two(store)
    message_id = await house.submit_one()
    house.operator.answer(message_id, Refused("refused", "88"))
    await house.settle()
    backup.answer(message_id, Refused("refused", "88"))
    await house.settle()
    (receipt,) = await house.receipts()
    assert (receipt.state, receipt.err, receipt.channel) == (State.REJECTED, 88, "backup")


@pytest_twisted.ensureDeferred
async def test_what_waits_for_an_operator_that_stays_down_goes_on_when_the_patience_is_over(store: Store) -> None:
    house, backup = await two(store)
    house.operator.up = False
    ids = await house.submit(*(house.message() for _ in range(300)))
    await house.passes(FALLBACK_S - 1)
    assert backup.taken == []
    await house.passes(1)
    for _ in range(3):
        backup.accept()
        await house.settle()
    assert ids_of(backup.taken) == ids
    assert fallbacks(house, "channel_down") == 300
    house.operator.up = True
    house.hub.capacity_changed("operator")
    await house.settle()
    assert house.operator.taken == []


@pytest_twisted.ensureDeferred
async def test_an_operator_that_comes_back_in_time_keeps_its_messages(store: Store) -> None:
    house, backup = await two(store)
    house.operator.up = False
    ids = await house.submit(*(house.message() for _ in range(20)))
    await house.passes(FALLBACK_S - 10)  # what comes in the last seconds would meet the next channel on the way
    house.operator.up = True
    house.hub.capacity_changed("operator")
    await house.settle()
    for message_id in ids:
        house.operator.answer(message_id, Accepted(f"r{message_id}"))
    for message_id in ids:
        house.operator.report(f"r{message_id}", Status.DELIVERED)
    await house.settle()
    await house.passes(FALLBACK_S)
    assert (ids_of(house.operator.taken), backup.taken) == (ids, [])


@pytest.mark.parametrize("result", [TryLater(5.0, "temporary", "8"), TryLater(50.0, "throttled", "88", counted=False)])
@pytest_twisted.ensureDeferred
async def test_what_is_refused_for_now_until_the_patience_is_over_goes_on(store: Store, result: TryLater) -> None:
    house, backup = await two(store)
    house.operator.script = lambda _: result
    message_id = await house.submit_one()
    for _ in range(30):
        await house.passes(5)
    assert ids_of(backup.taken) == [message_id]
    assert fallbacks(house, result.reason) == 1
    await delivered_by_backup(house, backup)


@pytest_twisted.ensureDeferred
async def test_what_may_have_arrived_is_held_and_never_goes_to_the_second_operator(store: Store) -> None:
    house, backup = await two(store)
    settled, held = await house.submit(house.message(), house.message(expires_at=house.now + 3600))
    for message_id in (settled, held):
        house.operator.answer(message_id, Uncertain("unanswered"))
    await house.settle()
    await house.passes(10 * FALLBACK_S)
    assert backup.taken == []
    house.operator.report("77", Status.DELIVERED, source="28940", dest=NUMBER)
    await house.settle()
    assert [one.state for one in await house.receipts()] == [State.DELIVERED]
    await house.passes(DAY_S)
    assert [one.state for one in await house.receipts()] == [State.DELIVERED, State.EXPIRED]
    assert backup.taken == []
    assert house.metric("pombo_unanswered_total", channel="operator") == 2
