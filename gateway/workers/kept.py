"""What a worker has counted, in a file of its own: whoever follows a dead one goes on where it ended, so that no sum of
all workers ever becomes less."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
from twisted.logger import Logger

from gateway.metrics import Metrics
from gateway.workers.sums import Tally, tally_of

log = Logger("workers")


class Kept:
    """The tally of one worker on disk, for as long as the gateway runs."""

    def __init__(self, path: Path, metrics: Metrics) -> None:
        self._path, self._metrics = path, metrics
        self._is_kept = True

    def go_on(self) -> None:
        """Begin with what the one before has counted, if there was one."""
        before = read(self._path)
        if before is not None:
            self._metrics.add(before.counted, before.timed)

    def keep(self) -> Tally:
        """Write it down, then tell it: nobody has been told more than a follower will know, unless there is no room."""
        tally = tally_of(self._metrics)
        new = self._path.with_suffix(".new")
        try:
            new.write_bytes(msgspec.msgpack.encode(tally))
            os.replace(new, self._path)
            self._is_kept = True
        except OSError as error:
            if self._is_kept:
                log.warn("what was counted is not kept: {why}: {path}", why=error.strerror, path=str(new))
            self._is_kept = False
        return tally


def read(path: Path) -> Tally | None:
    """The tally of a worker; None before it has written one."""
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=Tally)
    except (OSError, msgspec.DecodeError):
        return None
