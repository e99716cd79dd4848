"""The packed form of a message and of its events.

A message is eight octets of header and then msgpack. The header is what the scripts need without unpacking:

    0-3 revision, another with every change (see turn.py): a commit states the one it has read
    4   1 when the state is final
    5   1 while a channel of some node has the message in its hands
    6   ordinal: how many attempts were begun; a queue entry with another ordinal is stale
    7   format of what follows
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.messages.message import FORMAT, Message, Mo, Receipt
from gateway.messages.states import FINAL

HEADER = struct.Struct(">IBBBB")
_encode = msgspec.msgpack.Encoder().encode
_decode_message = msgspec.msgpack.Decoder(Message).decode


class NewerRecord(Exception):
    """The record was written by a newer version; this one must not touch it."""


class Event(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One step of a message, for its trace. `at` in seconds since the epoch."""

    at: float
    event: str
    channel: str = ""
    detail: str = ""


class FeedEvent(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The same step for readers of the feed (contract of the feed: maps, never the text)."""

    id: str
    at: float
    event: str
    account: str
    to: str
    node: str
    state: str = ""
    channel: str = ""
    segments: int = 0
    price: str = ""
    detail: str = ""


class Writer(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Who wrote to a number last, and how: replies go there. `id` finds the message for a trace by number."""

    id: str
    account: str
    dest: str
    dest_ton: int
    dest_npi: int
    source: str
    source_ton: int
    source_npi: int


def pack(message: Message) -> bytes:
    """The record under the message's own revision (`rev`), which is the caller's to give."""
    attempts = len(message.attempts)
    return HEADER.pack(
        message.rev, message.state in FINAL, message.in_hand, attempts if attempts < 255 else 255, FORMAT
    ) + _encode(message)  # fmt: skip


def unpack(record: bytes) -> Message:
    """The message of a record. The header is the truth for revision and hand: scripts change it alone."""
    rev, _, in_hand, _, version = HEADER.unpack_from(record)
    if version > FORMAT:
        raise NewerRecord(f"record format {version}, this version reads up to {FORMAT}; a newer Pombo has written it")
    message = _decode_message(memoryview(record)[HEADER.size :])
    message.rev, message.in_hand = rev, bool(in_hand)
    return message


def encode(value: object) -> bytes:
    return _encode(value)


decode_writer = msgspec.msgpack.Decoder(Writer).decode
_MOMENT = struct.Struct(">Q")


def decode(packed: bytes) -> Any:
    """What `encode`, or cmsgpack in a script, has made."""
    return msgspec.msgpack.decode(packed)


def written(msisdn: str, at: float, writer: Writer) -> bytes:
    """A member of keys.writers: sorted by number, then by time. at: epoch seconds."""
    return msisdn.encode() + b":" + _MOMENT.pack(int(at * 1000)) + _encode(writer)


def read_written(member: bytes) -> tuple[float, Writer]:
    """When, and who."""
    at = member.index(b":") + 1
    return _MOMENT.unpack_from(member, at)[0] / 1000, decode_writer(member[at + _MOMENT.size :])


class Waiting(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One entry of an account's stream: a receipt or a reply that waits for a bind."""

    receipt: Receipt | None = None
    mo: Mo | None = None


_decode_waiting = msgspec.msgpack.Decoder(Waiting).decode
_decode_events = msgspec.msgpack.Decoder(list[Event]).decode


def unpack_waiting(blob: bytes) -> Receipt | Mo:
    waiting = _decode_waiting(blob)
    item = waiting.receipt or waiting.mo
    if item is None:
        raise msgspec.ValidationError("an entry with neither receipt nor reply")
    return item


def pack_waiting(item: Receipt | Mo) -> bytes:
    return _encode((item, None) if isinstance(item, Receipt) else (None, item))  # as a Waiting


def unpack_events(blob: bytes) -> list[Event]:
    """The events of `e:{id}`; none of a key that is not there."""
    return _decode_events(blob) if blob else []


def pack_events(events: Sequence[tuple[Any, ...]]) -> bytes:
    """Events as (at, event[, channel[, detail]])."""
    return _encode(events)


_RAW32 = struct.Struct(">BI")


def octets(blob: bytes) -> msgspec.Raw:
    """Octets as a msgpack string: the scripts' unpacker knows no binary type, and takes any octets as a string."""
    return msgspec.Raw(_RAW32.pack(0xDB, len(blob)) + blob)
