"""Which binds are whose."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from gateway.workers.board import Board
from gateway.workers.place import Place, binds_of
from tests.gateway.workers.settings import bridge, smsc


def place(number: int, workers: int = 2) -> Place:
    return Place(number, workers, Board(), Path("nowhere"), {}, socket.socket())


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
@pytest.mark.parametrize("binds", [1, 2, 3, 7])
def test_every_bind_is_exactly_one_workers(workers: int, binds: int) -> None:
    for channel in ("operator", "reserve", "a", "b", "c"):
        dealt = [binds_of(channel, binds, worker, workers) for worker in range(1, workers + 1)]
        assert sum(dealt) == binds
        assert max(dealt) - min(dealt) <= 1


def test_channels_of_one_bind_are_spread_by_their_names() -> None:
    owners = {next(w for w in (1, 2, 3) if binds_of(f"operator{n}", 1, w, 3)) for n in range(20)}
    assert owners == {1, 2, 3}


def test_a_worker_has_as_many_binds_of_an_operator_as_are_dealt_to_it() -> None:
    parts = [place(number).part_of(smsc(binds=3)) for number in (1, 2)]
    assert sorted(part.binds for part in parts) == [1, 2]  # type: ignore[union-attr]
    assert [place(number).has(part) for number, part in enumerate(parts, 1)] == [True, True]


def test_an_operator_that_allows_one_bind_gets_one() -> None:
    parts = [place(number).part_of(smsc(binds=1)) for number in (1, 2)]
    assert sorted(place(number).has(part) for number, part in enumerate(parts, 1)) == [False, True]


def test_whatsapp_is_the_first_workers() -> None:
    assert [place(number).has(place(number).part_of(bridge())) for number in (1, 2)] == [True, False]


def test_a_worker_is_a_node_of_its_own_on_the_store() -> None:
    assert [place(number).node("gw1") for number in (1, 2)] == ["gw1-1", "gw1-2"]
    assert (place(2, 3).first, place(2, 3).others) == (False, [1, 3])
    assert place(1).first
