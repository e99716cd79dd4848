"""Which worker this is, and what of the whole is its part."""

from __future__ import annotations

import socket
import zlib
from pathlib import Path

import msgspec

from config.schema import BridgeSettings, SmscSettings
from gateway.workers.accepting import Sockets
from gateway.workers.board import Board


class Place(msgspec.Struct, frozen=True):
    """One worker's place among all; what it has inherited from the parent.

    number     from 1 to `workers`; the first has what there must be one of
    directory  a private one of this run of the gateway, for sockets between workers and what they have counted
    listeners  the open listening sockets by where they listen; all workers have the same
    parent     a stream to the parent: it ends when the parent does
    store_url  of the embedded store, which is the parent's; "": the configuration's
    """

    number: int
    workers: int
    board: Board
    directory: Path
    listeners: Sockets
    parent: socket.socket
    store_url: str = ""

    @property
    def first(self) -> bool:
        return self.number == 1

    @property
    def others(self) -> list[int]:
        return [one for one in range(1, self.workers + 1) if one != self.number]

    def node(self, name: str) -> str:
        """This worker among the nodes on the store."""
        return f"{name}-{self.number}"

    def part_of(self, settings: SmscSettings | BridgeSettings) -> SmscSettings | BridgeSettings:
        """A channel's settings with as many binds as are here; 0 where other workers have them all."""
        if isinstance(settings, BridgeSettings):
            return settings
        binds = binds_of(settings.name, settings.binds, self.number, self.workers)
        return settings.model_copy(update={"binds": binds})

    def has(self, part: SmscSettings | BridgeSettings) -> bool:
        """Is anything of the channel here? part: its settings as `part_of` gave them."""
        return self.first if isinstance(part, BridgeSettings) else part.binds > 0

    def socket_path(self, worker: int, what: str) -> str:
        return str(self.directory / f"{worker}.{what}")

    def counts(self, worker: int) -> Path:
        return self.directory / f"{worker}.counts"


def binds_of(channel: str, binds: int, worker: int, workers: int) -> int:
    """How many of a channel's binds a worker has. They go round from a worker that the channel's name says, so that
    channels of one bind each are spread as well, and a channel that comes or goes moves no other one's."""
    first = zlib.crc32(channel.encode()) % workers
    return sum((first + bind) % workers == worker - 1 for bind in range(binds))
