"""An operator that stays away while thousands wait: nothing is done over and over, and each that expires is told once
(R3). The full run is tools/dead_operator.py."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import pytest_twisted
from twisted.logger import globalLogPublisher

from gateway.messages.states import State
from gateway.store.valkey import Store
from tests.gateway.delivery.operated import OperatedHouse, numbered

WAITING = 4000
DOWN_S, STEP_S = 40.0, 0.2
VALID_S = 3600.0
OURS = ("smsc_client", "dispatch", "delivery", "clockwork", "ledger", "store", "receipts", "reports")


def refuses_connections(house: OperatedHouse) -> None:
    house.smsc.endpoint.refusing = True


def refuses_binds(house: OperatedHouse) -> None:
    house.smsc.bind_status = 0x0E


def is_always_busy(house: OperatedHouse) -> None:
    house.smsc.bind_status = 0x08


def falls_silent(house: OperatedHouse) -> None:
    house.smsc.silent = True


FAULTS = [refuses_connections, refuses_binds, is_always_busy, falls_silent]


class Counted:
    """What a house does while `watching`: calls of timers and of the store, connections, lines in the log."""

    def __init__(self, house: OperatedHouse) -> None:
        self.house, self.counts, self.lines = house, Counter[str](), 0
        self._wrap(house.clock, "callLater", lambda *arguments: "timers")
        self._wrap(house.store, "call", lambda name, *arguments: f"call {name}")
        self._wrap(house.store, "command", lambda name, *arguments: "" if name == "PING" else f"command {name}")

    def _wrap(self, owner: Any, name: str, key: Callable[..., str]) -> None:
        real = getattr(owner, name)

        def counted(*arguments: Any, **options: Any) -> Any:
            self.counts[key(*arguments)] += 1
            return real(*arguments, **options)

        setattr(owner, name, counted)

    def _line(self, event: dict[str, Any]) -> None:
        self.lines += event.get("log_namespace", "").startswith(OURS)

    async def watch(self, seconds: float) -> Counter[str]:
        """The counts of the next so many seconds."""
        self.counts.clear()
        globalLogPublisher.addObserver(self._line)
        try:
            await self.house.run(seconds, STEP_S)
        finally:
            globalLogPublisher.removeObserver(self._line)
        self.counts.pop("", None)
        return Counter(self.counts)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@pytest_twisted.ensureDeferred
async def test_waiting_for_a_dead_operator_costs_what_an_empty_queue_costs(
    store: Store, fault: Callable[[OperatedHouse], None]
) -> None:
    house = OperatedHouse(store, enquire_link=5.0, response_timeout=5.0)
    fault(house)
    await house.start()
    counted = Counted(house)
    idle = await counted.watch(DOWN_S)
    expires_at = house.now + VALID_S
    ids = await house.submit(*(house.message(expires_at=expires_at, **numbered(n)) for n in range(WAITING)))
    waiting = await counted.watch(DOWN_S)
    assert sum(waiting.values()) <= sum(idle.values()) + 0.5 * DOWN_S, (idle, waiting)
    assert waiting["timers"] <= 15 * DOWN_S
    assert sum(n for name, n in waiting.items() if name != "timers") <= 8 * DOWN_S
    assert waiting["call lease"] == 0
    assert len(house.smsc.endpoint.tries) <= 14  # in 80 s
    assert counted.lines <= 4
    assert house.smsc.submits == []
    house.clock.advance(VALID_S)
    await house.settle()
    await house.run(2, STEP_S)
    receipts = await house.receipts()
    assert Counter(one.message_id for one in receipts) == Counter(ids)
    assert {one.state for one in receipts} == {State.EXPIRED}
    assert house.metric("pombo_final_total", channel="operator", state="expired") == WAITING
    await house.run(5, STEP_S)
    assert len(await house.receipts()) == WAITING


@pytest_twisted.ensureDeferred
async def test_a_link_that_breaks_after_every_bind_writes_each_text_once_and_each_ends_once(store: Store) -> None:
    house = OperatedHouse(store, window=5, script=lambda pdu, now: None)
    await house.start()
    expires_at = house.now + VALID_S
    ids = await house.submit(*(house.message(expires_at=expires_at, **numbered(n)) for n in range(500)))
    for _ in range(30):
        if house.smsc.sessions:
            house.smsc.drop()
        await house.run(10, 0.5)
    assert 5 < len(house.texts) <= 5 * len(house.smsc.binds)
    assert len(set(house.texts)) == len(house.texts) == len(house.marked)
    house.clock.advance(VALID_S)
    await house.settle()
    await house.run(2, STEP_S)
    receipts = await house.receipts()
    assert Counter(one.message_id for one in receipts) == Counter(ids)
    assert {one.state for one in receipts} == {State.EXPIRED}
    assert len(set(house.texts)) == len(house.texts)


@pytest_twisted.ensureDeferred
async def test_what_waited_goes_in_order_when_the_operator_comes_back(store: Store) -> None:
    house = OperatedHouse(store)
    house.smsc.endpoint.refusing = True
    await house.start()
    numbers = [number % 50 for number in range(400)]
    await house.submit(*(house.message(**{**numbered(n), "user_data": b"%d" % at}) for at, n in enumerate(numbers)))
    await house.run(30, 1.0)
    house.smsc.endpoint.refusing = False
    await house.until(lambda: len(house.texts) == 400, 100, 0.5)
    for number in range(50):
        person = str(numbered(number)["msisdn"])
        theirs = [int(pdu.short_message) for _, pdu in house.smsc.submits if pdu.destination_addr == person]
        assert theirs == sorted(theirs) and len(theirs) == 8
