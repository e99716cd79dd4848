"""Several nodes on one store: what a dead one leaves, whose receipts are whose, and one rate for all of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, ensureDeferred

from gateway.delivery.membership import ELSEWHERE_S, LEASE_S, LEAVE_S, LOOK_S, TEND_S
from gateway.delivery.reports import AGAIN_S, ANSWERED_S
from gateway.messages.message import Attempted, Mo
from gateway.messages.outcome import Accepted, Inbound, Report, Status, Uncertain, Unwritten
from gateway.messages.states import State
from gateway.store import keys, records
from gateway.store.valkey import Keep, Store
from tests.gateway.delivery.house import PATIENCE_S, SMS_ONLY, USUAL, ZAP_ONLY, House, ids_of, time_now
from tests.gateway.server.house import logged

TAKEN_OVER_S = 30.0  # after a node's death, at the latest


class Street:
    """Houses on one store and one clock."""

    def __init__(self, store: Store) -> None:
        self.store, self.clock = store, time_now()
        self.houses: list[House] = []
        self.count = 0

    async def house(self, node: str, *routes: object, shared: bool = True, **fields: object) -> House:
        self.count += 1
        house = House(
            self.store, *(routes or (SMS_ONLY,)), node=node, clock=self.clock, incarnation=self.count, shared=shared,
            **fields,  # type: ignore[arg-type]
        )  # fmt: skip
        self.houses.append(house)
        await house.start()
        await self.settle()
        return house

    async def settle(self) -> None:
        for _ in range(2):
            for house in self.houses:
                await house.settle()

    async def passes(self, seconds: float) -> None:
        """So much time, in steps in which everybody does what they have to."""
        for _ in range(round(seconds / LOOK_S)):
            self.clock.advance(LOOK_S)
            await self.settle()

    async def steady(self) -> None:
        """Everybody has been here for long enough to judge the others."""
        await self.passes(LEASE_S + 2 * TEND_S)


@pytest.fixture
def street(store: Store) -> Street:
    return Street(store)


# -- what a dead node leaves


@pytest_twisted.ensureDeferred
async def test_an_sms_in_a_dead_nodes_hands_is_held_by_the_other_and_never_written_again(street: Street) -> None:
    dead, other = await street.house("gw1"), await street.house("gw2")
    await street.steady()
    ids = await dead.submit(*(dead.message() for _ in range(3)))
    assert ids_of(dead.operator.taken) == ids
    dead.die()
    await street.passes(TAKEN_OVER_S)
    assert [m.attempts[-1].state for m in await other.read_all(ids)] == [Attempted.UNCERTAIN] * 3
    assert other.operator.taken == []
    other.operator.report("77", Status.DELIVERED, source="28940", dest=(await other.read(ids[0])).msisdn)
    await street.settle()
    assert (await other.read(ids[0])).state is State.DELIVERED
    assert await street.store.command("EXISTS", keys.hand("gw1", "operator")) == 0


@pytest_twisted.ensureDeferred
async def test_with_resend_it_is_written_again_oldest_first(street: Street) -> None:
    dead, other = await street.house("gw1"), await street.house("gw2")
    other.resending.add("operator")
    await street.steady()
    ids = await dead.submit(*(dead.message() for _ in range(300)))
    in_hand = ids_of(dead.operator.taken)
    assert in_hand == ids[:100]
    other.operator.window = 1000
    dead.die()
    await street.passes(TAKEN_OVER_S)
    assert sorted(ids_of(other.operator.taken)) == ids, "what waited in the queue goes on as well"
    assert [one for one in ids_of(other.operator.taken) if one in in_hand] == in_hand


@pytest_twisted.ensureDeferred
async def test_a_whatsapp_text_in_a_dead_nodes_hands_falls_back_after_the_patience(street: Street) -> None:
    dead, other = await street.house("gw1", USUAL), await street.house("gw2", USUAL)
    await street.steady()
    message_id = await dead.submit_one()
    dead.die()
    await street.passes(TAKEN_OVER_S)
    assert (await other.read(message_id)).attempts[-1].state is Attempted.UNCERTAIN
    assert other.zap.taken == other.operator.taken == []
    await street.passes(PATIENCE_S)
    assert other.zap.taken == []
    assert ids_of(other.operator.taken) == [message_id]


@pytest_twisted.ensureDeferred
async def test_a_living_node_keeps_what_it_has_in_hand(street: Street) -> None:
    first, other = await street.house("gw1"), await street.house("gw2")
    await street.steady()
    ids = await first.submit(*(first.message() for _ in range(3)))
    await street.passes(2 * TAKEN_OVER_S)
    assert [m.in_hand for m in await other.read_all(ids)] == [True] * 3
    first.operator.accept()
    await street.settle()
    assert [m.attempts[-1].state for m in await other.read_all(ids)] == [Attempted.SENT] * 3


@pytest_twisted.ensureDeferred
async def test_a_store_that_was_away_for_all_makes_nobody_dead(street: Street) -> None:
    first, other = await street.house("gw1"), await street.house("gw2")
    await street.steady()
    (message_id,) = await first.submit(first.message())
    assert first.membership is not None
    street.clock.advance(600)  # nobody could renew anything
    first.membership.stop()  # and this one comes back a little later
    await street.settle()
    await street.passes(LEASE_S - 2)
    first.membership.start()
    await street.passes(2 * LEASE_S)
    assert (await other.read(message_id)).in_hand
    assert await street.store.command("SMEMBERS", keys.hand("gw1", "operator")) == [message_id.encode()]


@pytest_twisted.ensureDeferred
async def test_a_node_that_was_only_frozen_corrects_what_was_said_of_it(street: Street) -> None:
    frozen, other = await street.house("gw1"), await street.house("gw2")
    await street.steady()
    sent, unsent = await frozen.submit(frozen.message(dest="11987654321"), frozen.message(dest="11987654322"))
    frozen.die()
    await street.passes(TAKEN_OVER_S)
    frozen.operator.answer(sent, Accepted("op-1"))
    frozen.operator.answer(unsent, Unwritten("link_lost"))
    await street.settle()
    assert (await other.read(sent)).attempts[-1].remote_id == "op-1"
    assert sorted(ids_of(other.operator.taken) + ids_of(frozen.operator.taken[2:])) in ([], [unsent])
    await street.passes(2)
    assert ids_of(other.operator.taken) + ids_of(frozen.operator.taken[2:]) == [unsent], "it is written once"


@pytest_twisted.ensureDeferred
async def test_two_that_take_over_at_once_write_it_down_once(street: Street) -> None:
    dead = await street.house("gw1")
    await street.house("gw2")
    await street.house("gw3")
    await street.steady()
    ids = await dead.submit(*(dead.message() for _ in range(5)))
    dead.die()
    await street.passes(TAKEN_OVER_S)
    for one in ids:
        assert (await dead.story(one)).count("sent") == 1


@pytest_twisted.ensureDeferred
async def test_a_node_that_comes_back_at_once_recovers_by_its_own_wire_log(street: Street) -> None:
    dead = await street.house("gw1")
    await street.house("gw2")
    await street.steady()
    ids = await dead.submit(*(dead.message() for _ in range(4)))
    dead.die()
    await street.passes(2)
    again = await street.house("gw1", was_written=set(ids[:1]).__contains__)
    assert ids_of(again.operator.taken) == ids[1:]
    await street.passes(TAKEN_OVER_S)
    assert [m.in_hand for m in await again.read_all(ids)] == [False, True, True, True]


@pytest_twisted.ensureDeferred
async def test_a_younger_process_of_the_same_name_ousts_the_older(street: Street) -> None:
    older = await street.house("gw1")
    younger = await street.house("gw1")
    await street.passes(2)
    assert (older.ousted > 0, younger.ousted) == (True, 0)


@pytest_twisted.ensureDeferred
async def test_the_hand_of_a_renamed_node_is_found_where_nobody_else_can_be(street: Street) -> None:
    old = await street.house("old-name", shared=False)
    ids = await old.submit(*(old.message() for _ in range(2)))
    old.die()
    new = await street.house("new-name", shared=False)
    await street.passes(10)
    assert [m.attempts[-1].state for m in await new.read_all(ids)] == [Attempted.UNCERTAIN] * 2


# -- channels that are no more


@pytest_twisted.ensureDeferred
async def test_the_queue_of_a_removed_channel_goes_on_by_the_next_one(street: Street) -> None:
    before = await street.house("gw1", USUAL, shared=False)
    before.zap.window = 1
    ids = await before.submit(*(before.message() for _ in range(300)))
    before.die()
    after = await street.house("gw1", USUAL, shared=False, channels=("operator",), was_written=lambda _: True)
    after.operator.window = 1000
    await street.passes(10)
    assert ids_of(after.operator.taken) == ids[1:]
    first = await after.read(ids[0])
    assert first.attempts[-1].state is Attempted.UNCERTAIN, "it was in the removed channel's hands"
    await street.passes(PATIENCE_S)
    assert ids_of(after.operator.taken) == [*ids[1:], ids[0]]
    assert await street.store.command("SMEMBERS", keys.HANDS) == [b"gw1 operator smsc"]


@pytest_twisted.ensureDeferred
async def test_what_a_removed_channel_had_in_hand_unwritten_goes_on_oldest_first(street: Street) -> None:
    before = await street.house("gw1", USUAL, shared=False)
    ids = await before.submit(*(before.message() for _ in range(5)))
    before.die()
    after = await street.house("gw1", USUAL, shared=False, channels=("operator",), was_written=lambda _: False)
    await street.passes(10)
    assert ids_of(after.operator.taken) == ids


@pytest_twisted.ensureDeferred
async def test_a_channel_that_a_reload_removes_loses_neither_what_waits_nor_what_it_hands_back(street: Street) -> None:
    house = await street.house("gw1", USUAL, shared=False)
    house.zap.window = 2
    ids = await house.submit(*(house.message() for _ in range(6)))
    await street.passes(6)
    house.delivery.dispatchers["zap"].stopping = True
    house.zap.answer(ids[1], Unwritten("stopping"))
    house.zap.answer(ids[0], Accepted("zap-1"))
    del house.delivery.channels["zap"], house.delivery.dispatchers["zap"]
    await street.settle()
    await street.passes(3)
    assert ids_of(house.operator.taken) == ids[1:]
    assert await street.store.command("KEYS", "q:zap:*") == []
    assert await street.store.command("SMEMBERS", keys.HANDS) == [b"gw1 operator smsc"]
    house.hub.reported("zap", [Report("zap", "zap-1", Status.DELIVERED)], lambda _: None)
    await street.settle()
    assert (await house.read(ids[0])).state is State.DELIVERED, "it was sent before, and heard of after"


@pytest_twisted.ensureDeferred
async def test_what_waits_for_the_only_channel_of_its_route_ends_when_that_is_removed(street: Street) -> None:
    before = await street.house("gw1", ZAP_ONLY, shared=False)
    before.zap.window = 0
    message_id = await before.submit_one()
    before.die()
    after = await street.house("gw1", SMS_ONLY, shared=False, channels=("operator",))
    await street.passes(10)
    assert (await after.read(message_id)).state is State.UNDELIVERABLE
    assert [receipt.message_id for receipt in await after.receipts()] == [message_id]


@pytest_twisted.ensureDeferred
async def test_a_channel_that_another_node_has_is_not_removed(street: Street) -> None:
    first = await street.house("gw1", USUAL)
    other = await street.house("gw2", SMS_ONLY, channels=("operator",))
    first.zap.window = 0
    await street.steady()
    message_id = await first.submit_one()
    await street.passes(30)
    assert other.operator.taken == []
    assert other.delivery.facts()["zap"].kind == "whatsapp"
    first.die()  # and its configuration is not known to be another one
    await street.passes(60)
    assert (await other.read(message_id)).attempts[-1].channel == "zap"


# -- receipts


async def ended(house: House, count: int) -> list[str]:
    """So many messages that were delivered, so that their receipts are written."""
    ids = await house.submit(*(house.message() for _ in range(count)))
    for one in ids:
        house.operator.answer(one, Accepted(f"op-{one}"))
    await house.settle()
    for one in ids:
        house.operator.report(f"op-{one}", Status.DELIVERED)
    await house.settle()
    return ids


@pytest_twisted.ensureDeferred
async def test_receipts_of_one_node_reach_the_bind_at_the_other(street: Street) -> None:
    first, other = await street.house("gw1"), await street.house("gw2")
    bind = other.esmes.bind()
    await street.passes(2)
    ids = await ended(first, 5)
    await street.passes(1)
    assert bind.ids == ids
    ids += await ended(first, 5)
    ids += await ended(other, 5)  # what the other node wrote before is not passed over
    await street.passes(1)
    assert bind.ids == ids
    assert await first.receipts() == []


@pytest_twisted.ensureDeferred
async def test_with_binds_at_both_nodes_one_of_them_writes_each_receipt_once(street: Street) -> None:
    first, other = await street.house("gw1"), await street.house("gw2")
    here, there = first.esmes.bind(automatic=False, window=3), other.esmes.bind(automatic=False, window=3)
    await street.passes(2)
    ids: list[str] = []
    for _ in range(4):
        ids += await ended(first, 2)
        ids += await ended(other, 2)
        await street.passes(1)
    for _ in range(20):
        here.answer()
        there.answer()
        await street.passes(1)
    assert sorted(here.ids + there.ids) == sorted(ids)
    assert not (here.got and there.got)
    assert await first.receipts() == []


@pytest_twisted.ensureDeferred
async def test_a_holder_without_a_receiver_hands_on_at_once_what_nobody_has_answered(street: Street) -> None:
    first, other = await street.house("gw1"), await street.house("gw2")
    here = first.esmes.bind(automatic=False, window=3)
    await street.passes(2)
    there = other.esmes.bind()
    ids = await ended(first, 6)
    here.answer(0, 1)
    await street.settle()
    assert there.got == []
    first.esmes.lose(here)
    await street.passes(3)
    assert there.ids == [one for one in ids if one != ids[0]]


@pytest_twisted.ensureDeferred
async def test_receipts_that_nobody_answers_here_go_to_a_bind_at_another_node(street: Street) -> None:
    first, other = await street.house("gw1"), await street.house("gw2")
    silent = first.esmes.bind(automatic=False)
    await street.passes(2.0)
    answering = other.esmes.bind()
    await street.steady()
    ids = await ended(first, 5)
    await street.passes(1.0)
    assert silent.ids == ids and not answering.got
    for _ in range(2):  # nobody else is bound here, so it gets them once more
        await street.passes(30.0)
        silent.answer(None)
        await street.settle()
    assert silent.ids == ids * 2
    await street.passes(2 * TEND_S)
    assert answering.ids == ids and await first.receipts() == []
    other.esmes.lose(answering)
    more = await ended(other, 2)
    await street.passes(2 * ELSEWHERE_S)
    assert silent.ids == ids * 2 + more, "it is the only one again"


@pytest_twisted.ensureDeferred
async def test_one_silent_bind_of_two_at_a_node_keeps_the_receipts_there(street: Street) -> None:
    first, other = await street.house("gw1"), await street.house("gw2")
    silent, answering = first.esmes.bind(automatic=False, window=2), first.esmes.bind(window=2)
    await street.passes(2.0)
    elsewhere = other.esmes.bind()
    await street.steady()
    for _ in range(3):
        await ended(first, 4)
        await street.passes(30.0)
        silent.answer(None)
        await street.settle()
    assert answering.got and not elsewhere.got


@pytest_twisted.ensureDeferred
async def test_a_dead_holders_receipts_flow_through_the_other_within_the_time(street: Street) -> None:
    dead, other = await street.house("gw1"), await street.house("gw2")
    dead.esmes.bind(automatic=False)
    await street.steady()
    there = other.esmes.bind()
    ids = await ended(dead, 4)
    assert (await street.store.command("GET", keys.desk("billing"))).startswith(b"gw1 ")
    dead.die()
    await street.passes(TAKEN_OVER_S)
    assert there.ids == ids
    assert (await street.store.command("GET", keys.desk("billing"))).startswith(b"gw2 ")


@pytest_twisted.ensureDeferred
async def test_a_holder_that_is_back_at_once_does_not_keep_the_other_from_what_it_wrote(street: Street) -> None:
    dead, other = await street.house("gw1"), await street.house("gw2")
    dead.esmes.bind(automatic=False)
    await street.steady()
    ids = await ended(dead, 4)
    dead.die()
    await street.house("gw1")
    there = other.esmes.bind()
    await street.passes(2 * TEND_S)
    assert there.ids == ids


@pytest_twisted.ensureDeferred
async def test_a_holder_that_is_back_at_once_writes_again_what_was_not_acknowledged(street: Street) -> None:
    dead = await street.house("gw1")
    dead.esmes.bind(automatic=False)
    await street.steady()
    ids = await ended(dead, 4)
    dead.die()
    again = await street.house("gw1")
    there = again.esmes.bind()
    await street.passes(2 * TEND_S)
    assert there.ids == ids


@pytest_twisted.ensureDeferred
async def test_a_holder_that_cannot_renew_stops_before_another_may_begin(street: Street) -> None:
    first, other = await street.house("gw1"), await street.house("gw2")
    here, there = first.esmes.bind(), other.esmes.bind()
    await street.steady()
    assert first.membership is not None
    first.membership.stop()
    wrote_at: list[float] = []
    for _ in range(40):
        seen = len(here.got)
        await ended(first, 1)
        if len(here.got) > seen:
            wrote_at.append(street.clock.seconds())
        if there.got:
            break
        await street.passes(0.5)
    assert there.got, "the other takes over"
    assert street.clock.seconds() - wrote_at[-1] >= 2.0
    assert len(here.ids) + len(there.ids) == len(set(here.ids + there.ids))


@pytest_twisted.ensureDeferred
async def test_replies_find_the_node_with_the_bind_too(street: Street) -> None:
    first, other = await street.house("gw1"), await street.house("gw2")
    bind = other.esmes.bind()
    await street.passes(2)
    message_id = await first.submit_one()
    text = Inbound("operator", (await first.read(message_id)).msisdn, "28940", "in-1", text="oi")
    assert await first.inbound("operator", text) == [True]
    await street.passes(1)
    assert [type(one) for one in bind.got] == [Mo]


# -- reports


@pytest_twisted.ensureDeferred
async def test_a_report_that_overtakes_the_answer_to_another_node_finds_its_message_in_another_form(
    street: Street,
) -> None:
    writer, other = await street.house("gw1"), await street.house("gw2")
    await street.steady()
    (message_id,) = await writer.submit(writer.message())
    dest = (await writer.read(message_id)).msisdn
    told = other.operator.report("64206", Status.FAILED, State.UNDELIVERABLE, source="28940", dest=dest)
    other.operator.report("4711", Status.DELIVERED, source="28940", dest=dest)
    await street.settle()
    assert told == [True]
    writer.operator.accept("FACE")
    await street.passes(AGAIN_S + LOOK_S)
    assert (await writer.read(message_id)).state is State.UNDELIVERABLE
    await street.passes(ANSWERED_S)
    assert other.metric("pombo_unknown_receipts_total", channel="operator") == 1, "the one that nobody ever names"


# -- the operator's rate


def shares(houses: Sequence[House]) -> list[float]:
    return [house.operator.share for house in houses]


@pytest_twisted.ensureDeferred
async def test_nodes_with_a_bind_share_the_rate_and_are_never_above_it(street: Street) -> None:
    houses: list[House] = []

    async def observed(seconds: float) -> None:
        for _ in range(round(seconds / LOOK_S)):
            await street.passes(LOOK_S)
            assert sum(shares([h for h in houses if h not in gone])) <= 100.0

    gone: list[House] = []
    for name in ("gw1", "gw2", "gw3"):
        house = await street.house(name)
        house.operator.throughput = 100.0
        houses.append(house)
        await observed(4)
    assert shares(houses) == [34.0, 33.0, 33.0]
    houses[1].operator.up = False
    await observed(5)
    assert shares(houses) == [50.0, 0.0, 50.0]
    houses[1].operator.up = True
    await observed(5)
    assert shares(houses) == [34.0, 33.0, 33.0]
    houses[2].die()
    gone.append(houses[2])
    await observed(10)
    assert shares(houses[:2]) == [34.0, 33.0], "it may still be writing"
    await observed(10)
    assert shares(houses[:2]) == [50.0, 50.0]
    assert houses[0].membership is not None
    leaving = ensureDeferred(houses[0].membership.leave())
    await street.settle()
    await leaving
    gone.append(houses[0])
    await observed(3)
    assert await street.store.command("HKEYS", keys.share("operator")) == [b"gw2"]
    assert houses[1].operator.share == 100.0


@pytest_twisted.ensureDeferred
async def test_a_share_is_its_channels_though_a_reload_has_removed_another_meanwhile(street: Street) -> None:
    house = await street.house("gw1")
    slow = house.add_channel("slow", "smsc", "0.08")
    house.operator.throughput, slow.throughput = 100.0, 10.0
    await street.passes(4)
    assert (house.operator.share, slow.share) == (100.0, 10.0)
    for _ in range(round(TEND_S / LOOK_S)):  # until it has asked
        street.clock.advance(LOOK_S)
    del house.delivery.channels["operator"], house.delivery.dispatchers["operator"]
    await street.settle()
    assert slow.share == 10.0


@pytest_twisted.ensureDeferred
async def test_a_share_is_free_only_once_its_holder_has_said_that_it_uses_less(store: Store) -> None:
    async def tend(node: str, using: float) -> float:
        request = [1, LEASE_S, False, True, [("operator", "smsc")], [("operator", True, 100.0, using)], [], [], []]
        answer = await store.call("tend", "1000.0", node, records.encode(request))
        return float(answer[5][0])

    assert await tend("gw1", 0.0) == 100.0
    assert await tend("gw2", 0.0) == 0.0
    assert await tend("gw1", 100.0) == 50.0
    assert await tend("gw2", 0.0) == 0.0, "the first may not have heard yet"
    assert await tend("gw1", 50.0) == 50.0
    assert await tend("gw2", 0.0) == 50.0


@pytest_twisted.ensureDeferred
async def test_a_kept_message_that_another_node_moved_before_the_answer_came_is_answered_yes(street: Street) -> None:
    first = await street.house("gw1")
    first.operator.window = 0
    first.accepted._store = _Repeats(street.store)  # type: ignore[assignment]
    answers = first.submit_at_once(first.message())
    await street.settle()
    ((status, message_id),) = answers
    assert status == 0
    assert (await first.read(message_id)).in_hand, "the other node's"
    assert not first.intake.busy


@pytest_twisted.ensureDeferred
async def test_a_node_that_cannot_renew_writes_nothing_before_the_others_take_its_share(street: Street) -> None:
    first, other = await street.house("gw1"), await street.house("gw2")
    for house in (first, other):
        house.operator.throughput = 3.0
    await street.steady()
    assert shares((first, other)) == [2.0, 1.0]
    await street.store.command("HSET", keys.MEMBERS, "gw1", b"\x93\x00\x00\x90")  # it is not heard any more
    asked: list[str] = []
    assert first.membership is not None
    first.membership._store = _Deaf(asked)  # type: ignore[assignment]
    for _ in range(60):
        await street.passes(0.5)
        assert first.operator.share + other.operator.share <= 3.0
    assert shares((first, other)) == [0.0, 3.0]
    assert asked


@pytest_twisted.ensureDeferred
async def test_a_store_that_comes_back_empty_or_with_an_older_state_is_named(street: Street) -> None:
    await street.house("gw0")
    house = await street.house("gw1")
    assert house.membership is not None
    await street.steady()
    older = await street.store.command("HGET", keys.MEMBERS, "gw1")
    await street.passes(30.0)
    assert house.metric("pombo_store_losses_total") == 0
    with logged() as events:
        await street.store.command("HSET", keys.MEMBERS, "gw1", older)
        await street.passes(2 * TEND_S)
        await street.store.command("FLUSHALL")
        await street.passes(2 * TEND_S)
    said = [event.partition(":")[0] for event in events if "has lost" in event]
    assert said == ["the store has lost what it took in 30 s", *["the store has lost all that it had"] * 2]
    assert house.metric("pombo_store_losses_total") == 2
    assert await street.store.command("INCR", keys.INCARNATIONS) == 3, "a younger process has a greater number still"
    house.die()
    younger = await street.house("gw1")
    assert (younger.ousted, house.ousted) == (0, 0)


@pytest_twisted.ensureDeferred
async def test_a_node_that_was_away_for_hours_does_not_take_its_store_for_another(street: Street) -> None:
    house, other = await street.house("gw1"), await street.house("gw2")
    await street.steady()
    assert house.membership is not None and other.membership is not None
    house.membership.stop()
    street.clock.advance(7300)
    await street.passes(2 * TEND_S)
    assert await street.store.command("HGET", keys.MEMBERS, "gw1") is None
    house.membership.start()
    await street.passes(2 * TEND_S)
    assert house.metric("pombo_store_losses_total") == 0


@pytest_twisted.ensureDeferred
async def test_a_clock_that_differs_from_the_stores_is_named_once(street: Street) -> None:
    house = await street.house("gw1")
    membership = house.membership
    assert membership is not None
    off = 0.0
    membership._time = lambda: f"{street.clock.seconds() - off:.3f}"
    with logged() as events:
        for off, rounds in ((0.5, 4), (180.0, 4), (0.0, 2), (-60.0, 4)):
            await street.passes(rounds * TEND_S)
            assert membership.ahead_s == pytest.approx(off, abs=0.01)
    assert [event.partition(":")[0] for event in events if "clock" in event] == [
        "this node's clock is 180 s ahead of the store's", "this node's clock is 60 s behind the store's",
    ]  # fmt: skip


class _Repeats:
    """A store whose link breaks behind every commit: the answer is lost, another node takes the message out of the
    queue, and the call comes once more."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def call(self, script: str, *args: str | bytes, keep: Keep, wanted: object = None) -> object:
        async def twice() -> object:
            await self._store.call(script, *args, keep=keep)
            await self._store.call("lease", "operator", "10", keys.hand("gw2", "operator"))
            return await self._store.call(script, *args, keep=keep)

        return ensureDeferred(twice())


class _Deaf:
    """A store that takes calls and never answers them."""

    writable = True

    def __init__(self, asked: list[str]) -> None:
        self._asked = asked

    def call(self, script: str, *_: object, keep: Keep, wanted: object = None) -> object:
        self._asked.append(script)
        return Deferred()


@pytest_twisted.ensureDeferred
async def test_a_node_that_leaves_does_not_wait_for_a_silent_store(street: Street) -> None:
    house = await street.house("gw1")
    assert house.membership is not None
    asked: list[str] = []
    house.membership._store = _Deaf(asked)  # type: ignore[assignment]
    leaving = ensureDeferred(house.membership.leave())
    street.clock.advance(LEAVE_S - 0.1)
    assert (asked, leaving.called) == (["leave"], False)
    street.clock.advance(0.1)
    assert leaving.called
    await leaving


@pytest_twisted.ensureDeferred
async def test_a_rate_of_less_than_one_a_second_is_one_nodes(street: Street) -> None:
    houses = [await street.house("gw1"), await street.house("gw2")]
    for house in houses:
        house.operator.throughput = 0.5
    await street.passes(6)
    assert shares(houses) == [0.5, 0.0]


@pytest_twisted.ensureDeferred
async def test_due_moments_are_handled_once(street: Street) -> None:
    first, other = await street.house("gw1", USUAL), await street.house("gw2", USUAL)
    ids = await first.submit(*(first.message() for _ in range(20)))
    for one in ids:
        first.zap.answer(one, Accepted(f"zap-{one}"))
    await street.settle()
    street.clock.advance(PATIENCE_S - 2)
    await street.passes(4)
    assert sorted(ids_of(first.operator.taken + other.operator.taken)) == ids


@pytest_twisted.ensureDeferred
async def test_a_report_that_overtakes_the_answer_to_another_node_settles_no_other_message_to_the_number(
    street: Street,
) -> None:
    writer, other = await street.house("gw1"), await street.house("gw2")
    await street.steady()
    (held,) = await writer.submit(writer.message())
    writer.operator.answer(held, Uncertain("unanswered"))
    await street.settle()
    (answered,) = await writer.submit(writer.message())
    dest = (await writer.read(held)).msisdn
    other.operator.report("78", Status.FAILED, State.UNDELIVERABLE, source="28940", dest=dest)
    await street.settle()
    writer.operator.accept("78")
    await street.passes(AGAIN_S + LOOK_S)
    assert [(await writer.read(one)).state for one in (held, answered)] == [State.ENROUTE, State.UNDELIVERABLE]
    other.operator.report("77", Status.DELIVERED, source="28940", dest=dest)
    await street.settle()
    assert (await writer.read(held)).state is State.DELIVERED, "at once: nothing else is on its way there"


@pytest_twisted.ensureDeferred
async def test_a_report_of_what_is_held_waits_three_seconds_at_most_for_what_other_nodes_have_in_hand(
    street: Street,
) -> None:
    writer, other = await street.house("gw1"), await street.house("gw2")
    await street.steady()
    (held,) = await writer.submit(writer.message())
    writer.operator.answer(held, Uncertain("unanswered"))
    await writer.submit(writer.message())
    dest = (await writer.read(held)).msisdn
    other.operator.report("77", Status.DELIVERED, source="28940", dest=dest)
    await street.settle()
    assert (await writer.read(held)).state is State.ENROUTE
    await street.passes(AGAIN_S + LOOK_S)
    assert (await writer.read(held)).state is State.DELIVERED


@pytest_twisted.ensureDeferred
async def test_a_report_that_overtakes_the_answer_to_another_node_is_about_no_other_number(street: Street) -> None:
    """Its id is also that of an older message to somebody else."""
    writer, other = await street.house("gw1"), await street.house("gw2")
    await street.steady()
    (older,) = await writer.submit(writer.message(msisdn="5521900000000"))
    writer.operator.accept("77")
    (message_id,) = await writer.submit(writer.message())
    dest = (await writer.read(message_id)).msisdn
    other.operator.report("77", Status.DELIVERED, source="28940", dest=dest)
    await street.settle()
    writer.operator.accept("77")
    await street.passes(AGAIN_S + LOOK_S)
    assert [(await writer.read(one)).state for one in (older, message_id)] == [State.ENROUTE, State.DELIVERED]
