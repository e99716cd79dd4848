"""Which messages were handed to a socket: what a killed process cannot tell any more, but its page cache can.

The store knows which messages were in a channel's hands when the process died; most of them had not been written yet
and are simply sent again. Only those marked here count as possibly sent. A mark costs well under a microsecond and
survives the death of the process, though not of the machine: after a reboot everything in hand counts as written.
"""

from __future__ import annotations

import mmap
import os
import zlib
from collections.abc import Callable
from pathlib import Path

SLOTS = 65_536  # marks kept; far more than any sum of windows
WIDTH = 24  # octets a slot: an id and four digits that stand for the channel, padded
HEAD = 64


def boot_id() -> str:
    """Names this run of the machine; "" where the kernel does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


class WireLog:
    """A ring of marked ids in a memory-mapped file."""

    def __init__(self, path: str | os.PathLike[str], boot: str | None = None) -> None:
        """Opens or creates the file; what an earlier process left is in `written` until the ring comes round."""
        boot = boot_id() if boot is None else boot
        head = f"pombo-wire-2 {boot}".encode().ljust(HEAD, b"\0")[:HEAD]
        size = HEAD + SLOTS * WIDTH
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fresh = os.fstat(fd).st_size != size
            if fresh:
                os.ftruncate(fd, size)
            _reserve(fd, size, path)
            self._map = mmap.mmap(fd, size)
        finally:
            os.close(fd)
        self.trustworthy = not fresh and self._map[:HEAD] == head
        self._before: set[bytes] = set()
        if self.trustworthy:
            body = self._map[HEAD:]
            self._before = {body[i : i + WIDTH].rstrip(b"\0") for i in range(0, len(body), WIDTH)} - {b""}
        # Still needed should we die before recovery is through; in one stroke, for we may die here too.
        ring = b"".join(mark.ljust(WIDTH, b"\0") for mark in sorted(self._before))
        self._map[:] = head + ring.ljust(SLOTS * WIDTH, b"\0")
        self._next = len(self._before) % SLOTS

    def marks_of(self, channel: str) -> Callable[[str], None]:
        """mark(message_id): remember that this message's octets go to a socket of the channel now."""
        tag = _tag(channel)

        def mark(message_id: str) -> None:
            at = HEAD + self._next * WIDTH
            self._map[at : at + WIDTH] = (message_id + tag).encode().ljust(WIDTH, b"\0")[:WIDTH]
            self._next = (self._next + 1) % SLOTS

        return mark

    def was_written(self, message_id: str, channel: str) -> bool:
        """May an earlier process have sent this message by this channel? True whenever that cannot be ruled out."""
        return not self.trustworthy or (message_id + _tag(channel)).encode()[:WIDTH] in self._before

    def close(self) -> None:
        self._map.close()


def _tag(channel: str) -> str:
    return f" {fingerprint(channel.encode())[:4]}"


def _reserve(fd: int, size: int, path: str | os.PathLike[str]) -> None:
    """Take the room on disk now, all that is not taken yet: a page of the map that found none later would kill the
    process."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(fd, 0, size)
        except OSError as error:
            raise OSError(error.errno, error.strerror, os.fspath(path)) from None


def fingerprint(octets: bytes) -> str:
    """Eight hexadecimal digits that tell two parts' contents apart."""
    return f"{zlib.crc32(octets):08x}"
