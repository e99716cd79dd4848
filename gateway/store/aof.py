"""An embedded store's append-only file that its server does not read to its end: how much of it can be read, and how
the rest is cut off."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

UNFINISHED = 1024 * 1024  # octets: more than the one change that a crash leaves unfinished
CHECK_S = 60.0
UNREADABLE = re.compile(  # the server's words; the first two are of the file that it writes to
    r"(Unexpected end of file|Bad file format) reading the append only file(?: (\S+\.aof))?"
    r"|AOF manifest|obtain the AOF file|RDB base file"
)
_CHECKED = re.compile(r"size=(\d+), ok_up_to=(\d+)")
_BLOCK = 1024 * 1024


class Checked(NamedTuple):
    """A file of `size` octets, of which the first `up_to` are whole changes."""

    path: Path
    size: int
    up_to: int

    @property
    def lost(self) -> int:
        """Octets behind."""
        return self.size - self.up_to


def youngest(directory: Path) -> Path | None:
    """The file that the server of this store directory writes to; None without one."""
    found = sorted(directory.glob("appendonlydir/*.incr.aof"), key=lambda path: int(path.name.split(".")[-3]))
    return found[-1] if found else None


def check(server: str, path: Path) -> Checked | None:
    """server: its binary, which by another name is the program that checks its files. None: it does not say."""
    name = Path(server).name.replace("server", "check-aof")
    try:
        done = subprocess.run(
            [name, str(path)], executable=server, stdin=subprocess.DEVNULL, capture_output=True, timeout=CHECK_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _CHECKED.search(done.stdout.decode("utf-8", "replace"))
    return Checked(path, int(found[1]), int(found[2])) if found else None


def cut(checked: Checked, directory: Path) -> Path:
    """Cut off what cannot be read, and keep it in a file of its own there. OSError: nothing was changed."""
    kept = directory / time.strftime(f"{checked.path.name}-%Y%m%dT%H%M%SZ-cut-off", time.gmtime())
    with open(checked.path, "rb") as damaged, open(kept, "xb", opener=_private) as rest:
        damaged.seek(checked.up_to)
        while block := damaged.read(_BLOCK):
            rest.write(block)
        rest.flush()
        os.fsync(rest.fileno())
    os.truncate(checked.path, checked.up_to)
    return kept


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
