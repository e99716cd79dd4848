"""Workers on one machine: what one rings the other hears, what one asks the other answers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock

from gateway.workers.asking import Ear, NoAnswer, ask
from gateway.workers.bell import LARGEST, Bell
from tools.clock import pause

ANY: Any = reactor


class Listener:
    """Hears until it has heard so many words."""

    def __init__(self, words: int) -> None:
        self.heard: list[tuple[str, str]] = []
        self._words = words
        self.all: Deferred[None] = Deferred()

    def __call__(self, what: str, name: str) -> None:
        self.heard.append((what, name))
        if len(self.heard) == self._words:
            self.all.callback(None)


@pytest.fixture
def bells(tmp_path: Path) -> Iterator[list[Bell]]:
    opened: list[Bell] = []
    yield opened
    for one in opened:
        one.close()


def bell(bells: list[Bell], directory: Path, number: int, heard: Any = lambda *_: None, clock: Any = reactor) -> Bell:
    others = [str(directory / str(one)) for one in (1, 2) if one != number]
    made = Bell(clock, str(directory / str(number)), others, heard)
    bells.append(made)
    return made


@pytest_twisted.ensureDeferred
async def test_what_is_rung_often_in_one_turn_is_heard_once(bells: list[Bell], tmp_path: Path) -> None:
    listener = Listener(3)
    bell(bells, tmp_path, 2, listener).open()
    one = bell(bells, tmp_path, 1)
    for _ in range(5):
        one.ring("q", "operator")
        one.ring("r", "billing")
    await pause(reactor, 0.02)
    one.ring("q", "operator")
    await listener.all.addTimeout(5, ANY)
    assert listener.heard == [("q", "operator"), ("r", "billing"), ("q", "operator")]


@pytest_twisted.ensureDeferred
async def test_more_words_than_a_datagram_holds_come_in_several(bells: list[Bell], tmp_path: Path) -> None:
    words = LARGEST // 10
    listener = Listener(words)
    bell(bells, tmp_path, 2, listener).open()
    one = bell(bells, tmp_path, 1)
    for number in range(words):
        one.ring("r", f"account{number:06}")
    await listener.all.addTimeout(5, ANY)
    assert len(set(listener.heard)) == words


def test_ringing_for_a_worker_that_is_dead_does_no_harm(bells: list[Bell], tmp_path: Path) -> None:
    clock = Clock()
    one = bell(bells, tmp_path, 1, clock=clock)
    one.ring("q", "operator")
    clock.advance(0)
    assert not clock.getDelayedCalls()


@pytest_twisted.ensureDeferred
async def test_the_place_of_a_dead_worker_is_taken_by_its_follower(bells: list[Bell], tmp_path: Path) -> None:
    (tmp_path / "2").touch()
    listener = Listener(1)
    bell(bells, tmp_path, 2, listener).open()
    bell(bells, tmp_path, 1).ring("q", "operator")
    await listener.all.addTimeout(5, ANY)


# -- asking


@pytest_twisted.ensureDeferred
async def test_a_question_is_answered(tmp_path: Path) -> None:
    path = str(tmp_path / "ear")
    (tmp_path / "ear").touch()  # what a dead worker left
    ear = Ear(reactor, path, {"status": lambda: {"binds": ["x" * 300_000]}})
    ear.open()
    try:
        assert os.stat(path).st_mode & 0o777 == 0o600
        answers = [await ask(reactor, path, "status", 5.0) for _ in range(2)]
        assert [msgspec.msgpack.decode(one) for one in answers] == [{"binds": ["x" * 300_000]}] * 2
    finally:
        await ear.close()


@pytest_twisted.ensureDeferred
async def test_a_worker_that_is_not_there_or_fails_gives_no_answer(tmp_path: Path) -> None:
    path = str(tmp_path / "ear")
    with pytest.raises(NoAnswer):
        await ask(reactor, path, "status", 5.0)

    def fails() -> None:
        raise RuntimeError("a bug")

    ear = Ear(reactor, path, {"status": fails})
    ear.open()
    try:
        with pytest.raises(NoAnswer):
            await ask(reactor, path, "status", 5.0)
        with pytest.raises(NoAnswer):
            await ask(reactor, path, "what", 5.0)
    finally:
        await ear.close()


@pytest_twisted.ensureDeferred
async def test_a_worker_that_stands_still_is_waited_for_no_longer_than_that(tmp_path: Path) -> None:
    path = str(tmp_path / "ear")
    port = ANY.listenUNIX(path, Factory.forProtocol(Protocol))  # takes the question, and says nothing
    try:
        asking = ensureDeferred(ask(reactor, path, "status", 0.05))
        with pytest.raises(NoAnswer):
            await asking.addTimeout(5, ANY)
    finally:
        await port.stopListening()
