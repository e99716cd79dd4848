"""What the workers of one machine know of each other at once: some memory that all of them have, inherited from their
parent.

Each name (an account's, a channel's) has a slot, found by a digest of it. Whoever changes what several may change locks
the slot; the kernel unlocks what a dead process had locked. Nothing here outlives the gateway.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import struct
import tempfile

MOST_WORKERS = 64
ACCOUNTS, CHANNELS = 16_384, 4_096  # slots; pages that nobody touches cost nothing
STALE_S = 2.0  # a worker that has not shown itself for so long counts for nothing where connections are spread

NAME = 16  # octets of a digest
_WORKER = struct.Struct("=dII")  # when it showed itself last, connections, process
_BUCKET = struct.Struct("=ddd")  # tokens, when that was, debt
_COUNTS = struct.Struct(f"={MOST_WORKERS}H")
_ACCOUNT = NAME + _BUCKET.size + _COUNTS.size
_CHANNEL = NAME + MOST_WORKERS
_ACCOUNTS_AT = MOST_WORKERS * _WORKER.size
_CHANNELS_AT = _ACCOUNTS_AT + ACCOUNTS * _ACCOUNT
_LATEST_AT = _CHANNELS_AT + CHANNELS * _CHANNEL
_LATEST = struct.Struct("=d")  # the latest moment that any worker has shown
_SIZE = _LATEST_AT + _LATEST.size
_TABLES = 0  # the octet whose lock guards the giving out of slots; nothing else is locked there
_NONE, _DOWN, _UP = 0, 1, 2


class BoardFull(Exception):
    """More names than there are slots."""


class Board:
    """The memory, and the slots of the names that this process has asked for. Made before the workers are forked."""

    def __init__(self) -> None:
        self._file = _nameless_file()
        os.ftruncate(self._file, _SIZE)
        self.memory = mmap.mmap(self._file, _SIZE)
        self._accounts: dict[str, int] = {}
        self._channels: dict[str, int] = {}

    # -- workers, numbered from 1

    def show(self, worker: int, now: float, connections: int, pid: int) -> None:
        """This worker lives, and has so many connections of ESMEs."""
        _WORKER.pack_into(self.memory, _worker_at(worker), now, connections, pid)
        if now > self.latest:
            _LATEST.pack_into(self.memory, _LATEST_AT, now)

    @property
    def latest(self) -> float:
        """The latest moment at which any worker has shown itself: whoever is started now is not behind it. 0.0: none
        has."""
        return float(_LATEST.unpack_from(self.memory, _LATEST_AT)[0])

    def shown(self, worker: int) -> tuple[float, int, int]:
        """When a worker showed itself last (0.0: it does not live), its connections, its process."""
        at, connections, pid = _WORKER.unpack_from(self.memory, _worker_at(worker))
        return at, connections, pid

    def fewest(self, workers: int, now: float) -> int:
        """The connections of the worker that has the fewest, of those that live."""
        shown = [self.shown(one) for one in range(1, workers + 1)]
        return min((connections for at, connections, _ in shown if now - at <= STALE_S), default=0)

    def clear(self, worker: int) -> None:
        """A worker is dead, and so is everything bound to it. What it said of channels stays as it was."""
        self.show(worker, 0.0, 0, 0)
        for slot in range(ACCOUNTS):
            at = _ACCOUNTS_AT + slot * _ACCOUNT
            if self.memory[at]:
                struct.pack_into("=H", self.memory, at + NAME + _BUCKET.size + 2 * (worker - 1), 0)

    # -- accounts

    def account(self, name: str) -> int:
        """Where an account's slot is; BoardFull when there is none left."""
        at = self._accounts.get(name)
        if at is None:
            at = self._accounts[name] = self._slot(name, _ACCOUNTS_AT, ACCOUNTS, _ACCOUNT)
        return at

    def binds(self, account: int) -> tuple[int, ...]:
        """How many binds of an account each worker has."""
        return _COUNTS.unpack_from(self.memory, account + NAME + _BUCKET.size)

    def set_binds(self, account: int, worker: int, binds: int) -> None:
        place = account + NAME + _BUCKET.size + 2 * (worker - 1)
        struct.pack_into("=H", self.memory, place, min(binds, 0xFFFF))

    def bucket(self, account: int) -> tuple[float, float, float]:
        """(tokens, when that was, debt); never used: when is 0.0."""
        tokens, at, debt = _BUCKET.unpack_from(self.memory, account + NAME)
        return tokens, at, debt

    def set_bucket(self, account: int, tokens: float, at: float, debt: float) -> None:
        _BUCKET.pack_into(self.memory, account + NAME, tokens, at, debt)

    # -- channels

    def say(self, channel: str, worker: int, up: bool | None) -> None:
        """A worker that has binds of a channel tells whether they are up; None: it has none, or none any more."""
        self.memory[self._channel(channel) + NAME + worker - 1] = _NONE if up is None else _UP if up else _DOWN

    def is_up(self, channel: str) -> bool:
        """Has any worker the channel up? As long as nobody has said anything, it is believed to be."""
        at = self._channel(channel) + NAME
        said = self.memory[at : at + MOST_WORKERS]
        return bytes((_UP,)) in said or bytes((_DOWN,)) not in said

    def _channel(self, name: str) -> int:
        at = self._channels.get(name)
        if at is None:
            at = self._channels[name] = self._slot(name, _CHANNELS_AT, CHANNELS, _CHANNEL)
        return at

    # -- slots

    def lock(self, at: int) -> None:
        """Until `unlock`, or the end of the process, nobody else has this slot locked."""
        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, at)

    def unlock(self, at: int) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, at)

    def _slot(self, name: str, start: int, slots: int, size: int) -> int:
        digest = hashlib.blake2b(name.encode(), digest_size=NAME - 1).digest()
        wanted = b"\x01" + digest  # so that no slot in use begins with 0
        first = int.from_bytes(digest[:8], "big") % slots
        self.lock(_TABLES)
        try:
            for number in range(first, first + slots):
                at = start + number % slots * size
                found = self.memory[at : at + NAME]
                if found == wanted:
                    return at
                if not found[0]:
                    self.memory[at : at + NAME] = wanted
                    return at
        finally:
            self.unlock(_TABLES)
        raise BoardFull(f"no more than {slots} names")


def _worker_at(worker: int) -> int:
    if not 1 <= worker <= MOST_WORKERS:
        raise ValueError(f"workers are numbered from 1 to {MOST_WORKERS}")
    return (worker - 1) * _WORKER.size


def _nameless_file() -> int:
    """In memory where the kernel offers that. Kept open by whoever forks."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("pombo-board")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
