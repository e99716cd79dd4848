"""Breadth first through all worlds, so that the first one found to break a promise is the shortest story of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from sys import intern
from typing import NamedTuple

import msgspec

from tools.model.gateway import Gateway, Process
from tools.model.memory import Kept, Memory
from tools.model.moves import moves
from tools.model.promises import broken, is_over
from tools.model.world import MESSAGE, May, Scene, World


class Found(NamedTuple):
    """What a search came to. story: the steps to a broken promise, and which."""

    worlds: int
    steps: int
    broken: str = ""
    story: tuple[str, ...] = ()


def begin(
    may: May, nodes: int, scheduled: float, straight: bool, memory: type[Memory], gateway: type[Gateway]
) -> World:
    """One submit_sm on its way into the store."""
    scene = Scene(World(may, Kept(), tuple(Process(name) for name in "ab"[:nodes])), memory, gateway)
    scene.gateways[0].submit(msgspec.structs.replace(MESSAGE, attempts=[], schedule_at=scheduled), straight)
    return scene.world()


def search(
    may: May, *, nodes: int = 1, scheduled: float = 0.0, straight: bool = True, memory: type[Memory] = Memory,
    gateway: type[Gateway] = Gateway, after: Sequence[str] = (),
) -> Found:  # fmt: skip
    """All worlds that `may` allows. Broken is a promise, or that a world does not come to its end by itself.

    straight: the message finds a channel free and need not wait in its queue. after: steps to be taken first."""
    first = begin(may._replace(reports=may.reports + len(after)), nodes, scheduled, straight, memory, gateway)
    for what in after:
        (step,) = (step for told, _, step in moves(first) if told == what)
        scene = Scene(first, memory, gateway)
        step(scene)
        first = scene.world()
    first = first._replace(may=may)
    number = {hash(first): 0}
    came: list[tuple[int, str]] = [(-1, "an ESME submits a message")]
    calm: list[list[int]] = []  # for each world: those that calm steps lead to
    over: list[bool] = []
    waiting: deque[World] = deque([first])
    steps = 0
    while waiting:
        world = waiting.popleft()
        here = len(calm)
        calm.append([])
        over.append(is_over(world))
        if wrong := broken(world):
            return Found(len(number), steps, wrong, _story(came, here))
        for what, is_calm, step in moves(world):
            steps += 1
            scene = Scene(world, memory, gateway)
            step(scene)
            then = scene.world()
            key = hash(then)
            there = number.get(key)
            if there is None:
                there = number[key] = len(came)
                came.append((here, intern(what)))
                waiting.append(then)
            if is_calm:
                calm[here].append(there)
    endless = _endless(calm, over)
    if endless >= 0:
        return Found(len(number), steps, "it never comes to an end by itself", _story(came, endless))
    return Found(len(number), steps)


def _story(came: list[tuple[int, str]], world: int) -> tuple[str, ...]:
    story = []
    while world >= 0:
        world, what = came[world]
        story.append(what)
    return tuple(reversed(story))


def _endless(calm: list[list[int]], over: list[bool]) -> int:
    """A world from which some row of calm steps never comes to an end, as early a one as possible; -1: there is none.

    Taken away are, one after the other, worlds whose calm steps all lead to such as are taken away already; the first
    are those that are over and have none. What is left goes round for ever, or stands still without being over.
    """
    before: list[list[int]] = [[] for _ in calm]
    left = [0] * len(calm)
    for here, there in enumerate(calm):
        left[here] = len(there)
        for one in there:
            before[one].append(here)
    ready = [here for here, count in enumerate(left) if count == 0 and over[here]]
    ends = bytearray(len(calm))
    while ready:
        here = ready.pop()
        ends[here] = 1
        for one in before[here]:
            left[one] -= 1
            if left[one] == 0:
                ready.append(one)
    return ends.find(0)
