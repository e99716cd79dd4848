"""The parent: who dies is started again, signals are passed on, the worst status is its own."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import pytest

from gateway.store.embedded import StoreUnavailable
from gateway.workers.board import Board
from gateway.workers.parent import AGAIN_S, LOOK_S, NO_START, NO_USE, STOP_S, WELL_S, Parent
from tests.gateway.server.house import logged

PATIENCE = 500  # steps of 20 ms


def waits(number: int, link: socket.socket) -> int:
    """A worker that is ready at once and ends well when it is told to."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGHUP, lambda *_: link.sendall(b"reloaded\n"))
    link.sendall(b"ready\n")
    return lives()


def lives() -> NoReturn:
    """Not by `pause` alone: a signal that comes right before it would be handled with the next one only."""
    while True:
        time.sleep(0.05)


class Household:
    """A parent whose clock is the test's."""

    def __init__(self, work: Callable[[int, socket.socket], int], workers: int = 2, store: Any = None) -> None:
        self.now, self.reloads = 1000.0, 0
        self.board = Board()
        self.parent = Parent(
            workers, work, board=self.board, store=store, reloaded=self.reloaded, clock=lambda: self.now
        )

    def reloaded(self) -> None:
        self.reloads += 1

    def until(self, question: Callable[[], object]) -> None:
        for _ in range(PATIENCE):
            if question():
                return
            self.parent.step(0.02)
        raise AssertionError("not within the time")

    def start(self) -> Household:
        self.until(lambda: len(self.parent.pids) == len(self.parent._workers))
        self.until(lambda: all(worker.ready for worker in self.parent._workers))
        return self

    def clean_up(self) -> None:
        for pid in self.parent.pids.values():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@pytest.fixture
def households() -> Iterator[list[Household]]:
    made: list[Household] = []
    yield made
    for one in made:
        one.clean_up()


@pytest.fixture
def house(households: list[Household]) -> Household:
    households.append(Household(waits))
    return households[0].start()


def test_workers_are_started_each_in_a_session_of_its_own(house: Household) -> None:
    pids = house.parent.pids
    assert list(pids) == [1, 2]
    assert len({os.getsid(pid) for pid in pids.values()} | {os.getsid(0)}) == 3


def test_a_worker_that_is_killed_is_started_again_after_a_pause(house: Household) -> None:
    house.board.show(2, house.now, 7, 1)
    house.board.set_binds(house.board.account("billing"), 2, 3)
    first, victim = house.parent.pids[1], house.parent.pids[2]
    with logged() as events:
        os.kill(victim, signal.SIGKILL)
        house.until(lambda: 2 not in house.parent.pids)
        assert house.board.shown(2) == (0.0, 0, 0)
        assert sum(house.board.binds(house.board.account("billing"))) == 0
        house.parent.step(0)
        assert 2 not in house.parent.pids, "not before its time"
        house.now += AGAIN_S[0]
        house.start()
    assert house.parent.pids[1] == first
    assert house.parent.pids[2] != victim
    assert events[0] == "worker 2 ended by signal 9; it is started again in 0.2 s"


def test_who_dies_again_and_again_is_started_less_and_less_often(house: Household) -> None:
    waited = []
    for _ in range(len(AGAIN_S) + 2):
        os.kill(house.parent.pids[2], signal.SIGKILL)
        house.until(lambda: 2 not in house.parent.pids)
        waited.append(house.parent._workers[1].due_at - house.now)
        house.now += waited[-1]
        house.start()
    assert waited == pytest.approx([*AGAIN_S, AGAIN_S[-1], AGAIN_S[-1]])
    house.now += WELL_S + 1
    os.kill(house.parent.pids[2], signal.SIGKILL)
    house.until(lambda: 2 not in house.parent.pids)
    assert house.parent._workers[1].due_at - house.now == pytest.approx(AGAIN_S[0])


def test_a_worker_whose_code_fails_is_started_again(households: list[Household]) -> None:
    def fails_once(number: int, link: socket.socket) -> int:
        if os.path.exists(f"/proc/{os.getppid()}") and board.shown(5)[1] == 0:
            board.show(5, 1.0, 1, 0)
            raise RuntimeError("a bug")
        return waits(number, link)

    house = Household(fails_once, 1)
    board = house.board
    households.append(house)
    house.until(lambda: house.parent._workers[0].deaths == 1)
    house.now += 1
    house.start()


def test_a_stop_ends_all_well(house: Household) -> None:
    house.parent.stop()
    assert not house.parent.over
    house.until(lambda: house.parent.over)
    assert (house.parent.status, house.parent.pids) == (0, {})


def test_nobody_is_started_again_at_the_end(house: Household) -> None:
    house.parent.stop()
    os.kill(house.parent.pids[2], signal.SIGKILL)
    house.until(lambda: house.parent.over)
    house.now += 60
    house.parent.step(0)
    assert house.parent.pids == {}


def test_the_worst_end_is_the_parents(households: list[Household]) -> None:
    def ends_badly(number: int, link: socket.socket) -> int:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(number - 1))
        link.sendall(b"ready\n")
        lives()

    house = Household(ends_badly)
    households.append(house)
    house.start()
    house.parent.stop()
    house.until(lambda: house.parent.over)
    assert house.parent.status == 1


def test_a_worker_that_does_not_end_is_killed(households: list[Household]) -> None:
    def deaf(number: int, link: socket.socket) -> int:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        link.sendall(b"ready\n")
        lives()

    house = Household(deaf)
    households.append(house)
    house.start()
    house.parent.stop()
    house.now += STOP_S - 1
    house.parent.step(0)
    assert len(house.parent.pids) == 2
    house.now += 2
    house.until(lambda: house.parent.over)
    assert house.parent.status == 1


def test_a_worker_that_cannot_go_on_ends_them_all(households: list[Household]) -> None:
    house = Household(lambda number, link: NO_USE if number == 2 else waits(number, link))
    households.append(house)
    house.until(lambda: house.parent.over)
    assert house.parent.status == 1


def test_a_node_that_cannot_start_ends_but_a_worker_that_is_started_again_is_tried_again(
    households: list[Household],
) -> None:
    can_start = [False]  # the second worker, whenever it is started

    def work(number: int, link: socket.socket) -> int:
        return waits(number, link) if number == 1 or can_start[0] else NO_START

    house = Household(work)
    households.append(house)
    house.until(lambda: house.parent.over)
    assert house.parent.status == 1
    can_start[0] = True
    house = Household(work)
    households.append(house)
    house.start()
    can_start[0] = False  # a certificate is half written, say
    os.kill(house.parent.pids[2], signal.SIGKILL)
    house.until(lambda: 2 not in house.parent.pids)
    with logged() as events:
        for deaths in (2, 3):
            house.now += AGAIN_S[-1]
            house.until(lambda deaths=deaths: house.parent._workers[1].deaths == deaths)
    assert events == [f"worker 2 could not start; it is started again in {wait:g} s" for wait in AGAIN_S[1:3]]
    assert list(house.parent.pids) == [1], "the other one goes on"
    can_start[0] = True
    house.now += AGAIN_S[-1]
    house.start()


def test_words_of_workers_that_come_in_pieces_are_heard(households: list[Household]) -> None:
    def slow(number: int, link: socket.socket) -> int:
        for octet in b"ready\nreloaded\nwhat\n":
            link.sendall(bytes((octet,)))
        while True:
            signal.pause()

    house = Household(slow, 1)
    households.append(house)
    house.start()
    house.until(lambda: house.reloads == 1)


def test_who_was_being_started_while_the_others_reloaded_reads_once_it_is_ready(households: list[Household]) -> None:
    gate, opens = os.pipe()

    def slow(number: int, link: socket.socket) -> int:
        signal.signal(signal.SIGHUP, lambda *_: link.sendall(b"reloaded\n"))
        if number == 2:
            os.read(gate, 1)
        link.sendall(b"ready\n")
        lives()

    house = Household(slow)
    households.append(house)
    first, second = house.parent._workers
    house.until(lambda: first.ready and second.pid)
    os.kill(first.pid, signal.SIGHUP)
    house.until(lambda: house.reloads == 1)
    os.write(opens, b"x")
    house.until(lambda: house.reloads == 2)
    assert not second.stale


def test_signals_are_passed_on_and_the_parent_ends_with_its_workers() -> None:
    """`run` as a process of its own would see it: HUP to all, TERM to all."""
    house = Household(waits)
    me = os.getpid()
    sent = []

    def reloaded() -> None:
        sent.append("HUP was heard")
        if len(sent) == 2:
            os.kill(me, signal.SIGTERM)

    house.parent._reloaded = reloaded
    seen = threading.Event()

    def all_ready() -> None:
        seen.wait(10)
        os.kill(me, signal.SIGHUP)

    helper = threading.Thread(target=all_ready)
    told = house.parent._tell_when_ready

    def tell() -> None:
        told()
        if house.parent._told:
            seen.set()

    house.parent._tell_when_ready = tell  # type: ignore[method-assign]
    before = signal.getsignal(signal.SIGTERM)
    helper.start()
    assert house.parent.run() == 0
    helper.join()
    assert len(sent) == 2
    assert signal.getsignal(signal.SIGTERM) == before


class Server:
    """An embedded store that the test kills."""

    def __init__(self) -> None:
        self.answers = ["running"]
        self.last_words = ""
        self.asked = self.cut = 0

    def cut_off(self) -> int:
        return self.cut

    def ensure(self) -> str:
        self.asked += 1
        if self.answers[0] == "broken":
            raise StoreUnavailable("no store server")
        return self.answers[0]


def test_what_a_damaged_store_has_lost_is_said_once_the_workers_are_ready(households: list[Household]) -> None:
    server = Server()
    server.cut = 400
    house = Household(waits, 1, server)
    households.append(house)
    with logged() as events:
        house.start()
    assert "embedded store: its file could not be read to its end: 400 octets are gone (docs/backup.md)" in events


def hears(number: int, link: socket.socket) -> int:
    """A worker that says that it has read again once it was told why the store gives up."""
    link.sendall(b"ready\n")
    if link.recv(100) == b"Bad file format\n":
        link.sendall(b"reloaded\n")
    lives()


def test_workers_are_told_why_the_store_gives_up_also_those_that_come_later(households: list[Household]) -> None:
    server = Server()
    server.answers, server.last_words = ["started"], "Bad file format"
    house = Household(hears, 2, server)
    households.append(house)
    house.until(lambda: house.reloads == 2)
    os.kill(house.parent.pids[2], signal.SIGKILL)
    house.until(lambda: 2 not in house.parent.pids)
    house.now += AGAIN_S[0]
    house.until(lambda: house.reloads == 3)


def test_the_store_is_looked_after(households: list[Household]) -> None:
    server = Server()
    house = Household(waits, 1, server)
    households.append(house)
    house.start()
    house.now += LOOK_S
    with logged() as events:
        for answer, words in (("running", ""), ("started", ""), ("started", "Bad file format"), ("broken", "")):
            server.answers, server.last_words = [answer], words
            for _ in range(2):
                house.now += LOOK_S
                house.parent.step(0)
                house.parent.step(0)
    assert server.asked == 1 + 2 * 4
    assert events == [
        *["embedded store: it had ended, and is started again"] * 2,
        "embedded store: it gives up, and is tried again: Bad file format",
        "embedded store: no store server",
    ]
    server.answers = ["running"]
    for _ in range(2):  # it is well again, and so it is said again when it is not
        house.now += WELL_S + LOOK_S
        with logged() as events:
            house.parent.step(0)
            house.now += WELL_S + LOOK_S
            house.parent.step(0)
        server.answers, server.last_words = ["unreadable"], "Bad file format"
    assert events == ["embedded store: it gives up, and is tried again: Bad file format"]
    house.parent.stop()
    asked = server.asked
    house.now += LOOK_S
    house.until(lambda: house.parent.over)
    assert server.asked == asked, "it is not started again while all end"
