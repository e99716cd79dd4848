"""Which format a store has, and whether this version may work on it.

A newer version reads what an older one wrote. The other way round it cannot be: so the store says which format it has
come to, and who does not know that format leaves everything as it is.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from twisted.logger import Logger

from gateway.store import keys
from gateway.store.valkey import Keep, Store

log = Logger("formats")


class Format(NamedTuple):
    """One format of the store. record: that of the messages in it, see records.py. what: how it differs."""

    number: int
    record: int
    what: str


# A row for each change that an older gateway could not live with: one that it would read wrongly, or not find. A key
# that an older one does not know and does not need, and a field behind those it knows, are none.
FORMATS = (
    Format(1, 1, "each message has keys of its own for its channel's id, who wrote it and the end of its trace"),
    Format(2, 1, "those are gathered in keys of the day"),
)
NEWEST = FORMATS[-1].number


class NewerStore(Exception):
    """The store has a format of a later version; the text says which, and what to do."""


async def agree(store: Store) -> None:
    """Before anything is read or written: raises NewerStore, or sees to it that older versions keep off from now on."""
    found = await store.command("GET", keys.FORMAT, keep=Keep.ALWAYS)
    words = found.decode().split() if found else []
    number = int(words[0]) if words and words[0].isdigit() else 1  # before there was such a key
    writer = words[1] if len(words) > 1 else "an earlier version"
    if number > NEWEST:
        raise NewerStore(
            f"the store has format {number}, written by Pombo {writer}; this is Pombo {this_version()}, which knows "
            f"formats up to {NEWEST} and has changed nothing: start {writer} or later on this store, or let this one "
            "have another, which is empty"
        )
    if number < NEWEST and words:
        log.info("the store goes from format {old} to {new}", old=number, new=NEWEST)
    if words != [str(NEWEST), this_version()]:
        await store.command("SET", keys.FORMAT, f"{NEWEST} {this_version()}", keep=Keep.ALWAYS)


def this_version() -> str:
    """Of the installed package."""
    try:
        return version("pombo")
    except PackageNotFoundError:
        return "0"
