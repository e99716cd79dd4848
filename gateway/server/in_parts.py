"""A long text for a client without TLVs: several deliver_sm with a concatenation header, which count as one."""

from __future__ import annotations

from msgspec.structs import replace

from gateway.messages.message import Mo
from gateway.server import translate
from gateway.server.bound import Done
from gateway.smpp.constants import MAX_SHORT_MESSAGE_OCTETS
from gateway.smpp.pdu import DeliverSm
from gateway.smpp.segments import split, split_udh


def is_long(item: object) -> bool:
    """Does it need message_payload, or parts where there are no TLVs?"""
    return isinstance(item, Mo) and len(item.user_data) > MAX_SHORT_MESSAGE_OCTETS


def parts_of(text: Mo, peer_version: int, ref: int) -> list[DeliverSm]:
    """The deliver_sm that carry it, in order. ref: concatenation reference, of which the low 8 bits are used."""
    elements, offset = split_udh(text.esm_class, text.user_data)
    pieces = split(text.user_data[offset:], text.data_coding, "udh", ref, elements=elements)
    return [
        translate.deliver_sm(
            replace(text, esm_class=text.esm_class & ~0x40 | piece.esm_class, user_data=piece.short_message),
            peer_version,
        )
        for piece in pieces
    ]


class Together:
    """The answers to all parts as the one answer to the text: what went wrong counts, and no answer most of all."""

    def __init__(self, count: int, done: Done) -> None:
        self._left, self._done = count, done
        self._worst: int | None = 0

    def __call__(self, command_status: int | None) -> None:
        if self._worst is not None and command_status != 0:
            self._worst = command_status
        self._left -= 1
        if not self._left:
            self._done(self._worst)
