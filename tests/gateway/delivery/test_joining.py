"""Parts of a long text: joined once for WhatsApp, released as they came for SMS, one receipt each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import permutations

import msgspec
import pytest
import pytest_twisted
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import ensureDeferred

from gateway.messages.message import Message
from gateway.messages.outcome import Accepted, NoAccount, Status, TryLater
from gateway.messages.states import State
from gateway.routing.routes import Route, When
from gateway.smpp.constants import CommandStatus
from gateway.store import keys
from gateway.store.valkey import Keep, Store
from gateway.texts import text_of
from tests.fakes.channels import MemoryChannel
from tests.gateway.delivery.house import PARTS_S, PATIENCE_S, ZAP_ONLY, House, ids_of


def whole(total: int) -> str:
    return "".join(f"part {number} of {total};" for number in range(1, total + 1))


async def one_text(house: House, total: int) -> Message:
    """WhatsApp has got exactly one text, the whole of it."""
    await house.settle()
    (text,) = house.zap.taken
    assert text_of(text) == whole(total)
    return text


async def delivered(house: House, ids: Sequence[str]) -> None:
    """The text arrives; every part is delivered with it, and has its receipt."""
    house.zap.accept("zap-1")
    house.zap.report("zap-1", Status.DELIVERED)
    await house.settle()
    assert {message.state for message in await house.read_all(ids)} == {State.DELIVERED}
    receipts = await house.receipts()
    assert sorted(one.message_id for one in receipts) == sorted(ids)
    assert {(one.state, one.channel) for one in receipts} == {(State.DELIVERED, "zap")}


ORDERS = [order for total in (2, 3, 4) for order in permutations(range(1, total + 1))]


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: "".join(map(str, order)))
@pytest_twisted.ensureDeferred
async def test_parts_in_any_order_are_one_text(store: Store, order: tuple[int, ...]) -> None:
    house = await House(store).start()
    ids = []
    for number in order:
        ids += await house.submit(house.part(number, len(order)))
    await one_text(house, len(order))
    await delivered(house, ids)
    assert house.operator.taken == []


async def in_this_way(store: Store, order: Sequence[int], together: bool, dies_before: int, note: str) -> None:
    """Parts arrive in this order (some twice), in one turn or one by one; the node dies before one of them comes."""
    await store.command("FLUSHALL", "SYNC", keep=Keep.ALWAYS)
    total = max(order)
    house = await House(store).start()
    ids: list[str] = []
    if together:
        ids += await house.submit(*(house.part(number, total) for number in order))
    else:
        for at, number in enumerate(order):
            if at == dies_before:
                house.die()
                house = await House(store, clock=house.clock, incarnation=2).start()
            ids += await house.submit(house.part(number, total))
    assert len(house.zap.taken) == 1 or dies_before == len(order) - 1, note
    texts = len(house.zap.taken)
    house.zap.accept("zap-1")
    await house.settle()
    for _ in range(4):
        await house.passes(PARTS_S)  # a part that came once more waits for a set of its own, in vain
    assert len(house.zap.taken) <= 1, note
    assert house.operator.taken == [], note
    if texts:  # unless the text went out before the node died, and is an earlier node's to finish
        house.zap.report("zap-1", Status.DELIVERED)
        await house.settle()
        for _ in range(3):
            await house.passes(5)
        assert [message.state for message in await house.read_all(ids)] == [State.DELIVERED] * len(ids), note
        assert sorted(one.message_id for one in await house.receipts()) == sorted(ids), note
    house.die()


def arrivals(most: int) -> list[tuple[list[int], bool, int]]:
    """Examples to be run one after the other: no property may call a store from inside."""
    drawn: list[tuple[list[int], bool, int]] = []

    @settings(max_examples=most, database=None)
    @given(
        st.permutations(range(1, 7)),
        st.one_of(st.none(), st.tuples(st.integers(1, 6), st.integers(0, 6))),
        st.booleans(),
        st.integers(1, 6),
    )
    def draw(order: list[int], again: tuple[int, int] | None, together: bool, dies_before: int) -> None:
        if again is not None:
            number, at = again
            order = [*order[:at], number, *order[at:]]
        drawn.append((order, together, dies_before))

    draw()
    return drawn


@pytest_twisted.ensureDeferred
async def test_six_parts_one_of_them_twice_and_a_restart_in_the_middle_are_one_text(store: Store) -> None:
    for order, together, dies_before in arrivals(40):
        note = f"order {order}, together {together}, dies before {dies_before}"
        await in_this_way(store, order, together, dies_before, note)


@pytest_twisted.ensureDeferred
async def test_a_duplicate_in_the_very_batch_that_completes_the_set_does_not_join_it_twice(store: Store) -> None:
    house = await House(store).start()
    ids = await house.submit(*(house.part(number, 2) for number in (1, 2, 2, 1)))
    await one_text(house, 2)
    house.zap.accept("zap-1")
    house.zap.report("zap-1", Status.DELIVERED)
    await house.settle()
    for _ in range(3):
        await house.passes(PARTS_S)
    assert len(house.zap.taken) == 1
    assert house.operator.taken == []
    assert sorted(one.message_id for one in await house.receipts()) == sorted(ids)
    assert house.metric("pombo_cost_total", channel="zap") == pytest.approx(0.03), "one text, one price"


@pytest_twisted.ensureDeferred
async def test_a_part_that_comes_again_after_the_text_went_ends_as_its_first_copy_did(store: Store) -> None:
    house = await House(store).start()
    ids = await house.submit(*(house.part(number, 3) for number in (1, 2, 3)))
    await one_text(house, 3)
    (again,) = await house.submit(house.part(2, 3))
    await house.passes(PARTS_S)
    await delivered(house, ids)
    for _ in range(3):
        await house.passes(PARTS_S)
    message = await house.read(again)
    assert (message.state, message.decided_by, message.cost) == (State.DELIVERED, "zap", "0")
    assert len(house.zap.taken) == 1
    assert house.operator.taken == []
    assert len(await house.receipts()) == 4


@pytest_twisted.ensureDeferred
async def test_a_node_that_dies_between_the_last_part_and_the_text_joins_it_later_and_once(store: Store) -> None:
    house = await House(store).start()
    (first,) = await house.submit(house.part(1, 3))
    house.die()
    last = House(store, clock=house.clock, incarnation=2)
    last.joining.arrived = lambda message, members: None  # type: ignore[method-assign]  # it dies right here
    await last.start()
    ids = [first, *await last.submit(last.part(3, 3), last.part(2, 3))]
    last.die()
    after = await House(store, clock=house.clock, incarnation=3).start()
    assert after.zap.taken == []
    await after.passes(PARTS_S)
    await one_text(after, 3)
    await delivered(after, ids)


@pytest_twisted.ensureDeferred
async def test_two_nodes_that_find_the_same_complete_set_join_it_once(store: Store) -> None:
    house = House(store)
    other = House(store, node="gw2", clock=house.clock, incarnation=2)
    for node in (house, other):
        node.joining.arrived = lambda message, members: None  # type: ignore[method-assign]
        await node.start()
    ids = await house.submit(*(house.part(number, 3) for number in (1, 2, 3)))
    for node in (house, other):
        node.clockwork.stop()
    messages = await house.read_all(ids)
    for message in messages[:2]:
        house.joining.overdue(message)
    other.joining.overdue(messages[2])
    for node in (house, other, house, other):
        await node.settle()
    assert len(house.zap.taken) + len(other.zap.taken) == 1
    texts = {message.joined_in for message in await house.read_all(ids)}
    assert len(texts) == 1
    assert (await house.read(texts.pop())).parts == tuple(ids)


# -- routes by text

CODES = Route("codes", ("other",), when=When(text=re.compile("token")))
SMS_FIRST = Route("rest", ("operator",))


async def with_codes(store: Store, *routes: Route) -> tuple[House, MemoryChannel]:
    house = House(store, *(routes or (CODES, SMS_FIRST)))
    other = house.add_channel("other", "smsc", "0.10")
    return await house.start(), other


@pytest.mark.parametrize("texts", [(b"token ", b"b", b"c"), (b"a", b"b", b" token"), (b"a to", b"ken ", b"c")])
@pytest_twisted.ensureDeferred
async def test_parts_take_the_route_that_their_whole_text_takes(store: Store, texts: tuple[bytes, ...]) -> None:
    house, other = await with_codes(store)
    parts = [house.part(number, 3, text=text) for number, text in enumerate(texts, 1)]
    octets = [part.user_data for part in parts]
    ids = await house.submit(*parts)
    await house.settle()
    assert ([one.id for one in other.taken], [one.user_data for one in other.taken]) == (ids, octets)
    assert house.operator.taken == house.zap.taken == []
    assert {message.route for message in await house.read_all(ids)} == {"codes"}


@pytest_twisted.ensureDeferred
async def test_parts_without_what_a_route_asks_for_take_the_next_one(store: Store) -> None:
    house, other = await with_codes(store)
    ids = await house.submit(house.part(2, 2), house.part(1, 2))
    await house.settle()
    assert ids_of(house.operator.taken) == ids[::-1]
    assert other.taken == []


@pytest_twisted.ensureDeferred
async def test_parts_of_an_incomplete_set_take_one_route_too(store: Store) -> None:
    house, other = await with_codes(store)
    ids = await house.submit(house.part(1, 3), house.part(3, 3, text=b" token"))
    await house.passes(PARTS_S - 1)
    assert other.taken == house.operator.taken == []
    await house.passes(1)
    assert ids_of(other.taken) == ids
    assert house.operator.taken == []


@pytest_twisted.ensureDeferred
async def test_a_text_in_parts_that_a_route_sends_by_whatsapp_is_joined(store: Store) -> None:
    over_zap = msgspec.structs.replace(CODES, channels=("zap", "other"), fallback_after=PATIENCE_S)
    house, other = await with_codes(store, over_zap, SMS_FIRST)
    ids = await house.submit(house.part(1, 2, text=b"my to"), house.part(2, 2, text=b"ken"))
    await house.settle()
    assert [text_of(text) for text in house.zap.taken] == ["my token"]
    await delivered(house, ids)
    assert other.taken == house.operator.taken == []


@pytest_twisted.ensureDeferred
async def test_parts_that_no_route_reads_do_not_wait_for_each_other(store: Store) -> None:
    house, _ = await with_codes(store, msgspec.structs.replace(CODES, when=When(account=("shop",))), SMS_FIRST)
    ids = await house.submit(house.part(1, 3, text=b"token"))
    await house.settle()
    assert ids_of(house.operator.taken) == ids


# -- incomplete


@pytest.mark.parametrize("missing", [1, 2, 3])
@pytest_twisted.ensureDeferred
async def test_without_one_part_the_others_go_by_sms_as_they_came(store: Store, missing: int) -> None:
    house = await House(store).start()
    parts = [house.part(number, 3) for number in (3, 1, 2) if number != missing]
    octets = {part.part.number: part.user_data for part in parts if part.part}
    ids = await house.submit(*parts)
    await house.passes(PARTS_S - 1)
    assert house.operator.taken == []
    await house.passes(1)
    assert [(one.part.number, one.user_data) for one in house.operator.taken if one.part] == sorted(octets.items())
    assert house.zap.taken == []
    house.operator.script = lambda _: None
    for message in list(house.operator.holding):
        house.operator.answer(message, Accepted(f"r-{message}"))
        house.operator.report(f"r-{message}", Status.DELIVERED)
    await house.settle()
    assert sorted(one.message_id for one in await house.receipts()) == sorted(ids)
    await house.passes(2 * PATIENCE_S)
    assert len(house.operator.taken) == 2


@pytest_twisted.ensureDeferred
async def test_the_missing_part_that_comes_after_the_release_goes_by_sms_too(store: Store) -> None:
    house = await House(store).start()
    early = await house.submit(house.part(1, 2))
    await house.passes(PARTS_S)
    late = await house.submit(house.part(2, 2))
    await house.passes(PARTS_S)
    assert ids_of(house.operator.taken) == early + late
    assert house.zap.taken == []


@pytest_twisted.ensureDeferred
async def test_a_reference_used_again_for_another_text_mixes_nothing(store: Store) -> None:
    house = await House(store).start()
    old = await house.submit(house.part(1, 2, text=b"the old text, "))
    new = await house.submit(house.part(1, 2, text=b"the new "), house.part(2, 2, text=b"text"))
    assert [text_of(text) for text in house.zap.taken] == ["the new text"]
    await house.passes(PARTS_S)
    assert ids_of(house.operator.taken) == old
    assert (await house.read(new[0])).joined_in


@pytest_twisted.ensureDeferred
async def test_the_same_reference_to_two_people_is_two_texts(store: Store) -> None:
    house = await House(store).start()
    for msisdn in ("5511987654321", "5521912345678"):
        await house.submit(house.part(1, 2, msisdn=msisdn), house.part(2, 2, msisdn=msisdn))
    assert [text.msisdn for text in house.zap.taken] == ["5511987654321", "5521912345678"]


@pytest_twisted.ensureDeferred
async def test_a_part_whose_validity_ends_while_it_waits_expires(store: Store) -> None:
    house = await House(store).start()
    (message_id,) = await house.submit(house.part(1, 2, expires_at=house.now + 10))
    await house.passes(PARTS_S)
    assert (await house.read(message_id)).state is State.EXPIRED
    assert house.operator.taken == []
    assert len(await house.receipts()) == 1


@pytest_twisted.ensureDeferred
async def test_a_cancelled_part_releases_the_others_when_the_time_is_over(store: Store) -> None:
    house = await House(store).start()
    first, second = await house.submit(house.part(1, 3), house.part(2, 3))
    cancelling = ensureDeferred(house.operations.cancel("billing", first, "28940", "", ""))
    await house.settle()
    assert await cancelling == 0
    (third,) = await house.submit(house.part(3, 3))
    assert house.zap.taken == []
    await house.passes(PARTS_S)
    assert ids_of(house.operator.taken) == [second, third]


# -- the text falls back


@pytest_twisted.ensureDeferred
async def test_a_text_without_an_account_goes_by_sms_part_by_part(store: Store) -> None:
    house = await House(store).start()
    house.zap.script = lambda _: NoAccount("provider")
    ids = await house.submit(*(house.part(number, 3) for number in (2, 3, 1)))
    await house.settle()
    assert sorted(ids_of(house.operator.taken)) == sorted(ids)
    assert [one.part.number for one in house.operator.taken if one.part] == [1, 2, 3]
    assert house.metric("pombo_fallback_total", from_channel="zap", to_channel="operator", reason="no_account") == 1
    for message_id in ids:
        house.operator.answer(message_id, Accepted(f"r-{message_id}"))
        state = State.UNDELIVERABLE if message_id == ids[0] else State.UNKNOWN
        house.operator.report(f"r-{message_id}", Status.FAILED if message_id == ids[0] else Status.DELIVERED, state)
    await house.settle()
    assert {one.message_id: one.state for one in await house.receipts()} == {
        ids[0]: State.UNDELIVERABLE,
        ids[1]: State.DELIVERED,
        ids[2]: State.DELIVERED,
    }, "each with its own result"


@pytest_twisted.ensureDeferred
async def test_failed_statuses_of_a_text_in_parallel_release_its_parts_once_and_are_all_answered(store: Store) -> None:
    house = await House(store).start()
    ids = await house.submit(house.part(1, 2), house.part(2, 2))
    house.zap.accept("zap-1")
    await house.settle()
    told = [house.zap.report("zap-1", Status.FAILED) for _ in range(10)]
    await house.settle()
    assert sorted(ids_of(house.operator.taken)) == sorted(ids)
    assert told == [[True]] * 10


@pytest_twisted.ensureDeferred
async def test_delivered_statuses_of_a_text_in_parallel_end_its_parts_once_and_are_all_answered(store: Store) -> None:
    house = await House(store).start()
    ids = await house.submit(house.part(1, 2), house.part(2, 2))
    house.zap.accept("zap-1")
    await house.settle()
    told = [house.zap.report("zap-1", Status.DELIVERED) for _ in range(10)]
    await house.settle()
    assert told == [[True]] * 10
    assert sorted(one.message_id for one in await house.receipts()) == sorted(ids)


@pytest_twisted.ensureDeferred
async def test_delivered_while_the_released_parts_still_wait_stops_them(store: Store) -> None:
    house = await House(store).start()
    ids = await house.submit(house.part(1, 2), house.part(2, 2))
    house.zap.accept("zap-1")
    house.operator.up = False
    await house.passes(PATIENCE_S)
    told = house.zap.report("zap-1", Status.DELIVERED)
    await house.settle()
    assert told == [True]
    house.operator.up = True
    house.hub.capacity_changed("operator")
    await house.settle()
    assert house.operator.taken == []
    assert {one.message_id: one.channel for one in await house.receipts()} == dict.fromkeys(ids, "zap")


@pytest_twisted.ensureDeferred
async def test_a_text_that_expires_ends_all_of_its_parts(store: Store) -> None:
    house = await House(store, ZAP_ONLY).start()
    ids = await house.submit(*(house.part(number, 2, expires_at=house.now + 3600) for number in (1, 2)))
    house.zap.accept("zap-1")
    await house.passes(3600)
    assert {one.message_id: one.state for one in await house.receipts()} == dict.fromkeys(ids, State.EXPIRED)
    await house.passes(60)
    assert len(await house.receipts()) == 2


@pytest_twisted.ensureDeferred
async def test_a_text_is_tried_again_as_a_whole(store: Store) -> None:
    house = await House(store).start()
    ids = await house.submit(house.part(1, 2), house.part(2, 2))
    house.zap.answer(house.zap.taken[0].id, TryLater(10.0, "429"))
    await house.settle()
    await house.passes(10)
    assert len(house.zap.taken) == 2
    assert house.zap.taken[0].id == house.zap.taken[1].id
    await delivered(house, ids)


@pytest_twisted.ensureDeferred
async def test_cancelling_one_part_of_a_text_that_waits_for_word_cancels_the_text(store: Store) -> None:
    house = await House(store).start()
    ids = await house.submit(house.part(1, 2), house.part(2, 2))
    house.zap.accept("zap-1")
    await house.settle()
    cancelling = ensureDeferred(house.operations.cancel("billing", ids[1], "28940", "", ""))
    await house.settle()
    assert await cancelling == CommandStatus.ESME_ROK
    assert {one.message_id: one.state for one in await house.receipts()} == dict.fromkeys(ids, State.DELETED)
    await house.passes(PATIENCE_S)
    assert house.operator.taken == []


# -- what can be seen


@pytest_twisted.ensureDeferred
async def test_a_joined_text_costs_once_and_saves_every_segment(store: Store) -> None:
    house = await House(store).start()
    ids = await house.submit(*(house.part(number, 3) for number in (1, 2, 3)))
    await delivered(house, ids)
    assert [message.cost for message in await house.read_all(ids)] == ["0.03", "0", "0"]
    assert house.metric("pombo_saved_total") == pytest.approx(3 * 0.08 - 0.03)
    assert house.metric("pombo_final_total", channel="zap", state="delivered") == 3


@pytest_twisted.ensureDeferred
async def test_every_part_tells_the_whole_story_once(store: Store) -> None:
    house = await House(store).start()
    ids = await house.submit(house.part(1, 2), house.part(2, 2))
    assert await house.story(ids[0]) == ["accepted", "joined", "decided"]
    await delivered(house, ids)
    for message_id in ids:
        assert await house.story(message_id) == [
            "accepted", "joined", "decided", "sent", "delivered", "receipt_queued",
        ]  # fmt: skip


@pytest_twisted.ensureDeferred
async def test_parts_on_a_route_that_begins_with_sms_are_not_held_back(store: Store) -> None:
    house = await House(store, Route("sms first", ("operator", "zap"), fallback_after=PATIENCE_S)).start()
    ids = await house.submit(house.part(1, 3), house.part(3, 3))
    assert ids_of(house.operator.taken) == ids


@pytest_twisted.ensureDeferred
async def test_parts_whose_sms_channel_was_removed_meanwhile_still_end(store: Store) -> None:
    house = await House(store).start()
    (message_id,) = await house.submit(house.part(1, 2, expires_at=house.now + 3600))
    del house.delivery.channels["operator"], house.delivery.dispatchers["operator"]
    await house.passes(PARTS_S)
    await house.passes(3600)
    await house.passes(60)
    assert (await house.read(message_id)).final


@pytest_twisted.ensureDeferred
async def test_a_set_leaves_nothing_behind_but_what_expires(store: Store) -> None:
    house = await House(store).start()
    ids = await house.submit(house.part(1, 2), house.part(2, 2))
    await delivered(house, ids)
    left = [key.decode() for key in await store.command("KEYS", "*")]
    for key in left:
        if key.split(":")[0] in ("m", "e", "set", "u", "t"):
            assert await store.command("TTL", key) > 0, key
    assert await store.command("ZCARD", keys.DUE) == 0
