"""What the store itself says at the end of a soak run, read past the gateway."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import valkey

from gateway.store import keys, records
from gateway.store.embedded import socket_path
from tools.books import End

AT_ONCE = 1000


class Left(msgspec.Struct, frozen=True):
    """What a store at rest has none of."""

    unfinished: int  # messages without an outcome
    receipts: int  # waiting for a bind
    in_hand: int  # in the hands of a channel

    @property
    def nothing(self) -> bool:
        return not (self.unfinished or self.receipts or self.in_hand)


class StoreReader:
    """Reads an embedded store through its socket."""

    def __init__(self, directory: Path) -> None:
        self._link: Any = valkey.Valkey(unix_socket_path=socket_path(directory))

    def left(self, nodes: Iterable[str], channels: Sequence[str], account: str) -> Left:
        """What still waits."""
        link = self._link
        in_hand = sum(int(link.scard(keys.hand(node, channel))) for node in nodes for channel in channels)
        return Left(int(link.zcard(keys.DUE)), int(link.xlen(keys.receipts(account))), in_hand)

    def ends(self, message_ids: Iterable[str]) -> dict[str, End]:
        """The state of each message that the store knows, and how many receipts were issued for it."""
        found: dict[str, End] = {}
        rest = iter(message_ids)
        while some := list(islice(rest, AT_ONCE)):
            for message_id, record in zip(some, self._link.mget(map(keys.message, some)), strict=True):
                if record:
                    message = records.unpack(record)
                    issued = sum(step[1] == "receipt_queued" for step in message.trace)
                    found[message_id] = End(message.state.name.lower(), issued)
        return found

    def trace(self, message_id: str) -> str:
        """The steps of a message in one line, in seconds from the first."""
        message = records.unpack(self._link.get(keys.message(message_id)))
        began = message.trace[0][0]
        steps = (f"{at - began:.1f} {event} {channel} {detail}".strip() for at, event, channel, detail in message.trace)
        return "; ".join(steps)

    def close(self) -> None:
        self._link.close()
