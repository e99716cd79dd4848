"""One worker speaks for all, over their sockets."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from gateway.metrics import Metrics
from gateway.workers.beside import READY, RELOADED, AdminOfAll, Beside
from gateway.workers.board import Board
from gateway.workers.place import Place
from tests.end_to_end.in_reactor import fixture
from tests.gateway.workers.test_sums import part, samples
from tools.clock import pause


class Worker:
    """One of two, with what its node would say."""

    def __init__(self, number: int, board: Board, directory: Path) -> None:
        self.metrics = Metrics()
        self.metrics.gauges(lambda: [("pombo_binds", ("server", "billing"), 1.0)])
        self.parents_end, ours = socket.socketpair()
        self.reasons: dict[str, str] = {}
        self.told: list[str] = []
        self.answer: tuple[list[str], list[str]] = (["routes"], [])
        self.reloads = self.stopped = 0
        self.connections = number
        self.up: bool | None = True
        self.heard: list[tuple[str, str]] = []
        self.gone: Deferred[None] = Deferred()
        self.beside = Beside(
            Place(number, 2, board, directory, {}, ours), _Reactor(self), metrics=self.metrics,
            connections=lambda: self.connections, pid=100 + number,
            heard=lambda what, name: self.heard.append((what, name)), channels=lambda: {"operator": self.up},
        )  # fmt: skip

    def open(self) -> Worker:
        self.beside.open(
            ready=lambda: dict(self.reasons), status=lambda: part(1), reload=self.reload, gave_up=self.told.append
        )  # fmt: skip
        return self

    def reload(self) -> tuple[list[str], list[str]]:
        self.reloads += 1
        return list(self.answer[0]), list(self.answer[1])


class _Reactor:
    """The reactor, but for its end."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)

    def stop(self) -> None:
        self._worker.gone.callback(None)


class Pair:
    def __init__(self, directory: Path) -> None:
        self.board, self.directory = Board(), directory
        self.one = Worker(1, self.board, directory).open()
        self.other = Worker(2, self.board, directory).open()

    async def close(self) -> None:
        for worker in (self.one, self.other):
            if self.directory.exists():
                await worker.beside.close()
            worker.parents_end.close()
        await pause(reactor, 0)


@fixture()
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    made = Pair(tmp_path)
    yield made
    await made.close()


@pytest_twisted.ensureDeferred
async def test_the_page_is_the_sum_of_both(pair: Pair) -> None:
    pair.one.metrics.count("pombo_submitted", "billing", n=3)
    pair.other.metrics.count("pombo_submitted", "billing", n=4)
    found = samples(await pair.one.beside.page())
    assert found["pombo_submitted_total", "billing"] == 7
    assert found["pombo_binds", "billing", "server"] == 2


@pytest_twisted.ensureDeferred
async def test_what_a_dead_worker_had_counted_counts(pair: Pair) -> None:
    pair.other.metrics.count("pombo_submitted", "billing", n=4)
    await pair.other.beside.close()  # which keeps it, as it does now and then
    found = samples(await pair.one.beside.page())
    assert found["pombo_submitted_total", "billing"] == 4
    assert found["pombo_binds", "billing", "server"] == 1
    follower = Worker(2, pair.board, pair.directory).open()
    follower.metrics.count("pombo_submitted", "billing")
    assert samples(await pair.one.beside.page())["pombo_submitted_total", "billing"] == 5
    await follower.beside.close()


@pytest_twisted.ensureDeferred
async def test_they_are_ready_when_all_are(pair: Pair) -> None:
    assert await pair.one.beside.ready() == {}
    pair.other.reasons = {"smpp": "the SMPP listener is not up"}
    assert await pair.one.beside.ready() == {"smpp of worker 2": "the SMPP listener is not up"}
    pair.one.reasons = {"store": "link lost"}
    await pair.other.beside.close()
    assert await pair.one.beside.ready() == {"store": "link lost", "worker 2": "it does not answer"}


@pytest_twisted.ensureDeferred
async def test_a_worker_hears_from_its_parent_why_the_store_gives_up(pair: Pair) -> None:
    pair.one.parents_end.sendall("não há espaço\n".encode())
    while not pair.one.told:
        await pause(reactor, 0.01)
    assert pair.one.told == ["não há espaço"]


@pytest_twisted.ensureDeferred
async def test_the_status_is_one_nodes_and_tells_of_the_workers(pair: Pair) -> None:
    admin = AdminOfAll(pair.one, pair.one.beside, "gw1")
    found = await admin.status()
    assert (found["node"], len(found["accounts"][0]["binds"]), found["channels"][0]["binds"]) == ("gw1", 2, 2)
    assert found["workers"] == [
        {"number": 1, "answers": True, "pid": 101, "connections": 1},
        {"number": 2, "answers": True, "pid": 102, "connections": 2},
    ]
    assert admin.metrics is pair.one.metrics, "what is the store's any worker can say"
    await pair.other.beside.close()
    pair.board.clear(2)
    assert (await admin.status())["workers"][1] == {"number": 2, "answers": False, "pid": 0, "connections": 0}


@pytest_twisted.ensureDeferred
async def test_a_reload_is_everybodys(pair: Pair) -> None:
    pair.other.answer = (["routes", "operator"], [])
    assert await pair.one.beside.reload() == (["routes", "operator"], [])
    pair.other.answer = ([], ["x.yaml:1: wrong"])
    assert await pair.one.beside.reload() == (["routes"], ["x.yaml:1: wrong"])
    assert pair.other.reloads == 2
    await pair.other.beside.close()
    assert await pair.one.beside.reload() == (["routes"], [])


@pytest_twisted.ensureDeferred
async def test_a_bad_file_is_read_once_and_changes_nothing(pair: Pair) -> None:
    pair.one.answer = ([], ["x.yaml:1: wrong"])
    assert await pair.one.beside.reload() == ([], ["x.yaml:1: wrong"])
    assert pair.other.reloads == 0


@pytest_twisted.ensureDeferred
async def test_the_board_shows_who_is_freer_and_what_is_up(pair: Pair) -> None:
    freer = [worker.beside.smpp_listeners()._others_freer() for worker in (pair.one, pair.other)]
    assert freer == [False, True]
    pair.one.connections = 3
    pair.one.beside.smpp_listeners()._taken()
    assert pair.board.shown(1)[1:] == (3, 101)
    pair.one.up = pair.other.up = False
    await pause(reactor, 0.3)
    assert not pair.board.is_up("operator")
    pair.one.up = True
    await pause(reactor, 0.3)
    assert pair.board.is_up("operator")
    pair.one.up = None  # a reload has given its binds to the other worker
    await pause(reactor, 0.3)
    assert not pair.board.is_up("operator")


@pytest_twisted.ensureDeferred
async def test_the_parent_is_told_and_its_end_is_everybodys(pair: Pair) -> None:
    pair.one.beside.tell_parent(READY)
    pair.one.beside.tell_parent(RELOADED)
    await pause(reactor, 0.05)
    assert os.read(pair.one.parents_end.fileno(), 100) == b"ready\nreloaded\n"
    assert not pair.one.gone.called
    pair.one.parents_end.close()
    await pair.one.gone.addTimeout(5, reactor)
    assert not pair.other.gone.called
    await pair.one.beside.close()
    assert {path.name for path in pair.directory.iterdir()} == {"2.bell", "2.ear", "2.counts"}
    pair.other.parents_end.close()
    await pair.other.gone.addTimeout(5, reactor)
    await pair.other.beside.close()
    assert not pair.directory.exists()
