"""How much room the store has, as metrics show it."""

from __future__ import annotations

from pathlib import Path

import pytest_twisted
from twisted.internet.task import Clock

from gateway.metrics import GAUGES
from gateway.store.room import LOOK_S, Room
from gateway.store.valkey import Store


async def seen(store: Store, room: Room) -> dict[str, float]:
    await store.command("PING")  # answered after what was asked before
    return {name: value for name, _, value in room.gauges()}


@pytest_twisted.ensureDeferred
async def test_memory_and_its_limit_are_looked_at_now_and_then(store: Store, tmp_path: Path) -> None:
    clock = Clock()
    room = Room(store, clock, str(tmp_path))
    room.start()
    found = await seen(store, room)
    assert found["pombo_store_used_bytes"] > 100_000 and found["pombo_store_disk_free_bytes"] > 0
    assert "pombo_store_limit_bytes" not in found, "there is none"
    await store.command("CONFIG", "SET", "maxmemory", "1gb")
    assert "pombo_store_limit_bytes" not in await seen(store, room)
    clock.advance(LOOK_S)
    assert (await seen(store, room))["pombo_store_limit_bytes"] == 2**30
    await store.command("CONFIG", "SET", "maxmemory", "0")
    room.stop()
    assert not clock.getDelayedCalls()
    assert found.keys() <= GAUGES.keys()


@pytest_twisted.ensureDeferred
async def test_nothing_is_told_of_what_is_not_known(store: Store) -> None:
    assert await seen(store, Room(store, Clock(), "")) == {}
    assert await seen(store, Room(store, Clock(), "/nowhere/at/all")) == {}
