"""Two workers on one store, of which one has the channel: what the other accepts for it goes by it."""

from __future__ import annotations

from typing import Any

import pytest_twisted

from bridge.providers import key_of
from gateway.delivery.membership import LEASE_S
from gateway.messages.message import Attempted
from gateway.messages.outcome import Accepted, Status, Unwritten
from gateway.messages.states import State
from gateway.store import keys
from gateway.store.valkey import Store
from gateway.workers.elsewhere import QUEUE, ElsewhereChannel, QueueElsewhere, SharedDispatcher
from tests.gateway.delivery.house import SMS_ONLY, USUAL, House, ids_of, time_now
from tests.gateway.workers.settings import bridge, smsc


class Pair:
    """The first house has the channels, the second only fills their queues. Bells are rung by the test."""

    def __init__(self, store: Store) -> None:
        clock = time_now()
        self.rung: list[tuple[str, str]] = []
        self.up = True
        self.first = House(store, USUAL, node="gw1-1", clock=clock, incarnation=1, shared=True)
        self.second = House(store, USUAL, node="gw1-2", clock=clock, incarnation=2, shared=True, channels=())
        for name in ("zap", "operator"):
            self.first.delivery.dispatchers[name] = self._dispatcher(self.first, self.first.delivery.channels[name])
            channel = ElsewhereChannel(
                bridge() if name == "zap" else smsc(source="28940"), lambda _: self.up, self.second.hub
            )
            self.second.delivery.channels[name] = channel  # type: ignore[assignment]
            self.second.delivery.dispatchers[name] = self._dispatcher(self.second, channel)

    def _dispatcher(self, house: House, channel: Any) -> SharedDispatcher:
        kind = QueueElsewhere if isinstance(channel, ElsewhereChannel) else SharedDispatcher
        return kind(
            channel, house.store, house.node, house.delivery.attempted, house.later, house.clock.seconds,
            ring=lambda what, name: self.rung.append((what, name)),
        )  # fmt: skip

    async def start(self) -> None:
        for house in (self.first, self.second):
            await house.start()
        self.rung.clear()

    def hear(self) -> None:
        """The first worker's ear."""
        rung, self.rung = self.rung, []
        for what, name in rung:
            assert what == QUEUE
            dispatcher = self.first.delivery.dispatchers[name]
            assert isinstance(dispatcher, SharedDispatcher)
            dispatcher.heard()

    async def settle(self) -> None:
        for _ in range(2):
            for house in (self.first, self.second):
                await house.settle()


@pytest_twisted.ensureDeferred
async def test_a_message_for_a_channel_elsewhere_waits_in_its_queue_and_its_owner_is_told(store: Store) -> None:
    pair = Pair(store)
    pair.second.intake.use((SMS_ONLY,))
    await pair.start()
    (message_id,) = await pair.second.submit(pair.second.message())
    assert set(pair.rung) == {(QUEUE, "operator")}
    assert not pair.first.operator.taken
    pair.hear()
    await pair.settle()
    assert ids_of(pair.first.operator.taken) == [message_id]
    pair.first.operator.answer(message_id, Accepted("op-1"))
    await pair.settle()
    pair.first.operator.report("op-1", Status.DELIVERED)
    await pair.settle()
    assert (await pair.second.read(message_id)).state is State.DELIVERED
    assert [receipt.message_id for receipt in await pair.second.receipts()] == [message_id]


@pytest_twisted.ensureDeferred
async def test_the_owner_tells_nobody_that_it_has_heard(store: Store) -> None:
    pair = Pair(store)
    await pair.start()
    await pair.second.submit(pair.second.message())
    pair.hear()
    await pair.settle()
    assert pair.rung == [], "or they would ring each other for ever"


@pytest_twisted.ensureDeferred
async def test_a_word_that_is_lost_is_made_good_by_the_next_look(store: Store) -> None:
    pair = Pair(store)
    await pair.start()
    (message_id,) = await pair.second.submit(pair.second.message())
    pair.rung.clear()
    await pair.first.passes(1.0)
    assert ids_of(pair.first.zap.taken) == [message_id]


@pytest_twisted.ensureDeferred
async def test_whatsapp_that_its_owner_says_is_down_is_passed_over(store: Store) -> None:
    pair = Pair(store)
    await pair.start()
    pair.up = False
    (message_id,) = await pair.second.submit(pair.second.message())
    assert [one.channel for one in (await pair.second.read(message_id)).attempts] == ["operator"]


@pytest_twisted.ensureDeferred
async def test_what_an_earlier_life_had_in_hand_goes_back_to_the_queue_of_a_channel_that_is_elsewhere_now(
    store: Store,
) -> None:
    before = House(store, SMS_ONLY, node="gw1-2", incarnation=1, shared=True)
    await before.start()
    (message_id,) = await before.submit(before.message())
    assert ids_of(before.operator.taken) == [message_id]
    before.die()
    pair = Pair(store)
    await pair.start()
    await pair.first.passes(1.0)
    assert ids_of(pair.first.operator.taken) == [message_id]
    assert await store.command("SMEMBERS", keys.hand("gw1-2", "operator")) == []


@pytest_twisted.ensureDeferred
async def test_a_send_that_is_taken_over_from_its_owner_is_known_by_the_id_that_was_ours_to_choose(
    store: Store,
) -> None:
    pair = Pair(store)
    waha = bridge(provider="waha", instance="default")
    key = key_of(waha)
    assert key is not None
    pair.second.delivery.channels["zap"] = ElsewhereChannel(waha, lambda _: True, pair.second.hub, key)  # type: ignore[assignment]
    await pair.start()
    message_id = await pair.first.submit_one()
    assert ids_of(pair.first.zap.taken) == [message_id]
    pair.first.die()
    for _ in range(round(2 * LEASE_S)):
        await pair.second.passes(1.0)
    assert (await pair.second.read(message_id)).attempts[-1].state is Attempted.UNCERTAIN
    pair.first.zap.report(key(message_id), Status.DELIVERED)
    await pair.settle()
    assert (await pair.second.read(message_id)).state is State.DELIVERED


def test_a_channel_elsewhere_knows_what_a_decision_asks() -> None:
    results: list[Any] = []

    class Hub:
        def attempted(self, channel: str, ended: Any) -> None:
            results.extend((channel, result) for _, result in ended)

    hub: Any = Hub()
    operator = ElsewhereChannel(smsc(source="28940", price="0.08"), lambda name: name == "operator", hub)
    zap = ElsewhereChannel(bridge(), lambda name: name == "operator", hub)
    message: Any = type("M", (), {"source": "11"})()
    assert (operator.kind, operator.up, operator.price, operator.source_of(message)) == ("smsc", True, "0.08", "28940")
    assert (zap.kind, zap.up, zap.source_of(message)) == ("whatsapp", False, "11")
    assert operator.capacity() == 0
    operator.send(message)
    assert [(channel, type(result)) for channel, result in results] == [("operator", Unwritten)]
