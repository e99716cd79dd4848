"""A file of what happened to the outside of a soak run: written line by line, so that a killed process loses nothing.

A line is `AT WHAT NUMBER ID STATUS SOURCE`: epoch seconds, what happened, the handset, the peer's own id of the
message ("-" where it has none), the status it answered, the address it came from.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec


class Entry(msgspec.Struct, frozen=True):
    """One line. repr shows no number."""

    at: float
    what: str  # submit | receipt | send | sent | delivered | told-sent | told-delivered
    number: str
    id: str = "-"
    status: int = 0
    source: str = "-"

    def __repr__(self) -> str:
        return f"Entry(at={self.at:.3f}, what={self.what!r}, id={self.id!r}, status={self.status})"


class Journal:
    """Appends; each line is with the kernel before `write` returns."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def write(self, entry: Entry) -> None:
        line = f"{entry.at:.4f} {entry.what} {entry.number} {entry.id} {entry.status} {entry.source}\n"
        os.write(self._fd, line.encode())

    def close(self) -> None:
        os.close(self._fd)


class Reader:
    """Reads on from where it stopped; none of a file that is not there yet."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path, self._at = Path(path), 0

    def more(self) -> Iterator[Entry]:
        """The whole lines that have come since."""
        try:
            with open(self._path, "rb") as file:
                file.seek(self._at)
                block = file.read()
        except FileNotFoundError:
            return
        whole = block[: block.rfind(b"\n") + 1]
        self._at += len(whole)
        for line in whole.decode().splitlines():
            at, what, number, remote_id, status, source = line.split(" ")
            yield Entry(float(at), what, number, remote_id, int(status), source)
