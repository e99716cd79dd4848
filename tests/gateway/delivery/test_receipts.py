"""Receipts on their way to an ESME: in order, as fast as its windows allow, and never lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import cast

import pytest
import pytest_twisted

from gateway.delivery.receipts import (
    AT_MOST_ANSWERED,
    AT_MOST_IN_MEMORY,
    AT_MOST_UNTOLD,
    CALLS_AT_ONCE,
    READ_AT_ONCE,
    RETRY_S,
    TRIES,
)
from gateway.messages.message import Mo, Receipt
from gateway.messages.outcome import ANSWERED_LATE
from gateway.messages.states import State
from gateway.store import keys, records
from gateway.store.embedded import EmbeddedServer
from gateway.store.lookups import story_of
from gateway.store.valkey import Store
from tests.benchmarks.direct_store import DirectStore
from tests.fakes.esmes import MemoryBind
from tests.gateway.delivery.house import RETENTION_S, House
from tests.gateway.samples import DAY_S, NUMBER

Items = Iterator[tuple[Receipt | Mo, Callable[[int | None], None]]]


def receipt(number: int, state: State = State.DELIVERED) -> Receipt:
    return Receipt(f"m{number:05}", NUMBER, 1, 1, "28940", 0, 1, "", state, 0, 1.0, 2.0, "zap")


def names(count: int) -> list[str]:
    return [f"m{number:05}" for number in range(count)]


def added(house: House, account: str, item: Receipt, entry: bytes) -> None:
    house.desk.added(account, entry, item)


async def write(house: House, count: int, account: str = "billing", first: int = 0) -> None:
    """Receipts come to be, as they do when messages end: into the stream first, then told to the desk."""
    for number in range(first, first + count):
        item = receipt(number)
        kept = house.store.command("XADD", keys.receipts(account), "*", "b", records.pack_waiting(item))
        kept.addCallback(partial(added, house, account, item))
    await house.settle()


async def left(house: House, account: str = "billing") -> int:
    return int(await house.store.command("XLEN", keys.receipts(account)))


@pytest_twisted.ensureDeferred
async def test_a_receipt_goes_to_the_bind_and_leaves_the_store_when_it_is_acknowledged(store: Store) -> None:
    house = await House(store).start()
    bind = house.esmes.bind(automatic=False)
    await write(house, 1)
    assert bind.ids == names(1)
    assert await left(house) == 1, "kept until the ESME has it"
    bind.answer()
    await house.settle()
    assert await left(house) == 0
    assert house.metric("pombo_receipts_total", account="billing", state="delivered") == 1


@pytest_twisted.ensureDeferred
async def test_the_trace_tells_when_it_was_sent_and_answered(store: Store) -> None:
    house = await House(store).start()
    bind = house.esmes.bind(automatic=False)
    await write(house, 1)
    house.clock.advance(3)
    bind.answer()
    await house.settle()
    _, (sent, answered) = await story_of(store, "m00000", house.tick(), RETENTION_S)
    assert (sent.event, answered.event) == ("receipt_sent", "receipt_answered")
    assert answered.at - sent.at == pytest.approx(3, abs=0.01)


@pytest_twisted.ensureDeferred
async def test_receipts_wait_on_disk_while_nobody_is_bound_and_then_come_oldest_first(store: Store) -> None:
    house = await House(store).start()
    await write(house, 3 * READ_AT_ONCE + 7)
    bind = house.esmes.bind(window=10)
    await house.settle()
    assert bind.ids == names(3 * READ_AT_ONCE + 7)
    assert bind.most == 10
    assert await left(house) == 0


@pytest_twisted.ensureDeferred
async def test_receipts_outlive_the_node_twice(store: Store) -> None:
    house = await House(store).start()
    await write(house, 20)
    house.die()
    house = await House(store, clock=house.clock, incarnation=2).start()
    await write(house, 20, first=20)
    house.die()
    house = await House(store, clock=house.clock, incarnation=3).start()
    bind = house.esmes.bind()
    await house.settle()
    assert bind.ids == names(40)


@pytest_twisted.ensureDeferred
async def test_many_that_waited_over_two_restarts_come_oldest_first_at_the_pace_of_the_window(store: Store) -> None:
    """The second node dies with a window full of unanswered ones: those, and no others, come twice."""
    count = 2 * READ_AT_ONCE + 300
    house = await House(store).start()
    await write(house, count // 2)
    house.die()
    house = await House(store, clock=house.clock, incarnation=2).start()
    await write(house, count - count // 2, first=count // 2)
    first = house.esmes.bind(window=10, automatic=False)
    for _ in range(60):
        await house.settle()
        assert len(first.unanswered) == 10
        first.answer()
    await house.settle()
    unanswered = [item.message_id for item, _ in first.unanswered if isinstance(item, Receipt)]
    assert first.ids == names(610) and unanswered == names(610)[600:]
    house.die()
    house = await House(store, clock=house.clock, incarnation=3).start()
    second = house.esmes.bind(window=10)
    await house.settle()
    assert second.ids == names(count)[600:] and second.most == 10
    assert await left(house) == 0


@pytest_twisted.ensureDeferred
async def test_the_window_is_never_exceeded_and_never_idle(store: Store) -> None:
    house = await House(store).start()
    bind = house.esmes.bind(window=3, automatic=False)
    await write(house, 10)
    for _ in range(7):
        assert len(bind.unanswered) == 3
        bind.answer(count=1)
        await house.settle()
    assert bind.ids == names(10)
    assert bind.most == 3


@pytest_twisted.ensureDeferred
async def test_new_receipts_never_overtake_those_that_wait(store: Store) -> None:
    house = await House(store).start()
    await write(house, 700)
    bind = house.esmes.bind(window=5, automatic=False)
    await house.settle()
    for start in range(700, 760, 10):
        await write(house, 10, first=start)
        bind.answer()
        await house.settle()
    bind.automatic = True
    bind.answer()
    await house.settle()
    assert bind.ids == names(760)


@pytest_twisted.ensureDeferred
async def test_what_was_unanswered_when_a_link_broke_goes_to_another_bind_in_order_and_before_the_younger(
    store: Store,
) -> None:
    house = await House(store).start()
    first = house.esmes.bind(window=5, automatic=False)
    await write(house, 8)
    assert first.ids == names(5)
    house.esmes.lose(first)
    await house.settle()
    second = house.esmes.bind()
    await house.settle()
    assert second.ids == names(8)
    assert await left(house) == 0


@pytest_twisted.ensureDeferred
async def test_one_that_was_not_answered_in_time_is_sent_again(store: Store) -> None:
    house = await House(store).start()
    bind = house.esmes.bind(window=5, automatic=False)
    await write(house, 2)
    bind.answer(None, count=1)
    await house.settle()
    assert bind.ids == ["m00000", "m00001", "m00000"]
    assert await left(house) == 2


@pytest.mark.parametrize("second", ["waiting", "on its way", "refused for now"])
@pytest_twisted.ensureDeferred
async def test_one_that_was_answered_late_after_all_is_finished_once(store: Store, second: str) -> None:
    """Or an ESME that always takes longer than response_timeout would get it for ever."""
    house = await House(store).start()
    bind = house.esmes.bind(window=2, automatic=False)
    await write(house, 3)
    _, late = bind.unanswered[0]
    bind.window -= second == "waiting"  # no room for it
    bind.answer(None, count=1)
    await house.settle()
    if second == "refused for now":
        bind.answer(0, count=1)
        bind.answer(0x64, count=1)
    await house.settle()
    late(ANSWERED_LATE)
    late(ANSWERED_LATE)
    await house.settle()
    for _ in range(4):
        bind.answer()
        house.clock.advance(RETRY_S[0])
        await house.settle()
    copies = 1 if second == "waiting" else 2
    assert sorted(bind.ids) == ["m00000"] * copies + ["m00001", "m00002"]
    assert await left(house) == 0
    assert house.metric("pombo_receipts_total", account="billing", state="delivered") == 3


@pytest_twisted.ensureDeferred
async def test_only_the_binds_of_the_account_get_its_receipts(store: Store) -> None:
    house = await House(store).start()
    shop, billing = house.esmes.bind("shop"), house.esmes.bind("billing")
    await write(house, 3)
    assert shop.got == []
    assert billing.ids == names(3)


@pytest_twisted.ensureDeferred
async def test_any_receiving_bind_of_the_account_may_get_them(store: Store) -> None:
    house = await House(store).start()
    binds = [house.esmes.bind(window=2, automatic=False) for _ in range(3)]
    await write(house, 6)
    assert sorted(one for bind in binds for one in bind.ids) == names(6)


@pytest.mark.parametrize("status", [0x64, 0x08, 0x14, 0x58, 0x45, 0xFF], ids=hex)
@pytest_twisted.ensureDeferred
async def test_a_refusal_for_now_is_tried_again_later_and_for_as_long_as_it_takes(store: Store, status: int) -> None:
    house = await House(store).start()
    bind = house.esmes.bind(automatic=False)
    await write(house, 1)
    for tries in range(TRIES + 3):
        bind.answer(status)
        await house.settle()
        wait = RETRY_S[min(tries, len(RETRY_S) - 1)]
        await house.passes(wait - 1)
        assert len(bind.got) == tries + 1
        await house.passes(1)
        assert len(bind.got) == tries + 2
    bind.answer(0)
    await house.settle()
    assert await left(house) == 0


@pytest_twisted.ensureDeferred
async def test_a_refusal_that_says_nothing_is_given_up_after_some_tries(store: Store) -> None:
    house = await House(store).start()
    bind = house.esmes.bind(automatic=False)
    await write(house, 1)
    for _ in range(TRIES):
        bind.answer(0x0B)
        await house.settle()
        await house.passes(700)
    assert len(bind.got) == TRIES
    assert await left(house) == 0


@pytest.mark.parametrize("status", [0x65, 0x66], ids=hex)
@pytest_twisted.ensureDeferred
async def test_a_refusal_for_good_is_the_last_word(store: Store, status: int) -> None:
    house = await House(store).start()
    bind = house.esmes.bind(automatic=False)
    await write(house, 1)
    bind.answer(status)
    await house.settle()
    await house.passes(1000)
    assert len(bind.got) == 1
    assert await left(house) == 0
    assert (await story_of(store, "m00000", house.tick(), RETENTION_S))[1][-1].detail == f"0x{status:08X}"


@pytest_twisted.ensureDeferred
async def test_one_that_is_refused_for_now_does_not_hold_the_others(store: Store) -> None:
    house = await House(store).start()
    bind = house.esmes.bind(window=1, automatic=False)
    await write(house, 3)
    bind.answer(0x64)
    await house.settle()
    bind.automatic = True
    bind.answer()
    await house.settle()
    assert bind.ids == names(3)
    await house.passes(RETRY_S[0])
    assert bind.ids == [*names(3), "m00000"]


@pytest_twisted.ensureDeferred
async def test_an_account_that_never_answers_holds_no_other_and_fills_no_memory(store: Store) -> None:
    house = await House(store).start()
    silent = house.esmes.bind("shop", window=10, automatic=False)
    lively = house.esmes.bind("billing", window=10)
    await write(house, AT_MOST_IN_MEMORY + 3000, "shop")
    for round_of in range(5):
        await write(house, 20, "billing", first=20 * round_of)
        assert lively.ids == names(20 * (round_of + 1)), "at once, whatever the other does"
    assert len(silent.got) == 10
    assert len(house.desk.pump_of("shop")._ready) <= AT_MOST_IN_MEMORY + READ_AT_ONCE
    assert await left(house, "shop") == AT_MOST_IN_MEMORY + 3000
    silent.automatic = True
    silent.answer()
    await house.settle()
    assert silent.ids == names(AT_MOST_IN_MEMORY + 3000)


@pytest_twisted.ensureDeferred
async def test_what_is_older_than_it_may_be_kept_is_dropped(store: Store) -> None:
    house = await House(store, receipts_kept=2 * DAY_S).start()
    await write(house, 3)
    house.clock.advance(DAY_S)
    await write(house, 1, first=3)
    house.clock.advance(1.5 * DAY_S)
    bind = house.esmes.bind()
    await house.settle()
    assert bind.ids == []
    assert await left(house) == 0


@pytest_twisted.ensureDeferred
async def test_what_waits_without_a_bind_for_longer_than_it_is_kept_is_dropped(store: Store) -> None:
    house = await House(store, receipts_kept=2 * DAY_S).start()
    lost = house.esmes.bind(automatic=False)
    await write(house, 2)
    house.esmes.lose(lost)
    await write(house, 1, first=2)
    await house.passes(1.9 * DAY_S)
    assert await left(house) == 3
    await house.passes(0.2 * DAY_S)
    assert await left(house) == 0
    bind = house.esmes.bind()
    await house.settle()
    assert bind.ids == []


@pytest_twisted.ensureDeferred
async def test_what_waits_for_a_bind_that_does_not_answer_is_not_dropped(store: Store) -> None:
    house = await House(store, receipts_kept=2 * DAY_S).start()
    house.esmes.bind(window=1, automatic=False)
    await write(house, 3)
    await house.passes(3 * DAY_S)
    assert await left(house) == 3


@pytest_twisted.ensureDeferred
async def test_replies_wait_and_go_like_receipts(store: Store) -> None:
    house = await House(store).start()
    reply = Mo("billing", NUMBER, 1, 1, "28940", 0, 1, 0, 0, b"ola")
    entry = await store.command("XADD", keys.receipts("billing"), "*", "b", records.pack_waiting(reply))
    house.desk.added("billing", entry, reply)
    bind = house.esmes.bind()
    await house.settle()
    assert bind.got == [reply]
    assert await left(house) == 0


@pytest_twisted.ensureDeferred
async def test_an_entry_that_cannot_be_read_does_not_hold_the_others(store: Store) -> None:
    house = await House(store).start()
    await store.command("XADD", keys.receipts("billing"), "*", "b", "nonsense")
    await write(house, 2)
    bind = house.esmes.bind()
    await house.settle()
    assert bind.ids == names(2)
    assert await left(house) == 1, "it stays where somebody may look at it"


@pytest_twisted.ensureDeferred
async def test_entries_whose_place_is_not_known_are_read_from_the_stream(store: Store) -> None:
    house = await House(store).start()
    bind = house.esmes.bind()
    await write(house, 2)
    item = receipt(2)
    await store.command("XADD", keys.receipts("billing"), "*", "b", records.pack_waiting(item))
    house.desk.added("billing", None, item)  # the answer was lost with a link
    await house.settle()
    assert bind.ids == names(3)


@pytest_twisted.ensureDeferred
async def test_after_the_store_was_away_nothing_is_overlooked(store: Store) -> None:
    house = await House(store).start()
    bind = house.esmes.bind()
    await write(house, 1)
    await store.command("XADD", keys.receipts("billing"), "*", "b", records.pack_waiting(receipt(1)))
    house.desk.store_back()
    await house.settle()
    assert bind.ids == names(2)


@pytest_twisted.ensureDeferred
async def test_acknowledgements_of_a_whole_window_go_in_few_calls(store: Store) -> None:
    house = await House(store).start()
    bind = house.esmes.bind(window=1000, automatic=False)
    await write(house, 600)
    before = int(await store.command("XLEN", keys.FEED))
    bind.answer()
    await house.settle()
    assert await left(house) == 0
    assert int(await store.command("XLEN", keys.FEED)) - before <= 4


@pytest.fixture
def slow(server: EmbeddedServer) -> Iterator[DirectStore]:
    """A store that answers when the test says so."""
    store = DirectStore(server.socket)
    store.ask("FLUSHALL", "SYNC")
    yield store
    store.close()


def acknowledge(house: House, bind: MemoryBind, first: int, count: int) -> None:
    """Receipts are told to the desk as kept, go to the bind and are acknowledged, a hundred in a turn."""
    for start in range(first, first + count, 100):
        for number in range(start, min(start + 100, first + count)):
            added(house, "billing", receipt(number), b"1-%d" % (number + 1))
        house.clock.advance(0)
        bind.answer()
        house.clock.advance(0)


def answer_all(house: House, slow: DirectStore) -> None:
    """The store answers what was asked, and what that leads to."""
    house.clock.advance(0)
    while answers := slow.answers():
        for answered, answer in answers:
            answered.callback(answer)
        house.clock.advance(0)


def test_acknowledgements_go_in_several_calls_while_the_store_does_not_keep_up(slow: DirectStore) -> None:
    house = House(cast("Store", slow))
    bind = house.esmes.bind(window=1000, automatic=False)
    answer_all(house, slow)
    acknowledge(house, bind, 0, AT_MOST_ANSWERED // 2)
    assert slow.unanswered("answered") == 1, "what has come so far"
    acknowledge(house, bind, 1000, AT_MOST_ANSWERED // 2)
    assert slow.unanswered("answered") == 1, "what comes meanwhile gathers"
    acknowledge(house, bind, 2000, AT_MOST_ANSWERED)
    assert slow.unanswered("answered") == 2, "until it fills a call"
    acknowledge(house, bind, 3000, 6 * AT_MOST_ANSWERED)
    assert slow.unanswered("answered") == CALLS_AT_ONCE
    answer_all(house, slow)
    assert not house.desk.busy


def test_what_is_acknowledged_and_still_in_the_store_is_bounded(slow: DirectStore) -> None:
    """After a crash it would come again."""
    house = House(cast("Store", slow))
    bind = house.esmes.bind(window=100, automatic=False)
    answer_all(house, slow)
    at_store, count = CALLS_AT_ONCE * AT_MOST_ANSWERED, 2 * AT_MOST_UNTOLD
    acknowledge(house, bind, 0, count)
    assert AT_MOST_UNTOLD <= len(bind.got) <= at_store + AT_MOST_UNTOLD + 100
    bind.automatic = True
    answer_all(house, slow)
    assert bind.ids == names(count)
    assert not house.desk.busy and not house.desk.behind


@pytest_twisted.ensureDeferred
async def test_links_that_break_again_and_again_lose_nothing_and_keep_the_order_of_first_sight(store: Store) -> None:
    house = await House(store).start()
    await write(house, 50)
    answered: list[str] = []
    while await left(house):
        bind = house.esmes.bind(window=7, automatic=False)
        await house.settle()
        answered += [item.message_id for item, _ in bind.unanswered[:3] if isinstance(item, Receipt)]
        bind.answer(0, count=3)
        await house.settle()
        house.esmes.lose(bind)
        await house.settle()
    assert answered == names(50)


@pytest_twisted.ensureDeferred
async def test_an_account_whose_receipts_cannot_be_written_keeps_no_other_from_its_own(store: Store) -> None:
    house = await House(store).start()
    bind = house.esmes.bind("shop")
    deliver, fails = house.esmes.deliver, True

    def failing(account: str, items: Items) -> int:
        if account == "billing" and fails:
            raise RuntimeError("out of order")
        return deliver(account, items)

    house.esmes.deliver = failing  # type: ignore[method-assign]
    broken = house.esmes.bind("billing")
    for number, account in enumerate(("billing", "shop")):
        await write(house, 1, account, first=number)
    assert bind.ids == ["m00001"] and broken.ids == []
    fails = False
    house.desk.receiver_ready("billing")
    await house.settle()
    assert broken.ids == ["m00000"], "it goes on as soon as it can"
