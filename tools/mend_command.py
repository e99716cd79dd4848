"""`pombo mend`: goes on without what cannot be read of an embedded store's file."""

from __future__ import annotations

import argparse
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.store import aof
from gateway.store.embedded import StoreUnavailable, find_server
from tools.node import NodeError, store_settings
from tools.terminal import Terminal


def mend(options: argparse.Namespace, terminal: Terminal) -> int:
    """`pombo mend [FILE]`: says what it would cut off; with --yes it does. 1: nothing can be done, or was done yet."""
    settings = store_settings(os.environ, options.file)
    directory = Path(settings.directory).absolute()
    if settings.url != "embedded" or not directory.is_dir():
        raise NodeError(f"store: there is no embedded store in {directory}")
    with _to_itself(directory):
        return _mend(directory, options.yes, terminal)


def _mend(directory: Path, yes: bool, terminal: Terminal) -> int:
    try:
        path = aof.youngest(directory)
        checked = aof.check(find_server(), path) if path is not None else None
    except StoreUnavailable as error:
        raise NodeError(str(error)) from None
    if checked is None:
        terminal.line(f"{path or directory}: cannot be checked")
        return 1
    if not checked.lost:
        terminal.line(f"{checked.path}: can be read to its end")
        return 0
    terminal.line(f"{checked.path}: {checked.lost} of {checked.size} octets, all behind the first "
                  f"{checked.up_to}, cannot be read")  # fmt: skip
    if not yes:
        terminal.line("nothing was changed; with --yes they are cut off and kept in a file of their own")
        return 1
    try:
        kept = aof.cut(checked, directory)
    except OSError as error:
        raise NodeError(f"{error.filename or directory}: {error.strerror}; nothing was changed") from None
    terminal.line(f"cut off, and kept in {kept}; the gateway goes on by itself, or can be started")
    return 0


@contextmanager
def _to_itself(directory: Path) -> Iterator[None]:
    """No server has the files, and none gets them meanwhile."""
    try:
        held = os.open(directory / "valkey.lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise NodeError(f"{directory}: {error.strerror}") from None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise NodeError(f"the store in {directory} runs, or is being tried; its log says which") from None
    finally:
        os.close(held)
