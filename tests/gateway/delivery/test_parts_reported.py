"""What an operator reports of long texts: of every part, of the first or the last alone, in any order (R11)."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import pytest
import pytest_twisted

from gateway.messages.outcome import Accepted, Status, TryLater, Uncertain
from gateway.messages.states import State
from gateway.routing.journey import FOLLOW_S
from gateway.routing.routes import Route
from gateway.store.valkey import Store
from tests.gateway.delivery.house import SMS_ONLY, House
from tests.gateway.samples import NUMBER

references = itertools.count(1)
TOTALS = range(2, 8)
ORDERS = ("all", "shuffled", "twice", "first", "last")
TWO_OPERATORS = Route("two", ("operator", "backup"), fallback_after=30.0)


def reported(order: str, total: int) -> list[int]:
    """The places of the parts that the operator reports, in its order."""
    places = list(range(total))
    match order:
        case "shuffled":
            random.Random(total).shuffle(places)
        case "twice":
            places = [place for place in places for _ in range(2)]
        case "first":
            places = places[:1]
        case "last":
            places = places[-1:]
    return places


async def in_parts(house: House, total: int, taken: int | None = None) -> list[str]:
    """A text that its ESME sent in parts; the operator has taken `taken` of them, all by default, as r0, r1 ..."""
    reference = next(references) % 256
    ids = await house.submit(*(house.part(number, total, reference=reference) for number in range(1, total + 1)))
    for place, message_id in enumerate(ids[:taken]):
        house.operator.answer(message_id, Accepted(f"r{place}"))
    await house.settle()
    return ids


async def split_here(house: House, total: int) -> str:
    """A text of one submit_sm that left as several."""
    message_id = await house.submit_one(segments=total, in_payload=True, user_data=b"a" * 153 * total)
    house.operator.accept(",".join(f"r{place}" for place in range(total)))
    await house.settle()
    return message_id


async def report(house: House, place: int, state: State = State.DELIVERED) -> None:
    status = Status.DELIVERED if state is State.DELIVERED else Status.FAILED
    house.operator.report(f"r{place}", status, state, source="28940", dest=NUMBER)
    await house.settle()


async def details(house: House, message_id: str) -> list[str]:
    return [event.detail for event in await house.trace(message_id)]


async def states(house: House, ids: Sequence[str]) -> list[State]:
    return [message.state for message in await house.read_all(ids)]


@pytest.mark.parametrize("end", [State.DELIVERED, State.UNDELIVERABLE])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("total", TOTALS)
@pytest_twisted.ensureDeferred
async def test_parts_of_an_esme_end_each_with_its_own_report_or_follow_the_only_one(
    store: Store, total: int, order: str, end: State
) -> None:
    house = await House(store, SMS_ONLY).start()
    ids = await in_parts(house, total)
    places = reported(order, total)
    for place in places:
        await report(house, place, end)
    told = {ids[place] for place in places}
    assert [await states(house, told), len(await house.receipts())] == [[end] * len(told), len(told)]
    await house.passes(FOLLOW_S - 1)
    assert len(await house.receipts()) == len(told)
    await house.passes(1)
    receipts = await house.receipts()
    assert sorted(one.message_id for one in receipts) == sorted(ids)
    assert {one.state for one in receipts} == {end}
    for message_id in ids:
        assert ("partial: as its sibling part" in await details(house, message_id)) is (message_id not in told)


@pytest.mark.parametrize("total", TOTALS)
@pytest_twisted.ensureDeferred
async def test_parts_with_reports_of_their_own_keep_their_own_results(store: Store, total: int) -> None:
    house = await House(store, SMS_ONLY).start()
    ids = await in_parts(house, total)
    ends = [State.UNDELIVERABLE if place % 3 == 1 else State.DELIVERED for place in range(total)]
    for place in reported("shuffled", total):
        await report(house, place, ends[place])
        await house.passes(5)
    assert await states(house, ids) == ends
    await house.passes(2 * FOLLOW_S)
    assert await states(house, ids) == ends
    assert len(await house.receipts()) == total


@pytest_twisted.ensureDeferred
async def test_a_part_that_is_taken_after_the_only_report_follows_it_a_minute_after_that(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    ids = await in_parts(house, 3, taken=1)
    house.operator.answer(ids[1], TryLater(100.0, "throttled", "88", counted=False))
    await report(house, 0)
    await house.passes(101)
    house.operator.answer(ids[1], Accepted("r1"))
    house.operator.answer(ids[2], Accepted("r2"))
    await house.passes(FOLLOW_S - 1)
    assert await states(house, ids) == [State.DELIVERED, State.ENROUTE, State.ENROUTE]
    await house.passes(1)
    assert await states(house, ids) == [State.DELIVERED] * 3
    assert len(await house.receipts()) == 3


@pytest_twisted.ensureDeferred
async def test_a_part_that_was_never_answered_follows_nobody(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    ids = await in_parts(house, 2, taken=1)
    house.operator.answer(ids[1], Uncertain("unanswered"))
    await report(house, 0)
    await house.passes(10 * FOLLOW_S)
    assert await states(house, ids) == [State.DELIVERED, State.ENROUTE]


@pytest_twisted.ensureDeferred
async def test_a_word_on_the_way_does_not_put_off_what_follows(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    ids = await in_parts(house, 2)
    await report(house, 0)
    await house.passes(30)
    house.operator.report("r1", Status.SENT, State.ENROUTE, source="28940", dest=NUMBER)
    await house.settle()
    await house.passes(FOLLOW_S)
    assert await states(house, ids) == [State.DELIVERED] * 2


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("total", TOTALS)
@pytest_twisted.ensureDeferred
async def test_a_text_that_left_as_several_is_delivered_when_all_of_it_is(store: Store, total: int, order: str) -> None:
    house = await House(store, SMS_ONLY).start()
    message_id = await split_here(house, total)
    places = reported(order, total)
    for place in places:
        assert await states(house, [message_id]) == [State.ENROUTE] or place == places[-1]
        await report(house, place)
    everything = len(set(places)) == total
    assert await states(house, [message_id]) == [State.DELIVERED if everything else State.ENROUTE]
    if not everything:
        assert f"partial: 1 of {total} parts delivered" in await details(house, message_id)
        await house.passes(FOLLOW_S - 1)
        assert await states(house, [message_id]) == [State.ENROUTE]
        await house.passes(1)
    await house.passes(FOLLOW_S)
    (receipt,) = await house.receipts()
    assert (receipt.state, receipt.err) == (State.DELIVERED, 0)
    partial = "" if everything else "partial: "
    assert f"{partial}{len(set(places))} of {total} parts delivered" in await details(house, message_id)


@pytest.mark.parametrize("total", TOTALS)
@pytest_twisted.ensureDeferred
async def test_one_failed_part_fails_a_text_that_left_as_several_whenever_it_is_told(store: Store, total: int) -> None:
    house = await House(store, SMS_ONLY).start()
    for bad in range(total):
        message_id = await split_here(house, total)
        for place in [p for p in range(total) if p != bad]:
            await report(house, place)
        await house.passes(FOLLOW_S - 1)
        await report(house, bad, State.UNDELIVERABLE)
        assert await states(house, [message_id]) == [State.UNDELIVERABLE]
        expected = f"undeliverable, partial: {total - 1} of {total} parts delivered"
        assert expected in await details(house, message_id)
    receipts = await house.receipts()
    assert [one.state for one in receipts] == [State.UNDELIVERABLE] * total


@pytest_twisted.ensureDeferred
async def test_what_was_delivered_in_part_takes_no_other_channel(store: Store) -> None:
    house = House(store, TWO_OPERATORS)
    backup = house.add_channel("backup", "smsc", "0.10")
    house.intake.use((TWO_OPERATORS,))
    await house.start()
    message_id = await split_here(house, 3)
    await house.passes(25)
    await report(house, 0)
    await house.passes(10)
    assert backup.taken == []
    await house.passes(FOLLOW_S)
    assert await states(house, [message_id]) == [State.DELIVERED]
    assert backup.taken == []


@pytest_twisted.ensureDeferred
async def test_the_end_of_validity_does_not_wait_for_parts_that_nobody_reports(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    message_id = await house.submit_one(expires_at=house.now + 40, segments=2, in_payload=True)
    house.operator.accept("r0,r1")
    await house.settle()
    await report(house, 0)
    await house.passes(40)
    (receipt,) = await house.receipts()
    assert receipt.state is State.DELIVERED
    assert "partial: 1 of 2 parts delivered" in await details(house, message_id)
