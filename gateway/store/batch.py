"""Sealed changes as the one call of commit.lua that makes them all, and its answer read."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from gateway.messages.states import STATE_NAMES
from gateway.store import keys
from gateway.store.records import FeedEvent
from gateway.store.turn import Answers, Turn

ANSWERED = frozenset({"XADD", "PART", "GETDEL", "LPOP"})  # commands whose answer somebody wants
MOST_WORDS = 4000  # of one command: Lua's stack has room for twice as many
_encode = msgspec.msgpack.Encoder().encode


class Obstacle(NamedTuple):
    """Why a change was not made. record: the message as it is by now, b"" when there is none; done: this very change
    was made before; instead: the id of the message that makes this one one too many."""

    record: bytes = b""
    done: bool = False
    instead: str = ""


def arguments(batch: Sequence[Turn]) -> tuple[bytes, bytes, bytes]:
    """ARGV[1] to ARGV[3] of commit.lua."""
    ids = [turn.message.id for turn in batch]
    records = [turn.record for turn in batch]
    receipts: list[Any] = []
    packed: list[bytes] = []
    unless: list[Any] = []
    commands: list[Sequence[Any]] = []
    named: list[Any] = []
    # What all changes write to a key with the same command, under that key.
    zadd: defaultdict[str, list[Any]] = defaultdict(list)
    hset: defaultdict[str, list[Any]] = defaultdict(list)
    sadd: defaultdict[str, list[Any]] = defaultdict(list)
    srem: defaultdict[str, list[Any]] = defaultdict(list)
    due, not_due = zadd[keys.DUE], []
    ends: dict[str, int] = {}  # key -> seconds it lives
    for number, turn in enumerate(batch, 1):
        message_id, moment = turn.message.id, turn.due
        if moment > 0:
            due += (moment, message_id)
        elif moment < 0:
            not_due.append(message_id)
        if turn.into:
            sadd[turn.into].append(message_id)
        if turn.out_of:
            srem[turn.out_of].append(message_id)
        if turn.stream:
            receipts += (number, turn.stream, len(turn.receipt))
            packed.append(turn.receipt)
        if turn.unless is not None:
            unless += (number, *turn.unless)
        for command in turn.commands:
            name = command[0]
            if name == "WROTE":
                _, key, ends[key], writer = command
                zadd[key] += (0, writer)
            elif name == "REMOTE":
                _, key, ends[key], remote_id, channel = command
                hset[key] += (remote_id, message_id)
                named += (number, channel, remote_id)
            else:
                commands.append((number if name in ANSWERED else 0, *command))
    together = {"ZADD": zadd, "HSET": hset, "SADD": sadd, "SREM": srem, "ZREM": {keys.DUE: not_due}}
    said: list[Sequence[Any]] = [
        (command, key, *words[at : at + MOST_WORDS])
        for command, of_keys in together.items()
        for key, words in of_keys.items()
        for at in range(0, len(words), MOST_WORDS)
    ]
    said += [("EXPIRE", key, seconds) for key, seconds in ends.items()]
    items = (ids, list(map(len, records)), [turn.ttl for turn in batch], unless, commands, receipts, said, named)
    read = struct.pack(f">{len(batch)}I", *[turn.expected for turn in batch])
    return _encode(items), read, b"".join(records + packed)


def events_of(batch: Sequence[Turn], node: str) -> list[FeedEvent]:
    """What the feed tells of them; of the text of a joined message, its parts."""
    told: list[FeedEvent] = []
    for turn in batch:
        message, state = turn.message, STATE_NAMES[turn.state]
        account, to, segments = message.account, message.dest, message.segments
        price = turn.cost if turn.cost != "0" else ""
        for one in message.parts or (message.id,):
            for at, event, channel, detail in turn.events:
                told.append(FeedEvent(one, at, event, account, to, node, state, channel, segments, price, detail))
    return told


def answers_of(answer: Any, size: int) -> list[Answers]:
    """What the commands of each change answered, when all were made."""
    answers: list[Any] = [()] * size
    if answer != 1:
        for number, one in zip(answer[1::2], answer[2::2], strict=True):
            answers[number - 1] = (*answers[number - 1], one)
    return answers


def obstacles_of(answer: Any) -> dict[int, Obstacle]:
    """Which changes, counted from 0, stood in the way, when none was made; nothing when all were."""
    if answer == 1 or answer[0] == 1:
        return {}
    found: dict[int, Obstacle] = {}
    for number, why, what in zip(answer[1::3], answer[2::3], answer[3::3], strict=True):
        if why == 3:
            obstacle = Obstacle(instead=what.decode())
        else:
            obstacle = Obstacle(what or b"", done=why == 2)
        found.setdefault(number - 1, obstacle)
    return found
