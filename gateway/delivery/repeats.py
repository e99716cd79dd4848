"""What makes two messages the same, for accounts that want nothing sent twice within their `dedupe`."""

from __future__ import annotations

from hashlib import blake2b

from gateway.messages.message import Message
from gateway.store import keys, records

UDHI = 0x40  # esm_class: the text begins with a header


def key_of(message: Message) -> str:
    """Where the store remembers that the account sent this text, under this source, to this number."""
    text = message.user_data
    said = (message.msisdn, message.source, message.data_coding, message.esm_class & UDHI, records.octets(text))
    return keys.repeated(message.account, blake2b(records.encode(said), digest_size=16).hexdigest())


def compared(message: Message) -> bool:
    """Parts are not: of two long texts that begin alike, one would miss a part."""
    return message.part is None
